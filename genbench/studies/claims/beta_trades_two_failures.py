"""A VAE of the digits along beta, the weight of its KL: what the code says, and what codes drawn from the prior give.

The VAE of `baselines/` with 16 latents is trained for 1,500 steps by E log p(x | z) - beta KL. Of each are measured the
KL in nats on test digits, and the Fréchet distances, in the features of the digits' classifier, of the expected
pictures of test digits (reconstructions) and of as many codes drawn from the prior. The second less the first is what
the prior does not know of the codes. At the largest beta a ramp climbs to it over two thirds of the steps.
"""

from __future__ import annotations

from typing import Any

import torch

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, frechet, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A large beta makes a VAE ignore its code, a small one gives good reconstructions and bad samples."
SAID_BY = "Higgins et al. (2017); Bowman et al. (2016), who answer the first with a ramp; Alemi et al. (2018)"
DECIDED_BY = (
    "the KL on test digits at beta = 32, and what samples lose to reconstructions in Fréchet distance at 0.01 against 1"
)
CARRIES = (
    "to 8x8 digits and 16 latents. A ramp to a beta that large cures nothing, as the last finding says: it is for "
    "codes that fall silent on the way to a beta that would let them speak."
)
PICTURE = "Along beta: KL in nats, and the Fréchet distance of samples and of reconstructions, means over seeds."
SEEDS, VERSION = 5, 1
BETAS, STEPS, LATENT = (0.01, 0.1, 1.0, 4.0, 32.0), 1500, 16


def measured(beta: float, climb: int, seed: int) -> dict[str, float]:
    data = digits()
    torch.manual_seed(seed)
    vae: Any = catalog.build("beta-vae", data.space, {"beta": beta, "climb": climb, "latent": LATENT})
    noise = torch.Generator().manual_seed(seed)
    trained(vae, torch.from_numpy(data.train).long(), lambda x: vae.weighted(x, noise), STEPS, seed)
    test = torch.from_numpy(data.test).long()
    with torch.no_grad():
        kl = float(vae.terms(test, noise)[1].mean())
        samples = frechet(vae.expected(vae.sample_prior(len(test), noise)))
        return {"kl": kl, "samples": samples, "reconstructions": frechet(vae.reconstruct(test))}


def trial(seed: int) -> Found:
    found = {f"{beta:g}": measured(beta, 0, seed) for beta in BETAS}
    return {**found, "ramp": measured(BETAS[-1], 2 * STEPS // 3, seed)}


def judged(found: list[Found]) -> list[Finding]:
    lost = {b: each(found, b, "samples") - each(found, b, "reconstructions") for b in ("0.01", "1")}
    better = each(found, "0.01", "reconstructions") - each(found, "1", "reconstructions")
    return [
        of_mean("KL at beta = 32, nats", each(found, "32", "kl"), "below", 1.0, 4),
        of_mean("FD of reconstructions, beta = 0.01 less beta = 1", better, "below", 0.0, 4),
        of_mean("samples less reconstructions in FD, 0.01 less 1", lost["0.01"] - lost["1"], "above", 0.0, 4),
        of_mean("KL at beta = 32 after a ramp, nats", each(found, "ramp", "kl"), "below", 1.0, 4),
    ]


def plot(axes, found: list[Found]) -> None:
    names = [f"{beta:g}" for beta in BETAS]
    for quantity, label in (("samples", "samples"), ("reconstructions", "reconstructions")):
        axes.plot(BETAS, [each(found, b, quantity).mean() for b in names], "o-", label=f"FD of {label}")
    axes.set(xlabel="beta", ylabel="FD (squared feature distance)", xscale="log", ylim=(0, None))
    other = axes.twinx()
    other.plot(BETAS, [each(found, b, "kl").mean() for b in names], "s--", color="C2", label="KL")
    other.set(ylabel="KL, nats", ylim=(0, None))
    lines = axes.get_lines() + other.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="upper center")
