"""Statistics of a set of images in the features of an extractor, written so that anybody can use them.

    mu [d], sigma [d, d] (ddof = 1, float64), perhaps features [n, d], and a card: a text of JSON

The keys are those of pytorch-fid, so its users can read the file too; `run/reference.py` reads it back, and the card
lets it refuse features of another extractor or of another rule of resizing.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbench import __version__, features
from genbench.datasets import load
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.numerics.moments import moments
from genbench.run.plan import hash_of_extractor
from genbench.space import Space

SAMPLES = "samples:"


@dataclass(frozen=True)
class Described:
    """Where images are from.

    Arguments:
        dataset: its name in the catalog, None for samples.
        split: of a dataset, None for samples.
        sha256: of the dataset, or of the samples.
    """

    source: str
    space: Space
    sha256: str
    dataset: str | None = None
    split: str | None = None


def images_of(what: str, split: str, root: Path | None = None) -> tuple[np.ndarray, Described]:
    """The images of a dataset's split, or all of `samples:PATH`, `[n, *shape]`.

    Raises:
        GenbenchError: nothing there, or nothing that can be read.
    """
    if not what.startswith(SAMPLES):
        data = load(what, root)
        return data.split(split), Described(data.name, data.space, data.sha256, data.name, split)
    from genbench.datasets._files import called, load_alone
    from genbench.models.adapters.samples import hash_path

    path = Path(what.removeprefix(SAMPLES))
    sha256 = hash_path(path)
    images, space = load_alone(path)
    return images, Described(called(path), space, sha256)


def made(
    images: np.ndarray,
    described: Described,
    name: str,
    weights: Path | None = None,
    device: str = "cpu",
    batch_size: int = 500,
    keep_features: bool = False,
) -> dict[str, np.ndarray]:
    """The arrays of a file of statistics.

    Raises:
        GenbenchError: an extractor that is unknown, does not fit the images, or that nobody can know again.
    """
    if len(images) < 2:
        raise GenbenchError(f"{described.source} has {len(images)} images", "A covariance needs at least two.")
    sha256, pinned = hash_of_extractor(name, described.space, weights)
    if not pinned:
        raise GenbenchError(
            f"what decides the features of {name} is not all known, so nobody could tell what the file is of",
            "Give the function a `version` attribute.",
        )
    extractor = features.load(name, described.space, weights, device)
    rows, _ = extractor(images, batch_size)
    found = moments(rows)
    card = {
        "genbench": __version__,
        "extractor": {
            "name": extractor.name,
            "sha256": sha256,
            "preprocessing": extractor.preprocessing,
            "weights_sha256": extractor.weights,
        },
        "count": len(rows),
        "data": {"name": described.source, "split": described.split, "sha256": described.sha256},
        "space": described.space.to_dict(),
    }
    arrays = {"mu": found.mean, "sigma": found.covariance, "card": np.array(json.dumps(card, sort_keys=True))}
    return {**arrays, "features": rows} if keep_features else arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """All of the file or nothing.

    Raises:
        GenbenchError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise GenbenchError(
            f"cannot write {path}: {error.strerror or error}", "Choose another file with -o."
        ) from error
