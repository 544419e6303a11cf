"""Images of occluders (RGBA): pictures that are laid over the crop, and objects that move over it."""

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
from occlufacediff.occlusion.moving_picture import OPAQUE

#: Image formats with transparency.
SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
REMEDY = "use square RGBA images that cover the 224 x 224 crop and are transparent where the face is visible"
REMEDY_OBJECT = "use RGBA images of objects that are cut out of their background"


def occluder_files(path: Path) -> list[Path]:
    """The images of a folder in natural order, or ``path`` itself if it is a file.

    Raises:
        ConfigError: no such file or folder, or a folder without images.
    """
    return image_files(path, SUFFIXES, label="occluder", remedy=REMEDY)


def occluder_digests(pictures: str | None, kinds: Collection[str], occluders: str | None = None) -> list[str]:
    """Digests of the images that the ``kinds`` draw from; empty if none of them needs images.

    Args:
        pictures: images of the kind ``picture``.
        kinds: the occlusion kinds.
        occluders: images of the kind ``natural``.

    Raises:
        ConfigError: see `occluder_files`.
    """
    folders = {"picture": pictures, "natural": occluders}
    used = [folder for kind, folder in folders.items() if kind in kinds and folder is not None]
    return [sha256(file) for folder in used for file in occluder_files(Path(folder))]


def read_occluder(file: Path, opaque: int = OPAQUE) -> NDArray[np.uint8]:
    """Read an occluder and resize it to the crop, (224, 224, 4) RGBA; it occludes where alpha is at least ``opaque``.

    Raises:
        ConfigError: not an image, no transparency, not square, or nothing is opaque.
    """
    pixels = _read(file, square=True)
    if not (pixels[..., 3] >= opaque).any():
        raise ConfigError(f"occluder: {file} occludes nothing, alpha is below {opaque} everywhere; {REMEDY}")
    return pixels


def read_object(file: Path) -> NDArray[np.uint8]:
    """Read a picture of an object (H, W, 4) RGBA, cut to its opaque part; its longer side is at most 224 pixels.

    Raises:
        ConfigError: not an image, no transparency, or nothing is opaque.
    """
    pixels = _read(file, square=False)
    opaque = pixels[..., 3] >= OPAQUE
    if not opaque.any():
        raise ConfigError(f"occluder: {file} occludes nothing, alpha is below {OPAQUE} everywhere; {REMEDY_OBJECT}")
    rows, columns = np.flatnonzero(opaque.any(axis=1)), np.flatnonzero(opaque.any(axis=0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def _read(file: Path, square: bool) -> NDArray[np.uint8]:
    """Pixels of a picture, resized to the crop if it must be ``square``, else to at most its size."""
    remedy = REMEDY if square else REMEDY_OBJECT
    try:
        with Image.open(file) as image:
            if not image.has_transparency_data:
                raise ConfigError(f"occluder: {file} has no transparency ({image.mode}); {remedy}")
            if square and image.width != image.height:
                raise ConfigError(f"occluder: {file} is {image.width} x {image.height} pixels; {remedy}")
            # Resized with premultiplied alpha, so that colours of transparent pixels do not bleed into the edge.
            colours = image.convert("RGBA").convert("RGBa")
            if square:
                colours = colours.resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR)
            else:
                colours.thumbnail((CROP_PX, CROP_PX), Image.Resampling.BILINEAR)
            return np.array(colours.convert("RGBA"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"occluder: {file} is not a readable image ({error}); {remedy}") from error


def draw_occluder(path: Path, rng: np.random.Generator, opaque: int = OPAQUE) -> NDArray[np.uint8]:
    """Draw one of the images at ``path`` and read it: (224, 224, 4) RGBA.

    Raises:
        ConfigError: no usable image, see `occluder_files` and `read_occluder`.
    """
    return read_occluder(_drawn(path, rng), opaque)


def draw_object(path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one of the pictures of objects at ``path`` and read it: (H, W, 4) RGBA.

    Raises:
        ConfigError: no usable image, see `occluder_files` and `read_object`.
    """
    return read_object(_drawn(path, rng))


def _drawn(path: Path, rng: np.random.Generator) -> Path:
    files = occluder_files(path)
    return files[int(rng.integers(len(files)))]
