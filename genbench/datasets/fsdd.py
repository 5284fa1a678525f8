"""Spoken digits of two speakers as log-mel spectrograms of 40 bands and 64 frames, with 256 levels.

The label says who speaks and what: 10 * speaker + digit, jackson being 0 and theo 1. How a recording becomes an image
is said in `_fsdd.py` and in `genbench/numerics/speech.py`.

References:
    Free Spoken Digit Dataset (Jackson et al., 2018), version 1.0.10.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset
from genbench.datasets._fsdd import DIGITS, spoken

LICENCE = "CC BY-SA 4.0"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
DOWNLOAD = 0  # it is put there by hand


def load(root: Path | None = None) -> Dataset:
    first, second = spoken(root).values()
    x = {split: np.concatenate([first.split(split), second.split(split)]) for split in SPLITS}
    labels = {s: np.concatenate([first.labels_of(s), DIGITS + second.labels_of(s)]) for s in SPLITS}
    return replace(first, name="fsdd", train=x["train"], validation=x["validation"], test=x["test"], labels=labels)
