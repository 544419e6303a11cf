"""Settings of visibility: what lies over the face in the recordings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from occlufacediff.errors import AssetError, ConfigError


@dataclass(frozen=True)
class VisibilitySettings:
    """What is hidden in the recordings themselves; no landmark detector tells, each sees a mouth behind a hand too."""

    #: ``none``: every face is seen whole; ``masks``: mask files tell what is hidden (``masks``); ``segmentation``: a
    #: segmentation model tells what is face (``model``). What is hidden is not fitted to, not learnt from, not given to
    #: the network and not scored as truth.
    source: Literal["none", "masks", "segmentation"] = "none"
    #: Folder of mask files, white = hidden: ``<subject>/<emotion>/<level>/<sentence>`` in it is a picture
    #: (``003.png``) for all frames, a folder of pictures (``003/``), one a frame at 25 fps, or a video (``003.mp4``).
    #: For the target ``predict`` it is named like the video. Of the video's size, or 224 x 224 over each frame's crop.
    masks: str | None = None
    #: What a clip without a mask file is: an error (``fail``, the clip fails with ``no_mask``), or seen whole
    #: (``visible``).
    without_mask: Literal["fail", "visible"] = "fail"
    #: Segmentation model for MediaPipe's image segmenter (``.tflite``); it looks at the crop of each frame.
    model: str | None = None
    #: Categories of the model that count as visible face, by name; by number where a model has no names. The default
    #: is that of MediaPipe's ``selfie_multiclass``, whose hands are ``body-skin`` and glasses ``others``.
    visible: tuple[str, ...] = ("face-skin",)
    #: What the model calls face is widened by so many pixels of the 224 x 224 crop: landmarks lie on its very edge.
    margin_px: int = 3
    #: Least part of the lips' landmarks, and of those of eyes and brows, that must be visible for the motion of a frame
    #: to count as known, 0 to 1. Other frames are not learnt from.
    known_part: float = 0.75

    def __post_init__(self) -> None:
        if self.source == "masks" and not self.masks:
            raise ValueError(f"masks: got {self.masks!r}, needs the folder of the mask files because source is 'masks'")
        if self.source == "segmentation" and not self.model:
            raise ValueError(
                f"model: got {self.model!r}, needs the path of a segmentation model (.tflite) because source is "
                "'segmentation'"
            )
        if not self.visible:
            raise ValueError("visible: got nothing, needs the names of the categories that are visible face")
        if not 0 <= self.margin_px <= 50:
            raise ValueError(f"margin_px: got {self.margin_px}, needs 0 to 50")
        if not 0 < self.known_part <= 1:
            raise ValueError(f"known_part: got {self.known_part}, needs more than 0, at most 1")


def demand_files(settings: VisibilitySettings, section: str = "visibility") -> None:
    """Look for the folder of masks or the model that the settings name.

    Args:
        section: what to call the settings in the error.

    Raises:
        ConfigError: there is no such folder.
        AssetError: there is no such model.
    """
    if settings.source == "masks" and not Path(settings.masks or "").is_dir():
        raise ConfigError(
            f"{section}.masks: there is no folder {settings.masks}; give the one that holds "
            "<subject>/<emotion>/<level>/<sentence>.png (or .mp4, or a folder of pictures), white = hidden."
        )
    if settings.source == "segmentation" and not Path(settings.model or "").is_file():
        raise AssetError(
            f"{section}.model: there is no file {settings.model}; give the path of a segmentation model (.tflite)."
        )
