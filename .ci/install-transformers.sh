#!/bin/sh
# Makes an environment with PyTorch for the CPU and transformers, and prints its path on stdout
# (everything else goes to stderr); its bin/python is the interpreter to use.
#   usage: install-transformers.sh CACHE_DIR
# PyPI has PyTorch for CUDA only, which is 2.5 GB with its libraries; Debian has it for the CPU: 110 MB to
# load, 450 MB unpacked (not installed: no root needed), and the transformers from PyPI that still takes it.
# Needs apt (package lists present, or root to refresh them) and the Python that Debian built it for.
set -eu
TRANSFORMERS=4.49.0 # the first that knows Phi-4-mini's partial rotary embedding, the last for this PyTorch
[ $# -eq 1 ] || { echo "usage: $0 CACHE_DIR" >&2; exit 2; }
mkdir -p "$1"
DIR=$(cd "$1" && pwd)
DEST="$DIR/transformers-$TRANSFORMERS"
if [ -x "$DEST/bin/python" ] && "$DEST/bin/python" -c 'import torch, transformers' 2>/dev/null; then echo "$DEST"; exit 0; fi
exec 3>&1 1>&2

for tool in apt-get apt-cache dpkg-deb python3; do
  command -v "$tool" >/dev/null || { echo "install-transformers: $tool is missing"; exit 1; }
done
apt-cache show python3-torch >/dev/null 2>&1 || apt-get update -q
want=$(apt-cache show python3-torch | sed -n 's/.*python3\.\([0-9]*\):any.*/3.\1/p' | head -n 1)
have=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$want" = "$have" ] || { echo "install-transformers: Debian's PyTorch is for Python $want, python3 is $have"; exit 1; }

rm -rf "$DEST" "$DIR/deb"
mkdir -p "$DEST/bin" "$DIR/deb"
# Python's own packages are there already, and are not to be mixed.
packages=$(apt-get install --print-uris -y --no-install-recommends python3-torch | awk '/^.http/{ sub(/_.*/, "", $2); print $2 }' |
  grep -v -E '^(python3|python3-minimal|python3\.[0-9].*|libpython3.*)$')
# shellcheck disable=SC2086
(cd "$DIR/deb" && apt-get download -q $packages)
for deb in "$DIR"/deb/*.deb; do dpkg-deb -x "$deb" "$DEST/debian"; done
rm -rf "$DIR/deb"
python3 -m venv "$DEST/venv"
"$DEST/venv/bin/python" -m pip install --quiet --disable-pip-version-check "transformers==$TRANSFORMERS" 'numpy<2' # not torch: it is Debian's
libraries=$(find "$DEST/debian" -name '*.so*' ! -path '*/python3/*' -printf '%h\n' | sort -u | tr '\n' ':')
cat > "$DEST/bin/python" <<EOF
#!/bin/sh
export PYTHONPATH="$DEST/debian/usr/lib/python3/dist-packages" LD_LIBRARY_PATH="$libraries"
exec "$DEST/venv/bin/python" "\$@"
EOF
chmod +x "$DEST/bin/python"
"$DEST/bin/python" -c 'import torch, transformers; print("PyTorch", torch.__version__, "transformers", transformers.__version__)'
echo "$DEST" >&3
