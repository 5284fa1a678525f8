"""Datasets: generated ones against their closed forms, files against checksums, downloads against a real server."""

import gzip
import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from genbench import datasets
from genbench.datasets import SPLITS, _idx, _text, mnist, mnist_binary, patches, tinyshakespeare
from genbench.datasets._download import Remote, fetch
from genbench.datasets._scikit_learn import inside
from genbench.errors import GenbenchError
from genbench.space import Space

# ---- generated densities


def midpoints(lo, hi, n):
    """Midpoint rule on a square: nodes `[n n, 2]` and the area of one cell."""
    step = (hi - lo) / n
    line = lo + step * (np.arange(n) + 0.5)
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), step**2


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_mixture_densities_integrate_to_one(name):
    data = datasets.load(name)
    centres, sd = data.modes
    # boxes of 8 sd around each mode do not overlap and leave out less than 1e-14; on a Gaussian
    # the midpoint rule with steps of sd/4 is exact to rounding (its error is e^(-2 pi^2 16))
    nodes, area = midpoints(-8 * sd, 8 * sd, 64)
    total = sum(np.exp(data.log_density(centre + nodes)).sum() * area for centre in centres)
    assert total == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_mean_log_density_is_the_closed_form_entropy(name):
    data = datasets.load(name)
    centres, sd = data.modes
    log_p = data.log_density(data.test)
    entropy = np.log(len(centres)) + 1 + np.log(2 * np.pi * sd**2)  # the modes are 40 sd apart or more
    # within a mode log p is -chi2_2 / 2 plus a constant: standard deviation 1
    assert -log_p.mean() == pytest.approx(entropy, abs=4 / np.sqrt(len(log_p)))
    assert log_p.std() == pytest.approx(1, abs=4 * np.sqrt(8 / len(log_p)) / 2)  # its kurtosis is 9


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_labels_name_the_nearest_mode_and_all_modes_are_there(name):
    data = datasets.load(name)
    centres, _ = data.modes
    for split in datasets.SPLITS:
        nearest = ((data.split(split)[:, None] - centres) ** 2).sum(-1).argmin(1)
        assert (nearest == data.labels[split]).all()
        assert len(np.unique(nearest)) == len(centres)


def test_grid25_has_the_published_geometry():
    centres, sd = datasets.load("grid25").modes
    assert sorted(map(tuple, centres)) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
    assert sd == 0.05


def test_checkerboard_integrates_to_one_and_has_its_entropy_at_every_draw():
    data = datasets.load("checkerboard")
    nodes, area = midpoints(-5, 5, 500)  # cells of 0.02: no node on an edge, no cell across one
    assert np.exp(data.log_density(nodes)).sum() * area == pytest.approx(1, abs=1e-12)
    for split in datasets.SPLITS:
        assert (data.log_density(data.split(split)) == -np.log(32)).all()


def test_checkerboard_draws_are_uniform_over_quarter_squares():
    data = datasets.load("checkerboard")
    cells = np.floor(data.train).astype(int) + 4  # 1x1 cells of which 32 are dark
    counts = np.bincount(cells[:, 0] * 8 + cells[:, 1], minlength=64)
    counts = counts[counts > 0]
    assert len(counts) == 32
    expected = len(data.train) / 32
    assert ((counts - expected) ** 2 / expected).sum() < 61.1  # the 99.9 % point at 31 degrees of freedom


@pytest.mark.parametrize("point", [(-1.0, 1.0), (4.0, 4.0), (-4.001, -3.0), (100.0, 0.0)])
def test_checkerboard_has_no_mass_off_its_dark_squares(point):
    assert datasets.load("checkerboard").log_density(np.array([point], np.float32))[0] == -np.inf


def test_pinwheel_integrates_to_one_and_has_the_entropy_of_its_blades_before_they_are_bent():
    """The twist keeps areas, and the blades overlap near the origin alone, where next to no mass is."""
    data = datasets.load("pinwheel")
    # A density as smooth as a Gaussian of deviation 0.05, sheared by at most 2: with steps of 0.01 the midpoint rule
    # is exact to rounding, and what lies outside is 6 deviations from every blade.
    nodes, area = midpoints(-3, 3, 600)
    log_p = data.log_density(nodes)
    assert (np.exp(log_p) * area).sum() == pytest.approx(1, abs=1e-8)
    entropy = -(np.exp(log_p) * log_p).sum() * area
    assert entropy == pytest.approx(np.log(5) + 1 + np.log(2 * np.pi * 0.3 * 0.05), abs=0.02)
    given = -data.log_density(data.train)
    assert given.mean() == pytest.approx(entropy, abs=4 * given.std() / np.sqrt(len(given)))


def test_pinwheel_points_untwisted_are_gaussian_about_their_blade():
    data = datasets.load("pinwheel")
    x, blade = data.train.astype(float), data.labels["train"]
    angle = -2.0 * np.linalg.norm(x, axis=1) - 2 * np.pi * blade / 5
    z = x @ np.array([1, 1j]) * np.exp(1j * angle)  # turned back, as complex numbers
    standard = np.stack([(z.real - 1) / 0.3, z.imag / 0.05])
    for values in standard:  # moments within four standard errors, as many draws have them
        assert values.mean() == pytest.approx(0, abs=4 / np.sqrt(len(z)))
        assert values.var() == pytest.approx(1, abs=4 * np.sqrt(2 / len(z)))
    assert np.corrcoef(standard)[0, 1] == pytest.approx(0, abs=4 / np.sqrt(len(z)))
    assert np.bincount(blade, minlength=5) == pytest.approx(len(z) / 5, abs=4 * np.sqrt(len(z) * 0.16))


# ---- IDX


def idx(x):
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, 8, x.ndim, *x.shape) + x.tobytes()


@pytest.mark.parametrize("shape", [(5,), (3, 4, 2), (0, 28, 28)])
def test_idx_round_trip(shape):
    x = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    np.testing.assert_array_equal(_idx.parse(idx(x), "file"), x)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG....", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "type 0x0d"),
        (b"\0\0\x08\x03" + bytes(4), "ends within its header"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "promises 6 values and holds 5"),
        (idx(np.zeros((2, 3), np.uint8)) + b"\0", "promises 6 values and holds 7"),
        (struct.pack(">BBBB5I", 0, 0, 8, 5, 1, 1, 1, 1, 1) + b"\0", "5 dimensions"),
        (struct.pack(">BBBB4I", 0, 0, 8, 4, 0, 2**31, 2**31, 2**31), "promises an array"),
    ],
)
def test_idx_says_what_is_wrong(data, problem):
    with pytest.raises(GenbenchError, match=problem):
        _idx.parse(data, "file")


# ---- roots, cache and downloads

CONTENT = b"the true content" * 100  # as in conftest.py


def remote(*urls, path="folder/file.txt", content=CONTENT):
    return Remote(path, urls, "sha256", hashlib.sha256(content).hexdigest(), len(content))


def files_under(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_download_is_kept_in_the_cache_and_asked_for_once(alone, server):
    file = remote(f"{server.url}/good")
    assert fetch(file) == CONTENT
    assert files_under(alone) == [alone / "folder/file.txt"]
    assert fetch(file) == CONTENT
    assert server.asked == ["/good"]


@pytest.mark.parametrize(
    ("url", "reason"), [("/other", "sha256 is"), ("/truncated/good", "IncompleteRead"), ("/absent", "404")]
)
def test_bad_download_says_why_and_leaves_nothing_but_a_beginning(alone, server, url, reason):
    with pytest.raises(GenbenchError, match=reason) as caught:
        fetch(remote(server.url + url))
    assert server.url + url in caught.value.problem
    assert "--data-root" in caught.value.remedy
    assert [path.name for path in files_under(alone)] == [".genbench-file.txt.part"] * ("truncated" in url)


def test_next_mirror_is_tried_after_a_bad_one(alone, server):
    assert fetch(remote(*(server.url + url for url in ("/other", "/truncated/good", "/good")))) == CONTENT


def test_server_that_does_not_answer_is_an_error_in_two_parts(alone, server):
    server.server_close()  # the port is closed: connection refused
    with pytest.raises(GenbenchError, match="could not be downloaded"):
        fetch(remote(f"{server.url}/good"))


def test_offline_nothing_is_asked_for(alone, server, monkeypatch):
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    with pytest.raises(GenbenchError, match="GENBENCH_OFFLINE is set") as caught:
        fetch(remote(f"{server.url}/good"))
    assert str(alone) in caught.value.problem
    assert server.asked == []


def test_file_under_the_root_wins_and_the_argument_wins_over_the_environment(alone, server, tmp_path, monkeypatch):
    for name, content in (("argument", b"A"), ("environment", b"E")):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "folder/file.txt").write_bytes(content)
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path / "environment"))
    assert fetch(remote(f"{server.url}/good", content=b"E")) == b"E"
    assert fetch(remote(f"{server.url}/good", content=b"A"), tmp_path / "argument") == b"A"
    assert server.asked == []


def test_corrupt_file_under_the_root_is_named_and_left_alone(alone, server, tmp_path):
    bad = tmp_path / "root/folder/file.txt"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"corrupt")
    with pytest.raises(GenbenchError, match="is corrupt") as caught:
        fetch(remote(f"{server.url}/good"), tmp_path / "root")
    assert str(bad) in caught.value.problem
    assert bad.read_bytes() == b"corrupt"


def test_corrupt_file_in_the_cache_is_mended_online_and_named_offline(alone, server, monkeypatch):
    cached = alone / "folder/file.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:-1])
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    with pytest.raises(GenbenchError, match="the copy in the cache is corrupt"):
        fetch(remote(f"{server.url}/good"))
    monkeypatch.setenv("GENBENCH_OFFLINE", "0")
    assert fetch(remote(f"{server.url}/good")) == CONTENT
    assert cached.read_bytes() == CONTENT


def test_gzip_checksum_is_of_the_content_however_it_was_compressed(alone, server):
    file = remote(f"{server.url}/a", f"{server.url}/b", path="file.gz")
    for level in (1, 9):
        assert file.content(gzip.compress(CONTENT, level)) == CONTENT
    server.served["/a"] = gzip.compress(CONTENT)[:-9]  # a whole response with a broken stream
    server.served["/b"] = CONTENT  # not compressed at all
    with pytest.raises(GenbenchError, match=r"gzip stream is broken.*gzip stream is broken"):
        fetch(file)


# ---- MNIST


def fake_mnist(monkeypatch):
    """Twelve training and four test images in the four files, {name: gzip bytes}, and their checksums in place."""
    rng, files = np.random.default_rng(0), {}
    for part, n in (("train", 12), ("t10k", 4)):
        files[f"{part}-images-idx3-ubyte"] = idx(rng.integers(256, size=(n, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(n, dtype=np.uint8) % 10)
    monkeypatch.setattr(mnist, "FILES", {name: (hashlib.md5(d).hexdigest(), len(d)) for name, d in files.items()})
    monkeypatch.setattr(mnist, "VALIDATION", 5)
    return {name: gzip.compress(data) for name, data in files.items()}


def test_mnist_is_downloaded_parsed_and_split(alone, server, monkeypatch):
    files = fake_mnist(monkeypatch)
    server.served = {f"/{name}.gz": data for name, data in files.items()}
    monkeypatch.setattr(mnist, "SOURCE", f"{server.url}/")
    data = datasets.load("mnist")
    assert [len(data.split(s)) for s in datasets.SPLITS] == [7, 5, 4]
    assert [data.labels[s].tolist() for s in datasets.SPLITS] == [[*range(7)], [7, 8, 9, 0, 1], [0, 1, 2, 3]]
    whole = np.concatenate([data.train, data.validation])[:, 0]
    assert whole.tobytes() == gzip.decompress(files["train-images-idx3-ubyte"])[16:]
    assert sorted(p.name for p in files_under(alone)) == sorted(f"{name}.gz" for name in files)


def test_binarisation_has_the_right_probability_at_every_intensity():
    grey = np.repeat(np.arange(256, dtype=np.uint8), 4000).reshape(256, 4000)
    u = np.random.default_rng(0).integers(255, size=grey.shape, dtype=np.uint8)
    frequency = mnist_binary.binarised(grey, u).mean(1)
    p = np.arange(256) / 255
    assert frequency[0] == 0
    assert frequency[255] == 1
    assert (np.abs(frequency - p) <= 5 * np.sqrt(p * (1 - p) / 4000)).all()


def test_binarised_splits_are_fixed_and_training_batches_fresh(alone, server, monkeypatch):
    server.served = {f"/{name}.gz": data for name, data in fake_mnist(monkeypatch).items()}
    monkeypatch.setattr(mnist, "SOURCE", f"{server.url}/")
    data, again = datasets.load("mnist-binary"), datasets.load("mnist_binary")
    assert data.sha256 == again.sha256
    assert data.space.levels == 2
    rng, index = np.random.default_rng(0), np.array([3, 3])
    first, second = data.batch(index, rng), data.batch(index, rng)
    assert len({x.tobytes() for x in (*first, *second, data.train[3])}) == 5  # five different draws of one image
    np.testing.assert_array_equal(first, data.batch(index, np.random.default_rng(0)))
    assert data.space.checked(first, "draw").shape == (2, 1, 28, 28)


def test_binary_digits_are_the_digits_at_half_of_their_dots():
    binary, grey = datasets.load("digits-binary"), datasets.load("digits")
    assert binary.space == Space((1, 8, 8), levels=2)
    for split in ("train", "validation", "test"):
        assert np.array_equal(binary.split(split), grey.split(split) // 8 > 0)
        assert np.array_equal(binary.labels[split], grey.labels[split])
    assert binary.sha256 != grey.sha256


def test_real_mnist(data_root):
    data = datasets.load("mnist", data_root)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [50_000, 10_000, 10_000]
    assert data.labels["test"][:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(data.labels["test"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    both = np.concatenate([data.train, data.validation]) / 255
    assert both.mean() == pytest.approx(0.1307, abs=5e-5)  # the mean that every tutorial normalises by
    binary = mnist_binary.from_grey(data)
    assert binary.test.mean() == pytest.approx(data.test.mean() / 255, abs=5 * 0.5 / np.sqrt(data.test.size))


# ---- patches


def test_no_pixel_of_the_photographs_is_in_two_splits():
    seen = np.zeros((len(datasets.SPLITS), 427, 640), int)
    for counts, split in zip(seen, datasets.SPLITS, strict=True):
        for row, column in patches.corners(split, 427, 640):
            counts[row : row + 8, column : column + 8] += 1
            assert row + 8 <= 427
            assert column + 8 <= 640
    assert ((seen > 0).sum(0) <= 1).all()
    assert (seen[1:] <= 1).all()  # validation and test patches do not overlap each other either
    assert 0.55 < (seen[0] > 0).mean() < 0.7


def test_every_split_meets_the_blocks_of_jpeg_at_every_phase():
    for split in datasets.SPLITS:
        for axis in (0, 1):
            phases = np.bincount([corner[axis] % 8 for corner in patches.corners(split, 427, 640)], minlength=8)
            assert phases.min() > phases.max() / 4


def test_patches_are_pieces_of_the_photographs_with_channels_first():
    photograph = np.random.default_rng(0).integers(256, size=(427, 640, 3), dtype=np.uint8)
    cut = patches.patches([photograph], "test")
    for patch, (row, column) in zip(cut, patches.corners("test", 427, 640), strict=True):
        np.testing.assert_array_equal(patch.transpose(1, 2, 0), photograph[row : row + 8, column : column + 8])


def test_patches_are_a_sample_of_both_photographs_in_a_random_order():
    data = datasets.load("patches")
    assert {split: len(data.split(split)) for split in datasets.SPLITS} == patches.SIZES
    assert data.sha256.startswith("7b3890c94010b55b"), "decoded otherwise than by Pillow's libjpeg-turbo"
    for split in datasets.SPLITS:
        every = patches.patches(load_sample_images().images, split)
        index = {patch.tobytes(): i for i, patch in enumerate(every)}
        places = np.array([index[patch.tobytes()] for patch in data.split(split)])
        of_second = (places >= len(every) // 2).mean()  # photographs are cut one after the other
        assert of_second == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(places)))
        assert abs(np.corrcoef(places, np.arange(len(places)))[0, 1]) < 4 / np.sqrt(len(places))


def test_no_test_patch_is_a_training_patch():
    data = datasets.load("patches")
    seen = {x.tobytes() for x in data.train}
    assert not any(x.tobytes() in seen for split in ("validation", "test") for x in data.split(split))


# ---- text


def test_text_is_split_into_windows_without_overlap():
    text = "".join(chr(97 + i % 26) for i in range(40 * _text.T)) + "zz"
    data = tinyshakespeare.from_text(text)
    assert data.vocabulary == "abcdefghijklmnopqrstuvwxyz"
    assert [len(data.split(s)) for s in datasets.SPLITS] == [36, 2, 2]
    assert (data.value, data.space.levels) == ("char", 26)
    assert "".join(data.vocabulary[i] for i in data.train.flatten()) == text[: data.train.size]
    assert "".join(data.vocabulary[i] for i in data.test[0]) in text[-3 * _text.T :]


def test_random_crops_are_pieces_of_the_training_text():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abc \n"), 20_000))
    data = tinyshakespeare.from_text(text)
    crops = data.batch(np.arange(50), rng)
    starts = [text.find("".join(data.vocabulary[i] for i in crop)) for crop in crops]
    assert min(starts) >= 0
    assert max(starts) <= 18_000 - _text.T
    assert len({start % _text.T for start in starts}) > 10  # not the windows themselves


def test_real_tinyshakespeare(data_root):
    data = datasets.load("tinyshakespeare", data_root)
    assert data.space.levels == 65
    assert "".join(data.vocabulary[i] for i in data.train[0]).startswith("First Citizen:\nBefore we proceed")
    assert [len(data.split(s)) for s in datasets.SPLITS] == [7842, 435, 435]


def test_what_comes_inside_scikit_learn_is_what_it_loads_itself():
    x, y = load_digits(return_X_y=True)
    digits = datasets.load("digits")
    ours = [(*image.ravel().tolist(), label) for split in SPLITS for image, label in
            zip(digits.split(split), digits.labels_of(split), strict=True)]  # fmt: skip
    assert sorted(ours) == sorted((*image.astype(int).tolist(), label) for image, label in zip(x, y, strict=True))
    for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
        assert np.array_equal(np.asarray(Image.open(inside(f"images/{name}.jpg"))), photograph)
    with pytest.raises(GenbenchError, match="scikit-learn has no datasets/data/nothing"):
        inside("data/nothing")


def test_the_digits_are_loaded_without_importing_scikit_learn():
    code = "import sys; from genbench import datasets; datasets.load('digits'); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
