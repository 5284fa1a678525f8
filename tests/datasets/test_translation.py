"""Datasets of two domains: the enlarged digits against torch, the recordings' layout, and what makes an identity."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genbench import datasets
from genbench.datasets import Dataset, _fsdd, fsdd, jackson_to_theo
from genbench.datasets.mnist_to_digits import enlarged
from genbench.errors import GenbenchError
from genbench.models.batches import Batches
from genbench.numerics.speech import write_wav
from genbench.space import Space


def points(n: int, seed: int, **rest) -> Dataset:
    x = np.random.default_rng(seed).standard_normal((n, 2)).astype(np.float32)
    return Dataset("points", Space((2,)), x, x[:5], x[:4], "CC0 (generated)", "this test", **rest)


def test_enlarging_is_bilinear_interpolation_between_centres():
    x = np.random.default_rng(0).integers(17, size=(20, 1, 8, 8), dtype=np.uint8)
    for size in (28, 16, 20):
        exact = 255 / 16 * F.interpolate(torch.from_numpy(x).double(), (size, size), mode="bilinear").numpy()
        found = enlarged(x, size, 255)
        assert found.shape == (20, 1, size, size)
        assert np.abs(found - exact).max() <= 0.5 + 1e-9


def test_a_half_is_rounded_up():
    assert (enlarged(np.full((1, 1, 8, 8), 8, np.uint8), 28, 255) == 128).all()
    assert (enlarged(np.full((1, 1, 8, 8), 16, np.uint8), 28, 255) == 255).all()


def test_the_target_is_part_of_what_a_dataset_is():
    plain, other = points(20, 0), points(20, 1)
    both = replace(plain, target=other)
    shas = {plain.sha256, both.sha256, replace(plain, target=points(20, 2)).sha256, replace(other, target=plain).sha256}
    assert len(shas) == 4
    assert "20 train" in both.facts()["target"]
    assert "target" not in plain.facts()


def test_a_target_of_another_space_is_refused():
    with pytest.raises(ValueError, match="of another space"):
        replace(points(20, 0), space=Space((1, 2)), train=np.zeros((3, 1, 2), np.float32), target=points(20, 1),
                validation=np.zeros((3, 1, 2), np.float32), test=np.zeros((3, 1, 2), np.float32))  # fmt: skip


def test_batches_deal_each_domain_whole_and_independently():
    x, y = points(24, 0), points(40, 1)
    batches = Batches(replace(x, target=y), 8, 0, False, torch.device("cpu"), paired=True)
    dealt = [batches[i] for i in range(15)]  # five epochs of the one, three of the other
    for part, data, times in ((0, x, 5), (1, y, 3)):
        rows = torch.cat([pair[part] for pair in dealt]).numpy()
        for example in data.train:
            assert (rows == example).all(1).sum() == times
    assert [len(t) for t in batches.validation] == [5, 5]
    again = Batches(replace(x, target=y), 8, 0, False, torch.device("cpu"), paired=True)[7]
    assert all(torch.equal(a, b) for a, b in zip(again, dealt[7], strict=True))


def test_a_translator_needs_a_dataset_of_two_domains():
    with pytest.raises(GenbenchError, match="has one domain") as caught:
        Batches(points(20, 0), 8, 0, False, torch.device("cpu"), paired=True)
    assert "mnist-to-digits" in caught.value.remedy


# ---- recordings


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Made-up recordings in the official layout, each with a tone of its own; longer and shorter than an image."""
    root = tmp_path_factory.mktemp("data")
    folder = root / _fsdd.FOLDER
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for s, speaker in enumerate(_fsdd.SPEAKERS):
        for d in range(10):
            for i in range(50):
                t = np.arange(rng.integers(2000, 8000)) / 8000
                tone = np.sin(2 * np.pi * (200 + 300 * d + 50 * s) * t)
                (folder / f"{d}_{speaker}_{i}.wav").write_bytes(write_wav(tone, 8000))
    return root


@pytest.fixture
def known(recorded, monkeypatch):
    """Their sha256 is taken for that of the dataset."""
    with pytest.raises(GenbenchError, match="holds other recordings") as caught:
        fsdd.load(recorded)
    monkeypatch.setattr(_fsdd, "SHA256", caught.value.problem.rpartition(" ")[2])
    return recorded


def test_recordings_are_split_by_their_index_and_labelled(known):
    both, pair = fsdd.load(known), jackson_to_theo.load(known)
    assert [len(both.split(s)) for s in datasets.SPLITS] == [800, 100, 100]
    assert [len(pair.split(s)) for s in datasets.SPLITS] == [len(pair.target.split(s)) for s in datasets.SPLITS]
    assert np.bincount(both.labels["train"]).tolist() == [40] * 20
    for split in datasets.SPLITS:
        np.testing.assert_array_equal(np.concatenate([pair.split(split), pair.target.split(split)]), both.split(split))
    bands = both.test[:, 0, ::-1].astype(float).max(2).argmax(1).reshape(2, 10, 5)
    assert (np.diff(bands.mean(2), axis=1) > 0).all()  # a higher digit has a higher tone
    assert (bands == bands[:, :, :1]).all()


def test_missing_and_foreign_recordings_are_named(known, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    with pytest.raises(GenbenchError, match=r"no recordings of spoken digits at .*nowhere") as caught:
        fsdd.load(tmp_path / "nowhere")
    assert _fsdd.SOURCE in caught.value.remedy
    path = known / _fsdd.FOLDER / "3_theo_7.wav"
    before = path.read_bytes()
    try:
        path.write_bytes(b"RIFF")
        with pytest.raises(GenbenchError, match=r"3_theo_7.wav: no WAV file"):
            fsdd.load(known)
        path.write_bytes(write_wav(np.ones(100), 16000))
        with pytest.raises(GenbenchError, match=r"3_theo_7.wav: 16000 samples a second"):
            fsdd.load(known)
        path.unlink()
        with pytest.raises(GenbenchError, match=r"3_theo_7.wav cannot be read"):
            fsdd.load(known)
    finally:
        path.write_bytes(before)


def test_a_recording_is_framed_by_its_loudest_stretch_or_by_silence_on_both_sides():
    long = np.concatenate([np.full(50, 0.01), np.full(100, 0.5), np.full(30, 0.01)])
    np.testing.assert_array_equal(_fsdd.framed(long, 100), np.ones(100))
    short = _fsdd.framed(np.full(40, -0.2), 100)
    np.testing.assert_array_equal(short, np.repeat([0, -1, 0], [30, 40, 30]))


def test_real_recordings(data_root):
    data = datasets.load("jackson-to-theo", data_root)
    assert [len(data.split(s)) for s in datasets.SPLITS] == [400, 50, 50]
    assert data.space == Space((1, 40, 64), 256)
    assert data.labels["test"].tolist() == np.repeat(np.arange(10), 5).tolist()


def test_real_digits_of_two_sizes(data_root):
    data = datasets.load("mnist-to-digits", data_root)
    small = datasets.load("digits")
    assert [len(data.split(s)) for s in datasets.SPLITS] == [50_000, 200, 500]
    assert [len(data.target.split(s)) for s in datasets.SPLITS] == [1097, 200, 500]
    mnist = datasets.load("mnist", data_root)
    index = {x.tobytes(): i for i, x in enumerate(mnist.test)}
    places = [index[x.tobytes()] for x in data.test]
    np.testing.assert_array_equal(data.labels["test"], mnist.labels["test"][places])
    corners = data.target.test[:, 0, ::27, ::27].astype(int)  # beyond the outermost centres it is constant
    np.testing.assert_array_equal(corners, (510 * small.test[:, 0, ::7, ::7].astype(int) + 16) // 32)
