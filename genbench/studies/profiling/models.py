"""Kernels over models: likelihoods of observations, extraction of features, sampling from the checkpoints that ship."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, distributions

from genbench import catalog
from genbench.baselines._observations import Bernoulli
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import seeded, to_tensor
from genbench.numerics.logistic import log_logistic_mixture_mass
from genbench.numerics.normal import nearest_level, normalised
from genbench.space import Space
from genbench.studies.profiling.features import BOTH, DOUBLE, FLOAT, fidelity
from genbench.studies.profiling.kernel import Kernel, Way, Work

INTEGER = 8  # bytes

# Likelihoods

BINARY = Space((1, 28, 28), levels=2)
COLOUR = Space((3, 32, 32), levels=256)


def binary_images(device: str, K: int, B: int) -> tuple:
    """Logits `[K, B, D]` of K draws of the latents, and images `[B, *shape]`."""
    generator = seeded("profile", device=device)
    h = 3 * torch.randn(K, B, BINARY.dim, generator=generator, device=device)
    return h, torch.randint(2, (B, *BINARY.shape), generator=generator, device=device)


def by_value(h: Tensor, x: Tensor) -> Tensor:
    """A loss for each value of copies of x, as it is usually written."""
    return -F.binary_cross_entropy_with_logits(h, x.flatten(1).float().expand_as(h), reduction="none").sum(-1)


def defined_bernoulli(h: Tensor, x: Tensor) -> np.ndarray:
    logits, bits = h.double().cpu().numpy(), x.flatten(1).double().cpu().numpy()
    return (bits * logits - np.logaddexp(0, logits)).sum(-1)


BERNOULLI = Kernel(
    "bernoulli",
    f"log-likelihood of B binary images of {BINARY.dim} values under K logits each",
    inputs=binary_images,
    ways=(Way("genbench", Bernoulli(BINARY).log_prob, "float32", BOTH), Way("torch", by_value, "float32", BOTH)),
    sizes=({"K": 50, "B": 100},),
    quick={"K": 5, "B": 10},
    # Of each value: product and sum, exp, log and sum of the softplus.
    work=lambda K, B: Work(5 * K * B * BINARY.dim, (FLOAT * K + INTEGER) * B * BINARY.dim + FLOAT * K * B),
    reference=defined_bernoulli,
    check={"K": 5},
    cost={"K": 1},
    start={"K": 10, "B": 100},
)


def colour_images(device: str, K: int, B: int) -> tuple:
    """Images drawn from mixtures of K logistics, `[B, D]` on [-1, 1], with the parameters `[B, K, D]`."""
    generator = seeded("profile", device=device)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    shape = (B, K, COLOUR.dim)
    log_weights, mean, log_scale = noise(*shape), 0.5 * noise(*shape), -3 + 0.5 * noise(*shape)
    u = torch.rand(B, COLOUR.dim, generator=generator, device=device).clamp(1e-6, 1 - 1e-6)
    drawn = mean[:, 0] + log_scale[:, 0].exp() * u.logit()
    return normalised(nearest_level(drawn, COLOUR), COLOUR), log_weights, mean, log_scale


def genbench_mixture(x: Tensor, log_weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    return log_logistic_mixture_mass(x, log_weights, mean, log_scale, 256).sum(-1)


def torch_mixture(x: Tensor, log_weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """The log of a difference of cumulative distributions, by torch.distributions."""
    last = [t.transpose(-1, -2) for t in (log_weights, mean, log_scale)]  # [B, D, K]
    uniform = distributions.Uniform(torch.zeros_like(last[1]), torch.ones_like(last[1]), validate_args=False)
    to_logistic = [
        distributions.SigmoidTransform().inv,
        distributions.AffineTransform(last[1], last[2].exp()),
    ]
    logistic = distributions.TransformedDistribution(uniform, to_logistic, validate_args=False)
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(logits=last[0], validate_args=False), logistic, validate_args=False
    )
    half = 1 / 255
    upper = mixture.cdf((x + half).masked_fill(x >= 1 - half, math.inf))
    lower = mixture.cdf((x - half).masked_fill(x <= half - 1, -math.inf))
    return (upper - lower).log().sum(-1)


def defined_mixture(x: Tensor, log_weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """The same in float64, where the tails that are drawn do not cancel."""
    return torch_mixture(*(t.double() for t in (x, log_weights, mean, log_scale)))


LOGISTIC_MIXTURE = Kernel(
    "logistic-mixture",
    f"log-likelihood of B images of {COLOUR.dim} values of 256 levels under K discretised logistics each",
    inputs=colour_images,
    ways=(Way("genbench", genbench_mixture, "float32", BOTH), Way("torch", torch_mixture, "float32", BOTH)),
    sizes=({"K": 10, "B": 100},),
    quick={"K": 3, "B": 3},
    # Of each value and component: 1/scale, difference, two bounds, two scalings, two log-sigmoids of two
    # functions each, two functions and two sums for the mass, four for the weights, two for the sum.
    work=lambda K, B: Work(18 * K * B * COLOUR.dim, FLOAT * (3 * K + 1) * B * COLOUR.dim + FLOAT * B),
    reference=defined_mixture,
    check={"B": 10},
    cost={"K": 1},
    start={"K": 2, "B": 20},
)


# Extraction


def images_of(space: Space, n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, space.levels, (n, *space.shape), dtype=np.uint8)


def embedded(name: str, weights: Path) -> Kernel:
    """An extractor whose weights ship."""
    module = catalog.load("extractors", name)
    space = module.SPACE

    def inputs(device: str, n: int) -> tuple:
        return module.extractor(space, device=device), images_of(space, n)

    def in_float64(_: Any, images: np.ndarray) -> Tensor:
        network: Any = load(weights).double()
        return network.features(to_tensor(images, space).double() / (space.levels - 1))

    return Kernel(
        f"extract-{name}",
        f"features of n images {list(space.shape)}",
        inputs=inputs,
        ways=(
            Way("genbench", lambda extractor, images: extractor.seen(images)[0], "float32", BOTH),
        ),  # one block of all
        sizes=({"n": 500},),
        quick={"n": 20},
        work=lambda n: Work(None, n * space.dim + weights.stat().st_size),
        reference=in_float64,
        check={"n": 100},
        cost={"n": 1},
        start={"n": 50},
    )


def random_inception() -> Any:
    """torch-fidelity's InceptionV3 with the first weights that its layers take."""

    class Untrained(fidelity("feature_extractor_inceptionv3").FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.pth"
        torch.save({}, empty)
        torch.manual_seed(0)
        return Untrained("inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(empty))


def inception_inputs(device: str, n: int) -> tuple:
    """genbench's extractor and torch-fidelity's, of the same weights, and the images."""
    theirs = random_inception().to(device)
    ours = None
    if "inceptionv3" in catalog.entries("extractors"):
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "random.pth"
            torch.save(theirs.state_dict(), weights)
            ours = catalog.load("extractors", "inceptionv3").extractor(COLOUR, weights, device)
            ours(images_of(COLOUR, 1))  # reads the weights
    return ours, theirs, images_of(COLOUR, n)


def fidelity_features(ours: Any, theirs: Any, images: np.ndarray) -> Tensor:
    device = theirs.fc.weight.device
    return theirs(torch.from_numpy(images).to(device))[0]


def inception_in_float64(ours: Any, theirs: Any, images: np.ndarray) -> Tensor:
    network = random_inception()
    network.feature_extractor_internal_dtype = torch.float64
    return network.double()(torch.from_numpy(images))[0]


def inception() -> Kernel:
    note = "random weights, which cost the same"
    ways = (
        Way("genbench", lambda ours, theirs, images: ours(images)[0], "float32", BOTH, ("torch-fidelity",), note),
        Way("torch-fidelity", fidelity_features, "float32", BOTH, ("torch-fidelity",), note),
    )
    return Kernel(
        "extract-inceptionv3",
        f"2048 features of n images {list(COLOUR.shape)} by InceptionV3",
        inputs=inception_inputs,
        ways=ways if "inceptionv3" in catalog.entries("extractors") else ways[1:],
        sizes=({"n": 16},),
        quick={"n": 1},
        work=lambda n: Work(None, n * COLOUR.dim + FLOAT * (2048 * n + 23_000_000)),
        reference=inception_in_float64,
        check={"n": 1},
        cost={"n": 1},
        start={"n": 2},
    )


# Sampling


def sampling(path: Path) -> Kernel:
    """A checkpoint that ships, in `checkpoints/DATASET/NAME.safetensors`."""
    space = read_card(path).space

    def inputs(device: str, n: int) -> tuple:
        return load(path, device), n, lambda: seeded("profile", device=device)

    def sample(model: Any, n: int, generator: Callable[[], torch.Generator]) -> Tensor:
        return model.sample(n, generator())

    return Kernel(
        f"sample-{path.parent.name}-{path.stem}",
        f"n samples of {path.stem} on {path.parent.name}",
        inputs=inputs,
        ways=(Way("genbench", sample, "float32", BOTH),),
        sizes=({"n": 100},),
        quick={"n": 2},
        work=lambda n: Work(None, path.stat().st_size + n * space.dim * (INTEGER if space.levels else DOUBLE)),
        cost={"n": 1},
        start={"n": 50},
    )


def kernels() -> list[Kernel]:
    found = [BERNOULLI, LOGISTIC_MIXTURE]
    for name, entry in catalog.entries("extractors").items():
        if entry.weights is not None and name != "fsdd-cnn":  # which makes sound of its images first
            found.append(embedded(name, entry.weights))
    checkpoints = catalog.BASELINES / "checkpoints"
    return [
        *found,
        inception(),
        *(sampling(path) for path in sorted(checkpoints.glob("*/*.safetensors")) if draws(path)),
    ]


def draws(path: Path) -> bool:
    """Whether the model in a checkpoint has samples; one that translates has none."""
    build = catalog.load("baselines", read_card(path).baseline).build
    return not isinstance(build, type) or hasattr(build, "sample")
