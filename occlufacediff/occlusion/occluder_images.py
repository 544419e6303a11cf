"""Images of occluders (RGBA), such as a hand, a mask or glasses, which are laid over the crop."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.occlusion.image_files import image_files
from occlufacediff.occlusion.occlude import OPAQUE

#: Image formats with transparency.
SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
REMEDY = "use square RGBA images that cover the 224 x 224 crop and are transparent where the face is visible"


def occluder_files(path: Path) -> list[Path]:
    """The images of a folder in natural order, or ``path`` itself if it is a file.

    Raises:
        ConfigError: no such file or folder, or a folder without images.
    """
    return image_files(path, SUFFIXES, label="occluder", remedy=REMEDY)


def occluder_digests(pictures: str | None, kinds: Collection[str]) -> list[str]:
    """Digests of the images that `draw_occluder` draws from; empty if ``kinds`` does not contain ``picture``.

    Raises:
        ConfigError: see `occluder_files`.
    """
    if pictures is None or "picture" not in kinds:
        return []
    return [sha256(file) for file in occluder_files(Path(pictures))]


def read_occluder(file: Path) -> NDArray[np.uint8]:
    """Read an occluder and resize it to the crop, (224, 224, 4) RGBA; it occludes where alpha is 128 or more.

    Raises:
        ConfigError: not an image, no transparency, not square, or nothing is opaque.
    """
    try:
        with Image.open(file) as image:
            if not image.has_transparency_data:
                raise ConfigError(f"occluder: {file} has no transparency ({image.mode}); {REMEDY}")
            if image.width != image.height:
                raise ConfigError(f"occluder: {file} is {image.width} x {image.height} pixels; {REMEDY}")
            # Resized with premultiplied alpha, so that colours of transparent pixels do not bleed into the edge.
            small = image.convert("RGBA").convert("RGBa").resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR)
            pixels = np.array(small.convert("RGBA"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"occluder: {file} is not a readable image ({error}); {REMEDY}") from error
    if not (pixels[..., 3] >= OPAQUE).any():
        raise ConfigError(f"occluder: {file} occludes nothing, alpha is below {OPAQUE} everywhere; {REMEDY}")
    return pixels


def draw_occluder(path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one of the images at ``path`` and read it: (224, 224, 4) RGBA.

    Raises:
        ConfigError: no usable image, see `occluder_files` and `read_occluder`.
    """
    files = occluder_files(path)
    return read_occluder(files[int(rng.integers(len(files)))])
