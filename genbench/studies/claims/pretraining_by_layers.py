"""Classifiers of the digits along depth, trained at once or layer by layer first, with old layers and with new ones.

Hidden layers of 64 units, 1 or 6 of them, sigmoid or rectified, with PyTorch's first weights. Pretraining makes each
layer in turn the encoder of an autoencoder of the layer below it, 200 steps each; then, as without it, 600 steps of
Adam on the classes. What is measured is the share of the test digits that are put in their class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, scaled, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Deep networks of sigmoid layers need pretraining by layers, those of rectified units do not."
SAID_BY = "Hinton, Salakhutdinov (2006); Glorot, Bordes, Bengio (2011), of rectified units"
DECIDED_BY = "accuracy on test digits with pretraining less that without, six hidden layers, 600 steps"
CARRIES = (
    "to this many steps and plain first weights, with which six sigmoid layers do not train either way. Normalisation "
    "and residual paths are not tried."
)
PICTURE = "Accuracy on test digits with six hidden layers and with one: a point for each seed."
SEEDS, VERSION = 8, 1
DEPTHS, WIDTH, STEPS, EACH = (1, 6), 64, 600, 200
KINDS = {"sigmoid": nn.Sigmoid, "rectified": nn.ReLU}


def pretrained(layers: list[nn.Sequential], x: Tensor, seed: int) -> None:
    """Each layer learns to keep what comes from below."""
    for layer in layers:
        back = nn.Linear(WIDTH, x.shape[1])
        net = nn.Sequential(layer, back)

        def error(batch: Tensor, net: nn.Module = net) -> Tensor:
            return (net(batch) - batch).square().mean()

        trained(net, x, error, EACH, seed)
        with torch.no_grad():
            x = layer(x)


def accuracy(kind: str, depth: int, first: bool, seed: int) -> float:
    torch.manual_seed(seed)
    data = digits()
    train, test = scaled(data.train), scaled(data.test)
    assert data.labels is not None
    labels = {split: torch.from_numpy(data.labels[split]) for split in ("train", "test")}
    layers = [nn.Sequential(nn.Linear(64, WIDTH), KINDS[kind]()) for _ in range(depth)]
    if first:
        pretrained(layers, train, seed)
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 10))
    rows = torch.cat([train, labels["train"][:, None].float()], 1)
    trained(net, rows, lambda batch: F.cross_entropy(net(batch[:, :-1]), batch[:, -1].long()), STEPS, seed)
    with torch.no_grad():
        return float((net(test).argmax(1) == labels["test"]).float().mean())


def trial(seed: int) -> Found:
    def of(kind: str, depth: int) -> dict[str, float]:
        return {"at once": accuracy(kind, depth, False, seed), "by layers": accuracy(kind, depth, True, seed)}

    return {kind: {str(depth): of(kind, depth) for depth in DEPTHS} for kind in KINDS}


def judged(found: list[Found]) -> list[Finding]:
    deep = str(DEPTHS[-1])
    gain = {k: each(found, k, deep, "by layers") - each(found, k, deep, "at once") for k in KINDS}
    return [
        of_mean(f"{deep} sigmoid layers: gain in accuracy", gain["sigmoid"], "above", 0.02, 2),
        of_mean(f"{deep} rectified layers: gain in accuracy", gain["rectified"], "below", 0.02, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    ticks: list[str] = []
    for kind in KINDS:
        for depth in DEPTHS:
            for j, way in enumerate(("at once", "by layers")):
                y = each(found, kind, str(depth), way)
                x = [len(ticks) + 0.25 * (j - 0.5)] * len(y)
                axes.scatter(x, y, s=14, color=f"C{j}", label=way if not ticks else None)
            ticks.append(f"{kind}, {depth}")
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(ylabel="accuracy on test digits", ylim=(0, 1.02))
    axes.legend(fontsize=8)
