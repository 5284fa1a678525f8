"""A text as one stream: the state is carried, windows move, and every token is scored once."""

import numpy as np
import pytest
import torch

from genbench.baselines.autoregressive import lstm, rnn, stacked_lstm, transformer
from genbench.metrics import nll_stream
from genbench.models.sampling import seeded
from genbench.space import Space

T, V = 16, 5
TEXT = torch.randint(V, (T * 9,), generator=seeded("text"))


def network(module, **options):
    torch.manual_seed(0)
    net = module.build(Space((T,), levels=V), **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net.eval()


@pytest.mark.parametrize("module", [rnn, lstm, stacked_lstm])
@pytest.mark.parametrize("piece", [7, 1024])
def test_a_recurrent_network_reads_all_of_the_past_however_it_is_cut(module, piece, monkeypatch):
    monkeypatch.setattr(rnn, "PIECE", piece)
    net = network(module, width=8, embedding=4)
    before = torch.cat([torch.tensor([V]), TEXT[:-1]])
    with torch.no_grad():
        logits = net.head(net.states(net.embedding(before[None]))[0])[0]
    expected = logits.log_softmax(-1).gather(1, TEXT[:, None])[:, 0]
    torch.testing.assert_close(net.log_prob_stream(TEXT), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [T // 2, T, T + 1, T + 5, 9 * T - 3, 9 * T])
def test_a_transformer_scores_every_token_once_after_three_quarters_of_a_window(length):
    net = network(transformer, width=8, layers=2, heads=2, hidden=12)
    x = TEXT[:length]
    found = net.log_prob_stream(x)
    assert found.shape == (length,)
    for t in range(length):
        if t < T:  # the first window begins the text
            logits = net.logits(x[None, :t])[0, -1]
        else:
            end = min(length, T + (t - T) // (T // 4) * (T // 4) + T // 4)
            start = end - T
            logits = net.trunk(net.embedding(x[None, start:t]))[0, -1]
            assert t - start >= 3 * T // 4 or end == length
        torch.testing.assert_close(found[t], logits.log_softmax(-1)[x[t]], rtol=0, atol=1e-5)


def test_the_metric_is_in_bits_for_each_character():
    log_p = -np.random.default_rng(0).random((50, T))
    found = nll_stream.compute(log_p)["nll_stream"]
    assert found.value == pytest.approx(-log_p.mean() / np.log(2))
    assert found.kind == "exact"
    assert found.details["perplexity"] == pytest.approx(np.exp(-log_p.mean()))
    with pytest.raises(ValueError, match="windows"):
        nll_stream.compute(log_p[0])
