"""`genbench describe`: one member of the catalog, a checkpoint's card, or what data hold."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from genbench import catalog
from genbench.cli.arguments import Parser

SUMMARY = "one member of the catalog, or a checkpoint's card"


def add_arguments(p: Parser) -> None:
    p.add_argument("name", help="a member of the catalog, FILE.safetensors, or data at a path")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")


def run(args: argparse.Namespace) -> int:
    if args.name.endswith(".safetensors"):
        from genbench.models.checkpoint import read_card

        print(json.dumps(json.loads(read_card(Path(args.name)).to_json()), indent=1))
        return 0
    name = args.name.replace("_", "-")
    found = [members[name] for kind in catalog.KINDS if name in (members := catalog.entries(kind))]
    if found:
        for i, entry in enumerate(found):  # a dataset and its suite share a name
            print("\n" * (i > 0), end="")
            describe_entry(entry, args)
    elif is_data(args.name):
        describe_data(args.name, args.data_root)
    else:
        raise catalog.absent("name", args.name, {name for kind in catalog.KINDS for name in catalog.names(kind)})
    return 0


def is_data(name: str) -> bool:
    from genbench.datasets import is_path

    return is_path(name)


def describe_entry(entry: catalog.Entry, args: argparse.Namespace) -> None:
    """One member of the catalog: what its file says, and of a dataset what it holds."""
    print(f"{entry.kind[:-1]} {entry.name} ({entry.origin})\n")
    if entry.kind == "suites":
        assert entry.path is not None
        print(entry.path.read_text(encoding="utf-8"))
        return
    print(entry.constants.get("__doc__", ""))
    if entry.kind == "baselines":
        print(f"\nfamily: {entry.family}")
    for constant in ("VERSION", "NEEDS", "OUTPUTS", "REFERENCE"):
        if constant in entry.constants:
            print(f"\n{constant.lower()}: {entry.constants[constant]}")
    if entry.kind == "metrics" and entry.parameters:
        print(f"\nparameters: {entry.parameters}")
    if entry.kind == "baselines":
        print(f"\noptions: {catalog.options_of(entry.name)}")
        for dataset, preset in getattr(catalog.load("baselines", entry.name), "PRESETS", {}).items():
            print(f"preset {dataset}: {preset}")
    if entry.kind == "datasets":
        print()
        describe_dataset(entry, args.data_root)


def describe_dataset(entry: catalog.Entry, root: Path | None) -> None:
    """What a dataset of the catalog holds; of one that is not at hand what its file says: nothing is downloaded."""
    from genbench.cli.listing import download_in_words, said_of_data
    from genbench.datasets._download import Absent, kept_offline

    said = said_of_data(entry)
    size = said.pop("download")
    try:
        with kept_offline():
            describe_data(entry.name, root)
    except Absent as error:
        facts = {name: value or "not said" for name, value in said.items()}
        first = f"its first use downloads {download_in_words(size)}" if size else error.remedy
        facts["contents"] = f"not at hand: {first}"
        show(facts)
    else:
        if size:
            show({"download": download_in_words(size)})


def describe_data(name: str, root: Path | None) -> None:
    from genbench import datasets

    show(datasets.load(name, root).facts())


def show(facts: dict[str, str]) -> None:
    from tabulate import tabulate

    print(tabulate(list(facts.items()), tablefmt="plain", disable_numparse=True))
