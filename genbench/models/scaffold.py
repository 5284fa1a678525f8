"""`genbench new baseline NAME`: a plugin file that works as it is, to be changed."""

from pathlib import Path

from genbench.errors import GenbenchError
from genbench.files import write_atomically

BASELINE = '''"""{title}: one categorical distribution for each value, trained by gradient.

Train it:  genbench train {name} --plugin {file} -o {name}.safetensors
Measure:   genbench evaluate {name}.safetensors --plugin {file}
"""

import torch
from torch import nn

from genbench import Preset

FAMILY = "other"
PRESETS = {{"digits": Preset(steps=300, lr=0.05)}}  # how it is trained on each dataset


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


def write_baseline(name: str, folder: Path) -> Path:
    """Writes NAME.py into `folder`; never over a file that is there.

    Raises:
        GenbenchError: the name is no Python identifier, or the file exists.
    """
    stem = name.replace("-", "_")
    if not stem.isidentifier():
        raise GenbenchError(f"'{name}' cannot name a Python file", "Use letters, digits and hyphens.")
    path = folder / f"{stem}.py"
    if path.exists():
        raise GenbenchError(f"{path.name} exists", "Choose another name, or remove it.")
    title = stem.replace("_", " ").capitalize()
    write_atomically(path, BASELINE.format(title=title, name=stem.replace("_", "-"), file=path.name).encode())
    return path
