"""The server that workers are forked from: what it has loaded, and what workers need not read again."""

import gc
import pickle

from genbench import catalog
from genbench.run.isolation import OPTIMISERS, PRELOADED, Isolation, used_by
from genbench.run.plan import jobs
from genbench.run.worker import Surroundings


def test_a_worker_finds_everything_loaded_and_leaves_it_to_nobody_to_collect():
    apart = Isolation()
    loaded = apart.ask(eval, "sorted(__import__('sys').modules)")
    assert not set(PRELOADED) - set(loaded)
    assert apart.ask(gc.get_freeze_count) > 100_000
    assert apart.ask(gc.isenabled)


def test_the_server_loads_what_the_metrics_of_a_plan_are_computed_by(tmp_path):
    plain = used_by(jobs(["fd", "nll"], "digits-cnn", {}))
    assert plain == ["genbench.metrics.fd", "genbench.features.digits_cnn", "genbench.metrics.nll"]
    assert set(used_by(jobs(["training-time"], "pixels", {}))) >= set(OPTIMISERS)
    path = tmp_path / "strange.py"
    outputs = {"strange": {"unit": "share", "direction": "lower", "title": "t", "place": 15}}
    code = f'VERSION = 1\nNEEDS = ("samples",)\nOUTPUTS = {outputs}\n\n\ndef compute(samples):\n    return {{}}\n'
    path.write_text(code)
    catalog.use_plugin(str(path))
    assert used_by(jobs(["strange", "nll", f"fd[{path}:f]"], "pixels", {})) == [
        "genbench.metrics.nll",
        "genbench.metrics.fd",
    ]  # the code of others runs in processes of models alone


def test_a_plan_takes_along_what_the_files_of_its_metrics_say():
    (planned,) = jobs(["fd"], "pixels", {})
    assert planned.needs == ("sample_features", "reference_moments")  # as every plan asks
    job = pickle.loads(pickle.dumps(planned))
    assert {"constants", "signature", "parameters"} <= set(vars(vars(job)["entry"]))


def test_a_worker_takes_over_which_plugins_are_installed(monkeypatch):
    catalog.entries("metrics")
    around = pickle.loads(pickle.dumps(Surroundings()))
    monkeypatch.setattr(catalog, "_points", {})
    catalog._points |= around.points
    monkeypatch.setattr(catalog, "entry_points", None)  # nobody asks again
    assert "fd" in catalog.names("metrics")
