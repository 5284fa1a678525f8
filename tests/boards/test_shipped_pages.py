"""The published boards: made from the shipped checkpoints, and sane."""

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from genbench import datasets
from genbench.boards.columns import boards
from genbench.boards.markdown import WIDTH
from genbench.catalog import HERE, entries
from genbench.cli import shipped
from genbench.files import sha256_file
from genbench.run.records import open_run, read_runs

BOARDS = HERE.parent / "leaderboards"
PAGES = sorted(path.parent.name for path in BOARDS.glob("*/manifest.json"))
pytestmark = pytest.mark.skipif(not BOARDS.is_dir(), reason="installed without the repository's leaderboards")


@pytest.fixture(scope="module")
def digits():
    return read_runs([BOARDS / "digits"])


def values(records, metric):
    return {r.model["name"]: r.value for r in records if r.metric["name"] == metric and r.status == "ok"}


SOME = {"latents", "modes", "representation", "uses"}  # boards with a question to some models only


@pytest.mark.parametrize("name", PAGES)
def test_a_board_shows_the_checkpoints_that_ship(name):
    records = read_runs([BOARDS / name])
    members = [row["seeds"]["members"] for row in open_run(BOARDS / name).rows().values() if row.get("seeds")]
    others = {key for keys in members for key in keys[1:]}  # of a row of several training seeds the first ships
    measured = {
        r.model["sha256"] for r in records if r.model["adapter"] == "checkpoint" and r.model["key"] not in others
    }
    of_its_data = {path for data in {r.dataset["name"] for r in records} for path in shipped(data)}
    ship = {sha256_file(path) for path in map(type(HERE), of_its_data)}
    assert measured <= ship if name in SOME else measured == ship
    assert {r.status for r in records} <= {"ok", "skipped"}


def test_every_page_is_what_its_records_say(cli):
    """Byte for byte: the order of its columns and rows, every number and every footnote; and the index."""
    code, _, err = cli("leaderboard", "--all", "--check", BOARDS)
    assert code == 0, err
    assert len(PAGES) >= 4


@pytest.mark.parametrize("name", [*PAGES, "README"])
def test_no_table_of_a_page_is_wider_than_github_shows(name):
    """In visible characters: no links, no tags, no pictures."""
    page = MarkdownIt("commonmark").enable("table").render((BOARDS / f"{name}.md").read_text(encoding="utf-8"))
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    assert tables
    for table in tables:
        lines = [re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("</tr>")]
        cells = [[unescape(re.sub("<[^>]*>", "", cell)) for cell in line] for line in lines if line]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        assert sum(widths) + 3 * (len(widths) - 1) + 4 <= WIDTH


@pytest.mark.parametrize("name", PAGES)
def test_a_board_is_packed(name):
    assert not (BOARDS / name / "cells").exists(), f"genbench publish leaderboards/{name} -o leaderboards/{name}"


@pytest.mark.parametrize("name", ["digits", "patches", "ring8"])
def test_a_board_was_measured_on_the_data_as_they_are(name):
    data = datasets.load(name)
    assert {r.dataset["sha256"] for r in read_runs([BOARDS / name])} == {data.sha256}


def test_the_models_have_learnt(digits):
    nll = values(digits, "nll")
    assert nll["gated-pixelcnn"] < nll["vae"]
    for name in ("gated-pixelcnn", "vae"):
        assert nll[name] < nll["independent-pixels"] - 0.3


def test_memorisation_flags_the_resampler_and_nothing_else(digits):
    flagged = {(r.model["name"], r.metric["name"]) for r in digits if r.details.get("flagged")}
    assert flagged == {("resampler", "memorisation[pixels]"), ("resampler", "memorisation[digits-cnn]")}
    assert values(digits, "copies")["resampler"] == 1.0


def test_copying_metrics_tell_the_resampler_from_models():
    found = read_runs([BOARDS / "digits"])
    for metric, sign in (("authenticity[digits-cnn]", -1), ("data-copying[digits-cnn]", -1)):
        of = {name: sign * value for name, value in values(found, metric).items()}
        assert of.pop("resampler") > max(of.values())
    near = values(found, "near-duplicates[digits-cnn]")
    assert near.pop("resampler") == 1.0
    assert max(near.values()) < 0.05


def test_real_images_stand_on_top(digits):
    board = boards(digits, "fd")[0]
    assert board.models[0] == "real test data"
    fd = values(digits, "fd[digits-cnn]")
    assert fd["real test data"] < fd["independent-pixels"] / 10


def test_every_number_says_what_it_is(digits):
    for record in digits:
        if record.status == "ok":
            assert record.kind in ("exact", "upper_bound", "lower_bound", "estimate")
            assert record.ci95 is not None or record.ci_method.startswith("none")
            assert record.metric["unit"]


@pytest.mark.parametrize("name", PAGES)
def test_a_board_was_measured_by_the_cards_as_they_are(name):
    """A side, unit or title that changes on a card changes what the published numbers mean."""
    cards = {
        output.replace("_", "-"): card | {"version": entry.constants["VERSION"]}
        for entry in entries("metrics").values()
        for output, card in entry.constants["OUTPUTS"].items()
    }
    for record in read_runs([BOARDS / name]):
        card = cards[record.metric["name"].partition("[")[0]]
        unit = card["unit"].replace("/dim", f"/{record.dataset['per']}")
        said = {field: record.metric[field] for field in ("direction", "unit", "title", "version")}
        assert said == {field: card[field] for field in ("direction", "title", "version")} | {"unit": unit}
