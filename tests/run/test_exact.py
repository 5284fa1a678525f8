"""What is exact stays exact: neither the order of a file, nor the batch size, nor the threads decide a value."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from genbench import datasets
from genbench.cli import shipped
from genbench.features import Extractor
from genbench.models.adapters import parse
from genbench.numerics.choice import chosen, row_keys, shuffled
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows

METRICS = ("fd", "fd-infinity", "kd", "precision-recall", "copies", "nll")


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def numbers(digits, folder, *specs, metrics=METRICS, batch_size=500, extractor="digits-cnn", **protocol):
    p = Protocol(**{"n_samples": 70, "block_size": 35, "limit": 100, **protocol})
    sources = [parse(str(spec), digits) for spec in specs]
    run = Run(folder)
    evaluate(
        plan(Suite("digits", metrics, extractor, protocol=p), digits, sources), run, "cpu", batch_size, pictures=False
    )
    return {
        (r.model["name"], r.metric["name"]): (r.status, r.value, r.stderr, r.ci95 and tuple(r.ci95))
        for r in in_rows([run])
    }


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_neither_batch_size_nor_threads_change_a_bit(digits, tmp_path, threads):
    names = ("vae", "realnvp")
    some = [path for path in shipped("digits") if path.endswith(tuple(f"/{name}.safetensors" for name in names))]
    assert len(some) == 2
    found = []
    for n, batch_size in ((1, 1), (2, 7), (1, 500)):
        threads(n)
        found.append(numbers(digits, tmp_path / f"{n}-{batch_size}", "data:test", *some, batch_size=batch_size))
    assert len(found[0]) == 3 * 7
    for other in found[1:]:
        assert other == found[0]


# --- The order of a file


def by_class(digits):
    """Digits that are no training data, sorted by class as files often are, and in another order."""
    x, y = digits.test, digits.labels["test"]
    order = np.argsort(y, kind="stable")
    return x[order], y[order], np.random.default_rng(0).permutation(len(x))


def test_samples_sorted_by_class_are_measured_as_in_any_other_order(digits, tmp_path):
    x, y, mixed = by_class(digits)
    np.savez(tmp_path / "sorted.npz", samples=x, labels=y)
    np.savez(tmp_path / "mixed.npz", samples=x[mixed], labels=y[mixed])
    specs = [f"samples:{tmp_path}/{name}.npz" for name in ("sorted", "mixed")]
    found = numbers(digits, tmp_path / "run", *specs, metrics=("fd", "classes", "kd", "class-agreement"))
    for metric in ("fd[digits-cnn]", "classes[digits-cnn]", "kd[digits-cnn]", "class-agreement[digits-cnn]"):
        assert found["sorted", metric] == found["mixed", metric], metric
    assert found["sorted", "classes[digits-cnn]"][1] >= 9  # the first 70 of the file have two
    assert found["sorted", "class-agreement[digits-cnn]"][1] > 0.9  # the labels went with their images


def test_a_sorted_test_set_gives_the_same_reference_and_the_same_likelihoods(digits, tmp_path, pixels_checkpoint):
    x, y, mixed = by_class(digits)
    found = []
    for name, order in (("sorted", np.arange(len(x))), ("mixed", mixed)):
        data = replace(digits, test=x[order], labels={**digits.labels, "test": y[order]})
        found.append(numbers(data, tmp_path / name, "data:test", pixels_checkpoint, metrics=("fd", "nll")))
    assert found[0]["real test data", "fd[digits-cnn]"] == found[1]["real test data", "fd[digits-cnn]"]
    assert found[0]["pixels", "nll"][1] == pytest.approx(found[1]["pixels", "nll"][1], rel=1e-12)


def test_what_is_chosen_depends_on_contents_and_seed_alone():
    rng = np.random.default_rng(0)
    x = rng.integers(5, size=(200, 3))
    y = rng.integers(2, size=200)
    mixed = rng.permutation(200)
    a, b = chosen(x, 50, 0, y), mixed[chosen(x[mixed], 50, 0, y[mixed])]
    assert (x[a] == x[b]).all()
    assert (y[a] == y[b]).all()
    assert len(set(a.tolist())) == 50
    assert not np.array_equal(a, chosen(x, 50, 1, y))
    whole = chosen(x, 200, 0)
    assert sorted(whole.tolist()) == list(range(200))
    unlike = row_keys(np.arange(2000)[:, None])
    place = np.argsort(shuffled(unlike, 0))  # of a hundred shuffles of many rows, none may lean to the front
    assert abs(place[:1000].mean() - 999.5) < 4 * 2000 / np.sqrt(12 * 1000)


# --- Extractors


def seeing(shapes):
    def extract(x):
        shapes.append(x.shape)
        return x.reshape(len(x), -1).astype(np.float32), None

    return Extractor("e", "0" * 64, "as it is", extract)


@pytest.mark.parametrize("n", [1, 99, 100, 101, 250])
def test_an_extractor_sees_blocks_of_one_shape_and_every_image_once(n):
    x = np.arange(n * 4).reshape(n, 1, 2, 2)
    shapes = []
    features, logits = seeing(shapes)(x)
    assert set(shapes) == {(100, 1, 2, 2)}
    assert len(shapes) == -(-n // 100)
    np.testing.assert_array_equal(features, x.reshape(n, 4))
    assert logits is None


def test_equal_images_are_seen_once_and_get_equal_features():
    shapes, rng = [], np.random.default_rng(0)
    x = rng.integers(200, size=(150, 1, 1, 1))[rng.integers(150, size=1000)]

    def extract(images):
        shapes.append(len(images))
        return rng.standard_normal((len(images), 2)).astype(np.float32), None  # never the same twice

    features, _ = Extractor("e", "0" * 64, "noise", extract)(x)
    assert len(shapes) <= 2
    for value in np.unique(x):
        assert len(np.unique(features[x[:, 0, 0, 0] == value], axis=0)) == 1
