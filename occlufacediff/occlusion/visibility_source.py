"""Sources of visibility in recordings: mask files or a segmentation model.

Landmark detectors report landmarks even when occluded, so visibility must be given.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.visibility import VisibilitySettings, demand_files
from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.files import sha256
from occlufacediff.occlusion.mask_files import MaskImages, MaskVideo, find_masks, open_masks

Mask = NDArray[np.bool_]


class VisibilitySource(Protocol):
    """Gives the occluded pixels of a video, frame by frame in order."""

    #: Whether `occluded_pixels` needs the crop.
    needs_crop: bool

    def occluded_pixels(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None) -> Mask:
        """(224, 224) True where the crop of a frame shows no visible face.

        Args:
            frame: index of the frame at 25 fps.
            box: its crop box ``(x0, y0, size)``, source pixels.
            crop: (224, 224, 3) RGB; may be None unless ``needs_crop``.
        """
        ...


class MaskVisibility:
    """Visibility from mask files."""

    needs_crop = False

    def __init__(self, masks: MaskImages | MaskVideo) -> None:
        self._masks = masks

    def occluded_pixels(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None = None) -> Mask:
        """See `VisibilitySource`."""
        return self._masks.occluded_pixels(frame, box)


class SegmentationVisibility:
    """Visibility from a segmentation model: all pixels outside the face categories are occluded."""

    needs_crop = True

    def __init__(self, settings: VisibilitySettings) -> None:
        # MediaPipe takes seconds to import.
        from occlufacediff.occlusion.segment import segmenter

        self._segmenter = segmenter(settings)

    def occluded_pixels(self, frame: int, box: NDArray[np.floating], crop: NDArray[np.uint8] | None = None) -> Mask:
        """See `VisibilitySource`."""
        if crop is None:
            raise ValueError("crop: got None, needs the image to segment")
        return self._segmenter.occluded_pixels(crop)


def visibility_source(
    settings: VisibilitySettings, name: str, size: tuple[int, int], frames: int
) -> VisibilitySource | None:
    """The visibility source of one video; None if none is given for it, or if it is found by the program (``auto``).

    Args:
        settings: the configured source.
        name: name of its masks in the folder: ``<subject>/<emotion>/<level>/<sentence>`` of a clip, or of a video.
        size: width and height of the video, pixels.
        frames: its length at 25 fps.

    Raises:
        ClipError: ``no_mask``, or ``bad_mask`` if its mask is not readable or of another size or length.
        AssetError: the segmentation model is not usable.
    """
    if settings.source in ("none", "auto"):
        return None
    if settings.source == "segmentation":
        return SegmentationVisibility(settings)
    try:
        path = _mask_path(settings, name)
        if path is None:
            return None
        masks = open_masks(path, size, label="visibility.masks")
        masks.check_frame_count(frames)
    except ConfigError as error:
        raise ClipError("bad_mask", str(error)) from error
    return MaskVisibility(masks)


def _mask_path(settings: VisibilitySettings, name: str) -> Path | None:
    """The mask file or folder of a clip; None if it has none and counts as visible.

    Raises:
        ClipError: ``no_mask``.
        ConfigError: there are several.
    """
    folder = Path(settings.masks or "")
    found = find_masks(folder, name)
    if len(found) > 1:
        raise ConfigError(f"visibility.masks: found both {found[0]} and {found[1]}; keep one of them")
    if not found and settings.without_mask == "fail":
        raise ClipError(
            "no_mask",
            f"visibility.masks: {folder} has no mask for {name} ({name}.png, {name}.mp4 or a folder {name}/); add "
            "one, or set visibility.without_mask to 'visible'",
        )
    return found[0] if found else None


def check_source(settings: VisibilitySettings) -> None:
    """Check the configured folder or model before any clip is processed.

    Raises:
        ConfigError: there is no such folder.
        AssetError: the model is missing or not usable.
    """
    demand_files(settings)
    if settings.source == "segmentation":
        SegmentationVisibility(settings)


def source_digest(settings: VisibilitySettings, name: str) -> str:
    """Digest of all that determines a clip's visibility: settings, mask files, model; empty for ``none``."""
    if settings.source == "none":
        return ""
    digest = hashlib.sha256(repr(settings).encode())
    if settings.source == "segmentation":
        digest.update(_model_digest(Path(settings.model or "")).encode())
        return digest.hexdigest()
    if settings.source == "auto":
        return digest.hexdigest()
    for path in find_masks(Path(settings.masks or ""), name):
        for file in sorted(path.iterdir()) if path.is_dir() else (path,):
            if file.is_file():
                digest.update(f"{file.name} {sha256(file)}".encode())
    return digest.hexdigest()


@cache
def _model_digest(model: Path) -> str:
    """Digest of the model; cached, because all clips of a shard share it."""
    return sha256(model)
