"""log p(x) of every example, whatever the method: one type, stored and read by one pair of functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

KINDS = ("exact", "lower_bound", "upper_bound", "estimate")


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x), or a statement about it, for every example, in nats.

    Arguments:
        values: `[N]` float64. Of a bound, an unbiased draw.
        kind: "exact", "lower_bound", "upper_bound" or "estimate": how the values stand to log p.
        method: how, in words.
        mc_stderr: `[N]` Monte Carlo standard error of each value, where there is one.
        shared_stderr: `[]` Monte Carlo standard error that all values have in common, where there is one.
        ess: `[N]` effective sample size of the weights, where there are any.
        bias: `[N]` estimated bias of the bound, at most 0.
        jackknife: `[N]` estimates of log p with less bias, which are no bounds.
        curve: `[N, c]` the bound for the fewer weights in `curve_k` `[c]`, from the same pass.
        rows: further numbers of every example by name, `[N, ...]`: what a solver or a chain did.
        details: of the whole, JSON types only: settings, errors, summaries of `rows`.
        warnings: what a reader of the value has to know.
    """

    values: np.ndarray
    kind: str
    method: str
    mc_stderr: np.ndarray | None = None
    shared_stderr: np.ndarray | None = None
    ess: np.ndarray | None = None
    bias: np.ndarray | None = None
    jackknife: np.ndarray | None = None
    curve_k: np.ndarray | None = None
    curve: np.ndarray | None = None
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a log-likelihood is one of {', '.join(KINDS)}, not '{self.kind}'")

    @classmethod
    def of(cls, found: Mapping[str, Any], kind: str, method: str, **rest: Any) -> LogLikelihood:
        """From what blocks found of every example, by the names of the fields."""
        return cls(**found, kind=kind, method=method, **rest)

    def __len__(self) -> int:
        return len(self.values)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays: what is no array goes into one string of JSON."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
        arrays |= {f"rows/{name}": value for name, value in self.rows.items()}
        said = {name: found[name] for name in ("kind", "method", "details", "warnings")}
        return {**arrays, "said": np.array(json.dumps(said))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LogLikelihood:
        said = json.loads(str(arrays["said"]))
        rows = {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith("rows/")}
        plain: dict[str, Any] = {name: value for name, value in arrays.items() if "/" not in name and name != "said"}
        return cls(**plain, **{**said, "warnings": tuple(said["warnings"])}, rows=rows)
