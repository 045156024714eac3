#!/bin/sh
# test-windows.sh [PACKAGE...]: the tests of the packages, built for Windows and run under Wine. What
# passes here may still fail on Windows, but paths, locks, open files, processes and the lack of signals are met.
# Needs: wine64 (Debian: wine64 wine), and gcc-mingw-w64-x86-64 where Wine is older than 9.
set -eu
cd "$(dirname "$0")/.."
work=${SO8T_WINE_DIR:-$HOME/.cache/so8t-wine}
mkdir -p "$work"
export WINEPREFIX="$work/prefix" WINEDEBUG=-all
system="$WINEPREFIX/drive_c/windows/system32"
[ -d "$system" ] || wineboot -i

# Wine before 9 lacks the one function that Go takes randomness from.
if [ ! -e "$system/bcryptprimitives.dll" ]; then
  cat >"$work/prng.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T n) { return SystemFunction036(bytes, (ULONG)n); }
C
  x86_64-w64-mingw32-gcc -shared -o "$system/bcryptprimitives.dll" "$work/prng.c" -ladvapi32
fi

# Nor does it delete with POSIX semantics: Go's fallback for older file systems is taken from the start.
root=$(go env GOROOT)
at=$root/src/internal/syscall/windows/at_windows.go
sed 's/if TestDeleteatFallback {/if true {/' "$at" >"$work/at_windows.go"
printf '{"Replace": {"%s": "%s"}}\n' "$at" "$work/at_windows.go" >"$work/overlay.json"

[ $# -gt 0 ] || set -- ./state ./plugins/... ./engine/... ./stages/...
GOOS=windows CGO_ENABLED=0 exec go test -overlay "$work/overlay.json" -exec wine -timeout 60m "$@"
