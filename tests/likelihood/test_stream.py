"""A text as one stream: the state is carried, windows move, and every token is scored once."""

import numpy as np
import pytest
import torch

from genbench import datasets, evaluate
from genbench.baselines.autoregressive import lstm, rnn, stacked_lstm, transformer
from genbench.datasets.tinyshakespeare import from_text
from genbench.likelihood import LogLikelihood
from genbench.metrics import balance_data, completion_nll, nll, nll_ode, nll_stream, reconstruction
from genbench.models.sampling import seeded
from genbench.space import Space

T, V = 16, 5
EXACT = {"kind": "exact"}  # what a model says of its stream
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


@pytest.mark.parametrize("context", [None, T + 8])
@pytest.mark.parametrize("length", [T // 2, T, T + 1, T + 5, 9 * T - 3, 9 * T])
def test_a_transformer_scores_every_token_once_after_three_quarters_of_a_window(length, context):
    net = network(transformer, width=8, layers=2, heads=2, hidden=12, context=context)
    window, x = context or T, TEXT[:length]
    found = net.log_prob_stream(x)
    assert found.shape == (length,)
    for t in range(length):
        if t < window:  # the first window begins the text
            logits = net.logits(x[None, :t])[0, -1]
        else:
            quarter = window // 4
            end = min(length, window + (t - window) // quarter * quarter + quarter)
            start = end - window
            logits = net.trunk(net.embedding(x[None, start:t]))[0, -1]
            assert t - start >= 3 * quarter or end == length
        torch.testing.assert_close(found[t], logits.log_softmax(-1)[x[t]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("module", [rnn, stacked_lstm, transformer])
def test_with_a_context_the_loss_takes_crops_and_counts_them_as_if_they_had_the_length_of_an_observation(module):
    net, crops = network(module, context=3 * T), TEXT[: 6 * T].view(2, 3 * T)
    logits = net.logits(crops[:, :-1] if module is transformer else crops)
    expected = T * torch.nn.functional.cross_entropy(logits.flatten(0, 1), crops.flatten())
    torch.testing.assert_close(net.loss(crops, seeded(0)), expected)
    windows = crops.view(6, T)
    torch.testing.assert_close(net.loss(windows, seeded(0)), -net.log_prob(windows).mean())


def test_a_context_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="a context of 8 is shorter"):
        transformer.build(Space((T,), V), context=8)
    with pytest.raises(ValueError, match="a context is of texts"):
        rnn.build(Space((1, 4, 4), V), context=32)


def test_the_metric_is_in_bits_for_each_character():
    log_p = -np.random.default_rng(0).random((50, T))
    found = nll_stream.compute(log_p, EXACT)["nll_stream"]
    assert found.value == pytest.approx(-log_p.mean() / np.log(2))
    assert found.kind == "exact"
    assert found.details["perplexity"] == pytest.approx(np.exp(-log_p.mean()))
    with pytest.raises(ValueError, match="windows"):
        nll_stream.compute(log_p[0], EXACT)


def test_the_interval_is_that_of_batch_means_and_knows_that_characters_depend():
    rng = np.random.default_rng(1)
    scenes = np.repeat(rng.random((25, 1)), 16, 0)  # 400 windows: what is hard stays hard for 16 of them
    bits = scenes + 0.1 * rng.random((400, T))
    found = nll_stream.compute(-np.log(2) * bits, EXACT)["nll_stream"]
    error = bits.reshape(10, -1).mean(1).std(ddof=1) / 10**0.5
    half = 2.262157 * error  # of t with 9 degrees of freedom
    assert found.stderr == pytest.approx(error)
    assert found.ci95 == pytest.approx((bits.mean() - half, bits.mean() + half))
    assert found.details["batches"] == 10
    orders = [nll_stream.compute(-np.log(2) * rng.permutation(bits), EXACT)["nll_stream"] for _ in range(200)]
    assert orders[0].value == pytest.approx(found.value)
    # in random orders the windows are independent: the mean of the squared errors is the variance of a window over 400
    squares = np.array([one.stderr**2 for one in orders])
    expected = bits.mean(1).var(ddof=1) / 400
    assert squares.mean() == pytest.approx(expected, abs=4 * squares.std() / 200**0.5)
    assert found.stderr**2 > 4 * expected, "scenes of 16 windows: up to 16 times the variance"


NATS = LogLikelihood(-50 * np.repeat(np.random.default_rng(2).random(25), 16), "exact", "")  # scenes of 16 windows
IMAGES = np.rint(-NATS.values)[:, None, None, None] + np.zeros((1, 2, 2))
BY_EXAMPLE = {
    "nll": lambda places: nll.compute(NATS, Space((4,), 3), places),
    "nll_ode": lambda places: nll_ode.compute(NATS, Space((4,), 3), places),
    "completion_nll": lambda places: completion_nll.compute(NATS, Space((1, 2, 2), 3), places),
    "balance_data": lambda places: balance_data.compute(NATS.values / 50, places),
    "mse": lambda places: reconstruction.compute(0 * IMAGES, IMAGES, Space((1, 2, 2), 51), places),
}


@pytest.mark.parametrize("name", BY_EXAMPLE)
def test_the_mean_over_pieces_of_a_sequence_knows_that_they_depend(name):
    independent, pieces = BY_EXAMPLE[name](None)[name], BY_EXAMPLE[name](np.arange(400))[name]
    assert pieces.value == independent.value
    assert pieces.stderr > 2 * independent.stderr
    assert pieces.details["batches"] == 10
    assert "batches" not in independent.details
    order = np.random.default_rng(0).permutation(400)  # rows that come in any order are put in that of the sequence
    again = nll.compute(LogLikelihood(NATS.values[order], "exact", ""), Space((4,), 3), order)["nll"]
    assert again.stderr == pytest.approx(BY_EXAMPLE["nll"](np.arange(400))["nll"].stderr, rel=1e-12)


class ByFirst(torch.nn.Module):
    """The later in the vocabulary its first character, the harder the window."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return -100.0 - x[:, 0].double()


def test_windows_of_the_shipped_text_are_pieces_of_one_sequence_and_digits_are_not():
    text = from_text("to be or not to be, that is the question " * 1000)
    assert text.sequence
    assert not datasets.load("digits").sequence
    model = ByFirst(text.space)
    found = evaluate(model, text, metrics=["nll"])[0]
    assert found.details["batches"] == 10
    limited = evaluate(model, text, metrics=["nll"], limit=2)[0]
    assert limited.details["batches"] == 2


def test_the_details_tell_batches_that_depend():
    steps = np.repeat(np.arange(10.0), 4)[:, None] + np.zeros((40, T))  # harder and harder
    found = nll_stream.compute(-steps, EXACT)["nll_stream"].details["correlation_of_neighbouring_batches"]
    off = np.arange(10) - 4.5
    assert found == pytest.approx((off[1:] * off[:-1]).sum() / (off**2).sum())
    assert (
        nll_stream.compute(-np.ones((40, T)), EXACT)["nll_stream"].details["correlation_of_neighbouring_batches"] == 0.0
    )


def test_a_text_of_few_windows_or_of_impossible_characters():
    assert nll_stream.compute(-np.ones((1, T)), EXACT)["nll_stream"].ci95 is None
    assert nll_stream.compute(-np.arange(2 * T).reshape(2, T), EXACT)["nll_stream"].details["batches"] == 2
    impossible = -np.ones((50, T))
    impossible[7, 3] = -np.inf
    found = nll_stream.compute(impossible, EXACT)["nll_stream"]
    assert found.value == np.inf
    assert found.ci95 is None
    assert found.n_nonfinite == 1
