"""Every checkpoint that ships computes what it computed when it was trained: its card, or a new fit, says so."""

from pathlib import Path

import pytest
import torch

from genbench import catalog, datasets
from genbench.models.capabilities import Translator, n_classes
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import seeded, to_tensor
from genbench.models.training import stages_of

REAL = ("mnist", "mnist-binary", "tinyshakespeare", "mnist-to-digits", "jackson-to-theo")  # what needs files
BATCH = 500  # examples of one call in the training loop, whose draws are seeded by the first of them
CHECKPOINTS = sorted((catalog.BASELINES / "checkpoints").glob("*/*.safetensors"))
FITTED = [p for p in CHECKPOINTS if not any("validation" in key for key in read_card(p).training)]
# The bound of all validation images takes 10 s for the diffusion model; `test_ddpm.py` compares some of them.
TRAINED = [p for p in CHECKPOINTS if p not in FITTED and p.stem != "ddpm"]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def loaded(card, request) -> datasets.Dataset:
    name = card.dataset["name"]
    return datasets.load(name, request.getfixturevalue("data_root") if name in REAL else None)


@pytest.mark.parametrize("path", TRAINED, ids=name)
@torch.no_grad()
def test_validation_gives_the_values_of_the_card(path, request):
    card, model = read_card(path), load(path)
    data = loaded(card, request)
    given = [to_tensor(data.validation, data.space)]
    if isinstance(model, Translator):
        given.append(to_tensor(data.target.validation, data.space))
    elif n_classes(model):
        given.append(torch.from_numpy(data.labels_of("validation")))
    stages = stages_of(model)
    trained = [{p for o in stage.objectives for p in o.parameters} for stage in stages]
    for i, stage in enumerate(stages):
        if trained[i] & set().union(*trained[i + 1 :]):
            continue  # a later stage went on with these weights
        total, n = 0.0, len(given[0])
        for i in range(0, n, BATCH):
            x, *labels = (t[i : i + BATCH] for t in given)
            total += len(x) * float(stage.validate(x, seeded(card.training["seed"], "validation", i), *labels))
        key = f"{stage.name}_validation" if len(stages) > 1 else "validation"
        # Another machine adds the float32 terms in another order: right to about 1e-6 of the largest of them.
        assert total / n == pytest.approx(card.training[key], rel=1e-5, abs=2e-5)


@pytest.mark.parametrize("path", FITTED, ids=name)
def test_a_new_fit_gives_the_same_weights(path, request):
    card, model = read_card(path), load(path)
    data = loaded(card, request)
    again = catalog.build(card.baseline, card.space, card.options)
    again.fit(to_tensor(data.train, data.space))
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value)
