"""The 8x8 digits with few eights: of the training and validation eights every fifth is kept, of the test images all.

Split like `digits`. About one training image in fifty is an eight, one test image in ten: what a model trained on few
examples of a group does to that group, and whether resampling helps.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import Dataset, digits

LICENCE = "CC BY 4.0"
SOURCE = "https://archive.ics.uci.edu/dataset/80"
DOWNLOAD = 0

RARE, KEPT = 8, 5  # every KEPT-th of the class RARE


def load(root: Path | None = None) -> Dataset:
    whole = digits.load(root)
    assert whole.labels is not None
    rows = {"test": np.arange(len(whole.test))}
    for split in ("train", "validation"):
        rare = np.flatnonzero(whole.labels[split] == RARE)
        rows[split] = np.setdiff1d(np.arange(len(whole.split(split))), np.delete(rare, np.s_[::KEPT]))
    x = {split: whole.split(split)[kept] for split, kept in rows.items()}
    return replace(
        whole,
        name="digits-skewed",
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        labels={split: whole.labels[split][kept] for split, kept in rows.items()},
    )
