"""Standings: what is paired, what counts as independent, who has no rank, and that a packed board says the same."""

import math
from dataclasses import replace

import numpy as np
import pytest

from genbench.boards.columns import boards
from genbench.boards.markdown import markdown
from genbench.boards.publishing import packed_values
from genbench.boards.ranks import rank
from genbench.run.records import Run
from genbench.space import Space

SPACE = Space((1, 8, 8), levels=17)
N = 200


@pytest.fixture
def measured(record, tmp_path):
    """Makes a run of models with given log-likelihoods `[n]`, and their records: {model: nats}."""
    run = Run(tmp_path / "run")

    def make(models: dict[str, np.ndarray], metric="nll", **changes):
        records = []
        for number, (model, nats) in enumerate(models.items()):
            bits = -SPACE.bits_per_dim(1.0) * nats
            key = f"{number:016x}"
            run.put_arrays(key, {"values": nats, "ess": np.ones(len(nats))})
            stderr = float(bits.std(ddof=1) / math.sqrt(len(nats)))
            value = float(bits.mean())
            more = {"stderr": stderr, "arrays": {"log_likelihood": key}, **changes}
            records.append(record(model, metric, value, 1.96 * stderr, **more))
        return run, records

    return make


def ranked(records, runs=()):
    found = boards(records)
    rank(found, list(runs))
    return found


def stood(records, runs):
    found = ranked(records, runs)
    return {c.name: c.standing for c in found[0].columns}


def test_likelihoods_are_paired_and_other_numbers_are_not(measured, record):
    """Examples differ by far more than models do: only example by example are these apart."""
    rng = np.random.default_rng(0)
    hard = -100 * rng.random(N)
    run, records = measured({"a": hard, "b": hard - 0.5 + 0.1 * rng.standard_normal(N)})
    standing = stood(records, [run])["nll"]
    assert standing.ranks == {"a": (1, 1), "b": (2, 2)}
    assert (standing.best, standing.said) == (("a",), "example by example")
    alone = stood(records, [])["nll"]
    assert alone.ranks == {"a": (1, 2), "b": (1, 2)}
    assert (alone.best, alone.said) == (("a", "b"), "as if independent")


def test_a_copy_under_another_name_is_never_set_apart(measured):
    hard = -100 * np.random.default_rng(0).random(N)
    run, records = measured({"a": hard, "again": hard, "b": hard - 50})
    standing = stood(records, [run])["nll"]
    assert standing.ranks == {"a": (1, 2), "again": (1, 2), "b": (3, 3)}
    assert {*standing.best} == {"a", "again"}


def test_pieces_of_one_text_are_compared_over_batches(measured):
    """Two models that differ in scenes of 20 windows: taken one by one, the windows would set them apart."""
    rng = np.random.default_rng(4)
    scenes = np.repeat(rng.standard_normal(N // 20), 20)
    other = scenes - scenes.mean() + 0.35
    models = {"a": np.zeros(N), "b": other}
    run, records = measured(models)
    assert stood(records, [run])["nll"].ranks == {"a": (2, 2), "b": (1, 1)}
    run, records = measured(models, details={"batches": 10})
    found = stood(records, [run])["nll"]
    assert (found.ranks, found.said) == ({"a": (1, 2), "b": (1, 2)}, "example by example")


def test_few_batches_set_apart_what_a_paired_t_test_does(measured):
    """Two models, ten batches: the sets part where t with 9 degrees of freedom goes beyond 2.26, and not before."""
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.standard_normal(10), 20)
    for t, apart in ((2.15, False), (2.40, True)):
        shift = t * noise[::20].std(ddof=1) / math.sqrt(10)
        models = {"a": np.zeros(N), "b": noise - noise.mean() + shift}
        run, records = measured(models, details={"batches": 10})
        assert (stood(records, [run])["nll"].ranks["b"] == (1, 1)) is apart


@pytest.fixture
def moving(record, tmp_path):
    """Makes records of FD that move with the training examples as said: {model: (value, deviations)}."""
    run = Run(tmp_path / "moving")

    def make(models: dict[str, tuple[float, np.ndarray]]):
        records = []
        for number, (model, (value, e)) in enumerate(models.items()):
            key = f"{number:016x}"
            run.put_arrays(key, {"values": e})
            more = {"stderr": 1.01 * float(np.linalg.norm(e)), "arrays": {"shared": key}}
            records.append(record(model, "fd[x]", value, 1.0, "estimate", {"unit": "share"}, **more))
        return run, records

    return make


def test_samples_are_compared_with_the_training_examples_that_they_share(moving):
    """Moving together a difference of 1 is seen, that independent ones would hide; moving apart one of 2.2 is not."""
    e = np.random.default_rng(0).standard_normal(50) / math.sqrt(50)  # a standard error of about 1
    run, records = moving({"a": (1.0, e), "b": (2.0, e)})
    found = stood(records, [run])["fd[x]"]
    assert (found.ranks, found.said) == ({"a": (1, 1), "b": (2, 2)}, "with the training examples that they share")
    alone = stood(records, [])["fd[x]"]
    assert (alone.ranks, alone.said) == ({"a": (1, 2), "b": (1, 2)}, "as if independent")
    far = 1.96 * math.sqrt(2) * 1.01 * np.linalg.norm(e) * 1.1
    run, records = moving({"a": (1.0, e), "b": (1.0 + far, -e)})
    assert stood(records, [])["fd[x]"].ranks == {"a": (1, 1), "b": (2, 2)}
    assert stood(records, [run])["fd[x]"].ranks == {"a": (1, 2), "b": (1, 2)}


def test_where_one_says_nothing_of_what_it_shares_all_are_independent(moving):
    e = np.random.default_rng(0).standard_normal(50) / math.sqrt(50)
    run, records = moving({"a": (1.0, e), "b": (2.0, e), "c": (9.0, e[:10])})
    assert stood(records, [run])["fd[x]"].said == "as if independent", "of other lengths"
    records[2] = replace(records[2], arrays={})
    assert stood(records, [run])["fd[x]"].said == "as if independent"
    records[2] = replace(records[2], stderr=0.0)
    assert stood(records, [run])["fd[x]"].said == "with the training examples that they share", "it moves with nothing"
    records[2] = replace(records[2], value=None)
    assert stood(records, [run])["fd[x]"].ranks == {"a": (1, 1), "b": (2, 2), "c": (3, 3)}


def test_a_standard_error_of_few_groups_separates_no_more_than_its_interval_does(moving):
    """The same values and standard errors: apart by normal intervals, not by t with twice 4 degrees of freedom."""
    e = np.linalg.qr(np.random.default_rng(0).standard_normal((50, 2)))[0].T  # sharing nothing, standard errors 1.01
    run, records = moving({"a": (1.0, e[0]), "b": (1.0 + 2.15 * 1.01 * math.sqrt(2), e[1])})
    for times, last in ((1.96, 1), (2.7765, 2)):
        wide = [replace(r, ci95=(r.value - times * r.stderr, r.value + times * r.stderr)) for r in records]
        assert stood(wide, [run])["fd[x]"].ranks["a"] == (1, last)


def test_arrays_that_are_not_what_the_value_is_the_mean_of_are_not_used(measured):
    hard = -100 * np.random.default_rng(0).random(N)
    run, records = measured({"a": hard, "b": hard - 0.5})
    run.put_arrays(f"{1:016x}", {"values": hard})
    assert stood(records, [run])["nll"].said == "as if independent"


def test_a_packed_board_says_the_same_without_its_arrays(measured, tmp_path):
    rng = np.random.default_rng(0)
    hard = -100 * rng.random(N)
    run, records = measured({m: hard - i * 0.3 + 0.1 * rng.standard_normal(N) for i, m in enumerate("abc")})
    packed = Run(tmp_path / "board")
    packed.write(packed.replicates, packed_values({f"{i:016x}": run.example_values(f"{i:016x}") for i in range(3)}))
    assert stood(records, [packed]) == stood(records, [run])
    assert stood(records, [packed])["nll"].said == "example by example"


def test_real_data_copies_of_them_and_failures_have_no_rank(record, missing):
    fd = {"unit": "share"}
    values = {"a": 3.0, "b": 90.0, "copier": 1.0}
    records = [record(m, "fd[x]", v, 1.0, "estimate", fd, stderr=0.5) for m, v in values.items()]
    records += [record("real", "fd[x]", 0.5, 1.0, "estimate", fd, family="reference", stderr=0.5)]
    records += [missing("none", "fd[x]"), record("guess", "fd[x]", 4.0, 1.0, "estimate", fd)]
    records += [
        record("copier", "copies", 1.0, details={"flagged": True}, stderr=0.1),
        record("a", "copies", stderr=0.1),
    ]
    found = stood(records, [])
    assert found["fd[x]"].ranks == {"a": (1, 1), "b": (2, 2)}
    assert found["fd[x]"].best == ("a",)
    assert "copier" in found["copies"].ranks  # the question of copying ranks it


def test_a_likelihood_that_is_infinite_is_last_for_certain(record):
    records = [record("a", value=1.0, stderr=0.1), record("b", value=1.1, stderr=0.1), record("c", value=None)]
    assert stood(records, [])["nll"].ranks == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


@pytest.mark.parametrize(
    ("direction", "hopeful", "certified", "values"),
    [
        ("lower", "lower_bound", "exact", {"a": 2.0, "b": 1.0, "c": 3.0}),
        ("lower", "lower_bound", "upper_bound", {"a": 2.0, "b": 1.0, "c": 3.0}),
        ("lower", "lower_bound", "estimate", {"a": 2.0, "b": 1.0, "c": 3.0}),
        ("higher", "upper_bound", "exact", {"a": 2.0, "b": 3.0, "c": 1.0}),
        ("higher", "upper_bound", "lower_bound", {"a": 2.0, "b": 3.0, "c": 1.0}),
    ],
)
def test_a_bound_that_flatters_has_no_rank_beside_what_certifies(record, direction, hopeful, certified, values):
    """NLL >= 1 may be any larger number; that it is 1 beside an exact 2 makes it no better."""
    card, kinds = {"direction": direction}, {"a": certified, "b": hopeful, "c": certified}
    records = [record(m, "nll", v, 0.1, kinds[m], card, stderr=0.01) for m, v in values.items()]
    standing = stood(records, [])["nll"]
    assert standing.ranks == {"a": (1, 1), "c": (2, 2)}
    assert standing.best == ("a",)
    text = markdown(ranked(records))
    assert "no rank has b" in text
    alike = [record(m, "nll", v, 0.1, hopeful, card, stderr=0.01) for m, v in values.items()]
    assert stood(alike, [])["nll"].ranks["b"] == (1, 1)  # as numbers, bounds of one kind have an order


@pytest.mark.parametrize(
    "records",
    [
        lambda record: [record("a", stderr=0.1)],
        lambda record: [record("a"), record("b")],
        lambda record: [record(m, card={"direction": "none"}, stderr=0.1) for m in "ab"],
        lambda record: [record("a", value=None), record("b", value=None)],
    ],
    ids=["one model", "no standard errors", "no better side", "nothing finite"],
)
def test_a_column_without_ranks_says_nothing(records, record):
    assert stood(records(record), []) == {"nll": None}


def test_higher_is_better_where_the_card_says_so(record):
    card = {"direction": "higher", "unit": "share"}
    records = [record(m, "recall", v, 0.1, "estimate", card, stderr=0.01) for m, v in {"a": 0.2, "b": 0.9}.items()]
    assert stood(records, [])["recall"].best == ("b",)
