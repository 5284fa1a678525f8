"""One speaker's digits to be said by another, unpaired: FSDD's jackson to theo, as log-mel spectrograms.

The digits label both domains and are for judging only: no recording has a counterpart.

References:
    Free Spoken Digit Dataset (Jackson et al., 2018), version 1.0.10.
"""

from dataclasses import replace
from pathlib import Path

from genbench.datasets import Dataset
from genbench.datasets._fsdd import spoken

LICENCE = "CC BY-SA 4.0"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
DOWNLOAD = 0  # it is put there by hand


def load(root: Path | None = None) -> Dataset:
    speakers = spoken(root)
    return replace(speakers["jackson"], name="jackson-to-theo", target=speakers["theo"])
