"""The recordings of two speakers of the Free Spoken Digit Dataset as spectrograms of one size.

The official layout is recordings/{digit}_{speaker}_{index}.wav: 8 kHz, one channel, 16 bits, 50 recordings of a digit.
By the data's own rule the recordings 0 to 4 are for test; here 5 to 9 are for validation. Each recording is scaled to a
largest value of 1, since loudness tells the speakers apart. A longer one than the 0.64 s of an image is cut to its
stretch with the most energy, a shorter one has silence before and behind it in equal parts.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._download import Absent, cache_root, data_root, read
from genbench.errors import GenbenchError
from genbench.numerics.speech import LogMel, read_wav

SPEAKERS = ("jackson", "theo")
DIGITS, RECORDINGS = 10, 50  # of every speaker, and of every digit
SPLITS = {"test": range(5), "validation": range(5, 10), "train": range(10, RECORDINGS)}
FOLDER = "fsdd/recordings"
LICENCE = "CC BY-SA 4.0"
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
SHA256 = "c4eeecd94362393851236be39ebfa564e527d73b047973216ee3ad6cc3e9c259"  # of all samples, in the order of the files
SOUND = LogMel()


def spoken(root: Path | None) -> dict[str, Dataset]:
    """A dataset for each speaker, labelled by digit.

    Raises:
        GenbenchError: the recordings are not at hand, or are others.
    """
    audio = recordings(folder_of(root))
    digits = np.repeat(np.arange(DIGITS), RECORDINGS)
    index = np.tile(np.arange(RECORDINGS), DIGITS)
    found = {}
    for speaker, pieces in audio.items():
        images = SOUND.image(np.stack([framed(piece, SOUND.samples) for piece in pieces]))
        rows = {split: np.isin(index, list(chosen)) for split, chosen in SPLITS.items()}
        found[speaker] = Dataset(
            name=f"fsdd-{speaker}",
            space=SOUND.space,
            train=images[rows["train"]],
            validation=images[rows["validation"]],
            test=images[rows["test"]],
            labels={split: digits[of] for split, of in rows.items()},
            licence=LICENCE,
            source=SOURCE,
            sound=SOUND,
        )
    return found


def folder_of(root: Path | None) -> Path:
    """Under the data root, else in the cache.

    Raises:
        GenbenchError: in neither.
    """
    named = data_root(root)
    places = [place / FOLDER for place in (named, cache_root()) if place is not None]
    for place in places:
        if place.is_dir():
            return place
    raise Absent(
        f"no recordings of spoken digits at {' or '.join(map(str, places))}",
        f"Clone {SOURCE} as FOLDER/fsdd and pass --data-root FOLDER (or set GENBENCH_DATA).",
    )


def recordings(folder: Path) -> dict[str, list[np.ndarray]]:
    """Of every speaker the 500 recordings by digit and index, on [-1, 1).

    Raises:
        GenbenchError: one is missing or is no such file, or they are not those of the dataset.
    """
    remedy = f"Get the recordings again from {SOURCE}."
    digest = hashlib.sha256()
    found: dict[str, list[np.ndarray]] = {speaker: [] for speaker in SPEAKERS}
    for speaker in SPEAKERS:
        for path in (folder / f"{d}_{speaker}_{i}.wav" for d in range(DIGITS) for i in range(RECORDINGS)):
            try:
                audio, rate = read_wav(read(path))
            except ValueError as error:
                raise GenbenchError(f"{path}: {error}", remedy) from error
            if rate != SOUND.rate:
                raise GenbenchError(f"{path}: {rate} samples a second, not {SOUND.rate}", remedy)
            digest.update((audio * 32768).astype("<i2").tobytes())
            found[speaker].append(audio)
    if digest.hexdigest() != SHA256:
        raise GenbenchError(f"{folder} holds other recordings: their sha256 is {digest.hexdigest()}", remedy)
    return found


def framed(audio: np.ndarray, samples: int) -> np.ndarray:
    """Audio `[n]` at a largest value of 1, cut or filled up to `[samples]`."""
    audio = audio / max(float(np.abs(audio).max()), 1e-9)
    if len(audio) > samples:
        energy = np.concatenate([[0.0], np.cumsum(audio**2)])
        start = int(np.argmax(energy[samples:] - energy[:-samples]))
        return audio[start : start + samples]
    before = (samples - len(audio)) // 2
    return np.pad(audio, (before, samples - len(audio) - before))
