"""Wall-clock timing of sampling, with the device's queue drained on both sides of the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from genbench.models.capabilities import Sampler
from genbench.models.sampling import seeded


@dataclass(frozen=True)
class Timings:
    """Seconds of every repeat, after warm-up.

    Arguments:
        block_s: `[r]`, for `block_size` samples at once.
        single_s: `[r]`, for one sample.
        device: its name; threads: of the CPU.
    """

    block_s: np.ndarray
    single_s: np.ndarray
    block_size: int
    device: str
    threads: int


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@torch.no_grad()
def time_sampling(model: Sampler, block_size: int, device: torch.device, repeats: int = 6) -> Timings:
    """Times `model.sample`, `repeats` times for a block and for one, after one warm-up of each."""

    def seconds(n: int) -> np.ndarray:
        times = []
        for i in range(repeats + 1):
            generator = seeded("timing", n, i, device=device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            started = time.perf_counter()
            model.sample(n, generator)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
        return np.array(times[1:])

    return Timings(seconds(block_size), seconds(1), block_size, device_name(device), torch.get_num_threads())
