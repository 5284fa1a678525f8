"""Malformed content, each by a seeded generator: what disks, networks, editors and strangers do to a file.

Plain bytes are cut, flipped, doubled; formats with a frame (JSON, NumPy, ZIP, TAR, PNG, safetensors) are also changed
inside and framed again, checksums right, so that damage reaches the code behind the frame.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import damage

NUMBERS = [-1, 0, 1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
TEXTS = [
    "", " ", "\0", "\ud800", "\udcff", "é\n|", "a" * 5000, "../../secret", "/etc/passwd", "~nobody/x", "C:\\x", "NaN",
    "Infinity", "-inf", "1e999", "10" * 300, "0x10", "1_0", "٣", "None", "True", "[1,", "(" * 500, "{}", "%00", "%s",
    "=", "?", "?=", "?x=1&x=2", "a=b?c=d", "*", "[!", "**/*", "-", "--", "-o", "\x1b[31m", "\r\n", "💥", "nan", "1,2,3",
]  # fmt: skip
NAMES = ["../../x", "/x", "x" * 300, "", ".", "..", "a/b", "a\\b", "\udcff\udcfe", "x\ny", "x=y?z", ".npy", "x.pkl"]
CHUNK = 1 << 20


def draw(rng: random.Random, n: int) -> bytes:
    return rng.randbytes(n)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes that are cut, flipped, filled, doubled, or no longer there."""
    kind = rng.randrange(12)
    n = len(data)
    if kind == 0 or not n:
        return rng.choice(
            [b"", b"\0", b"\xff\xfe", b"null", b"PK\x03\x04", b"\x80\x04.", draw(rng, rng.randrange(200))]
        )
    i = rng.randrange(n) if rng.random() < 0.6 else rng.randrange(min(n, 200))  # headers are worth more
    j = min(n, i + 1 + int(rng.expovariate(0.05)))
    if kind in (1, 2):
        return data[:i]
    if kind in (3, 4):
        found = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 2, 8, 50])):
            found[rng.randrange(n) if rng.random() < 0.5 else rng.randrange(min(n, 200))] ^= 1 << rng.randrange(8)
        return bytes(found)
    if kind == 5:
        return data[:i] + draw(rng, j - i) + data[j:]
    if kind == 6:
        return data[:i] + bytes([rng.choice([0, 255])]) * (j - i) + data[j:]
    if kind == 7:
        return data[:i] + data[j:]
    if kind == 8:
        return data[:j] + data[i:j] * rng.choice([1, 2, 100]) + data[j:]
    if kind == 9:
        number = rng.choice(NUMBERS) % 2**64
        width = rng.choice([1, 2, 4, 8])
        as_bytes = (number % 256**width).to_bytes(width, rng.choice(["little", "big"]))
        return data[:i] + as_bytes + data[i + width :]
    if kind == 10:
        return data + rng.choice([b"\0", data, draw(rng, 50)])
    return data[i:]


def json_text(content: Any, rng: random.Random) -> bytes:
    """A JSON file with one member or several of another type, size or place; or damaged as text."""
    kind = rng.random()
    if kind < 0.7:
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            content = damage.changed(content, rng) if content and isinstance(content, dict | list) else content
        return json.dumps(content).encode()
    if kind < 0.75:
        way, text = rng.choice(list(damage.places(content))), rng.choice(TEXTS)
        return json.dumps(placed(content, way, text)).encode()
    whole = json.dumps(content).encode()
    if kind < 0.8:  # a number that JSON can spell and nothing can hold, or that it cannot spell
        number = rng.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000, b"1e-999", b"0x1"])
        return swapped(whole, b"0123456789", number, rng)
    if kind < 0.83:
        deep = rng.choice([100, 1000, 100_000])
        return rng.choice([b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep, b"[" * deep])
    if kind < 0.86:
        return rng.choice([whole.decode().encode("utf-16"), b"\xff" + whole, b"null", b"[]", b"{}", b'"x"', b"1"])
    return damaged(whole, rng)


def placed(content: Any, way: Sequence[Any], value: Any) -> Any:
    """A copy with another value at a place."""
    content = copy.deepcopy(content)
    holder = content
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = value
    return content


def swapped(data: bytes, digits: bytes, value: bytes, rng: random.Random) -> bytes:
    """One run of digits replaced."""
    places = [i for i, c in enumerate(data) if c in digits and (i == 0 or data[i - 1] not in digits)]
    if not places:
        return value
    i = rng.choice(places)
    j = i
    while j < len(data) and data[j] in digits:
        j += 1
    return data[:i] + value + data[j:]


def text(data: str, rng: random.Random) -> str:
    """Text, an argument or a variable, with parts replaced."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(TEXTS)
    i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    if kind == 1:
        return data[:i] + rng.choice(TEXTS) + data[i:]
    if kind == 2:
        return data[:i] + rng.choice(TEXTS) + data[j:]
    if kind == 3:
        return data[:i] + data[j:]
    if kind == 4:
        return data[:j] + data[i:]
    if kind == 5:
        return data[:i] + rng.choice("=?&:,/.[](){}<>'\"\\%+-_*~#@! \t\n0129azé٣\0") + data[i:]
    if kind == 6:
        return swapped(
            data.encode("utf-8", "surrogatepass"), b"0123456789", str(rng.choice(NUMBERS)).encode(), rng
        ).decode("utf-8", "replace")
    return "".join(rng.choice([c, c, c, c, c.swapcase(), ""]) for c in data)


# --- NumPy


def header(descr: str, shape: str, order: str = "False", version: tuple[int, int] = (1, 0), pad: int = 64) -> bytes:
    """The header of an `.npy`, which says what it likes."""
    said = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    body = said.encode("latin1", "replace") + b" " * (-(len(said) + 11) % pad) + b"\n"
    width = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, len(body) % 256 ** struct.calcsize(width)) + body


DTYPES = [
    "'|O'", "'<f8'", "'<f4'", "'>f8'", "'<f2'", "'<f16'", "'<i8'", "'|u1'", "'|b1'", "'<c16'", "'<U1'", "'|S0'",
    "'<U0'", "'|V0'", "'|V9'", "'<M8[s]'", "'<m8'", "[('a', '<f8'), ('b', '|O')]", "[('a', '<i4', (2, 2))]", "'x'",
     "None", "('<f8', (3,))", "'<U999999999'", "[]", "[('', '|u1')]", "'|i1'", "'<u2'", "'<u8'", "__import__('os')",
]  # fmt: skip
SHAPES = [
    "()", "(0,)", "(-1,)", "(1,)", "(3, -3)", "(0, 9)", "(4294967296, 4294967296)", "(99999999999999999999,)", "(1.5,)",
    "('a',)", "None", "[2, 2]", "(1,) * 5", "(True,)", "(2, 2", "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)",
    "(1" + ", 1" * 70 + ")", "(2, 1000000)", "(20, 1, 5, 4)", "(20, 5, 4)", "(1000000000,)",
]  # fmt: skip


def npy(data: bytes, rng: random.Random) -> bytes:
    """An `.npy` whose header lies, or that is damaged as bytes."""
    if rng.random() < 0.5:
        return damaged(data, rng)
    start = 10 + struct.unpack("<H", data[8:10])[0]
    said = data[10:start].decode("latin1")
    descr, shape = said.split("'descr': ")[1].split(", 'fortran")[0], said.split("'shape': ")[1].rsplit(", }")[0]
    if rng.random() < 0.6:
        descr = rng.choice(DTYPES)
    if rng.random() < 0.6:
        shape = rng.choice(SHAPES)
    order = rng.choice(["False", "False", "False", "True", "None", "2"])
    body = data[start:]
    if rng.random() < 0.3:  # its bytes are as many as it says
        body = draw(rng, rng.choice([0, 1, 8, 72, 400, 1600, 3200]))
    return header(descr, shape, order, rng.choice([(1, 0)] * 6 + [(2, 0), (3, 0), (0, 0), (9, 9)])) + body


# --- Archives


def zipped(members: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode() or "x"), data, packing)
    return out.getvalue()


def npz(arrays: dict[str, bytes], rng: random.Random, bombs: bool = True) -> bytes:
    """An `.npz` of arrays as `.npy` bytes: one of them changed, renamed, removed, doubled, or all damaged."""
    members = [(f"{name}.npy", data) for name, data in arrays.items()]
    packing = rng.choice([zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    kind = rng.random()
    i = rng.randrange(len(members))
    if kind < 0.5:
        members[i] = (members[i][0], npy(members[i][1], rng))
    elif kind < 0.58:
        members[i] = (rng.choice(NAMES) + rng.choice(["", ".npy"]), members[i][1])
    elif kind < 0.62:
        members.append((members[i][0], npy(members[i][1], rng)))
    elif kind < 0.66:
        del members[i]
    elif kind < 0.72:
        members.append((rng.choice(["data.pkl", "code/x.py", "readme.txt", "levels.npy", "card.npy"]), b"x"))
    elif kind < 0.75:
        other = members[rng.randrange(len(members))]
        members[i] = (members[i][0], other[1])
    elif kind < 0.76 and bombs:
        return bomb(members, i)
    else:
        return damaged(zipped(members, packing), rng)
    return zipped(members, packing)


LARGE = 1200  # megabytes that a bomb unpacks to


@functools.cache
def zeros() -> tuple[bytes, int]:
    """So many megabytes of zeros behind a header of an `.npy` that says so, deflated, and their CRC."""
    stream, head = zlib.compressobj(9, zlib.DEFLATED, -15), header("'|u1'", f"({LARGE * CHUNK},)")
    first = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(bytes(CHUNK)) + stream.flush(zlib.Z_FULL_FLUSH)
    check = zlib.crc32(head)
    for _ in range(LARGE):
        check = zlib.crc32(bytes(CHUNK), check)
    return first + block * LARGE + stream.flush(zlib.Z_FINISH), check


def bomb(members: list[tuple[str, bytes]], which: int) -> bytes:
    """An archive in which one member unpacks to more than a gigabyte, as honestly as its header says."""
    (body, check), packing = zeros(), zipfile.ZIP_DEFLATED
    size = len(header("'|u1'", f"({LARGE * CHUNK},)")) + LARGE * CHUNK
    name = members[which][0].encode()
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, packing, 0, 33, check, len(body), size, len(name), 0) + name
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, packing, 0, 33, check, len(body), size, len(name), 0, 0, 0, 0, 0, 0
    ) + name  # fmt: skip
    rest = zipped([one for i, one in enumerate(members) if i != which])
    end = rest.rindex(b"PK\5\6")
    count, directory, start = struct.unpack("<10xH2I", rest[end : end + 20])
    files = rest[:start]
    entries = rest[start : start + directory] + central[:42] + struct.pack("<I", start) + name
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count + 1, count + 1, len(entries), start + len(local + body), 0)
    return files + local + body + entries + tail


def tarred(members: list[tuple[str, bytes]], rng: random.Random | None = None) -> bytes:
    """A .tar; with a generator one of its members lies about its size, its kind or its name."""
    out = io.BytesIO()
    odd = rng.randrange(len(members)) if rng and members else -1
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT if odd % 2 else tarfile.PAX_FORMAT) as archive:
        for i, (name, data) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if rng and i == odd:
                kind = rng.randrange(4)
                if kind == 0:
                    info.size = rng.choice([0, len(data) + 1, len(data) + 5000, 2**33])
                elif kind == 1:
                    info.type = rng.choice(
                        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"S", b"x", b"L"]
                    )
                    info.linkname = rng.choice(["/etc/passwd", "../x", name])
                elif kind == 2:
                    info.name = rng.choice(NAMES) + rng.choice(["", ".png", ".cls", ".json"])
                else:
                    value = rng.choice(TEXTS).encode("utf-8", "replace").decode()
                    info.pax_headers = {rng.choice(["size", "path", "GNU.sparse.major", "mtime"]): value}
                archive.fileobj.write(info.tobuf(archive.format, "utf-8", "surrogateescape"))  # type: ignore[union-attr]
                archive.fileobj.write(data + bytes(-len(data) % 512))  # type: ignore[union-attr]
                archive.offset += 512 + len(data) + (-len(data) % 512)
            else:
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


# --- Pictures, weights


def png(data: bytes, rng: random.Random) -> bytes:
    """A PNG with one chunk changed, doubled, moved or made up, checksums right."""
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    i = rng.randrange(len(chunks))
    kind, body = chunks[i]
    what = rng.randrange(6)
    if what < 3:
        if kind == b"IHDR" and rng.random() < 0.7:
            width, height, *rest = struct.unpack(">2I5B", body)
            numbers = [0, 1, 5, 10_000, 60_000, 2**31 - 1, 2**32 - 1]
            width, height = (rng.choice([now, rng.choice(numbers)]) for now in (width, height))
            rest = [rng.choice([now, now, rng.randrange(20)]) for now in rest]
            body = struct.pack(">2I5B", width, height, *rest)
        elif kind == b"IDAT" and rng.random() < 0.3:
            body = zlib.compress(bytes(rng.choice([0, 1, 10**6, 10**8])), 1)
        else:
            body = damaged(body, rng)
        chunks[i] = (kind, body)
    elif what == 3:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[i])
    elif what == 4:
        name = rng.choice(
            [b"zTXt", b"iTXt", b"tEXt", b"iCCP", b"eXIf", b"tRNS", b"PLTE", b"acTL", b"fcTL", b"pHYs", b"XXXX"]
        )
        body = rng.choice(
            [b"", draw(rng, 20), b"x\0\0" + zlib.compress(bytes(10**7), 1), b"Exif\0\0II*\0" + draw(rng, 40)]
        )
        chunks.insert(rng.randrange(1, len(chunks) + 1), (name, body))
    else:
        del chunks[i]
    framed = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return data[:8] + b"".join(framed)


def safetensors(data: bytes, rng: random.Random, card: Callable[[str, random.Random], str]) -> bytes:
    """Weights with another header, framed again; `card` changes the text of a card in it."""
    size = struct.unpack("<Q", data[:8])[0]
    head, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    kind = rng.random()
    if kind < 0.35:
        text = json_text(head, rng)
    elif kind < 0.75 and "genbench" in head.get("__metadata__", {}):
        head["__metadata__"]["genbench"] = card(head["__metadata__"]["genbench"], rng)
        text = json.dumps(head).encode()
    elif kind < 0.8:
        length = rng.choice([0, 1, size - 1, size + 1, 2**24, 2**32, 2**63, 2**64 - 1])
        return struct.pack("<Q", length) + data[8:]
    else:
        return damaged(data, rng)
    return struct.pack("<Q", len(text)) + text + body
