#!/bin/sh
# The GPU kernels without a GPU: compiles cuda/kernels to PTX with NVRTC 12.1 (`generate` replaces what is checked in; `check` does not) and
# assembles the checked-in PTX for the cards' machines with ptxas. That it is of these sources a test of package cuda says, by their digest:
# NVRTC numbers registers differently from one run to the next. Compilers come from PyPI into a cache.
# Exits 0 when all is well, 3 with a reason on standard error when the compilers cannot be had, else 1.
set -eu
cd "$(dirname "$0")/.."
cache=${SO8T_CI_CACHE:-$HOME/.cache/so8t-ci}/cuda
kernels=cuda/kernels
# Spilling a register to memory costs more than a kernel gains by it: none is allowed.
most_spilled_bytes=0

python=$cache/bin/python
if [ ! -x "$cache/bin/ptxas-found" ]; then
  mkdir -p "$cache"
  { python3 -m venv "$cache" &&
    "$python" -m pip install -q nvidia-cuda-nvrtc-cu12==12.1.105 nvidia-cuda-nvcc-cu12==12.9.86; } >"$cache/install.log" 2>&1 ||
    { echo "NVRTC and ptxas cannot be installed from PyPI: $(tail -n 1 "$cache/install.log")" >&2; exit 3; }
  ln -sf "$(find "$cache/lib" -path '*/cuda_nvcc/bin/ptxas' | head -n 1)" "$cache/bin/ptxas-found"
fi

out=$kernels
if [ "${1:-check}" = check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
"$python" $kernels/generate.py "$out"
for pair in 75:75 80:80 86:80 90:90; do
  log=$cache/ptxas_${pair%:*}.log
  gzip -dc "$kernels/kernels_${pair#*:}.ptx.gz" >"$cache/kernels.ptx"
  "$cache/bin/ptxas-found" -v -arch="sm_${pair%:*}" -o /dev/null "$cache/kernels.ptx" 2>"$log" || { cat "$log" >&2; exit 1; }
  spilled=$(sed -n 's/.* \([0-9]*\) bytes spill stores.*/\1/p' "$log" | sort -n | tail -n 1)
  registers=$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$log" | sort -n | tail -n 1)
  echo "sm_${pair%:*}: $(grep -c 'Compiling entry' "$log") kernels, at most $registers registers, at most ${spilled:-?} bytes spilled"
  [ "${spilled:-1}" -le $most_spilled_bytes ] || { echo "more than $most_spilled_bytes bytes are spilled: see $log" >&2; exit 1; }
done
