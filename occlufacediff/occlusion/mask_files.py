"""Mask files of a user: images or videos in which white pixels are occluded."""

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
from occlufacediff.occlusion.image_files import image_files

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
REMEDY = "white = occluded; use the size of the video or 224 x 224"
#: Grey values from here on count as white.
WHITE = 128

Mask = NDArray[np.bool_]


def open_masks(path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> MaskImages | MaskVideo:
    """Open the masks of a video: an image, a folder of images, or a video.

    Args:
        path: the file or folder.
        video_size: width and height of the (upright) video, pixels.
        label: option or configuration key in error messages.

    Raises:
        ConfigError: no such file, not an image or video, or of another size.
    """
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return MaskVideo(path, video_size, label=label)
    return MaskImages(path, video_size, label=label)


def find_masks(folder: Path, name: str) -> list[Path]:
    """All masks of a video in a folder: a folder ``<name>``, and images or videos ``<name>.<suffix>``."""
    stem = folder / name
    files = (stem.with_name(stem.name + suffix) for suffix in sorted(SUFFIXES.union(VIDEO_SUFFIXES)))
    return [path for path in (stem,) if path.is_dir()] + [path for path in files if path.is_file()]


class MaskImages:
    """Mask images of a video: one for all frames, or one per frame.

    Args:
        path: an image, or a folder of images in natural order of their names.
        video_size: width and height of the (upright) video, pixels.
        label: option or configuration key in error messages.

    Raises:
        ConfigError: no such file, not an image, or of neither the video's size nor 224 x 224.
    """

    def __init__(self, path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> None:
        self.path, self.video_size, self.label = path, video_size, label
        self.files = image_files(path, SUFFIXES, label=label, remedy=REMEDY)
        for file in self.files:
            _check_size(file, self._size_of(file), video_size, label)
        self._load = lru_cache(maxsize=2)(self._read)

    def check_frame_count(self, frames: int) -> None:
        """Check that there is one image, or one per frame at 25 fps.

        Raises:
            ConfigError: the numbers differ.
        """
        if len(self.files) not in (1, frames):
            raise ConfigError(
                f"{self.label}: {self.path} has {len(self.files)} images, the video has {frames} frames at 25 fps; "
                f"use {frames} images, or one for all frames"
            )

    def occluded_pixels(self, frame: int, box: NDArray[np.floating]) -> Mask:
        """Occluded pixels of a frame on its crop.

        Args:
            frame: index of the frame at 25 fps.
            box: crop box ``(x0, y0, size)``, source pixels.

        Returns:
            (224, 224) True where occluded; False outside the video's image.
        """
        return warp_to_crop(self._load(self.files[frame if len(self.files) > 1 else 0]), box, self.video_size)

    def _size_of(self, file: Path) -> tuple[int, int]:
        try:
            with Image.open(file) as image:
                return image.size
        except (UnidentifiedImageError, OSError) as error:
            raise ConfigError(f"{self.label}: {file} is not a readable image; {REMEDY}") from error

    def _read(self, file: Path) -> Mask:
        try:
            with Image.open(file) as image:
                return np.asarray(image.convert("L")) >= WHITE
        except OSError as error:
            raise ConfigError(f"{self.label}: {file} is damaged: {error}") from error


class MaskVideo:
    """A video of masks, resampled to 25 fps like the video itself; it keeps one frame in memory.

    Args:
        path: the mask video.
        video_size: width and height of the (upright) video that it masks, pixels.
        label: option or configuration key in error messages.

    Raises:
        ConfigError: not a video, or of neither the video's size nor 224 x 224.
    """

    def __init__(self, path: Path, video_size: tuple[int, int], *, label: str = "--mask") -> None:
        self.path, self.video_size, self.label = path, video_size, label
        try:
            track = probe(path).require_video()
        except ClipError as error:
            raise ConfigError(f"{label}: {error}") from error
        _check_size(path, (track.width, track.height), video_size, label)
        self._frames = self._decode()
        self._mask, self._position = next(self._frames), 0

    def check_frame_count(self, frames: int) -> None:
        """Check that the lengths differ by at most one frame at 25 fps; a missing last frame repeats the one before.

        Raises:
            ConfigError: the lengths differ by more.
        """
        count = sum(1 for _ in self._decode())
        if abs(count - frames) > 1:
            raise ConfigError(
                f"{self.label}: {self.path} has {count} frames at 25 fps, the video has {frames}; use masks of the "
                "whole video, or one image for all frames"
            )

    def occluded_pixels(self, frame: int, box: NDArray[np.floating]) -> Mask:
        """As in `MaskImages`; going back to an earlier frame decodes the video again."""
        if frame < self._position:
            self._frames = self._decode()
            self._mask, self._position = next(self._frames), 0
        while self._position < frame:
            # After the end, the last mask is repeated.
            self._mask = next(self._frames, self._mask)
            self._position += 1
        return warp_to_crop(self._mask, box, self.video_size)

    def _decode(self) -> Iterator[Mask]:
        try:
            for frame in read_frames(self.path, threads=1):
                yield cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) >= WHITE
        except ClipError as error:
            raise ConfigError(f"{self.label}: {error}") from error


def warp_to_crop(mask: Mask, box: NDArray[np.floating], video_size: tuple[int, int]) -> Mask:
    """Warp a mask of the video's size to the crop ``box``, False outside it; a mask of 224 x 224 is returned as is."""
    if mask.shape[::-1] != video_size:
        return mask
    size = (CROP_PX, CROP_PX)
    return cv2.warpAffine(mask.astype(np.uint8), crop_matrix(box)[:2], size, flags=cv2.INTER_NEAREST).astype(bool)


def _check_size(file: Path, size: tuple[int, int], video_size: tuple[int, int], label: str) -> None:
    if size not in (video_size, (CROP_PX, CROP_PX)):
        raise ConfigError(
            f"{label}: {file} is {size[0]} x {size[1]} pixels, the video is {video_size[0]} x {video_size[1]}; {REMEDY}"
        )
