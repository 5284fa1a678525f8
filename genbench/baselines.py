"""The baselines, as a package of genbench's own: in a clone they stand in the repository's top folder `baselines/`.

A wheel has them in the package itself, where `genbench/baselines/` comes before this file. Nothing is installed
under the top-level name `baselines`, which many research repositories have a folder of.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[1] / "baselines")]
