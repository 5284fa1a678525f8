"""Autoencoders of the digits along the size of their code, sampled by a Gaussian fitted to the codes.

Encoder and decoder have one hidden layer of 128 units; 1,500 steps on squared error. Of each are measured the root
mean square error of test digits, in levels, and the Fréchet distance of 500 decoded draws from the Gaussian with the
mean and covariance of the training codes; and the accuracy on test digits of a linear probe of the codes, fitted to the
training digits.
"""

from __future__ import annotations

import torch
from torch import nn

from genbench.metrics.probe import Probe
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, frechet, like, scaled, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A larger code lets an autoencoder reconstruct and represent better, and sample worse."
SAID_BY = "Ghosh et al. (2020), section 2; lectures that lead from autoencoders to VAEs"
DECIDED_BY = "error and linear probe on test digits and Fréchet distance of samples, of 32 code values against 8"
CARRIES = "to 8x8 digits and a Gaussian fitted to the codes; a richer density of codes may do better with more of them."
PICTURE = "Along the size of the code: error of reconstructions, and the Fréchet distance of samples, means over seeds."
SEEDS, VERSION = 5, 2
SIZES, HIDDEN, STEPS = (1, 2, 4, 8, 16, 32), 128, 1500


def measured(size: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    train, test = (scaled(x) for x in (digits().train, digits().test))
    encoder = nn.Sequential(nn.Linear(64, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, size))
    decoder = nn.Sequential(nn.Linear(size, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 64))
    net = nn.Sequential(encoder, decoder)
    trained(net, train, lambda x: (net(x) - x).square().mean(), STEPS, seed)
    with torch.no_grad():
        codes = encoder(train).double()
        z = like(codes, torch.randn(500, size, dtype=torch.float64))
        error = 8 * float((net(test) - test).square().mean().sqrt())
        fd, asked = frechet(8 * (decoder(z.float()) + 1)), encoder(test).double().numpy()
    right = Probe(codes.numpy(), digits().labels_of("train"))(asked) == digits().labels_of("test")
    return {"error": error, "fd": fd, "probe": float(right.mean())}


def trial(seed: int) -> Found:
    return {str(size): measured(size, seed) for size in SIZES}


def judged(found: list[Found]) -> list[Finding]:
    change = {what: each(found, "32", what) - each(found, "8", what) for what in ("error", "probe", "fd")}
    return [
        of_mean("error of reconstructions, levels, 32 less 8", change["error"], "below", 0.0, 3),
        of_mean("accuracy of a linear probe, 32 less 8", change["probe"], "above", 0.0, 3),
        of_mean("FD of samples, 32 less 8", change["fd"], "above", 0.0, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    axes.plot(SIZES, [each(found, str(s), "fd").mean() for s in SIZES], "o-", label="FD of samples")
    axes.set(
        xlabel="values of the code, and accuracy of a linear probe",
        ylabel="FD (squared feature distance)",
        xscale="log",
        ylim=(0, None),
    )
    axes.set_xticks(SIZES, [f"{s}\n{each(found, str(s), 'probe').mean():.0%}" for s in SIZES])
    axes.minorticks_off()
    other = axes.twinx()
    other.plot(SIZES, [each(found, str(s), "error").mean() for s in SIZES], "s--", color="C1", label="error")
    other.set(ylabel="root mean square error, levels", ylim=(0, None))
    lines = axes.get_lines() + other.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], fontsize=8)
