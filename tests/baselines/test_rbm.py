"""Restricted Boltzmann machine: masses against the joint by enumeration, exact draws, sweeps, learning rules."""

import math

import pytest
import torch

from draws import assert_drawn, assert_means, every
from genbench.baselines.energy_based import rbm
from genbench.models.capabilities import Unnormalised, capabilities
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 2, 3), levels=2)


def machine(hidden: int = 3, space: Space = SPACE, **options) -> rbm.RBM:
    """With weights of the size of one, so that the two layers matter to each other."""
    model = rbm.build(space, hidden=hidden, **options)
    for p in (*model.parameters(), model.base):
        p.data = torch.randn(p.shape, generator=seeded("weights", p.shape))
    return model


def joint(model: rbm.RBM, beta: float = 1.0) -> torch.Tensor:
    """(1 - beta) a'v + beta (v'W h + b'v + c'h) of every v and h, by the definition: [2^D, 2^H] float64."""
    v, h = (every(Space((d,), 2)).double() for d in (model.space.dim, model.hidden))
    W, b, c, a = (t.detach().double() for t in (model.W, model.b, model.c, model.base))
    return (1 - beta) * (v @ a)[:, None] + beta * (v @ W @ h.T + (v @ b)[:, None] + h @ c)


@torch.no_grad()
@pytest.mark.parametrize("hidden", [3, 6, 8])  # fewer than pixels, as many, and more
def test_log_prob_and_log_z_are_those_of_the_joint_summed_over_all_states(hidden):
    model = machine(hidden)
    energies = joint(model)
    expected = energies.logsumexp(1) - energies.logsumexp((0, 1))
    torch.testing.assert_close(model.log_prob(every(SPACE)).double(), expected, rtol=1e-5, atol=1e-5)
    assert float(model.log_partition()) == pytest.approx(float(energies.logsumexp((0, 1))), abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("hidden", [3, 8])
def test_samples_of_a_small_machine_are_exact(hidden):
    model = machine(hidden)
    assert_drawn(model.sample(20_000, seeded("samples")), model.log_prob(every(SPACE)), SPACE)


@torch.no_grad()
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_a_sweep_leaves_the_machine_at_beta_as_it_is_and_forgets_where_it_began(beta):
    model = machine()
    log_p = joint(model, beta).logsumexp(1)
    torch.testing.assert_close(model.log_unnormalised(every(SPACE), beta).double(), log_p, rtol=1e-5, atol=1e-5)
    log_p = log_p - log_p.logsumexp(0)
    start = torch.multinomial(log_p.exp(), 20_000, replacement=True, generator=seeded("start"))
    assert_drawn(model.transition(every(SPACE)[start], beta, seeded("sweep")), log_p, SPACE)
    if beta == 0:  # independent pixels: one sweep of anything
        assert float(model.log_base_partition()) == pytest.approx(float(joint(model, 0).logsumexp((0, 1))), abs=1e-4)
        assert_drawn(model.sample_base(20_000, seeded("base")), log_p, SPACE)
        assert_drawn(model.transition(every(SPACE)[:1].expand(20_000, -1, -1, -1), 0.0, seeded("one")), log_p, SPACE)


@torch.no_grad()
def test_a_machine_that_cannot_be_enumerated_claims_no_likelihood_and_samples_by_chains():
    big = machine(17, Space((1, 3, 6), 2), sweeps=3)
    assert capabilities(big) == ["sample", "log_unnormalised", "encode", "reconstruct"]
    assert isinstance(big, Unnormalised)
    assert "log_prob" in capabilities(machine(17))  # of 6 pixels
    assert "log_prob" in capabilities(machine(16, Space((1, 3, 6), 2)))
    small = machine(sweeps=60)
    drawn = rbm.RBM.sample(small, 20_000, seeded("chains"))
    assert_drawn(drawn, small.log_prob(every(SPACE)), SPACE)  # 60 sweeps of 6 pixels: chains have mixed


def test_the_gradient_of_the_contrast_at_draws_of_the_model_is_that_of_the_likelihood():
    """Here at all states, weighted by the model's own probabilities in place of draws."""
    model, x = machine(), every(SPACE)[[0, 5, 41]]
    p = model.log_prob(every(SPACE)).exp().detach()
    (p @ model.log_unnormalised(every(SPACE)) - model.log_unnormalised(x).mean()).backward()
    by_rule = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    (-model.log_prob(x).mean()).backward()
    for rule, p in zip(by_rule, model.parameters(), strict=True):
        torch.testing.assert_close(rule, p.grad, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_contrastive_divergence_starts_at_the_data_and_persistent_chains_go_on_from_where_they_were():
    x = every(SPACE)[:8]
    model = machine(method="cd", k=2)
    v, generator = model.flat(x), seeded("sweeps")
    expected = model.sweep(model.sweep(v, generator), generator)
    assert torch.equal(model.imagined(v, seeded("sweeps")), expected)
    assert model.chains.shape == (0, 6)
    torch.testing.assert_close(
        model.contrast(x, seeded("sweeps")), model.log_mass(expected).mean() - model.log_mass(v).mean()
    )

    model = machine(method="pcd", k=1, chains=5)
    model.initialise(x, seeded("first"))
    assert all(any(torch.equal(c, row) for row in v.byte()) for c in model.chains)
    before = model.chains.clone()
    end = model.train().imagined(v, seeded("sweeps"))
    assert torch.equal(end, model.sweep(before.float(), seeded("sweeps")))
    assert torch.equal(model.chains, end.byte())
    model.eval().imagined(v, seeded("others"))
    assert torch.equal(model.chains, end.byte()), "validation moves no chain"


@torch.no_grad()
def test_first_biases_are_the_log_odds_of_pixels():
    model, x = machine(), every(SPACE)[:10]
    model.initialise(x, seeded("first"))
    frequency = (x.flatten(1).sum(0) + 1) / 12
    torch.testing.assert_close(model.base.sigmoid(), frequency)
    assert torch.equal(model.b, model.base)


@torch.no_grad()
def test_larger_machines_are_judged_by_each_bit_given_the_others():
    model, x = machine(), every(SPACE)[[3, 44]]
    log_p = model.log_prob(every(SPACE))
    place = 2 ** torch.arange(5, -1, -1)
    expected = 0.0
    for v in x.flatten(1):
        for i in range(6):
            flipped = v.clone()
            flipped[i] = 1 - flipped[i]
            here, there = (log_p[(u * place).sum()] for u in (v, flipped))
            expected += float(torch.logaddexp(here, there) - here) / 2
    assert float(rbm.RBM.judged(model, x, seeded("unused"))) == pytest.approx(expected, rel=1e-4)
    assert float(model.judged(x, seeded("unused"))) == pytest.approx(-float(log_p[[3, 44]].mean()), rel=1e-5)


@torch.no_grad()
def test_codes_are_the_probabilities_of_hidden_bits():
    model, x = machine(), every(SPACE)[37:38]
    p = joint(model)[37].softmax(0)
    h = every(Space((3,), 2)).double()
    torch.testing.assert_close(model.encode(x)[0].double(), p @ h, rtol=1e-5, atol=1e-5)
    swept = model.sweep(model.flat(x).expand(20_000, -1), seeded("sweep"))
    given = (model.b + h.float() @ model.W.T).sigmoid()  # p(v | h) for every h
    assert_means(swept, p.float() @ given)
    assert model.reconstruct(x).shape == (1, 1, 2, 3)


@pytest.mark.parametrize("method", ["cd", "pcd"])
def test_learning_finds_most_of_what_independent_pixels_miss(method):
    """Three pairs of pixels that agree 9 times in 10: 2.08 + 0.98 nats, where independent pixels need 4.16."""
    pairs = torch.tensor([*[[0, 0], [1, 1]] * 9, [0, 1], [1, 0]])
    number = torch.randint(20, (600, 3), generator=seeded("pairs"))
    x = pairs[number].view(600, 1, 2, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = rbm.build(SPACE, hidden=4, method=method, k=1, chains=200)
    model.initialise(x, seeded("first"))
    before = float(model.judged(x, seeded("unused")).detach())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(400):
        loss = model.contrast(x, seeded(method, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    counts = torch.bincount((x.flatten(1) * 2 ** torch.arange(5, -1, -1)).sum(1), minlength=64).double() / 600
    entropy = float(torch.special.entr(counts).sum())
    assert before == pytest.approx(6 * math.log(2), abs=0.1)
    after = float(model.judged(x, seeded("unused")).detach())
    assert entropy < after < entropy + 0.25 * (before - entropy)


@pytest.mark.parametrize("space", [Space((1, 2, 3), 17), Space((4,))])
def test_what_is_not_of_bits_is_refused(space):
    with pytest.raises(ValueError, match="2 levels is needed"):
        rbm.build(space)


@pytest.mark.parametrize(("options", "why"), [({"method": "exact"}, "cd, pcd"), ({"k": 0}, "at least 1")])
def test_options_that_cannot_be_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        rbm.build(SPACE, **options)
