"""Where the time of a run went."""

from dataclasses import replace

import pytest

from genbench.run.artifacts import ARTIFACTS
from genbench.run.records import Run
from genbench.run.times import FEATURES, KINDS, METRICS, OF_DATA, OWN, kind_of, span, times


def of(record, metric, started, ended, **phases):
    clock = "2026-01-01T00:00:{:06.3f}+00:00"
    return replace(
        record,
        metric={**record.metric, "name": metric},
        timing={"phases_s": phases},
        started=clock.format(started),
        ended=clock.format(ended),
    )


@pytest.fixture
def finished_run(cli, pixels_checkpoint, tmp_path):
    assert (
        cli("evaluate", str(pixels_checkpoint), "--metrics", "nll,fd", "--samples", "40", "-o", str(tmp_path))[0] == 0
    )
    return tmp_path


@pytest.fixture
def record(finished_run):
    return Run(finished_run).records()[0]


def test_every_artifact_is_spent_on_something():
    assert {kind_of(name) for name in ARTIFACTS} == {OWN, FEATURES, OF_DATA}
    assert kind_of("compute") == METRICS


def test_seconds_are_those_of_phases_and_outputs_of_one_metric_count_once(record):
    record = replace(record, model={**record.model, "name": "m"})
    other = replace(record, model={**record.model, "name": "n"})
    once = {"samples": 2.0, "sample_features": 1.0, "train_features": 0.5, "compute": 4.0}
    records = [
        of(record, "recall", 1, 9, **once),
        of(record, "precision", 1, 9, **once),
        of(record, "nll", 10, 12, log_likelihood=1.5, compute=0.25),
        of(other, "nll", 11, 31, log_likelihood=16.0),
        of(other, "fd", 31, 32),
    ]
    by_model, by_metric = times(records)
    assert by_model == {
        "m": {OWN: 3.5, FEATURES: 1.0, OF_DATA: 0.5, METRICS: 4.25},
        "n": {OWN: 16.0, FEATURES: 0, OF_DATA: 0, METRICS: 0},
    }
    assert by_metric["precision"] == dict(zip(KINDS, (2.0, 1.0, 0.5, 4.0), strict=True))
    assert by_metric["nll"] == {OWN: 17.5, FEATURES: 0, OF_DATA: 0, METRICS: 0.25}
    assert span(records) == 31
    assert times(records[::-1]) == (by_model, by_metric)


def test_the_tables_add_up(cli, finished_run):
    code, out, _ = cli("status", str(finished_run), "--times")
    assert code == 0
    for table in out.strip().split("\n\n"):
        _, _, *rows, total, share = [line.rsplit(maxsplit=5) for line in table.splitlines()]
        for column in range(1, 6):
            assert sum(float(row[column]) for row in rows) == pytest.approx(float(total[column]), abs=0.01 * len(rows))
        assert sum(int(part.strip("%")) for part in share) == pytest.approx(100, abs=2)
