"""Builds and loads the compiled decoder (decoder.c) at first use, where there is a C compiler.

That of a GPU (decoder_gpu.py) Triton builds, likewise at first use.

Environment:
    ZBO_KERNEL: "off" leaves everything to torch.
    ZBO_KERNEL_CACHE: Folder to keep what is built in, instead of $XDG_CACHE_HOME/zbo or
        ~/.cache/zbo; point it into a container image to ship a library built for its processor.
    CC: Compiler, before cc, gcc, clang and the one in the package ziglang.
"""

import ctypes
import functools
import hashlib
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("decoder.c")
# No -ffast-math: a NaN must come through, so that a diverging training is noticed.
_FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_POINTER, _FLOAT, _LONG = ctypes.c_void_p, ctypes.c_float, ctypes.c_long


class Batch(ctypes.Structure):
    """The struct of the same name in decoder.c."""

    _fields_ = (
        [(name, _LONG) for name in ("pixels", "classes", "h0", "h1", "h2")]
        + [("sigma", _FLOAT)]
        + [(name, _POINTER) for name in ("images", "coords", "latents", "q", "share", "active")]
        + [(name, _POINTER) for name in ("wc", "bc", "w1_forward", "w1_backward", "b1")]
        + [(name, _POINTER) for name in ("w2_forward", "w2_backward", "b2", "w3", "b3")]
        + [(name, _POINTER) for name in ("logp", "d_coords", "d_latents")]
    )


def off() -> bool:
    """Tell whether everything is left to torch."""
    return os.environ.get("ZBO_KERNEL", "").lower() == "off"


def cache() -> Path:
    """Folder to keep what is built in; it may not exist, nor be writable."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("ZBO_KERNEL_CACHE") or user / "zbo")


def triton_cache() -> str:
    """Folder for what Triton builds, writable: without one Triton does not work."""
    try:
        (folder := cache() / "triton").mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return str(folder)
    except OSError:
        pass
    return tempfile.mkdtemp(prefix="zbo-")


@functools.cache
def load() -> ctypes.CDLL | None:
    """Load the compiled decoder, building it if need be.

    Returns:
        The library, or None where it is turned off or cannot be built; that is logged once.
    """
    if off():
        logger.info("compiled decoder turned off by ZBO_KERNEL; using torch")
        return None
    try:
        library = _find_or_build()
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("no compiled decoder, using torch, several times slower: %s", error)
        return None
    library.zbo_sums.restype = _LONG
    library.zbo_sums.argtypes = (_POINTER,)
    library.zbo_decode.argtypes = (_POINTER, _LONG, _LONG, _POINTER)
    library.zbo_peak.restype = ctypes.c_double
    library.zbo_peak.argtypes = (_LONG, _POINTER)
    return library


def _find_or_build() -> ctypes.CDLL:
    key = hashlib.sha256(repr((_SOURCE.read_bytes(), _FLAGS, _processor())).encode()).hexdigest()
    name = f"decoder-{key[:16]}.so"
    kept = cache() / name
    if kept.is_file():
        try:
            return ctypes.CDLL(str(kept))
        except OSError as error:  # damaged, or of another C library: build it again
            logger.info("%s does not load: %s", kept, error)
    with tempfile.TemporaryDirectory(prefix="zbo-") as scratch:  # a loaded file may be removed
        built = _build(_compiler(), Path(scratch) / name)
        library = ctypes.CDLL(str(built))
        _keep(built, kept)
    return library


def _compiler() -> list[str]:
    """Find a C compiler: the machine's, else the one that `make install` then brings along."""
    for name in (os.environ.get("CC") or "cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise FileNotFoundError("no C compiler: install gcc, or `pip install ziglang`")


def _build(compiler: list[str], target: Path) -> Path:
    # Zig has caches of its own, by default in a home that need not be writable.
    zig = {f"ZIG_{which}_CACHE_DIR": str(target.parent) for which in ("LOCAL", "GLOBAL")}
    for native in (["-march=native"], ["-mcpu=native"], []):
        command = [*compiler, *_FLAGS, *native, "-o", str(target), str(_SOURCE), "-lm"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=zig | os.environ
        )
        if done.returncode == 0:
            return target
    raise OSError(f"{' '.join(compiler)} failed: {done.stderr.strip()[-300:]}")


def _keep(built: Path, target: Path) -> None:
    """Copy beside, then rename: processes that start together may all do so."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as beside:
            beside.write(built.read_bytes())
            os.fchmod(beside.fileno(), 0o644)  # a shared cache is for all to read
            os.fsync(beside.fileno())
        os.replace(beside.name, target)
    except OSError as error:
        logger.info("compiled decoder not kept for the next process: %s", error)


def _processor() -> str:
    """What the machine code depends on: on a cluster one home folder serves several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    kinds = ("model name", "flags", "Features", "CPU part")
    return platform.machine() + "".join(sorted({x for x in lines if x.startswith(kinds)}))
