"""How models are measured: the protocol, and the suite that names it together with data and metrics (a TOML file)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench import catalog, domains
from genbench.errors import GenbenchError

COUNT = "a whole number in [1, inf)"
# Of every field of a protocol; what does not fit is refused before anything is loaded.
DOMAINS = {
    "n_samples": COUNT,
    "seed": "a whole number in [0, inf)",
    "block_size": COUNT,
    "k": COUNT,
    "rtol": "a number in (0, 1)",
    "temperatures": COUNT,
    "chains": COUNT,
    "leapfrog": COUNT,
    "schedule": '"sigmoid" or "linear"',
    "simulated": COUNT,
    "step": "a number in (0, 1)",
    "path": '"slerp" or "lerp"',
    "limit": f"{COUNT} or none",
    "dtype": '"float32" or "float64"',
}


@dataclass(frozen=True)
class Protocol:
    """How models are measured: part of every record's identity, as far as its metric depends on it.

    Raises GenbenchError where a field is not in its domain (`DOMAINS`).

    Arguments:
        n_samples: samples drawn from each model.
        seed: of samples and of importance weights.
        block_size: samples and noise come in blocks of this size, block i seeded by (seed, i).
        k: importance samples or dequantisation draws for each example.
        rtol: relative and absolute tolerance of ODE solvers.
        temperatures, chains, leapfrog, schedule: of annealed importance sampling, the schedule "sigmoid" or
            "linear"; `simulated` examples for its gap.
        step, path: between two latents, the length of a step as a share of the whole path, and the path: "slerp", a
            great circle, or "lerp", a straight line.
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
    schedule: str = "sigmoid"
    simulated: int = 100
    step: float = 1e-4
    path: str = "slerp"
    limit: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        domains.check(DOMAINS, vars(self), "protocol")


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


def suite_for(
    name: str | None = None,
    dataset: str | None = None,
    metrics: Iterable[str] | None = None,
    extractor: str | None = None,
    **protocol: Any,
) -> Suite:
    """The suite called `name` (or the file NAME.toml), with what is given in its place.

    Arguments:
        name: by default that of the dataset, else "digits".
        dataset: where it is not the suite's, the extractor is raw pixels unless one is named.
        protocol: its fields; None leaves the suite's.

    Raises:
        GenbenchError: no such suite, or a field that cannot be so.
    """
    name = name or (dataset if dataset in catalog.entries("suites") else "digits")
    path = Path(name) if name.endswith(".toml") else catalog.find("suites", name).path
    if path is None or not path.is_file():
        raise GenbenchError(f"no suite at {path}", "`genbench list suites` shows those that ship.")
    suite = Suite.read(path)
    if dataset and dataset != suite.dataset:
        suite = replace(suite, dataset=dataset, extractor="pixels")
    asked = replace(suite.protocol, **{field: value for field, value in protocol.items() if value is not None})
    chosen = suite.metrics if metrics is None else tuple(metrics)
    return replace(suite, protocol=asked, metrics=chosen, extractor=extractor or suite.extractor)
