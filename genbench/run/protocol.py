"""How models are measured: the protocol, and the suite that names it together with data and metrics (a TOML file)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from genbench import catalog, domains, reading
from genbench.errors import GenbenchError, unknown
from genbench.reading import As, Count, Name, Seed, Size, Within

if TYPE_CHECKING:
    from genbench.datasets import Dataset
    from genbench.models.adapters import Source

INFINITE = "inf"  # a parameter of a metric, in records and identities
OWN_SAMPLES = 1000  # of each model on data that no suite is for, if there are as many test examples


@dataclass(frozen=True)
class Protocol:
    """How models are measured: part of every record's identity, as far as its metric depends on it.

    Raises GenbenchError where a field is not in the range that its type says.

    Arguments:
        n_samples: samples drawn from each model.
        seed: of samples and of importance weights.
        block_size: samples and noise come in blocks of this size, block i seeded by (seed, i).
        k: importance samples or dequantisation draws for each example.
        rtol: relative and absolute tolerance of ODE solvers.
        entry: how integers enter a probability-flow ODE: "own", as the model asks, "uniform" or "truncated" (normal)
            dequantisation, or "diffusion", by the model's own last step; see `likelihood/probability_flow.py`.
        temperatures, chains, leapfrog, schedule: of annealed importance sampling, the schedule "sigmoid" or
            "linear"; `simulated` examples for its gap.
        step, path: between two latents, the length of a step as a share of the whole path, and the path: "slerp", a
            great circle, or "lerp", a straight line.
        outside: the other data that are to be told from test data: "noise", "constant", "blank", "blurred", "inverted",
            or what the dataset has of its own; see `datasets/_outside.py`.
        limit: so many test examples only, chosen by contents, None for all; such records are not complete.
    """

    n_samples: Count = 1000
    seed: Seed = 0
    block_size: Count = 100
    k: Count = 50
    rtol: Annotated[float, Within(above=0, below=1)] = 1e-4
    entry: Annotated[str, As(Literal["own", "uniform", "truncated", "diffusion"])] = "own"
    temperatures: Count = 1000
    chains: Count = 4
    leapfrog: Count = 10
    schedule: Annotated[str, As(Literal["sigmoid", "linear"])] = "sigmoid"
    simulated: Count = 100
    step: Annotated[float, Within(above=0, below=1)] = 1e-4
    path: Annotated[str, As(Literal["slerp", "lerp"])] = "slerp"
    outside: Name = "noise"
    limit: Count | None = None

    def __post_init__(self) -> None:
        reading.check(self)


@dataclass(frozen=True)
class Suite:
    """A named choice of dataset, extractor, metrics and protocol (a TOML file in `suites/`).

    Arguments:
        borrowed: whether its dataset is one of the user's own, in place of that which it was made for.
    """

    dataset: Name
    metrics: Annotated[tuple[Name, ...], Size(1)]
    extractor: Name = "pixels"
    sort: Name = "nll"
    protocol: Protocol = field(default_factory=Protocol)
    params: dict[Name, dict[Name, Any]] = field(default_factory=dict)
    borrowed: bool = False

    @classmethod
    def read(cls, path: Path) -> Suite:
        """The suite in a TOML file.

        Raises:
            GenbenchError: no such file, no TOML, a field that is unknown or not what it should be, or parameters of a
                metric that has none of that name.
        """
        remedy = "See genbench/suites/digits.toml for the fields."
        content = reading.parse_toml(reading.text_of(path, "suite", remedy), f"suite {path}", remedy)
        if isinstance(tables := content.get("params"), dict):  # TOML has an infinity, and records have not
            content["params"] = {metric: infinite_as_text(metric, table) for metric, table in tables.items()}
        suite = reading.read(cls, content, f"suite {path}", remedy)
        for metric, given in suite.params.items():
            known = catalog.find("metrics", metric).parameters
            for name in given:
                if name not in known:
                    raise unknown(f"parameter of metric '{metric}'", name, known)
        return suite


def infinite_as_text(metric: str, table: Any) -> Any:
    """The parameters of a metric with infinity as text, where the metric says that it can be."""
    known = catalog.entries("metrics").get(catalog.spelt(metric))
    can = {} if known is None else known.constants.get("DOMAINS", {})
    if not isinstance(table, dict):
        return table
    return {k: INFINITE if v == math.inf and k in can and domains.holds(can[k], v) else v for k, v in table.items()}


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
        ships = (known := catalog.entries("datasets").get(dataset)) is not None and known.origin == "genbench"
        suite = replace(suite, dataset=dataset, extractor="pixels", borrowed=not ships)
    asked = replace(suite.protocol, **{field: value for field, value in protocol.items() if value is not None})
    chosen = suite.metrics if metrics is None else tuple(metrics)
    return replace(suite, protocol=asked, metrics=chosen, extractor=extractor or suite.extractor)


def fitted(suite: Suite, dataset: Dataset, sources: Sequence[Source]) -> Suite:
    """The suite with a number of samples that data and files can give, for where the user names none; says so.

    On data of the user's own as many as there are test examples, at most 1,000, so that real data stand in the same
    table; and never more than the smallest file of samples holds.
    """
    from genbench.datasets._files import count_samples

    n, why = suite.protocol.n_samples, ""
    if suite.borrowed:
        n = min(OWN_SAMPLES, len(dataset.test))
        why = f"dataset '{dataset.name}' has {len(dataset.test):,} test examples: {n:,} samples are taken"
    for source in sources:
        if source.adapter == "samples" and (held := count_samples(Path(source.what))) < n:
            n, why = held, f"{source.what} holds {held} samples: so many are taken"
    if n == suite.protocol.n_samples:
        return suite
    print(f"{why} of every model (--samples says otherwise)", file=sys.stderr)
    return replace(suite, protocol=replace(suite.protocol, n_samples=n))
