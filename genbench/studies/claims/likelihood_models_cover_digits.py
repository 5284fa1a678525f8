"""A likelihood model and a GAN of the digits, five trainings of each: recall and Vendi score beside the classes.

Each is trained by the preset of its row on the board of the digits, in a quarter of the steps. Of 500 samples are
measured, in the features of the digits' classifier: recall, the share of training digits that lie where samples do; the
Vendi score, how many wholly different samples would be as diverse; and the KL divergence of the classes that the
classifier sees from those of the training digits, in nats, which counts modes as far as classes are modes. The 500
digits to test on stand beside them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from genbench.metrics import classes, precision_recall, vendi
from genbench.models import checkpoint, training
from genbench.numerics.points import Points
from genbench.studies.claims import Finding
from genbench.studies.claims._training import classified, digits, recognised
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Of images, too, likelihood models cover the modes and GANs drop them."
SAID_BY = "Goodfellow (2016), section 3.2.5; Metz et al. (2017)"
DECIDED_BY = (
    "recall, Vendi score and the KL divergence of the classes of 500 samples, of a VAE less those of a DCGAN, over "
    "five trainings of each"
)
CARRIES = (
    "to 8x8 digits, a non-saturating GAN of convolutions and one likelihood model, in short trainings. The Vendi score "
    "knows no data, and rises with noise; `gans-drop-modes` counts modes that are known."
)
PICTURE = "Recall and Vendi score of 500 samples: a point for each training."
SEEDS, VERSION = 5, 1
LIKELIHOOD, GAN, SAMPLES, PART = "vae", "dcgan", 500, 4
METRICS: dict[str, Literal["above", "below"]] = {"recall": "above", "vendi": "above", "classes_kl": "below"}
TITLES = {"recall": "recall", "vendi": "Vendi score", "classes_kl": "KL of the classes"}


def measured(x: np.ndarray) -> dict[str, float]:
    """The metrics of samples `[n, 1, 8, 8]`."""
    found, logits = classified(x)
    points = Points(found)
    measures = {
        **precision_recall.compute(points, recognised(), intervals=False),
        **vendi.compute(points, intervals=False),
        **classes.compute(logits, digits().labels_of("train")),
    }
    return {name: float(measures[name].value) for name in METRICS}


def samples(name: str, seed: int) -> np.ndarray:
    """Of a baseline that is trained by its preset in a part of the steps."""
    steps = training.preset_of(name, "digits", {}).steps // PART
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        training.train(name, digits(), training.preset_of(name, "digits", {"steps": steps}), path, seed)
        model: Any = checkpoint.load(path)
    with torch.no_grad():
        return model.sample(SAMPLES, torch.Generator().manual_seed(seed)).numpy()


def trial(seed: int) -> Found:
    return {**{name: measured(samples(name, seed)) for name in (LIKELIHOOD, GAN)}, "test": measured(digits().test)}


def judged(found: list[Found]) -> list[Finding]:
    findings = []
    for metric, expected in METRICS.items():
        own, gan = each(found, LIKELIHOOD, metric), each(found, GAN, metric)
        what = f"{TITLES[metric]}, {LIKELIHOOD} ({own.mean():.3g}) less {GAN} ({gan.mean():.3g})"
        findings.append(of_mean(what, own - gan, expected, 0.0, len(METRICS)))
    return findings


def plot(axes, found: list[Found]) -> None:
    for name, marker in zip((LIKELIHOOD, GAN), "ov", strict=True):
        axes.scatter(each(found, name, "recall"), each(found, name, "vendi"), s=18, marker=marker, label=name)
    test = found[0]["test"]
    axes.scatter([test["recall"]], [test["vendi"]], s=40, marker="x", color="#444444", label="500 test digits")
    axes.set(xlabel="recall, share of training digits", ylabel="Vendi score, effective samples")
    axes.legend(fontsize=8)
