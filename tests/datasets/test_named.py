"""Datasets by name, each from a small fixture in its official layout: every value, every split, every refusal."""

import gzip
import hashlib
import io
import itertools
import struct
import tarfile
import zipfile
from types import MappingProxyType

import numpy as np
import pytest

from genbench import catalog, datasets
from genbench.datasets import (
    _archives,
    _download,
    _wikipedia,
    cifar10,
    cifar100,
    enwik8,
    fashion_mnist,
    mnist,
    stl10,
    text8,
)
from genbench.datasets._download import Remote, fetch, gunzipped, located
from genbench.errors import GenbenchError

RNG = np.random.default_rng(0)
X = RNG.integers(256, size=(12, 3, 32, 32), dtype=np.uint8)
Y = np.arange(12) % 10


def packed(members: dict[str, bytes], dot: str = "") -> bytes:
    """A .tar.gz."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(dot + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def put(path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


# ---- CIFAR


def batch(x, *labels) -> bytes:
    """Records: the label bytes of an image, then its red, green and blue planes, row by row."""
    rows = []
    for image, *y in zip(x, *labels, strict=True):
        pixels = (image[c, i, j] for c, i, j in itertools.product(range(3), range(32), range(32)))
        rows.append(bytes([*y, *pixels]))
    return b"".join(rows)


@pytest.fixture
def cifar10_archive(monkeypatch):
    """Two images in each of the six files."""
    members = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    for i in range(5):
        members[f"cifar-10-batches-bin/data_batch_{i + 1}.bin"] = batch(X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2])
    members["cifar-10-batches-bin/test_batch.bin"] = batch(X[10:], Y[10:])
    data = packed(members)
    for name, value in (("MD5", md5(data)), ("DOWNLOAD", len(data)), ("EACH", 2), ("VALIDATION", 3)):
        monkeypatch.setattr(cifar10, name, value)
    return data


def test_cifar10_from_its_archive(alone, tmp_path, cifar10_archive):
    put(tmp_path / "cifar10/cifar-10-binary.tar.gz", cifar10_archive)
    data = datasets.load("cifar10", tmp_path)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [7, 3, 2]
    np.testing.assert_array_equal(np.concatenate([data.split(s) for s in datasets.SPLITS]), X)
    np.testing.assert_array_equal(np.concatenate([data.labels[s] for s in datasets.SPLITS]), Y)
    assert data.facts()["classes"].startswith("10: airplane, automobile, bird")


def test_cifar10_is_downloaded_once_and_checked_before_it_is_unpacked(alone, server, cifar10_archive, monkeypatch):
    server.served = {"/cifar": cifar10_archive}

    def archive():
        remote = Remote("cifar10/a.tar.gz", (f"{server.url}/cifar",), "md5", cifar10.MD5, cifar10.DOWNLOAD)
        return _archives.Archive(remote, cifar10_archive_members, {})

    cifar10_archive_members = cifar10.archive().members
    monkeypatch.setattr(cifar10, "archive", archive)
    assert datasets.load("cifar10").sha256 == datasets.load("cifar10").sha256
    assert server.asked == ["/cifar"]
    monkeypatch.setattr(_archives, "from_tar", lambda *given: pytest.fail("unpacked before it was checked"))
    (alone / "cifar10/a.tar.gz").unlink()
    server.served["/cifar"] = cifar10_archive[:-9] + b"12345678" + cifar10_archive[-1:]
    with pytest.raises(GenbenchError, match="its md5 is"):
        datasets.load("cifar10")


def test_cifar100_has_the_fine_labels(alone, tmp_path, monkeypatch):
    names = "".join(f"class-{i:02d}\n" for i in range(100)).encode()
    fine, coarse = 99 - np.arange(12), np.arange(12)
    members = {
        cifar100.NAMES: names,
        cifar100.TEST: batch(X[8:], coarse[8:], fine[8:]),
        cifar100.TRAIN: batch(X[:8], coarse[:8], fine[:8]),
    }
    data = packed(members, "./")
    monkeypatch.setattr(cifar100, "SIZES", {n: len(d) for n, d in members.items() if n != cifar100.NAMES})
    for name, value in (("MD5", md5(data)), ("DOWNLOAD", len(data)), ("VALIDATION", 3)):
        monkeypatch.setattr(cifar100, name, value)
    put(tmp_path / "cifar100/cifar-100-binary.tar.gz", data)
    found = datasets.load("cifar100", tmp_path)
    np.testing.assert_array_equal(np.concatenate([found.split(s) for s in datasets.SPLITS]), X)
    np.testing.assert_array_equal(np.concatenate([found.labels[s] for s in datasets.SPLITS]), fine)
    assert found.classes[99] == "class-99"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: {**m, "cifar-10-batches-bin/test_batch.bin": batch(X[10:], [10, 3])}, "label 10, of 10 classes"),
        (lambda m: {**m, "cifar-10-batches-bin/test_batch.bin": bytes(3073)}, "has 3,073 bytes, not 6,146"),
        (lambda m: {n: d for n, d in m.items() if "test" not in n}, "it has no cifar-10-batches-bin/test_batch.bin"),
    ],
    ids=["label", "size", "absent"],
)
def test_an_archive_that_is_not_what_it_should_be_is_refused(
    change, problem, alone, tmp_path, cifar10_archive, monkeypatch
):
    with tarfile.open(fileobj=io.BytesIO(cifar10_archive)) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    data = packed(change(members))
    monkeypatch.setattr(cifar10, "MD5", md5(data))
    monkeypatch.setattr(cifar10, "DOWNLOAD", len(data))
    put(tmp_path / "cifar10/cifar-10-binary.tar.gz", data)
    with pytest.raises(GenbenchError, match=problem):
        datasets.load("cifar10", tmp_path)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_an_archive_that_is_damaged_is_refused_whatever_its_reader_raises(name, alone, tmp_path):
    """Cut anywhere in its first bytes, which tarfile answers with a TypeError, and with each bit of its flags set."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", b"abc")
    whole = packed({"x": b"abc"}) if name == "a.tar.gz" else out.getvalue()
    damaged = [whole[:i] for i in range(12)]
    if name == "a.zip":
        local, central = (whole.index(mark) + at for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)))
        for bit in (0, 5, 6):  # encrypted, patched, encrypted in another way
            changed = bytearray(whole)
            changed[local] = changed[central] = 1 << bit
            damaged.append(bytes(changed))
    for data in damaged:
        put(tmp_path / name, data)
        archive = _archives.Archive(Remote(name, (), "md5", md5(data), len(data)), {"x": 3}, {})
        with pytest.raises(GenbenchError, match="cannot be read"):
            archive.read(tmp_path)


def test_a_link_in_an_archive_leads_nowhere(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("a.bin")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(info)
    path = put(tmp_path / "d/a.tar.gz", out.getvalue())
    with pytest.raises(_download.CorruptError, match=r"it has no a\.bin"):
        _archives.from_tar(path, {"a.bin": 6})


# ---- Fashion-MNIST, STL-10


def idx(x) -> bytes:
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, 8, x.ndim, *x.shape) + x.tobytes()


def test_fashion_mnist_is_checked_before_it_is_unpacked(alone, tmp_path, monkeypatch):
    files = {}
    for part, n in (("train", 12), ("t10k", 4)):
        files[f"{part}-images-idx3-ubyte"] = idx(RNG.integers(256, size=(n, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(n, dtype=np.uint8) % 10)
    raw = {name: gzip.compress(data) for name, data in files.items()}
    known = {name: (md5(raw[name]), len(raw[name]), len(files[name])) for name in files}
    monkeypatch.setattr(fashion_mnist, "FILES", known)
    monkeypatch.setattr(mnist, "VALIDATION", 5)
    for name, data in raw.items():
        put(tmp_path / "fashion-mnist" / f"{name}.gz", data)
    data = datasets.load("fashion-mnist", tmp_path)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [7, 5, 4]
    whole = np.concatenate([data.train, data.validation])[:, 0]
    assert whole.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert data.labels["validation"].tolist() == [7, 8, 9, 0, 1]
    name = "train-images-idx3-ubyte"
    put(tmp_path / "fashion-mnist" / f"{name}.gz", gzip.compress(files[name], 1))  # the same content, packed otherwise
    with pytest.raises(GenbenchError, match="its md5 is"):
        datasets.load("fashion-mnist", tmp_path)


@pytest.fixture
def stl10_files(monkeypatch):
    """Four training and two test images: columns of each channel, and labels from 1."""
    x = RNG.integers(256, size=(6, 3, 96, 96), dtype=np.uint8)
    y = np.array([1, 10, 3, 4, 5, 10], np.uint8)
    columns = np.ascontiguousarray(x.transpose(0, 1, 3, 2))
    parts = [columns[:4].tobytes(), y[:4].tobytes(), columns[4:].tobytes(), y[4:].tobytes()]
    files = dict(zip(stl10.FILES, parts, strict=True))
    monkeypatch.setattr(stl10, "FILES", {name: (len(data), md5(data)) for name, data in files.items()})
    monkeypatch.setattr(stl10, "VALIDATION", 1)
    return x, y, files


@pytest.mark.parametrize("way", ["archive", "unpacked"])
def test_stl10_from_its_archive_or_its_files(way, alone, tmp_path, stl10_files, monkeypatch):
    x, y, files = stl10_files
    if way == "archive":
        data = packed(files | {"stl10_binary/unlabeled_X.bin": bytes(100)})
        monkeypatch.setattr(stl10, "MD5", md5(data))
        monkeypatch.setattr(stl10, "DOWNLOAD", len(data))
        put(tmp_path / "stl10/stl10_binary.tar.gz", data)
    else:
        for name, data in files.items():
            put(tmp_path / "stl10" / name, data)
    found = datasets.load("stl10", tmp_path)
    np.testing.assert_array_equal(np.concatenate([found.split(s) for s in datasets.SPLITS]), x)
    np.testing.assert_array_equal(np.concatenate([found.labels[s] for s in datasets.SPLITS]), y.astype(int) - 1)
    if way == "unpacked":
        path = tmp_path / "stl10/stl10_binary/test_y.bin"
        path.write_bytes(bytes([2, 2]))
        with pytest.raises(GenbenchError, match="is corrupt") as caught:
            datasets.load("stl10", tmp_path)
        assert str(path) in caught.value.problem


# ---- text


@pytest.mark.parametrize("module", [text8, enwik8])
@pytest.mark.parametrize("way", ["zip", "unpacked", "other"])
def test_text_of_wikipedia(module, way, alone, tmp_path, monkeypatch):
    name = module.__name__.rpartition(".")[2]
    symbols = list(module.VOCABULARY.encode()) if module is text8 else list(range(256))
    T = module.T
    data = RNG.choice(symbols, 11 * T + 5).astype(np.uint8).tobytes()
    archive = zipped({name: data})
    monkeypatch.setattr(_wikipedia, "SIZE", len(data))
    monkeypatch.setattr(module, "ENDS", (8 * T + 3, 9 * T + 3))
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(module, "ZIP_SHA256", hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(module, "DOWNLOAD", len(archive))
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    if way == "other":
        put(tmp_path / name / name, data[:-1] + b"a")
        with pytest.raises(GenbenchError, match="is corrupt" if data[-1:] != b"a" else ""):
            datasets.load(name, tmp_path)
        return
    put(tmp_path / name / (f"{name}.zip" if way == "zip" else name), archive if way == "zip" else data)
    found = datasets.load(name, tmp_path)
    assert (found.space.shape, found.space.levels) == ((T,), len(symbols))
    assert [len(found.split(s)) for s in datasets.SPLITS] == [8, 1, 2]
    assert (found.value, found.sequence, len(found.vocabulary)) == ("char", True, len(symbols))
    starts = {"train": 0, "validation": 8 * T + 3, "test": 9 * T + 3}
    for split, start in starts.items():
        x = found.split(split)
        read = bytes(symbols[code] for code in x.flatten())
        assert read == data[start : start + x.size]
    crops = found.batch(np.arange(20), np.random.default_rng(1))
    assert all(bytes(symbols[c] for c in crop) in data[: 8 * T + 3] for crop in crops)


def test_the_official_splits_of_wikipedia_are_ninety_five_and_five_million():
    assert (_wikipedia.SIZE, *_wikipedia.ENDS) == (10**8, 9 * 10**7, 95 * 10**6)


def test_text8_with_another_symbol_is_refused():
    with pytest.raises(GenbenchError, match="neither a letter"):
        text8.from_bytes(b"abc D")


# ---- downloads: their size and their time


def test_a_download_that_is_larger_than_promised_breaks_off(alone, server):
    server.served = {"/long": bytes(5000)}
    remote = Remote("a.bin", (f"{server.url}/long",), "md5", md5(bytes(10)), 10)
    with pytest.raises(GenbenchError, match="5,000 bytes, more than 10"):
        fetch(remote)
    assert not list(alone.rglob("*.*"))


def test_a_body_of_unknown_length_breaks_off_too():
    class Endless:
        headers = MappingProxyType({})

        def read1(self, n):
            return b"\0" * 100

    out = io.BytesIO()
    with pytest.raises(_download.CorruptError, match="more than 1,000 bytes"):
        _download.received(Endless(), out, "md5", 1000, "x")
    assert len(out.getvalue()) <= 1000


def test_a_body_that_drips_breaks_off(monkeypatch):
    clock = itertools.count(step=20.0)
    monkeypatch.setattr(_download.time, "monotonic", lambda: next(clock))

    class Dripping:
        headers = MappingProxyType({})

        def read1(self, n):
            return b"\0"

    with pytest.raises(_download.CorruptError, match="bytes came in 80 s"):
        _download.received(Dripping(), io.BytesIO(), "md5", 10**9, "x")


def test_a_gzip_bomb_is_never_unpacked():
    bomb = gzip.compress(bytes(10**7))
    assert gunzipped(gzip.compress(b"abc") + gzip.compress(b"de"), 5) == b"abcde"  # several streams are one content
    with pytest.raises(_download.CorruptError, match="more than 1,000 bytes"):
        gunzipped(bomb, 1000)
    remote = Remote("a.gz", (), "md5", md5(b""), 1000)
    with pytest.raises(_download.CorruptError, match="more than 1,000 bytes"):
        remote.content(bomb)


def test_a_large_file_is_verified_where_it_lies(alone, tmp_path):
    data = RNG.bytes(3 << 20)
    remote = Remote("a/b.tar.gz", (), "md5", md5(data), len(data))
    path = put(tmp_path / "a/b.tar.gz", data)
    assert located(remote, tmp_path) == path
    path.write_bytes(data + b"\0")
    with pytest.raises(GenbenchError, match="is corrupt"):
        located(remote, tmp_path)


# ---- what is said of them


NAMED = ("cifar10", "cifar100", "fashion-mnist", "stl10", "text8", "enwik8")


@pytest.mark.parametrize("name", NAMED)
def test_describe_says_what_is_downloaded_and_downloads_nothing(name, alone, cli, monkeypatch):
    monkeypatch.setattr(_download, "download", lambda *given: pytest.fail("downloaded"))
    code, out, _ = cli("describe", name)
    assert code == 0
    constants = catalog.find("datasets", name).constants
    for said in (constants["LICENCE"], constants["SOURCE"], f"downloads {constants['DOWNLOAD'] / 1e6:,.1f} MB"):
        assert said in out


def test_list_says_licence_and_download_of_every_dataset(cli):
    code, out, _ = cli("list", "datasets")
    assert code == 0
    for name in catalog.names("datasets"):
        constants = catalog.find("datasets", name).constants
        line = next(line for line in out.splitlines() if line.split()[0] == name)
        size = constants["DOWNLOAD"]
        assert (f"{size / 1e6:,.1f} MB" if size else "nothing") in line
        assert constants["LICENCE"].split(";")[0].split(":")[0] in line


# ---- downloads that were interrupted


LONG = np.random.default_rng(7).bytes(300_000)


@pytest.fixture
def ranges(server):
    """The server, which now knows ranges; `cut` bytes after which each answer breaks off, `given` what it gave."""

    class Handler(server.RequestHandlerClass):
        def do_GET(self):  # noqa: N802
            said = self.headers.get("Range")
            server.asked.append((self.path, said))
            body = server.served[self.path]
            start = int(said.removeprefix("bytes=").rstrip("-")) if said and server.knows_ranges else 0
            if start and start >= len(body):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start + server.lie}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            part = body[start : start + server.cut]
            server.given.append(len(part))
            self.wfile.write(part)

    server.RequestHandlerClass = Handler
    server.knows_ranges, server.cut, server.lie, server.given = True, 10**9, 0, []
    server.served = {"/long": LONG}
    return server


def remote_of(server, data=LONG):
    return Remote("a/b.bin", (f"{server.url}/long",), "sha256", hashlib.sha256(data).hexdigest(), len(data))


def parts(alone):
    return list(alone.rglob(".genbench-*"))


def test_an_interrupted_download_goes_on_where_it_was(alone, ranges):
    ranges.cut = 100_000
    for _ in range(2):
        with pytest.raises(GenbenchError, match="could not be downloaded"):
            fetch(remote_of(ranges))
    (part,) = parts(alone)
    assert LONG.startswith(part.read_bytes())
    assert part.stat().st_size == 200_000
    assert fetch(remote_of(ranges)) == LONG
    assert [said for _, said in ranges.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert sum(ranges.given) == len(LONG)
    assert not parts(alone)


def test_a_server_without_ranges_gives_all_of_it_again(alone, ranges):
    ranges.cut = 100_000
    with pytest.raises(GenbenchError):
        fetch(remote_of(ranges))
    ranges.cut, ranges.knows_ranges = 10**9, False
    assert fetch(remote_of(ranges)) == LONG
    assert not parts(alone)


@pytest.mark.parametrize("left", [b"something else" * 100, LONG + b"more", LONG])
def test_what_an_earlier_download_left_of_something_else_is_fetched_anew(alone, ranges, left):
    (alone / "a").mkdir(parents=True)
    (alone / "a/.genbench-b.bin.part").write_bytes(left)
    assert fetch(remote_of(ranges)) == LONG
    assert ranges.given[-1] == len(LONG)
    assert not parts(alone)


def test_a_range_that_was_not_asked_for_is_refused(alone, ranges):
    ranges.cut = 100_000
    with pytest.raises(GenbenchError):
        fetch(remote_of(ranges))
    ranges.lie, ranges.cut = 1, 10**9
    assert fetch(remote_of(ranges)) == LONG  # from its beginning
    assert [said for _, said in ranges.asked] == [None, "bytes=100000-", None]


def test_two_downloads_of_one_file_do_not_meet(alone, ranges):
    from genbench.locks import locked

    (alone / "a").mkdir(parents=True)
    with open(alone / "a/.genbench-b.bin.part", "wb") as theirs:
        theirs.write(LONG[:1000])
        theirs.flush()
        assert locked(theirs.fileno())
        assert fetch(remote_of(ranges)) == LONG
    assert [said for _, said in ranges.asked] == [None]
    assert (alone / "a/.genbench-b.bin.part").read_bytes() == LONG[:1000]  # it is somebody else's


def test_another_content_is_refused_after_one_more_attempt_and_leaves_nothing(alone, ranges):
    ranges.served["/long"] = LONG[:-1] + b"x"
    with pytest.raises(GenbenchError, match="its sha256 is"):
        fetch(remote_of(ranges))
    assert len(ranges.asked) == 1
    assert not parts(alone)
