"""Stacked long short-term memories: each layer reads the states of the one below, and so sees a slower time.

The lower layer turns characters into states, the upper one states into longer contexts. At the same number of weights
as one wide layer, depth in space is bought with width.

References:
    Generating sequences with recurrent neural networks (Graves, 2013), section 2.
    Recurrent neural network regularization (Zaremba, Sutskever, Vinyals, 2014): dropout between layers, never in time.
"""

from genbench import Preset, Space

from .lstm import LSTM

VERSION = 1


class StackedLSTM(LSTM):
    """The model of `lstm.py` with two layers."""

    def __init__(
        self,
        space: Space,
        *,
        width: int = 96,
        embedding: int = 32,
        layers: int = 2,
        dropout: float = 0.0,
        order: str = "raster",
        temperature: float = 1.0,
        context: int | None = None,
    ) -> None:
        super().__init__(
            space,
            width=width,
            embedding=embedding,
            layers=layers,
            dropout=dropout,
            order=order,
            temperature=temperature,
            context=context,
        )


PRESETS = {
    "tinyshakespeare": Preset(
        {"width": 112, "embedding": 64, "dropout": 0.1},
        steps=12_000,
        batch_size=32,
        lr=4e-3,
        clip=64.0,
        ema=0.999,
        validate_every=500,
        half=True,
    ),
}

build = StackedLSTM
