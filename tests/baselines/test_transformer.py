"""The Transformer: exact, causal, and the same with its cache as without."""

import math
from pathlib import Path

import pytest
import torch

from draws import assert_drawn, assert_frequencies, every
from genbench.baselines.autoregressive.transformer import build, rotated
from genbench.models import checkpoint
from genbench.models.sampling import seeded
from genbench.space import Space

SHIPPED = Path(__file__).parents[2] / "baselines/checkpoints/tinyshakespeare/transformer.safetensors"


def small(T, V, **options):
    """A model whose weights are large enough that every part of it shows in its output."""
    torch.manual_seed(0)
    model = build(Space((T,), V), **{"width": 16, "layers": 2, "heads": 2, "hidden": 24, **options})
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model.eval()


def written_out(model, x):
    """Logits `[B, T, V]` by the papers' formulas in float64: head by head, positions as turns of complex numbers."""
    w = {name: p.detach().double() for name, p in model.named_parameters()}
    width, T = model.embedding.weight.shape[1], x.shape[1]
    d = width // model.heads
    turn = torch.exp(1j * torch.arange(T)[:, None] * 10_000.0 ** (-2 * torch.arange(d // 2).double() / d))  # [T, d/2]
    future = torch.ones(T, T).triu(1).bool()

    def normalised(h, name):
        h = h - h.mean(-1, keepdim=True)
        return h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    start = torch.full((len(x), 1), model.space.levels)
    h = w["embedding.weight"][torch.cat([start, x[:, :-1]], 1)]
    for i in range(len(model.blocks)):
        block = f"blocks.{i}"
        parts = (normalised(h, f"{block}.norm1") @ w[f"{block}.attention.qkv.weight"].T).split(d, -1)
        read = []
        for a in range(model.heads):
            q, k, v = (parts[a + j * model.heads] for j in range(3))
            q, k = (torch.complex(*m.chunk(2, -1)) * turn for m in (q, k))
            scores = (q[:, :, None] * k[:, None].conj()).real.sum(-1) / d**0.5  # [B, T, T]
            read.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v)
        h = h + torch.cat(read, -1) @ w[f"{block}.attention.out.weight"].T
        m = normalised(h, f"{block}.norm2") @ w[f"{block}.mlp.0.weight"].T + w[f"{block}.mlp.0.bias"]
        m = m * (1 + torch.erf(m / 2**0.5)) / 2  # GELU
        h = h + m @ w[f"{block}.mlp.2.weight"].T + w[f"{block}.mlp.2.bias"]
    return normalised(h, "norm") @ w["embedding.weight"][:-1].T


@pytest.mark.parametrize(("heads", "layers"), [(1, 1), (4, 2)])
@torch.no_grad()
def test_logits_are_those_of_the_formulas_written_out(heads, layers):
    model = small(7, 5, heads=heads, layers=layers)
    x = torch.randint(5, (6, 7), generator=seeded("x"))
    torch.testing.assert_close(model.logits(x[:, :-1]).double(), written_out(model, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("T", "V"), [(8, 2), (4, 5), (1, 3)])
@torch.no_grad()
def test_probabilities_sum_to_one(T, V):
    total = torch.logsumexp(small(T, V).log_prob(every(Space((T,), V))).double(), 0)
    # each log-probability is a float32 sum of T terms: a relative error of T eps in it is one in p
    assert abs(total) < 64 * T * torch.finfo(torch.float32).eps


@torch.no_grad()
def test_log_prob_is_the_chain_rule_over_prefixes():
    model = small(6, 4)
    x = torch.randint(4, (5, 6), generator=seeded("x"))
    chain = sum(model.logits(x[:, :t])[:, -1].log_softmax(-1).gather(1, x[:, t : t + 1])[:, 0] for t in range(6))
    torch.testing.assert_close(model.log_prob(x), chain, rtol=0, atol=1e-5)


def test_jacobian_is_zero_for_future_inputs_and_for_no_past_one():
    model, T = small(7, 3), 7
    h = torch.randn(1, T, 16, generator=seeded("h"))
    jacobian = torch.autograd.functional.jacobian(lambda h: model.trunk(h)[0].pow(2).sum(-1), h)  # [T, 1, T, 16]
    reach = jacobian.abs().amax((1, 3))  # [output, input]
    assert (reach.triu(1) == 0).all()
    assert (reach[torch.ones(T, T).tril().bool()] > 0).all()


def test_rotated_products_depend_on_the_distance_only():
    angle = torch.arange(10)[:, None] * torch.tensor([1.0, 0.1])
    q, k = torch.randn(2, 1, 4, generator=seeded("qk"), dtype=torch.float64).expand(2, 10, 4)
    products = rotated(q, angle) @ rotated(k, angle).T  # [10, 10]
    for distance in range(-9, 10):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)


@torch.no_grad()
def test_what_is_added_to_the_stream_starts_small_and_tokens_with_logits_of_unit_variance():
    torch.manual_seed(0)
    model = build(Space((8,), 50), width=64, layers=8, heads=4, hidden=128)
    for block in model.blocks:
        for weight in (block.attention.out.weight, block.mlp[2].weight):  # 4,096 weights or more: 4 errors are 4.4 %
            assert float(weight.std()) == pytest.approx(0.02 / 16**0.5, rel=0.05)
    assert float(model.embedding.weight.std()) == pytest.approx(64**-0.5, rel=0.05)


def test_cached_and_naive_sampling_draw_the_same():
    model = small(24, 7)
    x = model.sample(16, seeded(1))
    assert torch.equal(x, model.sample_naive(16, seeded(1)))
    assert not torch.equal(x, model.sample(16, seeded(2)))


@torch.no_grad()
def test_cached_and_whole_passes_give_the_same_logits(monkeypatch):
    model, seen = small(24, 7), []
    head = model.head
    monkeypatch.setattr(model, "head", lambda h: seen.append(head(h)) or seen[-1])
    x = model.sample(4, seeded(1))
    cached = torch.stack(seen, 1)  # [4, T, V]
    torch.testing.assert_close(cached, model.logits(x[:, :-1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("T", "V"), [(3, 2), (4, 3), (1, 5)])
@torch.no_grad()
def test_samples_come_from_the_distribution_that_is_scored(T, V):
    model = small(T, V)
    assert_drawn(model.sample(20_000, seeded(0)), model.log_prob(every(model.space)), model.space)


def test_completion_keeps_prefixes_of_any_length():
    model, T = small(9, 5), 9
    x = torch.randint(5, (T + 1, T), generator=seeded("x"))
    mask = torch.arange(T) < torch.arange(T + 1)[:, None]  # row i gives its first i values
    y = model.complete(x, mask, seeded(0))
    assert torch.equal(y[mask], x[mask])
    assert not torch.equal(y, x)


def test_completion_draws_from_the_conditional():
    model, n = small(3, 2), 20_000
    x = torch.tensor([1, 0, 0]).expand(n, 3)
    y = model.complete(x, torch.tensor([1, 0, 0]), seeded(0))
    log_p = model.log_prob(torch.tensor([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]])).detach().double()
    assert_frequencies(torch.bincount(y[:, 1] * 2 + y[:, 2], minlength=4), log_p.softmax(0))


def test_completion_refuses_what_it_cannot_condition_on():
    model = small(4, 2)
    with pytest.raises(ValueError, match="completes prefixes"):
        model.complete(torch.zeros(1, 4, dtype=torch.long), torch.tensor([[0, 1, 1, 1]]), seeded(0))


@pytest.mark.parametrize("space", [Space((4,)), Space((1, 4, 4), 2)])
def test_only_sequences_of_integers_are_modelled(space):
    with pytest.raises(ValueError, match="sequences of integers"):
        build(space)


def test_training_on_one_sequence_learns_it():
    torch.manual_seed(0)
    model = build(Space((8,), 4), width=16, heads=2, hidden=32)
    x = torch.tensor([[3, 1, 0, 2, 2, 0, 1, 3]])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    first = model.loss(x, seeded(0)).item()
    for _ in range(60):
        optimiser.zero_grad()
        model.loss(x, seeded(0)).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        optimiser.step()
    assert first > 6 * math.log(4)
    assert model.loss(x, seeded(0)).item() < 0.2


def test_shipped_checkpoint_writes_readable_text_and_beats_frequencies_of_characters(data_root):
    from genbench import datasets

    card, model = checkpoint.read_card(SHIPPED), checkpoint.load(SHIPPED)
    data = datasets.load("tinyshakespeare", data_root)
    assert card.dataset["sha256"] == data.sha256
    assert card.dataset["vocabulary"] == data.vocabulary
    x = torch.from_numpy(data.test[:64]).long()
    with torch.no_grad():
        bits = data.space.bits_per_dim(-model.log_prob(x).mean().item())
    p = torch.bincount(torch.from_numpy(data.train).long().flatten(), minlength=data.space.levels) / data.train.size
    unigram = -p[x].log2().mean()
    assert bits < 0.6 * unigram
    text = "".join(card.dataset["vocabulary"][i] for i in model.sample(1, seeded(0))[0])
    assert len(text) == 128
