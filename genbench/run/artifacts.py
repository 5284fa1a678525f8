"""The stages of one model that its metrics share: samples are drawn once, features extracted once.

    model -> samples, log-likelihoods -> features

Each stage is computed when a metric first needs it, and kept in the run's arrays by a content key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench import features
from genbench.errors import Unavailable
from genbench.features import Extractor, Features
from genbench.models.capabilities import n_classes
from genbench.models.sources import FixedSamples, Source, TrueData
from genbench.run.plan import STAGES, Plan
from genbench.run.records import Run, content_key

if TYPE_CHECKING:
    from genbench.numerics.points import Points

FILES = {"sample_logits": "sample_features", "class_logits": "class_features"}  # stages that share a file


@dataclass(frozen=True)
class Failed:
    """In place of a stage's result."""

    error: Exception


def extractor_of(todo: Plan, name: str, device: str, shared: dict) -> Extractor:
    """An extractor of the plan, made once for all models."""
    key = ("extractor", name)
    if key not in shared:
        shared[key] = features.load(name, todo.dataset.space, todo.weights.get(name), device)
    return shared[key]


class Stages:
    """What the metrics of one model share: each stage is computed once, or read from the run's arrays.

    `get(need, extractor)` calls the method named `need`.
    """

    def __init__(
        self, todo: Plan, source: Source, run: Run, device: str, batch_size: int, fresh: bool, shared: dict
    ) -> None:
        self.plan, self.source, self.run = todo, source, run
        self.fresh = fresh  # make every array anew, also those that the run has
        self.dataset, self.protocol = todo.dataset, todo.protocol
        self.device, self.batch_size = device, batch_size
        self.memo: dict[tuple[str, str | None], Any] = {}
        self.shared = shared  # of all models: extractors, features of the data
        self.phases: dict[str, float] = {}
        self.keys: dict[tuple[str, str | None], str] = {}  # of arrays, by stage and extractor
        self.tell: Callable[[str], None] = lambda text: None  # where progress inside a stage is shown

    def get(self, need: str, extractor: str | None) -> Any:
        """The stage's result. A stage that failed fails again at once: a model is not asked twice."""
        key = (need, extractor if STAGES[need][1] else None)
        memo = self.shared if need.startswith(("train_", "test_")) else self.memo
        if key not in memo:
            started = time.perf_counter()
            try:
                memo[key] = getattr(self, need)(*([extractor] if STAGES[need][1] else []))
            except Exception as error:
                memo[key] = Failed(error)
            self.phases[need] = time.perf_counter() - started
        if isinstance(memo[key], Failed):
            raise memo[key].error
        return memo[key]

    def has(self, need: str) -> bool:
        """Whether a stage that depends on no extractor has been computed, and succeeded."""
        return (need, None) in self.memo and not isinstance(self.memo[need, None], Failed)

    @cached_property
    def model(self) -> Any:
        return self.source.open(self.dataset, self.device)

    def stored(
        self, fields: dict[str, Any], make: Callable[[], dict[str, np.ndarray]], of_data: bool = False
    ) -> dict[str, np.ndarray]:
        """Arrays by content key, of the model or of the data alone: from the run's folder, or made and kept there."""
        model = None if of_data else self.source.identity
        key = content_key({**fields, "model": model, "dataset": self.dataset.sha256})
        if not of_data:
            self.keys[fields["stage"], fields.get("extractor")] = key
        arrays = None if self.fresh else self.run.get_arrays(key)
        if arrays is None:
            arrays = make()
            self.run.put_arrays(key, arrays)
        return arrays

    def arrays_of(self, needs: tuple[str, ...], extractor: str | None) -> dict[str, str]:
        """The keys of the arrays behind the needs of a metric."""
        found = {}
        for need in needs:
            sha256 = self.plan.extractors[extractor] if extractor and STAGES[need][1] else None
            if (FILES.get(need, need), sha256) in self.keys:
                found[need] = self.keys[FILES.get(need, need), sha256]
        return found

    def progress(self, what: str, total: int) -> Callable[[float], None]:
        """What a long stage calls with the number of examples done."""
        return lambda done: self.tell(f"{what} {done:.0f}/{total}")

    def part(self, stage: str) -> dict[str, Any]:
        """The stage's part of the protocol."""
        return {"stage": stage, **{name: getattr(self.protocol, name) for name in STAGES[stage][0]}}

    def space(self) -> Any:
        return self.dataset.space

    def modes(self) -> tuple[np.ndarray, float]:
        if self.dataset.modes is None:
            raise Unavailable(f"dataset '{self.dataset.name}' has no known modes")
        return self.dataset.modes

    def train(self) -> np.ndarray:
        return self.dataset.train

    def validation(self) -> np.ndarray:
        return self.dataset.validation

    def test(self) -> np.ndarray:
        return self.dataset.test[: self.protocol.limit]

    def labels(self, split: str) -> np.ndarray:
        if self.dataset.labels is None:
            raise Unavailable(f"dataset '{self.dataset.name}' has no labels")
        return self.dataset.labels[split]

    def train_labels(self) -> np.ndarray:
        return self.labels("train")

    def test_labels(self) -> np.ndarray:
        return self.labels("test")[: self.protocol.limit]

    def extractor(self, name: str) -> Extractor:
        return extractor_of(self.plan, name, self.device, self.shared)

    def extract(self, extractor: str, x: np.ndarray) -> Features:
        return self.extractor(extractor)(x, self.batch_size, self.progress("images", len(x)))

    def points(self, features: np.ndarray) -> Points:
        from genbench.numerics.points import Points  # brings torch, which a run with nothing to do can do without

        return Points(features, self.device)

    def train_features(self, extractor: str) -> Points:
        return self.points(self.features_of_data("train_features", extractor, self.train()))

    def test_features(self, extractor: str) -> Points:
        return self.points(self.features_of_data("test_features", extractor, self.test()))

    def features_of_data(self, stage: str, extractor: str, x: np.ndarray) -> np.ndarray:
        """Kept with the run, since a large network takes hours for a training set; raw pixels are at hand."""
        if extractor == "pixels":
            return self.extract(extractor, x)[0]
        fields = {**self.part(stage), "extractor": self.plan.extractors[extractor]}
        return self.stored(fields, lambda: {"features": self.extract(extractor, x)[0]}, of_data=True)["features"]

    def samples(self) -> np.ndarray:
        if isinstance(self.model, FixedSamples):
            return self.fixed_samples(self.model)
        if not hasattr(self.model, "sample"):
            raise Unavailable("the model has no sample")

        def make() -> dict[str, np.ndarray]:
            from genbench.models.sampling import draw

            p = self.protocol
            tell = self.progress("samples", p.n_samples)
            return {"samples": draw(self.model, p.n_samples, p.seed, p.block_size, self.device, tell)}

        return self.stored(self.part("samples"), make)["samples"]

    def fixed_samples(self, model: FixedSamples) -> np.ndarray:
        n = self.protocol.n_samples
        if len(model.fixed) < n:
            raise Unavailable(f"the protocol takes {n} samples, there are {len(model.fixed)}")
        return model.fixed[:n]

    def extracted(self, extractor: str, prefix: str = "sample_") -> dict[str, np.ndarray]:
        """Features, and logits if there are any, of the samples, or of the `class_` samples."""

        def make() -> dict[str, np.ndarray]:
            x = self.get("samples" if prefix == "sample_" else "class_samples", None)
            features, logits = self.extract(extractor, x)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        fields = {**self.part(f"{prefix}features"), "extractor": self.plan.extractors[extractor]}
        return self.stored(fields, make)

    def sample_features(self, extractor: str) -> Points:
        return self.points(self.extracted(extractor)["features"])

    def sample_logits(self, extractor: str) -> np.ndarray:
        return self.logits(self.extracted(extractor), extractor)

    def logits(self, arrays: dict[str, np.ndarray], extractor: str) -> np.ndarray:
        if "logits" not in arrays:
            raise Unavailable(f"extractor '{extractor}' is no classifier: it gives no logits")
        return arrays["logits"]

    def class_labels(self) -> np.ndarray:
        """The class asked of every sample: 0, 1, ... in turn, or what samples drawn elsewhere say."""
        n = self.protocol.n_samples
        if isinstance(self.model, FixedSamples):
            if self.model.labels is None:
                raise Unavailable("the samples have no labels: no class was asked of them")
            return self.model.labels[:n]
        known, classes = n_classes(self.model), int(self.labels("train").max()) + 1
        if known != classes:
            what = f"knows {known} classes, the dataset has {classes}" if known else "is not class-conditional"
            raise Unavailable(f"the model {what}")
        return np.arange(n) % known

    def class_samples(self) -> np.ndarray:
        """Samples of the classes in `class_labels`."""
        labels = self.get("class_labels", None)
        if isinstance(self.model, FixedSamples):
            return self.get("samples", None)

        def make() -> dict[str, np.ndarray]:
            from genbench.models.sampling import draw

            p = self.protocol
            tell = self.progress("class samples", p.n_samples)
            return {"samples": draw(self.model, p.n_samples, p.seed, p.block_size, self.device, tell, labels)}

        return self.stored(self.part("class_samples"), make)["samples"]

    def class_features(self, extractor: str) -> Points:
        self.get("class_labels", None)
        if isinstance(self.model, FixedSamples):
            return self.get("sample_features", extractor)
        return self.points(self.extracted(extractor, "class_")["features"])

    def class_logits(self, extractor: str) -> np.ndarray:
        self.get("class_labels", None)
        if isinstance(self.model, FixedSamples):
            return self.get("sample_logits", extractor)
        return self.logits(self.extracted(extractor, "class_"), extractor)

    def path_lengths(self, extractor: str) -> np.ndarray:
        from genbench.models.interpolation import path_lengths

        def make() -> dict[str, np.ndarray]:
            p, seen = self.protocol, self.extractor(extractor)
            tell = self.progress("paths", p.n_samples)
            lengths = path_lengths(
                self.model, seen, p.n_samples, p.seed, p.block_size, p.step, p.path, self.device, tell
            )
            return {"lengths": lengths}

        fields = {**self.part("path_lengths"), "extractor": self.plan.extractors[extractor]}
        return self.stored(fields, make)["lengths"]

    def reconstructions(self) -> np.ndarray:
        """What the model gives back of every test example, real numbers in the raw range of the space."""
        if not hasattr(self.model, "reconstruct"):
            raise Unavailable("the model has no reconstruct")

        def make() -> dict[str, np.ndarray]:
            from genbench.models.sampling import reconstruct

            x = self.test()
            return {"x": reconstruct(self.model, x, self.batch_size, self.device, self.progress("examples", len(x)))}

        return self.stored(self.part("reconstructions"), make)["x"]

    def reconstruction_features(self, extractor: str) -> Points:
        """Of the reconstructions, rounded to the nearest level where the space has levels."""

        def make() -> dict[str, np.ndarray]:
            x, levels = self.get("reconstructions", None), self.dataset.space.levels
            if levels is not None:
                x = np.clip(np.rint(x), 0, levels - 1).astype(self.dataset.space.dtype)
            return {"features": self.extract(extractor, x)[0]}

        fields = {**self.part("reconstruction_features"), "extractor": self.plan.extractors[extractor]}
        return self.points(self.stored(fields, make)["features"])

    def log_likelihood(self) -> Any:
        from genbench.likelihood import LogLikelihood, log_likelihood

        if isinstance(self.model, TrueData):
            if self.model.log_density is None:
                raise Unavailable("the true density of the data is not known")
            return LogLikelihood(self.model.log_density(self.test()), "exact", "the data's own density")
        p = self.protocol

        def make() -> dict[str, np.ndarray]:
            x = self.test()
            tell = self.progress("examples", len(x))
            found = log_likelihood(self.model, x, p.k, p.seed, p.block_size, self.batch_size, self.device, tell)
            return {name: np.asarray(value) for name, value in asdict(found).items() if value is not None}

        arrays = self.stored(self.part("log_likelihood"), make)
        plain: dict[str, Any] = {name: str(arrays[name]) for name in ("kind", "method")}
        if "round_trip" in arrays:
            plain["round_trip"] = float(arrays["round_trip"])
        return LogLikelihood(**{**arrays, **plain})

    def class_log_likelihoods(self) -> np.ndarray:
        from genbench.likelihood.bayes import class_log_likelihoods

        def make() -> dict[str, np.ndarray]:
            return {"values": class_log_likelihoods(self.model, self.test(), self.batch_size, self.device)}

        return self.stored(self.part("class_log_likelihoods"), make)["values"]

    def flow_log_likelihood(self) -> Any:
        from genbench.likelihood.probability_flow import FlowLikelihood, flow_log_likelihood

        if not hasattr(self.model, "probability_flow"):
            raise Unavailable("the model is no diffusion: it has no probability_flow")
        p = self.protocol

        def make() -> dict[str, np.ndarray]:
            found = flow_log_likelihood(
                self.model.probability_flow(), self.test(), p.seed, rtol=p.rtol, atol=p.rtol, entry="diffusion",
                batch_size=self.batch_size, device=self.device,
                progress=self.progress("examples", len(self.test())),
            )  # fmt: skip
            details = np.array(json.dumps(found.details))
            return {"values": found.values, "evaluations": found.evaluations, "details": details}

        arrays = self.stored(self.part("flow_log_likelihood"), make)
        details = json.loads(str(arrays["details"]))
        return FlowLikelihood(arrays["values"], arrays["evaluations"], None, details)

    def annealing(self) -> Any:
        from genbench.likelihood.ais import Settings
        from genbench.likelihood.decoder import anneal_decoder

        def store(what: str, identity: dict[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict:
            return self.stored({"stage": what, **identity}, make)

        p = self.protocol
        settings = Settings(p.temperatures, p.chains, p.leapfrog, p.schedule)
        validation = self.dataset.validation
        return anneal_decoder(
            self.model, self.test(), validation, p.simulated, settings, p.seed, p.block_size, self.device, store,
            self.progress,
        )  # fmt: skip

    def timings(self) -> Any:
        if isinstance(self.model, FixedSamples):
            raise Unavailable("the samples are given: there is nothing to time")
        import torch

        from genbench.models.timing import time_sampling

        return time_sampling(self.model, self.protocol.block_size, torch.device(self.device))
