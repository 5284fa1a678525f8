"""`genbench.evaluate`: from Python what the command does, in a notebook or in a training loop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genbench import datasets
from genbench.datasets import Dataset
from genbench.models.adapters import parse
from genbench.models.adapters.object import held
from genbench.run.evaluate import evaluate as measure_all
from genbench.run.plan import plan
from genbench.run.protocol import fitted, suite_for
from genbench.run.records import Record, Run


def evaluate(
    model: Any,
    data: str | Path | Dataset = "digits",
    metrics: Iterable[str] | None = None,
    *,
    extractor: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    k: int | None = None,
    limit: int | None = None,
    name: str = "",
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 500,
) -> list[Record]:
    """Measures one model and returns a record for every number, as `genbench evaluate` does.

    A model that is a `torch.nn.Module` is left as it was: in the mode and on the device that it came in. Models are
    measured in the caller's process, since no other has an object that lives there: one that dies takes the caller with
    it. The command line gives each model a process of its own.

    Arguments:
        model: an object with `space` and, as far as it can, the methods in `genbench/models/capabilities.py`; or what
            the command line takes, "vae.safetensors", "samples:PATH", "FILE.py:OBJECT".
        data: a dataset's name, a path to a folder, `.npz` or `.npy`, or a `Dataset`.
        metrics: names, "all" among them; by default those of the dataset's suite.
        extractor, samples, seed, k, limit: in place of the suite's: see `genbench evaluate --help`.
        name: of the model in the records.
        out: a run's folder, which keeps records and arrays, so that nothing is measured twice; by default none is.

    Raises:
        GenbenchError: an unknown name, or a model that is made for another space.

    Example:
        >>> records = genbench.evaluate(model, "digits", metrics=["nll", "fd"])  # doctest: +SKIP
        >>> {r.metric["name"]: (r.kind, r.value) for r in records}  # doctest: +SKIP
        {'nll': ('upper_bound', 2.114), 'fd[digits-cnn]': ('estimate', 4.9)}
    """
    known = data.name if isinstance(data, Dataset) else str(data)
    protocol = {"n_samples": samples, "seed": seed, "k": k, "limit": limit}
    suite = suite_for(None, known, metrics, extractor, **protocol)
    dataset = data if isinstance(data, Dataset) else datasets.load(known)
    source = parse(model, dataset) if isinstance(model, str) else held(model, name)
    todo = plan(fitted(suite, dataset, [source]) if samples is None else suite, dataset, [source])
    before = state_of(model)
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(Path(out or scratch))
        try:
            measure_all(todo, run, device, batch_size, command="genbench.evaluate", pictures=out is not None)
        finally:
            restore(model, before)
        return todo.rows(run)


def state_of(model: Any) -> tuple[bool, Any] | None:
    """A module's mode and device, None for anything else."""
    if not (hasattr(model, "training") and hasattr(model, "parameters")):
        return None
    first = next(iter(model.parameters()), None)
    return bool(model.training), None if first is None else first.device


def restore(model: Any, before: tuple[bool, Any] | None) -> None:
    if before is not None:
        training, device = before
        model.train(training)
        if device is not None:
            model.to(device)
