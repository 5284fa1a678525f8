"""What is published tells nothing of the machine that it was made on: no absolute path, no home folder, no host.

Records and checkpoints hold commands, warnings and messages of errors, which name files by where they lie.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from genbench.text import capped

# /a/b, ~/a and file:///a/b, with `\ ` for a space, not the /b of a/b, of a number over another or of a web address.
PATHS = re.compile(r"(?:file://|(?<![\w.~/)\]-])(?!//))(?:~|(?=/))(?:/(?:\\+ |[^\s/'\"`:;,()\[\]{}<>|=?&*])+)+/?")
WINDOWS = re.compile(r"(?<![\w\\])(?:[A-Za-z]:\\|\\\\(?=\w))[^\s'\"`;:,<>|?*()]+")  # C:\a\b, \\host\a
QUOTED = re.compile(r"(['\"])((?:file://)?/[^'\"\n]*/[^'\"\n]*)\1")  # one that may hold spaces
SHORT = 3  # letters of a host's name that tells nothing, and may mean other things
COMMON = {"localhost", "node", "model", "data"}  # others that do
LONGER = 8  # times as much as may stand in the end is looked at: what is cut off is cut after paths are


def public(text: str) -> str:
    """The text with every absolute path cut down to its last part, one in the current folder to what leads there from
    it, and without the name of this machine.

    Example:
        >>> public("cannot read /home/ada/models/vae.pt: see https://example.org/a/b")
        'cannot read vae.pt: see https://example.org/a/b'
    """
    for root, instead in roots():
        text = re.sub(rf"(?<![\w/]){re.escape(root)}(?=/|\b)", instead, text) if root in text else text
    text = text.replace(f"{HERE}/", "")
    text = QUOTED.sub(lambda found: found[1] + last(found[2]) + found[1], text)
    text = PATHS.sub(lambda found: last(found[0]), text)
    text = WINDOWS.sub(lambda found: found[0].rstrip("\\").rpartition("\\")[2], text)
    name = platform.node()
    if name and f"@{name}" in text:  # somebody on this machine, whatever its name
        text = re.sub(rf"(?<![\w.-])[\w.-]+@{re.escape(name)}(\.[\w-]+)*(?![\w-])", "this machine", text)
    if len(name) > SHORT and name.lower() not in COMMON and name in text:
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(\.[\w-]+)*(?![\w-])", "this machine", text)
    return text


def published(text: str, longest: int) -> str:
    """The same in at most so many characters, of a text of any length."""
    return capped(public(capped(text, LONGER * longest)), longest)


def public_value(value: Any) -> Any:
    """A plain value with every text in it, names of members too, as `public` has it; one that is a path as a whole may
    hold spaces.
    """
    if isinstance(value, str):
        return public(public_argument(value))
    if isinstance(value, dict):
        return {public(key) if isinstance(key, str) else key: public_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(public_value, value))
    return value


HERE = "/./here"  # in place of the current folder, until all others are cut


def roots() -> list[tuple[str, str]]:
    """Folders whose names may hold spaces, the innermost first, and what stands for them."""
    found = {tempfile.gettempdir(): "/tmp"}
    try:
        found[str(Path.home())] = "~"
        found[os.getcwd()] = HERE
    except (OSError, RuntimeError):  # no home, or a folder that is gone
        pass
    return sorted(((root, to) for root, to in found.items() if root.count("/") > 1 or root == "/root"), reverse=True)


def last(path: str) -> str:
    """The last part of an absolute path; of one with a single part, which tells nothing, all."""
    parts = [part for part in path.removeprefix("file://").split("/") if part not in ("", "~")]
    if len(parts) < 2 and not path.startswith(("~", "file:")):
        return path
    return parts[-1] if parts else "~"


def public_command(arguments: list[str]) -> str:
    """A command line of these arguments, each as `public` has it."""
    return shlex.join([public_argument(one) for one in arguments])


def public_argument(argument: str) -> str:
    """One argument, whose paths may hold spaces and brackets: they end at `=`, `?`, `&`, `:` or `,` alone, and begin
    behind one of these or behind a bracket, as in `kd[/home/ada/extractor.py:embed]`.
    """
    parts = re.split(r"([=?&:,])", argument)

    def cut(part: str, before: list[str]) -> str:
        name, bracket, inside = part.partition("[")
        if bracket and "/" not in name:
            return name + bracket + cut(inside, [])
        if not part.startswith("/"):
            return part
        if re.match("//[^/]", part) and before[-1:] == [":"] and before[-2:-1] != ["file"]:
            return part  # of a web address
        path = "/" + part.lstrip("/")
        with suppress(OSError):
            if path.startswith(f"{os.getcwd()}/"):
                return os.path.relpath(path)
        return last(path)

    return "".join(cut(part, parts[:i]) for i, part in enumerate(parts))
