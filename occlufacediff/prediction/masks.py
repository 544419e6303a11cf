"""Mask pictures of a user: which pixels of the video hide the face. White means hidden."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from occlufacediff.errors import ConfigError
from occlufacediff.occlusion.pictures import natural_key

CROP = 224
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
REMEDY = "white = hidden; give pictures of the video's size or of 224 x 224"

Mask = NDArray[np.bool_]


class MaskPictures:
    """Mask pictures for a video: one for all frames, or one a frame.

    Args:
        path: a picture, or a folder of pictures taken in natural order of their names.
        video_size: width and height of the (upright) video, pixels.

    Raises:
        ConfigError: nothing there, no picture, or a picture of neither the video's size nor 224 x 224.
    """

    def __init__(self, path: Path, video_size: tuple[int, int]) -> None:
        self.path, self.video_size = path, video_size
        if path.is_dir():
            self.files = sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES), key=natural_key)
            if not self.files:
                raise ConfigError(f"--mask: the folder {path} holds no picture ({', '.join(sorted(SUFFIXES))})")
        elif path.is_file():
            self.files = [path]
        else:
            raise ConfigError(f"--mask: there is no file or folder {path}")
        sizes = {file: _size_of(file) for file in self.files}
        for file, size in sizes.items():
            if size not in (video_size, (CROP, CROP)):
                raise ConfigError(
                    f"--mask: {file} is {size[0]} x {size[1]} pixels, the video is {video_size[0]} x {video_size[1]}; "
                    f"{REMEDY}"
                )
        self._load = lru_cache(maxsize=2)(_read)

    def check_count(self, frames: int) -> None:
        """Refuse a folder whose number of pictures is neither 1 nor the number of frames at 25 fps.

        Raises:
            ConfigError: the numbers differ.
        """
        if len(self.files) not in (1, frames):
            raise ConfigError(
                f"--mask: {self.path} holds {len(self.files)} pictures, the video has {frames} frames at 25 fps; "
                f"give {frames} pictures, or one for all frames"
            )

    def hidden(self, frame: int, box: NDArray[np.floating]) -> Mask:
        """What is hidden in a frame, on its crop.

        Args:
            frame: index of the frame at 25 fps.
            box: crop box ``(x0, y0, size)``, source pixels.

        Returns:
            (224, 224) True where hidden; False outside the video's picture.
        """
        mask = self._load(self.files[frame if len(self.files) > 1 else 0])
        if mask.shape[::-1] != self.video_size:
            return mask
        zoom = (CROP - 1) / float(box[2])
        matrix = np.array([[zoom, 0, -box[0] * zoom], [0, zoom, -box[1] * zoom]], dtype=np.float64)
        return cv2.warpAffine(mask.astype(np.uint8), matrix, (CROP, CROP), flags=cv2.INTER_NEAREST).astype(bool)


def _size_of(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError) as error:
        raise ConfigError(f"--mask: {file} is not a picture that can be read; {REMEDY}") from error


def _read(file: Path) -> Mask:
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("L")) > 127
    except OSError as error:
        raise ConfigError(f"--mask: {file} is damaged: {error}") from error
