"""The IWAE of `baselines/` on black and white digits with 1, 5 and 50 weights, for the same processor time.

Fifty weights cost several times the time of one, and may pay for it or not. Networks of two hidden layers of 64 units,
16 latents; how many steps the time pays for is tried on a copy beforehand. Of each are measured the bound of all by
one number of draws, 500 for each test digit, and the effective sample size of those draws, (sum w)^2 / sum w^2 over
500, which says how near the encoder comes to the posterior of its own model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench import catalog, datasets
from genbench.studies.claims import Finding
from genbench.studies.claims._training import steps_within, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "At equal time, too, fifty importance weights give a better model than one, and a worse encoder."
SAID_BY = "Burda, Grosse, Salakhutdinov (2016), who compare equal updates; Rainforth et al. (2018) of encoders"
DECIDED_BY = "the bound on test digits by 500 draws in nats, and their effective sample size, 50 weights less one"
CARRIES = (
    "to two seconds of one core, which fifty weights spend on fewer than 200 steps and one weight on a thousand: where "
    "time is short, steps are worth more than weights. Five weights are ahead of one, as the picture shows. Longer "
    "trainings, which may end where equal updates do, are not tried."
)
PICTURE = "Bound by 500 draws and their effective sample size, against the weights of training: a point for each seed."
SEEDS, VERSION = 5, 1
WEIGHTS, SECONDS, DRAWS = (1, 5, 50), 2.0, 500


def measured(k: int, seed: int) -> dict[str, float]:
    data, noise = datasets.load("digits-binary"), torch.Generator().manual_seed(seed)
    train, test = (whole(x) for x in (data.train, data.test))
    torch.manual_seed(seed)
    model: Any = catalog.build("iwae", data.space, {"k": k})
    steps = steps_within(SECONDS, model, train, lambda model, x: model.loss(x, torch.Generator().manual_seed(0)))
    trained(model, train, lambda x: model.loss(x, noise), steps, seed)
    with torch.no_grad():
        log_w = model.log_weights(test, DRAWS, torch.Generator().manual_seed(0)).double()
    log_p = log_w.logsumexp(0)
    share = (2 * log_p - (2 * log_w).logsumexp(0)).exp() / DRAWS
    return {"bound": float(log_p.mean()) - float(np.log(DRAWS)), "share": float(share.mean()), "steps": steps}


def trial(seed: int) -> Found:
    return {str(k): measured(k, seed) for k in WEIGHTS}


def judged(found: list[Found]) -> list[Finding]:
    bound, share = ({k: each(found, str(k), what) for k in WEIGHTS} for what in ("bound", "share"))
    return [
        of_mean("bound in nats, 50 weights less one", bound[50] - bound[1], "above", 0.0, 2),
        of_mean("effective share of draws, 50 weights less one", share[50] - share[1], "below", 0.0, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    other = axes.twinx()
    for k in WEIGHTS:
        axes.scatter([0.95 * k] * len(found), each(found, str(k), "bound"), s=18, color="C0")
        other.scatter([1.05 * k] * len(found), each(found, str(k), "share"), s=18, color="C1", marker="s")
    axes.set(xlabel="weights k in training", xscale="log", ylabel="bound, nats (circles)")
    other.set(ylabel="effective share of 500 draws (squares)", ylim=(0, None))
    axes.set_xticks(WEIGHTS, list(map(str, WEIGHTS)))
    axes.minorticks_off()
