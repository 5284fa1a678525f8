"""What the tests of boards share: records as evaluate writes them."""

import functools

import pytest

from genbench import catalog
from genbench.run.records import Record

SPACE = {"shape": [1, 8, 8], "levels": 17}


def made(model="a", metric="nll", value=1.0, half=0.02, kind="exact", card=None, family="flow", **changes) -> Record:
    """A record of `metric`, whose 95 % interval is value +- half; `card` changes its metric, `changes` its fields."""
    parts = dict(
        cell_id=f"{model}-{metric}",
        run_id="run",
        status="ok",
        model={"name": model, "family": family, "parameters": 1234},
        dataset={"name": "digits", "split": "test", "sha256": "f" * 64, "n": 500, "space": SPACE},
        metric={"name": metric, "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}, **(card or {})},
        protocol={"seed": 0},
        value=value,
        kind=kind,
        ci95=None if value is None else (value - half, value + half),
        env={"device": "cpu", "threads": 2},
        ended="2026-01-01",
    )
    return Record(**{**parts, **changes})


@pytest.fixture(scope="session")
def record():
    """The function that makes a record."""
    return made


@pytest.fixture(scope="session")
def missing():
    """The function that makes a record of a cell without a value."""

    def make(model="a", metric="nll", status="skipped", why="needs log_prob", kind="Unavailable", **changes) -> Record:
        error = {"type": kind, "message": why}
        return made(model, metric, None, kind=None, status=status, error=error, **changes)

    return make


@pytest.fixture(scope="session", autouse=True)
def sources_parsed_once():
    """Every board reads the cards of all metrics; here, their sources do not change in between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "literals", functools.cache(catalog.literals))
        yield
