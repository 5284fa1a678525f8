"""DCGAN: convolutions that learn their own up- and downsampling, batch normalisation, and no fully connected layers.

    generator   z -> [2w, H/4, W/4] -> transposed convolution, stride 2 -> [w, H/2, W/2] -> again -> tanh
    critic      convolution, stride 2 -> [w, H/2, W/2] -> again -> [2w, H/4, W/4] -> one score

The guidelines of the paper: strides in place of pooling; batch normalisation in both networks, but not in the
generator's last layer nor in the critic's first; ReLU in the generator, leaky ReLU (0.2) in the critic;
Adam with a first beta of 0.5. (The paper's first weights, from N(0, 0.02^2), fit layers of a thousand channels; these
narrow ones begin as PyTorch has them.) The game is `nonsaturating-gan`. The critic sees data and samples in
batches of their own: in a shared one its statistics would tell each about the other. In sampling the running statistics
are used, so that no sample hangs on those drawn with it.

References:
    Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks (Radford, Metz and
    Chintala, 2016), section 3; batch normalisation: Ioffe and Szegedy, 2015, algorithm 1.
"""

from torch import nn

from genbench import Preset, Space

from ._skeleton import Adversarial
from .nonsaturating_gan import NonsaturatingGAN

VERSION = 1


def generator_of(space: Space, inputs: int, width: int) -> nn.Sequential:
    """`[n, inputs]` -> images on [-1, 1].

    Raises:
        ValueError: no images of integers, or sides that are no multiples of 4.
    """
    if not space.is_image or space.levels is None or space.shape[1] % 4 or space.shape[2] % 4:
        raise ValueError("it needs images of integer values whose sides are multiples of 4")
    channels, height, breadth = space.shape
    return nn.Sequential(
        nn.Unflatten(1, (inputs, 1, 1)),
        nn.ConvTranspose2d(inputs, 2 * width, (height // 4, breadth // 4), bias=False),
        nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip


def critic_of(space: Space, channels: int, width: int) -> nn.Sequential:
    """Images of so many channels -> [n, 1]."""
    _, height, breadth = space.shape
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, (height // 4, breadth // 4)), nn.Flatten(),
    )  # fmt: skip


class DCGAN(NonsaturatingGAN):
    """Arguments:
    latent: dimensions of z.
    width, critic_width: channels of the widest image of the generator and of the critic; half as wide has twice.
    repeats: critic steps for each generator step.
    """

    def __init__(
        self, space: Space, *, latent: int = 16, width: int = 32, critic_width: int = 24, repeats: int = 1
    ) -> None:
        generator = generator_of(space, latent, width)
        critic = critic_of(space, space.shape[0], critic_width)
        Adversarial.__init__(self, space, generator, critic, latent=latent, repeats=repeats)


PRESETS = {
    "digits": Preset({}, steps=4_000, batch_size=64, lr=1e-3, betas=(0.5, 0.9), ema=0.99, validate_every=400),
    "mnist": Preset(
        {"latent": 32},
        steps=10_000,
        batch_size=64,
        lr=5e-4,
        betas=(0.5, 0.9),
        ema=0.999,
        validate_every=1000,
        half=True,
    ),
}
build = DCGAN
