"""Beam search: at full width it enumerates, it never finds less than the greedy path, and it keeps what is given."""

import pytest
import torch

from draws import every
from genbench.baselines.autoregressive import lstm, rnn, stacked_lstm, transformer
from genbench.models.sampling import seeded
from genbench.numerics.beam import beam_search
from genbench.space import Space

SMALL = {
    "rnn": (rnn, {"width": 8, "embedding": 4}),
    "lstm": (lstm, {"width": 8, "embedding": 4}),
    "stacked-lstm": (stacked_lstm, {"width": 8, "embedding": 4}),
    "transformer": (transformer, {"width": 8, "layers": 2, "heads": 2, "hidden": 12}),
}


def network(name, space, seed=0, **options):
    """Random, with conditionals far from uniform, so that the greedy path is often not the most likely one."""
    module, usual = SMALL[name]
    torch.manual_seed(seed)
    net = module.build(space, **usual, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def greedy(net, x, t):
    """The values from t on, each the likeliest after those before it, by whole passes."""
    x = x.clone()
    for s in range(t, x.shape[1]):
        logits = net.logits(x[:, :-1] if isinstance(net, transformer.Transformer) else x)
        x[:, s] = logits[:, s].argmax(1)
    return x


def best_of_all(net, x, given):
    """The most likely continuation of the first `given` values, by enumeration."""
    tails = every(Space((x.shape[1] - given,), net.space.levels))
    whole = torch.cat([x[:, None, :given].expand(-1, len(tails), -1), tails.expand(len(x), -1, -1)], 2)
    return whole[torch.arange(len(x)), net.log_prob(whole.flatten(0, 1)).view(len(x), -1).argmax(1)]


@pytest.mark.parametrize("given", [0, 2, 4])
@pytest.mark.parametrize("name", SMALL)
def test_at_full_width_it_is_the_best_of_all_continuations(name, given):
    T, V = 5, 3
    x = torch.randint(V, (6, T), generator=seeded("x"))
    for seed in range(4):
        net = network(name, Space((T,), V), seed)
        found = net.most_likely(x, (torch.arange(T) < given).long(), V ** (T - given))
        assert torch.equal(found, best_of_all(net, x, given))


def test_the_best_is_not_always_the_greedy_path():
    """So that the test above tells a beam from one path."""
    x = torch.zeros(1, 5, dtype=torch.long)
    nets = [network(name, Space((5,), 3), seed) for name in SMALL for seed in range(8)]
    missed = [net for net in nets if not torch.equal(greedy(net, x, 0), best_of_all(net, x, 0))]
    assert missed
    for net in missed:
        assert torch.equal(net.most_likely(x, torch.zeros_like(x), 3**5), best_of_all(net, x, 0))


@pytest.mark.parametrize("name", SMALL)
def test_one_path_is_greedy_and_no_width_finds_less(name):
    T, V = 5, 3
    x = torch.randint(V, (4, T), generator=seeded("x"))
    mask = (torch.arange(T) < 1).long()
    for seed in range(3):
        net = network(name, Space((T,), V), seed)
        path = greedy(net, x, 1)
        assert torch.equal(net.most_likely(x, mask, 1), path)
        for beam in (2, 3, 5):
            assert (net.log_prob(net.most_likely(x, mask, beam)) >= net.log_prob(path) - 1e-5).all()


def test_the_greedy_path_stays_in_a_beam_that_would_lose_it():
    """Greedy begins with 0 and ends with certainty; after the second step two paths that begin with 1 look better."""
    first = torch.tensor([0.4, 0.35, 0.25])
    second = torch.tensor([[0.34, 0.33, 0.33], [0.5, 0.48, 0.02], [0.34, 0.33, 0.33]])  # by the first value
    third = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3]])  # by the first value
    begun = torch.zeros(0)

    def advance(token, rows, t):
        nonlocal begun
        if t == 0:
            return first.log().expand(len(token), 3)
        begun = token if t == 1 else begun[rows]
        return (second if t == 1 else third)[begun].log()

    x = torch.zeros(1, 3, dtype=torch.long)
    found = beam_search(advance, x, torch.zeros(1, 3, dtype=torch.bool), 3, 2)
    # 0 0 has 0.4 x 0.34 = 0.136, behind 1 0 with 0.175 and 1 1 with 0.168; they end with 0.4 of that, it ends with all
    assert found.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("name", SMALL)
def test_rows_of_a_batch_do_not_meet_and_prefixes_of_any_length_are_kept(name):
    T = 7
    net = network(name, Space((T,), 4))
    x = torch.randint(4, (T + 1, T), generator=seeded("x"))
    mask = torch.arange(T) < torch.arange(T + 1)[:, None]
    found = net.most_likely(x, mask, 3)
    assert torch.equal(found[mask], x[mask])
    for i in range(T + 1):
        assert torch.equal(net.most_likely(x[i : i + 1], mask[i : i + 1], 3)[0], found[i])


def test_images_are_completed_in_their_order():
    net = network("lstm", Space((1, 2, 3), 2), order="columns")
    x, mask = torch.ones(1, 1, 2, 3, dtype=torch.long), torch.zeros(1, 1, 2, 3, dtype=torch.long)
    mask[..., 0] = 1  # the first column
    everything = every(net.space)
    fitting = everything[(everything[..., 0] == 1).all((1, 2))]
    assert torch.equal(net.most_likely(x, mask, 16)[0], fitting[net.log_prob(fitting).argmax()])


@pytest.mark.parametrize("name", SMALL)
def test_what_it_cannot_do_is_refused(name):
    net, x = network(name, Space((3,), 2)), torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="mask must be ones, then zeros"):
        net.most_likely(x, torch.tensor([0, 1, 1]), 2)
    for beam in (0, -1):
        with pytest.raises(ValueError, match="one path or more"):
            net.most_likely(x, torch.tensor([1, 0, 0]), beam)
