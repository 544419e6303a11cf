"""Step 2, visibility: which landmarks and pixels are occluded, in the video itself or by a simulated occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.errors import ClipError
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.landmarks.visibility import to_pixels
from occlufacediff.occlusion.mask_files import MaskImages, MaskVideo
from occlufacediff.occlusion.occlude import Occlusion, occlude
from occlufacediff.occlusion.regions import missing_to_nan
from occlufacediff.occlusion.visibility_source import MaskVisibility
from occlufacediff.prediction.crop_masks import CropMasks, packed
from occlufacediff.prediction.observation import Observation
from occlufacediff.visibility.joining import drawn
from occlufacediff.visibility.margin import within_margin

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
MaskSource = MaskImages | MaskVideo | MaskVisibility


@dataclass(frozen=True, eq=False)
class Visibility:
    """Visible landmarks and occluded pixels of T frames.

    Attributes:
        lmk_mask: (T, 468) float32, 1 where the landmark is given to the network. Visible landmarks beside an occluder
            that the program found are not (`visibility.margin`).
        lmk_mask_video: (T, 468) float32, 1 where the video itself shows the landmark; without simulated occlusion.
        occlusion: the simulated occlusion.
        masks: occluded pixels of the video itself; None if there is no source of visibility.
        found: (T,) True where the face was found.
        probability: (T, 468) float32 probability that the video shows the landmark; 0 or 1 unless visibility was found
            by the program itself.
    """

    lmk_mask: Float
    lmk_mask_video: Float
    occlusion: Occlusion
    masks: CropMasks | None
    found: Mask
    probability: Float

    def crop_mask(self, frame: int) -> Mask:
        """(224, 224) True where the crop of a frame is occluded; everywhere if no face was found."""
        if not self.found[frame]:
            return np.ones((CROP_PX, CROP_PX), dtype=bool)
        mask = self.occlusion.image_mask(slice(frame, frame + 1))[0]
        return mask if self.masks is None else mask | self.masks[frame]

    def occluder(self, frame: int) -> NDArray[np.uint8] | None:
        """(224, 224, 4) RGBA image of the simulated occluder in a frame; None where none is shown."""
        return self.occlusion.occluder(frame)


def find_visibility(
    video: Path,
    observation: Observation,
    masks: Sequence[MaskSource],
    *,
    kind: str,
    settings: OcclusionSettings,
    seed: int,
) -> Visibility:
    """Combine masks, segmentation and a simulated occlusion to the visibility of each landmark.

    Args:
        video: the source; its stem is part of the seed, its path of messages.
        observation: landmarks, and the visibility that a segmentation model or the program itself found.
        masks: mask files; they add to what was found.
        kind: kind of the simulated occlusion.
        settings: settings of the simulated occlusion.
        seed: seed of the simulated occlusion.

    Raises:
        ClipError: the detector gives no landmark of the region to occlude.
        ConfigError: the occluder is not a usable image, or a mask cannot be read.
    """
    given = _crop_masks(observation, masks)
    rng = np.random.default_rng([seed, *video.stem.encode()])
    detected = missing_to_nan(observation.lmk_2d, observation.known)
    try:
        occlusion = occlude(kind, detected, rng, settings)
    except ClipError as error:
        raise ClipError(error.reason, f"{video}: {error}") from error
    lmk_mask_video = probability = _visible_landmarks(observation, given)
    lmk_mask = occlusion.lmk_mask(observation.lmk_2d)
    lmk_mask *= lmk_mask_video
    if observation.seen is not None:
        lmk_mask *= ~within_margin(observation.seen.uncertain, detected)
        probability = lmk_mask_video * observation.seen.probability
        lmk_mask_video *= ~observation.seen.hidden
    return Visibility(
        lmk_mask=lmk_mask,
        lmk_mask_video=lmk_mask_video,
        occlusion=occlusion,
        masks=_with_found(observation, given),
        found=observation.found,
        probability=probability,
    )


def _crop_masks(observation: Observation, sources: Sequence[MaskSource]) -> CropMasks | None:
    """Union of mask files and segmentation, on each frame's crop; None without either."""
    if not sources:
        return observation.segmented
    frames = []
    for number, box in enumerate(observation.boxes):
        mask = np.any([source.occluded_pixels(number, box) for source in sources], axis=0)
        if observation.segmented is not None:
            mask |= observation.segmented[number]
        frames.append(packed(mask))
    return CropMasks(tuple(frames))


def _with_found(observation: Observation, given: CropMasks | None) -> CropMasks | None:
    """Given masks, and the pixels around landmarks that were found to be hidden."""
    if observation.seen is None:
        return given
    frames = []
    for number, hidden in enumerate(observation.seen.hidden):
        mask = drawn(hidden, observation.lmk_2d[number])
        if given is not None:
            mask |= given[number]
        frames.append(packed(mask) if mask.any() else None)
    return CropMasks(tuple(frames))


def _visible_landmarks(observation: Observation, masks: CropMasks | None) -> Float:
    """(T, 468) 1 where the landmark was found and its pixel is not occluded in the video itself."""
    visible = observation.known.astype(np.float32)
    if masks is not None:
        for frame, landmarks in enumerate(observation.lmk_2d):
            x, y = np.clip(to_pixels(landmarks), 0, CROP_PX - 1).T
            visible[frame] *= ~masks[frame][y, x]
    return visible
