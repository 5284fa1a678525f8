"""The chain of a denoising autoencoder with a corruption of 0.1, trained with and without walkback.

As `walkback_mends_the_chain.py` in all but three numbers: the corruption is a quarter of what it is there, so the walk
has four times as many steps, 16, and the chain is judged after four times as many, 400: as many pixels have then been
replaced by coins. Walks of four steps are drawn beside them.
"""

from __future__ import annotations

from genbench.studies.claims import Finding, walkback_mends_the_chain
from genbench.studies.claims._trials import Found, each, of_mean
from genbench.studies.claims.walkback_mends_the_chain import chain, independent, network

SENTENCE = "With little corruption a denoising autoencoder's chain strays from the data, and walkback mends that."
SAID_BY = "Bengio, Yao, Alain, Vincent (2013), the section on walkback training: a corruption that is too local"
DECIDED_BY = (
    "the Fréchet distance after 400 steps from coins, with a corruption of 0.1: of plain training as a share of that "
    "of independent pixels, which half would show, of walkback as such a share, and of walkback less plain training"
)
CARRIES = (
    "to 8x8 digits in black and white, pixels drawn independently given x~, chains that start at coins and networks "
    "that walk from their first step on: those of 16 steps learn independent pixels and no more, since hardly any of "
    "their x~ says which digit was meant. Walks of 4 steps were added after that had been seen; they are in the "
    "picture and decide nothing. Walks of random length, as in the paper, are not tried."
)
PICTURE = "Fréchet distance of 1,000 chains from coins against their steps, corruption 0.1, means over seeds."
SEEDS, VERSION = 5, 2
CORRUPTION, WALKS = 0.1, {"plain": 1, "walkback": 16, "short walks": 4}
AT, JUDGED = (1, 4, 10, 20, 40, 100, 200, 400), "400"


def trial(seed: int) -> Found:
    chains = {way: chain(network(steps, seed, CORRUPTION), seed, CORRUPTION, AT) for way, steps in WALKS.items()}
    return {**chains, "independent": independent(seed)}


def judged(found: list[Found]) -> list[Finding]:
    plain, walkback = (each(found, way, JUDGED) for way in ("plain", "walkback"))
    of_independent, floor = "FD as a share of that of independent pixels", each(found, "independent")
    return [
        of_mean(f"chain after plain training: {of_independent}", plain / floor, "above", 0.5, 3),
        of_mean(f"chain after walkback: {of_independent}", walkback / floor, "below", 0.5, 3),
        of_mean("FD of the chain, walkback less plain training", walkback - plain, "below", 0.0, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    y = [float(each(found, "short walks", str(step)).mean()) for step in AT]
    axes.plot(AT, y, "^-", color="C2", label="walkback of 4 steps")
    walkback_mends_the_chain.plot(axes, found, AT)
