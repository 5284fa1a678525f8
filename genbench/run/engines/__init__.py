"""Engines run parts of a plan on other machines: a file each, see `genbench/run/elsewhere.py`."""
