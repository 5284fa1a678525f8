"""Data of people's own: folders of classes and splits, parquet, shards, and a size that is asked for."""

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import textwrap

import numpy as np
import pytest
from PIL import Image

from genbench import datasets
from genbench.datasets._files import count_samples, load_labelled, load_path, load_samples
from genbench.datasets._images import Rule, read_image
from genbench.errors import GenbenchError
from genbench.models.adapters import parse
from genbench.space import Space

RNG = np.random.default_rng(0)
X = RNG.integers(256, size=(30, 3, 6, 6), dtype=np.uint8)
SPACE = Space((3, 6, 6), 256)


def png(image: np.ndarray, **options) -> bytes:
    """The content of a PNG of one image `[C, H, W]`."""
    out = io.BytesIO()
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(np.moveaxis(image, 0, -1))
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def put(path, image: np.ndarray):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(image))


def as_pairs(data, splits=datasets.SPLITS):
    """Every image with its class, in any order."""
    return sorted((x.tobytes(), int(y)) for s in splits for x, y in zip(data.split(s), data.labels[s], strict=True))


def refused(call, problem, remedy=""):
    with pytest.raises(GenbenchError, match=problem) as caught:
        call()
    assert remedy in caught.value.remedy
    return caught.value


# ---- classes


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path, capsys):
    for i, image in enumerate(X):
        put(tmp_path / ["cat", "dog", "a fish"][i % 3] / "deeper" / f"{i}.png", image)
    data = load_path(tmp_path)
    assert data.classes == ("a fish", "cat", "dog")
    assert as_pairs(data) == sorted((x.tobytes(), [1, 2, 0][i % 3]) for i, x in enumerate(X))
    assert "its 3 classes are a fish, cat, dog" in capsys.readouterr().err
    assert data.facts()["classes"].startswith("3: a fish, cat, dog")


def test_classes_that_are_numbers_keep_them(tmp_path):
    """Sorted as text, 10 would come before 2."""
    for i, image in enumerate(X):
        put(tmp_path / str(i % 11) / f"{i}.png", image)
    assert as_pairs(load_path(tmp_path)) == sorted((x.tobytes(), i % 11) for i, x in enumerate(X))


@pytest.mark.parametrize("names", [["a", ""], ["a", "a"]], ids=["an image outside", "one folder"])
def test_subfolders_that_do_not_sort_all_images_are_no_classes(names, tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / names[i % 2] / f"{i}.png", image)
    data = load_path(tmp_path)
    assert data.labels is None
    assert sum(len(data.split(s)) for s in datasets.SPLITS) == 30
    refused(lambda: datasets.load(f"{tmp_path}?layout=classes"), "not every image lies in a subfolder")


def test_flat_reads_no_classes(tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / f"part-{i % 2}" / f"{i}.png", image)
    assert datasets.load(f"{tmp_path}?layout=flat").labels is None
    assert datasets.load(str(tmp_path)).labels is not None


@pytest.mark.parametrize(
    ("folders", "labels"),
    [(("dog", "cat"), [1, 0]), (("dog", "fish"), [1, 2]), (("2", "0"), [2, 0]), (("dog", "wolf"), None)],
)
def test_samples_have_the_classes_of_the_dataset_by_name_or_number(folders, labels, tmp_path, recwarn):
    for i, image in enumerate(X):
        put(tmp_path / "data" / ["cat", "dog", "fish"][i % 3] / f"{i}.png", image)
        put(tmp_path / "samples" / folders[i % 2] / f"{i:02d}.png", image)
    data = load_path(tmp_path / "data")
    source = parse(f"samples:{tmp_path / 'samples'}", data)
    model = source.open(data, "cpu")
    if labels is None:
        assert model.labels is None
        assert any("are no classes of 'data'" in str(w.message) for w in recwarn)
        return
    by_content = {x.tobytes(): labels[i % 2] for i, x in enumerate(X)}
    assert [by_content[x.tobytes()] for x in model.fixed] == model.labels.tolist()


# ---- splits


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train", "validation", "test"), (10, 10, 10)),
        (("train", "valid", "test"), (10, 10, 10)),
        (("Train", "val", "TEST"), (10, 10, 10)),
        (("train", "train", "test"), (18, 2, 10)),  # a tenth of train is held out
    ],
)
def test_subfolders_are_splits(names, sizes, tmp_path, capsys):
    for i, image in enumerate(X):
        put(tmp_path / names[i // 10] / ["cat", "dog"][i % 2] / f"{i}.png", image)
    data = load_path(tmp_path)
    assert tuple(len(data.split(s)) for s in datasets.SPLITS) == sizes
    np.testing.assert_array_equal(np.sort(data.test.reshape(10, -1), axis=0), np.sort(X[20:].reshape(10, -1), axis=0))
    assert as_pairs(data) == sorted((x.tobytes(), i % 2) for i, x in enumerate(X))
    if names[1] in ("valid", "val"):
        assert f"{names[1]} is read as validation" in capsys.readouterr().err


def test_splits_need_no_classes(tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / datasets.SPLITS[i // 10] / f"{i:02d}.png", image)
    data = load_path(tmp_path)
    assert data.labels is None
    for i, split in enumerate(datasets.SPLITS):
        np.testing.assert_array_equal(data.split(split), X[10 * i : 10 * i + 10])


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("train/a", "val/a", "valid/a", "test/a"), "val and valid, both validation"),
        (("train", "plane"), "not clear whether they are splits or classes"),
        (("training", "testing"), "training, testing, which are no names of splits|testing, training, which are no"),
        (("Dev", "plane"), "has Dev, which are no names of splits"),
        (("train", "validation"), "has no test"),
        (("train/cat", "train/dog", "test/cat", "test/wolf"), "no training image is of the class wolf"),
        (("train/cat", "train/dog", "test"), "the images of train lie in folders of classes, those of test do not"),
    ],
)
def test_splits_that_are_not_clear_are_refused(names, problem, tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / names[i % len(names)] / f"{i}.png", image)
    refused(lambda: load_path(tmp_path), problem)


def test_a_class_may_be_called_train(tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / ["train", "plane"][i % 2] / f"{i}.png", image)
    assert datasets.load(f"{tmp_path}?layout=classes").classes == ("plane", "train")


def test_samples_in_splits_are_not_clear(tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / ["train", "test"][i % 2] / f"{i:02d}.png", image)
    refused(lambda: load_samples(tmp_path, SPACE), "holds the splits test, train|holds the splits train, test")
    assert len(load_samples(tmp_path / "train", SPACE)) == 15
    assert count_samples(tmp_path / "train") == 15


# ---- a size that is asked for


WIDE = RNG.integers(256, size=(3, 20, 31), dtype=np.uint8)


def photo(width: int, height: int, grey: bool = False) -> np.ndarray:
    return RNG.integers(256, size=(1 if grey else 3, height, width), dtype=np.uint8)


@pytest.mark.parametrize("name", ["bicubic", "bilinear", "lanczos", "box", "hamming", "nearest"])
@pytest.mark.parametrize("size", [8, 20, 45])
def test_the_centre_is_cut_out_and_resized_as_pil_does(name, size):
    """31 columns by 20 rows: columns 5 to 24 are the middle."""
    square = np.moveaxis(WIDE[:, :, 5:25], 0, -1)
    theirs = Image.fromarray(np.ascontiguousarray(square)).resize((size, size), getattr(Image.Resampling, name.upper()))
    found = read_image(png(WIDE), "x", Rule(size, "center", name))
    np.testing.assert_array_equal(np.moveaxis(found, 0, -1), np.asarray(theirs))


def test_shrinking_is_antialiased():
    """Stripes one pixel wide become their mean; without antialiasing black or white."""
    stripes = np.zeros((1, 64, 64), np.uint8)
    stripes[:, :, ::2] = 255
    found = read_image(png(stripes), "x", Rule(8))
    assert (np.abs(found.astype(int) - 127) <= 2)[:, :, 1:-1].all()
    assert set(read_image(png(stripes), "x", Rule(8, None, "nearest")).ravel()) <= {0, 255}


def test_what_is_a_square_of_that_size_stays_as_it_is():
    np.testing.assert_array_equal(read_image(png(X[0]), "x", Rule(6, "center")), X[0])


def test_mixed_sizes_are_refused_with_what_reads_them(tmp_path):
    for i in range(12):
        put(tmp_path / "photos" / f"{i:02d}.png", photo(20 + i, 16, grey=i == 11))
    error = refused(lambda: load_path(tmp_path / "photos"), r"\[3, 16, 20\].*\[3, 16, 21\]", "?size=16&crop=center'")
    proposed = error.remedy.split("'")[1]
    refused(lambda: datasets.load(proposed), r"\[3, 16, 16\].*\[1, 16, 16\]", "?channels=3'")
    data = datasets.load(f"{proposed}&channels=3")
    assert (data.name, data.space) == ("photos-16", Space((3, 16, 16), 256))
    said = (
        "grey repeated in three channels, largest centred square, resized to 16x16 by PIL's bicubic filter, antialiased"
    )
    assert data.preprocessing == data.facts()["preprocessing"] == data.identity["preprocessing"] == said


def test_splits_of_two_sizes_are_refused_with_what_reads_them(tmp_path):
    for i in range(20):
        put(tmp_path / "d" / ("test" if i % 4 == 0 else "train") / f"{i:02d}.png", photo(16, 16 + 4 * (i % 4 == 0)))
    error = refused(
        lambda: load_path(tmp_path / "d"), r"those of train are \[3, 16, 16\], those of test are \[3, 20, 16\]"
    )
    assert datasets.load(error.remedy.split("'")[1]).space == Space((3, 16, 16), 256)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("label=x", "has no columns to name"),
        ("size=8", "is 20x16, no square"),
        ("crop=center", "and no size"),
        ("filter=box", "and no size"),
        ("size=0", "size is 0"),
        ("size=8.5", "size is 8.5"),
        ("size=8&crop=left", "crop is 'left'"),
        ("size=8&crop=center&filter=sinc", "filter is 'sinc'"),
        ("size=8&chanels=3", "unknown argument of .*: 'chanels'"),
        ("size=8&size=9", "stands twice"),
        ("channels=2", "channels is 2"),
        ("size=99999999999999999999", "size is 99999999999999999999"),
    ],
)
def test_a_size_that_cannot_be_is_refused(query, problem, tmp_path):
    for i in range(12):
        put(tmp_path / f"{i:02d}.png", photo(20, 16))
    refused(lambda: datasets.load(f"{tmp_path}?{query}"), problem)


def test_size_and_filter_are_part_of_the_identity_of_samples(tmp_path):
    for i in range(12):
        put(tmp_path / "d" / f"{i:02d}.png", photo(20, 16))
    data = datasets.load(f"{tmp_path / 'd'}?size=6&crop=center")
    keys = {
        parse(f"samples:{tmp_path / 'd'}?{query}", data).key
        for query in ("size=6&crop=center", "size=6&crop=center&filter=box", "size=6", "")
    }
    assert len(keys) == 4
    same = [parse(f"samples:{tmp_path / 'd'}?{q}", data).key for q in ("size=6&filter=bicubic", "size=6")]
    assert same[0] == same[1]
    other = datasets.load(f"{tmp_path / 'd'}?size=6&crop=center&filter=box")
    assert data.sha256 != other.sha256


def test_samples_are_brought_to_the_size_of_the_data(tmp_path, cli):
    for i in range(24):
        put(tmp_path / "d" / f"{i:02d}.png", photo(20, 16))
    code, out, err = cli(
        "evaluate", f"samples:{tmp_path / 'd'}?size=6&crop=center", "--dataset", f"{tmp_path / 'd'}?size=6&crop=center",
        "--metrics", "copies", "-o", tmp_path / "run", "--json",
    )  # fmt: skip
    assert code == 0, err
    record = next(json.loads(p.read_text()) for p in (tmp_path / "run/cells").iterdir())
    assert record["dataset"]["preprocessing"].endswith("resized to 6x6 by PIL's bicubic filter, antialiased")
    assert "d-6" in out


def test_arrays_are_not_resized(tmp_path):
    np.save(tmp_path / "a.npy", X)
    refused(lambda: datasets.load(f"{tmp_path / 'a.npy'}?size=4"), "holds arrays, which size, filter cannot change")


def test_a_path_with_a_question_mark_is_a_path(tmp_path):
    for i, image in enumerate(X):
        put(tmp_path / "what?size=3" / f"{i}.png", image)
    assert datasets.load(str(tmp_path / "what?size=3")).space == SPACE
    assert datasets.load(f"{tmp_path / 'what?size=3'}?size=4").space == Space((3, 4, 4), 256)


# ---- shards


def shard(path, files: dict[str, bytes], mode: str = "w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def written(images, labels=None, kind="cls", start=0) -> dict[str, bytes]:
    files = {}
    for i, image in enumerate(images, start):
        files[f"dir.v1/{i:04d}.png"] = png(image)
        if labels is not None:
            label = int(labels[i - start])
            files[f"dir.v1/{i:04d}.{kind}"] = (
                f"{label}\n".encode() if kind == "cls" else json.dumps({"label": label}).encode()
            )
    return files


@pytest.mark.parametrize("kind", ["cls", "json"])
def test_a_shard_holds_pictures_and_classes(kind, tmp_path, recwarn):
    files = written(X, np.arange(30) % 3, kind)
    files |= {"dir.v1/0029.txt": b"a caption"}
    path = shard(tmp_path / "a.tar", files)
    data = load_path(path)
    assert as_pairs(data) == sorted((x.tobytes(), i % 3) for i, x in enumerate(X))
    assert any("files that end in .txt are left out" in str(w.message) for w in recwarn)
    found, labels = load_labelled(path, SPACE)
    np.testing.assert_array_equal(found, X)
    assert labels.tolist() == [i % 3 for i in range(30)]
    assert count_samples(path) == 30


def test_a_folder_of_shards_has_the_splits_that_their_names_say(tmp_path):
    for i, split in enumerate(("train-0000", "train-0001", "val-0000", "test-0000")):
        some = slice(8 * i, 8 * i + 8)
        shard(tmp_path / f"{split}.tar", written(X[some], start=8 * i))
    data = load_path(tmp_path)
    np.testing.assert_array_equal(data.train, X[:16])
    np.testing.assert_array_equal(data.validation, X[16:24])
    np.testing.assert_array_equal(data.test, X[24:])
    shard(tmp_path / "more.tar", written(X[:2]))
    refused(lambda: load_path(tmp_path), r"that of more\.tar does not", "?layout=flat")
    assert sum(len(datasets.load(f"{tmp_path}?layout=flat").split(s)) for s in datasets.SPLITS) == 32


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f | {"dir.v1/0001.pyd": pickle.dumps(Bomb())}, r"0001\.pyd, a pickle.*refused"),
        (lambda f: f | {"dir.v1/0029.pickle": pickle.dumps(Bomb())}, "a pickle.*refused"),
        (lambda f: f | {"dir.v1/0029.jpg": png(X[0])}, "has 2 pictures"),
        (lambda f: f | {"dir.v1/0030.cls": b"1"}, "0030 has 0 pictures"),
        (lambda f: f | {"dir.v1/0001.cls": b"1"} | {"x.png": png(X[0])}, "has no class, others have"),
        (lambda f: dict(list(f.items())[::2]) | {"dir.v1/0001.cls": b"2"}, "twice, or apart from its example"),
        (lambda f: f | {"dir.v1/0029.cls": b"dog"}, "is 'dog', no class"),
        (lambda f: f | {"dir.v1/0029.cls": b"-1"}, "is '-1', no class"),
        (lambda f: f | {"dir.v1/0029.cls": b"999999"}, "too large for a class"),
        (lambda f: f | {"y.png": b"no image"} | {"y.cls": b"1"}, "y.png cannot be read as an image"),
    ],
)
def test_a_shard_that_is_none_is_refused(change, problem, tmp_path):
    path = shard(tmp_path / "a.tar", change(written(X, np.zeros(30))))
    refused(lambda: load_path(path), problem)


def test_json_that_is_none_is_refused(tmp_path):
    files = written(X, np.zeros(30), "json")
    for content, problem in (
        (b"{", "is not JSON"),
        (b'{"label": "dog"}', "label is 'dog', no class"),
        (b'{"label": 9223372036854775808}', "no class"),
        (b"[1]", "no class"),
    ):
        path = shard(tmp_path / "a.tar", files | {"dir.v1/0029.json": content})
        refused(lambda path=path: load_path(path), problem)


def test_a_shard_that_is_damaged_or_compressed_is_refused(tmp_path):
    path = shard(tmp_path / "a.tar", written(X))
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        ends = [m.offset_data + m.size for m in archive.getmembers()]
    end = -(-ends[14] // 512) * 512
    for cut in (end, end + 512, ends[14] - 1, end + 100):  # between members, and within one
        path.write_bytes(whole[:cut])
        refused(lambda: load_path(path), "has no end: it is cut off, or more stands behind it|cannot be read as a .tar")
    path.write_bytes(whole + whole)  # tarfile would stop at the first end
    refused(lambda: load_path(path), "more stands behind it")
    path.write_bytes(b"")
    refused(lambda: load_path(path), "cannot be read as a .tar|no images in")
    shard(path, written(X), "w:gz")
    refused(lambda: load_path(path), "cannot be read as a .tar", "without compression")


def test_links_in_a_shard_lead_nowhere(tmp_path, recwarn):
    put(tmp_path / "secret.png", X[0])
    path = shard(tmp_path / "a.tar", written(X))
    with tarfile.open(path, "a") as archive:
        for kind, name in ((tarfile.SYMTYPE, "l.png"), (tarfile.LNKTYPE, "h.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret.png")
            archive.addfile(info)
    assert len(load_samples(path, SPACE)) == 30
    assert any("left out are links and the like: l.png, h.png" in str(w.message) for w in recwarn)


# ---- parquet


def parquet(path, images, labels=None, names=None, rows=7, **columns):
    """A file as the Hub has it: encoded images with their paths, and what the library datasets says of them."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [None if x is None else {"bytes": x if isinstance(x, bytes) else png(x), "path": "a.png"} for x in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = {"image": pa.array(content, kind)}
    if labels is not None:
        table["label"] = pa.array(labels, pa.int64())
    table |= columns
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    meta = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if names else None
    pq.write_table(pa.table(table).replace_schema_metadata(meta), path, row_group_size=rows)
    return path


def renamed(path, old, new):
    """The bytes of a file with others in place of some, as many."""
    path.write_bytes(path.read_bytes().replace(old, new))


def test_parquet_as_the_hub_has_it(tmp_path):
    y = np.arange(30) % 3
    parts = (("train-00000-of-00002", 0, 8), ("train-00001-of-00002", 8, 16), ("validation-00000-of-00001", 16, 24))
    for name, a, b in (*parts, ("test-00000-of-00001", 24, 30)):
        parquet(tmp_path / "data" / f"{name}.parquet", X[a:b], y[a:b], ["cat", "dog", "fish"])
    data = load_path(tmp_path)
    assert data.classes == ("cat", "dog", "fish")
    for split, a, b in (("train", 0, 16), ("validation", 16, 24), ("test", 24, 30)):
        np.testing.assert_array_equal(data.split(split), X[a:b])
        np.testing.assert_array_equal(data.labels[split], y[a:b])
    found, labels = load_labelled(tmp_path / "data/test-00000-of-00001.parquet", SPACE, known=data)
    np.testing.assert_array_equal(found, X[24:])
    assert labels.tolist() == y[24:].tolist()
    assert count_samples(tmp_path / "data/test-00000-of-00001.parquet") == 6


def test_pictures_are_the_same_data_in_every_container(tmp_path):
    """So is their hash: what a folder, a shard and a parquet file hold, one after the other."""
    y = np.arange(30) % 2
    for i, image in enumerate(X):
        put(tmp_path / "folder" / f"{i:02d}.png", image)
    paths = [
        tmp_path / "folder",
        shard(tmp_path / "a.tar", written(X)),
        parquet(tmp_path / "a.parquet", X),
    ]
    assert len({load_path(path).sha256 for path in paths}) == 1
    labelled = [shard(tmp_path / "b.tar", written(X, y)), parquet(tmp_path / "b.parquet", X, y)]
    assert len({load_path(path).sha256 for path in labelled}) == 1


@pytest.mark.parametrize(
    ("make", "problem", "query"),
    [
        (lambda p, pa: parquet(p, [*X[:-1], None]), "row 29 of image holds no bytes", ""),
        (lambda p, pa: parquet(p, [*X[:-1], b"no image"]), "row 29 cannot be read as an image", ""),
        (lambda p, pa: parquet(p, X, [-1] * 30), "lacks classes", ""),
        (lambda p, pa: parquet(p, X, [None] * 30), "lacks classes", ""),
        (lambda p, pa: parquet(p, X, [10**9] * 30), "no classes", ""),
        (lambda p, pa: parquet(p, X, [2] * 30, ["cat", "dog"]), "class 2, of 2 that have names", ""),
        (lambda p, pa: parquet(p, X, label=pa.array(["a"] * 30)), "unknown column of classes", "?label=label"),
        (lambda p, pa: parquet(p, X), "unknown column of images", "?image=picture"),
        (lambda p, pa: parquet(p, []), "no images in", ""),
        (lambda p, pa: p.write_bytes(b"PAR1 and nothing else"), "cannot be read as parquet", ""),
        (lambda p, pa: p.write_bytes(b""), "cannot be read as parquet", ""),
        (lambda p, pa: renamed(parquet(p, X), b"image", b"\xe5mage"), "cannot be read as parquet", ""),
    ],
)
def test_parquet_that_is_none_is_refused(make, problem, query, tmp_path):
    path = tmp_path / "a.parquet"
    make(path, pytest.importorskip("pyarrow"))
    refused(lambda: datasets.load(f"{path}{query}"), problem)


def test_which_column_is_meant_is_said(tmp_path, recwarn):
    pa = pytest.importorskip("pyarrow")
    coarse = pa.array(np.arange(30) % 2)
    path = parquet(tmp_path / "a.parquet", X, fine=pa.array(np.arange(30) % 5), coarse=coarse)
    assert load_path(path).labels is None
    assert any("?label=NAME reads one: fine, coarse" in str(w.message) for w in recwarn)
    assert as_pairs(datasets.load(f"{path}?label=fine")) == sorted((x.tobytes(), i % 5) for i, x in enumerate(X))
    path = parquet(tmp_path / "b.parquet", X, np.zeros(30, int))
    assert datasets.load(f"{path}?label=none").labels is None


def test_without_pyarrow_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(
        lambda: load_path(tmp_path / "a.parquet"), "takes pyarrow", "pip install -c constraints.txt 'genbench[parquet]'"
    )


def test_parquet_is_read_a_few_pictures_at_a_time(tmp_path):
    """Of 64 MB of pictures in one file never more than a few of its row groups are in memory."""
    pa = pytest.importorskip("pyarrow")
    noise = [RNG.bytes(1 << 20) for _ in range(4)]

    def padded(i):  # a picture with a megabyte behind its end, which no decoder reads
        return png(X[i % 30]) + noise[i % 4]

    path = parquet(tmp_path / "a.parquet", [padded(i) for i in range(64)], rows=4)
    before = pa.total_allocated_bytes()
    from genbench.datasets._parquet import pictures

    most = 0
    for _ in pictures(path, "image"):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 24 << 20


def test_a_page_of_parquet_that_lies_about_its_length_takes_no_memory(tmp_path):
    """One that says 2 GB, of a file of a few kilobytes: no more than the file is ever read."""
    pa = pytest.importorskip("pyarrow")
    data = bytearray(parquet(tmp_path / "a.parquet", X).read_bytes())
    assert data[:7] == b"PAR1\x15\x04\x15"  # a page of the dictionary, then two lengths in groups of seven bits
    first = next(i for i in range(7, 20) if data[i] < 128)
    assert data[first + 1] == 0x15
    assert data[first + 2] >= 128
    data[first + 3 : first + 7] = b"\xff\xff\xff\xff"
    (tmp_path / "a.parquet").write_bytes(data)
    before = pa.default_memory_pool().max_memory()
    refused(lambda: load_path(tmp_path / "a.parquet"), "Page was smaller")
    assert pa.default_memory_pool().max_memory() < max(before, 100 << 20)


# ---- one code for all pictures


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(np.full((6, 6), v, np.uint8)) for v in (0, 255)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def deep() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((6, 6), 60_000, np.uint16)).save(out, "PNG")
    return out.getvalue()


BAD = {
    "animated": (animated, "holds 2 pictures"),
    "16 bit": (deep, "I;16"),
    "empty": (lambda: b"", "cannot be read as an image"),
    "cut": (lambda: png(RNG.integers(256, size=(3, 60, 60), dtype=np.uint8))[:900], "cannot be read as an image"),
    "huge": (lambda: png(np.zeros((1, 9000, 9000), np.uint8)), "has 9,000 x 9,000 pixels, more than"),
    "transparent": (lambda: png(np.zeros((3, 6, 6), np.uint8), transparency=(0, 0, 0)), "is transparent"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("container", ["folder", "shard", "parquet"])
def test_a_picture_that_is_refused_is_refused_in_every_container(what, container, tmp_path):
    content, problem = BAD[what][0](), BAD[what][1]
    if container == "folder":
        path = tmp_path / "f"
        for i, image in enumerate(X[:12]):
            put(path / f"{i:02d}.png", image)
        (path / "99.png").write_bytes(content)
        name = "99.png"
    elif container == "shard":
        path, name = shard(tmp_path / "a.tar", written(X[:12]) | {"99.png": content}), "99.png"
    else:
        path, name = parquet(tmp_path / "a.parquet", [*X[:12], content]), "row 12"
    for how in ("", "?size=4&crop=center"):
        assert name in refused(lambda how=how: datasets.load(f"{path}{how}"), problem).problem


# ---- more than fits


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of private memory are Linux's")
def test_a_folder_is_never_in_memory_at_once(tmp_path):
    """48 MB of pixels, read, split and hashed by a process that may take 32 MB more than its libraries."""
    for i in range(12):
        put(tmp_path / "d" / f"{i:02d}.png", np.full((1, 2048, 2048), i, np.uint8))
    code = f"""
        import resource
        from genbench import datasets
        from genbench.datasets import _pictures
        import genbench.numerics.neighbours
        from PIL import Image
        Image.init()
        _pictures.LARGE = 1 << 20
        used = next(int(l.split()[1]) << 10 for l in open("/proc/self/status") if l.startswith("VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + (32 << 20),) * 2)
        data = datasets.load({str(tmp_path / "d")!r})
        print(sum(data.split(s).nbytes for s in datasets.SPLITS) >> 20, data.sha256)
    """
    env = {**os.environ, "GENBENCH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["48", load_path(tmp_path / "d").sha256]
    assert list((tmp_path / "cache/decoded").iterdir()) == []
