"""Occlusions of evaluation and prediction: which landmarks and which pixels of the crop are hidden."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OCCLUSION_KINDS, OcclusionSettings
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.landmarks.visibility import to_pixels
from occlufacediff.occlusion.regions import only_known, region_box

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: Least alpha of a picture that hides.
OPAQUE = 128
#: No pixel: both ends belong to a box.
NO_BOX = (0, 0, -1, -1)


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What is hidden in a clip of T frames.

    Attributes:
        kind: name of the occlusion.
        boxes: (T, 4) int, `x0 y0 x1 y1` in pixels of the 224 crop, both ends belong to the box.
        frames: (T,) bool, frames in which something is hidden.
        inverted: everything but the box is hidden.
        picture: (224, 224, 4) RGBA, an occluder that lies over the crop instead of a box; None for boxes.
    """

    kind: str
    boxes: NDArray[np.int64]
    frames: Bool
    inverted: bool = False
    picture: NDArray[np.uint8] | None = None

    def image_mask(self, frames: slice = slice(None)) -> Bool:
        """Hidden pixels (T', 224, 224) of the chosen frames, rows are y."""
        if self.picture is not None:
            return (self.picture[..., 3] >= OPAQUE) & self.frames[frames][:, None, None]
        pixel = np.arange(CROP_PX)
        boxes = self.boxes[frames]
        in_x = (pixel >= boxes[:, 0:1]) & (pixel <= boxes[:, 2:3])
        in_y = (pixel >= boxes[:, 1:2]) & (pixel <= boxes[:, 3:4])
        inside = in_y[:, :, None] & in_x[:, None, :]
        return (inside ^ self.inverted) & self.frames[frames][:, None, None]

    def lmk_mask(self, lmk_2d: Float) -> Float:
        """Visible landmarks (T, N), 1 or 0: a point is hidden on a hidden pixel, outside the crop, or not a number.

        Args:
            lmk_2d: (T, N, 2) landmarks in crop coordinates.
        """
        known = np.isfinite(lmk_2d).all(axis=-1)
        pixel = to_pixels(np.where(known[..., None], lmk_2d, 0.0))
        in_crop = ((pixel >= 0) & (pixel < CROP_PX)).all(axis=-1)
        if self.picture is not None:
            x, y = np.moveaxis(np.clip(pixel, 0, CROP_PX - 1), -1, 0)
            inside = self.picture[y, x, 3] >= OPAQUE
        else:
            low, high = self.boxes[:, None, :2], self.boxes[:, None, 2:]
            inside = ((pixel >= low) & (pixel <= high)).all(axis=-1)
        hidden = (inside ^ self.inverted) & self.frames[:, None]
        return (known & in_crop & ~hidden).astype(np.float32)


def hidden_span(frames: int, rng: np.random.Generator, settings: OcclusionSettings) -> tuple[int, int]:
    """First frame and end of a hidden span, drawn so that both ends of the clip stay visible where it is long enough.

    A span has at least ``max(min_frames, min_fraction * frames)`` frames. A clip too short for that and
    ``edge_frames`` at each end is hidden from end to end.
    """
    least = max(settings.min_frames, int(np.ceil(settings.min_fraction * frames)))
    most = frames - 2 * settings.edge_frames
    if most < least:
        return 0, frames
    length = int(rng.integers(least, most + 1))
    start = int(rng.integers(settings.edge_frames, frames - settings.edge_frames - length + 1))
    return start, start + length


def occlude(kind: str, lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Occlusion:
    """Draw an occlusion for a clip; equal generators and landmarks give equal occlusions.

    Args:
        kind: one of `OCCLUSION_KINDS`.
        lmk_2d: (T, 468 or 478, 2) landmarks in crop coordinates, NaN where a detector does not give the point (one of
            68 points leaves 400 unknown): boxes go by the known points. No zeros in their place, see `only_known`.
        rng: source of the span, sides, scales and places.
        settings: sizes.

    Raises:
        ValueError: unknown kind, landmarks of another shape, or the kind ``picture`` without pictures.
        ConfigError: ``settings.pictures`` leads to no usable picture.
        ClipError: ``no_region``, a frame has no known landmark of the region.
    """
    if kind not in OCCLUSION_KINDS:
        raise ValueError(f"occlusion: got {kind!r}, needs one of {', '.join(OCCLUSION_KINDS)}")
    if lmk_2d.ndim != 3 or lmk_2d.shape[1] < 468 or lmk_2d.shape[2] != 2:
        raise ValueError(f"lmk_2d: got shape {lmk_2d.shape}, needs (frames, 468, 2)")
    lmk_2d = np.asarray(lmk_2d[:, :468], np.float32)
    count = len(lmk_2d)
    hidden = np.zeros(count, bool)
    if kind == "none":
        return Occlusion(kind, np.tile(np.asarray(NO_BOX, np.int64), (count, 1)), hidden)
    start, end = (0, count) if kind in settings.whole_clip else hidden_span(count, rng, settings)
    hidden[start : end : 3 if kind == "every_third" else 1] = True
    return cover(kind, lmk_2d, hidden, rng, settings)


def cover(kind: str, lmk_2d: Float, hidden: Bool, rng: np.random.Generator, settings: OcclusionSettings) -> Occlusion:
    """Hide a kind of region, or what lies under a picture, in the frames ``hidden`` (T,); otherwise as `occlude`."""
    if kind == "picture":
        if settings.pictures is None:
            raise ValueError("pictures: got nothing, needs a picture or a folder of them for the occlusion 'picture'")
        # Pillow is not everywhere where networks are trained.
        from occlufacediff.occlusion.pictures import draw_occluder

        none = np.tile(np.asarray(NO_BOX, np.int64), (len(hidden), 1))
        return Occlusion(kind, none, hidden, picture=draw_occluder(Path(settings.pictures), rng))
    # The region may look at the whole clip: its place must not depend on what the mouth does in one frame.
    boxes, inverted = region_box(kind, only_known(lmk_2d), rng, settings)
    return Occlusion(kind, to_pixels(np.clip(boxes, -8, 8)), hidden, inverted)
