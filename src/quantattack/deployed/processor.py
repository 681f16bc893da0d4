"""What of the processor decides a kernel's numbers."""

import platform
from pathlib import Path

_NAMES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm", "sve")


def features() -> str:
    """Return the machine's name and those of its features that integer and float kernels are chosen by."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux: the machine's name alone
        return platform.machine()
    lines = [line for line in text.splitlines() if line.lower().startswith(("flags", "features"))]
    present = set(lines[0].split()) if lines else set()
    return " ".join([platform.machine(), *(name for name in _NAMES if name in present)])
