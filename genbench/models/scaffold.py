"""`genbench new KIND NAME`: a file that works as it is, to be changed; of genbench it imports public names alone."""

import keyword
from dataclasses import dataclass
from pathlib import Path
from string import Template

from genbench import catalog, plugins
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.source import Broken


@dataclass(frozen=True)
class Scaffold:
    """What `genbench new` writes of one kind.

    Arguments:
        body: of the file, with $name (with hyphens), $stem (with underscores), $title and $file.
        commands: which use it, in the same way.
    """

    body: str
    commands: tuple[str, ...]


BASELINE = '''"""$title: one categorical distribution for each value, trained by gradient.

Train it:  genbench train $name --plugin $file -o $name.safetensors
Measure:   genbench evaluate $name.safetensors --plugin $file
"""

import torch
from torch import nn

from genbench import Preset

FAMILY = "other"
PRESETS = {"digits": Preset(steps=300, lr=0.05)}  # how it is trained on each dataset


class Model(nn.Module):
    def __init__(self, space):
        super().__init__()
        self.space = space  # shape, and levels: values are integers 0..levels-1
        self.logits = nn.Parameter(torch.zeros(space.dim, space.levels))

    def log_prob(self, x):  # [B, *shape] int64 -> [B], nats; leave it out where there is none
        log_p = self.logits.log_softmax(1).expand(len(x), -1, -1)  # [B, D, L]
        return log_p.gather(2, x.flatten(1).unsqueeze(2)).sum((1, 2))

    def loss(self, x, generator):  # what training lowers
        return -self.log_prob(x).mean()

    def sample(self, n, generator):  # all randomness comes from the generator
        x = torch.multinomial(self.logits.softmax(1), n, replacement=True, generator=generator)
        return x.T.reshape(n, *self.space.shape)


def build(space):  # further arguments are options: --set key=value
    if space.levels is None:
        raise ValueError("it models integers")
    return Model(space)
'''

MODEL = '''"""$title: a model of your own, here one categorical distribution for each pixel of the 8x8 digits.

Measure it:   genbench evaluate $file:Model
Its weights:  genbench evaluate "$file:Model?weights=FILE.safetensors"
"""

import torch
from torch import nn

from genbench import Space


class Model(nn.Module):
    space = Space((1, 8, 8), levels=17)  # of one observation: values are integers 0..16; levels=None for real numbers

    def __init__(self, weights=None):  # arguments come from the command line: ?weights=PATH&key=value
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(self.space.dim, self.space.levels))
        if weights is not None:
            from safetensors.torch import load_file

            self.load_state_dict(load_file(weights))

    def sample(self, n, generator):  # -> [n, *shape] int64; all randomness comes from the generator
        x = torch.multinomial(self.logits.softmax(1), n, replacement=True, generator=generator)
        return x.T.reshape(n, *self.space.shape)

    def log_prob(self, x):  # [B, *shape] int64 -> [B], nats; leave it out where there is none
        log_p = self.logits.log_softmax(1).expand(len(x), -1, -1)  # [B, D, L]
        return log_p.gather(2, x.flatten(1).unsqueeze(2)).sum((1, 2))
'''

METRIC = '''"""$title: the share of values that are not zero, above that of test data."""

import numpy as np

from genbench import Measure

VERSION = 1  # raise it whenever a value can change
NEEDS = ("samples", "test")  # what `compute` gets, in this order: `genbench list artifacts` shows all there is
OUTPUTS = {
    "$stem": {
        "unit": "share",
        "direction": "none",  # "lower" or "higher" is better, or "none"
        "title": "values that are not zero, above test data",
        "misses": "which values they are",
        "group": "fidelity",
        "place": 1000,  # among the columns of a table
    },
}
REFERENCE = "your name, the year"


def compute(samples, test):  # both [n, *shape], raw values; further arguments need defaults
    a, b = ((x.reshape(len(x), -1) != 0).mean(1) for x in (samples, test))
    value = float(a.mean() - b.mean())
    stderr = float(np.sqrt(a.var() / len(a) + b.var() / len(b)))
    ci95 = (max(-1.0, value - 1.96 * stderr), min(1.0, value + 1.96 * stderr))
    return {"$stem": Measure(value, "estimate", stderr, ci95, "normal")}
'''

EXTRACTOR = '''"""$title: features of images, here the mean of every row and of every column."""

import numpy as np


def $stem(images):  # raw values of the space [n, *shape]: uint8 for up to 256 levels; each image by itself
    x = images.astype(np.float32)
    return np.concatenate([x.mean(-1).reshape(len(x), -1), x.mean(-2).reshape(len(x), -1)], 1)  # [n, d]


$stem.version = 1  # raise it when the features change; without one no number is used again
'''

DATASET = '''"""$title: 8x8 black and white stripes, across or down."""

import numpy as np

from genbench import Dataset, Space

LICENCE = "CC0"
SOURCE = "generated"
DOWNLOAD = 0  # bytes


def load(root):  # the folder of --data-root or None
    rng = np.random.default_rng(0)
    n = 1000
    label = rng.integers(2, size=n)
    lines = rng.integers(2, size=(n, 8), dtype=np.uint8)  # one bit for each stripe
    across = np.repeat(lines[:, :, None], 8, axis=2)
    x = np.where(label[:, None, None] == 0, across, across.swapaxes(1, 2))[:, None]  # [n, 1, 8, 8]
    return Dataset(
        name="$name",
        space=Space((1, 8, 8), levels=2),
        train=x[:600],
        validation=x[600:700],
        test=x[700:],
        labels={"train": label[:600], "validation": label[600:700], "test": label[700:]},  # or leave them out
        licence=LICENCE,
        source=SOURCE,
    )
'''

SCAFFOLDS = {
    "baseline": Scaffold(
        BASELINE,
        (
            "genbench check $file",
            "genbench train $name --plugin $file -o $name.safetensors",
            "genbench evaluate $name.safetensors --plugin $file",
        ),
    ),
    "model": Scaffold(MODEL, ("genbench evaluate $file:Model",)),
    "metric": Scaffold(METRIC, ("genbench evaluate --metrics $name --plugin $file",)),
    "extractor": Scaffold(EXTRACTOR, ("genbench evaluate --metrics fd --extractor $file:$stem",)),
    "dataset": Scaffold(
        DATASET,
        (
            "genbench describe $name --plugin $file",
            "genbench train independent-pixels --dataset $name --plugin $file -o floor.safetensors",
            "genbench evaluate floor.safetensors --dataset $name --plugin $file",
        ),
    ),
}


def write(kind: str, name: str, folder: Path) -> tuple[Path, list[str]]:
    """Writes NAME.py into `folder`, never over a file that is there: its path, and commands that use it.

    Raises:
        GenbenchError: the name cannot be one in Python, the catalog has it, or the file exists.
    """
    stem = name.replace("-", "_")
    if not stem.isidentifier() or keyword.iskeyword(stem):
        raise GenbenchError(
            f"'{name}' cannot name a Python file",
            "Use letters, digits and hyphens, a letter first, and no word of Python such as 'class'.",
        )
    spelt = catalog.spelt(stem)
    try:
        plugins.check_name(spelt, f"{kind}s")
    except Broken as error:
        raise GenbenchError(str(error), "Choose another name.") from error
    if kind in ("baseline", "metric", "dataset") and spelt in catalog.names(f"{kind}s"):
        raise GenbenchError(f"there is a {kind} '{spelt}', which would hide it", "Choose another name.")
    path = folder / f"{stem}.py"
    if path.exists():
        raise GenbenchError(f"{path.name} exists", "Choose another name, or remove it.")
    words = {"stem": stem, "name": stem.replace("_", "-"), "file": path.name}
    words["title"] = stem.replace("_", " ").capitalize()
    scaffold = SCAFFOLDS[kind]
    write_atomically(path, Template(scaffold.body).substitute(words).encode())
    return path, [Template(command).substitute(words) for command in scaffold.commands]
