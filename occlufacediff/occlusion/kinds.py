"""The occlusion kinds, one function each.

To add a kind: write a function here with the decorator `occlusion_kind`, and add its name to
`occlufacediff.config.occlusion.OcclusionKind`. The kind ``none`` needs no function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.occlusion.regions import (
    BROWS,
    FAR,
    LEFT_EYE,
    LIPS,
    RIGHT_EYE,
    box_around,
    eye_anchored_box,
    mouth_box,
    random_landmark,
    random_point,
)

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Region:
    """The occluded region of a clip of T frames.

    Attributes:
        boxes: (T, 4) ``x0 y0 x1 y1`` in crop coordinates.
        inverted: everything outside the box is occluded.
        picture: (224, 224, 4) RGBA image of an occluder that replaces the boxes; None for boxes.
        moving: (H, W, 4) RGBA image of an occluder that moves and rests over the centres of the boxes; None for boxes.
    """

    boxes: Float
    inverted: bool = False
    picture: NDArray[np.uint8] | None = None
    moving: NDArray[np.uint8] | None = None


#: Computes the region of a kind from landmarks (T, 468, 2) in crop coordinates, NaN where not detected.
RegionFunction = Callable[[Float, np.random.Generator, OcclusionSettings], Region]


@dataclass(frozen=True)
class Kind:
    """An occlusion kind.

    Attributes:
        region: computes its region; may raise ClipError ``no_region``.
        frame_step: every n-th frame of the span is occluded.
    """

    region: RegionFunction
    frame_step: int = 1


#: All kinds by name, except ``none``.
KINDS: dict[str, Kind] = {}


def occlusion_kind(*names: str, frame_step: int = 1) -> Callable[[RegionFunction], RegionFunction]:
    """Register the decorated function under these names."""

    def register(region: RegionFunction) -> RegionFunction:
        for name in names:
            KINDS[name] = Kind(region, frame_step)
        return region

    return register


def _constant_box(lmk_2d: Float, *box: float) -> Float:
    """The same box ``x0 y0 x1 y1`` in all frames, (T, 4)."""
    return np.tile(np.asarray(box, np.float32), (len(lmk_2d), 1))


@occlusion_kind("audio_driven", "missing")
@occlusion_kind("every_third", frame_step=3)
def _everything(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    return Region(_constant_box(lmk_2d, -FAR, -FAR, FAR, FAR))


@occlusion_kind("left")
def _left(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    return Region(_constant_box(lmk_2d, -FAR, -FAR, 0.0, FAR))


@occlusion_kind("right")
def _right(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    return Region(_constant_box(lmk_2d, 0.0, -FAR, FAR, FAR))


@occlusion_kind("asym")
def _one_side(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    return (_left, _right)[int(rng.integers(2))](lmk_2d, rng, settings)


@occlusion_kind("left_eye")
def _left_eye(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    scale = rng.uniform(settings.scale_min, settings.scale_max)
    return Region(box_around(lmk_2d[:, LEFT_EYE], scale, name="left eye"))


@occlusion_kind("right_eye")
def _right_eye(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    scale = rng.uniform(settings.scale_min, settings.scale_max)
    return Region(box_around(lmk_2d[:, RIGHT_EYE], scale, name="right eye"))


@occlusion_kind("contour")
def _contour(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    points = lmk_2d[:, (*LIPS, *LEFT_EYE, *RIGHT_EYE)]
    return Region(box_around(points, rng.uniform(1.0, 1.6), name="lips and eyes"), inverted=True)


@occlusion_kind("random")
def _random_box(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    half = rng.uniform(settings.random_half_min, settings.random_half_max, 2).astype(np.float32)
    centre = random_landmark(lmk_2d, rng)
    return Region(np.concatenate([centre - half, centre + half], axis=1))


@occlusion_kind("mouth")
def _mouth(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    with_chin = settings.mouth_with_chin
    scale = 1.0 if with_chin else rng.uniform(settings.scale_min, settings.scale_max)
    top, margin = settings.mouth_top, settings.mouth_margin
    return Region(mouth_box(lmk_2d, top=top, margin=margin, with_chin=with_chin, scale=scale))


def _lower_edge_of_eyes(lmk_2d: Float) -> Float:
    """Lower edge (T,) of a box around eyes and brows."""
    return eye_anchored_box(lmk_2d, (*LEFT_EYE, *RIGHT_EYE, *BROWS), name="eyes and brows")[:, 3]


@occlusion_kind("upper")
def _upper(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    boxes = _constant_box(lmk_2d, -FAR, -FAR, FAR, FAR)
    boxes[:, 3] = _lower_edge_of_eyes(lmk_2d)
    return Region(boxes)


@occlusion_kind("bottom")
def _lower(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    boxes = _constant_box(lmk_2d, -FAR, -FAR, FAR, FAR)
    boxes[:, 1] = _lower_edge_of_eyes(lmk_2d)
    return Region(boxes)


@occlusion_kind("picture")
def _picture(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    if settings.pictures is None:
        raise ValueError("pictures: got null, needs an image or a folder of images for the occlusion 'picture'")
    # Imported here, because machines for training may lack Pillow.
    from occlufacediff.occlusion.occluder_images import draw_occluder

    return Region(_constant_box(lmk_2d, 0.0, 0.0, 0.0, 0.0), picture=draw_occluder(Path(settings.pictures), rng))


@occlusion_kind("natural")
def _natural(lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> Region:
    if settings.occluders is None:
        raise ValueError("occluders: got null, needs an image or a folder of images for the occlusion 'natural'")
    # Imported here, because machines for training may lack Pillow.
    from occlufacediff.occlusion.occluder_images import draw_object

    picture = draw_object(Path(settings.occluders), rng)
    # Most hands and objects cover the lower face, so half of them rest over the mouth.
    points = LIPS if rng.random() < 0.5 else (random_point(lmk_2d, rng),)
    # It moves with the eyes only: an object that follows the lips would reveal their motion.
    return Region(eye_anchored_box(lmk_2d, points, name="face"), moving=picture)
