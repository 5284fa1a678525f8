"""One contract for the whole catalog: a new member is tested without editing a test."""

import inspect
from dataclasses import fields, replace

import numpy as np
import pytest

from genbench import catalog, datasets
from genbench.datasets._download import Absent
from genbench.errors import GenbenchError
from genbench.metrics import DIRECTIONS, GROUPS, UNITS
from genbench.models.conformance import SPACES, check
from genbench.models.training import Preset, preset_of
from genbench.run.artifacts import ARTIFACTS
from genbench.run.plan import jobs
from genbench.run.protocol import Suite
from genbench.space import Space

# Families that take a pass for every pixel or step are checked here on smaller images than `genbench check` has: what
# they do on whole digits is in baselines/test_golden.py, and whether they draw what they score there on the board.
SLOW = {"autoregressive", "diffusion"}


@pytest.mark.parametrize("name", catalog.names("baselines"))
def test_baseline_keeps_the_contract(name, monkeypatch):
    if catalog.find("baselines", name).family in SLOW:
        monkeypatch.setitem(SPACES, "digits", Space((1, 4, 4), 17))
    failures = [f"{c.space}: {c.what}: {c.why}" for c in check(name) if not c.ok]
    assert failures == []


@pytest.mark.parametrize("name", catalog.names("baselines"))
def test_baseline_says_what_it_is(name):
    constants = catalog.find("baselines", name).constants
    assert len(constants["__doc__"].splitlines()) >= 3, "a docstring that teaches"
    assert catalog.find("baselines", name).family != "other"


@pytest.mark.parametrize("name", catalog.names("baselines"))
def test_options_of_a_baseline_are_given_by_name_and_have_a_default(name):
    space, *options = inspect.signature(catalog.trainable(name).build).parameters.values()
    assert space.name == "space"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in options)
    assert catalog.options_of(name) == {p.name: p.default for p in options}


@pytest.mark.parametrize("name", catalog.names("baselines"))
def test_no_option_of_a_baseline_has_the_name_of_a_setting_of_training(name):
    """`--steps 3` and `--set steps=3` mean the training, for every baseline."""
    assert preset_of(name, "nothing known", {"steps": 3}).steps == 3
    assert not {field.name for field in fields(Preset)} & set(catalog.options_of(name))


@pytest.mark.parametrize("name", catalog.names("metrics"))
def test_metric_has_a_card_that_can_be_read_without_importing_it(name):
    entry = catalog.find("metrics", name)
    assert isinstance(entry.constants["VERSION"], int)
    assert isinstance(entry.constants["REFERENCE"], str)
    assert set(entry.constants["NEEDS"]) <= set(ARTIFACTS)
    for output in entry.constants["OUTPUTS"].values():
        assert output["direction"] in DIRECTIONS
        assert output["unit"] in UNITS
        assert output["group"] in GROUPS
        assert set(output) == {"unit", "direction", "range", "title", "misses", "group", "place"}
        assert output["misses"].strip(" .") == output["misses"] != ""


def test_outputs_of_metrics_have_names_of_their_own():
    outputs = [o for e in catalog.entries("metrics").values() for o in e.constants["OUTPUTS"]]
    assert len(outputs) == len(set(outputs))


def test_outputs_of_metrics_have_places_of_their_own():
    """With room between any two for a metric to come."""
    cards = [card for e in catalog.entries("metrics").values() for card in e.constants["OUTPUTS"].values()]
    places = sorted(card["place"] for card in cards)
    assert min(np.diff(places)) > 1


def test_describe_prints_a_metrics_card(cli):
    _, out, _ = cli("describe", "precision-recall")
    for said in ("'unit': 'share'", "'direction': 'higher'", "'group': 'diversity'", "'place': 210"):
        assert said in out


@pytest.mark.parametrize("name", catalog.names("suites"))
def test_suite_names_what_exists(name):
    suite = Suite.read(catalog.find("suites", name).path)
    assert suite.dataset in catalog.names("datasets")
    assert suite.extractor in catalog.names("extractors")
    assert jobs(suite.metrics, suite.extractor, suite.params)


def loaded(name, request, monkeypatch) -> datasets.Dataset:
    """A dataset that needs no files, or one whose files are among the real data; else the test skips."""
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    with monkeypatch.context() as alone:
        alone.delenv("GENBENCH_DATA", raising=False)
        try:
            return datasets.load(name)
        except Absent:
            pass
    try:
        return datasets.load(name, request.getfixturevalue("data_root"))
    except Absent as error:
        pytest.skip(error.problem)


@pytest.mark.parametrize("name", catalog.names("datasets"))
def test_dataset_keeps_the_contract(name, request, monkeypatch):
    data = loaded(name, request, monkeypatch)
    constants = catalog.find("datasets", name).constants
    assert (data.licence, data.source) == (constants["LICENCE"], constants["SOURCE"])
    assert constants["DOWNLOAD"] >= 0
    for split in datasets.SPLITS:
        x = data.split(split)
        assert np.array_equal(data.space.checked(x, split), x)
        if data.labels is not None:
            assert data.labels[split].shape == (len(x),)
    assert data.sha256 == loaded(name, request, monkeypatch).sha256


@pytest.mark.parametrize("name", ["digits", "mnist"])  # of the others test examples are drawn like the training ones
def test_no_test_image_is_a_training_image(name, request, monkeypatch):
    data = loaded(name, request, monkeypatch)
    seen = {x.tobytes() for x in data.train}
    assert sum(x.tobytes() in seen for x in data.test) == 0


@pytest.mark.parametrize("name", catalog.names("extractors"))
def test_extractor_is_a_function_of_each_image_alone(name, monkeypatch):
    monkeypatch.setenv("GENBENCH_OFFLINE", "1")
    module = catalog.load("extractors", name)
    space = getattr(module, "SPACE", Space((1, 8, 8), levels=17))  # that of its weights, where it is one
    try:
        extractor = module.extractor(space)
    except GenbenchError as error:
        if "GENBENCH_OFFLINE is set" not in error.problem and "not installed" not in error.problem:
            raise
        pytest.skip(error.problem)
    x = np.random.default_rng(0).integers(space.levels, size=(10, *space.shape)).astype(space.dtype)
    features, logits = replace(extractor, at_once=10)(x)
    assert features.shape[0] == 10
    assert features.dtype == np.float32
    assert extractor.preprocessing
    by_threes, _ = replace(extractor, at_once=3)(x)
    np.testing.assert_allclose(features, by_threes, rtol=1e-4, atol=1e-4)
    assert logits is None or logits.shape[0] == 10
