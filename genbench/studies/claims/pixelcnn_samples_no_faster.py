"""Time of a sample of PixelCNNs and PixelRNNs, by a full pass of the network for each pixel and with caches.

The networks of the presets for 8x8 digits and for binary MNIST, untrained, on one thread, 64 samples at once. A pass
costs the same whatever pixel it is for, so that one is timed and counted once for each pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.space import Space
from genbench.studies.claims import Finding
from genbench.studies.claims._training import seconds
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Without a cache a PixelCNN samples no faster than a PixelRNN."
SAID_BY = "lectures after van den Oord et al. (2016), section 3.5: sampling is a pass for each pixel either way"
DECIDED_BY = "processor time of a sample by a pass for each pixel, PixelRNN over PixelCNN: above 1.1 counts as faster"
CARRIES = (
    "to one thread and networks of these sizes, before training, which changes no time. Each takes one pass for each "
    "pixel, as the sentence has it; but a pass of a PixelRNN takes a step for each row or diagonal, and costs more. "
    "With a cache a PixelCNN is ahead as well, as the picture shows of the digits."
)
PICTURE = "Processor time of a sample: a point for each trial."
SEEDS, VERSION = 4, 1
MODELS = {"pixelcnn": "PixelCNN", "row-lstm": "Row LSTM", "diagonal-bilstm": "Diagonal BiLSTM"}
SPACES = {"digits": Space((1, 8, 8), levels=17), "mnist-binary": Space((1, 28, 28), levels=2)}
BATCH, NONE = 64, 1.1


@torch.no_grad()
def of_sample(data: str, name: str, seed: int) -> dict[str, float]:
    """Processor seconds of one sample; with a cache on digits alone."""
    space = SPACES[data]
    model: Any = catalog.build(name, space, catalog.trainable(name).PRESETS[data].options).eval()
    x = torch.zeros(BATCH, *space.shape, dtype=torch.int64)
    found = {"passes": seconds(lambda: model.logits(x)) * space.dim / BATCH}
    if data == "digits":
        generator = torch.Generator().manual_seed(seed)
        found["cache"] = seconds(lambda: model.sample(BATCH, generator)) / BATCH
    return found


def trial(seed: int) -> Found:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {data: {name: of_sample(data, name, seed) for name in MODELS} for data in SPACES}
    finally:
        torch.set_num_threads(threads)


def judged(found: list[Found]) -> list[Finding]:
    cases = [(data, name) for data in SPACES for name in ("row-lstm", "diagonal-bilstm")]
    return [
        of_mean(
            f"{data}: seconds of a sample, {MODELS[name]} over PixelCNN",
            each(found, data, name, "passes") / each(found, data, "pixelcnn", "passes"),
            "below",
            NONE,
            len(cases),
        )
        for data, name in cases
    ]


def plot(axes, found: list[Found]) -> None:
    groups = [("digits", "passes"), ("digits", "cache"), ("mnist-binary", "passes")]
    for i, (data, how) in enumerate(groups):
        for j, (name, label) in enumerate(MODELS.items()):
            y = 1000 * each(found, data, name, how)
            at = i + 0.25 * (j - 1) + np.linspace(-0.06, 0.06, len(y))
            axes.scatter(at, y, s=16, color=f"C{j}", label=None if i else label)
    said = {"passes": "a pass for each pixel", "cache": "with a cache"}
    axes.set_xticks(range(len(groups)), [f"{data},\n{said[how]}" for data, how in groups])
    axes.set(ylabel="processor time of a sample, ms", yscale="log")
    axes.legend(fontsize=8)
