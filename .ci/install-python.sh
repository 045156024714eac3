#!/bin/sh
# Makes a virtual environment with what the Python examples need and prints its path on stdout
# (everything else goes to stderr).
#   usage: install-python.sh CACHE_DIR
# Needs Python 3.9 or newer with venv, and the Python package index once; a second run with the same
# requirements prints the path at once. SO8T_PYTHON names another interpreter than python3.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 CACHE_DIR" >&2; exit 2; }
requirements=$(cd "$(dirname "$0")/../plugins/examples/evaluator-python" && pwd)/requirements.txt
mkdir -p "$1"
venv=$(cd "$1" && pwd)/venv
exec 3>&1 1>&2
if ! cmp -s "$requirements" "$venv/requirements.txt" || ! "$venv/bin/python" -c 'import grpc, grpc_health, grpc_tools'; then
  rm -rf "$venv"
  "${SO8T_PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/requirements.txt" # last: what is there is whole
fi
"$venv/bin/python" -m pip list --disable-pip-version-check
echo "$venv" >&3
