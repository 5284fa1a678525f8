"""MADE on 50, 200 and 1,000 digits: what detailed balance on data says, beside the gap between training and test.

Balance on data is the mean of sign(log r) min(1, r), r the ratio of the model's probabilities of an example with one
value changed and of the example itself (`likelihood/balance.py`): 0 for the distribution that the data are from, above
0 where the model finds changed examples more probable too often. It needs no training data; the gap does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.likelihood.balance import balance
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Detailed balance on test data tells how far a model has learnt its training data by heart."
SAID_BY = "the metric `balance-data` of this benchmark, of which this is a test"
DECIDED_BY = "balance on test digits and the gap of bits/dim between training and test, 50 training digits less 1,000"
CARRIES = (
    "to MADE after 600 steps; a model that is too flat moves the same number the other way, so that it is no measure "
    "of the gap by itself."
)
PICTURE = "Balance on test and on training digits against the gap of bits/dim: a point for each training."
SEEDS, VERSION = 5, 1
SIZES, STEPS = (50, 200, 1000), 600


def measured(n: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    data = digits()
    rows = np.random.default_rng(seed).permutation(len(data.train))[:n]
    train, test = data.train[rows], data.test
    net: Any = catalog.build("made", data.space, {"orders": 1})
    x = whole(train)
    trained(net, x, lambda batch: -net.log_prob(batch).mean() / 64, STEPS, seed)
    with torch.no_grad():
        bits = [-float(net.log_prob(whole(part)).double().mean()) / (64 * math.log(2)) for part in (train, test)]
    found = {"gap": bits[1] - bits[0]}
    for name, part in (("train", train), ("test", test)):
        found[name] = float(np.mean([balance(net, part, train, repeat).mean() for repeat in range(4)]))
    return found


def trial(seed: int) -> Found:
    return {str(n): measured(n, seed) for n in SIZES}


def judged(found: list[Found]) -> list[Finding]:
    few, many = str(SIZES[0]), str(SIZES[-1])

    def rise(what: str) -> np.ndarray:
        return each(found, few, what) - each(found, many, what)

    apart = each(found, few, "test") - each(found, few, "train")
    return [
        of_mean(f"gap of bits/dim, {few} training digits less {many}", rise("gap"), "above", 0.0, 3),
        of_mean(f"balance on test digits, {few} less {many}", rise("test"), "above", 0.0, 3),
        of_mean(f"balance on test digits less that on training digits, {few}", apart, "above", 0.0, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    for name, marker in (("test", "o"), ("train", "^")):
        for i, n in enumerate(map(str, SIZES)):
            label = f"on {name} digits, {n} to learn from"
            x, y = each(found, n, "gap"), each(found, n, name)
            axes.scatter(x, y, s=18, marker=marker, color=f"C{i}", label=label)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set(xlabel="test less training, bits/dim", ylabel="balance on data")
    axes.legend(fontsize=7)
