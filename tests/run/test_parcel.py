"""What another process gets of a plan: the same arrays, as pages that are copied when they are written to."""

import numpy as np
import pytest

from genbench import datasets
from genbench.models.adapters import parse
from genbench.run.isolation import movable
from genbench.run.plan import plan
from genbench.run.protocol import Suite
from genbench.run.worker import Task


def parcel(dataset, tmp_path):
    todo = plan(Suite(dataset.name, ("fd",), "pixels"), dataset, [parse("data:test", dataset)])
    sent, reload, stay = movable(todo)
    assert stay == set()
    return todo, Task(sent, tmp_path, {}, None, reload).pack()


@pytest.mark.parametrize("name", ["digits", "ring8", "patches", "checkerboard"])
def test_every_array_arrives_and_writing_into_it_changes_no_other(name, tmp_path):
    dataset = datasets.load(name)
    todo, shared = parcel(dataset, tmp_path)
    first, second = Task.unpack(shared).todo, Task.unpack(shared).todo
    assert [cell.id for cell in first.cells(first.sources[0])] == [cell.id for cell in todo.cells(todo.sources[0])]
    for split in datasets.SPLITS:
        assert np.array_equal(first.dataset.split(split), dataset.split(split))
        first.dataset.split(split)[...] = 0
        assert np.array_equal(second.dataset.split(split), dataset.split(split))
        if dataset.labels:
            assert np.array_equal(first.dataset.labels[split], dataset.labels[split])
    if dataset.log_density is not None:
        x = dataset.test[:9]
        assert np.array_equal(second.dataset.log_density(x), dataset.log_density(x))
    shared.close()


def test_the_other_domain_of_a_translation_goes_along(tmp_path):
    x = np.random.default_rng(0).integers(0, 9, (30, 1, 2, 2))
    space = datasets.Space((1, 2, 2), 17)

    def made(name, shift, **more):
        return datasets.Dataset(name, space, x[:10] + shift, x[10:20] + shift, x[20:] + shift, "none", "here", **more)

    dataset = made("one", 0, draw=lambda i, rng: x[i], target=made("other", 8, draw=lambda i, rng: x[i]))
    _, shared = parcel(dataset, tmp_path)
    assert np.array_equal(Task.unpack(shared).todo.dataset.target.test, x[20:] + 8)
    shared.close()
