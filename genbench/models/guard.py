"""A model's code runs guarded: what it does to the whole process is undone, and what it prints is no result."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from genbench import importing


@contextmanager
def guarded() -> Iterator[None]:
    """Within it a model may change what it likes of the process: afterwards all is as it was.

    Put back are the working directory, the environment, `sys.argv` and `sys.path`, the global random states, the
    filters of warnings, and of torch the default type and device, the number of threads, whether gradients are
    recorded, and the settings that decide how exactly it computes. What is printed goes to stderr. A `sys.exit` is
    an error of the model, like any other.

    Raises:
        RuntimeError: in place of a SystemExit.
    """
    before = state()
    try:
        with importing.prints_on_stderr():
            yield
    except SystemExit as error:
        raise RuntimeError(f"the model's code called sys.exit({error.code!r})") from error
    finally:
        restore(before)


def state() -> dict[str, Any]:
    """What can be put back of the process."""
    found: dict[str, Any] = {
        "folder": folder(),
        "environment": dict(os.environ),
        "argv": list(sys.argv),
        "path": list(sys.path),
        "random": random.getstate(),
        "numpy": np.random.get_state(),
        "numpy_errors": np.geterr(),
        "filters": list(warnings.filters),
        "recursion": sys.getrecursionlimit(),
    }
    if torch := sys.modules.get("torch"):
        found |= {name: read() for name, (read, _) in of_torch(torch).items()}
    return found


def drawn_globally() -> list[str]:
    """Where the global generators stand: of Python, NumPy, and torch if it is imported."""
    states = [repr(random.getstate()), repr(np.random.get_state(legacy=False)["state"])]
    torch = sys.modules.get("torch")
    return [*states, torch.get_rng_state().numpy().tobytes().hex()] if torch else states


def restore(before: dict[str, Any]) -> None:
    if before["folder"] is not None and folder() != before["folder"]:
        with suppress(OSError):
            os.chdir(before["folder"])
    if dict(os.environ) != before["environment"]:
        os.environ.clear()
        os.environ.update(before["environment"])
    sys.argv[:], sys.path[:] = before["argv"], before["path"]
    importing.on_path()  # a model goes on to find the modules beside it
    random.setstate(before["random"])
    np.random.set_state(before["numpy"])
    np.seterr(**before["numpy_errors"])
    if warnings.filters != before["filters"]:
        warnings.filters[:] = before["filters"]  # type: ignore[index]
        with suppress(AttributeError):
            warnings._filters_mutated()  # type: ignore[attr-defined]
    sys.setrecursionlimit(before["recursion"])
    if torch := sys.modules.get("torch"):
        for name, (read, write) in of_torch(torch).items():
            if name in before and changed(read(), before[name]):
                write(before[name])


def folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def changed(now: Any, before: Any) -> bool:
    equal = now == before
    return not (equal if isinstance(equal, bool) else bool(equal.all()))


def of_torch(torch: Any) -> dict[str, tuple[Any, Any]]:
    """How each setting of torch is read and written."""

    def deterministic(mode: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])

    def switched(module: Any, name: str) -> tuple[Any, Any]:
        return (lambda: getattr(module, name)), (lambda value: setattr(module, name, value))

    return {
        "default type": (torch.get_default_dtype, torch.set_default_dtype),
        "default device": (torch.get_default_device, torch.set_default_device),
        "threads": (torch.get_num_threads, torch.set_num_threads),
        "gradients": (torch.is_grad_enabled, torch._C._set_grad_enabled),
        "anomaly": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        "precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        "deterministic": (
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            deterministic,
        ),
        "benchmark": switched(torch.backends.cudnn, "benchmark"),
        "generator": (torch.get_rng_state, torch.set_rng_state),
    }
