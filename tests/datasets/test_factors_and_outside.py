"""Data made of factors, data with a class held out or rare, and other data to be told from test data."""

import numpy as np
import pytest

from genbench import datasets
from genbench.datasets import _outside, digits, shapes
from genbench.errors import GenbenchError, Unavailable
from genbench.space import Space


def test_shapes_are_all_combinations_of_their_factors_once():
    data = datasets.load("shapes")
    assert data.factors is not None
    every = np.concatenate([data.factors[split] for split in datasets.SPLITS])
    assert len(np.unique(every, axis=0)) == len(every) == 3 * 6 * 16 * 16
    images = np.concatenate([data.split(split) for split in datasets.SPLITS]).reshape(len(every), -1)
    assert len(np.unique(images, axis=0)) == len(every), "no two combinations look alike"
    assert {split: len(data.split(split)) for split in datasets.SPLITS} == shapes.SPLITS
    np.testing.assert_array_equal(data.labels["test"], data.factors["test"][:, 0])


def test_a_shape_is_where_and_as_large_as_its_factors_say():
    """The centre of mass of what is covered is the centre; the area that of the shape, to the points of the grid."""
    rng = np.random.default_rng(0)
    at = np.arange(16) + 0.5
    for _ in range(60):
        kind, size, x, y = (int(rng.integers(n)) for n in (3, 6, 16, 16))
        covered = shapes.image(kind, size, x, y)[0].astype(float)
        total, r = covered.sum(), shapes.SIZES[size]
        assert covered.sum(0) @ at / total == pytest.approx(shapes.PLACES[x], abs=0.15)
        assert covered.sum(1) @ at / total == pytest.approx(shapes.PLACES[y], abs=0.15)
        area = (4 * r**2, np.pi * r**2, 2 * (1.25 * r) ** 2)[kind]
        assert total / 16 == pytest.approx(area, rel=0.15)


def test_factors_are_part_of_what_data_are_known_by():
    from dataclasses import replace

    data = datasets.load("shapes")
    other = replace(data, factors={split: f[:, ::-1] for split, f in data.factors.items()})
    assert other.sha256 != data.sha256
    assert "shape (3), size (6), x (16), y (16)" in data.facts()["factors"]
    rare = {split: np.minimum(f, 2) if split != "test" else f for split, f in data.factors.items()}
    assert replace(data, factors=rare).facts()["factors"] == data.facts()["factors"], "all splits are looked at"


def test_digits_without_9_have_none_and_all_nines_are_beside_them():
    whole, rest = datasets.load("digits"), datasets.load("digits-without-9")
    assert rest.n_classes == 9
    nines = rest.outside["held-out"]()
    assert sum(len(rest.split(split)) for split in datasets.SPLITS) + len(nines) == 1797
    seen = {x.tobytes() for split in datasets.SPLITS for x in rest.split(split)}
    assert not any(x.tobytes() in seen for x in nines)
    np.testing.assert_array_equal(rest.test, whole.test[whole.labels["test"] != 9])


def test_digits_skewed_have_few_eights_to_learn_from_and_all_to_be_tested_on():
    whole, data = datasets.load("digits"), datasets.load("digits-skewed")
    np.testing.assert_array_equal(data.test, whole.test)
    for split in ("train", "validation"):
        before, after = (np.bincount(d.labels[split], minlength=10) for d in (whole, data))
        assert after[8] == -(-before[8] // 5)
        np.testing.assert_array_equal(np.delete(before, 8), np.delete(after, 8))


@pytest.mark.parametrize("name", _outside.MADE)
def test_other_data_are_in_the_space_and_the_same_every_time(name):
    data = datasets.load("digits")
    found = _outside.outside(data, name, data.test)
    assert found.shape == data.test.shape
    data.space.checked(found, name)
    np.testing.assert_array_equal(found, _outside.outside(data, name, data.test))


def test_other_data_are_what_they_are_called():
    data = datasets.load("digits")
    x = data.test[:100].astype(int)
    made = {name: _outside.outside(data, name, data.test[:100]).astype(int) for name in _outside.MADE}
    assert (made["inverted"] == 16 - x).all()
    assert not made["blank"].any()
    assert (np.ptp(made["constant"].reshape(100, -1), axis=1) == 0).all()
    assert set(made["constant"][:, 0, 0, 0]) == set(range(17))
    # uniform over 17 levels: mean 8, sd 4.9, of 6,400 values
    assert made["noise"].mean() == pytest.approx(8, abs=4 * 4.9 / 80)
    inner = np.mean([x[:, :, 1 + i : 7 + i, 1 + j : 7 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
    np.testing.assert_array_equal(made["blurred"][:, :, 1:7, 1:7], np.rint(inner.round(9)))


def test_other_data_that_nobody_has_are_refused_with_those_that_there_are():
    data = datasets.load("digits-without-9")
    with pytest.raises(Unavailable, match=r"no other data 'cats', only noise, .*mnist, held-out"):
        _outside.outside(data, "cats", data.test)
    ring = datasets.load("ring8")
    with pytest.raises(Unavailable, match="levels of images"):
        _outside.outside(ring, "noise", ring.test)


def test_mnist_shrunk_is_in_the_space_of_the_digits(data_root):
    data = digits.load(data_root)
    found = _outside.outside(data, "mnist", data.test)
    assert data.space == Space(found.shape[1:], levels=17)
    assert len(found) == digits.MNIST
    assert found.max() == 16


def test_mnist_that_is_not_at_hand_is_said_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("GENBENCH_DATA", raising=False)
    data = digits.load()
    with pytest.raises(GenbenchError, match="t10k-images"):
        _outside.outside(data, "mnist", data.test)
