"""A metric from outside that does not give what its card declares is an error of its cells, and of no others."""

from genbench import catalog, datasets
from genbench.boards.columns import boards
from genbench.boards.markdown import markdown
from genbench.boards.pages import FORMATS
from genbench.boards.web import html
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run

HEAD = """
import math, sys
import numpy as np
from genbench.metrics import Measure
VERSION = 1
NEEDS = ("samples",)
OUTPUTS = {{"{name}": {{"unit": "share", "direction": "lower", "title": "t"}}}}
circle = {{}}
circle["x"] = circle
fine = Measure(0.5, "exact", None, None, "none")
def compute(samples):
    {body}
"""
# The body of `compute`, with NAME for the output: whether it is fine.
GIVEN = {
    "return {NAME: fine}": True,
    "return {NAME: Measure(np.float32(0.5), 'estimate', np.float64(0.1), [0.4, np.float32(0.6)], 'normal')}": True,
    "return {NAME: Measure(math.inf, 'exact', None, None, 'none', details={'a': np.int64(1)})}": True,
    "return {}": False,
    "return None": False,
    "return fine": False,
    "return [NAME]": False,
    "return {NAME: 0.5}": False,
    "return {NAME: None}": False,
    "return {NAME: Measure}": False,
    "return {NAME: fine, 'more': fine}": False,
    "return {NAME: Measure('0.5', 'exact', None, None, 'none')}": False,
    "return {NAME: Measure(0.5, 'guess', None, None, 'none')}": False,
    "return {NAME: Measure(0.5, 'estimate', 0.1, 0.2, 'normal')}": False,
    "return {NAME: Measure(0.5, 'estimate', 0.1, (0.6, 0.7), 'normal')}": False,
    "return {NAME: Measure(0.5, 'exact', None, None, 'none', details={'x': {1, 2}})}": False,
    "return {NAME: Measure(0.5, 'exact', None, None, 'none', details=circle)}": False,
    "raise KeyError(NAME)": False,
    "sys.exit(0)": False,
}


def test_whatever_a_metric_gives_the_others_are_measured_and_the_page_is_made(tmp_path):
    names = {f"odd-{i}": body for i, body in enumerate(GIVEN)}
    for name, body in names.items():
        path = tmp_path / f"{name}.py"
        path.write_text(HEAD.format(name=name, body=body.replace("NAME", repr(name))))
        catalog.use_plugin(str(path))
    digits, run = datasets.load("digits"), Run(tmp_path / "run")
    suite = Suite("digits", (*names, "copies"), "pixels", protocol=Protocol(n_samples=20))
    todo = plan(suite, digits, [parse("data:test", digits)])
    evaluate(todo, run, pictures=False)
    status = {record.metric["name"]: record.status for record in todo.rows(run)}
    assert status == {name: "ok" if GIVEN[body] else "error" for name, body in names.items()} | {"copies": "ok"}
    assert [r.status for r in Run(tmp_path / "run").records()].count("error") == list(GIVEN.values()).count(False)
    for page in (markdown, html, *FORMATS.values()):
        assert "odd-3" in page(boards(todo.rows(run)))
