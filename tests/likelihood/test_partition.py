"""Annealed importance sampling of log Z beside its enumeration: intervals, bias, and what a record says of it."""

import math

import numpy as np
import pytest
import torch

from genbench import catalog, evaluate
from genbench.baselines.energy_based import rbm
from genbench.errors import ModelError
from genbench.likelihood import log_likelihood, partition
from genbench.likelihood.partition import log_partition
from genbench.metrics._likelihood import bits_per_dim
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 5), levels=2)


def machine(space: Space = SPACE, scale: float = 0.7, hidden: int = 8) -> rbm.EnumerableRBM:
    model = rbm.build(space, hidden=hidden)
    for p in (*model.parameters(), model.base):
        p.data = scale * torch.randn(p.shape, generator=seeded("weights", p.shape))
    return model


class Masses:
    """An RBM that does not say its sum, as one too large to be enumerated."""

    def __init__(self, model: rbm.RBM) -> None:
        self.space = model.space
        self.log_unnormalised, self.log_base_partition = model.log_unnormalised, model.log_base_partition
        self.sample_base, self.transition, self.sample = model.sample_base, model.transition, model.sample


@torch.no_grad()
def test_the_interval_holds_the_enumerated_log_z_in_at_least_90_of_100_seeds():
    model = machine()
    truth = float(model.log_partition())
    base = float(model.log_base_partition())
    assert abs(truth - base) > 2, "there is something to anneal over"
    found = [log_partition(model, 100, 100, seed) for seed in range(100)]
    held = sum(low <= truth <= high for low, high in (f.ci95 for f in found))
    assert held >= 90
    assert held < 100, "an interval that always holds says too little"
    # E w = Z / Z_0: the mean of exp over seeds is Z, within its own error
    ratios = np.exp([f.value - truth for f in found])
    assert ratios.mean() == pytest.approx(1, abs=4 * ratios.std() / 10)


@torch.no_grad()
def test_of_the_shipped_machine_annealing_finds_what_enumeration_finds():
    model = load(catalog.BASELINES / "checkpoints" / "digits-binary" / "rbm.safetensors")
    truth, found = float(model.log_partition()), log_partition(model, 2000, 100, 0)
    assert abs(truth - float(model.log_base_partition())) > 2
    assert abs(found.value - truth) < 4 * found.stderr < 0.5


@torch.no_grad()
def test_without_a_path_the_weights_are_those_of_importance_sampling():
    model = machine(scale=0.3)
    x = model.sample_base(50, seeded(3, "partition"))
    w = (model.log_unnormalised(x) - model.log_unnormalised(x, 0.0)).double()
    found = log_partition(model, 1, 50, 3)
    expected = float(model.log_base_partition()) + float(w.logsumexp(0)) - math.log(50)
    assert found.value == pytest.approx(expected, abs=1e-5)
    p = w.softmax(0)
    assert found.ess == pytest.approx(1 / float((p**2).sum()), rel=1e-6)


@torch.no_grad()
def test_more_temperatures_make_the_weights_even():
    model = machine()
    few, many = (log_partition(model, T, 100, 0) for T in (5, 300))
    assert many.ess > 2 * few.ess
    assert many.stderr < few.stderr / 2


@torch.no_grad()
def test_log_p_of_a_model_of_masses_is_an_estimate_beside_the_exact_one(monkeypatch):
    monkeypatch.setattr(partition, "TEMPERATURES", 200)
    model = machine()
    x = model.sample(40, seeded("data")).numpy().astype(np.uint8)
    exact, found = (log_likelihood(m, x, 1, 0, 10) for m in (model, Masses(model)))
    assert (exact.kind, found.kind) == ("exact", "estimate")
    off = found.values - exact.values
    assert np.ptp(off) < 1e-4, "one error for all"
    assert abs(off.mean()) < 4 * float(found.shared_stderr)

    with_error, without = bits_per_dim(found, SPACE), bits_per_dim(exact, SPACE)
    shared = SPACE.bits_per_dim(float(found.shared_stderr))
    assert with_error.stderr == pytest.approx(math.hypot(without.stderr, shared), rel=1e-4)
    for a, b in zip(with_error.ci95, without.ci95, strict=True):
        reach = math.hypot(abs(b - without.value), 1.959964 * shared)
        assert abs(a - with_error.value) == pytest.approx(reach, rel=1e-3)
    assert with_error.details["log_partition"]["chains"] == partition.CHAINS


def test_the_error_of_log_z_does_not_shrink_with_examples_and_one_chain_has_none_to_show(monkeypatch):
    monkeypatch.setattr(partition, "TEMPERATURES", 20)
    model = Masses(machine())
    x = np.zeros((2000, *SPACE.shape), np.uint8)  # equal examples: no spread of their own
    found = log_likelihood(model, x, 1, 0, 10)
    measure = bits_per_dim(found, SPACE)
    assert measure.stderr == pytest.approx(SPACE.bits_per_dim(float(found.shared_stderr)))
    monkeypatch.setattr(partition, "CHAINS", 1)
    alone = bits_per_dim(log_likelihood(model, x, 1, 0, 10), SPACE)
    assert (alone.stderr, alone.ci95) == (None, None)
    assert alone.ci_method.startswith("none: one chain")


def test_a_record_says_that_it_is_an_estimate(monkeypatch):
    monkeypatch.setattr(partition, "TEMPERATURES", 20)
    model = Masses(machine(Space((1, 8, 8), 2), scale=0.1))
    (record,) = evaluate(model, "digits-binary", metrics=["nll"], limit=20)
    assert record.kind == "estimate"
    assert record.details["log_partition"]["temperatures"] == 20


def test_a_mass_that_is_not_finite_is_the_model_s_error():
    model = machine()
    model.c.data[0] = math.inf
    with pytest.raises(ModelError, match="not finite"):
        log_partition(model, 4, 4, 0)


@pytest.mark.parametrize(("temperatures", "chains"), [(0, 5), (5, 0)])
def test_no_temperature_and_no_chain_are_refused(temperatures, chains):
    with pytest.raises(ValueError, match="at least one temperature and one chain"):
        log_partition(machine(), temperatures, chains, 0)
