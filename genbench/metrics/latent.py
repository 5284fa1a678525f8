"""Latents of a variational autoencoder: how much the posteriors say, and how many of the units say anything.

With q(z|x) = N(mean(x), diag sd(x)^2) and a prior N(0, I), of every unit u

    KL_u(x) = (mean_u^2 + sd_u^2 - 1) / 2 - log sd_u        (Kingma and Welling 2014, appendix B)
    A_u     = variance over x of mean_u(x)                  (Burda, Grosse, Salakhutdinov 2016, section 5.2)

`latent_kl` is the mean over test examples of the sum over units, the rate at which an example is written into the
latents, in nats. It bounds their mutual information with x from above: both exceed E_x KL(q(z|x) || q(z)), the KL by
KL(q(z) || N(0, I)). `active_units` counts the units with A_u > 0.01. A collapsed unit has KL_u = 0: its posterior is
the prior whatever x is, and the decoder does without it. The details give KL_u and A_u of every unit.

The interval of the KL covers fresh test examples, given the model; a count over a threshold has none.

References:
    Auto-encoding variational Bayes (Kingma, Welling, 2014); Importance weighted autoencoders (Burda, Grosse,
    Salakhutdinov, 2016); Fixing a broken ELBO (Alemi, Poole, Fischer, Dillon, Saurous, Murphy, 2018), for the rate.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.metrics._inputs import matrices

VERSION = 1
NEEDS = ("gaussian_posteriors", "test_sequence")
OUTPUTS = {
    "latent_kl": {
        "unit": "nats",
        "direction": "none",
        "range": (0, None),
        "title": "KL of posteriors to the prior",
        "misses": "neither more nor less is better by itself; says nothing of how well the prior is covered",
        "group": "representation",
        "place": 434,
    },
    "active_units": {
        "unit": "units",
        "direction": "none",
        "range": (0, None),
        "title": "active units of the latents",
        "misses": "depends on the threshold, and on how many units there are",
        "group": "representation",
        "place": 436,
    },
}
REFERENCE = "Burda, Grosse, Salakhutdinov, 2016"

ACTIVE = 0.01  # of the variance of a unit's mean


def compute(gaussian_posteriors: dict[str, np.ndarray], test_sequence: np.ndarray | None) -> dict[str, Measure]:
    """From the means and log standard deviations of q(z|x), `[n, d]` each."""
    mean, log_sd = (x.astype(np.float64) for x in matrices(2, **gaussian_posteriors))
    kl = (np.square(mean) + np.expm1(2 * log_sd)) / 2 - log_sd  # [n, d]
    activity = mean.var(0, ddof=1)
    active = int((activity > ACTIVE).sum())
    details = {"n": len(kl), "units": kl.shape[1], "kl_by_unit": kl.mean(0).tolist()}
    why = "none: a count of units over a threshold"
    by_unit = {"of": kl.shape[1], "threshold": ACTIVE, "variance_by_unit": activity.tolist()}
    return {
        "latent_kl": mean_of_examples(kl.sum(1).clip(0), test_sequence, least=0.0, details=details),
        "active_units": Measure(float(active), "estimate", None, None, why, details=by_unit),
    }
