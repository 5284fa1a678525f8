"""The training loop: seeded, resumable, and keeping the best weights."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from genbench import datasets
from genbench.errors import GenbenchError
from genbench.models import training as module
from genbench.models.checkpoint import read_card
from genbench.models.training import Average, Preset, preset_of, train

PRESET = Preset(dict(components=4), steps=40, batch_size=32, lr=0.02, ema=0.9, validate_every=10)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_equal_seeds_give_equal_weights_and_other_seeds_others(tmp_path, digits):
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        train("mixture", digits, PRESET, path, seed)
    a, b, c = (load_file(path) for path in files)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["mean"], c["mean"])


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, digits, monkeypatch):
    whole, halves = tmp_path / "whole.safetensors", tmp_path / "halves.safetensors"
    train("mixture", digits, PRESET, whole)

    def interrupted(self):
        real(self)
        if self.t == 17:
            os.kill(os.getpid(), signal.SIGINT)

    real = Average.update
    monkeypatch.setattr(Average, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("mixture", digits, PRESET, halves)
    assert not halves.exists()
    monkeypatch.setattr(Average, "update", real)
    train("mixture", digits, PRESET, halves)
    a, b = load_file(whole), load_file(halves)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not list(tmp_path.glob("*.resume"))


def test_a_state_of_other_settings_is_not_resumed(tmp_path, digits, monkeypatch):
    out = tmp_path / "m.safetensors"
    monkeypatch.setattr(Average, "update", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train("mixture", digits, PRESET, out)
    with pytest.raises(GenbenchError, match="other settings"):
        train("mixture", digits, PRESET, out, seed=1)


def test_the_kept_weights_are_those_of_the_best_validation(tmp_path, digits, monkeypatch):
    values = iter([3.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(module, "validate", lambda *_: next(values))
    card = train("mixture", digits, PRESET, tmp_path / "m.safetensors")
    assert (card.training["best_step"], card.training["validation"]) == (20, 1.0)


def test_validation_weighs_every_example_alike(digits, monkeypatch):
    """Chunks of 500 over 750 examples: 500 of value 0 and 250 of value 3 have mean 1."""
    x = torch.cat([torch.zeros(500), torch.full((250,), 3.0)])[:, None]
    model = torch.nn.Linear(1, 1)
    stage = module.Stage("s", (), lambda x, generator: x.mean())
    assert module.validate(stage, model, Average(model, 0.0), (x,), 0) == pytest.approx(1.0)


def test_a_diverging_loss_is_an_error_that_names_the_step(tmp_path, digits):
    with pytest.raises(GenbenchError, match=r"the loss is .* at step"):
        train("mixture", digits, Preset(dict(components=2, scale=math.nan), steps=10, validate_every=5), tmp_path / "m")


def test_an_unknown_setting_is_refused_with_the_nearest(digits):
    with pytest.raises(GenbenchError, match="Did you mean 'components'"):
        preset_of("mixture", "digits", {"component": 3})


def test_every_epoch_uses_every_example_once(digits):
    batches = module.Batches(digits, 100, 0, False, torch.device("cpu"))
    index = module.permutation(0, 0, len(digits.train))
    assert sorted(index) == list(range(len(digits.train)))
    assert np.array_equal(batches[3][0].numpy(), digits.train[index[300:400]])


def test_the_card_holds_the_command_and_what_was_reached(tmp_path, digits):
    out = tmp_path / "m.safetensors"
    train("mixture", digits, PRESET, out, seed=3, command="genbench train mixture")
    card = read_card(out)
    assert card.training["command"] == "genbench train mixture"
    assert card.training["seed"] == 3
    assert card.options == {"components": 4}
    assert card.dataset["sha256"] == digits.sha256
