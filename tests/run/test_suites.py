"""Suites: a TOML file says what is measured, and whatever else it says is an error that names the field."""

import math
import random

import pytest

import damage
from genbench import catalog
from genbench.errors import GenbenchError
from genbench.run.plan import jobs, numbered
from genbench.run.protocol import Protocol, Suite, suite_for
from genbench.run.records import Run

WHOLE = """
dataset = "digits"
extractor = "digits-cnn"
sort = "nll"
metrics = ["nll", "kd"]

[protocol]
n_samples = 100
rtol = 1e-3
path = "lerp"

[params.kd]
subsets = 2
"""

PLUGIN = """
\"\"\"Power: 1 where p is infinite.\"\"\"
import math
from genbench import Measure

VERSION = 1
NEEDS = ("space",)
OUTPUTS = {"power": {"unit": "share", "direction": "none", "title": "power"}}
REFERENCE = "these tests"
DOMAINS = {"p": "a number in (0, inf]"}

def compute(space, p=2.0):
    return {"power": Measure(1 / (2 + 1 / p), "exact", None, None, "none")}
"""


def refused(tmp_path, data, *words):
    path = tmp_path / "s.toml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(GenbenchError) as caught:
        suite_for(str(path))
    assert len(str(caught.value).splitlines()) == 2
    for word in words:
        assert word in str(caught.value)


def test_every_suite_that_ships_is_read():
    for name in catalog.names("suites"):
        assert suite_for(name).metrics


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_suite_is_read_with_a_byte_order_mark_or_without(tmp_path, mark):
    path = tmp_path / "s.toml"
    path.write_bytes(mark + WHOLE.encode())
    protocol = Protocol(n_samples=100, rtol=1e-3, path="lerp")
    assert Suite.read(path) == Suite("digits", ("nll", "kd"), "digits-cnn", "nll", protocol, {"kd": {"subsets": 2}})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_is_named_as_such(tmp_path, encoding):
    refused(tmp_path, f"# Prüfung\n{WHOLE}".encode(encoding), "s.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"digits"', "digits", ["not TOML"]),
        ("[protocol]", "[protocol", ["not TOML"]),
        ('metrics = ["nll", "kd"]', "", ["metrics is missing"]),
        ('["nll", "kd"]', '"nll"', ["metrics is 'nll'", "a list"]),
        ('["nll", "kd"]', "[]", ["metrics is a list of 0"]),
        ('["nll", "kd"]', '["nll", 3]', ["metrics[1] is 3"]),
        ('dataset = "digits"', "dataset = 5", ["dataset is 5"]),
        ('dataset = "digits"', 'dataset = " "', ["dataset is ' '"]),
        ('sort = "nll"', "sort = 1979-05-27", ["sort is"]),
        ('sort = "nll"', 'sorted = "nll"', ["sorted", "Did you mean 'sort'?"]),
        ("[protocol]", "[protocols]", ["protocols", "Did you mean 'protocol'?"]),
        ("[protocol]", "protocol = 3\n[x]", ["protocol is 3"]),
        ("n_samples", "samples", ["protocol.samples", "Did you mean 'n_samples'?"]),
        ("n_samples = 100", "n_samples = 0", ["protocol.n_samples is 0", "from 1"]),
        ("n_samples = 100", "n_samples = true", ["protocol.n_samples is True"]),
        ("n_samples = 100", "n_samples = 1e2", ["protocol.n_samples is 100.0"]),
        ("n_samples = 100", 'n_samples = "100"', ["protocol.n_samples is '100'"]),
        ("rtol = 1e-3", "rtol = nan", ["protocol.rtol is nan"]),
        ("rtol = 1e-3", "rtol = 1.0", ["protocol.rtol is 1.0", "below 1"]),
        ("rtol = 1e-3", "rtol = -1e-3", ["protocol.rtol is -0.001", "above 0"]),
        ("rtol = 1e-3", "seed = -1", ["protocol.seed is -1", "from 0"]),
        ('"lerp"', '"line"', ["protocol.path is 'line'", "slerp, lerp"]),
        ("[params.kd]", "[params.kdd]", ["unknown metric 'kdd'"]),
        ("subsets = 2", "subset = 2", ["subset", "Did you mean 'subsets'?"]),
        ("subsets = 2", "subsets = inf", ["params.kd.subsets is inf"]),
        ("[params.kd]\nsubsets = 2", "[params]\nkd = 2", ["params.kd is 2", "a table"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, words):
    assert old in WHOLE
    refused(tmp_path, WHOLE.replace(old, new), *words)


def test_a_folder_or_nothing_is_no_suite(tmp_path):
    (tmp_path / "s.toml").mkdir()
    for name in ("s.toml", "none.toml"):
        with pytest.raises(GenbenchError, match="no suite at"):
            suite_for(str(tmp_path / name))


def test_damaged_suites_raise_nothing_but_errors_that_say_so(tmp_path):
    rng, path, refusals = random.Random(0), tmp_path / "s.toml", 0
    for _ in range(300):
        data = bytearray(WHOLE.encode())
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = bytes(rng.choices(b'x"=[]\n\xff.0-', k=rng.randrange(3)))
        path.write_bytes(data)
        try:
            assert isinstance(Suite.read(path), Suite)
        except GenbenchError as error:
            refusals += 1
            assert len(str(error).splitlines()) == 2  # noqa: PT017
    assert 150 < refusals < 300


@pytest.mark.parametrize("value", [one for one in damage.NASTY if one not in (0, True)])
@pytest.mark.parametrize("name", ["n_samples", "seed", "rtol", "schedule", "path", "limit"])
def test_a_protocol_made_in_python_is_held_to_the_same(name, value):
    if (name, value) in (("limit", None), ("limit", 10**8), ("seed", 10**8), ("n_samples", 10**8)):
        return
    with pytest.raises(GenbenchError, match=f"{name} is"):
        Protocol(**{name: value})


@pytest.mark.parametrize("text", ["inf", "+inf", '"inf"'])
def test_a_parameter_may_be_infinite_where_its_domain_says_so(text, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(f'dataset = "digits"\nmetrics = ["vendi"]\n[params.vendi]\nq = {text}\n')
    suite = Suite.read(path)
    (job,) = jobs(suite.metrics, suite.extractor, suite.params)
    assert job.params == {"q": "inf"}
    assert numbered(job.entry, job.params) == {"q": math.inf}


@pytest.mark.parametrize(
    ("metric", "given"),
    [
        ("vendi", "q = -inf"),
        ("vendi", "q = nan"),
        ("mifid", "tau = inf"),
        ("kd", "subsets = inf"),
        ("mifid", "tau = []"),
    ],
)
def test_and_is_refused_where_it_does_not(metric, given, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(f'dataset = "digits"\nmetrics = ["{metric}"]\n[params.{metric}]\n{given}\n')
    with pytest.raises(GenbenchError) as caught:
        jobs((metric,), "pixels", Suite.read(path).params)
    assert len(str(caught.value).splitlines()) == 2


def test_a_metric_from_outside_gets_the_number_not_its_text(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "power.py").write_text(PLUGIN)
    (tmp_path / "s.toml").write_text('dataset = "digits"\nmetrics = ["power"]\n[params.power]\np = inf\n')
    code, _, err = cli(
        "evaluate", "data:test", "--suite", "s.toml", "--plugin", "power.py", "-o", "r", "--start-method", "none"
    )
    assert code == 0, err
    (record,) = Run(tmp_path / "r").records()
    assert (record.value, record.metric["params"]) == (0.5, {"p": "inf"})
