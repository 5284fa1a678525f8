"""The pipeline: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records.

`plan` says which cells there are and gives each its identity; nothing is loaded for it. `evaluate`
measures the cells that are missing, model by model; `Stages` holds what the metrics of one model
share, so that samples are drawn once and features extracted once.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genbench import catalog
from genbench.checkpoint import sha256_file
from genbench.datasets import Dataset
from genbench.environment import environment
from genbench.errors import GenbenchError, Unavailable, unknown
from genbench.metrics import Measure
from genbench.records import PROTOCOL_VERSION, Record, Run, content_key
from genbench.sources import FixedSamples, Source, TrueData

SAMPLED = ("n_samples", "seed", "block_size")
# What each stage depends on: fields of the protocol, and whether on the extractor.
STAGES: dict[str, tuple[tuple[str, ...], bool]] = {
    "space": ((), False),
    "modes": ((), False),
    "train": ((), False),
    "validation": ((), False),
    "test": (("limit",), False),
    "train_labels": ((), False),
    "test_labels": (("limit",), False),
    "train_features": ((), True),
    "test_features": (("limit",), True),
    "samples": (SAMPLED, False),
    "sample_features": (SAMPLED, True),
    "sample_logits": (SAMPLED, True),
    "log_likelihood": (("k", "seed", "block_size", "limit"), False),
    "class_log_likelihoods": (("limit",), False),
    "flow_log_likelihood": (("seed", "limit", "rtol"), False),
    "annealing": (("temperatures", "chains", "leapfrog", "simulated", "seed", "block_size", "limit"), False),
    "timings": (("block_size",), False),
}


FILES = {"sample_logits": "sample_features"}  # stages that share a file


@dataclass(frozen=True)
class Protocol:
    """How models are measured: part of every record's identity, as far as its metric depends on it.

    Arguments:
        n_samples: samples drawn from each model.
        seed: of samples and of importance weights.
        block_size: samples and noise come in blocks of this size, block i seeded by (seed, i).
        k: importance samples or dequantisation draws for each example.
        rtol: relative and absolute tolerance of ODE solvers.
        temperatures, chains, leapfrog: of annealed importance sampling; `simulated` examples for its gap.
        limit: the first so many test examples only, None for all; such records are not complete.
    """

    n_samples: int = 1000
    seed: int = 0
    block_size: int = 100
    k: int = 50
    rtol: float = 1e-4
    temperatures: int = 1000
    chains: int = 4
    leapfrog: int = 10
    simulated: int = 100
    limit: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("n_samples", "block_size", "k", "temperatures", "chains", "leapfrog", "simulated", "limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise GenbenchError(f"{name} is {value!r}", "Give a whole number of at least 1.")


@dataclass(frozen=True)
class Suite:
    """A named choice of dataset, extractor, metrics and protocol (a TOML file in `suites/`)."""

    dataset: str
    metrics: tuple[str, ...]
    extractor: str = "pixels"
    sort: str = "nll"
    protocol: Protocol = field(default_factory=Protocol)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Suite:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        try:
            protocol = Protocol(**content.pop("protocol", {}))
            return cls(**{**content, "metrics": tuple(content["metrics"]), "protocol": protocol})
        except (TypeError, KeyError) as error:
            raise GenbenchError(f"suite {path}: {error}", "See genbench/suites/digits.toml for the fields.") from error


@dataclass(frozen=True)
class Job:
    """One metric in one extractor, with the outputs that were asked for."""

    metric: str
    extractor: str | None
    outputs: tuple[str, ...]
    params: dict[str, Any]

    @property
    def entry(self) -> catalog.Entry:
        return catalog.find("metrics", self.metric)

    @property
    def needs(self) -> tuple[str, ...]:
        return self.entry.constants["NEEDS"]

    def label(self, output: str) -> str:
        name = output.replace("_", "-")
        return f"{name}[{self.extractor}]" if self.extractor else name


def jobs(specs: Iterable[str], extractor: str, params: dict[str, dict[str, Any]]) -> list[Job]:
    """The metrics that `name` or `name[extractor]` specs ask for; a name is a file's or an output's."""
    by_output = {
        output: (name, tuple(entry.constants["OUTPUTS"]) if output == name else (output,))
        for name, entry in catalog.entries("metrics").items()
        for output in [*entry.constants["OUTPUTS"], name]
    }
    by_output = {output.replace("_", "-"): where for output, where in by_output.items()}
    wanted: dict[tuple[str, str | None], list[str]] = {}
    for spec in [one for given in specs for one in (by_output if given == "all" else [given])]:
        name, _, inside = spec.replace("_", "-").partition("[")
        if name not in by_output:
            raise unknown("metric", name, by_output)
        metric, outputs = by_output[name]
        depends = any(STAGES[need][1] for need in catalog.find("metrics", metric).constants["NEEDS"])
        key = (metric, (inside.rstrip("]") or extractor) if depends else None)
        wanted.setdefault(key, []).extend(o for o in outputs if o not in wanted.get(key, []))
    return [
        Job(metric, inside, tuple(outputs), {**catalog.find("metrics", metric).parameters, **params.get(metric, {})})
        for (metric, inside), outputs in wanted.items()
    ]


@dataclass(frozen=True)
class Cell:
    """One record to be: one output of one metric for one model."""

    source: Source
    job: Job
    output: str
    identity: dict[str, Any]

    @property
    def id(self) -> str:
        return content_key(self.identity)


@dataclass
class Plan:
    """Everything that a run will measure, with identities, before anything is loaded."""

    dataset: Dataset
    protocol: Protocol
    jobs: list[Job]
    sources: list[Source]
    extractors: dict[str, str]  # name -> sha256

    def cells(self, source: Source) -> list[Cell]:
        return [Cell(source, job, o, self.identity(source, job, o)) for job in self.jobs for o in job.outputs]

    def identity(self, source: Source, job: Job, output: str) -> dict[str, Any]:
        """What the value depends on, and nothing else: no device, no paths, no dates."""
        used = {name for need in job.needs for name in STAGES[need][0]}
        return {
            "model": source.identity,
            "dataset": {"name": self.dataset.name, "sha256": self.dataset.sha256, "split": "test"},
            "metric": {"name": output, "version": job.entry.constants["VERSION"], "params": job.params},
            "extractor": self.extractors[job.extractor] if job.extractor else None,
            "protocol": {name: getattr(self.protocol, name) for name in sorted(used | {"dtype"})},
            "protocol_version": PROTOCOL_VERSION,
        }


def plan(suite: Suite, dataset: Dataset, sources: list[Source]) -> Plan:
    """Checks what can be checked before the long work.

    Raises:
        GenbenchError: unknown metric or extractor, two models of one name, or fewer samples than a metric needs.
    """
    todo = jobs(suite.metrics, suite.extractor, suite.params)
    for job in todo:
        needed = job.entry.constants.get("MIN_SAMPLES", 1)
        if "n_samples" in {f for need in job.needs for f in STAGES[need][0]} and suite.protocol.n_samples < needed:
            raise GenbenchError(
                f"metric '{job.metric}' needs at least {needed} samples, the protocol draws {suite.protocol.n_samples}",
                f"Raise it with --samples {needed}, or leave the metric out with --metrics.",
            )
    seen: dict[str, str] = {}
    for source in sources:
        if seen.setdefault(source.name, source.what) != source.what:
            raise GenbenchError(
                f"two models are called '{source.name}': {seen[source.name]} and {source.what}",
                "Name one of them: other=PATH.",
            )
    extractors = {job.extractor: extractor_hash(job.extractor, dataset) for job in todo if job.extractor}
    return Plan(dataset, suite.protocol, todo, sources, extractors)


def extractor_hash(name: str, dataset: Dataset) -> str:
    """sha256 of the shipped weights, which needs no torch, else what the extractor says of itself."""
    weights = catalog.find("extractors", name).weights
    return sha256_file(weights) if weights else catalog.load("extractors", name).extractor(dataset.space).sha256


class Stages:
    """What the metrics of one model share: each stage is computed once, or read from the run's arrays.

    `get(need, extractor)` calls the method named `need`.
    """

    def __init__(self, todo: Plan, source: Source, run: Run, device: str, batch_size: int, shared: dict) -> None:
        self.plan, self.source, self.run = todo, source, run
        self.dataset, self.protocol = todo.dataset, todo.protocol
        self.device, self.batch_size = device, batch_size
        self.memo: dict[tuple[str, str | None], Any] = {}
        self.shared = shared  # of all models: extractors, features of the data
        self.phases: dict[str, float] = {}
        self.keys: dict[str, str] = {}  # of the arrays that each stage reads or writes
        self.tell: Callable[[str], None] = lambda text: None  # where progress inside a stage is shown

    def get(self, need: str, extractor: str | None) -> Any:
        key = (need, extractor if STAGES[need][1] else None)
        memo = self.shared if need.startswith(("train_", "test_")) else self.memo
        if key not in memo:
            started = time.perf_counter()
            memo[key] = getattr(self, need)(*([extractor] if STAGES[need][1] else []))
            self.phases[need] = time.perf_counter() - started
        return memo[key]

    @property
    def model(self) -> Any:
        if ("model", None) not in self.memo:
            self.memo[("model", None)] = self.source.open(self.dataset, self.device)
        return self.memo[("model", None)]

    def stored(self, fields: dict[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays by content key: from the run's folder, or made and kept there."""
        key = content_key({**fields, "model": self.source.identity, "dataset": self.dataset.sha256})
        self.keys[fields["stage"]] = key
        arrays = self.run.get_arrays(key)
        if arrays is None:
            arrays = make()
            self.run.put_arrays(key, arrays)
        return arrays

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

    def extractor(self, name: str) -> Any:
        if ("extractor", name) not in self.shared:
            module = catalog.load("extractors", name)
            self.shared[("extractor", name)] = module.extractor(self.dataset.space, device=self.device)
        return self.shared[("extractor", name)]

    def train_features(self, extractor: str) -> np.ndarray:
        return self.extractor(extractor)(self.train(), self.batch_size)[0]

    def test_features(self, extractor: str) -> np.ndarray:
        return self.extractor(extractor)(self.test(), self.batch_size)[0]

    def samples(self) -> np.ndarray:
        if isinstance(self.model, FixedSamples):
            return self.fixed_samples(self.model)
        if not hasattr(self.model, "sample"):
            raise Unavailable("the model has no sample")

        def make() -> dict[str, np.ndarray]:
            from genbench.sampling import draw

            p = self.protocol
            tell = self.progress("samples", p.n_samples)
            return {"samples": draw(self.model, p.n_samples, p.seed, p.block_size, self.device, tell)}

        return self.stored(self.part("samples"), make)["samples"]

    def fixed_samples(self, model: FixedSamples) -> np.ndarray:
        n = self.protocol.n_samples
        if len(model.fixed) < n:
            raise Unavailable(f"the protocol takes {n} samples, there are {len(model.fixed)}")
        return model.fixed[:n]

    def extracted(self, extractor: str) -> dict[str, np.ndarray]:
        def make() -> dict[str, np.ndarray]:
            features, logits = self.extractor(extractor)(self.get("samples", None), self.batch_size)
            return {"features": features} if logits is None else {"features": features, "logits": logits}

        fields = {**self.part("sample_features"), "extractor": self.plan.extractors[extractor]}
        return self.stored(fields, make)

    def sample_features(self, extractor: str) -> np.ndarray:
        return self.extracted(extractor)["features"]

    def sample_logits(self, extractor: str) -> np.ndarray:
        arrays = self.extracted(extractor)
        if "logits" not in arrays:
            raise Unavailable(f"extractor '{extractor}' is no classifier: it gives no logits")
        return arrays["logits"]

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
        from genbench.likelihood.flow_ode import FlowLikelihood, flow_log_likelihood

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
        from genbench.likelihood.annealed import Settings
        from genbench.likelihood.annealing import anneal_decoder

        def store(what: str, identity: dict[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict:
            return self.stored({"stage": what, **identity}, make)

        p = self.protocol
        settings = Settings(p.temperatures, p.chains, p.leapfrog)
        validation = self.dataset.validation
        return anneal_decoder(
            self.model, self.test(), validation, p.simulated, settings, p.seed, p.block_size, self.device, store,
            self.progress,
        )  # fmt: skip

    def timings(self) -> Any:
        if isinstance(self.model, FixedSamples):
            raise Unavailable("the samples are given: there is nothing to time")
        import torch

        from genbench.timing import time_sampling

        return time_sampling(self.model, self.protocol.block_size, torch.device(self.device))


@dataclass
class Outcome:
    """How many cells a call measured, failed, skipped as not applicable, and found done."""

    measured: int = 0
    failed: int = 0
    skipped: int = 0
    kept: int = 0


def missing(run: Run, cells: list[Cell], rerun: str) -> list[Cell]:
    """The cells to measure: `only-missing` (no record that is ok or skipped), `failed`, `always`, `never`."""

    def wanted(cell: Cell) -> bool:
        if rerun in ("always", "never"):
            return rerun == "always"
        record = run.get(cell.id)
        if rerun == "failed":
            return record is not None and record.status not in ("ok", "skipped")
        return record is None or record.status not in ("ok", "skipped")

    return [cell for cell in cells if wanted(cell)]


def evaluate(
    todo: Plan,
    run: Run,
    device: str = "auto",
    batch_size: int = 500,
    rerun: str = "only-missing",
    fail_fast: bool = False,
    command: str = "",
) -> Outcome:
    """Measures the missing cells of every model and writes a record for each, at once when it is known.

    Raises:
        GenbenchError: the run's folder cannot be written.
        KeyboardInterrupt: finished records are kept; the same call goes on from there.
    """
    outcome = Outcome()
    shared: dict[tuple[str, str | None], Any] = {}
    work = {source.name: missing(run, todo.cells(source), rerun) for source in todo.sources}
    total = sum(len(cells) for cells in work.values())
    outcome.kept = sum(len(todo.cells(source)) for source in todo.sources) - total
    if total == 0:
        return outcome
    device = pick_device(device)
    for source in todo.sources:
        if work[source.name]:
            preflight(source, todo, device)
    run_id = f"{todo.dataset.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    env = environment(device)
    run.write_manifest(manifest(todo, run_id, env, command))
    with tqdm(total=total, unit="cell", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:
        for source in todo.sources:
            stages = Stages(todo, source, run, device, batch_size, shared)
            stages.tell = bar.set_postfix_str
            for job in todo.jobs:
                cells = [cell for cell in work[source.name] if cell.job is job]
                if not cells:
                    continue
                bar.set_description(f"{source.name}: {job.label(job.metric)}")
                for record in measure(stages, cells, run_id, env):
                    run.put(record)
                    outcome.measured += record.status == "ok"
                    outcome.skipped += record.status == "skipped"
                    outcome.failed += record.status == "error"
                    bar.update()
                    if record.status == "error" and fail_fast:
                        return outcome
            if ("samples", None) in stages.memo:
                picture(stages)
    return outcome


def preflight(source: Source, todo: Plan, device: str) -> None:
    """Opens a source once before the long work, so that a file that does not fit is an error of usage, not of a cell.

    What a model's own code raises is left to be recorded by its cells.
    """
    try:
        model = source.open(todo.dataset, device)
    except GenbenchError:
        raise
    except Exception:
        return
    n = todo.protocol.n_samples
    if source.adapter == "samples" and len(model.fixed) < n:
        raise GenbenchError(
            f"{source.what} has {len(model.fixed)} samples, the protocol takes {n}",
            f"Measure all models with fewer: --samples {len(model.fixed)}.",
        )


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GenbenchError(f"no device '{device}' here: {str(error).splitlines()[0]}", "Use --device cpu.") from error
    return device


def picture(stages: Stages) -> None:
    """Pictures of the samples and of their nearest neighbours; failing to draw fails no number."""
    from genbench import pictures

    try:
        pictures.draw_all(stages.run, stages.source.name, stages.dataset, stages.get("samples", None))
    except GenbenchError:
        raise
    except Exception as error:
        warnings.warn(f"no picture of {stages.source.name}: {error}", stacklevel=2)


def measure(stages: Stages, cells: list[Cell], run_id: str, env: dict[str, Any]) -> list[Record]:
    """The records of one metric for one model, whatever happens to it."""
    job, source = cells[0].job, cells[0].source
    started, stages.phases = datetime.now(UTC), {}
    status, error, found = "ok", None, {}
    noted: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            needs = {need: stages.get(need, job.extractor) for need in job.needs}
            clock = time.perf_counter()
            found = catalog.load("metrics", job.metric).compute(**needs, **job.params)
            stages.phases["compute"] = time.perf_counter() - clock
        except Unavailable as reason:
            status, error = "skipped", describe_error(reason, "model")
        except Exception as reason:
            phase = "metric" if len(stages.phases) >= len(job.needs) else "model"
            status, error = "error", describe_error(reason, phase)
    noted += [str(w.message) for w in caught if issubclass(w.category, UserWarning | RuntimeWarning)]
    frame = Record(
        cell_id="",
        run_id=run_id,
        status=status,
        model=source.describe(),
        dataset={
            "name": stages.dataset.name,
            "split": "test",
            "sha256": stages.dataset.sha256,
            "n": len(stages.test()),
            "space": stages.dataset.space.to_dict(),
            "per": stages.dataset.value,
        },
        metric={},
        protocol={},
        complete=stages.protocol.limit is None or stages.protocol.limit >= len(stages.dataset.test),
        arrays={need: stages.keys[name] for need in job.needs if (name := FILES.get(need, need)) in stages.keys},
        timing={
            "phases_s": {name: round(s, 6) for name, s in stages.phases.items()},
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
        env=env,
        started=started.isoformat(timespec="milliseconds"),
        ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        error=error,
        warnings=noted,
    )
    return [fill(frame, cell, found.get(cell.output)) for cell in cells]


def fill(frame: Record, cell: Cell, measure: Measure | None) -> Record:
    """The record of one cell."""
    output, extractor = cell.job.entry.constants["OUTPUTS"][cell.output], cell.job.extractor
    unit = output["unit"].replace("/dim", f"/{frame.dataset['per']}")
    record = replace(
        frame,
        cell_id=cell.id,
        metric={
            "name": cell.job.label(cell.output),
            "version": cell.identity["metric"]["version"],
            "direction": output["direction"],
            "unit": unit,
            "title": output["title"],
            "params": cell.job.params,
            "extractor": extractor,
            "extractor_sha256": cell.identity["extractor"],
        },
        protocol=cell.identity["protocol"],
    )
    if measure is None:
        return record
    values = {f: getattr(measure, f) for f in ("value", "kind", "stderr", "ci95", "ci_method", "n_nonfinite")}
    return replace(record, **values, details=measure.details, warnings=[*frame.warnings, *measure.warnings])


def describe_error(error: Exception, phase: str) -> dict[str, str]:
    message = f"{error.problem} {error.remedy}" if isinstance(error, GenbenchError) else str(error)
    lines = [] if isinstance(error, Unavailable) else traceback.format_exception(error)
    # A record is published: of a file, its folder and name say enough.
    short = re.sub(r'File "[^"]*?([^/"]+/[^/"]+)"', r'File "\1"', "".join(lines))
    return {"type": type(error).__name__, "message": message, "phase": phase, "traceback": short}


def manifest(todo: Plan, run_id: str, env: dict[str, Any], command: str) -> dict[str, Any]:
    """What a run is: written before its first record."""
    return {
        "run_id": run_id,
        "command": command,
        "env": env,
        "dataset": {"name": todo.dataset.name, "sha256": todo.dataset.sha256, "licence": todo.dataset.licence},
        "protocol": asdict(todo.protocol),
        "extractors": todo.extractors,
        "plan": {
            cell.id: {"model": source.name, "metric": cell.job.label(cell.output)}
            for source in todo.sources
            for cell in todo.cells(source)
        },
    }
