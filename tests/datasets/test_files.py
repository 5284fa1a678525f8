"""Folders and arrays of any framework: read as they are, or refused with the reason and the file's name."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from genbench import datasets
from genbench.datasets._files import load_path, load_samples
from genbench.errors import GenbenchError
from genbench.space import Space

RNG = np.random.default_rng(0)
GREY = RNG.integers(256, size=(20, 1, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(20, 3, 5, 4), dtype=np.uint8)


def save_images(folder, x, mode=None):
    """Images `[n, C, H, W]` as PNG files whose sorted names keep their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(x):
        pixels = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        (picture.convert(mode) if mode else picture).save(folder / f"{i:04d}.png")
    return folder


def save(path, x=None, **arrays):
    if path.suffix == ".npy":
        np.save(path, x)
    else:
        np.savez(path, **({} if x is None else {"x": x}), **arrays)
    return path


def as_set(*parts):
    return sorted(image.tobytes() for part in parts for image in part)


def refused(call, problem, *names):
    """Asserts that `call` raises an error in two parts which says `problem` and names every path."""
    with pytest.raises(GenbenchError, match=problem) as caught:
        call()
    assert caught.value.remedy
    for name in names:
        assert str(name) in caught.value.problem


# ---- what is read


@pytest.mark.parametrize("x", [GREY, COLOUR], ids=["grey", "colour"])
def test_folder_of_images_keeps_every_pixel(tmp_path, x):
    space = Space(x.shape[1:], 256)
    np.testing.assert_array_equal(load_samples(save_images(tmp_path, x), space), x)
    data = load_path(tmp_path)
    assert data.space == space
    assert [len(data.split(s)) for s in datasets.SPLITS] == [16, 2, 2]
    assert as_set(data.train, data.validation, data.test) == as_set(x)


def test_folders_are_read_recursively_in_the_order_of_paths(tmp_path):
    save_images(tmp_path / "b", GREY[10:])
    save_images(tmp_path / "a" / "deep", GREY[:10])
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._0000.png").write_bytes(b"what macOS leaves behind")
    np.testing.assert_array_equal(load_samples(tmp_path, Space((1, 5, 4), 256)), GREY)


def test_lossless_colour_modes_are_converted(tmp_path):
    bits = GREY % 2 * 255
    for mode in ("1", "LA", "P"):
        folder = save_images(tmp_path / mode, bits, mode)
        channels = 3 if mode == "P" else 1  # a palette holds colours
        expected = np.repeat(bits, channels, axis=1)
        np.testing.assert_array_equal(load_samples(folder, Space((channels, 5, 4), 256)), expected)
    opaque = save_images(tmp_path / "RGBA", COLOUR, "RGBA")
    np.testing.assert_array_equal(load_samples(opaque, Space((3, 5, 4), 256)), COLOUR)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("layout", ["first", "last", "none"])
def test_arrays_of_every_layout_are_the_same_images(tmp_path, suffix, layout):
    x = GREY if layout == "none" else COLOUR
    stored = {"first": x, "last": np.moveaxis(x, 1, -1), "none": x[:, 0]}[layout]
    path = save(tmp_path / f"a{suffix}", stored)
    np.testing.assert_array_equal(load_samples(path, Space(x.shape[1:], 256)), x)
    data = load_path(path)
    assert data.space == Space(x.shape[1:], 256)
    assert as_set(data.train, data.validation, data.test) == as_set(x)


@pytest.mark.parametrize("key", ["images", "samples", "x", "arr_0", "anything"])
def test_single_array_is_found_under_its_usual_keys_or_alone(tmp_path, key):
    path = tmp_path / "a.npz"
    np.savez(path, **{key: GREY})
    np.testing.assert_array_equal(load_samples(path, Space((1, 5, 4), 256)), GREY)


def test_samples_of_other_integer_types_and_booleans_are_cast(tmp_path):
    path = save(tmp_path / "a.npy", (GREY % 2).astype(np.int64))
    assert load_samples(path, Space((1, 5, 4), 2)).dtype == np.uint8
    path = save(tmp_path / "b.npy", GREY % 2 == 1)
    np.testing.assert_array_equal(load_samples(path, Space((1, 5, 4), 2)), GREY % 2)
    assert load_path(path).space.levels == 2


def test_points_and_text_are_no_images(tmp_path):
    points = RNG.standard_normal((30, 2))
    data = load_path(save(tmp_path / "points.npy", points))
    assert data.space == Space((2,))
    assert data.train.dtype == np.float32
    text = RNG.integers(30, size=(30, 3))
    assert load_path(save(tmp_path / "text.npz", text, levels=30)).space == Space((3,), 30)


def test_named_splits_and_labels_are_kept(tmp_path):
    parts = {"train": GREY[:12], "validation": GREY[12:15], "test": GREY[15:]}
    labels = {f"{s}_labels": np.arange(len(x)) for s, x in parts.items()}
    data = load_path(save(tmp_path / "a.npz", **parts, **labels))
    for split, x in parts.items():
        np.testing.assert_array_equal(data.split(split), x)
        assert data.labels[split].tolist() == list(range(len(x)))
    assert load_path(save(tmp_path / "b.npz", **parts)).labels is None


def test_labels_of_a_single_array_stay_with_their_examples(tmp_path):
    x = np.arange(25, dtype=np.uint8)[:, None].repeat(3, 1)
    data = load_path(save(tmp_path / "a.npz", x, labels=np.arange(25)))
    for split in datasets.SPLITS:
        np.testing.assert_array_equal(data.split(split)[:, 0], data.labels[split])


def test_identity_is_the_content_and_not_the_path(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    a, b = save(tmp_path / "a.npy", GREY), save(tmp_path / "elsewhere/b.npz", GREY)
    c = save(tmp_path / "c.npy", GREY[::-1])
    assert load_path(a).sha256 == load_path(b).sha256 != load_path(c).sha256


def test_datasets_load_takes_paths(tmp_path):
    assert datasets.load(str(save(tmp_path / "a.npy", GREY))).space == Space((1, 5, 4), 256)


def test_where_both_readings_of_a_shape_fit_channels_stand_first(tmp_path):
    x = RNG.integers(256, size=(10, 3, 3, 3), dtype=np.uint8)
    path = save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(load_samples(path, Space((3, 3, 3), 256)), x)
    assert as_set(*(load_path(path).split(s) for s in datasets.SPLITS)) == as_set(x)


# ---- what is refused


@pytest.mark.parametrize("name", ["absent", "absent.npz", "absent.npy"])
def test_missing_path(tmp_path, name):
    path = tmp_path / name
    refused(lambda: load_path(path), "nothing at", path)
    refused(lambda: load_samples(path, Space((2,))), "nothing at", path)


def test_other_kinds_of_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2")
    refused(lambda: load_path(path), "neither a folder nor", path)


def test_empty_folder(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    refused(lambda: load_path(tmp_path), "no images in", tmp_path)


def test_mixed_sizes_and_mixed_colours_name_two_files(tmp_path):
    save_images(tmp_path / "sizes", GREY[:3])
    Image.fromarray(GREY[0, 0].T.copy()).save(tmp_path / "sizes/0001.png")
    names = [tmp_path / "sizes" / f"000{i}.png" for i in (0, 1)]
    refused(lambda: load_path(tmp_path / "sizes"), r"\[1, 5, 4\].*\[1, 4, 5\]", *names)
    save_images(tmp_path / "colours", GREY[:3])
    Image.fromarray(np.moveaxis(COLOUR[0], 0, -1).copy()).save(tmp_path / "colours/0002.png")
    names = [tmp_path / "colours" / f"000{i}.png" for i in (0, 2)]
    refused(lambda: load_path(tmp_path / "colours"), r"\[1, 5, 4\].*\[3, 5, 4\]", *names)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"no image", lambda b: b""])
def test_corrupt_image_is_named(tmp_path, damage):
    folder = save_images(tmp_path, RNG.integers(256, size=(3, 1, 40, 40), dtype=np.uint8))
    bad = folder / "0001.png"
    bad.write_bytes(damage(bad.read_bytes()))
    refused(lambda: load_path(folder), "cannot be read as an image", bad)


def test_images_whose_pixels_would_change_are_refused(tmp_path):
    (tmp_path / "clear").mkdir()
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "clear/a.png")
    refused(lambda: load_path(tmp_path / "clear"), "is transparent", tmp_path / "clear/a.png")
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.full((4, 4), 60_000, np.uint16)).save(tmp_path / "deep/a.png")
    refused(lambda: load_path(tmp_path / "deep"), "colour mode I;16", tmp_path / "deep/a.png")


@pytest.mark.parametrize(
    ("x", "space", "problem"),
    [
        (GREY, Space((1, 4, 5), 256), r"expected \[n, 1, 4, 5\], got \[20, 1, 5, 4\]"),
        (GREY[:, 0], Space((3, 5, 4), 256), r"expected \[n, 3, 5, 4\]"),
        (GREY.astype(np.float32), Space((1, 5, 4), 256), "expected integers 0..255, got float32"),
        (GREY, Space((1, 5, 4)), "expected real numbers, got uint8"),
        (GREY > 3, Space((1, 5, 4), 256), "expected integers 0..255, got bool"),
        (GREY, Space((1, 5, 4), 17), r"expected values 0..16, got 0..25\d"),
        (-GREY.astype(np.int64), Space((1, 5, 4), 256), r"expected values 0..255, got -25\d"),
        (np.array([[0.0, np.nan], [np.inf, 1.0]]), Space((2,)), "2 values are NaN or infinite"),
        (np.zeros((4, 2), complex), Space((2,)), "expected real numbers, got complex128"),
        (np.array([["a", "b"]]), Space((2,), 3), "expected integers 0..2, got <U1"),
        (np.zeros((0, 2)), Space((2,)), r"an array \[0, 2\]"),
        (np.float64(3), Space((2,)), r"an array \[\]"),
    ],
    ids=["shape", "grey", "float", "bytes", "bool", "range", "sign", "nan", "complex", "text", "empty", "scalar"],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_samples_that_are_not_in_the_space(tmp_path, suffix, x, space, problem):
    path = save(tmp_path / f"a{suffix}", x)
    refused(lambda: load_samples(path, space), problem, path)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (GREY.astype(np.int64), "int64, whose number of levels is unknown"),
        (np.where(np.eye(20) > 0, np.nan, 1.0), "values are NaN or infinite"),
        (np.array([["a", "b"]] * 20), "expected real numbers, got <U1"),
        (np.arange(20.0), r"an array \[20\]"),
        (GREY[:9], "9 examples"),
    ],
    ids=["levels", "nan", "text", "flat", "few"],
)
def test_arrays_that_are_no_dataset(tmp_path, suffix, x, problem):
    path = save(tmp_path / f"a{suffix}", x)
    refused(lambda: load_path(path), problem, path)


class Bomb:
    """What pickle would call on loading."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_object_arrays_are_refused_unopened(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", np.array([Bomb(), Bomb()], dtype=object))
    refused(lambda: load_path(path), "Python objects.*refused", path)
    refused(lambda: load_samples(path, Space((2,))), "Python objects.*refused", path)


def flipped(data, at):
    """`data` with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_damaged_arrays_are_named(tmp_path):
    npy, npz, compressed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(npy, GREY)
    np.savez(npz, x=GREY)
    np.savez_compressed(compressed, x=GREY)
    files = {
        "empty.npy": b"",
        "noise.npy": b"no array at all",
        "pickle.npy": pickle.dumps(Bomb()),
        "short.npy": npy.getvalue()[:-5],
        "short.npz": npz.getvalue()[:-30],
        "flipped.npz": flipped(npz.getvalue(), npz.getvalue().index(GREY.tobytes())),
        "compressed.npz": flipped(compressed.getvalue(), len(compressed.getvalue()) // 2),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        refused(lambda path=path: load_path(path), "cannot be read", path)
        refused(lambda path=path: load_samples(path, Space((1, 5, 4), 256)), "cannot be read", path)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("readme.txt", "no array")
    refused(lambda: load_path(tmp_path / "text.npz"), "holds no arrays", tmp_path / "text.npz")


PARTS = {"train": GREY[:10], "validation": GREY[10:15], "test": GREY[15:]}


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": GREY, "b": GREY}, "holds a, b: which are the examples"),
        ({"x": GREY, "images": GREY}, "which are the examples"),
        ({}, "holds no arrays"),
        ({"train": GREY}, "has no validation and no test"),
        (PARTS | {"test": GREY[:0]}, r"\(test\) holds an array \[0, 1, 5, 4\]"),
        (PARTS | {"test": GREY[:, :, :4]}, r"\(test\): expected \[n, 1, 5, 4\], got \[20, 1, 4, 4\]"),
        (PARTS | {"test": GREY / 255}, r"\(test\): expected integers 0..255, got float64"),
        (PARTS | {"levels": 17}, r"\(train\): expected values 0..16"),
        (PARTS | {"levels": 1.5}, "levels is 1.5"),
        (PARTS | {"train_labels": np.arange(10)}, "no validation_labels and no test_labels"),
        ({"x": GREY, "labels": np.arange(19)}, r"\(labels\): int64 \[19\] are no labels of 20 examples"),
        ({"x": GREY, "labels": np.linspace(0, 1, 20)}, r"\(labels\): float64"),
        ({"x": GREY, "labels": np.arange(20) - 1}, r"\(labels\): int64"),
    ],
)
def test_npz_that_is_no_dataset(tmp_path, arrays, problem):
    path = save(tmp_path / "a.npz", **arrays)
    refused(lambda: load_path(path), problem, path)
