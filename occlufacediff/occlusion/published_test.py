"""Simulated occlusion of the published evaluation: static regions of the crop over one span of frames.

Regions are computed from the extremes of the landmarks over all frames of the clip, so they do not move. The published
code draws from the global random stream, in the order in which clips are read; here each draw has its own generator,
which the caller derives from names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import EYES_AND_BROWS, LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.occlusion.kinds import KINDS
from occlufacediff.occlusion.occlude import Occlusion, empty_boxes, mesh_landmarks, moving_occlusion
from occlufacediff.occlusion.regions import missing_to_nan

Float = NDArray[np.float32]
#: ``x0 y0 x1 y1`` in pixels of the crop, both ends included.
Box = tuple[int, int, int, int]

#: Our name of an occlusion kind -> its published name, where the two differ.
PUBLISHED_NAMES = {
    "none": "non_occ",
    "audio_driven": "all",
    "missing": "missing_frames",
    "every_third": "downsample_frames",
}
#: Shortest span of boxes, in frames; a clip that is not longer is occluded throughout.
LEAST_FRAMES = 40
#: Shortest span of pictures, and the edge and longest span in clips that are not longer than that.
PICTURE_LEAST, PICTURE_EDGE, PICTURE_MOST = 45, 5, 30
#: Pictures occlude where alpha is above 5.
PICTURE_OPAQUE = 6
#: Corner and sides of the random box, in pixels: smallest value, and largest plus one.
CORNER, SIDE = (20, 170), (100, 220)
LAST = CROP_PX - 1
MIDDLE = CROP_PX // 2


def published_name(kind: str) -> str:
    """Published name (``--exp_name``) of an occlusion kind."""
    return PUBLISHED_NAMES.get(kind, kind)


def published_occlusion(kind: str, lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Occlusion:
    """Draw an occlusion of a clip as the published evaluation does.

    ``left_eye`` and ``right_eye`` are the person's, with the brow. ``contour`` and ``natural`` are not published; they
    have a static region and a published span too.

    Args:
        kind: one of `OCCLUSION_KINDS`.
        lmk_2d: (T, 468 or 478, 2) landmarks in crop coordinates, NaN where the detector does not provide a point.
        rng: draws span, sides, scales and positions.
        settings: the scales of boxes (``scale_min``, ``scale_max``; published: 0.9 and 1.5) and the images; all other
            sizes and spans are those of the published evaluation.

    Raises:
        ValueError: unknown kind, landmarks of another shape, or no images for a kind that needs them.
        ConfigError: an image cannot be used.
        ClipError: ``no_region``, no frame has a landmark of the region.
    """
    lmk_2d = mesh_landmarks(kind, lmk_2d)
    count = len(lmk_2d)
    frames = np.zeros(count, bool)
    if kind == "none":
        return Occlusion(kind, empty_boxes(count), frames)
    if kind == "audio_driven":
        frames[:] = True
    elif kind == "every_third":
        frames[::3] = True
    else:
        frames[slice(*(picture_span if kind == "picture" else box_span)(count, rng))] = True
    points = missing_to_nan(lmk_2d)
    if kind == "picture":
        return _picture(frames, rng, settings)
    if kind == "natural":
        return moving_occlusion(kind, KINDS[kind].region(points, rng, settings), frames, rng)
    box = _BOXES[kind](points, rng, settings)
    return Occlusion(kind, np.tile(np.asarray(box, np.int64), (count, 1)), frames, inverted=kind == "contour")


def box_span(frames: int, rng: np.random.Generator) -> tuple[int, int]:
    """Span of boxes: its first frame and the frame after its last.

    With n frames: all if n is at most 40, else the start is uniform on 0 .. n - 41 and the length on 40 .. n - start.
    """
    return (0, frames) if frames <= LEAST_FRAMES else _span(frames, LEAST_FRAMES, rng)


def picture_span(frames: int, rng: np.random.Generator) -> tuple[int, int]:
    """Span of pictures, as `box_span`.

    With n frames: from frame 5 on, 30 frames or up to the end, if n is at most 45; else the start is uniform on
    0 .. n - 46 and the length on 45 .. n - start. A clip of 5 frames or fewer is not occluded.
    """
    if frames > PICTURE_LEAST:
        return _span(frames, PICTURE_LEAST, rng)
    start = min(PICTURE_EDGE, frames)
    return start, start + min(PICTURE_MOST, frames - start)


def _span(frames: int, least: int, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(0, frames - least))
    return start, start + int(rng.integers(least, frames - start + 1))


def _picture(frames: NDArray[np.bool_], rng: np.random.Generator, settings: OcclusionSettings) -> Occlusion:
    if settings.pictures is None:
        raise ValueError("pictures: got null, needs an image or a folder of images for the occlusion 'picture'")
    # Imported here, because machines for training may lack Pillow.
    from occlufacediff.occlusion.occluder_images import draw_occluder

    picture = draw_occluder(Path(settings.pictures), rng, PICTURE_OPAQUE)
    return Occlusion("picture", empty_boxes(len(frames)), frames, picture=picture, opaque=PICTURE_OPAQUE)


def _extremes(points: Float, indices: Sequence[int], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest x, y of some points (T, 468, 2) over all frames, in pixels.

    Raises:
        ClipError: ``no_region``, none of the points is known in any frame.
    """
    chosen = points[:, list(indices)].astype(np.float64) * (CROP_PX / 2) + CROP_PX / 2
    if not np.isfinite(chosen).any():
        raise ClipError(
            "no_region",
            f"occlusion: the detector gives no landmark of the {name}; choose another occlusion or another "
            "landmarks.detector",
        )
    return np.nanmin(chosen, axis=(0, 1)), np.nanmax(chosen, axis=(0, 1))


def _scaled(points: Float, indices: Sequence[int], scales: NDArray[np.float64], name: str) -> Box:
    """The box around some points in all frames, each half side times its own scale, within the crop."""
    low, high = _extremes(points, indices, name)
    centre, half = (low + high) / 2, (high - low) / 2 * scales
    x0, y0, x1, y1 = np.clip(np.trunc([*(centre - half), *(centre + half)]), 0, LAST).astype(int).tolist()
    return x0, y0, x1, y1


def _lowest_eye_row(points: Float) -> int:
    """Row of the lowest point of eyes and brows in any frame."""
    return int(np.trunc(_extremes(points, EYES_AND_BROWS, "eyes and brows")[1][1]))


_BoxFunction = Callable[[Float, np.random.Generator, OcclusionSettings], Box]
_WHOLE: Box = (0, 0, LAST, LAST)
_HALVES: dict[str, Box] = {"left": (0, 0, MIDDLE - 1, LAST), "right": (MIDDLE, 0, LAST, LAST)}


def _around(indices: Sequence[int], name: str) -> _BoxFunction:
    def box(points: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Box:
        return _scaled(points, indices, rng.uniform(settings.scale_min, settings.scale_max, 2), name)

    return box


def _contour(points: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Box:
    indices = (*LIPS, *face_mesh.LEFT_EYE, *face_mesh.RIGHT_EYE)
    return _scaled(points, indices, np.full(2, rng.uniform(1.0, 1.6)), "lips and eyes")


def _random(points: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Box:
    x0, y0 = (int(value) for value in rng.integers(*CORNER, 2))
    width, height = (int(value) for value in rng.integers(*SIDE, 2))
    return x0, y0, min(x0 + width - 1, LAST), min(y0 + height - 1, LAST)


_BOXES: dict[str, _BoxFunction] = {
    "audio_driven": lambda points, rng, settings: _WHOLE,
    "missing": lambda points, rng, settings: _WHOLE,
    "every_third": lambda points, rng, settings: _WHOLE,
    "mouth": _around(LIPS, "lips"),
    "left_eye": _around((*LEFT_EYE, *LEFT_BROW), "left eye"),
    "right_eye": _around((*RIGHT_EYE, *RIGHT_BROW), "right eye"),
    "upper": lambda points, rng, settings: (0, 0, LAST, _lowest_eye_row(points) - 1),
    "bottom": lambda points, rng, settings: (0, max(_lowest_eye_row(points), 0), LAST, LAST),
    "left": lambda points, rng, settings: _HALVES["left"],
    "right": lambda points, rng, settings: _HALVES["right"],
    "asym": lambda points, rng, settings: _HALVES[("left", "right")[int(rng.integers(2))]],
    "contour": _contour,
    "random": _random,
}
