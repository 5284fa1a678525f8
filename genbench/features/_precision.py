"""float32 means float32: on a GPU convolutions round to ten bits of mantissa unless told otherwise."""

from contextlib import AbstractContextManager

import torch


def float32() -> AbstractContextManager[None]:
    """Within this context cuDNN keeps all 24 bits (TF32 off); matrix products do so by default."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
