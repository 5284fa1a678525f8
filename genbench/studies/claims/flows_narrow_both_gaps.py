"""What a VAE's bound loses to the family of its posterior, and what to its encoder; with a flow, and without.

    log p(x) - L(x) = [log p(x) - L*(x)] + [L*(x) - L(x)]        (Cremer et al. 2018, table 1)
                       approximation        amortisation

L is the bound with the parameters that the encoder gives for x, L* the best over these parameters. Two models of the
digits have the same networks: mean and log sd of a diagonal Gaussian, and with a flow a context besides, which four
steps of an inverse autoregressive flow read (`flow-posterior-vae`). With two latents log p(x) is a sum over a grid of
z. Of 100 test digits the parameters are then improved by 300 steps of Adam from what the encoder gave, for each digit
by itself, the weights at rest; L and L* are means over the same 1,000 draws, which are others than those of ascent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A flow posterior narrows a VAE's approximation gap, and its amortisation gap as well."
SAID_BY = "Kingma et al. (2016) of the first; Cremer, Li, Duvenaud (2018) of both"
DECIDED_BY = "both gaps in nats of test digits, diagonal less flow; log p(x) exact by a grid over two latents"
CARRIES = (
    "to two latents and a small network, whose decoder learnt together with its posterior. Of test digits: what an "
    "encoder has not learnt to infer of new ones counts as amortisation."
)
PICTURE = "What the bound on test digits loses, in nats: a point for each seed."
SEEDS, VERSION = 5, 1
OPTIONS = {"latent": 2, "hidden": 64, "width": 32, "context": 8}
FLOWS = {"diagonal": 0, "flow": 4}
STEPS, EXAMPLES, ASCENT, SAMPLES, DRAWS = 2000, 100, 300, 16, 1000
REACH, SIDE, LEVELS = 6.0, 401, 17


def log_p(model: Any, x: Tensor) -> Tensor:
    """log p(x) of `[B, *shape]` by a sum over a grid of z: `[B]`."""
    z = torch.cartesian_prod(*[torch.linspace(-REACH, REACH, SIDE)] * 2)
    is_level = F.one_hot(x.flatten(1), LEVELS).transpose(1, 2).flatten(1).float()  # [B, L D]
    parts = []
    for part in z.split(5000):
        log_x = model.observation.split(model.decoder(part)).log_softmax(1).flatten(1)  # [n, L D], of every level
        parts.append(torch.logsumexp((log_x @ is_level.T + model.log_prior(part)[:, None]).double(), 0))
    return torch.logsumexp(torch.stack(parts), 0) + 2 * math.log(2 * REACH / (SIDE - 1))


def bounds(model: Any, x: Tensor, q: tuple[Tensor, ...], draws: int, generator: torch.Generator) -> Tensor:
    """The bound of every example by these parameters of q: `[B]`."""
    return model.log_weights(x, draws, generator, q).mean(0)


def improved(model: Any, x: Tensor, seed: int) -> tuple[Tensor, ...]:
    """The parameters of q(z | x) after ascent on the bound, each example's by itself."""
    generator = torch.Generator().manual_seed(seed)
    q = tuple(part.detach().clone().requires_grad_() for part in model.posterior(x))
    optimiser = torch.optim.Adam(q, lr=0.05)
    for step in range(ASCENT):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / ASCENT)
        optimiser.zero_grad()
        (-bounds(model, x, q, SAMPLES, generator).sum()).backward()
        optimiser.step()
    return tuple(part.detach() for part in q)


def fitted(kind: str, seed: int) -> Any:
    torch.manual_seed(seed)
    model: Any = catalog.build("flow-posterior-vae", digits().space, {**OPTIONS, "flow": FLOWS[kind]})
    noise = torch.Generator().manual_seed(seed)
    train = whole(digits().train)
    trained(model, train, lambda batch: model.loss(batch, noise) / 64, STEPS, seed)
    return model.requires_grad_(False)


def gaps(model: Any, x: Tensor, seed: int) -> dict[str, float]:
    """Means over the examples, in nats."""
    with torch.no_grad():
        exact = log_p(model, x)
    best = improved(model, x, seed)
    with torch.no_grad():
        L, L_best = (
            bounds(model, x, q, DRAWS, torch.Generator().manual_seed(1)).double() for q in (model.posterior(x), best)
        )
    return {
        "log p": float(exact.mean()),
        "approximation": float((exact - L_best).mean()),
        "amortisation": float((L_best - L).mean()),
    }


def trial(seed: int) -> Found:
    x = whole(digits().test[:EXAMPLES])
    return {kind: gaps(fitted(kind, seed), x, seed) for kind in FLOWS}


def judged(found: list[Found]) -> list[Finding]:
    return [
        of_mean(f"{gap} gap, nats, diagonal less flow", each(found, "diagonal", gap) - each(found, "flow", gap),
                "above", 0.0, 2)
        for gap in ("approximation", "amortisation")
    ]  # fmt: skip


def plot(axes, found: list[Found]) -> None:
    for i, gap in enumerate(("approximation", "amortisation")):
        for j, kind in enumerate(FLOWS):
            y = each(found, kind, gap)
            x = i + 0.24 * (j - 0.5) + np.linspace(-0.06, 0.06, len(y))
            axes.scatter(x, y, s=16, color=f"C{j}", label=None if i else kind)
    axes.set_xticks((0, 1), ["approximation gap\n(the family)", "amortisation gap\n(the encoder)"])
    axes.set(ylabel="nats an image", ylim=(0, None))
    axes.legend(fontsize=8)
