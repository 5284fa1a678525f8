"""Pictures of a translator's test examples, there and back, and some of them as WAV files where they are spectrograms.

python tests/baselines/translations.py FILE.safetensors FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from genbench import datasets
from genbench.boards.pictures import grid
from genbench.datasets import Dataset
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import translate
from genbench.numerics.speech import write_wav

COLUMNS = 10
SPOKEN = (3, 7)  # classes of which the first test example is written as audio


def first_of_each_class(data: Dataset) -> np.ndarray:
    """The first test example of every class `[classes, *shape]`."""
    labels = data.labels_of("test")
    return data.test[[int(np.flatnonzero(labels == c)[0]) for c in range(data.n_classes)]]


def rows(model: Any, x: np.ndarray, back: bool) -> list[np.ndarray]:
    """Examples, their translations, and what comes back of these."""
    there = translate(model, x, back)
    return [x, there, translate(model, there, not back)]


def draw(path: Path, folder: Path) -> None:
    model: Any = load(path)
    data = datasets.load(str(read_card(path).dataset["name"]))
    assert data.target is not None
    there = rows(model, first_of_each_class(data), back=False)
    back = rows(model, first_of_each_class(data.target), back=True)
    folder.mkdir(parents=True, exist_ok=True)
    picture = grid(np.concatenate([*there, *back]), data.space, COLUMNS)
    (folder / f"{data.name}.png").write_bytes(picture)
    if data.sound is None:
        return
    for direction, (x, translated, _) in (("there", there), ("back", back)):
        for what, images in (("given", x), ("translated", translated)):
            for c in SPOKEN:
                audio = data.sound.audio(images[c : c + 1])[0]
                (folder / f"{c}-{direction}-{what}.wav").write_bytes(write_wav(audio, data.sound.rate))


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
