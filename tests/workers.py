"""What tests run in processes of their own: a new process finds a function only where it can be imported from."""

import numpy as np

from genbench.studies.profiling import timer


def hold(megabytes: int) -> int | None:
    """What `first_run` says of an array that is filled and dropped, after a larger one was."""
    np.ones(2 * megabytes * 2**17)
    return timer.first_run(lambda: np.ones(megabytes * 2**17), "cpu", 1)[1]
