"""Pictures of occluders (RGBA), laid over the crop as the published demo does: a hand, a mask, glasses."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256
from occlufacediff.landmarks.normalise import CROP_PX

#: Kinds of picture files that know transparency.
SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
REMEDY = "give square RGBA pictures, transparent where the face shows, as they lie over the 224 x 224 crop"

Picture = NDArray[np.uint8]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which ``mask2.png`` comes before ``mask10.png``."""
    pieces = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def occluder_files(path: Path) -> list[Path]:
    """The pictures of a folder in natural order of their names, or the one picture that ``path`` is.

    Raises:
        ConfigError: nothing there, or a folder without pictures.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"occluder: there is no file or folder {path}")
    files = sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES), key=natural_key)
    if not files:
        raise ConfigError(f"occluder: the folder {path} holds no picture ({', '.join(sorted(SUFFIXES))}); {REMEDY}")
    return files


def occluder_digests(pictures: str | None, kinds: Collection[str]) -> list[str]:
    """Digests of the pictures that `draw_occluder` chooses from; none where ``kinds`` has no ``picture``.

    Raises:
        ConfigError: see `occluder_files`.
    """
    if pictures is None or "picture" not in kinds:
        return []
    return [sha256(file) for file in occluder_files(Path(pictures))]


def read_occluder(file: Path) -> Picture:
    """An occluder at the size of the crop, (224, 224, 4) RGBA; it hides where alpha is 128 and more.

    Raises:
        ConfigError: no picture, without transparency, not square, or one that hides nothing.
    """
    try:
        with Image.open(file) as picture:
            if not picture.has_transparency_data:
                raise ConfigError(f"occluder: {file} has no transparency ({picture.mode}); {REMEDY}")
            if picture.width != picture.height:
                raise ConfigError(f"occluder: {file} is {picture.width} x {picture.height} pixels; {REMEDY}")
            # Colours weighted by alpha while resizing: what is transparent must not bleed into the edge.
            small = picture.convert("RGBA").convert("RGBa").resize((CROP_PX, CROP_PX), Image.Resampling.BILINEAR)
            pixels = np.array(small.convert("RGBA"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"occluder: {file} is not a picture that can be read ({error}); {REMEDY}") from error
    if not (pixels[..., 3] >= 128).any():
        raise ConfigError(f"occluder: {file} hides nothing, alpha is below 128 everywhere; {REMEDY}")
    return pixels


def draw_occluder(path: Path, rng: np.random.Generator) -> Picture:
    """Choose one of the pictures at ``path`` and read it: (224, 224, 4) RGBA.

    Raises:
        ConfigError: no usable picture, see `occluder_files` and `read_occluder`.
    """
    files = occluder_files(path)
    return read_occluder(files[int(rng.integers(len(files)))])
