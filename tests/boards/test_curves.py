"""Sweeps over a sampling argument: what is swept, what stays a comma, and the curve that the rows make."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from genbench import catalog, datasets
from genbench.boards.columns import boards
from genbench.boards.curves import curves, plot, table
from genbench.boards.seeds import shown_rows
from genbench.errors import GenbenchError
from genbench.models.adapters import parse_all
from genbench.query import arguments, sweep
from genbench.run.records import open_run

# A model that shrinks training images to the means of their classes, by 1 + w: w = 0 draws the data themselves, and
# between Gaussians of one mean with covariances S and S / (1 + w)^2 the Fréchet distance is (w / (1 + w))^2 tr S.
GUIDED = """
import torch
from torch import nn
from genbench import Space, load_dataset

class Guided(nn.Module):
    space = Space((1, 8, 8), levels=17)
    n_classes = 10

    def __init__(self, guidance=0.0, steps=10):
        super().__init__()
        self.guidance, self.steps = guidance, steps
        digits = load_dataset("digits")
        self.register_buffer("x", torch.tensor(digits.train).flatten(1).float())
        self.register_buffer("y", torch.tensor(digits.labels["train"]))

    def sample(self, n, generator, labels=None):
        if labels is None:
            labels = torch.randint(10, (n,), generator=generator)
        found = torch.zeros(n, 64)
        for c in range(10):
            own = self.x[self.y == c]
            rows = own[torch.randint(len(own), (n,), generator=generator)]
            shrunk = own.mean(0) + (rows - own.mean(0)) / (1 + self.guidance)
            found[labels == c] = shrunk[labels == c]
        return found.round().long().reshape(n, 1, 8, 8)
"""


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ("", [("", "")]),
        ("a=1", [("", "a=1")]),
        ("a=1,2.5,-3e-1", [("a=1", "a=1"), ("a=2.5", "a=2.5"), ("a=-0.3", "a=-3e-1")]),
        ("a=1,1,2", [("a=1", "a=1"), ("a=2", "a=2")]),
        ("b=x&a=True,None", [("a=True", "b=x&a=True"), ("a=None", "b=x&a=None")]),
        ("a=1,2&b=3,4", [(f"a={a} b={b}", f"a={a}&b={b}") for a in (1, 2) for b in (3, 4)]),
        ("a=%31,2", [("", "a=%31,2")]),  # written otherwise, it is text
        # what stays a comma
        ("a=x,y", [("", "a=x,y")]),
        ("a=1, two", [("", "a=1, two")]),
        ("a=(1,2)", [("", "a=(1,2)")]),
        ("a=[1,2]", [("", "a=[1,2]")]),
        ("a='1,2'", [("", "a='1,2'")]),
        ("a=1%2C2", [("", "a=1%2C2")]),
        ("a=1,", [("", "a=1,")]),
        ("a=,", [("", "a=,")]),
    ],
)
def test_numbers_with_commas_are_swept_and_nothing_else(query, points):
    assert sweep(query) == points


def test_values_that_are_not_swept_mean_what_they_say():
    query = "a=x,y&b=(1,2)&c=[1,2]&d='1,2'&e=1%2C2"
    assert arguments(query, query) == {"a": "x,y", "b": (1, 2), "c": [1, 2], "d": "1,2", "e": (1, 2)}


def test_what_lies_at_a_path_with_a_comma_is_that_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1,2").write_text("weights")
    assert sweep("a=1,2") == [("", "a=1,2")]
    assert arguments("a=1,2", "") == {"a": "1,2"}
    (tmp_path / "m,1.py").write_text(GUIDED)
    found = parse_all("m,1.py:Guided?guidance=3,4", datasets.load("digits"))
    assert [source.what for source in found] == ["m,1.py:Guided"] * 2


def test_too_many_points_are_refused():
    with pytest.raises(GenbenchError, match="more than 100 points"):
        sweep("a=" + ",".join(map(str, range(101))))
    with pytest.raises(GenbenchError, match="more than 100 points"):
        sweep("&".join(f"{c}=0,1" for c in "abcdefgh"))


def test_every_value_is_a_row_with_an_identity_of_its_own(digits):
    path = catalog.BASELINES / "checkpoints/digits/lstm.safetensors"
    found = parse_all(f"mine={path}?temperature=0.70,1,1.4", digits)
    assert [source.name for source in found] == [f"mine temperature={t}" for t in (0.7, 1, 1.4)]
    assert [source.args for source in found] == [{"temperature": t} for t in (0.7, 1, 1.4)]
    assert len({source.key for source in found}) == 3
    (alone,) = parse_all(f"{path}?temperature=1", digits)
    assert (alone.name, alone.key) == ("lstm", found[1].key)  # measured once, whether swept or not


def test_seeds_of_a_sweep_are_a_row_for_each_value(digits, tmp_path, pixels_checkpoint):
    with safe_open(pixels_checkpoint, "pt") as file:
        card, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for seed in (0, 1):
        save_file({name: w + seed for name, w in weights.items()}, tmp_path / f"s{seed}.safetensors", card)
    found = parse_all(f"p={tmp_path}/*.safetensors?a=1,2", digits)
    assert [(s.name, s.row) for s in found] == [(f"p/s{i} a={a}", f"p a={a}") for a in (1, 2) for i in (0, 1)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A run of a guided model at four strengths, measured by one command."""
    from genbench.cli import main

    folder = tmp_path_factory.mktemp("swept")
    (folder / "guided.py").write_text(GUIDED)
    line = ["evaluate", f"g={folder / 'guided.py'}:Guided?guidance=8,0,1,30"]
    metrics = "fd[pixels],precision[pixels],recall[pixels],fd-per-class[pixels]"
    assert main([*line, "--metrics", metrics, "--samples", "100", "-o", str(folder / "run")]) == 0
    return folder / "run"


def found_in(run):
    (b,) = boards(shown_rows([open_run(run)]))
    return b, curves(b)


def test_the_rows_of_a_sweep_are_a_curve_in_the_order_of_the_argument(swept):
    b, (curve,) = found_in(swept)
    assert (curve.name, curve.argument, curve.values) == ("g", "guidance", (0, 1, 8, 30))
    assert curve.models == tuple(f"g guidance={w}" for w in (0, 1, 8, 30))
    text = table(b, curve, 200)
    rows = [line for line in text.splitlines() if line.partition(" ")[0] in ("0", "1", "8", "30")]
    assert [row.split()[0] for row in rows] == ["0", "1", "8", "30"]
    for row, model in zip(rows, curve.models, strict=True):
        shown = [float(number.replace(",", "")) for number in re.findall(r"~ ([\d.,]+)", row)]
        values = [column.records[model].value for column in b.columns]
        np.testing.assert_allclose(shown, values, rtol=0.06, atol=0.06)  # two digits of a spread are shown


def test_guidance_takes_diversity_in_every_class(swept):
    """The distance grows as (w / (1 + w))^2, and recall falls; at w = 0 samples are training images.

    Of a class there are 10 samples, which bias its distance by their spread: from w = 1 on it is small.
    """
    b, (curve,) = found_in(swept)
    by_name = {c.metric: [c.records[m].value for m in curve.models] for c in b.columns}
    assert np.all(np.diff(by_name["fd"]) > 0)
    assert np.all(np.diff(by_name["fd-per-class"][1:]) > 0)
    assert np.all(np.diff(by_name["recall"]) <= 0)
    assert by_name["recall"][0] > 0.8 > 0.3 > by_name["recall"][-1]
    assert by_name["precision"][0] > 0.9
    column = next(c for c in b.columns if c.metric == "fd-per-class")
    assert {len(column.records[m].details["classes"]) for m in curve.models} == {10}


def test_the_plot_names_axes_units_and_intervals(swept):
    b, (curve,) = found_in(swept)
    svg = (swept / "pictures" / curve.file).read_bytes()
    assert svg == plot(b, curve)  # the same records, the same picture
    words = " ".join("".join(t.itertext()) for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))
    for said in ("recall[pixels]", "precision[pixels]", "share, higher is better", "squared feature distance, lower"):
        assert said in words
    for value in ("guidance", "0", "1", "8", "30"):
        assert value in words.split()
    # a bar for each interval: two at every point of the curve, one at every distance
    intervals = sum(c.records[m].ci95 is not None for c in b.columns[:3] for m in curve.models)
    assert intervals == 12
    assert svg.count(b'id="LineCollection_') == intervals


def test_a_second_call_measures_nothing_and_shows_the_same_curve(swept, cli):
    line = ["evaluate", f"g={swept.parent / 'guided.py'}:Guided?guidance=8,0,1,30", "--samples", 100, "-o", swept]
    code, out, err = cli(*line, "--metrics", "fd[pixels],precision[pixels],recall[pixels],fd-per-class[pixels]")
    assert code == 0
    assert "nothing to measure" in err
    assert "# g: guidance" in out
    code, out, _ = cli(*line, "--metrics", "fd[pixels]", "--json")
    assert "# g" not in out
    json.loads(out)


def test_two_arguments_make_a_curve_for_each_value_of_the_other(tmp_path, cli):
    (tmp_path / "guided.py").write_text(GUIDED)
    code, out, _ = cli(
        "evaluate", "guided.py:Guided?guidance=0,4&steps=5,10", "--metrics", "fd[pixels]", "--samples", 50
    )
    assert code == 0
    titles = [line[2:] for line in out.splitlines() if line.startswith("# ")]
    assert sorted(titles[1:]) == sorted(
        [f"Guided steps={s}: guidance" for s in (5, 10)] + [f"Guided guidance={w}: steps" for w in (0, 4)]
    )


def test_rows_that_only_look_alike_are_no_curve(digits, tmp_path, cli):
    """A name that a user wrote is no argument, and one value is no curve."""
    np.save(tmp_path / "a.npy", digits.test[:50])
    np.save(tmp_path / "b.npy", digits.train[:50])
    rows = ["m guidance=1=samples:a.npy", "m guidance=2=samples:b.npy"]
    code, out, _ = cli("evaluate", *rows, "--metrics", "fd[pixels]", "--samples", 50)
    assert code == 0
    assert sum(line.startswith("# ") for line in out.splitlines()) == 1
