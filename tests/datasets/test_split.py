"""Data of one's own: how it is split is said, can be kept, and copies across splits are counted."""

import numpy as np
import pytest

from genbench import datasets
from genbench.datasets import SPLITS
from genbench.errors import GenbenchError

DISTINCT = np.arange(60 * 4, dtype=np.uint8).reshape(60, 1, 2, 2)
LABELS = np.arange(60) % 3


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", x=DISTINCT, labels=LABELS)
    return "own.npz"


def test_a_split_that_nobody_named_is_said_once(path, cli):
    code, out, err = cli("describe", path)
    assert code == 0
    assert err.count("names no splits") == 1
    assert "48 train, 6 validation, 6 test" in err
    assert "`genbench split own.npz -o FILE.npz`" in err
    assert "warning" not in err
    assert "names no splits" not in out


def test_the_kept_split_is_the_one_that_was_taken_in_silence_before(path, cli, capsys):
    assert cli("split", path, "-o", "parts.npz")[:2] == (0, "parts.npz: 48 train, 6 validation, 6 test\n")
    parts = datasets.load("parts.npz")
    assert parts.sha256 == datasets.load(path).sha256
    train, validation, test = np.split(np.random.RandomState(0).permutation(60), [48, 54])
    for split, index in (("train", train), ("validation", validation), ("test", test)):
        assert (parts.split(split) == DISTINCT[index]).all()
    capsys.readouterr()
    assert "names no splits" not in cli("describe", "parts.npz")[2]


@pytest.mark.parametrize(
    "x",
    [
        DISTINCT,
        DISTINCT > 99,
        np.random.default_rng(0).normal(size=(40, 3)),
        np.arange(40 * 2).reshape(40, 2),
    ],
    ids=["bytes", "bits", "real", "levels"],
)
def test_what_is_kept_is_read_again_as_it_was(x, cli, recwarn):
    np.savez("own.npz", x=x, **({"levels": 1000} if x.dtype == int else {}))
    assert cli("split", "own.npz", "-o", "parts.npz", "--test", "0.3", "--validation", "0.2", "--seed", "5")[0] == 0
    parts = datasets.load("parts.npz")
    assert (len(parts.validation), len(parts.test)) == (len(x) // 5, 3 * len(x) // 10)
    assert parts.space == datasets.load("own.npz").space
    together = np.concatenate([parts.split(s).reshape(-1, x[0].size) for s in SPLITS])
    assert sorted(map(tuple, together)) == sorted(map(tuple, x.reshape(len(x), -1).astype(together.dtype)))


def test_labels_go_with_their_examples_and_seeds_give_splits_of_their_own(path, cli):
    found = []
    for seed in (0, 1):
        assert cli("split", path, "-o", "parts.npz", "--seed", seed)[0] == 0
        parts = datasets.load("parts.npz")
        for split in SPLITS:
            rows = parts.split(split)[:, 0, 0, 0] // 4
            assert (parts.labels_of(split) == rows % 3).all()
        found.append(set(parts.test[:, 0, 0, 0]))
    assert found[0] != found[1]


@pytest.mark.parametrize(("share", "n", "size"), [(0.29, 100, 29), (0.1, 70, 7), (0.7, 10, 7), (0.1, 19, 1)])
def test_a_share_is_rounded_down_and_not_by_rounding_errors(share, n, size, cli):
    """0.29 x 100 is 28.999... in binary."""
    np.savez("own.npz", x=np.arange(2 * n, dtype=np.uint8).reshape(n, 2))
    assert cli("split", "own.npz", "-o", "parts.npz", "--test", share)[0] == 0
    assert len(datasets.load("parts.npz").test) == size


def test_named_splits_are_taken_as_they_are(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", train=DISTINCT[:40], validation=DISTINCT[40:45], test=DISTINCT[45:])
    data = datasets.load(str(tmp_path / "a.npz"))
    assert (data.train == DISTINCT[:40]).all()
    assert (data.test == DISTINCT[45:]).all()
    assert capsys.readouterr().err == ""


def test_validation_that_is_missing_is_held_out_of_train_and_test_is_left_alone(tmp_path, capsys):
    y = {"train_labels": LABELS[:40], "test_labels": LABELS[40:]}
    np.savez(tmp_path / "a.npz", train=DISTINCT[:40], test=DISTINCT[40:], **y)
    data = datasets.load(str(tmp_path / "a.npz"))
    assert (len(data.train), len(data.validation)) == (36, 4)
    assert (data.test == DISTINCT[40:]).all()
    held = np.concatenate([data.train, data.validation])
    assert sorted(held[:, 0, 0, 0]) == sorted(DISTINCT[:40, 0, 0, 0])
    for split in SPLITS:
        assert (data.labels_of(split) == data.split(split)[:, 0, 0, 0] // 4 % 3).all()
    assert "4 of its 40 train examples are held out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("split", "other", "n"), [("test", "train", 3), ("validation", "train", 2), ("test", "validation", 1)]
)
def test_examples_in_two_splits_are_counted(split, other, n, tmp_path):
    parts = {"train": DISTINCT[:40].copy(), "validation": DISTINCT[40:50].copy(), "test": DISTINCT[50:].copy()}
    parts[split][:n] = parts[other][0]  # the same one, n times: each is a leak
    np.savez(tmp_path / "a.npz", **parts)
    message = f"{n} of 10 {split} examples are also in {other}:"
    with pytest.warns(UserWarning, match=message) as caught:
        datasets.load(str(tmp_path / "a.npz"))
    assert str(caught[0].message).count("also in") == 1


def test_copies_in_an_array_that_is_split_are_counted(cli):
    """Every example twice: of 6 in test, those whose other copy is not among them are in another split."""
    np.savez("own.npz", x=np.repeat(DISTINCT[:30], 2, axis=0))
    _, _, err = cli("split", "own.npz", "-o", "parts.npz")
    order = np.random.RandomState(0).permutation(60) // 2
    n = sum(i in set(order[:48]) for i in order[54:])
    assert n > 0
    assert f"{n} of 6 test examples are also in train" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("own.npz", "-o", "a.npz", "--test", "0"), "--test is 0"),
        (("own.npz", "-o", "a.npz", "--validation", "1.5"), "--validation is 1.5"),
        (("own.npz", "-o", "a.npz", "--test", "nan"), "--test is nan"),
        (("own.npz", "-o", "a.npz", "--test", "0.01"), "none is left for test"),
        (("own.npz", "-o", "a.npz", "--test", "0.5", "--validation", "0.5"), "none is left for train"),
        (("own.npz", "-o", "a.npz", "--seed", "-1"), "--seed is -1"),
        (("own.npz", "-o", "a.npy"), "a.npy is no .npz"),
        (("own.npz", "-o", "own.npz/a.npz"), "cannot write"),
        (("nothing.npz", "-o", "a.npz"), "nothing at nothing.npz"),
        (("named.npz", "-o", "a.npz"), "is split already"),
    ],
)
def test_a_split_that_cannot_be_is_refused_and_nothing_is_written(arguments, problem, path, cli, tmp_path):
    np.savez("named.npz", train=DISTINCT, validation=DISTINCT, test=DISTINCT)
    code, _, err = cli("split", *arguments)
    assert code == 2
    assert problem in err
    assert not (tmp_path / "a.npz").exists()


def test_few_examples_cannot_be_split(tmp_path):
    np.save(tmp_path / "few.npy", DISTINCT[:9])
    with pytest.raises(GenbenchError, match="holds 9 examples"):
        datasets.load(str(tmp_path / "few.npy"))


@pytest.mark.parametrize("name", ["digits", "ring8", "checkerboard"])
def test_describe_says_what_a_dataset_holds(name, cli):
    """Computed beside it from the arrays."""
    data = datasets.load(name)
    code, out, _ = cli("describe", name)
    facts = {words[0]: words[1] for line in out.splitlines() if len(words := line.split(maxsplit=1)) == 2}
    assert code == 0
    assert facts["shape"].split()[0] == "x".join(map(str, data.test[0].shape))
    for split in SPLITS:
        assert facts[split] == f"{len(data.split(split)):,} examples"
    assert (facts["licence"], facts["sha256"]) == (data.licence, data.sha256)
    assert facts["classes"] == (str(len(set(data.labels["train"]))) if data.labels else "no labels")
    assert facts["levels"].startswith("real numbers" if data.space.levels is None else f"{data.space.levels} ")


@pytest.mark.parametrize(
    ("train", "validation", "test", "said"),
    [
        ([0, 1, 0, 1], [0, 1], [1, 0], "2"),
        ([0, 1, 0, 1], [0, 1], [0, 2], "3 (of these 2 in train, 2 in validation, 2 in test)"),
        ([0, 0, 0, 0], [1, 0], [0, 1], "2 (of these 1 in train)"),
        ([0, 5, 0, 5], [0, 5], [0, 5], "6 (of these 2 in train, 2 in validation, 2 in test)"),
    ],
)
def test_the_classes_of_all_splits_are_counted(train, validation, test, said, tmp_path, cli):
    x, at = np.arange(8, dtype=np.uint8).reshape(8, 1), tmp_path / "own.npz"
    y = {"train_labels": train, "validation_labels": validation, "test_labels": test}
    np.savez(at, train=x[:4], validation=x[4:6], test=x[6:], levels=8, **y)
    code, out, err = cli("describe", at)
    assert code == 0, err
    assert next(line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("classes")) == said


def test_describe_shows_dataset_and_suite_of_one_name_and_data_at_a_path(path, cli):
    _, out, _ = cli("describe", "digits")
    assert out.startswith("dataset digits (genbench)")
    assert "\nsuite digits (genbench)" in out
    code, out, _ = cli("describe", path)
    assert code == 0
    for said in ("1x2x2 (channels, height, width)", "256 (integers 0..255)", "48 examples", "unknown"):
        assert said in out
    assert cli("describe", "nothing.npz")[0] == 2
