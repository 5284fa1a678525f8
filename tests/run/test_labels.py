"""Labels from a file: the classes that samples are drawn for, or those of samples that were drawn elsewhere."""

import json
import math

import numpy as np
import pytest
import torch

import genbench
from genbench import Space, datasets
from genbench.datasets._labels import digest, labels_at
from genbench.errors import GenbenchError
from genbench.models.adapters import parse

RNG = np.random.default_rng(0)


class Classes(torch.nn.Module):
    """Draws the image whose pixels all equal the class that is asked; without one a class at random."""

    space = Space((1, 8, 8), levels=17)
    n_classes = 10

    def sample(self, n, generator, labels=None):
        if labels is None:
            labels = torch.randint(10, (n,), generator=generator)
        return labels[:, None, None, None].expand(n, 1, 8, 8).clone()


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


# ---- files


@pytest.mark.parametrize("way", ["npy", "npz", "npz alone", "txt", "csv", "windows"])
def test_labels_are_read_from_every_kind_of_file(way, tmp_path):
    y = RNG.integers(10, size=50)
    path = tmp_path / f"y.{way.split()[0] if way != 'windows' else 'txt'}"
    if way == "npy":
        np.save(path, y.astype(np.uint8))
    elif way == "npz":
        np.savez(path, x=np.zeros((50, 2)), labels=y)
    elif way == "npz alone":
        np.savez(path, y)
    else:
        path.write_bytes(("\r\n" if way == "windows" else "\n").join(map(str, y)).encode() + b"\n" * (way == "txt"))
    found = labels_at(path)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, y)
    assert digest(found) == digest(y)


@pytest.mark.parametrize("shape", [(1,) * 71, (2, 3), (), (0,)])
def test_arrays_of_other_shapes_hold_no_labels(shape, tmp_path):
    """Also of more dimensions than NumPy has, as a header can say."""
    with open(tmp_path / "y.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "|u1"})
        file.write(bytes(math.prod(shape)))
    with pytest.raises(GenbenchError, match="holds no labels"):
        labels_at(tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no labels"),
        (b"1\n\n2\n", "line 2: b'' is no label"),
        (b"label\n1\n", "line 1: b'label' is no label"),
        (b"1,2\n", "line 1: b'1,2' is no label"),
        (b"1.0\n", "is no label"),
        (b"-1\n", "is no label"),
        (b"99999999999999999999\n", "is no label"),
        (b"70000\n", "too large for a class"),
        (b"\xd9\xa1\n", "is no label"),  # a digit of another script
    ],
)
def test_text_that_is_no_labels_is_refused(content, problem, tmp_path):
    (tmp_path / "y.txt").write_bytes(content)
    with pytest.raises(GenbenchError, match=problem):
        labels_at(tmp_path / "y.txt")


@pytest.mark.parametrize("y", [np.zeros((3, 2), int), np.array([0.5]), np.array([-1]), np.array([object()])])
def test_arrays_that_are_no_labels_are_refused(y, tmp_path):
    np.save(tmp_path / "y.npy", y, allow_pickle=True)
    with pytest.raises(GenbenchError, match=r"no labels|Python objects"):
        labels_at(tmp_path / "y.npy")
    with pytest.raises(GenbenchError, match="no labels at"):
        labels_at(tmp_path / "absent.npy")


# ---- of models


@pytest.fixture
def ink(tmp_path):
    """A metric that says what samples were drawn, and for what."""
    path = tmp_path / "ink.py"
    path.write_text(
        '''"""Sums of samples and of labels."""
from genbench import Measure
VERSION = 1
NEEDS = ("samples", "class_samples", "class_labels")
CARD = 0
OUTPUTS = {
    "ink": {"unit": "units", "direction": "none", "title": "sum", "group": "fidelity", "place": 5000.5},
    "agree": {"unit": "share", "direction": "none", "title": "agree", "group": "fidelity", "place": 5001.5},
}
REFERENCE = "none"
def compute(samples, class_samples, class_labels):
    same = float((class_samples[:, 0, 0, 0] == class_labels).mean())
    return {
        "ink": Measure(float(samples.sum()), "exact", None, None, "none"),
        "agree": Measure(same, "exact", None, None, "none"),
    }
'''
    )
    return path


def measured(records):
    assert all(r.status == "ok" for r in records), [r.error for r in records]
    return {r.metric["name"]: r for r in records}


def test_a_conditional_model_draws_for_the_labels_that_are_given(ink):
    from genbench import catalog

    catalog.use_plugin(str(ink))
    y = np.repeat([1, 7], 120)
    found = measured(genbench.evaluate(Classes(), "digits", ["ink", "agree"], labels=y))
    assert found["ink"].value == 64 * y.sum()  # samples are those of the labels, in every block
    assert found["agree"].value == 1
    assert found["ink"].protocol["labels"] == digest(y)
    assert found["ink"].protocol["n_samples"] == 240
    in_turn = measured(genbench.evaluate(Classes(), "digits", ["ink", "agree"], samples=240))
    assert "labels" not in in_turn["ink"].protocol
    assert in_turn["agree"].value == 1
    assert in_turn["ink"].cell_id != found["ink"].cell_id
    other = measured(genbench.evaluate(Classes(), "digits", ["ink"], labels=y[::-1].copy()))
    assert other["ink"].value == found["ink"].value
    assert other["ink"].cell_id != found["ink"].cell_id  # another order is another protocol


def test_labels_do_not_change_what_does_not_depend_on_them(tmp_path, cli, pixels_checkpoint):
    (tmp_path / "y.txt").write_text("1\n" * 100)
    line = ["evaluate", pixels_checkpoint, "--metrics", "nll,copies", "--samples", 100, "-o", tmp_path / "run"]
    assert cli(*line)[0] == 0
    code, _, err = cli(*line, "--labels", tmp_path / "y.txt")
    assert code == 0
    assert "nll" not in "".join(x for x in err.splitlines() if x.startswith("ok"))
    records = [json.loads(p.read_text()) for p in (tmp_path / "run/cells").iterdir()]
    copies = [r["value"] for r in records if r["metric"]["name"] == "copies"]
    assert len(copies) == 4  # two rows under two protocols
    assert len(set(copies)) <= 2  # no row is conditional
    code, _, err = cli("verify", tmp_path / "run", pixels_checkpoint, "--cells", "all")
    assert code == 0, err  # of labels a record holds the hash alone: those cells are counted as without a source
    assert "2 no checkpoint, 4 same bits" in err


@pytest.mark.parametrize(
    ("labels", "given", "problem"),
    [([1] * 9, {"samples": 10}, "9 labels for 10 samples"), ([[1]], {}, "holds no labels"), ([-1], {}, "no labels")],
)
def test_labels_that_do_not_fit_are_refused(labels, given, problem):
    with pytest.raises(GenbenchError, match=problem):
        genbench.evaluate(Classes(), "digits", ["copies"], labels=np.array(labels), **given)


def test_a_class_that_the_model_does_not_know_is_a_reason():
    (record,) = genbench.evaluate(Classes(), "digits", ["copies"], labels=np.array([3, 10]))
    assert record.status == "skipped"
    assert "a label is 10, the model knows the classes 0 to 9" in record.error["message"]


# ---- of samples


def test_given_samples_have_the_labels_of_the_file(tmp_path, digits):
    np.save(tmp_path / "x.npy", digits.test)
    np.save(tmp_path / "y.npy", digits.labels["test"])
    source = parse(f"samples:{tmp_path / 'x.npy'}?labels={tmp_path / 'y.npy'}", digits)
    assert source.open(digits, "cpu").labels.tolist() == digits.labels["test"].tolist()
    bare = parse(f"samples:{tmp_path / 'x.npy'}", digits)
    assert bare.key != source.key
    np.save(tmp_path / "z.npy", digits.labels["test"][::-1])
    assert parse(f"samples:{tmp_path / 'x.npy'}?labels={tmp_path / 'z.npy'}", digits).key != source.key
    (tmp_path / "y.txt").write_text("\n".join(map(str, digits.labels["test"])))
    again = parse(f"samples:{tmp_path / 'x.npy'}?labels={tmp_path / 'y.txt'}", digits)
    assert again.key == source.key  # the labels count, not their file


def test_given_labels_measure_what_labels_in_the_file_of_samples_do(tmp_path, digits, cli):
    x, y = digits.test[:200], digits.labels["test"][:200]
    np.save(tmp_path / "bare.npy", x)
    np.savez(tmp_path / "own.npz", x=x, labels=y)
    np.save(tmp_path / "y.npy", y)
    line = ["--metrics", "fd-per-class", "-o", tmp_path / "run"]
    code, _, err = cli("evaluate", "a=samples:bare.npy", "b=samples:own.npz", *line, "--labels", "y.npy")
    assert code == 0, err
    records = [json.loads(p.read_text()) for p in (tmp_path / "run/cells").iterdir()]
    values = [r["value"] for r in records if r["model"]["adapter"] == "samples"]
    assert len(values) == 2
    assert values[0] == values[1]


def test_labels_that_contradict_the_samples_own_are_refused(tmp_path, digits):
    np.savez(tmp_path / "x.npz", x=digits.test[:20], labels=digits.labels["test"][:20])
    for y, problem in (
        (np.zeros(20, int), "has labels of its own"),
        (np.zeros(19, int), "19 labels are given for the 20"),
    ):
        np.save(tmp_path / "y.npy", y)
        source = parse(f"samples:{tmp_path / 'x.npz'}?labels={tmp_path / 'y.npy'}", digits)
        with pytest.raises(GenbenchError, match=problem):
            source.open(digits, "cpu")


@pytest.mark.parametrize(
    ("name", "clear"),
    [
        ("{}.png", False),
        ("sample_{}.png", False),
        ("part-{}/x.png", False),
        ("{:03}.png", True),
        ("a{:02}_8x8.png", True),
    ],
)
def test_files_whose_numbers_and_names_order_them_otherwise_take_no_labels(name, clear, tmp_path, digits):
    """Nobody knows whose label is whose: of 0.png, 1.png, 10.png the third is not the third that was drawn."""
    from PIL import Image

    for i in range(12):
        path = tmp_path / "folder" / name.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.train[i, 0]).save(path)
    np.save(tmp_path / "y.npy", digits.labels["train"][:12])
    source = parse(f"samples:{tmp_path / 'folder'}?labels={tmp_path / 'y.npy'}", digits)
    if clear:
        model = source.open(digits, "cpu")
        np.testing.assert_array_equal(model.fixed, digits.train[:12])
        np.testing.assert_array_equal(model.labels, digits.labels["train"][:12])
    else:
        with pytest.raises(GenbenchError, match="which label belongs to which file is not clear"):
            source.open(digits, "cpu")
        parse(f"samples:{tmp_path / 'folder'}", digits).open(digits, "cpu")  # without labels no order matters
