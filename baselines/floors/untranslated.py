"""No translation: every example is given back as it is, in either direction.

A floor for translators that looks good by two of their measures: nothing is lost on the way there and back, and an
example keeps its class wherever the judge knows it. It never reaches the other domain. So a cycle error or a share of
kept classes means something only beside the Fréchet distance to the target domain, which has to fall below this row's.

References:
    Unpaired image-to-image translation using cycle-consistent adversarial networks (Zhu et al., 2017), equation 2: the
    cycle loss, which the identity makes 0.
"""

from torch import Tensor, nn

from genbench import Space

VERSION = 1


class Untranslated(nn.Module):
    """It has no weights."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Nothing is learnt."""

    def translate(self, x: Tensor, back: bool = False) -> Tensor:
        return x


build = Untranslated
