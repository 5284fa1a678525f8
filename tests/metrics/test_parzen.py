"""The Parzen window as a metric; the window itself is in `likelihood`."""

import numpy as np
import pytest

from genbench.likelihood import parzen as window
from genbench.metrics import parzen


def test_it_is_the_mean_log_density_of_test_data_with_all_its_warnings():
    rng = np.random.default_rng(0)
    samples, validation, test = (rng.standard_normal((n, 2)) for n in (40, 30, 20))
    found = window.parzen(samples, validation, test)
    m = parzen.compute(samples, validation, test)["parzen"]
    assert m.value == pytest.approx(found.values.mean(), rel=1e-14)
    assert m.stderr == pytest.approx(found.values.std(ddof=1) / 20**0.5, rel=1e-14)
    assert m.details == {"bandwidth": found.bandwidth, "n_samples": 40, "n": 20}
    assert m.warnings == found.warnings == (window.WARNING,)
    # All at one place: the narrowest window of the grid is the best.
    edge = parzen.compute(np.zeros((5, 2)), np.zeros((5, 2)), test)["parzen"]
    assert len(edge.warnings) == 2
