"""Artifacts: what metrics need of a model and of the data, each declared once.

    model -> samples, log-likelihoods -> features

`data`, `samples`, `representation`, `translation`, `likelihoods` and `timings` hold the declarations. One says what an
artifact asks (the data, the model's samples, or the model), which fields of the protocol decide it, and whether the
extractor does; the function under it makes it (`declaration`). A metric names its needs, and each is made once for all
metrics of a model (`making`); what takes long is kept in the run, block by block (`context`). Plans, identities and
audits are derived from the declarations: a new artifact is one function in one of those files.
"""

from __future__ import annotations

from importlib import import_module

from genbench.run.artifacts.declaration import Artifact

FILES = ("data", "samples", "representation", "translation", "likelihoods", "timings")  # in the order of lists
ARTIFACTS: dict[str, Artifact] = {
    name: found
    for file in FILES
    for name, found in vars(import_module(f"{__name__}.{file}")).items()
    if isinstance(found, Artifact)
}
