"""Claims: verdicts on boards where the truth is known, and closed forms against simulation."""

import ast
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import stats

from genbench.boards.publishing import publish
from genbench.files import content_key
from genbench.run.records import Record, Run
from genbench.space import Space
from genbench.studies import claims
from genbench.studies.claims import (
    Claim,
    Finding,
    likelihood_measures_samples,
    losses_at_a_distance,
    prior_draws_are_wasted,
    raising_the_elbo,
    reparameterised_gradients,
    straight_lines_leave_the_prior,
)

REPOSITORY = Path(__file__).parents[2]


def of(*says):
    return Claim("made", ModuleType("made"), tuple(Finding("x", "1", "", one) for one in says))


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        (["for", "for"], "confirmed"),
        (["for", "open"], "undecided"),
        (["open"], "undecided"),
        (["for", "against", "open"], "refuted"),
        ([], "undecided"),
    ],
)
def test_one_finding_refutes_and_all_confirm(says, verdict):
    assert of(*says).verdict == verdict


# --- Pairs, on boards where the truth is known


def board(root, values, seeds=()):
    """A board `page` whose models have the values (value, half-width, kind) in `nll`; of `seeds` the mean of two."""
    run = Run(root / "run")
    rows = {}
    for model, (value, half, kind) in values.items():
        for number in range(1 + (model in seeds)):
            name = f"{model}-{number}" if model in seeds else model
            record = Record(
                cell_id=content_key([name, "nll"]), run_id="run", status="ok",
                model={"key": content_key(name), "family": "flow", "parameters": 1},
                dataset={"name": "page", "split": "test", "sha256": "f" * 64, "n": 500,
                         "space": {"shape": [1, 8, 8], "levels": 17}},
                metric={"name": "nll", "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}},
                protocol={"seed": 0}, value=value + 0.001 * number, kind=kind, stderr=half / 1.96,
                ci95=(value - half, value + half), env={"device": "cpu", "threads": 1}, ended="2026-01-01",
            )  # fmt: skip
            run.put(record)
            members = [content_key(f"{model}-{k}") for k in range(2)]
            rows[content_key(["row", name])] = {
                "name": name, "model": content_key(name), "planned": "2026-01-01", "cells": {record.cell_id: "nll"},
                "seeds": {"name": model, "members": members} if model in seeds else None,
            }  # fmt: skip
    run.write_manifest({"run_id": "run", "rows": rows})
    publish([run], root / "boards" / "page")
    return root / "boards"


def verdict_of(root, *pairs, **marks):
    claim = ModuleType("made")
    vars(claim).update(marks)
    found = claims.of_pairs([claims.Pair("page", "nll", *pair) for pair in pairs], root, {}, claim)
    return Claim("made", claim, tuple(found))


VALUES = {
    "best": (1.0, 0.01, "exact"),
    "good": (1.5, 0.01, "exact"),
    "near": (1.505, 0.01, "exact"),
    "loose": (1.8, 0.01, "upper_bound"),
    "tight": (0.9, 0.01, "upper_bound"),
}


def test_a_true_effect_is_confirmed_its_contrary_refuted_and_none_is_neither(tmp_path):
    root = board(tmp_path, VALUES)
    assert verdict_of(root, ("best", "good"), ("best", "near")).verdict == "confirmed"
    assert verdict_of(root, ("best", "good"), ("good", "best")).verdict == "refuted"
    assert verdict_of(root, ("good", "near")).verdict == "undecided"  # too little data


def test_a_bound_confirms_nothing_of_what_it_bounds_but_refutes(tmp_path):
    root = board(tmp_path, VALUES)
    against_bound = verdict_of(root, ("best", "loose"))
    assert against_bound.verdict == "undecided"
    assert "not decided" in against_bound.findings[0].why
    assert verdict_of(root, ("best", "loose"), OF_BOUNDS=True).verdict == "confirmed"
    assert verdict_of(root, ("best", "tight")).verdict == "refuted"  # the truth is lower still


def test_where_training_decides_one_training_leaves_a_claim_open(tmp_path):
    root = board(tmp_path, VALUES, seeds=("best", "good"))
    assert verdict_of(root, ("best", "near")).verdict == "confirmed"
    single = verdict_of(root, ("best", "near"), OF_TRAINING=True)
    assert single.verdict == "undecided"
    assert "one training each" in single.findings[0].why
    several = verdict_of(root, ("best", "good"), OF_TRAINING=True)
    assert several.verdict == "confirmed"
    assert several.findings[0].why == "2 trainings each"


def test_what_is_not_on_a_board_leaves_a_claim_open(tmp_path):
    root = board(tmp_path, VALUES)
    claim = verdict_of(root, ("best", "nobody"), ("best", "good"))
    assert [f.says for f in claim.findings] == ["open", "for"]
    assert claim.findings[0].why == "not on the board"


# --- Computations, by simulation


def test_gradients_at_a_distance_are_those_of_samples():
    s, rng = 2.0, np.random.default_rng(0)
    x = rng.normal(s, 1, 400_000)
    D = stats.norm.pdf(x) / (stats.norm.pdf(x) + stats.norm.pdf(x, s))
    draws = {"minimax": s * D, "non-saturating": s * (1 - D), "least squares": s * D * (1 - D) ** 2}
    found = losses_at_a_distance.gradients(s)
    for loss, each in draws.items():
        assert abs(found[loss] - each.mean()) < 4 * each.std() / math.sqrt(len(each)), loss
    assert losses_at_a_distance.divergences(0.0) == pytest.approx({"JS": 0.0, "KL": 0.0}, abs=1e-12)
    assert losses_at_a_distance.divergences(10.0)["JS"] == pytest.approx(math.log(2), abs=1e-6)


def test_variances_of_gradients_are_those_of_draws():
    e = np.random.default_rng(1).standard_normal(2_000_000)
    delta, k = 1.5, 2.0
    square = (delta + e) ** 2
    drawn = [2 * (delta + e), square * e, (square - delta**2 - 1) * e]
    waves = [k * np.cos(k * e), np.sin(k * e) * e]
    expected = (*reparameterised_gradients.of_parabola(delta), *reparameterised_gradients.of_wave(k))
    for each, variance in zip([*drawn, *waves], expected, strict=True):
        spread = np.square(each - each.mean()).std() / math.sqrt(len(e))
        assert abs(each.var() - variance) < 4 * spread + 1e-9


def test_the_share_of_draws_that_count_is_that_of_draws():
    """The log of (E w)^2 / E w^2, with E over a million draws, averaged over 200 x in one dimension."""
    s, rng = 0.5, np.random.default_rng(2)
    z, logs = rng.standard_normal(1_000_000), []
    for x in rng.normal(0, math.sqrt(1 + s * s), 200):
        w = stats.norm.pdf(x, z, s)
        logs.append(math.log(w.mean() ** 2 / np.square(w).mean()))
    assert abs(np.mean(logs) - prior_draws_are_wasted.log_share(s)) < 4 * np.std(logs) / math.sqrt(len(logs)) + 0.01


def test_the_middle_of_lines_is_as_short_as_drawn():
    a, b = np.random.default_rng(3).standard_normal((2, 100_000, 16))
    share = (np.square((a + b) / 2).sum(1) < stats.chi2.ppf(0.01, 16)).mean()
    assert abs(share - straight_lines_leave_the_prior.of_lines(16)) < 4 * math.sqrt(share * (1 - share) / 100_000)


def test_the_elbo_is_the_likelihood_less_a_divergence():
    """The gap is KL(q || p) by the formula for normal distributions, of the best diagonal q, which no other beats."""
    W = torch.tensor([[1.5, 0.7], [0.2, 1.1]], dtype=torch.float64)
    precision = torch.eye(2, dtype=torch.float64) + W.T @ W / raising_the_elbo.NOISE**2
    posterior = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), precision_matrix=precision)

    def kl(variances):
        q = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.diag(variances))
        return float(torch.distributions.kl_divergence(q, posterior))

    best = 1 / precision.diagonal()
    assert float(raising_the_elbo.gap(W)) == pytest.approx(kl(best), abs=1e-12)
    assert all(kl(best * torch.tensor(c, dtype=torch.float64)) > kl(best) for c in ([1.1, 1.0], [1.0, 0.9], [0.8, 1.2]))


def test_mostly_noise_is_a_distribution_that_costs_at_most_log_100():
    space = Space((1, 1, 2), levels=3)

    class Sure(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.space = space

        def log_prob(self, x):
            return torch.where(x.flatten(1).sum(1) == 0, 0.0, -math.inf)

        def sample(self, n, generator):
            return torch.zeros(n, *space.shape, dtype=torch.long)

    model = likelihood_measures_samples.MostlyNoise(Sure())
    every = torch.cartesian_prod(*[torch.arange(3)] * 2).view(-1, 1, 1, 2)
    log_p = model.log_prob(every)
    assert float(log_p.exp().sum()) == pytest.approx(1.0)
    assert -float(log_p.max()) <= math.log(100)


# --- All of them


@pytest.mark.parametrize("name", claims.names())
def test_a_claim_says_what_it_is(name):
    """One sentence with a source, a measure and a reach, as literals; and something that decides it."""
    tree = ast.parse((claims.HERE / f"{name}.py").read_text())
    plain = [n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    given = {n.targets[0].id: n.value for n in plain}
    for part in ("SENTENCE", "SAID_BY", "DECIDED_BY", "CARRIES"):
        assert ast.literal_eval(given[part]).strip()
    assert ast.literal_eval(given["SENTENCE"]).endswith(".")
    assert ("PAIRS" in given) != any(isinstance(n, ast.FunctionDef) and n.name == "measure" for n in tree.body)


def test_the_document_is_what_boards_and_computations_say(cli):
    code, _, err = cli("claims", "--boards", str(REPOSITORY / "leaderboards"), "--check", "-o",
                       str(REPOSITORY / "docs" / "claims.md"))  # fmt: skip
    assert code == 0, err


def test_the_command_names_what_it_does_not_know(cli, tmp_path):
    code, _, err = cli("claims", "losses_at_distance", "--boards", str(REPOSITORY / "leaderboards"))
    assert code == 2
    assert "losses_at_a_distance" in err
    code, _, err = cli("claims", "--boards", str(tmp_path / "none"))
    assert code == 2
    assert "--boards" in err
