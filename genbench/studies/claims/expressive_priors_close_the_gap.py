"""What a VAE's samples lose to its reconstructions, with a standard normal prior and with a VampPrior.

Encoder and decoder are the same in both: 16 latents, a discretised logistic distribution for each pixel, 1,000 steps.
The VampPrior is the mean of the posteriors at 200 learned inputs. Reconstructions are of test digits, samples are as
many pictures of codes drawn from the prior, both as expected pictures; the Fréchet distance of samples less that of
reconstructions, in the features of the digits' classifier, is what the prior does not know of the codes. Beside it
stand codes of the N(0, I) model drawn from the posteriors of all training digits, the prior that its bound would like
best: what they lose is no prior's fault.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, frechet, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "An expressive prior beats N(0, I): samples lose less to reconstructions, and the bound is better."
SAID_BY = "Hoffman, Johnson (2016), who find the prior at fault; Tomczak, Welling (2018), section 2"
DECIDED_BY = (
    "the Fréchet distance of samples less that of reconstructions, and the bound on bits/dim of test digits by 50 "
    "draws, VampPrior less N(0, I)"
)
CARRIES = (
    "to 8x8 digits, 16 latents, 1,000 steps and one expressive prior, which begins at training digits. Differences can "
    "be below 0, since reconstructions are of digits to test on."
)
PICTURE = "Fréchet distance of samples less that of reconstructions: a point for each seed."
SEEDS, VERSION = 5, 1
STEPS, COMPONENTS, DRAWS = 1000, 200, 50
OPTIONS = {"latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"}
PRIORS = {"N(0, I)": ("vae", OPTIONS), "VampPrior": ("vampprior-vae", {**OPTIONS, "components": COMPONENTS})}


def measured(prior: str, seed: int) -> dict[str, float]:
    name, options = PRIORS[prior]
    torch.manual_seed(seed)
    vae: Any = catalog.build(name, digits().space, options)
    train, test, noise = whole(digits().train), whole(digits().test), torch.Generator().manual_seed(seed)
    if prior == "VampPrior":
        vae.initialise(train, noise)
    trained(vae, train, lambda x: vae.loss(x, noise) / 64, STEPS, seed)
    with torch.no_grad():
        log_w = torch.cat([vae.log_weights(x, DRAWS, noise) for x in test.split(100)], 1).double()
        codes = vae.draw(vae.posterior(train), 1, noise)[0][0]
        chosen = codes[torch.randint(len(codes), (len(test),), generator=noise)]
        return {
            "samples": frechet(vae.expected(vae.sample_prior(len(test), noise))),
            "reconstructions": frechet(vae.reconstruct(test)),
            "codes": frechet(vae.expected(chosen)),
            "bits": float(math.log(DRAWS) - log_w.logsumexp(0).mean()) / (digits().space.dim * math.log(2)),
        }


def trial(seed: int) -> Found:
    return {prior: measured(prior, seed) for prior in PRIORS}


def lost(found: list[Found], prior: str, of: str = "samples") -> np.ndarray:
    return each(found, prior, of) - each(found, prior, "reconstructions")


def judged(found: list[Found]) -> list[Finding]:
    plain, vamp = PRIORS
    bits = each(found, vamp, "bits") - each(found, plain, "bits")
    fd = lost(found, vamp) - lost(found, plain)
    told = f"{vamp} ({lost(found, vamp).mean():.3g}) less {plain} ({lost(found, plain).mean():.3g})"
    return [
        of_mean(f"FD of samples less that of reconstructions, {told}", fd, "below", 0.0, 2),
        of_mean(f"bound on bits/dim, {vamp} less {plain}", bits, "below", 0.0, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    rows = [(prior, lost(found, prior)) for prior in PRIORS]
    rows.append(("codes of training digits", lost(found, "N(0, I)", "codes")))
    for i, (_, y) in enumerate(rows):
        axes.scatter(i + np.linspace(-0.1, 0.1, len(y)), y, s=16, color=f"C{i}")
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xticks(range(len(rows)), [name for name, _ in rows])
    axes.set(xlim=(-0.5, len(rows) - 0.5), xlabel="where codes come from",
             ylabel="FD, samples less reconstructions\n(squared feature distance)")  # fmt: skip
