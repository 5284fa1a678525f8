"""The drill of kills, as small as it means something; and that it notices what it is there to notice."""

import json
import math
import random
import shutil

import pytest

from genbench.run.records import Run
from genbench.studies import reliability
from genbench.studies.reliability import Tally, drill_evaluation, measure, planned, values


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A folder in which everything was measured, and nothing killed."""
    folder = tmp_path_factory.mktemp("calm")
    measure(folder, 1)
    return folder


def test_a_kill_of_a_runner_and_one_of_a_worker_lose_nothing(calm, tmp_path):
    expected, tally, rng = values(Run(calm / "run")), Tally(), random.Random(0)
    assert len(expected) == 4 * reliability.NUMBER
    while not all(tally.kills[whom] for whom in ("runner", "worker")):
        drill_evaluation(tmp_path, expected, rng, tally, 2)
    assert tally.well, tally


def test_a_value_that_differs_is_noticed(calm, tmp_path):
    expected, tally = values(Run(calm / "run")), Tally()
    first = next(iter(expected))
    status, value, *rest = expected[first]
    drill_evaluation(
        tmp_path, {**expected, first: (status, math.nextafter(value, math.inf), *rest)}, random.Random(0), tally, 0
    )
    assert (tally.different, tally.well) == (1, False)


def test_only_finished_records_have_to_stay(calm, tmp_path):
    shutil.copytree(calm, tmp_path / "f")
    run = Run(tmp_path / "f" / "run")
    paths = run.files()
    before = reliability.finished(run)
    assert len(before) == len(paths) == len(planned(tmp_path / "f").sources) * 4
    content = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps({**content, "status": "crashed"}))
    paths[1].write_text("{")
    assert before.keys() - reliability.finished(run).keys() == {paths[0].name, paths[1].name}
