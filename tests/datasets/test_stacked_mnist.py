"""Stacked MNIST: the triples are what their labels say, and the classifier of triples is three classifiers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from genbench import datasets
from genbench.datasets import stacked_mnist
from genbench.errors import GenbenchError
from genbench.features import load
from genbench.metrics import classes
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows
from genbench.space import Space

SMALL = {"train": 600, "validation": 50, "test": 300}


@pytest.fixture(scope="module")
def mnist(data_root):
    return datasets.load("mnist", data_root)


def test_every_channel_is_a_digit_of_its_own_split_and_the_label_reads_them():
    digits = datasets.load("digits")
    data = stacked_mnist.stacked(digits, {"train": 40, "validation": 5, "test": 30})
    assert data.space == Space((3, 8, 8), levels=17)
    for split in datasets.SPLITS:
        known = {x.tobytes(): y for x, y in zip(digits.split(split), digits.labels[split], strict=True)}
        for x, label in zip(data.split(split), data.labels[split], strict=True):
            assert [known[channel.tobytes()] for channel in x] == [label // 100, label // 10 % 10, label % 10]
    again = stacked_mnist.stacked(digits, {"train": 40, "validation": 5, "test": 30})
    assert again.sha256 == data.sha256


def test_the_sizes_are_those_of_the_protocol(mnist):
    data = stacked_mnist.stacked(mnist, stacked_mnist.SIZES)
    assert {split: len(data.split(split)) for split in datasets.SPLITS} == stacked_mnist.SIZES
    assert len(np.unique(data.labels["train"])) == data.n_classes == 1000
    # Triples are independent draws: the share of each first digit is that of MNIST, to four standard errors.
    for split, digit in (("train", 1), ("test", 8)):
        p = np.mean(mnist.labels[split] == digit)
        n = stacked_mnist.SIZES[split]
        for place in (100, 10, 1):
            share = np.mean(data.labels[split] // place % 10 == digit)
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_the_classifier_of_triples_is_three_classifiers(mnist):
    data = stacked_mnist.stacked(mnist, SMALL)
    extractor = load("stacked-mnist-cnn", data.space)
    one = load("mnist-cnn", mnist.space)
    features, logits = extractor(data.test, batch_size=70)
    apart = [one(data.test[:, c : c + 1]) for c in range(3)]
    np.testing.assert_allclose(features, np.concatenate([f for f, _ in apart], axis=1), rtol=1e-4, atol=1e-4)
    p = [softmax(part.astype(np.float64), axis=1) for _, part in apart]
    joint = np.einsum("na,nb,nc->nabc", *p).reshape(-1, 1000)
    np.testing.assert_allclose(
        softmax(logits.astype(np.float64), axis=1), joint, rtol=1e-3, atol=1e-6
    )  # float32 logits
    digits = np.stack([part.argmax(1) for _, part in apart])
    assert np.array_equal(logits.argmax(1), digits.T @ [100, 10, 1])
    assert np.mean(logits.argmax(1) == data.labels["test"]) > 0.95
    between = extractor.between(torch.from_numpy(data.test[:5].astype(np.float64)))
    np.testing.assert_allclose(between.numpy(), features[:5], rtol=1e-4, atol=1e-4)


def test_modes_are_counted_by_the_metric_classes():
    # Triples 000 and 999 seen once each; training has 000 three times and 123 once. Of the two training modes one
    # is seen, and a mode that training lacks is infinitely far.
    logits = np.zeros((2, 1000))
    logits[[0, 1], [0, 999]] = 1
    found = classes.compute(logits, np.array([0, 0, 0, 123]))
    assert (found["classes"].value, found["classes"].details["of"]) == (1, 2)
    assert found["classes_kl"].value == np.inf


def test_real_triples_reach_the_modes_and_one_digit_only_ten(tmp_path, mnist):
    data = stacked_mnist.stacked(mnist, SMALL)
    np.savez(tmp_path / "same.npz", x=np.repeat(mnist.test[:300], 3, axis=1))  # the same digit thrice
    todo = plan(
        Suite("stacked-mnist", ("classes", "classes-kl"), "stacked-mnist-cnn", protocol=Protocol(n_samples=300)),
        replace(data, labels={**data.labels, "train": np.arange(600) % 1000}),
        [parse("data:test", data), parse(f"samples:{tmp_path / 'same.npz'}", data)],
    )
    run = Run(tmp_path / "run")
    assert evaluate(todo, run, "cpu").failed == 0
    shown = [r for r in in_rows([run]) if r.metric["name"].startswith("classes[")]
    counts = {r.model["name"]: np.array(r.details["counts"]) for r in shown}
    assert (counts["real test data"] > 0).sum() > 200
    seen = np.flatnonzero(counts["same"])
    assert counts["same"][np.arange(10) * 111].sum() == 300
    assert set(seen) <= set(range(0, 1000, 111))


def test_other_spaces_are_refused():
    for space in (Space((1, 28, 28), levels=256), Space((3, 28, 28))):
        with pytest.raises(GenbenchError, match="stacked-mnist-cnn"):
            load("stacked-mnist-cnn", space)
