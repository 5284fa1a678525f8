"""Arithmetic of many workers: closed forms where there are any, and bounds that no schedule beats."""

import pytest

from genbench.studies.scaling import START, Work, drawn, whole, with_blocks, works_of


def test_equal_models_take_as_many_rounds_as_they_need():
    works = [Work(6.0, 4.0, 10)] * 6
    assert whole(works, 3) == pytest.approx(2 * (10 + START))
    assert whole(works, 4) == pytest.approx(2 * (10 + START))
    assert whole(works, 100) == pytest.approx(10 + START)
    assert with_blocks(works, 6) == pytest.approx(10 + START)


def test_spare_workers_divide_the_blocks_and_no_more_of_them_than_there_are():
    one = [Work(100.0, 5.0, 1, blocks=10)]
    assert with_blocks(one, 1) == pytest.approx(105 + START)
    assert with_blocks(one, 4) == pytest.approx(5 + START + 25)
    assert with_blocks(one, 10) == with_blocks(one, 512) == pytest.approx(5 + START + 10)


def test_those_that_are_done_help_the_slow_one():
    works = [Work(100.0, 0.0, 1, blocks=100), Work(10.0, 0.0, 1, blocks=1)]
    # Both alone until the short one is done after 10 s + START; then two share what is left.
    assert with_blocks(works, 2) == pytest.approx(10 + START + (100 - 10) / 2)


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 50, 500])
def test_nothing_is_faster_than_all_work_over_all_workers_and_blocks_never_cost(workers):
    works = [Work(float(i % 7 * 9), float(i % 5), 3, 1 + i % 12) for i in range(40)]
    least = sum(w.whole for w in works) / workers
    assert whole(works, workers) >= least - 1e-9
    assert with_blocks(works, workers) >= least - 1e-9
    assert with_blocks(works, workers) <= whole(works, workers) + 1e-9
    assert whole(works, workers) <= (4 / 3) * max(least, max(w.whole for w in works)) + 1e-9


def test_a_board_gives_its_models_and_what_its_records_took(request):
    from genbench.run.records import open_run

    folder = request.config.rootpath / "leaderboards" / "ring8"
    works = works_of(folder)
    assert len(works) == len({record.model["key"] for record in open_run(folder).records()})
    many = drawn(works, 50, 60, 0)
    assert len(many) == 50
    assert many == drawn(works, 50, 60, 0)
    (twice,) = drawn([Work(1.0, 2.0, 30, 4)], 1, 60, 0)
    assert twice == Work(2.0, 4.0, 30, 4)
