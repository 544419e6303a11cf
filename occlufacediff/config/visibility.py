"""Settings of visibility: occlusion in the videos themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from occlufacediff.config.constraints import Limits, Section
from occlufacediff.errors import AssetError, ConfigError


@dataclass(frozen=True)
class VisibilitySettings(Section):
    """Occlusion in the videos themselves.

    Detectors report landmarks even when occluded, so visibility must be found or given.
    """

    #: ``none``: nothing is occluded; ``auto``: find occlusions with the packaged network and the hand detector;
    #: ``masks``: read mask files (``masks``); ``segmentation``: run a segmentation model (``model``). Occluded
    #: landmarks are excluded from fits, training, network inputs and ground truth.
    source: Literal["none", "auto", "masks", "segmentation"] = "none"
    #: Folder of mask files, white = occluded. ``<subject>/<emotion>/<level>/<sentence>`` in it is a picture for all
    #: frames (``003.png``), a folder with a picture per frame at 25 fps (``003/``), or a video (``003.mp4``). For the
    #: target ``predict``, the mask file has the video's name. Masks have the size of the video, or 224 x 224 for the
    #: crop of each frame.
    masks: str | None = None
    #: A clip without a mask file fails with ``no_mask`` (``fail``), or counts as fully visible (``visible``).
    without_mask: Literal["fail", "visible"] = "fail"
    #: Model for MediaPipe's image segmenter (``.tflite``); its input is the crop of each frame.
    model: str | None = None
    #: Model categories that count as visible face: names, or numbers if the model has no names. The default suits
    #: MediaPipe's ``selfie_multiclass``, whose hands are ``body-skin`` and glasses ``others``.
    visible: Annotated[tuple[str, ...], Limits(min_length=1)] = ("face-skin",)
    #: Dilation of the segmented face, in crop pixels, because landmarks lie on its edge.
    margin_px: Annotated[int, Limits(0, 50)] = 3
    #: Minimum visible fraction of the lip landmarks, and of eye and brow landmarks, in a known frame. Other frames are
    #: not used for training.
    known_part: Annotated[float, Limits(gt=0, le=1)] = 0.75

    def __post_init__(self) -> None:
        if self.source == "masks" and not self.masks:
            raise ValueError(f"masks: got {self.masks!r}, needs the folder of the mask files because source is 'masks'")
        if self.source == "segmentation" and not self.model:
            raise ValueError(
                f"model: got {self.model!r}, needs the path of a segmentation model (.tflite) because source is "
                "'segmentation'"
            )


def demand_files(settings: VisibilitySettings, section: str = "visibility") -> None:
    """Check that the folder of masks or the model exists.

    Args:
        section: name of the settings in the error.

    Raises:
        ConfigError: there is no such folder.
        AssetError: there is no such model.
    """
    if settings.source == "masks" and not Path(settings.masks or "").is_dir():
        raise ConfigError(
            f"{section}.masks: there is no folder {settings.masks}; give the one that holds "
            "<subject>/<emotion>/<level>/<sentence>.png (or .mp4, or a folder of pictures), white = occluded."
        )
    if settings.source == "segmentation" and not Path(settings.model or "").is_file():
        raise AssetError(
            f"{section}.model: there is no file {settings.model}; give the path of a segmentation model (.tflite)."
        )
