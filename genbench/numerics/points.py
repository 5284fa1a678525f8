"""A set of points that remembers what was computed of it: moments, neighbours, kernel sums.

The metrics of one model ask the same of the same features: the radii of the training set, the
nearest training example of every sample. Each is computed when first asked for, and once; the
training features are one `Points` for all models of a run. Two sets meet in one sweep over their
distances, which answers what either asks of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from genbench.files import sha256_array
from genbench.numerics import kernels, neighbours, single
from genbench.numerics.choice import sampled, shuffled
from genbench.numerics.kernels import Cubic, Gaussian, Kernel, Picked, Set
from genbench.numerics.moments import Moments, moments
from genbench.numerics.neighbours import Counts, Nearest, Rows, Table, Taker, Within
from genbench.numerics.single import Single, SingleCubic

T = TypeVar("T")
TRAINING = "training examples"
WIDTH, WIDTH_MET = 5, 2  # neighbours in the tables within a set and between two: what metrics usually ask for
BALLS = (3, 5)  # neighbours that the radius of a ball usually reaches to

HALVED = 8  # rows from which kernels are summed over halves
WORTH_KEEPING = 500  # rows from which what takes the square of them is kept beyond the process
Lasting = Callable[[str, Callable[[], dict[str, np.ndarray]]], dict[str, np.ndarray]]
SMALL = 2**21  # distances of two sets, 16 MiB, that are kept for their pieces
KERNELS = (Cubic(), Gaussian(10.0, of_directions=True))  # those of KID and CMMD, from the same products


@dataclass(frozen=True, eq=False)
class Summary:
    """A set of which the moments alone are known, as published statistics are; stands where rows are not needed.

    Arguments:
        mean, covariance: `[d]` and `[d, d]` float64, ddof = 1 like those of rows.
        n: of how many rows they are, None where nobody says.
        called: what the set is, in words.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n: int | None = None
    called: str = "a reference"
    _own: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed the first time that `key` is asked for."""
        if key not in self._own:
            self._own[key] = make()
        return self._own[key]

    @property
    def moments(self) -> Summary:
        return self

    @property
    def d(self) -> int:
        return len(self.mean)


@dataclass
class Meeting:
    """What one set knows of another: the nearest rows, and by k the balls that its rows lie in."""

    table: Table
    balls: dict[int, Counts]


class Points:
    """Rows `[n, d]` of finite numbers, never changed.

    Arguments:
        x: kept as it is; rows of another set are copied when somebody asks for all of them.
        device: where distances are computed.
        tile: rows and columns of distances held at once, by default those of `neighbours` and of `kernels`; changes no
            value.
        keys: gives what the rows are known by, where they are features of something: of that, which no rounding
            touches. By default the rows' own contents.
        called: what the set is where a record says that samples were compared with it.
        lasting: gives arrays by a name that says all they are made of, or has them made: so that what many processes
            ask of a large set, its own neighbours and kernel sums, is computed by one of them.
    """

    def __init__(
        self,
        x: Set,
        device: str = "cpu",
        tile: tuple[int, int] | None = None,
        keys: Callable[[], list[bytes]] | None = None,
        called: str = TRAINING,
        lasting: Lasting | None = None,
    ) -> None:
        self.set = x
        self.shape = x.shape
        self.device, self.tile, self.called = device, tile, called
        self.lasting = lasting
        self.is_half = False
        self.whole: tuple[Points, np.ndarray] | None = None  # of a piece, and its places there
        self.own_table: Callable[[], Table] | None = None  # of a piece of data that last, its `WIDTH` neighbours
        self._keys = keys
        self._own: dict[Hashable, Any] = {}
        self._against: WeakKeyDictionary[Points | Summary, dict[Hashable, Any]] = WeakKeyDictionary()

    @property
    def x(self) -> np.ndarray:
        """The rows themselves."""
        if isinstance(self.set, Picked):
            self.set = self.set[:]
        return self.set

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def d(self) -> int:
        return self.shape[1]

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed the first time that `key` is asked for."""
        if key not in self._own:
            self._own[key] = make()
        return self._own[key]

    def kept(self, what: str, other: Points, make: Callable[[], Iterable[np.ndarray]]) -> tuple[np.ndarray, ...]:
        """Arrays that these rows and those of `other` decide, and `what` says how: made by whichever process asks
        first, where both last and are large.
        """
        if other.lasting is None or min(len(self), len(other)) < WORTH_KEEPING:
            return tuple(make())
        return self._lasting(f"{what} of {self.digest} and {other.digest}", make)

    def _lasting(self, name: str, make: Callable[[], Iterable[np.ndarray]]) -> tuple[np.ndarray, ...]:
        """Arrays that `name` says all of: made by whichever process asks first, where these rows last."""
        if self.lasting is None:
            return tuple(make())
        found = self.lasting(name, lambda: {str(i): a for i, a in enumerate(make())})
        return tuple(found[str(i)] for i in range(len(found)))

    @cached_property
    def digest(self) -> str:
        """Of the rows, their type and their order."""
        return sha256_array(self.x)

    def remember_against(self, other: Points | Summary, key: Hashable, make: Callable[[], T]) -> T:
        """The same of two sets, forgotten with `other`."""
        if other is self:
            return self.remember(("self", key), make)
        found = self._against.setdefault(other, {})
        if key not in found:
            found[key] = make()
        return found[key]

    def shuffled(self, seed: int) -> np.ndarray:
        """The places of the rows in a random order that their contents alone decide, not how they came: `[n]`."""
        return shuffled(self.keys, seed)

    @cached_property
    def keys(self) -> list[bytes]:
        """What each row is known by."""
        return self.rows.keys if self._keys is None else self._keys()

    def sampled(self, n: int, seed: int) -> np.ndarray:
        """n places, a simple random sample that the contents decide `[n]`; equal rows have a chance each."""
        return sampled(self.keys, n, seed)

    def part(self, places: np.ndarray) -> Points:
        return self._at(places, self.x[places])

    def _at(self, places: np.ndarray, rows: Set) -> Points:
        """The set of these rows of this one, known by the same keys."""

        def keys() -> list[bytes]:
            return [self.keys[place] for place in places]

        return Points(rows, self.device, self.tile, keys, lasting=self.lasting)

    def piece(self, places: np.ndarray) -> Points:
        """A part that is one of many: where the whole is small, its neighbours are looked up among all distances."""
        found = self.part(places)
        found.whole = self, places
        return found

    def pieces(self, what: str, deal: Callable[[], list[np.ndarray]]) -> list[Points]:
        """Many parts, remembered: see `piece`. Of data that last, what is drawn and what is looked up is kept.

        Arguments:
            deal: draws the places of each part from the keys of the rows alone; `what` says how.
        """
        return self.remember(("pieces", what), lambda: self._pieces(what, deal))

    def _pieces(self, what: str, deal: Callable[[], list[np.ndarray]]) -> list[Points]:
        if self.lasting is None:
            return [self.piece(places) for places in deal()]
        keys = sha256_array(np.frombuffer(b"".join(self.keys), np.uint8))
        name = f"{what} of {self.digest} with keys {keys}"
        ends, dealt = self._lasting(f"places of {name}", lambda: joined(deal()))
        found = [self.piece(places) for places in np.split(dealt, ends)]

        @cache
        def tables() -> list[Table]:
            def make() -> Iterable[np.ndarray]:
                looked_up = [one._looked_up(one, WIDTH) for one in found]
                return [np.concatenate(arrays) for arrays in zip(*looked_up, strict=True)]

            squares, places = self._lasting(f"{WIDTH} neighbours in {name}", make)
            return list(zip(np.split(squares, ends), np.split(places, ends), strict=True))

        if len(self) ** 2 <= SMALL and min(map(len, found)) > WIDTH:
            for number, one in enumerate(found):
                one.own_table = lambda number=number: tables()[number]  # type: ignore[misc]
        return found

    def _squares(self, other: Points) -> np.ndarray | None:
        """Squared distances to the rows of `other`, `[n, m]`, a row's own infinite; None unless both are pieces of
        small sets.
        """
        if self.whole is None or other.whole is None:
            return None
        (x, i), (y, j) = self.whole, other.whole
        if len(x) * len(y) > SMALL or (x is y and self is not other):
            return None
        if x is not y and "all distances" in y._against.get(x, ()):
            return y._against[x]["all distances"][np.ix_(j, i)].T
        return x.remember_against(y, "all distances", lambda: neighbours.all_distances(x.rows, y.rows))[np.ix_(i, j)]

    @cached_property
    def halves(self) -> tuple[tuple[np.ndarray, Points], tuple[np.ndarray, Points]]:
        """Places and rows of two random halves. What is summed over all rows is summed over theirs."""
        places = self.shuffled(0)
        (a, of_a), (b, of_b) = ((part, self._half(part)) for part in (places[::2], places[1::2]))
        return (a, of_a), (b, of_b)

    def _half(self, places: np.ndarray) -> Points:
        found = self._at(places, Picked(self.x, places))
        found.is_half = True
        return found

    @cached_property
    def moments(self) -> Moments:
        return moments(self.x)  # never from those of the halves: the last digits would tell who asked first

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.x, self.device)

    def nearest(self, other: Points, k: int = 1) -> Table:
        """The k nearest rows of `other` to every row, nearest first; the row itself left out if `other` is this set.

        Returns:
            Squared distances `[n, k]` float64, and indices into `other` `[n, k]`.
        """
        neighbours.check_k(len(other) - (other is self), k)
        width = min(max(k, WIDTH), len(other) - (other is self))
        if other is self and self.own_table is not None and width == WIDTH:
            table = self.own_table()
        elif (looked_up := self._looked_up(other, width)) is not None:
            table = looked_up
        elif other is self:
            table = self._own_table(k)
        elif k <= WIDTH_MET:
            table = self.meet(other).table
        else:
            table = self.remember_against(
                other, ("nearest", k), lambda: neighbours.nearest(self.rows, other.rows, k, self.tile)
            )
        return table[0][:, :k], table[1][:, :k]

    def _looked_up(self, other: Points, width: int) -> Table | None:
        """The nearest rows among all distances, None where these are not kept."""
        if (squares := self._squares(other)) is None:
            return None
        return self.remember_against(other, ("looked up", width), lambda: neighbours.least(squares, width))

    def _own_table(self, k: int) -> Table:
        """Of at least k columns."""
        tables: dict[int, Table] = self.remember("own tables", dict)
        wide = [width for width in tables if width >= k]
        if not wide:
            wide = [max(k, min(WIDTH, len(self) - 1))]
            squares, places = self.kept(
                f"{wide[0]} neighbours", self, lambda: neighbours.own_nearest(self.rows, wide[0], self.tile)
            )
            tables[wide[0]] = squares, places
        return tables[wide[0]]

    def balls(self, other: Points, k: int) -> Counts:
        """In how many of `other`'s balls every row lies; each reaches to its centre's k-th neighbour in `other`."""
        radii = other.nearest(other, k)  # before they meet, so that their meeting counts the balls
        if (squares := self._squares(other)) is not None:
            return neighbours.counted(squares, radii[0][:, -1])
        mine, theirs = self.meet(other), other.meet(self)
        if k not in mine.balls:
            ks = BALLS if k in BALLS else (k,)
            takers = [self._within(other, ks), other._within(self, ks)]
            neighbours.sweep(self.rows, other.rows, takers[:1], takers[1:], self.tile)
            mine.balls |= takers[0].counts(self.rows)
            theirs.balls |= takers[1].counts(other.rows)
        return mine.balls[k]

    def inside(self, other: Points, squared_radii: np.ndarray, k: int) -> Counts:
        """In how many balls about `other`'s rows every row lies, whatever their radii; its own left out.

        Arguments:
            squared_radii: `[len(other)]`, the same for equal rows.
            k: rows that a ball usually holds.
        """
        if (squares := self._squares(other)) is not None:
            return neighbours.counted(squares, squared_radii)
        taker = Within(self.rows, other.rows, {k: squared_radii[other.rows.first]})
        neighbours.sweep(self.rows, other.rows, [taker], [taker] if other is self else [], self.tile)
        found = taker.counts(self.rows)[k]
        if other is not self or not self.rows.has_copies:
            return found
        copies = self.rows.count[self.rows.index] - 1  # each holds the others, and no pair of rows was shown
        return Counts(found.closed + copies, found.open + copies * (squared_radii > 0))

    def meet(self, other: Points) -> Meeting:
        """One sweep over the distances to another set, which is told as much.

        The balls are counted too if the larger set knows its radii by now: those of the other cost no more.
        """
        if other is self:
            raise ValueError("a set does not meet itself")
        if self not in other._against or "meeting" not in other._against[self]:
            sides = [(self, other), (other, self)]
            larger = [points for points in (self, other) if len(points) == max(len(self), len(other))]
            ks = BALLS if any(points.remember("own tables", dict) for points in larger) else ()
            tables = [Nearest(a.rows, b.rows, min(WIDTH_MET, len(b.rows))) for a, b in sides]
            inside = [a._within(b, ks) for a, b in sides]
            takers: list[list[Taker]] = [[table, taker] for table, taker in zip(tables, inside, strict=True)]
            neighbours.sweep(self.rows, other.rows, takers[0], takers[1], self.tile)
            for (a, b), table, taker in zip(sides, tables, inside, strict=True):
                nearest = neighbours.spread(table.result(), a.rows, b.rows, min(WIDTH_MET, len(b)))
                a._against.setdefault(b, {})["meeting"] = Meeting(nearest, taker.counts(a.rows))
        return self._against[other]["meeting"]

    def _within(self, other: Points, ks: tuple[int, ...]) -> Within:
        """Counts `other`'s balls about this set's rows, as far as `other` has so many neighbours."""
        radii = {k: other.nearest(other, k)[0][other.rows.first, -1] for k in ks if k < len(other)}
        return Within(self.rows, other.rows, radii)

    @cached_property
    def single(self) -> Single:
        return Single(self.set)

    def kernel_sums(self, other: Points, kernel: Kernel) -> np.ndarray:
        """sum_j k(x_i, y_j) over the rows of `other` for every row, without j = i if `other` is this set: `[n]`.

        From the sums of the halves, which some standard errors ask for too: of a half, where products take the time,
        they are those that the whole was summed from.
        """
        return self._summed(other, kernel)[0]

    def kernel_error(self, other: Points, kernel: SingleCubic) -> float:
        """What all of these sums together may be off."""
        return self._summed(other, kernel)[1]

    def _summed(self, other: Points, kernel: Kernel) -> tuple[np.ndarray, float]:
        known = self.is_half and other.is_half and self.d > kernels.MANY
        if known or min(len(self), len(other)) < HALVED:
            return self._swept(other, kernel)

        def make() -> tuple[np.ndarray, float]:
            total, error = np.zeros(len(self)), 0.0
            for places, half in self.halves:
                for _, against in other.halves:
                    sums, off = half._swept(against, kernel)
                    total[places] += sums
                    error += off
            return total, error

        return self.remember_against(other, ("sums of halves", kernel), make)

    def _swept(self, other: Points, kernel: Kernel) -> tuple[np.ndarray, float]:
        together = KERNELS if kernel in KERNELS and self.d > kernels.MANY else (kernel,)
        key, tile = ("sums", together), self.tile or kernels.TILE

        def make() -> Iterable[np.ndarray]:
            if isinstance(kernel, SingleCubic):
                mine, theirs, error = single.sums(self.single, other.single, tile)
                return mine, theirs, np.array(error)
            if other is self:
                return kernels.own_sums(self.set, together, tile, self.device).values()
            of_mine, of_theirs = kernels.sums(self.set, other.set, together, tile, self.device)
            return *of_mine.values(), *of_theirs.values()

        def found() -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], float]:
            arrays = self.kept(f"sums of {together}", other, make)
            error = float(arrays[2]) if isinstance(kernel, SingleCubic) else 0.0
            return arrays[: len(together)], arrays[len(together) : 2 * len(together)], error

        if other is self:
            mine, _, error = self.remember(key, found)
        else:
            if key not in self._against.get(other, {}):
                both = found()
                self.remember_against(other, key, lambda: both)
                other.remember_against(self, key, lambda: (both[1], both[0], both[2]))
            mine, _, error = self._against[other][key]
        return mine[together.index(kernel)], error


def joined(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where each part but the last ends, and all of them in one, as `np.split` takes them apart again."""
    return np.cumsum([len(part) for part in parts])[:-1], np.concatenate(parts)
