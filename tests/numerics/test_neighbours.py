"""Nearest neighbours and balls, against all distances by the definition."""

import gc
import itertools

import numpy as np
import pytest

from genbench.numerics import kernels, neighbours, points
from genbench.numerics.kernels import Cubic, Gaussian
from genbench.numerics.neighbours import Rows
from genbench.numerics.points import Points


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def brute(x, y, k, own=False):
    """All distances by the definition, the k nearest with ties to the lower index."""
    D2 = ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(-1)
    if own:
        np.fill_diagonal(D2, np.inf)
    order = np.argsort(D2, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(D2, order, 1), order, D2


SETS = {
    "gaussian": lambda rng, n: rng.standard_normal((n, 7)) * [9, 1, 1, 1, 1, 0.1, 0.1] + 30,
    "lattice": lambda rng, n: rng.integers(0, 3, (n, 7)) * 0.5,  # nothing but ties
    "repeated": lambda rng, n: rng.standard_normal((3, 7))[rng.integers(0, 3, n)],
    "one point": lambda rng, n: np.full((n, 7), 0.1),
    "far": lambda rng, n: rng.standard_normal((n, 7)) * 1e-3 + 1e3,  # float32 proposes next to nothing
    "outlier": lambda rng, n: np.concatenate([rng.standard_normal((n - 1, 7)), np.full((1, 7), 1e7)]),
    "vast": lambda rng, n: rng.standard_normal((n, 7)) * 1e25,  # squares beyond float32
    "tiny": lambda rng, n: rng.standard_normal((n, 7)) * 1e-25,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tile", [(9, 16), (7, 40), (1024, 2048), None])  # None: by trees, in 7 dimensions
@pytest.mark.parametrize(("a", "b"), [(a, a) for a in SETS] + [("gaussian", "one point"), ("lattice", "repeated")])
def test_neighbours_and_balls_are_those_of_all_distances(rng, a, b, tile, dtype):
    x, y = SETS[a](rng, 41).astype(dtype), SETS[b](rng, 83).astype(dtype)
    y[5:9] = x[5:9]  # copies across the sets
    X, Y = Points(x, tile=tile), Points(y, tile=tile)
    for k in (2, 1, 7):
        for P, Q in ((X, Y), (Y, X), (X, X)):
            squares, index = P.nearest(Q, k)
            expected, order, D2 = brute(P.x, Q.x, k, P is Q)
            np.testing.assert_allclose(squares, expected, rtol=1e-14)
            rank = np.take_along_axis(D2, index, 1)  # where rounding of the definition itself decides, both are right
            np.testing.assert_allclose(rank, expected, rtol=1e-14)
            assert ((squares == 0) == (expected == 0)).all()
            clear = (np.diff(np.sort(D2, axis=1)[:, : k + 1]) > 1e-12 * expected).all(1) if a == "gaussian" else []
            np.testing.assert_array_equal(index[clear], order[clear])
    for k in (3, 4):
        radii = Y.nearest(Y, k)[0][:, -1]
        counts, D2 = X.balls(Y, k), exact_squares(X, Y)
        np.testing.assert_array_equal(counts.closed, (radii >= D2).sum(1))
        np.testing.assert_array_equal(counts.open, (radii > D2).sum(1))


def exact_squares(X, Y):
    pairs = np.indices((len(X), len(Y))).reshape(2, -1)
    return neighbours.squared_distance(X.x, Y.x, *pairs).reshape(len(X), len(Y))


@pytest.mark.parametrize("k", [1, 5])
def test_where_float32_cannot_tell_distances_apart_float64_does(rng, monkeypatch, k):
    again = []
    precise = neighbours.Tile.precise
    monkeypatch.setattr(neighbours.Tile, "precise", lambda tile: again.append(tile) or precise(tile))
    x = rng.standard_normal((700, 8)) * 1e-4 + 1  # rounding of its squares hides the distances
    x[0] = 1e4
    X = Points(x, tile=(300, 300))
    squares, index = X.nearest(X, k)
    expected, order, _ = brute(x, x, k, own=True)
    np.testing.assert_allclose(squares, expected, rtol=1e-12)
    np.testing.assert_array_equal(index, order)
    assert len(again) >= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_copies_far_from_the_origin_are_at_distance_exactly_zero(rng, dtype):
    y = (rng.standard_normal((300, 2048)) + 5).astype(dtype)
    planted = rng.permutation(300)[:40]
    squares, index = Points(y[planted]).nearest(Points(y), 2)
    np.testing.assert_array_equal(index[:, 0], planted)
    assert (squares[:, 0] == 0).all()
    assert (squares[:, 1] > 0).all()


def test_a_row_is_excluded_by_index_and_its_copy_is_not():
    x = Points(np.array([[0.0], [0.0], [1.0], [3.0]]))
    squares, index = x.nearest(x, 2)
    np.testing.assert_array_equal(index, [[1, 2], [0, 2], [0, 1], [2, 0]])
    np.testing.assert_array_equal(squares, [[0, 1], [0, 1], [1, 1], [4, 9]])


def test_ties_go_to_the_lower_index_at_any_tile(rng):
    y = rng.integers(0, 2, size=(64, 6)) * 0.1 + 7  # 64 points on a cube: nothing but ties
    x = rng.integers(0, 2, size=(30, 6)) * 0.1 + 7
    expected, order, D2 = brute(x, y, 5)
    for tile in ((1, 3), (8, 64), (1024, 2048), None):
        squares, index = Points(x, tile=tile).nearest(Points(y), 5)
        np.testing.assert_array_equal(index, order)
        np.testing.assert_array_equal(squares, expected)
        found = neighbours.count_within(Rows(x), Rows(y), np.full(30, D2[0, 0]), tile)
        np.testing.assert_array_equal(found, (D2[0, 0] >= D2).sum(1))


def test_values_stay_when_rows_change_their_order(rng):
    x, y = (rng.standard_normal((n, 33)).astype(np.float32) for n in (120, 90))
    p, q = rng.permutation(120), rng.permutation(90)
    one, other = Points(x).balls(Points(y), 3), Points(x[p]).balls(Points(y[q]), 3)
    np.testing.assert_array_equal(one.closed[p], other.closed)
    squares, index = Points(x).nearest(Points(y), 2)
    squares_, index_ = Points(x[p]).nearest(Points(y[q]), 2)
    np.testing.assert_array_equal(squares[p], squares_)
    np.testing.assert_array_equal(index[p], q[index_])


@pytest.mark.parametrize("n", [20, 30])
def test_what_is_known_of_a_set_is_computed_once_and_forgotten_with_it(rng, monkeypatch, n):
    sweeps = []
    once = neighbours.sweep

    def counted(*arguments):
        sweeps.append(None)
        once(*arguments)

    monkeypatch.setattr(neighbours, "sweep", counted)
    x, y = Points(rng.standard_normal((n, 3))), Points(rng.standard_normal((30, 3)))
    for k in (3, 5):
        x.balls(y, k), y.balls(x, k), x.nearest(y), y.nearest(x, 2), x.nearest(x, k)
    assert len(sweeps) == 3  # each with itself, and one meeting
    del x
    gc.collect()
    assert len(y._against) == 0


def test_neighbours_refuse_what_they_cannot_answer():
    x = Points(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="3 neighbours cannot be found among 2"):
        x.nearest(x, 3)
    with pytest.raises(ValueError, match="different widths"):
        x.nearest(Points(np.zeros((3, 4))))
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="finite"), np.errstate(all="ignore"):
            Points(np.full((3, 2), bad)).nearest(Points(np.array([[0.0, 0], [bad, 0]])))


@pytest.mark.parametrize(("n", "m"), [(7, 8), (8, 7), (8, 8), (9, 16), (16, 17), (17, 9), (15, 15), (2, 3)])
@pytest.mark.parametrize("tile", [(1, 1), (8, 8), (4, 16), (16, 4), None])
def test_neighbours_and_balls_at_the_edges_of_tiles(rng, n, m, tile):
    x, y = rng.integers(0, 3, (n, 2)) * 1.0, rng.integers(0, 3, (m, 2)) * 1.0  # ties and copies
    X, Y = Points(x, tile=tile), Points(y, tile=tile)
    for P, Q in ((X, Y), (Y, X), (X, X), (Y, Y)):
        for k in sorted({1, len(Q) - 1, len(Q) - (P is Q)}):
            expected, order, D2 = brute(P.x, Q.x, k, P is Q)
            squares, index = P.nearest(Q, k)
            np.testing.assert_array_equal(squares, expected)
            np.testing.assert_array_equal(index, order)
    for k in range(1, m):
        radii, (_, _, D2) = Y.nearest(Y, k)[0][:, -1], brute(x, y, 1)
        found = X.balls(Y, k)
        np.testing.assert_array_equal(found.closed, (radii >= D2).sum(1))
        np.testing.assert_array_equal(found.open, (radii > D2).sum(1))


@pytest.mark.parametrize("n", [31, 32, 33, 63, 64, 65])
def test_neighbours_are_not_lost_at_the_edges_of_what_is_looked_at_together(rng, n):
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((n, 3))
    for k in (1, 2, 31, n):
        expected, order, _ = brute(x, y, k)
        squares, index = Points(x).nearest(Points(y), k)
        np.testing.assert_array_equal(index, order)
        np.testing.assert_allclose(squares, expected, rtol=1e-14)
    Y = Points(y)
    np.testing.assert_array_equal(Y.nearest(Y, n - 1)[1], brute(y, y, n - 1, own=True)[1])


# Whatever has been asked of two sets, in any order, the answers stay.
QUESTIONS = {
    "nearest": lambda X, Y: X.nearest(Y, 1),
    "two nearest": lambda X, Y: X.nearest(Y, 2),
    "six nearest": lambda X, Y: X.nearest(Y, 6),
    "own three": lambda X, Y: Y.nearest(Y, 3),
    "own seven": lambda X, Y: Y.nearest(Y, 7),
    "balls of 3": lambda X, Y: (X.balls(Y, 3).closed, X.balls(Y, 3).open),
    "balls of 4": lambda X, Y: (X.balls(Y, 4).closed, X.balls(Y, 4).open),
    "balls about the others": lambda X, Y: (Y.balls(X, 5).closed, Y.balls(X, 5).open),
}


def test_the_order_of_questions_changes_no_answer(rng):
    x, y = rng.integers(0, 4, (30, 3)) * 0.1, rng.integers(0, 4, (24, 3)) * 0.1
    expected = {name: ask(Points(x), Points(y)) for name, ask in QUESTIONS.items()}
    for order in [*itertools.permutations(QUESTIONS, 2), [*QUESTIONS], [*QUESTIONS][::-1]]:
        X, Y = Points(x), Points(y)
        for name in order:
            for found, known in zip(QUESTIONS[name](X, Y), expected[name], strict=True):
                np.testing.assert_array_equal(found, known, err_msg=f"{name} in {order}")


@pytest.mark.parametrize("levels", [2, 1000])
@pytest.mark.parametrize("rows", ["in order", "backwards", "mixed", "one of many pairs"])
def test_pairs_come_in_the_order_of_rows_then_distances_then_places(rng, rows, levels):
    i = np.sort(rng.integers(0, 40, 300))
    i = {"in order": i, "backwards": i[::-1], "mixed": rng.permutation(i), "one of many pairs": i * (i > 30)}[rows]
    j, d2 = rng.permutation(300), rng.integers(0, levels, 300) / 7
    expected = np.lexsort((j, d2, i))
    np.testing.assert_array_equal(neighbours.in_order(i, d2, j), expected)
    np.testing.assert_array_equal(neighbours.in_order(i[expected], d2[expected], j[expected]), np.arange(300))


@pytest.mark.parametrize("p", [0, 1, 3, 4, 5, 17])
@pytest.mark.parametrize("threads", [1, 3])
def test_distances_of_pairs_do_not_depend_on_chunks_and_threads(rng, monkeypatch, p, threads):
    monkeypatch.setattr(neighbours.torch, "get_num_threads", lambda: threads)
    x, y = rng.standard_normal((6, 5)).astype(np.float32), rng.standard_normal((7, 5)) + 1e8
    i, j = rng.integers(0, 6, p), rng.integers(0, 7, p)
    expected = ((x[i].astype(np.float64) - y[j]) ** 2).sum(1)
    for chunk in (1, 5, 10, 1000):
        np.testing.assert_allclose(neighbours.squared_distance(x, y, i, j, chunk), expected, rtol=1e-15)


def test_rows_know_their_copies():
    x = np.array([[1.0, 0], [2, 0], [1, -0.0], [3, 0], [2, 0], [1, 0]])
    rows = Rows(x)
    assert rows.index.tolist() == [0, 1, 0, 2, 1, 0]
    assert (rows.count.tolist(), rows.first.tolist()) == ([3, 2, 1], [0, 1, 3])
    assert rows.members(2).tolist() == [[0, 2], [1, 4], [3, -1]]
    assert not Rows(x[1:4]).has_copies
    assert neighbours.row_keys(x[:1].reshape(1, 1, 2)) == neighbours.row_keys(x[:1])
    with pytest.raises(ValueError, match="n >= 1"):
        Rows(x[:0])


def test_a_shuffle_goes_by_contents_alone(rng):
    x = rng.standard_normal((50, 2))
    order = rng.permutation(50)
    for seed in (0, 1):
        places, other = Points(x).shuffled(seed), Points(x[order]).shuffled(seed)
        np.testing.assert_array_equal(np.sort(places), np.arange(50))
        np.testing.assert_array_equal(x[places], x[order][other])
    assert not np.array_equal(Points(x).shuffled(0), Points(x).shuffled(1))
    assert not np.array_equal(Points(x).shuffled(0), np.arange(50))


def test_a_set_does_not_meet_itself():
    x = Points(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="does not meet itself"):
        x.meet(x)


@pytest.mark.parametrize("tile", [(16, 16), (17, 64)])
@pytest.mark.parametrize(("n", "m", "d"), [(100, 130, 5), (16, 33, 300), (300, 95, 9)])
def test_sets_too_large_to_be_kept_have_the_same_bits(rng, n, m, d, tile, monkeypatch):
    """Strips of rows meet a tile that is made anew, and every pair is still met once, in the same order."""
    x, y = rng.standard_normal((n, d)).astype(np.float32), rng.standard_normal((m, d)).astype(np.float32)

    def everything():
        X, Y = Points(x, tile=tile), Points(y, tile=tile)
        tables = [*X.nearest(X, 3), *Y.nearest(Y, 3), *Y.nearest(X), X.balls(Y, 3).closed, Y.balls(X, 3).open]
        inside = X.inside(X, X.nearest(X, 3)[0][:, -1], 3).closed
        return [*tables, inside, X.kernel_sums(Y, Cubic()), X.kernel_sums(X, Gaussian(2.0))]

    usual = everything()
    monkeypatch.setattr(neighbours, "KEPT", 0)
    monkeypatch.setattr(kernels, "KEPT", 0)
    for kept, large in zip(usual, everything(), strict=True):
        np.testing.assert_array_equal(large, kept)


def test_a_half_copies_no_rows_until_they_are_asked_for(rng):
    x, y = Points(rng.standard_normal((40, 300))), Points(rng.standard_normal((50, 300)))
    x.kernel_sums(y, Cubic())
    x.kernel_sums(x, Cubic())
    for places, half in x.halves:
        assert isinstance(half.set, kernels.Picked)
        assert (len(half), half.d) == (20, 300)
        np.testing.assert_array_equal(half.x, x.x[places])


@pytest.mark.parametrize("a", SETS)
def test_what_pieces_look_up_is_what_they_would_have_computed(rng, a):
    """The same bits and places, ties and copies included; and what is asked from the other side."""
    x, y = (Points(SETS[a](rng, n).astype(np.float32)) for n in (60, 90))
    for _ in range(2):
        i, j = rng.permutation(60)[:25], rng.permutation(90)[:40]
        pieces, parts = ((x.piece(i), y.piece(j)), (x.part(i), y.part(j)))
        assert pieces[0]._squares(pieces[1]) is not None
        for k in (1, 3, 7):
            found = []
            for p, q in (pieces, parts):
                radii = q.nearest(q, k)[0][:, -1]
                counts = [p.balls(q, k), q.balls(p, k), p.inside(q, radii, k), q.inside(q, radii, k)]
                tables = [*p.nearest(q, k), *q.nearest(p, k), *q.nearest(q, k)]
                found.append([*tables, *(c for count in counts for c in (count.closed, count.open))])
            for one, other in zip(*found, strict=True):
                np.testing.assert_array_equal(one, other)
        with pytest.raises(ValueError, match="40 neighbours cannot be found among 39 rows"):
            pieces[1].nearest(pieces[1], 40)


def test_pieces_of_large_sets_look_nothing_up(rng, monkeypatch):
    monkeypatch.setattr(points, "SMALL", 60 * 90 - 1)
    x, y = Points(rng.standard_normal((60, 3))), Points(rng.standard_normal((90, 3)))
    p, q = x.piece(np.arange(25)), y.piece(np.arange(40))
    assert p._squares(q) is None
    assert q._squares(y) is None
