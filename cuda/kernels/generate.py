"""Compiles kernels.cu to PTX with NVRTC 12.1 (from PyPI: nvidia-cuda-nvrtc-cu12; no CUDA installation, no GPU).

python generate.py OUT_DIR writes kernels_75.ptx.gz, kernels_80.ptx.gz and kernels_90.ptx.gz. The first line of each holds the digest of the
sources, which a test of package cuda compares. Run it through `task gen:cuda`, which pins the compiler.
"""

import ctypes
import glob
import gzip
import hashlib
import os
import site
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CAPABILITIES = (75, 80, 90)


def sources():
    """The name and content of every source file, in the order of names: what the digest is over."""
    names = sorted(n for n in os.listdir(HERE) if n.endswith((".cu", ".cuh")))
    return {n: open(os.path.join(HERE, n), "rb").read() for n in names}


def digest(files):
    h = hashlib.sha256()
    for name, content in files.items():
        h.update(b"%s %d\n" % (name.encode(), len(content)))
        h.update(content)
    return h.hexdigest()


def load():
    for folder in site.getsitepackages():
        for path in glob.glob(os.path.join(folder, "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")):
            return ctypes.CDLL(path)
    sys.exit("no NVRTC: pip install 'nvidia-cuda-nvrtc-cu12==12.1.105'")


def compile_for(nvrtc, files, capability):
    program = ctypes.c_void_p()
    headers = {n: c for n, c in files.items() if n != "kernels.cu"}
    count = len(headers)
    texts = (ctypes.c_char_p * count)(*headers.values())
    names = (ctypes.c_char_p * count)(*(n.encode() for n in headers))
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), files["kernels.cu"], b"kernels.cu", count, texts, names)
    options = [b"--gpu-architecture=compute_%d" % capability, b"--std=c++17"]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    if log.value:
        print(log.value.decode(), file=sys.stderr)
    if code:
        sys.exit("compiling for compute_%d failed" % capability)
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.value.decode()


def main(out):
    nvrtc = load()
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    if (major.value, minor.value) != (12, 1):
        sys.exit("this is NVRTC %d.%d; 12.1 makes PTX that drivers from 530 on accept" % (major.value, minor.value))
    files = sources()
    for capability in CAPABILITIES:
        ptx = compile_for(nvrtc, files, capability)
        text = "// sources sha256:%s\n%s" % (digest(files), ptx)
        with open(os.path.join(out, "kernels_%d.ptx.gz" % capability), "wb") as f:
            f.write(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HERE)
