"""What one artifact is made of, and how its arrays are kept in the run: by content key, block by block, with marks."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench import numerics as numerics_package
from genbench.blocks import Arrays, Keep, Progress, Whole
from genbench.datasets import Dataset
from genbench.errors import Unavailable
from genbench.features import Extractor
from genbench.files import content_key
from genbench.locks import Lock
from genbench.models import steady
from genbench.models.capabilities import n_classes
from genbench.models.witness import known_code
from genbench.numerics.choice import row_keys
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.declaration import DATA
from genbench.run.noting import noting
from genbench.run.protocol import Protocol
from genbench.run.records import Run

if TYPE_CHECKING:
    from genbench.numerics.points import Lasting, Points
    from genbench.run.artifacts.making import Artifacts
    from genbench.run.reference import Reference

WARNINGS, MADE_ON = "warnings", "made_on"  # in the file of arrays, beside them
READ_BY = "read_by"  # the call in which foreign code read something while they were made: they hold for it alone
BEFORE = "what another process of this call has seen"


class Context:
    """What one artifact is made of, and where it is kept."""

    def __init__(self, artifacts: Artifacts, need: str, name: str | None) -> None:
        self.artifacts, self.need, self.name = artifacts, need, name
        self.device, self.batch_size = artifacts.device, artifacts.batch_size

    @property
    def dataset(self) -> Dataset:
        return self.artifacts.plan.dataset

    @property
    def protocol(self) -> Protocol:
        return self.artifacts.plan.protocol

    @property
    def model(self) -> Any:
        return self.artifacts.model

    @property
    def extractor(self) -> Extractor:
        assert self.name is not None, f"artifact '{self.need}' is not declared as extracted"
        return self.artifacts.extractor(self.name)

    @property
    def reference(self) -> Reference | None:
        """What stands in place of the training features of this extractor."""
        return self.artifacts.plan.references.get(self.name or "")

    @property
    def labels(self) -> np.ndarray | None:
        """The class that is asked of every sample of a class-conditional model `[n]`, where the user says it."""
        labels, known = self.artifacts.plan.labels, n_classes(self.model)
        if labels is None or not known:
            return None
        if labels.max() >= known:
            raise Unavailable(f"a label is {labels.max()}, the model knows the classes 0 to {known - 1}")
        return labels

    def get(self, need: str) -> Any:
        """Another artifact, of the same extractor if it depends on one."""
        return self.artifacts.get(need, self.name)

    def progress(self, what: str, total: int) -> Progress:
        return lambda done: self.artifacts.tell(f"{what} {done:.0f}/{total}")

    def kept(self, make: Callable[[Keep], Arrays], under: str | None = None) -> Arrays:
        """Arrays by content key: from the run, or made, each block put into the run as soon as it is there.

        Arguments:
            make: given how blocks are kept, the arrays.
            under: the artifact whose arrays they are, where several read the same.
        """
        need, of = under or self.need, self.artifacts
        declared, plan = ARTIFACTS[need], of.plan
        identity = {
            "artifact": need,
            "protocol": plan.said(declared.fields),
            "extractor": plan.extractors[self.name] if declared.extracted and self.name else None,
            "model": None if declared.asks == DATA else of.source.identity,
            "dataset": {**plan.dataset.identity, **plan.brought(declared.fields)},
        }
        if declared.asks != DATA and not of.source.ours:
            identity["rules"] = str(steady.RULES)  # what its answers were held to as they were made
        whole = declared.asks == DATA or of.source.pinned
        if not (whole and (not declared.extracted or self.name not in plan.unpinned)):
            identity["nonce"] = plan.nonce  # of this call: what decides the arrays is not all known
        key = content_key(identity)
        if declared.asks != DATA:
            of.keys[self.need, self.name] = key
        arrays = None if of.fresh else self.of_this_call(of.run.get_arrays(key))
        if arrays is None:
            arrays = self.made(key, make)
        for text in json.loads(str(arrays.get(WARNINGS, "[]"))):
            warnings.warn(text, stacklevel=2)
        of.elsewhere |= str(arrays.get(MADE_ON)) != of.here
        return self.without_marks(arrays)

    def made(self, key: str, make: Callable[[Keep], Arrays]) -> Arrays:
        """The arrays under a content key, made and put into the run, with marks: what was warned of, where they were
        made, and whether they rest on what foreign code has read.

        Other processes may make some of their blocks, now or earlier; each block has marks of its own.
        """
        of = self.artifacts
        of.run.forget(key)  # what is damaged, or of another call; all of it where it is to be made afresh
        if of.fresh:
            of.run.drop_blocks(key)
        notes: dict[int, tuple[list[str], str]] = {}
        try:
            with noting() as texts, of.watched() as read:

                def keep(number: int, block: Callable[[], Arrays]) -> Arrays | None:
                    def marked() -> Arrays:
                        with noting() as texts:
                            arrays = block()
                        marks = {WARNINGS: np.array(json.dumps(texts)), MADE_ON: np.array(of.here)}
                        return {**arrays, **marks, **self.read_by(read)}

                    arrays = of.run.kept_block(key, number, marked, self.of_this_call, of.fresh, of.helping)
                    if arrays is None:
                        return None
                    notes[number] = json.loads(str(arrays.get(WARNINGS, "[]"))), str(arrays.get(MADE_ON))
                    return self.without_marks(arrays, bool(read))

                arrays = make(keep)
        except Whole:
            if (whole := self.of_this_call(of.run.get_arrays(key))) is not None:
                of.run.drop_blocks(key)  # the lock of the last may stand there again
                return whole
            return self.made(key, make)  # what was there a moment ago is damaged, gone, or of another call
        places = {place for _, place in notes.values()}
        told = dict.fromkeys([text for number in sorted(notes) for text in notes[number][0]] + texts)
        made_on = of.here if places <= {of.here} else "in parts"
        arrays |= {WARNINGS: np.array(json.dumps(list(told))), MADE_ON: np.array(made_on), **self.read_by(read)}
        of.run.put_arrays(key, arrays)
        of.run.drop_blocks(key)
        return arrays

    def without_marks(self, arrays: Arrays, seen: bool = False) -> Arrays:
        if READ_BY in arrays and not (seen or self.artifacts.read):
            self.artifacts.read.add(BEFORE)
        return {name: array for name, array in arrays.items() if name not in (WARNINGS, MADE_ON, READ_BY)}

    def read_by(self, read: set[str]) -> Arrays:
        """The mark on arrays that rest on what foreign code has read; none where it has read nothing."""
        rests = self.artifacts.read or read - known_code(read)
        return {READ_BY: np.array(self.artifacts.plan.nonce)} if rests else {}

    def of_this_call(self, arrays: Arrays | None) -> Arrays | None:
        """Arrays, unless they hold for another call alone."""
        if arrays is None or str(arrays.get(READ_BY, self.artifacts.plan.nonce)) == self.artifacts.plan.nonce:
            return arrays
        return None

    def extract(self, images: Callable[[], np.ndarray], under: str | None = None) -> Arrays:
        """Features, and logits if there are any, of images `[n, *shape]`, which are asked for if the run has none."""

        def make(keep: Keep) -> Arrays:
            x = images()
            found, logits = self.extractor(x, self.batch_size, keep, self.progress("images", len(x)))
            return {"features": found} if logits is None else {"features": found, "logits": logits}

        return self.kept(make, under)

    def points(self, rows: np.ndarray, raw: str) -> Points:
        """Features `[n, d]` of the artifact `raw`, whose contents they are known by: no rounding tells them apart."""
        from genbench.numerics.points import Points  # brings torch, which a run with nothing to do can do without

        rows = rows.view()
        rows.flags.writeable = False  # all metrics of a model share them
        return Points(rows, self.device, keys=lambda: row_keys(self.get(raw)), lasting=self.lasting)

    @property
    def lasting(self) -> Lasting | None:
        """Where what takes long is kept, of data that all models are compared with."""
        of = self.artifacts
        return partial(lasting, of.run, of.here, of.fresh) if ARTIFACTS[self.need].asks == DATA else None

    def logits(self, arrays: Arrays) -> np.ndarray:
        if "logits" not in arrays:
            raise Unavailable(f"extractor '{self.name}' is no classifier: it gives no logits")
        return arrays["logits"]


def lasting(run: Run, here: str, fresh: bool, what: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays that other arrays decide, `what` says which and how: from the run, or made by the first who asks, for whom
    the others wait.
    """
    key = content_key({"what": what, MADE_ON: here, "by": numerics()})
    if not fresh and (arrays := run.get_arrays(key)) is not None:
        return arrays
    lock = Lock(run.arrays / f"{key}.lock")
    with suppress(OSError):  # where nothing can be written, writing says so
        lock.take(wait=True)
    try:
        if fresh or (arrays := run.get_arrays(key)) is None:
            arrays = make()
            run.put_arrays(key, arrays)
    finally:
        lock.free()
    return arrays


@cache
def numerics() -> str:
    """The code that such arrays are made by."""
    return content_key([path.read_text() for path in sorted(Path(numerics_package.__file__ or "").parent.glob("*.py"))])
