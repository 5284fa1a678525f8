"""Work that several evaluations into one folder share: each cell is measured by whoever claims it first.

A claim is a lock of the run that the system lets go with its owner. What somebody else has claimed is waited for, and
measured here if its owner dies.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from genbench.locks import Lock
from genbench.models.adapters import Source
from genbench.run.plan import Cell, Plan
from genbench.run.records import DONE, Record, Run

LOOK = 0.5  # seconds between two looks at what others have claimed

Portion = tuple[Source, list[Cell]]


class Share:
    """The work of one call, handed out model by model.

    Arguments:
        always: whether what was measured before this call is measured again.
        found: is told every record that somebody else has made meanwhile.
    """

    def __init__(
        self, todo: Plan, run: Run, work: Iterable[Portion], run_id: str, always: bool, found: Callable[[Record], None]
    ) -> None:
        self.todo, self.run, self.run_id, self.always, self.found = todo, run, run_id, always, found
        self.waiting, self.last, self.elsewhere = deque(work), deque[Portion](), deque[Portion]()
        self.locks: dict[str, Lock] = {}
        self.began = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.told = False

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        for lock in self.locks.values():
            lock.free()
        with contextlib.suppress(OSError):
            self.run.claims.rmdir()  # if that was the last of them

    @property
    def over(self) -> bool:
        """Whether nothing is left to hand out."""
        return not (self.waiting or self.last or self.elsewhere)

    def next(self, wait: bool) -> Portion | None:
        """A model and cells of it, claimed; None where nothing is left, or only what others are at.

        What the owner of an earlier claim died with comes after the rest.

        Arguments:
            wait: for the others, until one has finished or died.
        """
        while self.waiting:
            source, cells = self.waiting.popleft()
            mine, risky = self.claim(source, cells)
            if mine and risky:
                self.last.append((source, mine))
            elif mine:
                return source, mine
        if self.last:
            return self.last.popleft()
        while self.elsewhere:
            for _ in range(len(self.elsewhere)):
                mine, _ = self.claim(*self.elsewhere.popleft())
                if mine:
                    return mine[0].source, mine
            if not wait:
                return None
            if self.elsewhere:
                self.tell()
                time.sleep(LOOK)
        return None

    def claim(self, source: Source, cells: list[Cell]) -> tuple[list[Cell], bool]:
        """Of the cells those that are to be measured here, and whether somebody died with one of them."""
        mine, theirs, risky = [], [], False
        for cell in cells:
            lock = self.run.claim(cell.id, run_id=self.run_id)
            if lock is None:
                theirs.append(cell)
            elif (record := self.made(cell)) is not None:
                lock.free()
                self.found(record)
            else:
                mine.append(cell)
                self.locks[cell.id] = lock
                risky = risky or lock.inherited
        if theirs:
            self.elsewhere.append((source, theirs))
        return mine, risky

    def made(self, cell: Cell) -> Record | None:
        """The record that somebody else has made of a cell since this call looked."""
        record = self.run.get(cell.id)
        if record is None or not self.todo.reusable(cell, record):
            return None
        since = record.run_id != self.run_id and record.ended >= self.began
        return record if since or (record.status in DONE and not self.always) else None

    def free(self, cell: Cell) -> None:
        """Its record is there."""
        if lock := self.locks.pop(cell.id, None):
            lock.free()

    def tell(self) -> None:
        if not self.told:
            n = sum(len(cells) for _, cells in self.elsewhere)
            print(f"waiting for {n} cells that another evaluation measures into {self.run.folder}", file=sys.stderr)
            self.told = True
