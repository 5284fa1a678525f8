"""Readers with faults, one of each kind that the fuzzer has to find, at one input of one seed."""

import os
import random
import time

import numpy as np

from fuzz.readers import Reader
from genbench.errors import GenbenchError

SEED, NUMBER = 5, 3


def fails(case):
    raise KeyError("planted")


def of_one_line(case):
    raise GenbenchError("planted", "")


READ = {
    "raises": fails,
    "one-line": of_one_line,
    "hangs": lambda case: time.sleep(100),
    "dies": lambda case: os._exit(0),
    "large": lambda case: np.ones(135_000_000).sum(),
}


def planted(name, read):
    faulty = random.Random(f"{name} {SEED} {NUMBER}").random()

    def prepare(folder):
        def either(case):
            if case == faulty:
                read(case)
            elif case < 0.5:
                raise GenbenchError("a small number", "Give a larger one.")

        return lambda rng: rng.random(), either

    return Reader(prepare)


READERS = {name: planted(name, read) for name, read in READ.items()}
