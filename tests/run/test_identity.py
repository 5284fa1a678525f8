"""Identities: every field that decides a value is in them, each varied, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench import catalog, datasets, evaluate, importing
from genbench.baselines.autoregressive import rnn
from genbench.cli import shipped
from genbench.datasets import tinyshakespeare
from genbench.datasets._files import load_path, split_path
from genbench.files import content_key
from genbench.models.adapters import Source, parse
from genbench.models.adapters.object import code_of_class, held
from genbench.run import plan as planning
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.context import Context
from genbench.run.artifacts.declaration import DATA
from genbench.run.artifacts.making import Artifacts
from genbench.run.plan import Plan, jobs, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run
from genbench.space import Space

# Another value of every field of a protocol, so that a new field makes these tests fail until it is varied too.
OTHER = dict(
    n_samples=41,
    seed=1,
    block_size=7,
    k=3,
    rtol=1e-2,
    entry="uniform",
    temperatures=6,
    chains=3,
    leapfrog=2,
    schedule="linear",
    simulated=5,
    step=1e-3,
    path="lerp",
    outside="blank",
    limit=9,
)
SMALL = Protocol(
    n_samples=20, block_size=10, k=2, rtol=1e-1, temperatures=3, chains=2, leapfrog=1, simulated=4, limit=6
)
# A small model that can do it, for every artifact that asks what a model can do.
ABLE = {
    "completion": "conditional-gated-pixelcnn",
    "sample_balance": "conditional-gated-pixelcnn",  # pixels of an untrained floor are uniform
    "test_balance": "conditional-gated-pixelcnn",
    "class_labels": "conditional-gated-pixelcnn",
    "class_samples": "conditional-gated-pixelcnn",
    "class_features": "conditional-gated-pixelcnn",
    "class_logits": "conditional-gated-pixelcnn",
    "class_log_likelihoods": "conditional-gated-pixelcnn",
    "probability_flow": "ddpm",
    "path_lengths": "vae",
    "reconstructions": "vae",
    "reconstruction_features": "vae",
    "train_encodings": "vae",
    "gaussian_posteriors": "vae",
    "amortisation": "vae",
    "test_encodings": "vae",
    "log_likelihood": "vae",
    "validation_log_likelihood": "vae",
    "outside_log_likelihood": "vae",
    "outside_reconstructions": "vae",
    "class_scores": "conditional-vae",
    "resampling_chances": "debiasing-vae",
    "decoder": "gan",
    "ais": "vae",
    "bdmc": "vae",
    "timings": "independent-pixels",
}
OPTIONS = {
    "conditional-gated-pixelcnn": {"width": 4, "depth": 1, "first": 3},
    "ddpm": {"width": 8, "steps": 10},
    "vae": {"latent": 2, "hidden": 4},
    "conditional-vae": {"latent": 2, "hidden": 4},
    "debiasing-vae": {"latent": 2, "hidden": 4},
    "gan": {"latent": 2, "width": 4},
    "independent-pixels": {},
    "untranslated": {},
}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def small(name: str, space: Space) -> torch.nn.Module:
    known = catalog.options_of(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalog.build(name, space, {k: v for k, v in OPTIONS[name].items() if k in known}).eval()


def able(need: str, digits) -> Source:
    """A source of which the artifact can be made."""
    if need == "fixed_places":
        return parse("data:test", digits)
    if need in ("training_timings", "training_memory"):
        return parse(next(path for path in shipped("digits") if path.endswith("/made.safetensors")), digits)
    return held(small(ABLE.get(need, "independent-pixels"), digits.space))


def planned(digits, source: Source, metrics=("nll", "fd"), extractor="digits-cnn", protocol=SMALL, params=None) -> Plan:
    return plan(Suite("digits", metrics, extractor, protocol=protocol, params=params or {}), digits, [source])


def cell_ids(todo: Plan) -> dict[str, str]:
    return {cell.output: cell.id for cell in todo.cells(todo.sources[0])}


SOURCE = Source("name", "checkpoint", "what", "0" * 64, "family", 7, {"a": 1})
LABELS = np.array([3, 1, 4])  # the classes that samples are drawn for, which are no field of the protocol


# --- Cells


@pytest.mark.parametrize("job", jobs(catalog.names("metrics"), "digits-cnn", {}), ids=lambda job: job.metric)
def test_a_cell_depends_on_a_field_of_the_protocol_exactly_if_an_artifact_it_needs_does(job, digits):
    def cell_id(protocol: Protocol, labels: np.ndarray | None = None) -> str:
        return Plan(digits, protocol, [job], [SOURCE], {"digits-cnn": "e"}, labels=labels).cells(SOURCE)[0].id

    declared = {name for need in job.needs for name in ARTIFACTS[need].fields}
    varied = {name for name, other in OTHER.items() if cell_id(replace(SMALL, **{name: other})) != cell_id(SMALL)}
    varied |= {"labels"} if cell_id(SMALL, LABELS) != cell_id(SMALL) else set()
    assert varied == declared
    assert cell_id(SMALL, LABELS) == cell_id(SMALL, LABELS.copy())
    assert set(OTHER) == {f.name for f in fields(Protocol)}


CHANGES = {
    "the checkpoint's hash": lambda t: replace(t, sources=[replace(SOURCE, sha256="1" * 64)]),
    "the adapter": lambda t: replace(t, sources=[replace(SOURCE, adapter="code")]),
    "an argument's value": lambda t: replace(t, sources=[replace(SOURCE, args={"a": 2})]),
    "an argument's name": lambda t: replace(t, sources=[replace(SOURCE, args={"b": 1})]),
    "no arguments": lambda t: replace(t, sources=[replace(SOURCE, args={})]),
    "the dataset's name": lambda t: replace(t, dataset=replace(t.dataset, name="other")),
    "what else it is made of": lambda t: replace(t, sources=[replace(SOURCE, made_of={"baseline": "version 2"})]),
    "the dataset's modes": lambda t: replace(t, dataset=replace(t.dataset, modes=(np.zeros((1, 64)), 1.0))),
    "what a dimension is called": lambda t: replace(t, dataset=replace(t.dataset, value="char")),
    "what was done to its pixels": lambda t: replace(t, dataset=replace(t.dataset, preprocessing="resized")),
    "the names of its classes": lambda t: replace(t, dataset=replace(t.dataset, classes=tuple("abcdefghij"))),
    "whether examples depend": lambda t: replace(t, dataset=replace(t.dataset, sequence=True)),
    "the dataset's content": lambda t: replace(t, dataset=replace(t.dataset, test=t.dataset.test[::-1])),
    "a parameter of the metric": lambda t: replace(t, jobs=[replace(j, params={**j.params, "x": 1}) for j in t.jobs]),
    "the extractor's hash": lambda t: replace(t, extractors={"digits-cnn": "other"}),
}
SAME = {
    "the row's name": lambda t: replace(t, sources=[replace(SOURCE, name="other")]),
    "where it lies": lambda t: replace(t, sources=[replace(SOURCE, what="elsewhere")]),
    "what is said of it": lambda t: replace(t, sources=[replace(SOURCE, family="other", parameters=8)]),
    "a licence": lambda t: replace(t, dataset=replace(t.dataset, licence="other", source="elsewhere")),
    "where weights lie": lambda t: replace(t, weights={"digits-cnn": Path("elsewhere")}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_a_value_is_in_the_identity_of_its_cell(change, digits):
    base = planned(digits, SOURCE, metrics=("fd",))
    assert cell_ids(CHANGES[change](base))["fd"] != cell_ids(base)["fd"]


@pytest.mark.parametrize("change", SAME)
def test_what_decides_no_value_is_not(change, digits):
    base = planned(digits, SOURCE, metrics=("fd",))
    assert cell_ids(SAME[change](base)) == cell_ids(base)


def test_the_version_of_a_metric_and_of_the_protocol_are_in_the_identity(digits, monkeypatch):
    base = planned(digits, SOURCE, metrics=("fd",))
    before = cell_ids(base)["fd"]
    entry = base.jobs[0].entry
    monkeypatch.setitem(entry.constants, "VERSION", entry.constants["VERSION"] + 1)
    raised = cell_ids(base)["fd"]
    monkeypatch.setattr(planning, "PROTOCOL_VERSION", planning.PROTOCOL_VERSION + 1)
    assert len({before, raised, cell_ids(base)["fd"]}) == 3


def test_outputs_of_one_metric_are_cells_of_their_own(digits):
    ids = cell_ids(planned(digits, SOURCE, metrics=("precision-recall", "density-coverage")))
    assert len(set(ids.values())) == len(ids) == 4


def test_an_id_is_the_hash_of_the_whole_identity_in_canonical_json(digits):
    cell = planned(digits, SOURCE, metrics=("nll",)).cells(SOURCE)[0]
    version = cell.job.entry.constants["VERSION"]
    text = (
        f'{{"dataset":{{"name":"digits","per":"dim","sha256":"{digits.sha256}","split":"test"}},"extractor":null,'
        f'"metric":{{"name":"nll","params":{{}},"version":{version}}},'
        f'"model":{{"adapter":"checkpoint","args":{{"a":1}},"sha256":"{"0" * 64}"}},'
        '"protocol":{"block_size":10,"k":2,"limit":6,"seed":0},"protocol_version":2}'
    )
    assert cell.id == hashlib.sha256(text.encode()).hexdigest()[:16]


# --- Arrays


def key_of(todo: Plan, need: str, tmp_path) -> str:
    """The content key under which an artifact keeps its arrays."""
    made = Artifacts(todo, todo.sources[0], Run(tmp_path), "cpu", 10, False, {})
    declared = ARTIFACTS[need]
    keys = []
    made.run.get_arrays = lambda key: keys.append(key) or {"x": np.zeros(1)}
    Context(made, need, "digits-cnn" if declared.extracted else None).kept(lambda keep: {})
    return keys[0]


@pytest.mark.parametrize("need", ARTIFACTS)
def test_arrays_are_kept_by_the_fields_that_are_declared(need, digits, tmp_path):
    base = planned(digits, SOURCE, metrics=("fd",))
    before = key_of(base, need, tmp_path)
    others = {name: replace(base, protocol=replace(SMALL, **{name: other})) for name, other in OTHER.items()}
    others["labels"] = replace(base, labels=LABELS)
    varied = {name for name, todo in others.items() if key_of(todo, need, tmp_path) != before}
    assert varied == set(ARTIFACTS[need].fields)


@pytest.mark.parametrize("need", ARTIFACTS)
def test_arrays_are_kept_by_model_data_and_extractor_as_declared(need, digits, tmp_path):
    base = planned(digits, SOURCE, metrics=("fd",))
    declared = ARTIFACTS[need]

    def differs(change: str) -> bool:
        return key_of(CHANGES[change](base), need, tmp_path) != key_of(base, need, tmp_path)

    for change in ("the checkpoint's hash", "the adapter", "an argument's value"):
        assert differs(change) == (declared.asks != DATA), change
    assert differs("the dataset's content")
    assert differs("the extractor's hash") == declared.extracted


def test_no_two_artifacts_share_a_key(digits, tmp_path):
    todo = planned(digits, SOURCE)
    keys = [key_of(todo, need, tmp_path) for need in ARTIFACTS]
    assert len(set(keys)) == len(keys)


class Watched:
    """A protocol or an extractor that notes what is read of it."""

    def __init__(self, watched, seen: set[str]):
        self._watched, self._seen = watched, seen

    def __getattr__(self, name):
        self._seen.add(name)
        return getattr(self._watched, name)


@pytest.mark.parametrize("need", ARTIFACTS)
def test_an_artifact_reads_nothing_that_it_does_not_declare(need, digits, tmp_path, monkeypatch):
    """A field that is read in the making and missing in the declaration is a wrong number, silently."""
    declared = ARTIFACTS[need]
    source = able(need, digits)
    todo = planned(digits, source, metrics=("fd",))
    if need == "modes":
        todo = replace(todo, dataset=replace(digits, modes=(np.zeros((1, 64)), 1.0)))
    if need.startswith(("target_", "translated", "cycled")):
        source = held(small("untranslated", digits.space))
        paired = replace(digits, name="paired", target=replace(digits, name="other"))
        todo = replace(planned(digits, source, metrics=("fd",)), dataset=paired)
    if need in ("train_factors", "test_factors"):
        factors = {split: np.zeros((len(digits.split(split)), 2), np.int64) for split in datasets.SPLITS}
        todo = replace(todo, dataset=replace(digits, factors=factors, factor_names=("a", "b")))
    if need in ("stream", "stream_said"):
        text = tinyshakespeare.from_text("to be or not to be, " * 1000)
        source = held(rnn.build(text.space, width=4, embedding=3).eval())
        todo = planned(text, source, metrics=("nll",), extractor="pixels")
    read: set[str] = set()
    opened: list[str] = []
    monkeypatch.setattr(Context, "protocol", property(lambda c: Watched(c.artifacts.plan.protocol, read)))
    monkeypatch.setattr(Context, "labels", property(lambda c: read.add("labels")))
    extractor = Artifacts.extractor
    monkeypatch.setattr(Artifacts, "extractor", lambda self, name: opened.append(name) or extractor(self, name))
    models: list[Source] = []
    opening = Source.open
    monkeypatch.setattr(Source, "open", lambda self, *given: models.append(self) or opening(self, *given))
    made = Artifacts(todo, source, Run(tmp_path), "cpu", 10, False, {})
    if need == "decoder":
        monkeypatch.setattr("genbench.likelihood.decoder.fit_sigma", lambda *given, **options: Sigma())
    made.get(need, "digits-cnn" if declared.extracted else None)
    assert read <= set(declared.fields)
    assert bool(opened) <= declared.extracted
    assert bool(models) <= (declared.asks != DATA)


class Sigma:
    sigma, warnings = 0.5, ()


@pytest.mark.parametrize("need", [n for n, a in ARTIFACTS.items() if "seed" in a.fields and n != "class_labels"])
def test_what_declares_the_seed_depends_on_it(need, digits, tmp_path, monkeypatch):
    """The other side: a seed that is declared and not used would repeat one draw for ever."""
    if need == "decoder":
        seen = []
        monkeypatch.setattr(
            "genbench.likelihood.decoder.fit_sigma", lambda m, x, seed, device: seen.append(seed) or Sigma()
        )
    results = []
    source = able(need, digits)
    for seed in (0, 1):
        todo = planned(digits, source, metrics=("fd",), protocol=replace(SMALL, seed=seed))
        made = Artifacts(todo, source, Run(tmp_path), "cpu", 10, False, {})
        results.append(made.get(need, "digits-cnn" if ARTIFACTS[need].extracted else None))
    if need == "decoder":
        assert seen == [0, 1]
        return
    a, b = (numbers(result) for result in results)
    assert not np.array_equal(a, b)


def numbers(result) -> np.ndarray:
    for name in ("values", "lower", "x"):
        if hasattr(result, name):
            return np.asarray(getattr(result, name))
    return np.asarray(result)


# --- Sources, extractors, data


def source_identity(spec: str, digits) -> tuple:
    return content_key(parse(spec, digits).identity)


def test_samples_are_known_by_their_content_and_a_folder_also_by_its_names(tmp_path, digits):
    from PIL import Image

    def folder(name: str, files: dict[str, int]) -> Path:
        for file, value in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / name / file)
        return tmp_path / name

    base = source_identity(f"samples:{folder('a', {'1.png': 3, '2.png': 5})}", digits)
    assert source_identity(f"samples:{folder('b', {'1.png': 3, '2.png': 5})}", digits) == base
    for other in ({"1.png": 3, "2.png": 6}, {"1.png": 3, "3.png": 5}, {"1.png": 5, "2.png": 3}, {"1.png": 3}):
        name = "-".join(f"{k}{v}" for k, v in other.items()).replace(".png", "")
        assert source_identity(f"samples:{folder(name, other)}", digits) != base, other
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 8, 8), np.uint8))
    np.save(tmp_path / "y.npy", np.ones((3, 1, 8, 8), np.uint8))
    found = [source_identity(f"samples:{tmp_path / name}", digits) for name in ("x.npy", "y.npy")]
    assert found[0] != found[1]


def test_arguments_are_part_of_every_source(tmp_path, digits, pixels_checkpoint):
    (tmp_path / "m.py").write_text("class A: pass\n")
    for what in (pixels_checkpoint, f"{tmp_path}/m.py:A"):
        plain, first, second = (source_identity(f"{what}{query}", digits) for query in ("", "?t=1", "?t=2"))
        assert len({plain, first, second}) == 3, what


def test_code_is_known_by_its_content(tmp_path, digits):
    path = tmp_path / "m.py"
    path.write_text("A = 1\n")
    before = source_identity(f"{path}:A", digits)
    path.write_text("A = 2\n")
    assert source_identity(f"{path}:A", digits) != before


def test_a_model_in_memory_is_known_by_its_weights_and_buffers_and_code(digits):
    model = small("vae", digits.space)
    before = held(model).key
    assert held(model, "other name").key == before
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-6
    assert held(model).key != before
    model.register_buffer("extra", torch.zeros(1))
    with_buffer = held(model).key
    model.extra += 1
    assert held(model).key != with_buffer

    class Plain:
        space = digits.space

    assert not held(Plain()).pinned  # nobody knows what decides its values
    assert held(model).pinned


@pytest.mark.parametrize("split", datasets.SPLITS)
def test_every_value_and_label_of_every_split_is_in_a_datasets_hash(split, digits):
    x = digits.split(split).copy()
    x.flat[-1] += 1
    assert replace(digits, **{split: x}).sha256 != digits.sha256
    labels = {name: y.copy() for name, y in digits.labels.items()}
    labels[split][-1] += 1
    assert replace(digits, labels=labels).sha256 != digits.sha256
    assert replace(digits, labels=None).sha256 != digits.sha256


def test_where_a_split_ends_is_in_a_datasets_hash(tmp_path):
    """The same examples in the same order, divided otherwise: as `genbench split` divides them with other shares."""
    x = np.random.default_rng(0).integers(17, size=(100, 4)).astype(np.uint8)
    divided = {
        split_path(npz(tmp_path / "x.npz", x=x, levels=17), test, validation).sha256
        for test, validation in [(0.1, 0.1), (0.2, 0.1), (0.1, 0.2), (0.2, 0.2)]
    }
    assert len(divided) == 4
    first, second = (npz(tmp_path / f"{n}.npz", train=x[:n], test=x[n:], levels=17) for n in (50, 60))
    assert load_path(first).sha256 != load_path(second).sha256


def npz(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def test_the_characters_that_numbers_mean_are_in_a_datasets_hash(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("abcd "), size=6000))
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.txt").write_text(text.replace("d", "e"))
    a, b = load_path(tmp_path / "a.txt"), load_path(tmp_path / "b.txt")
    assert np.array_equal(a.train, b.train)
    assert a.sha256 != b.sha256


@pytest.mark.parametrize("name", sorted(datasets.PUBLISHED))
def test_what_was_published_keeps_its_hash_while_its_splits_end_where_they_did(name):
    sizes = datasets.PUBLISHED[name]
    x = np.zeros((sum(sizes), 1), np.uint8)
    cut = np.cumsum(sizes)[:2]
    parts = dict(zip(datasets.SPLITS, np.split(x, cut), strict=True))
    moved = dict(zip(datasets.SPLITS, np.split(x, cut + 1), strict=True))
    data = datasets.Dataset(name, Space((1,), levels=2), **parts, licence="", source="")
    plain = hashlib.sha256(json.dumps(data.space.to_dict(), sort_keys=True).encode() + x.tobytes()).hexdigest()
    assert data.sha256 == plain != replace(data, **moved).sha256
    assert replace(data, name="another").sha256 != plain


def test_the_space_is_in_a_datasets_hash(digits):
    assert replace(digits, space=Space((1, 8, 8), levels=18)).sha256 != digits.sha256


def test_an_extractor_in_code_is_known_by_file_and_name(tmp_path, digits):
    path = tmp_path / "e.py"
    path.write_text("def f(x): return x.reshape(len(x), -1)\ndef g(x): return x.reshape(len(x), -1)\n")
    hashes = {planning.hash_of_extractor(f"{path}:{name}", digits.space)[0] for name in "fg"}
    assert len(hashes) == 2
    other = tmp_path / "other.py"
    other.write_text(path.read_text() + "\nW = 1\n")
    assert planning.hash_of_extractor(f"{other}:f", digits.space)[0] not in hashes


def test_weights_in_the_place_of_those_that_ship_are_another_extractor(tmp_path, digits):
    shipped = catalog.find("extractors", "digits-cnn").weights
    copy = tmp_path / "w.safetensors"
    copy.write_bytes(shipped.read_bytes() + b" ")
    for given, read in ((None, shipped), (copy, copy)):
        expected = hashlib.sha256(read.read_bytes()).hexdigest()
        assert planning.hash_of_extractor("digits-cnn", digits.space, given) == (expected, True)


def test_the_code_of_a_class_is_its_file_and_what_that_imports_but_no_comment(tmp_path):
    (tmp_path / "beside.py").write_text("SCALE = 1\n")
    file = tmp_path / "mine.py"
    file.write_text("import beside\n\nclass Mine:\n    def f(self): return beside.SCALE\n")
    kind = importing.import_file(file).Mine
    before = code_of_class(kind)
    file.write_text("import beside  # a remark\n\nclass Mine:\n    def f(self): return beside.SCALE  # another\n")
    assert code_of_class(kind) == before
    (tmp_path / "beside.py").write_text("SCALE = 2\n")
    assert code_of_class(kind) != before


def test_reconstructions_reach_an_extractor_as_whole_levels(tmp_path):
    class Near(torch.nn.Module):
        space = Space((1, 8, 8), levels=17)

        def reconstruct(self, x):
            return x + 0.4

    rfd = evaluate(Near(), "digits", metrics=["rfd"], extractor="pixels", limit=100)[0]
    assert rfd.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", ["auroc-likelihood", "auroc-reconstruction"])
def test_other_data_that_a_dataset_of_the_users_brings_are_known_by_their_content(metric, digits):
    def cell(**brought) -> dict[str, str]:
        data = replace(digits, name="mine", outside={name: lambda x=x: x for name, x in brought.items()})
        protocol = replace(SMALL, outside="odd")
        todo = plan(Suite("mine", [metric, "nll"], "pixels", protocol=protocol), data, [SOURCE])
        return cell_ids(todo)

    a, b = np.zeros((5, 1, 8, 8), np.uint8), np.ones((5, 1, 8, 8), np.uint8)
    output = metric.replace("-", "_")
    first, again, other = cell(odd=a), cell(odd=a.copy(), unused=b), cell(odd=b)
    assert first == again
    assert first[output] != other[output]
    assert first["nll"] == other["nll"]  # which no other data decide

    def breaks():
        raise OSError("gone")

    data = replace(digits, name="mine", outside={"odd": breaks})
    todo = plan(Suite("mine", [metric], "pixels", protocol=replace(SMALL, outside="odd")), data, [SOURCE])
    assert cell_ids(todo)  # it is left to the cells to say so
