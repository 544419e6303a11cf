"""What is hidden in a recording itself: told by mask files or by a segmentation model, never by a detector."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.visibility import VisibilitySettings, demand_files
from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.face_mesh import LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from occlufacediff.files import sha256
from occlufacediff.occlusion.masks import MaskPictures, MaskVideo, find_masks, read_masks

Mask = NDArray[np.bool_]
EYES = (*LEFT_EYE, *RIGHT_EYE, *LEFT_BROW, *RIGHT_BROW)


class VisibilitySource(Protocol):
    """Tells what is hidden in a video, frame by frame in their order."""

    #: Whether `hidden` looks at the crop's picture.
    looks: bool

    def hidden(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None) -> Mask:
        """(224, 224) True where the crop of a frame shows no visible face.

        Args:
            frame: index of the frame at 25 fps.
            box: its crop box ``(x0, y0, size)``, source pixels.
            crop: (224, 224, 3) RGB; None where ``looks`` is false.
        """
        ...


class MaskVisibility:
    """What a user's mask files hide."""

    looks = False

    def __init__(self, masks: MaskPictures | MaskVideo) -> None:
        self._masks = masks

    def hidden(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None = None) -> Mask:
        """See `VisibilitySource`."""
        return self._masks.hidden(frame, box)


class SegmentationVisibility:
    """Whatever a segmentation model does not call face."""

    looks = True

    def __init__(self, settings: VisibilitySettings) -> None:
        # MediaPipe takes seconds to import.
        from occlufacediff.occlusion.segment import segmenter

        self._segmenter = segmenter(settings)

    def hidden(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None = None) -> Mask:
        """See `VisibilitySource`."""
        if crop is None:
            raise ValueError("crop: got None, needs the picture that is segmented")
        return self._segmenter.hidden(crop)


def visibility_source(
    settings: VisibilitySettings, name: str, size: tuple[int, int], frames: int
) -> VisibilitySource | None:
    """What tells what is hidden in one video; None where it is seen whole.

    Args:
        settings: the configured source.
        name: of the clip in the folder of masks, ``<subject>/<emotion>/<level>/<sentence>``, or of a video.
        size: width and height of the video, pixels.
        frames: its length at 25 fps.

    Raises:
        ClipError: ``no_mask``, or ``bad_mask`` when its mask cannot be read or is of another size or length.
        AssetError: the segmentation model is not usable.
    """
    if settings.source == "none":
        return None
    if settings.source == "segmentation":
        return SegmentationVisibility(settings)
    try:
        path = mask_file(settings, name)
        if path is None:
            return None
        masks = read_masks(path, size, label="visibility.masks")
        masks.check_count(frames)
    except ConfigError as error:
        raise ClipError("bad_mask", str(error)) from error
    return MaskVisibility(masks)


def mask_file(settings: VisibilitySettings, name: str) -> Path | None:
    """The mask file or folder of a clip; None where it has none and counts as visible then.

    Raises:
        ClipError: ``no_mask``.
        ConfigError: there are several.
    """
    folder = Path(settings.masks or "")
    found = find_masks(folder, name)
    if len(found) > 1:
        raise ConfigError(f"visibility.masks: there are {found[0]} and {found[1]}; leave one of them")
    if not found and settings.without_mask == "fail":
        raise ClipError(
            "no_mask",
            f"visibility.masks: {folder} holds no mask for {name} ({name}.png, {name}.mp4 or a folder {name}/); make "
            "one, or set visibility.without_mask to 'visible'",
        )
    return found[0] if found else None


def check_source(settings: VisibilitySettings) -> None:
    """Look for the folder or the model that the settings name, before any clip.

    Raises:
        ConfigError: there is no such folder.
        AssetError: the model is missing or not usable.
    """
    demand_files(settings)
    if settings.source == "segmentation":
        SegmentationVisibility(settings)


def source_digest(settings: VisibilitySettings, name: str) -> str:
    """Changes with what is told to be hidden in a clip: the settings, its mask files, the model; empty for ``none``."""
    if settings.source == "none":
        return ""
    digest = hashlib.sha256(repr(settings).encode())
    if settings.source == "segmentation":
        digest.update(_digest_of(Path(settings.model or "")).encode())
        return digest.hexdigest()
    for path in find_masks(Path(settings.masks or ""), name):
        for file in sorted(path.iterdir()) if path.is_dir() else (path,):
            if file.is_file():
                digest.update(f"{file.name} {sha256(file)}".encode())
    return digest.hexdigest()


@cache
def _digest_of(model: Path) -> str:
    """The same file for every clip of a shard."""
    return sha256(model)


def known_frames(visible: NDArray[np.generic], landmarks: NDArray[np.floating], least: float) -> Mask:
    """Frames (T,) whose expression and jaw the recording tells: enough of lips, and of eyes and brows, is visible.

    Args:
        visible: (T, 468) nonzero where a landmark is visible.
        landmarks: (T, 468 or more, 2); a point that is NaN in every frame is none of the detector's and does not count.
        least: least visible part of either, 0 to 1.
    """
    given = np.isfinite(landmarks[:, : visible.shape[1]]).all(axis=2).any(axis=0)
    known = np.ones(len(visible), dtype=bool)
    for points in (np.array(LIPS), np.array(EYES)):
        points = points[given[points]]
        if len(points):
            known &= (visible[:, points] != 0).mean(axis=1) >= least
    return known
