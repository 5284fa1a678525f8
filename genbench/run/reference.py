"""A published reference in place of the training features: moments in the layouts that people publish, rows perhaps.

    mu, sigma               pytorch-fid, TTUR, clean-fid, EDM: mean `[d]` and covariance `[d, d]` (ddof = 1)
    mu, sigma, mu_s, sigma_s, arr_0    ADM (guided-diffusion): the same, those of spatial features for sFID, images
    feats or pool_3         clean-fid's for KID, score_sde: the features themselves `[n, d]`
    mu, sigma, card, perhaps features  what `genbench statistics` writes

Others say neither how many images their moments are of nor which network made them: what can be checked is, the rest
is the user's to know. A file that says how it was made is refused where that was otherwise. Pickles are never read.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
    Diffusion models beat GANs on image synthesis (Dhariwal, Nichol, 2021), evaluations/evaluator.py.
    Elucidating the design space of diffusion-based generative models (Karras et al., 2022), fid.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.errors import GenbenchError, Unavailable
from genbench.features import Extractor
from genbench.files import names_in_zip
from genbench.numpy_files import Stored, stored

if TYPE_CHECKING:
    from genbench.numerics.points import Lasting, Points, Summary

MOMENTS, SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")
ROWS = ("features", "feats", "pool_3")
IMAGES = "arr_0"
CARD = "card"
LARGEST = 1 << 20  # bytes of a card
OF_SPATIAL = "inceptionv3-spatial"  # the extractor whose moments ADM's files have beside those of Inception's pool
ROUNDING = float(np.finfo(np.float32).eps)  # networks compute in float32, whatever their moments are kept in
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin")
WRITE = "`genbench statistics DATASET_OR_samples:PATH -o FILE.npz` writes the same as plain arrays."


@dataclass(frozen=True)
class Reference:
    """What a file says of the features of a set of images.

    Arguments:
        name: the file's, without its folder.
        layout: the keys that were read.
        mean, covariance: `[d]` and `[d, d]` float64.
        rows: `[n, d]` float32, None where the file has moments alone.
        count: of how many images, None where neither the file nor the user says.
        card: what `genbench statistics` wrote of it, None in the files of others.
        holds_images: whether the file has images beside the moments, as ADM's have.
    """

    name: str
    layout: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    rows: np.ndarray | None = field(repr=False, default=None)
    count: int | None = None
    card: dict[str, Any] | None = None
    holds_images: bool = False

    @cached_property
    def sha256(self) -> str:
        """Of what was read, whatever the file is called and however it is packed."""
        digest = hashlib.sha256()
        for array in (self.mean, self.covariance, self.rows):
            if array is not None:
                digest.update(f"{array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """What of it decides a record."""
        return {"sha256": self.sha256, "count": self.count}

    @property
    def said(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"file": self.name, "layout": list(self.layout), **self.identity, "card": self.card}

    def moments(self) -> Summary:
        from genbench.numerics.points import Summary

        return Summary(self.mean, self.covariance, self.count, self.name)

    def points(self, device: str, lasting: Lasting | None = None) -> Points:
        """The rows; see `Points`.

        Raises:
            Unavailable: the file has moments alone.
        """
        from genbench.numerics.points import Points

        if self.rows is None:
            images = f"; its {IMAGES} are images, of which samples:FILE can be made" if self.holds_images else ""
            raise Unavailable(
                f"needs the features of the reference one by one, {self.name} has their moments alone{images} "
                "(`genbench statistics ... --features` writes features too)"
            )
        return Points(self.rows, device, called=f"rows of {self.name}", lasting=lasting)

    def check(self, extractor: Extractor, sha256: str, d: int) -> None:
        """Whether it is of this extractor, as far as that can be known.

        Arguments:
            sha256: that of the plan.
            d: width of the extractor's features.

        Raises:
            GenbenchError: another width; or the file says that another extractor, or another rule of resizing, made it.
        """
        if len(self.mean) != d:
            raise GenbenchError(
                f"{self.name} holds moments of {len(self.mean)} features, extractor '{extractor.name}' has {d}",
                "Name the extractor that made them: --extractor NAME, or --reference NAME=FILE.",
            )
        if self.card is None:
            return
        made = self.card["extractor"]
        for what, theirs, mine in (
            ("another extractor", made["name"], extractor.name),
            ("another rule", made["preprocessing"], extractor.preprocessing),
            ("other weights or code", made["sha256"][:16], sha256[:16]),
        ):
            if theirs != mine:
                raise GenbenchError(
                    f"{self.name} was made with {what}: '{theirs}', here it is '{mine}'",
                    "Features of two pipelines cannot be compared: write it anew with `genbench statistics`.",
                )


def read(path: Path, extractor: str, count: int | None = None) -> Reference:
    """The statistics in a file for the features of one extractor.

    Arguments:
        count: of how many images they are, as the user says.

    Raises:
        GenbenchError: no such file, a pickle, nothing that is known, or no moments that can be: another shape, values
            that are not finite, a covariance that is not symmetric or has a negative eigenvalue, beyond rounding.
    """
    if not path.is_file():
        raise GenbenchError(f"no reference at {path}", "Give an .npz of moments: see docs/extractors.md.")
    if path.suffix in PICKLES or not is_archive(path):
        raise GenbenchError(f"{path} is no .npz, perhaps a pickle, which can run code when it is read: refused", WRITE)
    arrays = stored(path)
    card = card_of(arrays, path)
    wanted = SPATIAL if extractor == OF_SPATIAL else MOMENTS
    keys = [key for key in ROWS if key in arrays] if wanted == MOMENTS else []
    rows = rows_of(arrays[keys[0]], path) if keys else None
    if all(key in arrays for key in wanted):
        check_shapes(arrays[wanted[0]], arrays[wanted[1]], path)
        mean, covariance = (arrays[key].load() for key in wanted)
        keys = [*wanted, *keys]
    elif rows is not None:
        mean, covariance = moments_of(rows)
    else:
        what = f"it holds {', '.join(sorted(arrays)) or 'no arrays'}"
        remedy = "Of images, make statistics: " + WRITE if IMAGES in arrays else "Save mean and covariance: " + WRITE
        raise GenbenchError(f"{path} has no {' and '.join(wanted)} of extractor '{extractor}': {what}", remedy)
    mean, covariance = checked(mean, covariance, path)
    if rows is not None and len(keys) > 1:
        agree(rows, mean, covariance, path)
    if rows is not None and card and card["count"] != len(rows):
        raise unfit(path, f"the card says {card['count']} images, there are {len(rows)} rows of features")
    known = len(rows) if rows is not None else card["count"] if card else None
    if count is not None and known not in (None, count):
        raise GenbenchError(f"{path} is of {known} images, --reference-count says {count}", "Leave the count out.")
    return Reference(
        path.name, tuple(keys), mean, covariance, rows, known if count is None else count, card, IMAGES in arrays
    )


def is_archive(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04" and not is_torch(path)


def is_torch(path: Path) -> bool:
    """Whether it is an archive of `torch.save`, which holds a pickle."""
    return any(name.endswith(".pkl") for name in names_in_zip(path))


def card_of(arrays: dict[str, Stored], path: Path) -> dict[str, Any] | None:
    """What `genbench statistics` wrote of the file.

    Raises:
        GenbenchError: there is a card that is none.
    """
    if CARD not in arrays:
        return None
    said = arrays[CARD]
    try:
        if said.dtype.kind not in "US" or math.prod(said.shape) != 1 or said.dtype.itemsize > LARGEST:
            raise ValueError("no text of any length that it writes")
        card = json.loads(str(said.load()))
        good = isinstance(card["count"], int) and card["count"] > 0
        good = good and all(isinstance(card["extractor"][key], str) for key in ("name", "sha256", "preprocessing"))
    except (ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise GenbenchError(f"{path} has a card that `genbench statistics` does not write", WRITE)
    return card


def rows_of(found: Stored, path: Path) -> np.ndarray:
    """Features `[n, d]`."""
    if found.ndim != 2 or len(found) < 2 or found.shape[1] < 1 or found.dtype.kind != "f":
        raise unfit(path, f"{found.key} is {found.dtype} {list(found.shape)}, not features [n, d] of 2 rows or more")
    rows = found.load()
    if bad := int((~np.isfinite(rows)).sum()):
        raise unfit(path, f"{bad} values of {found.key} are NaN or infinite")
    return rows.astype(np.float32) if rows.dtype.itemsize < 4 else rows


def moments_of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from genbench.numerics.moments import moments

    found = moments(rows)
    return found.mean, found.covariance


def check_shapes(mean: Stored, covariance: Stored, path: Path) -> None:
    """GenbenchError if they are no moments by their headers: then nothing of them is unpacked."""
    d = len(mean) if mean.ndim == 1 else 0
    if d < 1 or covariance.shape != (d, d) or {mean.dtype.kind, covariance.dtype.kind} != {"f"}:
        what = f"{mean.dtype} {list(mean.shape)} and {covariance.dtype} {list(covariance.shape)}"
        raise unfit(path, f"they are {what}, not real numbers [d] and [d, d]")


def checked(mean: np.ndarray, covariance: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in float64, if they can be those of features.

    Rounding is that of float32, at most sqrt(d) eps of the largest eigenvalue: files were made in any precision.
    """
    d = len(mean)
    if bad := int((~np.isfinite(mean)).sum() + (~np.isfinite(covariance)).sum()):
        raise unfit(path, f"{bad} of their values are NaN or infinite")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    largest = float(np.abs(covariance).max())
    if (off := float(np.abs(covariance - covariance.T).max())) > np.sqrt(d) * ROUNDING * largest:
        raise unfit(path, f"the covariance is not symmetric: two halves differ by {off:.2g}")
    eigenvalues = np.linalg.eigvalsh(covariance)
    if eigenvalues[0] < -np.sqrt(d) * ROUNDING * max(eigenvalues[-1], 0.0):
        raise unfit(path, f"the covariance has the eigenvalue {eigenvalues[0]:.3g}, and none can be negative")
    return mean, covariance


def agree(rows: np.ndarray, mean: np.ndarray, covariance: np.ndarray, path: Path) -> None:
    """GenbenchError if the moments of a file are not those of its features, up to rounding."""
    for what, said, found in zip(("mean", "covariance"), (mean, covariance), moments_of(rows), strict=True):
        size = max(float(np.abs(found).max()), float(rows.std()))
        if said.shape != found.shape or np.abs(said - found).max() > 1e3 * ROUNDING * size:
            raise unfit(path, f"the {what} is not that of the features in the same file")


def unfit(path: Path, why: str) -> GenbenchError:
    return GenbenchError(f"{path} holds no moments of features: {why}", "Take it back from its source; or: " + WRITE)
