"""Long short-term memory over sequences of integers: gates decide what a cell keeps, so that gradients live longer.

    i, f, o = sigmoid(W e(x_(t-1)) + U h_(t-1) + b)      what to write, what to keep, what to show
    c_t = f c_(t-1) + i tanh(W' e(x_(t-1)) + U' h_(t-1) + b'),   h_t = o tanh(c_t)

Along the cell the derivative of c_t by c_(t-1) is the gate f itself. Its bias starts at 1, so that a cell keeps what it
has before it has learnt what to forget.

References:
    Long short-term memory (Hochreiter and Schmidhuber, 1997).
    Learning to forget: continual prediction with LSTM (Gers, Schmidhuber, Cummins, 2000): the gate f.
    An empirical exploration of recurrent network architectures (Jozefowicz, Zaremba, Sutskever, 2015): its bias.
"""

import torch
from torch import nn

from genbench import Preset

from .rnn import Recurrent

VERSION = 1


class LSTM(Recurrent):
    """The model of `rnn.py`, whose state is a pair (h, c)."""

    def network(self, inputs: int, width: int, layers: int, dropout: float) -> nn.RNNBase:
        lstm = nn.LSTM(inputs, width, layers, batch_first=True, dropout=dropout)
        with torch.no_grad():
            for name, bias in lstm.named_parameters():
                if name.startswith("bias_ih"):
                    bias.zero_()
                    bias[width : 2 * width] = 1.0  # of f; torch orders the gates i, f, c, o, and adds a second bias
                elif name.startswith("bias_hh"):
                    bias.zero_()
        return lstm


PRESETS = {
    "tinyshakespeare": Preset(
        {"width": 160, "embedding": 64, "dropout": 0.1}, steps=10_000, batch_size=32, lr=4e-3, clip=64.0, ema=0.999,
        validate_every=500, half=True,
    ),
    "digits": Preset(
        {"width": 112, "embedding": 24, "dropout": 0.4}, steps=3000, batch_size=64, lr=4e-3, weight_decay=0.1,
        clip=64.0, ema=0.99, validate_every=100,
    ),
}  # fmt: skip

build = LSTM
