"""How models are measured: the protocol, and the suite that names it together with data and metrics (a TOML file)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from genbench import catalog, reading
from genbench.errors import GenbenchError, unknown
from genbench.reading import As, Count, Name, Seed, Size, Within


@dataclass(frozen=True)
class Protocol:
    """How models are measured: part of every record's identity, as far as its metric depends on it.

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

    n_samples: Count = 1000
    seed: Seed = 0
    block_size: Count = 100
    k: Count = 50
    rtol: Annotated[float, Within(above=0, below=1)] = 1e-4
    temperatures: Count = 1000
    chains: Count = 4
    leapfrog: Count = 10
    schedule: Annotated[str, As(Literal["sigmoid", "linear"])] = "sigmoid"
    simulated: Count = 100
    step: Annotated[float, Within(above=0, high=1)] = 1e-4
    path: Annotated[str, As(Literal["slerp", "lerp"])] = "slerp"
    limit: Count | None = None

    def __post_init__(self) -> None:
        reading.check(self)


@dataclass(frozen=True)
class Suite:
    """A named choice of dataset, extractor, metrics and protocol (a TOML file in `suites/`)."""

    dataset: Name
    metrics: Annotated[tuple[Name, ...], Size(1)]
    extractor: Name = "pixels"
    sort: Name = "nll"
    protocol: Protocol = field(default_factory=Protocol)
    params: dict[Name, dict[Name, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Suite:
        """The suite in a TOML file.

        Raises:
            GenbenchError: no such file, no TOML, a field that is unknown or not what it should be, or parameters of a
                metric that has none of that name.
        """
        remedy = "See genbench/suites/digits.toml for the fields."
        content = reading.parse_toml(reading.text_of(path, "suite", remedy), f"suite {path}", remedy)
        suite = reading.read(cls, content, f"suite {path}", remedy)
        for metric, given in suite.params.items():
            known = catalog.find("metrics", metric).parameters
            for name in given:
                if name not in known:
                    raise unknown(f"parameter of metric '{metric}'", name, known)
        return suite


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
