"""Mask files of a user: which pixels of the video hide the face. White means hidden."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.landmarks.normalise import CROP_PX, crop_matrix
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import probe
from occlufacediff.media.suffixes import VIDEO_SUFFIXES
from occlufacediff.occlusion.pictures import natural_key

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
REMEDY = "white = hidden; give pictures of the video's size or of 224 x 224"
#: From here on a grey value is white.
WHITE = 128

Mask = NDArray[np.bool_]


def read_masks(path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> MaskPictures | MaskVideo:
    """Mask files of one video: a picture, a folder of pictures, or a video.

    Args:
        path: the file or folder.
        video_size: width and height of the (upright) video, pixels.
        label: name of the option or key that led here, for messages.

    Raises:
        ConfigError: nothing there, neither picture nor video, or of another size.
    """
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return MaskVideo(path, video_size, label=label)
    return MaskPictures(path, video_size, label=label)


def find_masks(folder: Path, name: str) -> list[Path]:
    """Masks of a video below a folder: a folder ``<name>``, files ``<name>.<suffix>`` of pictures or videos."""
    stem = folder / name
    files = (stem.with_name(stem.name + suffix) for suffix in sorted(SUFFIXES.union(VIDEO_SUFFIXES)))
    return [path for path in (stem,) if path.is_dir()] + [path for path in files if path.is_file()]


class MaskPictures:
    """Mask pictures for a video: one for all frames, or one a frame.

    Args:
        path: a picture, or a folder of pictures taken in natural order of their names.
        video_size: width and height of the (upright) video, pixels.
        label: name of the option or key that led here, for messages.

    Raises:
        ConfigError: nothing there, no picture, or a picture of neither the video's size nor 224 x 224.
    """

    def __init__(self, path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> None:
        self.path, self.video_size, self.label = path, video_size, label
        if path.is_dir():
            self.files = sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES), key=natural_key)
            if not self.files:
                raise ConfigError(f"{label}: the folder {path} holds no picture ({', '.join(sorted(SUFFIXES))})")
        elif path.is_file():
            self.files = [path]
        else:
            raise ConfigError(f"{label}: there is no file or folder {path}")
        for file in self.files:
            _check_size(file, self._size_of(file), video_size, label)
        self._load = lru_cache(maxsize=2)(self._read)

    def check_count(self, frames: int) -> None:
        """Refuse a folder whose number of pictures is neither 1 nor the number of frames at 25 fps.

        Raises:
            ConfigError: the numbers differ.
        """
        if len(self.files) not in (1, frames):
            raise ConfigError(
                f"{self.label}: {self.path} holds {len(self.files)} pictures, the video has {frames} frames at 25 fps; "
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
        return on_crop(self._load(self.files[frame if len(self.files) > 1 else 0]), box, self.video_size)

    def _size_of(self, file: Path) -> tuple[int, int]:
        try:
            with Image.open(file) as picture:
                return picture.size
        except (UnidentifiedImageError, OSError) as error:
            raise ConfigError(f"{self.label}: {file} is not a picture that can be read; {REMEDY}") from error

    def _read(self, file: Path) -> Mask:
        try:
            with Image.open(file) as picture:
                return np.asarray(picture.convert("L")) >= WHITE
        except OSError as error:
            raise ConfigError(f"{self.label}: {file} is damaged: {error}") from error


class MaskVideo:
    """A video of masks, brought to 25 fps as the video itself is; only one frame is held at a time.

    Args:
        path: the video.
        video_size: width and height of the (upright) video that it masks, pixels.
        label: name of the option or key that led here, for messages.

    Raises:
        ConfigError: no video, or of neither the video's size nor 224 x 224.
    """

    def __init__(self, path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> None:
        self.path, self.video_size, self.label = path, video_size, label
        try:
            track = probe(path).require_video()
        except ClipError as error:
            raise ConfigError(f"{label}: {error}") from error
        _check_size(path, (track.width, track.height), video_size, label)
        self._rest = self._frames()
        self._mask, self._at = next(self._rest), 0

    def check_count(self, frames: int) -> None:
        """Refuse a video whose length differs by more than a frame at 25 fps; one that lacks a frame holds its last.

        Raises:
            ConfigError: the lengths differ.
        """
        count = sum(1 for _ in self._frames())
        if abs(count - frames) > 1:
            raise ConfigError(
                f"{self.label}: {self.path} has {count} frames at 25 fps, the video has {frames}; give masks of the "
                "whole video, or one picture for all frames"
            )

    def hidden(self, frame: int, box: NDArray[np.floating]) -> Mask:
        """As in `MaskPictures`; fastest when frames are asked for in their order."""
        if frame < self._at:
            self._rest = self._frames()
            self._mask, self._at = next(self._rest), 0
        while self._at < frame:
            # Held after the last one.
            self._mask = next(self._rest, self._mask)
            self._at += 1
        return on_crop(self._mask, box, self.video_size)

    def _frames(self) -> Iterator[Mask]:
        try:
            for frame in read_frames(self.path, threads=1):
                yield cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) >= WHITE
        except ClipError as error:
            raise ConfigError(f"{self.label}: {error}") from error


def on_crop(mask: Mask, box: NDArray[np.floating], video_size: tuple[int, int]) -> Mask:
    """A mask of the video's size brought to the crop ``box``, False outside the picture; another is on the crop."""
    if mask.shape[::-1] != video_size:
        return mask
    size = (CROP_PX, CROP_PX)
    return cv2.warpAffine(mask.astype(np.uint8), crop_matrix(box)[:2], size, flags=cv2.INTER_NEAREST).astype(bool)


def _check_size(file: Path, size: tuple[int, int], video_size: tuple[int, int], label: str) -> None:
    if size not in (video_size, (CROP_PX, CROP_PX)):
        raise ConfigError(
            f"{label}: {file} is {size[0]} x {size[1]} pixels, the video is {video_size[0]} x {video_size[1]}; {REMEDY}"
        )
