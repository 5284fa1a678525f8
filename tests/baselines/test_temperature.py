"""A temperature sharpens the conditionals of a language model, for what is scored as for what is drawn."""

import itertools

import pytest
import torch

from genbench.baselines.autoregressive import lstm, rnn, stacked_lstm, transformer
from genbench.models.sampling import seeded
from genbench.space import Space

T, V = 3, 3
ALL = torch.tensor(list(itertools.product(range(V), repeat=T)))
MODELS = {
    "rnn": lambda t: rnn.build(Space((T,), V), width=6, temperature=t),
    "lstm": lambda t: lstm.build(Space((T,), V), width=6, temperature=t),
    "stacked-lstm": lambda t: stacked_lstm.build(Space((T,), V), width=6, temperature=t),
    "transformer": lambda t: transformer.build(Space((T,), V), width=8, hidden=8, temperature=t),
}


def at(name: str, temperature: float) -> torch.nn.Module:
    """Of the same weights at any temperature."""
    torch.manual_seed(0)
    net = MODELS[name](temperature)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))
    return net.eval()


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("name", MODELS)
def test_the_conditionals_are_those_of_one_to_the_power_of_one_over_the_temperature(name, temperature):
    plain, changed = at(name, 1.0), at(name, temperature)
    joint = torch.zeros((V,) * T, dtype=torch.float64)
    joint[tuple(ALL.T)] = plain.log_prob(ALL).detach().double().exp()
    expected = torch.zeros_like(joint)
    for t in range(T):  # p(x_t | x_<t) from sums of the joint, raised and normalised anew
        before = joint.flatten(t + 1).sum(-1) if t + 1 < T else joint
        conditional = (before / before.sum(t, keepdim=True)) ** (1 / temperature)
        conditional = (conditional / conditional.sum(t, keepdim=True)).log()
        expected = expected + conditional.reshape(conditional.shape + (1,) * (T - 1 - t))
    torch.testing.assert_close(changed.log_prob(ALL).detach().double(), expected[tuple(ALL.T)], rtol=0, atol=1e-5)
    stream = changed.log_prob_stream(ALL[5])
    torch.testing.assert_close(stream.sum().detach(), changed.log_prob(ALL[5:6])[0].detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_drawn_at_the_temperature_that_is_scored(name):
    net, n = at(name, 0.6), 4000
    drawn = net.sample(n, seeded("temperature"))
    counts = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(1), minlength=27).double()
    expected = n * net.log_prob(ALL).detach().exp()
    enough = expected > 5
    statistic = ((counts - expected)[enough].square() / expected[enough]).sum()
    degrees = int(enough.sum()) - 1
    assert statistic < degrees + 5 * (2 * degrees) ** 0.5 + 5


def test_a_temperature_is_above_zero():
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            MODELS["lstm"](wrong)
        with pytest.raises(ValueError, match="above 0"):
            MODELS["transformer"](wrong)
