"""Occluders that move before the face of a video: hands, face masks, cups, microphones and phones.

An occluder is one picture that is moved, turned and scaled. It is painted into each frame, with the blur of its motion
during the exposure, and it is known which landmarks it covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.face_mesh import LEFT_EYE, LIPS, NOSE, RIGHT_EYE
from occlufacediff.landmarks.normalise import CROP_PX, crop_boxes
from occlufacediff.occlusion.moving_picture import OPAQUE, MovingPicture
from occlufacediff.visibility.hand_shapes import HandRenderer, load_hand
from occlufacediff.visibility.occluders import Occluder, face_mask, held_object, shaded_hand

Float = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

#: Landmarks that move with the head only.
_RIGID = (33, 133, 362, 263, 168, 6, 197, 10, 151, 9, 108, 337, 127, 356)
#: Landmarks on skin that is rarely covered by hair.
_SKIN = (50, 280, 205, 425, 151, 9, 117, 346)
_CHIN, _FOREHEAD = 152, 10
#: Edge of the pictures in which occluders are drawn, pixels. They cover two crops; that of a face mask covers one.
_CANVAS_PX = 2 * CROP_PX
#: Part of the exposure in the time between two frames, and largest step in pixels between two of its positions.
_EXPOSURE, _STEP_PX = 0.5, 3.0
#: Part of the span in which an occluder enters, and in which it leaves.
_ENTRY = 0.2
#: How often an occluder lies over the mouth.
_OVER_MOUTH = 0.7


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """How the head moves in the picture in T frames, as similarities of the plane.

    Attributes:
        mean: (468, 2) mean face, pixels, relative to its middle.
        turn: (T,) complex: scale and angle, times a point of the mean face.
        middle: (T, 2) position of the mean face's middle, pixels.
    """

    mean: Float
    turn: NDArray[np.complex128]
    middle: Float

    @property
    def height(self) -> float:
        """Distance of forehead and chin in the mean face, pixels."""
        return float(np.linalg.norm(self.mean[_FOREHEAD] - self.mean[_CHIN]))

    def place(self, point: Float) -> Float:
        """Where a point (2,) of the mean face is in each frame (T, 2), pixels."""
        moved = self.turn * complex(float(point[0]), float(point[1]))
        return np.stack([moved.real, moved.imag], axis=-1) + self.middle


def face_motion(landmarks: Float) -> FaceMotion:
    """Motion of the head from landmarks (T, 468, 2), pixels; a point that is never known is NaN in all frames.

    Only landmarks that do not move with the mouth are used, so an occluder that follows does not reveal its motion.
    """
    rigid = np.asarray(landmarks, np.float64)[:, list(_RIGID)]
    rigid = rigid[:, np.isfinite(rigid).all(axis=(0, 2))]
    middle = rigid.mean(axis=1)
    plane = (rigid - middle[:, None]) @ np.array([1, 1j])
    reference = plane[len(plane) // 2]
    turn = (plane * reference.conj()).sum(axis=1) / (np.abs(reference) ** 2).sum()
    turn = gaussian_filter1d(turn.real, 1.5, mode="nearest") + 1j * gaussian_filter1d(turn.imag, 1.5, mode="nearest")
    middle = gaussian_filter1d(middle, 1.5, axis=0, mode="nearest")
    unturned = ((np.asarray(landmarks, np.float64) - middle[:, None]) @ np.array([1, 1j])) / turn[:, None]
    mean = unturned.mean(axis=0)
    return FaceMotion(np.stack([mean.real, mean.imag], axis=-1), turn, middle)


@dataclass(frozen=True, eq=False)
class PaintedOccluder:
    """An occluder in T frames of a video.

    Attributes:
        kind: one of `config.occluders.OCCLUDERS`, or ``picture`` for a picture of the user.
        moving: picture and path, in pixels of the video.
        frames: (T,) True where it is painted.
    """

    kind: str
    moving: MovingPicture
    frames: NDArray[np.bool_]

    def paint(self, frame: Picture, number: int) -> Picture:
        """The frame (H, W, 3) with the occluder before it."""
        if not self.frames[number]:
            return frame
        height, width = frame.shape[:2]
        matrices = self._matrices(number)
        low, high = _bounds(matrices, self.moving.picture.shape[:2], (width, height))
        if (high <= low).any():
            return frame
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        total = np.zeros((size[1], size[0], 4), np.float32)
        for matrix in matrices:
            matrix[:, 2] -= low
            total += cv2.warpAffine(self._premultiplied, matrix, size, flags=cv2.INTER_LINEAR)
        total /= len(matrices)
        out = frame.copy()
        part = out[low[1] : high[1], low[0] : high[0]]
        part[:] = np.clip(part * (1 - total[..., 3:] / 255) + total[..., :3] + 0.5, 0, 255)
        return out

    def covers(self, points: Float) -> NDArray[np.bool_]:
        """Which points (T, N, 2), pixels of the video, lie under the occluder (T, N); those at NaN do not."""
        known = np.isfinite(points).all(axis=-1)
        alpha = self.moving.alpha(slice(None), np.where(known[..., None], points, 0.0))
        return (alpha >= OPAQUE) & known & self.frames[:, None]

    @cached_property
    def _premultiplied(self) -> NDArray[np.float32]:
        """RGBA whose colours are multiplied by alpha; it is freed with the occluder."""
        picture = self.moving.picture.astype(np.float32)
        picture[..., :3] *= picture[..., 3:] / 255
        return picture

    def _matrices(self, number: int) -> list[Float]:
        """Matrices (2, 3) from the picture to the frame, one for each position during the exposure."""
        path = np.asarray(self.moving.path, np.float64)
        times = number + np.array([-0.5, 0.5]) * _EXPOSURE
        ends = np.stack([np.interp(times, np.arange(len(path)), column) for column in path.T], axis=-1)
        count = int(np.clip(np.ceil(np.linalg.norm(ends[1, :2] - ends[0, :2]) / _STEP_PX), 1, 12))
        shares = (np.arange(count) + 0.5) / count
        return [_matrix(ends[0] + share * (ends[1] - ends[0]), self.moving.picture.shape[:2]) for share in shares]


def draw_moving(
    kind: str,
    motion: FaceMotion,
    skin: Float,
    span: tuple[int, int],
    rng: np.random.Generator,
    picture: Picture | None = None,
) -> PaintedOccluder:
    """Draw an occluder and its path: it enters, rests before the face while it sways, and leaves.

    A face mask is worn in all frames. Hands come from below, as if the person moved them. Equal generators and motions
    give equal results.

    Args:
        kind: one of `config.occluders.OCCLUDERS`; anything else needs a picture.
        motion: of the head.
        skin: (3,) colour of the face's skin, 0 to 255; hands are similar.
        span: first frame and frame after the last of the occlusion.
        rng: random generator.
        picture: (H, W, 4) RGBA of an object, which replaces the drawn one.
    """
    count = len(motion.middle)
    if kind == "mask" and picture is None:
        return PaintedOccluder(kind, _worn(motion, rng), np.ones(count, bool))
    target = motion.mean[list(LIPS)].mean(axis=0) if rng.random() < _OVER_MOUTH else _elsewhere(motion, rng)
    target = target + rng.normal(0, 0.06, 2) * motion.height
    heading = np.pi / 2 + rng.normal(0, 0.45)
    if picture is not None:
        drawn, pivot = picture, np.array(picture.shape[1::-1]) / 2
        size = rng.uniform(0.35, 0.65) * 1.4 * motion.height / np.sqrt(picture.shape[0] * picture.shape[1])
        angle = rng.uniform(-0.25, 0.25)
    elif kind == "hand":
        drawn, pivot, forearm = _hand(skin, rng)
        size = motion.height / 150 * rng.uniform(0.85, 1.2)
        angle = heading - forearm
    else:
        drawn, pivot, size = _object(kind, motion, skin, rng)
        angle = 0.0
    frames = np.zeros(count, bool)
    frames[span[0] : span[1]] = True
    path = _path(motion, target, size, angle, heading, span, rng)
    return PaintedOccluder(kind, _trimmed(drawn, pivot, path), frames)


def skin_colour(frame: Picture, landmarks: Float) -> Float:
    """Median colour (3,) of the skin of a face with landmarks (468, 2), pixels of the frame."""
    points = np.asarray(landmarks)[list(_SKIN)]
    points = points[np.isfinite(points).all(axis=1)].round().astype(int)
    if not len(points):
        return np.full(3, 150.0)
    x, y = np.clip(points.T, 0, np.array([[frame.shape[1]], [frame.shape[0]]]) - 1)
    return np.asarray(np.median(frame[y, x], axis=0), np.float64)


def with_path(moving: MovingPicture, boxes: Float) -> MovingPicture:
    """The same occluder in pixels of crops (T, 3) ``(x0, y0, size)`` instead of pixels of the video."""
    ratio = (CROP_PX - 1) / np.asarray(boxes, np.float64)[:, 2:]
    path = np.asarray(moving.path, np.float64).copy()
    path[:, :2] = (path[:, :2] - boxes[:, :2]) * ratio
    path[:, 2:3] *= ratio
    return replace(moving, path=path.astype(np.float32))


def _elsewhere(motion: FaceMotion, rng: np.random.Generator) -> Float:
    """A place of the face other than the mouth."""
    group = (NOSE, LEFT_EYE, RIGHT_EYE, _SKIN)[int(rng.integers(4))]
    return np.asarray(motion.mean[group[int(rng.integers(len(group)))]], np.float64)


@cache
def _hands() -> HandRenderer:
    """Renders hands of about 150 pixels with forearms. One per process: a render window takes long to open."""
    from occlufacediff.openhead.makehuman import find_data

    return HandRenderer(load_hand(find_data()), _CANVAS_PX, 86)


def _hand(skin: Float, rng: np.random.Generator) -> tuple[Picture, Float, float]:
    """A hand: RGBA, the pixel over which it rests, and the angle of its forearm."""
    sprite, forearm = _hands().draw_arm(rng)
    if rng.random() < 0.5:
        sprite, forearm = sprite[:, ::-1], forearm * [-1.0, 1.0]
    drawn = shaded_hand(rng, np.ascontiguousarray(sprite, np.float32), skin)
    pivot = np.asarray(_CANVAS_PX / 2 + rng.normal(0, 18, 2), np.float64)
    return _with_shadow(drawn, rng), pivot, float(np.arctan2(forearm[1], forearm[0]))


def _object(kind: str, motion: FaceMotion, skin: Float, rng: np.random.Generator) -> tuple[Picture, Float, float]:
    """A held object: RGBA, the pixel over which it rests, and pixels of the video per pixel."""
    size = 2 * 1.4 * motion.height / _CANVAS_PX
    pivot = np.array([0.5 * _CANVAS_PX, 0.4 * _CANVAS_PX], np.float64)
    lips = motion.mean[list(LIPS)].mean(axis=0)
    drawn = held_object(rng, (motion.mean - lips) / size + pivot, skin, pivot, kind, _CANVAS_PX)
    return _with_shadow(drawn, rng), pivot, size


def _worn(motion: FaceMotion, rng: np.random.Generator) -> MovingPicture:
    """A face mask that follows the head."""
    box = crop_boxes(motion.mean[None], 1.3)[0]
    scale = float(box[2]) / _CANVAS_PX
    drawn = face_mask(rng, (motion.mean - box[:2]) / scale, _CANVAS_PX)
    path = np.column_stack([motion.place(box[:2] + box[2] / 2), np.abs(motion.turn) * scale, np.angle(motion.turn)])
    return _trimmed(_rgba(drawn), np.full(2, _CANVAS_PX / 2), path)


def _path(
    motion: FaceMotion,
    target: Float,
    size: float,
    angle: float,
    heading: float,
    span: tuple[int, int],
    rng: np.random.Generator,
) -> Float:
    """Path (T, 4) of the resting pixel: position, size and angle in each frame (see `MovingPicture`)."""
    start, end = span
    time = np.arange(len(motion.middle), dtype=np.float64)
    edge = max(1.0, _ENTRY * (end - start))
    away = np.clip(np.maximum((start + edge - time) / edge, (time - (end - 1 - edge)) / edge), 0, 1)
    away = away**2 * (3 - 2 * away)
    far = 2.4 * motion.height * np.array([np.cos(heading), np.sin(heading)])
    phase, speed = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.08, 0.25, 2)
    sway = rng.uniform(0.02, 0.09, 2) * motion.height
    place = motion.place(target) + sway * np.sin(phase + speed * time[:, None]) + away[:, None] * far
    turn = angle + rng.uniform(0.02, 0.12) * np.sin(phase[0] + 0.5 * speed[1] * time)
    return np.column_stack([place, np.full(len(time), size), turn])


def _rgba(drawn: Occluder) -> Picture:
    out = np.concatenate([drawn.colours, 255 * drawn.alpha[..., None]], axis=-1)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def _with_shadow(drawn: Occluder, rng: np.random.Generator) -> Picture:
    """RGBA (N, N, 4) of an occluder over its soft shadow, which is far from opaque."""
    offset = np.array([[1, 0, rng.normal(0, 8)], [0, 1, rng.uniform(0, 14)]])
    strength = rng.uniform(0, 0.35)
    shadow = cv2.GaussianBlur(cv2.warpAffine(drawn.alpha, offset, drawn.alpha.shape), (0, 0), 8) * strength
    alpha = drawn.alpha + (1 - drawn.alpha) * shadow
    share = np.where(alpha > 0, drawn.alpha / np.maximum(alpha, 1e-6), 0)
    return _rgba(Occluder(np.asarray(drawn.colours * share[..., None], np.float32), np.asarray(alpha, np.float32)))


def _trimmed(picture: Picture, pivot: Float, path: Float) -> MovingPicture:
    """Cut the transparent edge; the path (T, 4) of the pixel ``pivot`` becomes that of the new middle."""
    rows, columns = (np.flatnonzero((picture[..., 3] > 0).any(axis=axis)) for axis in (1, 0))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    offset = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2 - pivot
    cos, sin = np.cos(path[:, 3]), np.sin(path[:, 3])
    moved = path.copy()
    moved[:, 0] += path[:, 2] * (cos * offset[0] - sin * offset[1])
    moved[:, 1] += path[:, 2] * (sin * offset[0] + cos * offset[1])
    return MovingPicture(cut, moved.astype(np.float32))


def _matrix(row: Float, shape: tuple[int, ...]) -> Float:
    """Matrix (2, 3) from pixels of the picture to those of the frame, from a row of a path."""
    x, y, size, angle = (float(value) for value in row)
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    # Pixel centres are at whole numbers in both pictures; the middle of the picture is at (width - 1) / 2.
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, np.array([x, y]) - linear @ middle])


def _bounds(
    matrices: list[Float], shape: tuple[int, ...], size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lower and upper corner of the part of a frame of ``size`` (width, height) that the picture can reach, pixels."""
    corners = np.array([[-1, -1], [shape[1], -1], [-1, shape[0]], [shape[1], shape[0]]], np.float64)
    reached = np.concatenate([corners @ matrix[:, :2].T + matrix[:, 2] for matrix in matrices])
    low = np.clip(np.floor(reached.min(axis=0)), 0, size).astype(np.int64)
    high = np.clip(np.ceil(reached.max(axis=0)) + 1, 0, size).astype(np.int64)
    return low, high
