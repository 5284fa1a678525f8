"""Memory that is freed is kept: counted in the pages that the system has to hand out anew."""

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from genbench import allocation
if sys.argv[1] == "kept":
    allocation.keep()
np.ones(1 << 23).sum()  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 23).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_large_arrays_take_the_pages_of_those_before():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, check=True).stdout)
        for how in ("kept", "given back")
    }
    assert faults["kept"] < 100
    assert faults["given back"] > 10 * faults["kept"]
