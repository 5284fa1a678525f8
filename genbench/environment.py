"""What a number was measured on: versions, platform, device, threads, the state of the source tree."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import genbench

CODE = ("genbench", "baselines")
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "safetensors",
    "torch-fidelity",
    "diffusers",
    "transformers",
    "tokenizers",
    "onnxruntime",
)


def environment(device: str = "cpu") -> dict[str, Any]:
    """JSON types only. Imports torch only where it has to name a device that is not the CPU."""
    return {"genbench": genbench.__version__, "git": git_state(), **rounding(device)}


def rounding(device: str = "cpu") -> dict[str, Any]:
    """What decides how sums are rounded: where all of it is equal, the same code gives the same bits."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": name_of(device),
        "threads": threads(),
        **instructions(),
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def name_of(device: str) -> str:
    """The GPU's name, or the processor's."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({os.cpu_count()} cores)"
    return f"{platform.processor() or 'cpu'} ({os.cpu_count()} cores)"


def threads() -> int:
    """Threads that torch uses, or would use by default."""
    import sys

    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def instructions() -> dict[str, str]:
    """The vector instructions that torch uses on the CPU, which decide how it rounds, once it is loaded."""
    import sys

    torch = sys.modules.get("torch")
    return {"instructions": torch.backends.cpu.get_cpu_capability()} if torch else {}


def git_state() -> dict[str, Any] | None:
    """Commit, and whether the code differs from it; None outside a checkout of genbench."""
    root = Path(genbench.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain", "--", *CODE], cwd=root, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}


def forget_peak() -> None:
    """The most memory held is counted anew from here, as far as the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_status(name: str) -> int | None:
    """`VmRSS`, what this process holds, or `VmHWM`, the most it held, in bytes; None where there is no /proc."""
    path = Path("/proc/self/status")
    if not path.is_file():
        return None
    return int(path.read_text().split(f"{name}:")[1].split()[0]) * 1024
