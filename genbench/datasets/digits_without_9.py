"""The 8x8 digits without their nines: what a model that never saw a nine makes of one.

Split like `digits`. All nines of the three splits, which no model of this data has seen, are its other data `held-out`:
`--outside held-out` asks whether a model tells them from the test images.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset, digits

LICENCE = "CC BY 4.0"
SOURCE = "https://archive.ics.uci.edu/dataset/80"
DOWNLOAD = 0

HELD_OUT = 9


def load(root: Path | None = None) -> Dataset:
    whole = digits.load(root)
    assert whole.labels is not None
    kept = {split: whole.labels[split] != HELD_OUT for split in SPLITS}
    nines = np.concatenate([whole.split(split)[~kept[split]] for split in SPLITS])
    x = {split: whole.split(split)[kept[split]] for split in SPLITS}
    return replace(
        whole,
        name="digits-without-9",
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        labels={split: whole.labels[split][kept[split]] for split in SPLITS},
        outside={**(whole.outside or {}), "held-out": lambda: nines},
    )
