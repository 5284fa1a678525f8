"""Folders and arrays of any framework: read as they are, or refused with the reason and the file's name."""

import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from genbench import datasets
from genbench.datasets._files import count_samples, load_path, load_samples, read_image
from genbench.errors import GenbenchError
from genbench.models.adapters.samples import hash_path
from genbench.numpy_files import Stored
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
    save_images(tmp_path / "sizes", GREY[:12])
    Image.fromarray(GREY[0, 0].T.copy()).save(tmp_path / "sizes/0001.png")
    names = [tmp_path / "sizes" / f"000{i}.png" for i in (0, 1)]
    refused(lambda: load_path(tmp_path / "sizes"), r"\[1, 5, 4\].*\[1, 4, 5\]", *names)
    save_images(tmp_path / "colours", GREY[:12])
    Image.fromarray(np.moveaxis(COLOUR[0], 0, -1).copy()).save(tmp_path / "colours/0002.png")
    names = [tmp_path / "colours" / f"000{i}.png" for i in (0, 2)]
    refused(lambda: load_path(tmp_path / "colours"), r"\[1, 5, 4\].*\[3, 5, 4\]", *names)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"no image", lambda b: b""])
def test_corrupt_image_is_named(tmp_path, damage):
    folder = save_images(tmp_path, RNG.integers(256, size=(12, 1, 40, 40), dtype=np.uint8))
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


# ---- what a file holds is not what the library's mode says


def png(kind: int, depth: int, rows: bytes, *chunks: tuple[bytes, bytes], size: tuple[int, int] = (4, 4)) -> bytes:
    """A PNG by hand: colour type, bits of a value, filtered rows, and chunks between header and data."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def tiff(pixels: np.ndarray, photometric: int, *tags: tuple[int, list[int]]) -> bytes:
    """An uncompressed little-endian TIFF of pixels `[H, W, C]` by hand, with further tags."""
    h, w, c = pixels.shape
    data, bits = pixels.tobytes(), 8 * pixels.itemsize
    entries = {256: [w], 257: [h], 258: [bits] * c, 259: [1], 262: [photometric], 277: [c], 278: [h], 279: [len(data)]}
    entries |= dict(tags) | {273: [0]}
    start = 8 + 2 + 12 * len(entries) + 4
    far = b"".join(struct.pack(f"<{len(v)}H", *v) for _, v in sorted(entries.items()) if len(v) > 2)
    entries[273] = [start + len(far)]
    table, used = b"", start
    for tag, values in sorted(entries.items()):
        body = struct.pack(f"<{len(values)}H", *values)
        place = body.ljust(4, b"\0") if len(values) <= 2 else struct.pack("<I", used)
        used += len(body) if len(values) > 2 else 0
        table += struct.pack("<HHI", tag, 3, len(values)) + place
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0) + far + data


def written_by_pil(fmt: str, picture: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, fmt, **options)
    return out.getvalue()


def several(fmt: str) -> bytes:
    frames = [Image.fromarray(np.full((4, 4, 3), v, np.uint8)) for v in (0, 100, 200)]
    return written_by_pil(fmt, frames[0], save_all=True, append_images=frames[1:])


def turned(fmt: str) -> bytes:
    picture = Image.new("RGB", (4, 4))
    exif = picture.getexif()
    exif[0x0112] = 6
    return written_by_pil(fmt, picture, exif=exif)


def rows(bytes_a_row: int) -> bytes:
    return b"".join(b"\0" + bytes(range(i, i + bytes_a_row)) for i in range(4))


PLAIN = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
KEY = (b"tRNS", struct.pack(">HHH", 0, 1, 2))
REFUSED = {
    "16-bit grey.png": (png(0, 16, rows(8)), "colour mode I;16"),
    "16-bit rgb.png": (png(2, 16, rows(24)), "more than 8 bits"),
    "16-bit grey and alpha.png": (png(4, 16, rows(16)), "more than 8 bits"),
    "16-bit rgba.png": (png(6, 16, rows(32)), "more than 8 bits"),
    "16-bit.ppm": (b"P6 2 2 65535\n" + bytes(24), "more than 8 bits"),
    "10-bit.ppm": (b"P6 2 2 1023\n" + bytes(24), "more than 8 bits"),
    "16-bit in words.ppm": (b"P3 1 1 65535\n1 2 3\n", "more than 8 bits"),
    "16-bit.pgm": (b"P5 2 2 65535\n" + bytes(8), "colour mode I"),
    "16-bit rgb.tif": (tiff(np.zeros((2, 2, 3), np.uint16), 2), "16-bit values"),
    "16-bit rgba.tif": (tiff(np.zeros((2, 2, 4), np.uint16), 2, (338, [2])), "16-bit values"),
    "16-bit grey.tif": (tiff(np.zeros((2, 2, 1), np.uint16), 1), "colour mode I;16"),
    "float.tif": (tiff(np.zeros((2, 2, 1), np.float32), 1, (339, [3])), "colour mode F"),
    "signed.tif": (tiff(np.zeros((2, 2, 1), np.int8), 1, (339, [2])), "signed values"),
    "fourth channel.tif": (tiff(np.zeros((2, 2, 4), np.uint8), 2, (338, [0])), "4 channels"),
    "second channel.tif": (tiff(np.zeros((2, 2, 2), np.uint8), 1, (338, [0])), "2 channels"),
    "key.png": (png(2, 8, rows(12), KEY), "is transparent"),
    "grey key.png": (png(0, 8, rows(4), (b"tRNS", b"\0\1")), "is transparent"),
    "one-bit key.png": (png(0, 1, b"\0\x50" * 4, (b"tRNS", b"\0\1")), "is transparent"),
    "palette key.png": (png(3, 8, b"\0\0\1\0\1" * 4, (b"PLTE", bytes(6)), (b"tRNS", b"\0\xff")), "is transparent"),
    "alpha.png": (png(6, 8, rows(16)), "is transparent"),
    "key.gif": (written_by_pil("GIF", PLAIN, transparency=3), "is transparent"),
    "frames.gif": (several("GIF"), "holds 3 pictures"),
    "pages.tif": (several("TIFF"), "holds 3 pictures"),
    "frames.png": (several("PNG"), "holds 3 pictures"),
    "frames.webp": (several("WEBP"), "holds 3 pictures"),
    "frames.jpg": (several("MPO"), "holds 3 pictures"),
    "turned.jpg": (turned("JPEG"), "EXIF orientation 6"),
    "turned.webp": (turned("WEBP"), "EXIF orientation 6"),
    "turned.png": (turned("PNG"), "EXIF orientation 6"),
    "cmyk.jpg": (written_by_pil("JPEG", Image.new("CMYK", (4, 4))), "colour mode CMYK"),
    "bomb.png": (png(0, 8, b"\0", size=(60_000, 60_000)), "exceeds limit"),
    "small bomb.png": (png(0, 8, b"\0", size=(9_000, 9_000)), "9,000 x 9,000 pixels"),
    "other format.png": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "cannot be read as an image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_of_which_a_part_would_be_read_is_refused(tmp_path, name):
    data, problem = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    refused(lambda: read_image(tmp_path / name), problem, tmp_path / name)


READ = {
    "2-bit.png": (png(0, 2, b"\0\x1b" * 4), np.tile([0, 85, 170, 255], (1, 4, 1))),
    "4-bit.png": (png(0, 4, b"\0\x0f\xf0" * 4), np.tile([0, 255, 255, 0], (1, 4, 1))),
    "8-bit.png": (png(0, 8, rows(4)), np.add.outer(np.arange(4), np.arange(4))[None]),
    "8-bit.ppm": (b"P6 2 1 255\n" + bytes([1, 2, 3, 4, 5, 6]), np.array([[[1, 4]], [[2, 5]], [[3, 6]]])),
    "5 levels.pgm": (b"P5 3 1 5\n" + bytes([0, 1, 5]), np.array([[[0, 51, 255]]])),
    "in words.ppm": (b"P3 1 1 255\n1 2 3\n", np.array([[[1]], [[2]], [[3]]])),
    "rgb.tif": (tiff(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), 2), np.c_[:12].reshape(4, 3).T.reshape(3, 2, 2)),
    "opaque.tif": (tiff(np.full((2, 2, 4), 255, np.uint8), 2, (338, [2])), np.full((3, 2, 2), 255)),
    "white is 0.tif": (tiff(np.array([[[0], [255]]], np.uint8), 0), np.array([[[255, 0]]])),
    "opaque key.png": (png(2, 8, rows(12), (b"tRNS", struct.pack(">HHH", 9, 9, 9))), None),
    "grey.gif": (written_by_pil("GIF", PLAIN), np.asarray(PLAIN)[None]),
    "grey.bmp": (written_by_pil("BMP", PLAIN), np.asarray(PLAIN)[None]),
    "grey.webp": (written_by_pil("WEBP", PLAIN.convert("RGB"), lossless=True), np.stack([np.asarray(PLAIN)] * 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_picture_that_is_8_bits_of_one_is_read_as_it_is(tmp_path, name):
    data, expected = READ[name]
    (tmp_path / name).write_bytes(data)
    found = read_image(tmp_path / name)
    assert found.dtype == np.uint8
    if expected is None:
        with Image.open(tmp_path / name) as file:
            expected = np.moveaxis(np.asarray(file.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(found, expected)


def test_a_damaged_picture_raises_nothing_but_the_error_that_names_it(tmp_path):
    rng = np.random.default_rng(0)
    whole = [written_by_pil(f, PLAIN.convert("RGB")) for f in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")]
    for data in whole:
        for _ in range(30):
            damaged = bytearray(data)
            for at in rng.integers(len(data), size=3):
                damaged[at] = rng.integers(256)
            path = tmp_path / "x.png"
            path.write_bytes(damaged[: rng.integers(len(data) // 2, len(data) + 1)])
            try:
                assert read_image(path).shape[0] in (1, 3)
            except GenbenchError as error:
                assert str(path) in error.problem  # noqa: PT017


# ---- what is left out of a folder


def test_what_is_not_read_is_named(tmp_path):
    save_images(tmp_path / "s", GREY)
    save_images(tmp_path / "s" / ".ipynb_checkpoints", GREY[:12])
    save_images(tmp_path / "elsewhere", GREY[:2])
    (tmp_path / "s" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "s" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "s" / "pipe.png")
    for name in ("a.jpe", "b.jfif", "c.jp2", "d.txt", ".e.png"):
        (tmp_path / "s" / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match="20 images are read") as said:
        load_path(tmp_path / "s")
    for name in (".ipynb_checkpoints/", "link/", "gone.png", "pipe.png", "a.jpe", "b.jfif", "c.jp2", "d.txt", ".e.png"):
        assert name in str(said[0].message)
    np.testing.assert_array_equal(load_samples(tmp_path / "s", Space((1, 5, 4), 256)), GREY)
    assert count_samples(tmp_path / "s") == 20


def test_the_names_of_very_many_files_are_cut(tmp_path):
    save_images(tmp_path, GREY)
    for i in range(40):
        (tmp_path / f"{i:02d}.txt").write_text("")
    with pytest.warns(UserWarning, match=r"left out: 00\.txt, .*, 09\.txt and 30 more"):
        load_path(tmp_path)


def test_a_folder_of_images_alone_is_read_without_a_word(tmp_path):
    save_images(tmp_path / "s" / "deep", GREY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_path(tmp_path / "s")


def test_the_identity_of_a_folder_is_that_of_what_is_read(tmp_path):
    save_images(tmp_path / "s", GREY)
    before = hash_path(tmp_path / "s")
    save_images(tmp_path / "s" / ".hidden", GREY[:1])
    (tmp_path / "s" / "notes.txt").write_text("x")
    assert hash_path(tmp_path / "s") == before
    save_images(tmp_path / "s", GREY[::-1])
    assert hash_path(tmp_path / "s") != before


# ---- headers first


def test_an_array_is_judged_by_its_header_before_it_is_unpacked(tmp_path, monkeypatch):
    """Zeros packed a thousand to one: counted, and refused for their shape or dtype, without being unpacked."""
    path = tmp_path / "a.npz"
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (2**16, 16, 16)})
    block = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as f:
        f.write(buffer.getvalue())
        for _ in range(2**6):
            f.write(block)
    monkeypatch.setattr(Stored, "load", lambda self: pytest.fail("unpacked"))
    assert count_samples(path) == 2**16
    refused(lambda: load_samples(path, Space((1, 16, 17), 256)), r"expected \[n, 1, 16, 17\]", path)
    refused(lambda: load_samples(path, Space((16, 16), 256)), "expected integers 0..255, got float32", path)


@pytest.mark.parametrize("key", ["levels", "train_labels", "labels"])
def test_what_stands_beside_the_examples_is_judged_by_its_header_too(tmp_path, monkeypatch, key):
    """A million zeros in place of one number, or of a class each."""
    splits = {"train": GREY, "test": GREY, "test_labels": np.zeros(len(GREY), int)} if key == "train_labels" else {}
    path = save(tmp_path / "a.npz", **(splits or {"x": GREY}), **{key: np.zeros(1 << 20, np.uint8)})
    load, unpacked = Stored.load, []
    monkeypatch.setattr(Stored, "load", lambda self: (unpacked.append(self.key), load(self))[1])
    refused(lambda: load_path(path), "levels is an array" if key == "levels" else "labels", path)
    assert key not in unpacked


def test_an_array_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.npy", GREY)
    monkeypatch.setattr("genbench.numpy_files.memory", lambda: GREY.nbytes - 1)
    refused(lambda: load_path(path), "more than this machine's memory", path)
    monkeypatch.setattr("genbench.datasets._pictures.memory", lambda: GREY.nbytes - 1)
    refused(lambda: load_path(save_images(tmp_path / "s", GREY)), "more than this machine's memory")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_packed_as_numpy_never_does_are_refused(tmp_path, packing):
    """They unpack a million bytes from one."""
    plain, path = save(tmp_path / "plain.npz", np.zeros((1000, 1000))), tmp_path / "a.npz"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", packing) as new:
        new.writestr("x.npy", old.read("x.npy"))
    refused(lambda: load_path(path), "cannot be read: 'x' is packed in a way", path)


@pytest.mark.parametrize(
    "change",
    [
        lambda shape: (10**12, *shape[1:]),
        lambda shape: (shape[0] - 1, *shape[1:]),
        lambda shape: (-shape[0], *shape[1:]),
        lambda shape: (shape[0] + 1, *shape[1:]),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_header_that_promises_another_number_of_bytes_is_refused(tmp_path, suffix, change):
    out = io.BytesIO()
    shape = change(GREY.shape)
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    data, path = out.getvalue() + GREY.tobytes(), tmp_path / f"a{suffix}"
    if suffix == ".npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", data)
    refused(lambda: load_path(path), "cannot be read", path)


def test_what_is_not_asked_for_is_not_unpacked(tmp_path):
    """Another array in the file is damaged; the one that holds the samples is not."""
    path = tmp_path / "a.npz"
    np.savez(path, x=GREY, other=np.arange(1000))
    data = path.read_bytes()
    at = data.index(np.arange(1000).tobytes()) + 2000
    path.write_bytes(flipped(data, at))
    np.testing.assert_array_equal(load_samples(path, Space((1, 5, 4), 256)), GREY)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": np.zeros((12, 0, 4), np.uint8)}, "positive sizes"),
        ({"x": np.zeros((12, 2), "V8")}, "expected real numbers, got"),
        ({"x": np.zeros((12, 2), "M8[s]")}, "expected real numbers, got datetime64"),
        ({"x": GREY, "levels": 10**12}, "at most"),
        ({"x": GREY, "levels": [17, 17]}, r"levels is an array \[2\]"),
        ({"x": GREY, "levels": "17"}, "levels is 17"),
        ({"x": GREY, "levels": True}, "levels is True"),
        ({"x": GREY, "labels": np.full(20, 2**40)}, r"a label is 1099511627776"),
        ({"x": GREY, "labels": np.zeros((20, 1), int)}, r"\[20, 1\] are no labels"),
        ({"x": GREY, "labels": np.array(["a"] * 20)}, "<U1"),
    ],
)
def test_arrays_of_other_kinds_are_no_dataset(tmp_path, arrays, problem):
    refused(lambda: load_path(save(tmp_path / "a.npz", **arrays)), problem, tmp_path / "a.npz")


# ---- narrowing


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (1.7e9 + RNG.uniform(0, 86400, (1000, 1)), r"\d+ of 1000 rows that differ as float64 are equal as float32"),
        (1e12 + RNG.standard_normal((100, 3)), "99 of 100 rows that differ"),
        (np.where(np.arange(24).reshape(12, 2) == 3, 1e39, 0.5), "1 of its float64 values are too large for float32"),
        (np.full((12, 2), -1e300), "24 of its float64 values are too large"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_numbers_that_float32_cannot_tell_apart_are_refused(tmp_path, suffix, x, problem):
    path = save(tmp_path / f"a{suffix}", x)
    refused(lambda: load_samples(path, Space(x.shape[1:])), problem, path)
    if len(x) > 12:
        refused(lambda: load_path(path), "are equal as float32", path)


@pytest.mark.parametrize(
    "x",
    [
        RNG.standard_normal((200, 2)),
        RNG.standard_normal((200, 2)).astype(np.float16),
        np.repeat(RNG.standard_normal((20, 2)), 10, 0),  # copies that are copies
        np.array([[0.0, 1.0], [-0.0, 1.0]] * 10),
        1e3 + RNG.standard_normal((200, 2)),
    ],
)
def test_numbers_that_it_can_are_kept(tmp_path, x):
    found = load_samples(save(tmp_path / "a.npy", x), Space(x.shape[1:]))
    assert found.dtype == np.float32
    assert len(np.unique(found, axis=0)) == len(np.unique(x, axis=0))


# --- Text


def test_a_text_of_ones_own_is_cut_into_windows_in_its_order(tmp_path, capsys):
    text = "".join(chr(97 + i % 25) for i in range(128 * 40)) + "é\n"
    path = tmp_path / "mine.txt"
    path.write_bytes(text.encode())
    data = datasets.load(str(path))
    assert data.vocabulary == "\n" + "".join(map(chr, range(97, 122))) + "é"
    assert (data.space, data.value, data.sequence) == (Space((128,), 27), "char", True)
    spelt = "".join(data.vocabulary[c] for c in data.train.ravel())
    assert text.startswith(spelt)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [36, 2, 2]
    assert "5,122 characters" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "problem"), [(b"short", "too little"), (b"\xff\xfe" * 5000, "not UTF-8")])
def test_what_is_no_text_is_refused(tmp_path, content, problem):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    refused(lambda: datasets.load(str(path)), problem, path)
