"""One picture: read as it is, or refused; and brought to a size by a rule that is recorded.

Grey pictures are `[1, H, W]`, colour ones `[3, H, W]`. None is resized or has its values changed unless a `Rule` says
so; one that says more than 8 bits of one still picture can is refused. The same code reads pictures in files, in
parquet and in shards.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from genbench import reading
from genbench.errors import GenbenchError
from genbench.reading import As, Within

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFile import ImageFile

ORIENTATION, BITS_PER_SAMPLE, SAMPLE_FORMAT = 0x0112, 258, 339  # tags of EXIF and TIFF
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # by content, whatever the name says
MOST_PIXELS = 1 << 26  # of one image; a file of a few kilobytes can promise billions


@dataclass(frozen=True)
class Rule:
    """What is done to every picture before its pixels are values.

    Arguments:
        size: side of the square that it becomes; None leaves it as it is.
        crop: "center" cuts out the largest square in the middle first; without it only squares are resized.
        filter: of PIL, by which it is resized. All of them widen when they shrink, which is antialiasing.
        channels: 1 makes grey of colours (PIL's luma, ITU-R 601), 3 repeats grey; None leaves both as they are.
    """

    size: Annotated[int, Within(1, 8192)] | None = None
    crop: Annotated[str | None, As(Literal["center"] | None)] = None
    filter: Annotated[str, As(Literal["bicubic", "bilinear", "lanczos", "box", "hamming", "nearest"])] = "bicubic"
    channels: Annotated[int | None, As(Literal[1, 3] | None)] = None

    def __post_init__(self) -> None:
        reading.check(self)
        if self.size is None and (self.crop or self.filter != "bicubic"):
            raise GenbenchError("a crop or a filter is given, and no size", "Add it: ?size=64&crop=center.")

    def __str__(self) -> str:
        """In words; "" for nothing."""
        said = []
        if self.channels:
            said.append("grey by ITU-R 601 luma" if self.channels == 1 else "grey repeated in three channels")
        if self.crop:
            said.append("largest centred square")
        if self.size:
            how = "" if self.filter == "nearest" else ", antialiased"
            said.append(f"resized to {self.size}x{self.size} by PIL's {self.filter} filter{how}")
        return ", ".join(said)

    def apply(self, picture: Picture, name: str) -> Picture:
        """A picture in the mode L or RGB, by this rule.

        Raises:
            GenbenchError: it is to be resized and is no square.
        """
        from PIL import Image

        if self.channels and picture.mode != (mode := {1: "L", 3: "RGB"}[self.channels]):
            picture = picture.convert(mode)
        width, height = picture.size
        if self.crop and width != height:
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
        elif self.size and width != height:
            raise GenbenchError(
                f"{name} is {width}x{height}, no square: resized to {self.size}x{self.size} it would be distorted",
                f"Cut out its middle first: ?size={self.size}&crop=center.",
            )
        if self.size and picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), Image.Resampling[self.filter.upper()])
        return picture


AS_IT_IS = Rule()


def read_image(source: Path | bytes, name: str = "", rule: Rule = AS_IT_IS) -> np.ndarray:
    """One picture, `[C, H, W]` uint8, C = 1 or 3; transparency is dropped where it is nowhere used.

    Arguments:
        source: a file, or its content.
        name: what errors call it, by default the file.

    Raises:
        GenbenchError: it is unreadable, or more than 8 bits of one still picture, so that PIL would read part of it.
    """
    from PIL import Image

    name = name or str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as file:
                why = beyond(file)
                if not why:
                    file.load()
                    image = file.copy()
    except Exception as error:  # on damaged files PIL's decoders raise nearly anything
        raise GenbenchError(
            f"{name} cannot be read as an image: {error}", "Remove it, or export it again as PNG."
        ) from error
    if why:
        raise GenbenchError(f"{name} {why}", "Export it as one picture of 8-bit grey or RGB, as PNG.")
    grey = image.mode in ("1", "L", "LA")
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise GenbenchError(f"{name} is transparent", "Flatten it onto a background: its pixels depend on it.")
        image = image.convert("L" if grey else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise GenbenchError(f"{name} has the colour mode {image.mode}", "Export it as 8-bit grey or RGB.")
    x = np.asarray(rule.apply(image, name))
    return x[None] if x.ndim == 2 else np.moveaxis(x, -1, 0)


def beyond(file: ImageFile) -> str:
    """What an opened image file holds that its pixels in PIL's mode would not say, in words; "" for nothing."""
    if file.width * file.height > MOST_PIXELS:
        return f"has {file.width:,} x {file.height:,} pixels, more than {MOST_PIXELS:,}"
    if file.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return f"has the colour mode {file.mode}"
    if file.format == "TIFF":
        tags: Mapping[int, Any] = file.tag_v2  # type: ignore[attr-defined]
        bits, kinds = tags.get(BITS_PER_SAMPLE, (8,)), tags.get(SAMPLE_FORMAT, (1,))
        if max(bits) > 8 or set(kinds) != {1}:
            return f"has {max(bits)}-bit values" if max(bits) > 8 else "has signed values"
        if len(bits) != len(file.getbands()):
            return f"has {len(bits)} channels, which PIL reads as {file.mode}"
    for tile in file.tile:
        # How the decoder unpacks: ("RGB;16B"), or of a PPM its mode and largest value, ("RGB", 65535).
        said = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deep = [text for text in said if isinstance(text, str) and re.search(r"^(?!BGR).*;(12|16|24|32)", text)]
        if deep or (file.format == "PPM" and max([v for v in said if isinstance(v, int)], default=0) > 255):
            return "has more than 8 bits in a value"
    if (frames := getattr(file, "n_frames", 1)) > 1:
        return f"holds {frames} pictures"
    # Last, since reading EXIF can load the picture, which forgets how it was packed.
    if (turned := file.getexif().get(ORIENTATION, 1)) != 1:
        return f"is to be turned before it is shown (EXIF orientation {turned})"
    return ""
