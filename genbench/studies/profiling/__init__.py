"""Profiling: what each kernel costs, beside its peers and beside what the machine can do.

    kernel (inputs, work, true value) -> measured rows -> table, fit of the cost, comparison of two profiles

`kernel.py` says what a kernel is; `features.py` and `models.py` define those there are; `measure.py` runs one way
of one kernel in a fresh process with the clock of `timer.py`; `machine.py` measures the ceilings on the spot.
`phases.py` says where the time of a whole run went, which its records keep.
"""
