"""Damaged content, seeded: what disks, hands and strangers do to a file."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

NASTY = [
    None, True, 0, -1, 1.5, 10**8, 10**400, -(10**30), "", "1.0", "\0", "\ud800", "../../secret", "a" * 5000, "é\n|",
    [], [[]], {}, {"x": {}}, [None], [1, 2, 3], ["a"], {"a": 1}, "NaN", [0] * 100,
]  # fmt: skip


def places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    """The way to every member of nested tables and lists."""
    members = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in members:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(content: Any, rng: random.Random) -> Any:
    """A copy with one member replaced, removed, renamed, doubled or wrapped."""
    content = copy.deepcopy(content)
    *way, last = rng.choice(list(places(content)))
    holder = content
    for key in way:
        holder = holder[key]
    kind = rng.choice(["replace"] * 6 + ["remove", "rename", "wrap", "swap"])
    if kind == "replace":
        holder[last] = copy.deepcopy(rng.choice(NASTY))
    elif kind == "wrap":
        holder[last] = [holder[last]] if rng.random() < 0.5 else {"x": holder[last]}
    elif kind == "swap":
        other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[last], holder[other] = holder[other], holder[last]
    elif isinstance(holder, dict):
        value = holder.pop(last)
        if kind == "rename":
            holder[f"{last}_"] = value
    else:
        del holder[last]
    return content


def texts(content: Any, n: int, seed: int = 0) -> Iterator[bytes]:
    """n damaged forms of a JSON file."""
    rng = random.Random(seed)
    whole = json.dumps(content).encode()
    for _ in range(n):
        kind = rng.random()
        if kind < 0.75:
            damaged = changed(content, rng)
            yield json.dumps(changed(damaged, rng) if kind < 0.1 and damaged else damaged).encode()
        elif kind < 0.85:
            yield whole[: rng.randrange(len(whole))]
        elif kind < 0.95:
            i = rng.randrange(len(whole))
            yield whole[:i] + bytes([rng.randrange(256)]) + whole[i + 1 :]
        else:
            encodings = [whole.decode().encode("utf-16"), b"\xff" + whole, b"[" * 10**5, b"", b"null", b"NaN", b"[1]"]
            yield rng.choice(encodings)
