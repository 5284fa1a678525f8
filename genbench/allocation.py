"""Memory that is freed is kept for what is asked next."""

from __future__ import annotations

import contextlib
import ctypes

KEPT = 1 << 28  # bytes: of one array, and of what is free at the end of the heap
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep() -> None:
    """Has the C library, where it is glibc, keep freed memory instead of giving each large array back to the system.

    A network asks for the same large arrays again and again. To have the system hand out each of them anew, page by
    page, takes a third of the time of a small convolutional network on a CPU. No value depends on it.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)
