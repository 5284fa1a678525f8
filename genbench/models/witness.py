"""What foreign code reads while it is measured: a file, a program, the network. No identity holds that.

The state of a model is known when it is opened. What its code reads later, a file in `sample`, a module that it imports
by a name in a string, may be another the next time; so it is watched, and nothing that rests on it is used again. The
interpreter tells of every file that it opens and of every folder that it lists (PEP 578). A compiled library that opens
a file by itself is not seen, but for those in `COMPILED`, which are made to tell: they are how weights are read. What
rests on others counts as read: here where they are loaded as foreign code runs, and see `compiled.py`.

Reads by genbench and by installed packages on their own behalf do not count, nor does what lies where they do, nor a
file that the same process has written.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from genbench.models.compiled import harmless, unseen

HERE = str(Path(__file__).resolve().parents[1]) + os.sep
BASELINES = str(Path(__file__).resolve().parents[2] / "baselines") + os.sep  # where they lie in a clone
ON_BEHALF = (HERE + "importing.py", str(Path(__file__).resolve()))  # work here for foreign code
SYSTEM = tuple(f"/{name}/" for name in ("proc", "dev", "sys", "etc", "usr", "lib", "lib64"))
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "genbench.fork_exec")
NETWORK = ("socket.connect", "urllib.Request")

LISTS = ("os.listdir", "os.scandir")
COMPILED = {  # the functions, by module, that open the file of their first argument themselves
    "safetensors": ("safe_open",),
    "torch": ("from_file", "UntypedStorage.from_file", "jit.load"),
    "torch._C": ("PyTorchFileReader",),
    "torchvision.io.image": ("read_file",),
    "PIL._imagingft": ("getfont",),
    "_posixsubprocess": ("fork_exec",),  # as multiprocessing starts a process, which nobody hears
}

_lists: list[set[str]] = []  # of those who watch
_written: set[str] = set()
_busy = threading.local()
_installed = False


@contextmanager
def watching() -> Iterator[set[str]]:
    """Gathers the paths of files that foreign code reads within, and words for what else it asks."""
    global _installed
    if not _installed:
        sys.addaudithook(hear)
        _installed = True
    have_compiled_code_tell()
    found: set[str] = set()
    _lists.append(found)
    try:
        yield found
    finally:
        _lists[:] = [one for one in _lists if one is not found]


@contextmanager
def unwatched() -> Iterator[None]:
    """Within it nothing is noted: what is read goes into a state that is hashed."""
    lists, _lists[:] = list(_lists), []
    try:
        yield
    finally:
        _lists[:] = lists


def have_compiled_code_tell() -> None:
    """From now on the functions in `COMPILED` say what they open, also to modules that have imported them by name."""
    importlib.import_module("safetensors")  # before anybody has the silent one by name; torch is named with its module
    for name, functions in COMPILED.items():
        for function in functions:
            holder, attribute = sys.modules.get(name), function
            if "." in function and holder is not None:
                kind, _, attribute = function.partition(".")
                holder = getattr(holder, kind, None)
            silent = getattr(holder, attribute, None)
            if silent is None or hasattr(silent, "tells"):
                continue
            telling = Telling(attribute, (), {"silent": staticmethod(silent), "__doc__": silent.__doc__})
            top = name.partition(".")[0]
            for one in [holder, *(m for key, m in list(sys.modules.items()) if f"{key}.".startswith(f"{top}."))]:
                if one is holder or vars(one).get(attribute) is silent:
                    setattr(one, attribute, telling)


class Telling(type):
    """In place of a function or a class of a compiled library: tells the interpreter what is opened, then opens it."""

    tells = True
    silent: Callable[..., Any]

    def __call__(cls, path: Any, *args: Any, **options: Any) -> Any:
        if isinstance(path, str | bytes | os.PathLike):
            sys.audit("open", os.fspath(path), "r", 0)
        elif cls.__name__ == "fork_exec":
            sys.audit("genbench.fork_exec")
        return cls.silent(path, *args, **options)

    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(cls.silent, type) and isinstance(one, cls.silent)


def hear(event: str, args: tuple[Any, ...]) -> None:
    """Called by the interpreter for everything that it does; must be quick, and never raise."""
    if not _lists or getattr(_busy, "at", False):
        return
    loads = event == "ctypes.dlopen" or (event == "import" and args[1])  # of what is compiled there is the file
    if not (loads or event in ("open", "sqlite3.connect") or event in LISTS or event in STARTS or event in NETWORK):
        return
    _busy.at = True
    try:
        frame = sys._getframe(1)
        if loads:
            said = opens_unseen(args[0] if event == "import" else "ctypes", frame)
        elif event == "open":
            said = read_of(*args[:3])
        else:
            said = listed(args[0], frame) if event in LISTS else words(event)
        if said and foreign(frame):
            for found in _lists:
                found.add(said)
    except Exception:  # a hook that raises breaks whatever it was told of
        pass
    finally:
        _busy.at = False


def read_of(path: Any, mode: str | None, flags: int) -> str:
    """The file that is opened, if it is opened to be read and lies where files of users lie; else nothing."""
    if isinstance(path, int) or path is None:
        return ""
    place = os.path.realpath(os.fsdecode(path))
    reads = ("r" in mode or "+" in mode) if isinstance(mode, str) else flags & os.O_ACCMODE != os.O_WRONLY
    fresh = ("w" in mode or "x" in mode) if isinstance(mode, str) else bool(flags & (os.O_TRUNC | os.O_EXCL))
    if fresh:
        _written.add(place)
        return ""
    if not reads or place in _written or settled(place) or os.path.isdir(place):
        return ""
    return place


def listed(path: Any, frame: FrameType) -> str:
    """The folder that is listed, unless to look for a module, which is seen when it is read."""
    if path is None or isinstance(path, int) or "importlib" in frame.f_code.co_filename:
        return "" if path is not None else f"{os.getcwd()}{os.sep}"
    place = os.path.realpath(os.fsdecode(path))
    return "" if settled(place + os.sep) else place + os.sep


def opens_unseen(library: str, frame: FrameType | None) -> str:
    """Of a compiled library that is loaded, what counts as read from then on: nothing if it, or the package that loads
    it, opens no files unseen.
    """
    while frame is not None and (not os.path.isfile(frame.f_code.co_filename) or "ctypes" in whom(frame)):
        frame = frame.f_back
    by_harmless = frame is not None and "site-packages" in (parts := whom(frame)) and harmless(package_in(parts))
    top = library.partition(".")[0]
    return "" if by_harmless or harmless(top) else unseen(top)


def whom(frame: FrameType) -> tuple[str, ...]:
    return Path(frame.f_code.co_filename).parts


def package_in(parts: tuple[str, ...]) -> str:
    return parts[parts.index("site-packages") + 1].removesuffix(".py")


def words(event: str) -> str:
    if event in STARTS:
        return "what a program says"
    return "what the network says" if event in NETWORK else "a database"


@lru_cache(10_000)
def settled(path: str) -> bool:
    """Whether a path lies where the system, installed packages and genbench do."""
    return path.startswith((*SYSTEM, HERE, BASELINES, *places()))


@lru_cache(1)
def places() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {str(Path(sysconfig.get_paths()[name]).resolve()) + os.sep for name in names}
    return tuple(found)


@lru_cache(10_000)
def whose(code: CodeType) -> str:
    """Of the code in a frame: "genbench", "foreign", or nothing for what works on behalf of others."""
    path = os.path.realpath(code.co_filename)
    if not path.endswith(".py") or not os.path.isfile(path) or path in ON_BEHALF:
        return ""
    if path.startswith((HERE, BASELINES)):
        return "genbench"
    return "" if settled(path) else "foreign"


def foreign(frame: FrameType | None) -> bool:
    """Whether the innermost code that works on its own behalf is neither genbench's nor installed."""
    while frame is not None:
        if owner := whose(frame.f_code):
            return owner == "foreign"
        frame = frame.f_back
    return False


def known_code(paths: Iterable[str]) -> set[str]:
    """Of files that were read, the sources that are hashed in the identity of a model or of a plugin."""
    from genbench.models.fingerprint import hashed

    sources = {path for path in paths if path.endswith(".py")}
    return sources & hashed() if sources else set()
