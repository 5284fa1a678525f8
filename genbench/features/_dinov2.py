"""DINOv2's vision transformer, so that its published weights run without its published code.

    patches of 14x14 and a class token, plus positions -> [x + g1 attention(norm x), x + g2 mlp(norm x)] -> norm
    of the class token

Names of weights are the published ones. Positions were trained on a grid of 37x37 (images of
518x518) and are resized to the grid of the image, bicubic, with 0.1 added to its size as published.

References:
    DINOv2: learning robust visual features without supervision (Oquab et al., 2023).
    An image is worth 16x16 words (Dosovitskiy et al., 2021).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 64  # width of one attention head in every published size


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        B, T, width = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)  # each [B, heads, T, HEAD]
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, width))


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Scale(nn.Module):
    """A learnt factor for every channel (LayerScale)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.ls1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)
        self.ls2 = Scale(width)

    def forward(self, x: Tensor) -> Tensor:  # [B, T, width]
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)


class VisionTransformer(nn.Module):
    """Normalised images `[B, 3, H, W]`, H and W multiples of the patch -> features `[B, width]`.

    Arguments:
        grid: patches on each side of the images it was trained on.
    """

    def __init__(self, width: int, depth: int, patch: int, grid: int) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.patch_embed = PatchEmbed(width, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of training only
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def positions(self, height: int, width: int) -> Tensor:
        """The trained positions on a grid of `height` x `width` patches, `[1, 1 + height width, d]`."""
        if height == width == self.grid:
            return self.pos_embed
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = of_patches.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)  # [1, d, grid, grid]
        factors = ((height + 0.1) / self.grid, (width + 0.1) / self.grid)
        square = F.interpolate(square, scale_factor=factors, mode="bicubic")  # [1, d, height, width]
        return torch.cat([of_class, square.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed.proj(images)  # [B, d, h, w]
        positions = self.positions(*x.shape[2:])
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)  # [B, 1 + h w, d]
        return self.norm(self.blocks(x + positions)[:, 0])


def from_state(state: dict[str, Tensor]) -> VisionTransformer:
    """The transformer whose sizes the published weights imply, filled with them.

    Raises:
        RuntimeError, KeyError: they are no DINOv2's.
    """
    width, patch = state["patch_embed.proj.weight"].shape[0], state["patch_embed.proj.weight"].shape[-1]
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    grid = math.isqrt(state["pos_embed"].shape[1] - 1)
    model = VisionTransformer(width, depth, patch, grid)
    model.load_state_dict(state)
    return model
