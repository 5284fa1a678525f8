"""Processor time of `genbench evaluate` in one process and in a process for each model, in turns (Linux):

    OMP_NUM_THREADS=1 python tests/benchmarks/processor.py ROUNDS [argument of evaluate ...]

Seconds of all processes together, the server that workers are forked from too: they mean something also on a machine
that others use, where those of the clock do not.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

from genbench.run.process import adopt

METHODS = ("none", "forkserver")


def used() -> float:
    """Processor seconds of all processes that have ended below this one."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def measured(method: str, arguments: list[str]) -> tuple[float, float]:
    """Seconds of processors and of the clock of one call into a fresh folder."""
    before, started = used(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "genbench", "evaluate", *arguments, "-o", folder, "--start-method", method]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        seconds = time.monotonic() - started
        while True:  # the server outlives the command for a moment
            try:
                os.wait()
            except ChildProcessError:
                return used() - before, seconds


if __name__ == "__main__":
    adopt()  # what the command leaves
    for turn in range(int(sys.argv[1])):
        for method in METHODS[:: 1 - 2 * (turn % 2)]:
            processor, clock = measured(method, sys.argv[2:])
            print(f"{method:10}  {processor:7.2f} s of processors  {clock:7.2f} s", flush=True)
