"""Plugins: an installed distribution, a file, a scaffold; a broken one hurts nobody."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from genbench import catalog
from genbench.errors import GenbenchError


def write_distribution(folder, name: str, **members: tuple[str, str, str]) -> None:
    """One of a module for each member: by its name the group that it is in, the module and what that says."""
    points = [f'[project.entry-points."genbench.{at}"]\n{m} = "{module}"' for m, (at, module, _) in members.items()]
    (folder / "pyproject.toml").write_text(
        textwrap.dedent(
            f"""
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"
            [project]
            name = "{name}"
            version = "1.0"
            [tool.hatch.build.targets.wheel]
            include = {[f"{module}.py" for _, module, _ in members.values()]}
            """
        )
        + "\n".join(points)
    )
    for _, module, body in members.values():
        (folder / f"{module}.py").write_text(textwrap.dedent(body))


def install(source, target) -> None:
    """Builds a wheel and installs it into a folder of its own, without network."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(target), str(source)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def site(installed, monkeypatch):
    """The distribution is installed for this process too."""
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setenv("PYTHONPATH", str(installed))


def genbench(*arguments: str, path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "genbench.cli", *arguments]
    env = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=env, cwd=path)


COIN = '''
    """A coin for every pixel."""
    import torch
    from torch import nn

    FAMILY = "toy"

    class Coin(nn.Module):
        def __init__(self, space):
            super().__init__()
            self.space = space
            self.weight = nn.Parameter(torch.zeros(1))

        def sample(self, n, generator):
            return torch.randint(self.space.levels, (n, *self.space.shape), generator=generator)

        def loss(self, x, generator):
            return self.weight.square().sum()

    def build(space):
        if space.levels is None:
            raise ValueError("a coin has two sides")
        return Coin(space)
'''


COINS = '''
    """Coins: eight of them, of which neighbours fall alike."""
    import numpy as np
    from genbench import Dataset, Space

    LICENCE = "CC0; generated"
    SOURCE = "drawn by the package"
    DOWNLOAD = 1_500_000

    def load(root):
        x = np.repeat(np.random.default_rng(0).integers(2, size=(600, 4), dtype=np.uint8), 2, axis=1)
        y = {"train": x[:400, 0], "validation": x[400:500, 0], "test": x[500:, 0]}
        return Dataset("coins", Space((8,), 2), x[:400], x[400:500], x[500:], licence=LICENCE, source=SOURCE, labels=y)
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an installed distribution with a baseline and a dataset."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    members = {"coin": ("baselines", "coin_plugin", COIN), "coins": ("datasets", "coins_data", COINS)}
    write_distribution(source, "coins-and-all", **members)
    install(source, site)
    return site


def test_a_baseline_from_an_installed_distribution(installed, tmp_path):
    """In processes of their own, whose path it is on."""
    coin = str(tmp_path / "coin.safetensors")
    done = genbench("train", "coin", "--steps", "2", "-o", coin, path=installed)
    assert done.returncode == 0, done.stderr
    done = genbench("evaluate", coin, "--metrics", "copies", "--samples", "20", path=installed)
    assert done.returncode == 0, done.stderr
    assert re.search("^coin  .*  toy  ", done.stdout, re.M)


@pytest.mark.usefixtures("site")
def test_a_baseline_from_an_installed_distribution_is_listed_and_checked(cli):
    listed = json.loads(cli("list", "plugins", "--json")[1])
    assert {(e["name"], e["origin"]) for e in listed} == {("coin", "coins-and-all"), ("coins", "coins-and-all")}
    code, out, err = cli("check", "coin")
    assert code == 0, out + err


@pytest.mark.usefixtures("site")
def test_a_dataset_from_an_installed_distribution_works_as_in_the_catalog(cli, tmp_path):
    """It is listed and described with its licence, models are trained and measured on it, records say its hash."""
    listed = {e["name"]: e for e in json.loads(cli("list", "datasets", "--json")[1])}
    assert listed["coins"]["origin"] == "coins-and-all"
    assert (listed["coins"]["licence"], listed["coins"]["download"]) == ("CC0; generated", 1_500_000)
    line = next(x for x in cli("list", "datasets")[1].splitlines() if x.startswith("coins "))
    assert line.split()[1:4] == ["1.5", "MB", "CC0"]
    assert line.endswith("Coins: eight of them, of which neighbours fall alike.")
    shown = cli("describe", "coins")[1]
    for said in ("400 examples", "CC0; generated", "drawn by the package", "download  1.5 MB"):
        assert said in shown
    code, _, err = cli("train", "mixture", "--dataset", "coins", "--steps", "2", "-o", "m.safetensors")
    assert code == 0, err
    line = ["m.safetensors", "--dataset", "coins", "--metrics", "nll,copies", "--samples", "20", "-o", "run"]
    code, _, err = cli("evaluate", *line)
    assert code == 0, err
    records = [json.loads(path.read_text()) for path in (tmp_path / "run/cells").iterdir()]
    assert {r["dataset"]["name"] for r in records} == {"coins"}
    assert all(r["dataset"]["sha256"] in shown for r in records)
    assert "nothing to measure" in cli("evaluate", *line)[2]


BROKEN = '"""Broken."""\nraise RuntimeError("boom")\n'


def test_a_broken_distribution_is_named_and_hurts_nobody(cli, tmp_path, monkeypatch):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    write_distribution(source, "broken-plugin", coin=("baselines", "broken_plugin", BROKEN))
    install(source, site)
    monkeypatch.syspath_prepend(site)
    assert cli("list", "baselines")[0] == 0
    code, _, err = cli("train", "coin")
    assert code == 2
    assert "'coin' of broken-plugin cannot be imported: RuntimeError: boom" in err
    assert cli("train", "mixture", "--steps", "2", "-o", "m.safetensors")[0] == 0


def test_built_in_names_win_with_a_warning(tmp_path):
    path = tmp_path / "mixture.py"
    path.write_text(textwrap.dedent(COIN))
    catalog.use_plugin(str(path))
    with pytest.warns(UserWarning, match="is hidden by the one of genbench"):
        assert catalog.find("baselines", "mixture").origin == "genbench"


CLASS = '''
    """A die for every pixel, the same for all; its `build` is a class."""
    import torch
    from torch import nn

    class Die(nn.Module):
        def __init__(self, space, *, sides: int = 2, loaded=False):
            super().__init__()
            if space.levels is None or not 1 <= sides <= space.levels:
                raise ValueError("a die has no more sides than there are levels")
            self.space, self.sides = space, sides
            self.weight = nn.Parameter(torch.zeros(sides))

        def sample(self, n, generator):
            return torch.randint(self.sides, (n, *self.space.shape), generator=generator)

        def loss(self, x, generator):
            return self.weight.square().sum()

    build = Die
'''


def test_build_may_be_a_class(cli, tmp_path):
    (tmp_path / "die.py").write_text(textwrap.dedent(CLASS))
    code, out, err = cli("describe", "die", "--plugin", "die.py")
    assert code == 0, err
    assert "options: {'sides': 2, 'loaded': False}" in out
    code, out, _ = cli("check", "die.py")
    assert code == 0, out
    options = ("--plugin", "die.py", "--steps", "2", "-o", "die.safetensors")
    code, out, err = cli("train", "die", *options, "--set", "sides=6")
    assert code == 0, err
    assert "die.safetensors: 6 parameters" in out
    code, _, err = cli("train", "die", *options, "--set", "side=6")
    assert code == 2
    assert "Did you mean 'sides'?" in err
    code, _, err = cli("train", "die", *options, "--set", "sides=60")
    assert code == 2
    assert "a die has no more sides than there are levels" in err


def test_options_of_a_partial_are_those_of_its_class_with_its_own_defaults(tmp_path, monkeypatch):
    (tmp_path / "die.py").write_text(textwrap.dedent(CLASS))
    (tmp_path / "coin.py").write_text(
        "from functools import partial\nfrom die import Die\nbuild = partial(Die, sides=1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    catalog.use_plugin(str(tmp_path / "coin.py"))
    assert catalog.options_of("coin") == {"sides": 1, "loaded": False}


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def build(space): ...", "baselines"),
        ("class Model: ...\nbuild = Model", "baselines"),
        ("build: type = Model", "baselines"),
        ("build = models.Model", "baselines"),
        ("build = partial(Model, width=3)", "baselines"),
        ("load = partial(gaussian_mixture, sd=1)", "datasets"),
        ("build = 3", None),
        ("build: type", None),
        ("other = build", None),
        ("class Model:\n    build = Model", None),
        ("if True:\n    def build(space): ...", None),
    ],
)
def test_what_a_file_defines_is_read_without_running_it(source, kind, tmp_path):
    path = tmp_path / "member.py"
    path.write_text(source + "\nraise SystemExit\n")
    assert catalog.kind_of(path) == kind


def test_options_that_a_function_only_forwards_are_not_listed(tmp_path):
    """`**options` names none: what it forwards to is found where it is a class, a partial or has a signature."""
    (tmp_path / "forwards.py").write_text("def build(space, width=3, *args, **options): ...\n")
    catalog.use_plugin(str(tmp_path / "forwards.py"))
    assert catalog.options_of("forwards") == {"width": 3}


def test_a_scaffold_is_short_and_passes_the_contract(cli, tmp_path):
    code, out, _ = cli("new", "baseline", "my-model")
    assert code == 0
    assert "genbench check my_model.py" in out
    assert len((tmp_path / "my_model.py").read_text().splitlines()) <= 40
    code, out, _ = cli("check", "my_model.py")
    assert code == 0, out
    assert "FAIL" not in out


def test_a_plugin_file_is_trained_and_evaluated(cli):
    cli("new", "baseline", "my-model")
    plugin = ("--plugin", "my_model.py")
    assert cli("train", "my-model", "--steps", "3", *plugin, "-o", "m.safetensors")[0] == 0
    code, out, _ = cli("evaluate", "m.safetensors", *plugin, "--metrics", "nll")
    assert code == 0
    assert re.search("^m  ", out, re.M)
    catalog._plugins.clear()
    code, _, err = cli("evaluate", "m.safetensors", "--metrics", "nll")
    assert code == 2
    assert "needs baseline 'my-model', which is not installed" in err


def test_a_scaffold_never_overwrites(cli):
    cli("new", "baseline", "my-model")
    code, _, err = cli("new", "baseline", "my-model")
    assert code == 2
    assert "exists" in err
    assert cli("new", "baseline", "3d")[0] == 2


CHEATS = {
    "ignores the generator": ("torch.randint(L, (n, 1, 8, 8))", "some randomness does not come from the generator"),
    "draws out of range": ("torch.randint(L, (n, 1, 8, 8), generator=generator) + 1", "expected values 0..16"),
    "always answers the same": ("torch.zeros(n, 1, 8, 8).long()", "the generator is ignored"),
    "depends on its own count": (
        "torch.randint(L, (n, 1, 8, 8), generator=generator)[: n - 1]",
        "asked for 24 samples",
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_the_contract_catches(cheat, cli, tmp_path):
    expression, why = CHEATS[cheat]
    body = textwrap.dedent(COIN).replace(
        "torch.randint(self.space.levels, (n, *self.space.shape), generator=generator)", expression
    )
    body = body.replace("if space.levels is None", "if space.shape != (1, 8, 8)").replace("L, (n", "17, (n")
    (tmp_path / "cheat.py").write_text(body)
    code, out, _ = cli("check", "cheat.py")
    assert code == 1
    assert why in out


def test_the_contract_catches_probabilities_that_do_not_sum_to_one(cli, tmp_path):
    cli("new", "baseline", "liar")
    path = tmp_path / "liar.py"
    path.write_text(path.read_text().replace("sum((1, 2))", "sum((1, 2)) + 0.1"))
    code, out, _ = cli("check", "liar.py")
    assert code == 1
    assert "probabilities sum to one: they sum to 1.105171" in out


SCORE = """
    def log_prob(self, x):
        levels = torch.arange(self.space.levels)
        return (-POWER * levels).log_softmax(0)[x].flatten(1).sum(1)

    def sample(self, n, generator):
        p = (-1.0 * torch.arange(self.space.levels)).softmax(0)
        drawn = torch.multinomial(p, n * self.space.dim, replacement=True, generator=generator)
        return drawn.view(n, *self.space.shape)
"""


@pytest.mark.parametrize(("power", "why"), [("1.0", None), ("0.5", "sharper than log_prob"), ("2.0", "flatter than")])
def test_the_contract_catches_a_sampler_that_does_not_draw_from_what_is_scored(power, why, cli, tmp_path):
    """A model that is right, and one that draws at another temperature: both have probabilities that sum to one."""
    body = textwrap.dedent(COIN).replace("    def sample", SCORE.replace("POWER", power) + "\n    def uniform")
    (tmp_path / "tempered.py").write_text(body)
    code, out, _ = cli("check", "tempered.py")
    if why is None:
        assert code == 0
        return
    assert code == 1
    assert f"samples are drawn from what log_prob scores: samples are {why}" in out
    assert out.count("FAIL") == out.count(why)


def test_a_file_that_is_no_plugin_is_refused(tmp_path):
    path = tmp_path / "other.py"
    path.write_text("x = 1\n")
    with pytest.raises(GenbenchError, match="defines no member"):
        catalog.use_plugin(str(path))
    with pytest.raises(GenbenchError, match="no plugin at"):
        catalog.use_plugin("no_such_module")
    path.write_text("def build(:\n")
    with pytest.raises(GenbenchError, match="not valid Python"):
        catalog.use_plugin(str(path))
