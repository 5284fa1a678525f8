"""`genbench.evaluate`: from Python what the command does, in a notebook or in a training loop."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from genbench import datasets
from genbench.datasets import Dataset
from genbench.datasets._labels import checked, labels_at
from genbench.models.adapters import parse_all
from genbench.models.adapters.object import held
from genbench.models.adapters.samples import labelled
from genbench.run.evaluate import evaluate as measure_all
from genbench.run.plan import hyphenated, plan
from genbench.run.protocol import fitted, suite_for
from genbench.run.records import Record, Run
from genbench.run.reference import read as read_reference


@contextmanager
def random_states_kept() -> Iterator[None]:
    """The global generators come out as they went in: a network that is built here draws its first weights of them."""
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if on_cards:
            torch.cuda.set_rng_state_all(on_cards)


@random_states_kept()
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
    outside: str | None = None,
    reference: str | Path | None = None,
    labels: str | Path | np.ndarray | None = None,
    name: str = "",
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 500,
    intervals: bool = True,
) -> list[Record]:
    """Measures one model, or one at every value of a sweep, and returns a record for every number.

    A model that is a `torch.nn.Module` is left as it was: in the mode and on the device that it came in. So are the
    global random generators: a training loop goes on as if nothing had been measured. Models are measured in the
    caller's process, since no other has an object that lives there: one that dies takes the caller with it. The command
    line gives each model a process of its own.

    Arguments:
        model: an object with `space` and, as far as it can, the methods in `genbench/models/capabilities.py`; or what
            the command line takes, "vae.safetensors", "samples:PATH", "FILE.py:OBJECT".
        data: a dataset's name, a path to a folder, `.npz` or `.npy`, or a `Dataset`.
        metrics: names, "all" among them; by default those of the dataset's suite.
        extractor, samples, seed, k, limit, outside: in place of the suite's: see `genbench evaluate --help`.
        reference: an `.npz` of published statistics in the features of the extractor, in place of the training set.
        labels: the class to ask of each sample of a class-conditional model, or that was asked of given samples: `[n]`,
            or a file of them.
        name: of the model in the records.
        intervals: False measures values alone where an interval takes work of its own, as in a training loop; such a
            record says so, and is measured anew once intervals are asked for. What has its interval for nothing, as a
            mean over examples does, keeps it.
        out: a run's folder, which keeps records and arrays, so that nothing is measured twice; by default none is.

    Raises:
        GenbenchError: an unknown name, or a model that is made for another space.

    Example:
        >>> records = genbench.evaluate(model, "digits", metrics=["nll", "fd"])  # doctest: +SKIP
        >>> {r.metric["name"]: (r.kind, r.value) for r in records}  # doctest: +SKIP
        {'nll': ('upper_bound', 2.114), 'fd[digits-cnn]': ('estimate', 4.9)}
    """
    known = data.name if isinstance(data, Dataset) else str(data)
    asked = None
    if labels is not None:
        asked = labels_at(Path(labels)) if isinstance(labels, str | Path) else checked(labels, "labels")
        samples = len(asked) if samples is None else samples
    protocol = {"n_samples": samples, "seed": seed, "k": k, "limit": limit, "outside": outside}
    suite = suite_for(None, known, metrics, extractor, **protocol)
    dataset = data if isinstance(data, Dataset) else datasets.load(known)
    sources = parse_all(model, dataset) if isinstance(model, str) else [held(model, name)]
    if asked is not None:
        sources = labelled(sources, asked)
    extractor = hyphenated(suite.extractor)
    references = {} if reference is None else {extractor: read_reference(Path(reference), extractor)}
    fitting = fitted(suite, dataset, sources) if samples is None else suite
    todo = plan(fitting, dataset, sources, references=references, labels=asked, intervals=intervals)
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
