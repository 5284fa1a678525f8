import math

import numpy as np
import pytest
import torch

from genbench.numerics.ode import ERROR, NODES, ROWS, solve


def logistic(rates):
    """y' = r y (1 - y): every example at its own rate. What f sees of an example is told by `index`."""

    def f(t, y, index):
        return rates[index, None] * y * (1 - y)

    return f


def closed(y, rates, t):
    return y / (y + (1 - y) * torch.exp(-rates * t)[:, None])


START = torch.full((4, 1), 0.01, dtype=torch.float64)
RATES = torch.tensor([0.1, 1.0, 10.0, 100.0], dtype=torch.float64)


def test_the_tableau_satisfies_the_conditions_of_its_order():
    c = np.array([0.0, *NODES])
    for node, row in zip(NODES, ROWS, strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-14)
    fifth = np.array([*ROWS[-1], 0.0])
    fourth = fifth - np.array(ERROR)
    for power in range(5):
        assert fifth @ c**power == pytest.approx(1 / (power + 1), abs=1e-14)
        if power < 4:
            assert fourth @ c**power == pytest.approx(1 / (power + 1), abs=1e-14)
    assert abs(fourth @ c**4 - 1 / 5) > 1e-5


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_the_error_is_of_the_order_of_the_tolerance(tolerance):
    """The flow contracts towards 1 in the end, but first it spreads: by d y(t)/d y(0), at most about 1/(4 y0) = 25."""
    found = solve(logistic(RATES), START, 0.0, 1.0, tolerance, tolerance)
    steps = found.evaluations.max() / 6
    error = (found.y - closed(START, RATES, 1.0)).abs().max()
    assert error < 25 * steps * 2 * tolerance


def test_every_example_has_its_own_steps_and_does_not_know_the_others():
    together = solve(logistic(RATES), START, 0.0, 1.0, 1e-6, 1e-6)
    assert together.evaluations.tolist() == sorted(set(together.evaluations.tolist()))  # ever more
    for i in range(4):
        alone = solve(logistic(RATES[i : i + 1]), START[:1], 0.0, 1.0, 1e-6, 1e-6)
        torch.testing.assert_close(alone.y[0], together.y[i], rtol=1e-13, atol=0)
        assert alone.evaluations[0] == together.evaluations[i]


def test_an_explicit_time_is_each_examples_own():
    """y' = cos t: sin t, whatever the steps."""
    found = solve(lambda t, y, index: torch.cos(t)[:, None].expand_as(y), START, 0.5, 3.0, 1e-8, 1e-8)
    torch.testing.assert_close(found.y, START + math.sin(3.0) - math.sin(0.5), atol=1e-7, rtol=0)


def test_an_example_that_cannot_be_solved_is_nan_and_harms_no_other():
    """y' = y^2 from 2 is infinite at t = 1/2; from 1/2 it is 1/(2 - t)."""
    start = torch.tensor([[0.5], [2.0], [torch.nan]], dtype=torch.float64)
    found = solve(lambda t, y, index: y**2, start, 0.0, 1.0, 1e-8, 1e-8)
    assert found.y[0].item() == pytest.approx(1.0, abs=1e-6)
    assert found.y[1:].isnan().all()
    assert found.evaluations[1] < 6000


def test_too_many_steps_are_given_up():
    found = solve(logistic(RATES), START, 0.0, 1.0, 1e-10, 1e-10, max_steps=20)
    assert found.y[-1].isnan()
    assert not found.y[0].isnan()


def test_a_start_at_rest_stays_there():
    found = solve(lambda t, y, index: 0 * y, 0 * START, 0.0, 1.0, 1e-6, 1e-6)
    assert (found.y == 0).all()
    assert (found.evaluations == 7).all()  # one step


def test_an_end_before_the_start_is_refused():
    with pytest.raises(ValueError, match="behind the start"):
        solve(logistic(RATES), START, 1.0, 0.0, 1e-6, 1e-6)
