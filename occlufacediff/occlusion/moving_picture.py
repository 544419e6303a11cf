"""A picture of an occluder that moves over the crop, such as a hand or a cup."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from occlufacediff.landmarks.normalise import CROP_PX

Floats = NDArray[np.float64]

#: Smallest alpha value of an occluder image that occludes.
OPAQUE = 128

#: Share of the span in which the occluder enters, and in which it leaves.
_ENTRY = 0.2
#: Largest sway around the resting place, in pixels of the crop, and largest turn, in radians.
_SWAY_PX, _TURN = 10.0, 0.25
#: Size of the picture: square root of its area, as shares of the crop's side.
_SIZES = (0.35, 0.65)


@dataclass(frozen=True, eq=False)
class MovingPicture:
    """A picture that is moved, turned and scaled in each frame.

    Attributes:
        picture: (H, W, 4) RGBA, cut out of its background.
        path: (T, 4) float32: x and y of the picture's centre in pixels of the crop, its size in pixels of the crop per
            pixel of the picture, and its angle in radians (clockwise, y is down).
    """

    picture: NDArray[np.uint8]
    path: NDArray[np.float32]

    def alpha(self, frames: NDArray[np.integer] | slice, points: ArrayLike) -> NDArray[np.uint8]:
        """Alpha (T', N) of the picture under points (T', N, 2), or (N, 2) for all frames, in pixels of the crop."""
        rows, columns, inside = self._look_up(np.asarray(self.path[frames], np.float64), points)
        return np.where(inside, self.picture[rows, columns, 3], 0).astype(np.uint8)

    def image(self, frame: int) -> NDArray[np.uint8]:
        """The occluder in a frame as an image of the crop, (224, 224, 4) RGBA."""
        rows, columns, inside = self._look_up(np.asarray(self.path[frame : frame + 1], np.float64), _pixels())
        found = np.where(inside[..., None], self.picture[rows, columns], 0).astype(np.uint8)
        return found.reshape(CROP_PX, CROP_PX, 4)

    def image_masks(self, frames: slice, opaque: int) -> NDArray[np.bool_]:
        """Occluded pixels (T', 224, 224) of the selected frames: alpha is at least ``opaque``."""
        return (self.alpha(frames, _pixels()) >= opaque).reshape(-1, CROP_PX, CROP_PX)

    def _look_up(self, path: Floats, points: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Rows and columns of the picture under points, and whether each point is on the picture."""
        height, width = self.picture.shape[:2]
        centre, size, angle = path[:, None, :2], path[:, 2:3], path[:, 3:4]
        x, y = np.moveaxis(np.asarray(points, np.float64) - centre, -1, 0)
        column = np.floor((np.cos(angle) * x + np.sin(angle) * y) / size + width / 2).astype(np.intp)
        row = np.floor((np.cos(angle) * y - np.sin(angle) * x) / size + height / 2).astype(np.intp)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return np.clip(row, 0, height - 1), np.clip(column, 0, width - 1), inside


def draw_path(
    picture: NDArray[np.uint8],
    target: NDArray[np.floating],
    span: tuple[int, int],
    frames: int,
    rng: np.random.Generator,
) -> MovingPicture:
    """Draw how a picture moves: it enters the crop from outside, rests over a place of the face, and leaves.

    Args:
        picture: (H, W, 4) RGBA.
        target: (T, 2) place of the face to cover, in pixels of the crop; the resting picture follows it.
        span: first frame and frame after the last; outside of it the picture is outside of the crop.
        frames: T.
        rng: draws size, direction, sway and turn.
    """
    height, width = picture.shape[:2]
    size = rng.uniform(*_SIZES) * CROP_PX / np.sqrt(height * width)
    direction, rest_angle = rng.uniform(0, 2 * np.pi), rng.uniform(-_TURN, _TURN)
    phase, speed, sway = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.1, 0.25, 2), rng.uniform(0.2, 1, 2) * _SWAY_PX
    start, end = span
    time = np.arange(frames, dtype=np.float64)
    edge = max(1.0, _ENTRY * (end - start))
    # 0: over its place; 1: outside of the crop. Smooth at both ends.
    away = np.clip(np.maximum((start + edge - time) / edge, (time - (end - 1 - edge)) / edge), 0, 1)
    away = away**2 * (3 - 2 * away)
    far = CROP_PX + max(height, width) * size
    heading = np.array([np.cos(direction), np.sin(direction)])
    moving = sway * np.sin(phase + speed * time[:, None])
    centre = np.asarray(target, np.float64) + moving + away[:, None] * far * heading
    angle = rest_angle + 0.3 * _TURN * np.sin(phase[0] + 0.5 * speed[0] * time)
    path = np.concatenate([centre, np.full((frames, 1), size), angle[:, None]], axis=1)
    return MovingPicture(picture, path.astype(np.float32))


def _pixels() -> NDArray[np.int64]:
    """Coordinates (224 * 224, 2) x, y of all pixels of the crop, row by row."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    return np.stack([x.ravel(), y.ravel()], axis=-1)
