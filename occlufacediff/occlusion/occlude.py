"""Simulates occlusion for evaluation and prediction: which landmarks and which pixels of the crop are occluded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OCCLUSION_KINDS, OcclusionSettings
from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.frame_blocks import blocks_of
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.landmarks.visibility import to_pixels
from occlufacediff.occlusion.kinds import KINDS, Region
from occlufacediff.occlusion.moving_picture import OPAQUE, MovingPicture, draw_path
from occlufacediff.occlusion.regions import missing_to_nan

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: A box without pixels; boxes include both ends.
EMPTY_BOX = (0, 0, -1, -1)
#: Boxes are clipped to this range of crop coordinates, far outside the crop.
_BOX_LIMIT = 8


@dataclass(frozen=True, eq=False)
class Occlusion:
    """The occlusion of a clip of T frames.

    Attributes:
        kind: name of the occlusion kind.
        boxes: (T, 4) int, ``x0 y0 x1 y1`` in pixels of the 224 x 224 crop, both ends included.
        frames: (T,) bool, the occluded frames.
        inverted: everything outside the box is occluded.
        picture: (224, 224, 4) RGBA, image of an occluder on the crop that replaces the boxes; None for boxes.
        moving: a picture of an occluder that moves, and that replaces the boxes; None for boxes.
        opaque: smallest alpha value of a picture that occludes.
    """

    kind: str
    boxes: NDArray[np.int64]
    frames: Bool
    inverted: bool = False
    picture: NDArray[np.uint8] | None = None
    moving: MovingPicture | None = None
    opaque: int = OPAQUE

    def image_mask(self, frames: slice = slice(None)) -> Bool:
        """Occluded pixels (T', 224, 224) of the selected frames, rows are y."""
        if self.picture is not None:
            return (self.picture[..., 3] >= self.opaque) & self.frames[frames][:, None, None]
        if self.moving is not None:
            return self.moving.image_masks(frames, self.opaque) & self.frames[frames][:, None, None]
        pixel = np.arange(CROP_PX)
        boxes = self.boxes[frames]
        in_x = (pixel >= boxes[:, 0:1]) & (pixel <= boxes[:, 2:3])
        in_y = (pixel >= boxes[:, 1:2]) & (pixel <= boxes[:, 3:4])
        inside = in_y[:, :, None] & in_x[:, None, :]
        return (inside ^ self.inverted) & self.frames[frames][:, None, None]

    def occluder(self, frame: int) -> NDArray[np.uint8] | None:
        """Image of the occluder in a frame, (224, 224, 4) RGBA; None for boxes and in frames without occlusion."""
        if not self.frames[frame]:
            return None
        return self.picture if self.moving is None else self.moving.image(frame)

    def lmk_mask(self, lmk_2d: Float) -> Float:
        """Visibility (T, N) of landmarks, 1 or 0; 0 on occluded pixels, outside the crop and where not finite.

        Args:
            lmk_2d: (T, N, 2) landmarks in crop coordinates.
        """
        out = np.empty(lmk_2d.shape[:2], np.float32)
        for frames in blocks_of(len(lmk_2d)):
            out[frames] = self._visible(frames, lmk_2d[frames])
        return out

    def _visible(self, frames: slice, lmk_2d: Float) -> Bool:
        """`lmk_mask` of the selected frames, with their landmarks."""
        finite = np.isfinite(lmk_2d).all(axis=-1)
        pixel = to_pixels(np.where(finite[..., None], lmk_2d, 0.0))
        in_crop = ((pixel >= 0) & (pixel < CROP_PX)).all(axis=-1)
        if self.picture is not None:
            x, y = np.moveaxis(np.clip(pixel, 0, CROP_PX - 1), -1, 0)
            inside = self.picture[y, x, 3] >= self.opaque
        elif self.moving is not None:
            inside = self.moving.alpha(frames, pixel) >= self.opaque
        else:
            low, high = self.boxes[frames, None, :2], self.boxes[frames, None, 2:]
            inside = ((pixel >= low) & (pixel <= high)).all(axis=-1)
        occluded = (inside ^ self.inverted) & self.frames[frames, None]
        return np.asarray(finite & in_crop & ~occluded)


def draw_span(frames: int, rng: np.random.Generator, settings: OcclusionSettings) -> tuple[int, int]:
    """Draw the span of an occlusion: its first frame and the frame after its last.

    A span has at least ``max(min_frames, min_fraction * frames)`` frames and leaves ``edge_frames`` visible at each
    end of the clip. In a clip that is too short for this, the span is the whole clip.
    """
    shortest = max(settings.min_frames, int(np.ceil(settings.min_fraction * frames)))
    longest = frames - 2 * settings.edge_frames
    if longest < shortest:
        return 0, frames
    length = int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(settings.edge_frames, frames - settings.edge_frames - length + 1))
    return start, start + length


def occlude(kind: str, lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Occlusion:
    """Draw an occlusion for a clip; equal generator states and landmarks give equal occlusions.

    Args:
        kind: one of `OCCLUSION_KINDS`.
        lmk_2d: (T, 468 or 478, 2) landmarks in crop coordinates, NaN where the detector does not provide a point
            (a detector of 68 points leaves 400 missing). Regions are computed from the others. Missing points must
            not be zeros, see `missing_to_nan`.
        rng: draws span, sides, scales and positions.
        settings: sizes.

    Raises:
        ValueError: unknown kind, landmarks of another shape, or the kinds ``picture`` and ``natural`` without images.
        ConfigError: ``settings.pictures`` or ``settings.occluders`` has no usable image.
        ClipError: ``no_region``, a frame has no landmark of the region.
    """
    lmk_2d = mesh_landmarks(kind, lmk_2d)
    count = len(lmk_2d)
    frames = np.zeros(count, bool)
    if kind == "none":
        return Occlusion(kind, empty_boxes(count), frames)
    start, end = (0, count) if kind in settings.whole_clip else draw_span(count, rng, settings)
    frames[start : end : KINDS[kind].frame_step] = True
    return occlude_frames(kind, lmk_2d, frames, rng, settings)


def occlude_frames(
    kind: str, lmk_2d: Float, frames: Bool, rng: np.random.Generator, settings: OcclusionSettings
) -> Occlusion:
    """Occlude the given frames (T,) instead of a drawn span; otherwise as `occlude`, for all kinds but ``none``."""
    # The region is computed from all frames: its position must not depend on the mouth's motion in a single one.
    region = KINDS[kind].region(missing_to_nan(lmk_2d), rng, settings)
    if region.picture is not None:
        return Occlusion(kind, empty_boxes(len(frames)), frames, picture=region.picture)
    if region.moving is not None:
        return moving_occlusion(kind, region, frames, rng)
    boxes = to_pixels(np.clip(region.boxes, -_BOX_LIMIT, _BOX_LIMIT))
    return Occlusion(kind, boxes, frames, region.inverted)


def moving_occlusion(
    kind: str, region: Region, frames: Bool, rng: np.random.Generator, opaque: int = OPAQUE
) -> Occlusion:
    """A picture that enters, rests at the centre of the region's boxes and leaves within the given frames (T,).

    Occluded frames of the result are those of ``frames`` in which the picture is on the crop.
    """
    assert region.moving is not None  # the caller checks it
    there = np.flatnonzero(frames)
    span = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)
    # The resting place is where the region is, in pixels of the crop.
    target = (region.boxes[:, :2] + region.boxes[:, 2:]) / 2 * (CROP_PX / 2) + CROP_PX / 2
    moving = draw_path(region.moving, target, span, len(frames), rng)
    on_crop = np.zeros(len(frames), bool)
    for frame in there:
        on_crop[frame] = moving.image_masks(slice(frame, frame + 1), opaque).any()
    return Occlusion(kind, empty_boxes(len(frames)), on_crop, moving=moving, opaque=opaque)


def mesh_landmarks(kind: str, lmk_2d: Float) -> Float:
    """The 468 landmarks of an array (T, 468 or 478, 2), float32, after a check of kind and shape.

    Raises:
        ValueError: unknown kind, or landmarks of another shape.
    """
    if kind not in OCCLUSION_KINDS:
        raise ValueError(f"occlusion: got {kind!r}, needs one of {', '.join(OCCLUSION_KINDS)}")
    if lmk_2d.ndim != 3 or lmk_2d.shape[1] < MESH_POINTS or lmk_2d.shape[2] != 2:
        raise ValueError(f"lmk_2d: got shape {lmk_2d.shape}, needs (frames, {MESH_POINTS}, 2)")
    return np.asarray(lmk_2d[:, :MESH_POINTS], np.float32)


def empty_boxes(count: int) -> NDArray[np.int64]:
    """Boxes (T, 4) without pixels."""
    return np.tile(np.asarray(EMPTY_BOX, np.int64), (count, 1))
