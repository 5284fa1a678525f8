"""genbench: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records -> leaderboard."""

# ruff: noqa: F401 - the imports below are for type checkers, which run no `__getattr__`
from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from genbench.api import evaluate
    from genbench.datasets import Dataset
    from genbench.datasets import load as load_dataset
    from genbench.errors import GenbenchError
    from genbench.features import Extractor
    from genbench.likelihood import LogLikelihood, log_likelihood
    from genbench.metrics import Measure
    from genbench.models.checkpoint import load as load_checkpoint
    from genbench.models.checkpoint import save as save_checkpoint
    from genbench.models.sampling import draw
    from genbench.models.training import Objective, Preset, Stage
    from genbench.run.protocol import Protocol, Suite
    from genbench.run.records import Record, Run
    from genbench.space import Space

__version__ = "0.1.0"

# Where the public names live. They are imported when they are asked for: torch takes seconds.
_HOMES = {
    "Dataset": "genbench.datasets",
    "Extractor": "genbench.features",
    "GenbenchError": "genbench.errors",
    "LogLikelihood": "genbench.likelihood",
    "Measure": "genbench.metrics",
    "Objective": "genbench.models.training",
    "Preset": "genbench.models.training",
    "Protocol": "genbench.run.protocol",
    "Record": "genbench.run.records",
    "Run": "genbench.run.records",
    "Space": "genbench.space",
    "Stage": "genbench.models.training",
    "Suite": "genbench.run.protocol",
    "draw": "genbench.models.sampling",
    "evaluate": "genbench.api",
    "load_checkpoint": "genbench.models.checkpoint:load",
    "load_dataset": "genbench.datasets:load",
    "log_likelihood": "genbench.likelihood",
    "save_checkpoint": "genbench.models.checkpoint:save",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> _Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genbench' has no attribute '{name}'")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(_import_module(module), attribute or name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
