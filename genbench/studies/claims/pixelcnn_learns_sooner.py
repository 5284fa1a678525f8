"""A PixelCNN, a Row LSTM and a Diagonal BiLSTM of the digits, until their validation digits cost so many bits.

Examples per second are not the whole of it: a model that learns more of each example may be done sooner. The networks
are those of `baselines/`, with the options, batches and rates of their presets; the rate stays constant, so that no end
that was planned beforehand decides when a value is reached. Bits/dim of the validation digits are taken every 20 steps,
and the processor time of the steps alone is counted. The target is reached where the line between two validations
crosses it.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, whole
from genbench.studies.claims._trials import Found, of_mean

SENTENCE = "A PixelCNN reaches a given likelihood in less time than a PixelRNN."
SAID_BY = "those who read van den Oord et al. (2016), section 3.5, of a PixelCNN as the fastest to train"
DECIDED_BY = "processor seconds until validation digits cost 2.1 bits/dim, PixelRNN over PixelCNN"
CARRIES = (
    "to one thread, 8x8 digits and a target that all reach within a hundred steps; where a network ends is another "
    "claim. A Row LSTM, eight steps to an image, is there as soon. The time to a target is no column of the boards: "
    "it needs one target for all models of a page, which weak ones never reach, and the curve of a training, which no "
    "checkpoint keeps; their column training-time is until a model's own best weights."
)
PICTURE = "Bits/dim of validation digits against the processor time of training: a line for each seed."
SEEDS, VERSION = 3, 1
MODELS = {"pixelcnn": "PixelCNN", "row-lstm": "Row LSTM", "diagonal-bilstm": "Diagonal BiLSTM"}
TARGET, EVERY, MOST = 2.1, 20, 400


@torch.no_grad()
def bits(model: Any) -> float:
    """Bits/dim of the validation digits."""
    model.eval()
    x = whole(digits().validation)
    value = -float(model.log_prob(x).double().mean()) / (64 * math.log(2))
    model.train()
    return value


def curve(name: str, seed: int) -> dict[str, list[float]]:
    """Processor seconds of training, and bits/dim, every so many steps until the target or the last step is passed."""
    preset = catalog.trainable(name).PRESETS["digits"]
    torch.manual_seed(seed)
    model: Any = catalog.build(name, digits().space, preset.options)
    generator = torch.Generator().manual_seed(seed)
    data = whole(digits().train)
    optimiser = torch.optim.AdamW(model.parameters(), lr=preset.lr, weight_decay=preset.weight_decay)
    spent, found = 0.0, {"seconds": [0.0], "bits": [bits(model)]}
    while found["bits"][-1] > TARGET and len(found["bits"]) <= MOST // EVERY:
        before = time.process_time()
        for _ in range(EVERY):
            batch = data[torch.randint(len(data), (preset.batch_size,), generator=generator)]
            optimiser.zero_grad()
            model.loss(batch, generator).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), preset.clip)
            optimiser.step()
        spent += time.process_time() - before
        found["seconds"].append(spent)
        found["bits"].append(bits(model))
    return found


def trial(seed: int) -> Found:
    return {name: curve(name, seed) for name in MODELS}


def reached(one: dict[str, list[float]]) -> tuple[float, float]:
    """Seconds and steps until the target, which are infinite if it was not reached."""
    below = [i for i, value in enumerate(one["bits"]) if value <= TARGET]
    if not below or below[0] == 0:
        return math.inf, math.inf
    i = below[0]
    (a, b), (s, t) = one["bits"][i - 1 : i + 1], one["seconds"][i - 1 : i + 1]
    part = (a - TARGET) / (a - b)
    return s + part * (t - s), EVERY * (i - 1 + part)


def judged(found: list[Found]) -> list[Finding]:
    until = {name: np.array([reached(one[name]) for one in found]) for name in MODELS}
    findings = []
    for name in ("row-lstm", "diagonal-bilstm"):
        what = f"seconds to {TARGET:g} bits/dim, {MODELS[name]} over PixelCNN"
        late = sum(not math.isfinite(a + b) for a, b in zip(until[name][:, 0], until["pixelcnn"][:, 0], strict=True))
        if late:
            findings.append(Finding(what, "", "", "open", f"not reached with {late} of {len(found)} seeds"))
            continue
        (s, n), (t, m) = until[name].mean(0), until["pixelcnn"].mean(0)
        what += f" ({s:.1f} s and {n:.0f} steps against {t:.1f} s and {m:.0f} steps)"
        findings.append(of_mean(what, until[name][:, 0] / until["pixelcnn"][:, 0], "above", 1.0, 2))
    return findings


def plot(axes, found: list[Found]) -> None:
    for i, (name, label) in enumerate(MODELS.items()):
        for j, one in enumerate(found):
            axes.plot(one[name]["seconds"], one[name]["bits"], color=f"C{i}", lw=0.9, label=None if j else label)
    axes.axhline(TARGET, color="#888888", linewidth=0.8)
    axes.set(xlabel="processor seconds of training", ylabel="bits/dim of validation digits", ylim=(2.0, 3.0))
    axes.legend(fontsize=8)
