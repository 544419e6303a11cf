"""Adds to a rendered face what belongs to a face and hides nothing: beard, hair, wrinkles, glasses, shadows."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import CONTOUR, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from occlufacediff.visibility.inputs import INPUT_PX
from occlufacediff.visibility.painting import Float, Picture, blob, lighting, noise, polygon, strokes, texture

_WRINKLES = ((129, 203, 206, 216), (358, 423, 426, 436), (70, 105, 336, 300), (54, 104, 333, 284), (111, 117, 119, 120),
             (340, 346, 348, 349), (61, 210, 170), (291, 430, 395), (33, 226, 35), (263, 446, 265))  # fmt: skip
#: Parts of the face that stand out: nose, brow ridges, cheekbones, and the forehead's middle.
_RIDGES = ((168, 6, 197, 195, 5, 4), (70, 63, 105, 66), (300, 293, 334, 296), (50, 117, 123), (280, 346, 352),
           (10, 151, 9))  # fmt: skip


def background(rng: np.random.Generator, picture: Picture, coverage: Float, points: NDArray[Any]) -> Picture:
    """Put a rendered face (112, 112, 3) on a random background with hair and clothes."""
    behind = texture(rng)
    for _ in range(int(rng.integers(0, 4))):
        share = blob(rng, rng.uniform(0, INPUT_PX, 2), rng.uniform(8, 50))[..., None]
        behind = behind + share * (texture(rng) - behind)
    if rng.random() < 0.7:
        chin = points[152, 1]
        low = np.array([[-10, 125], [-10, chin + rng.uniform(8, 30)], [56, chin + rng.uniform(0, 14)],
                        [122, chin + rng.uniform(8, 30)], [122, 125]])  # fmt: skip
        share = polygon(low)[..., None]
        behind = behind + share * (texture(rng) - behind)
    if rng.random() < 0.5:
        middle = points.mean(axis=0) + np.array([0, -rng.uniform(5, 25)])
        share = blob(rng, middle, rng.uniform(45, 75))[..., None]
        hair = np.clip(rng.uniform(10, 190) * (1 + rng.normal(0, 0.12, 3)) + 10 * noise(rng, 1.5, 6, 3), 0, 255)
        behind = behind + share * (hair - behind)
    alpha = coverage[..., None]
    return np.asarray(picture + (1 - alpha) * behind, np.float32)


def decorate(rng: np.random.Generator, image: Picture, regions: Float, points: NDArray[Any]) -> Picture:
    """Draw beard, hair, skin texture, wrinkles, glasses, make-up and shadows on a face.

    Args:
        rng: random generator.
        image: (112, 112, 3), 0 to 255.
        regions: (112, 112, 4): coverage by the head; hair, beard area and skin; 0 to 1.
        points: (468, 2) landmarks, pixels.
    """
    skin = regions[..., 3:]
    image = image * (1 + skin * rng.uniform(0, 0.09) * noise(rng, rng.uniform(1.2, 5), 1.0)[..., None])
    if rng.random() < 0.4:
        image = image * (1 + skin * rng.uniform(0, 0.12) * noise(rng, rng.uniform(6, 20), 1.0, 3))
    _mouth(rng, image, points)
    if rng.random() < 0.4:
        image = _ridges(rng, image, points, skin)
    if rng.random() < 0.6:
        _wrinkles(rng, image, points, skin)
    tone = float(rng.uniform(5, 200))
    hair = np.clip(tone * (1 + rng.normal(0, 0.1, 3)), 0, 230)
    if rng.random() < 0.4:
        image = _beard(rng, image, regions[..., 2], hair, points)
    if rng.random() < 0.35:
        _fringe(rng, image, points, hair)
    if rng.random() < 0.5:
        image = _shadow(rng, image, regions[..., :1])
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 4))):
            spot = points[rng.integers(468)]
            soft = cv2.GaussianBlur(blob(rng, spot, rng.uniform(2, 9)), (0, 0), rng.uniform(1, 4))[..., None]
            image = image + soft * skin * rng.uniform(-40, 110)
    if rng.random() < 0.35:
        image = glasses(rng, image, points)
    return np.clip(image, 0, 255)


def glasses(rng: np.random.Generator, image: Picture, points: NDArray[Any]) -> Picture:
    """Draw glasses: frames, and lenses that are clear, tinted or reflect; the eyes remain visible."""
    out = np.ascontiguousarray(image, np.float32)
    colour = rng.uniform(0, 130) * np.ones(3) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
    width = int(rng.integers(1, 4))
    span = float(np.linalg.norm(points[33] - points[263]))
    turn = float(np.degrees(np.arctan2(*(points[263] - points[33])[::-1])))
    size = span * np.array([rng.uniform(0.2, 0.27), rng.uniform(0.13, 0.24)])
    tint = rng.uniform(0, 255, 3)
    strength = rng.choice([0.0, rng.uniform(0.05, 0.55)])
    centres = [points[list(ring)].mean(axis=0) + np.array([0, 0.04 * span]) for ring in (RIGHT_EYE, LEFT_EYE)]
    round_ = rng.random() < 0.5
    for centre in centres:
        lens = np.zeros(out.shape[:2], np.float32)
        shape = ((float(centre[0]), float(centre[1])), (float(2 * size[0]), float(2 * size[1])), turn)
        box = np.asarray(cv2.boxPoints(shape))
        if round_:
            cv2.ellipse(lens, shape, (1.0,), -1, cv2.LINE_AA)
        else:
            lens = polygon(box)
        share = np.float32(strength) * lens[..., None]
        if rng.random() < 0.3:
            share = share * np.clip(0.5 + noise(rng, 12), 0, 1)[..., None]
        out = np.ascontiguousarray(out + share * (tint - out), np.float32)
        if round_:
            cv2.ellipse(out, shape, colour.tolist(), width, cv2.LINE_AA)
        else:
            strokes(out, rng, np.vstack([box, box[:1]]), colour, width)
    strokes(out, rng, np.array([centres[0] + [size[0], 0], centres[1] - [size[0], 0]]), colour, width)
    for centre, ear, side in ((centres[0], 127, -1), (centres[1], 356, 1)):
        strokes(out, rng, np.array([centre + np.array([side * size[0], 0]), points[ear]]), colour, width)
    return out


def _mouth(rng: np.random.Generator, image: Picture, points: NDArray[Any]) -> None:
    """Change the inside of the mouth and the colour of the lips, in place."""
    inner = polygon(points[list(LIPS_INNER)])[..., None]
    chance = rng.random()
    if chance < 0.5:
        tongue = np.array([rng.uniform(60, 200), rng.uniform(20, 110), rng.uniform(20, 110)])
        below = np.clip((np.arange(INPUT_PX)[:, None, None] - points[13, 1] - 1) / 6, 0, 1)
        image += (inner * below * rng.uniform(0.2, 0.9) * (tongue - image)).astype(np.float32)
    if chance > 0.3:
        bright = rng.uniform(120, 245) * np.ones(3) * [1, 0.97, 0.9]
        edge = points[13, 1] + rng.uniform(0.5, 5)
        above = np.clip((edge - np.arange(INPUT_PX)[:, None, None]) / 1.5, 0, 1)
        image += (inner * above * rng.uniform(0.3, 1) * (bright - image)).astype(np.float32)
    if rng.random() < 0.3:
        lips = np.clip(polygon(points[list(LIPS_OUTER)])[..., None] - inner, 0, 1)
        paint = np.array([rng.uniform(90, 220), rng.uniform(10, 110), rng.uniform(30, 130)])
        image += (lips * rng.uniform(0.2, 0.8) * (paint - image)).astype(np.float32)


def _wrinkles(rng: np.random.Generator, image: Picture, points: NDArray[Any], skin: Float) -> None:
    lines = np.ones(image.shape[:2], np.float32)
    for chain in _WRINKLES:
        if rng.random() < 0.4:
            path = points[list(chain)] + rng.normal(0, 1.2, (len(chain), 2))
            fixed = np.round(path * 8).astype(np.int32)
            cv2.polylines(
                lines, [fixed], False, (float(rng.uniform(0.45, 0.95)),), int(rng.integers(1, 3)), cv2.LINE_AA, 3
            )
    image *= 1 + skin * (cv2.GaussianBlur(lines, (0, 0), rng.uniform(0.4, 1.6)) - 1)[..., None]


def _ridges(rng: np.random.Generator, image: Picture, points: NDArray[Any], skin: Float) -> Picture:
    """Highlights along nose, brows and cheekbones, with darker sides: rendered skin reflects less than real skin."""
    span = float(np.linalg.norm(points[33] - points[263]))
    light = np.zeros(image.shape[:2], np.float32)
    for chain in _RIDGES:
        if rng.random() < 0.6:
            path = points[list(chain)] + rng.normal(0, 0.02 * span, (1, 2))
            strokes(light, rng, path, np.array([1.0]), max(1, round(rng.uniform(0.06, 0.16) * span)))
    soft = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.02, 0.06) * span)
    wide = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.08, 0.2) * span)
    change = rng.uniform(0.05, 0.6) * soft - rng.uniform(0, 0.5) * wide
    return np.asarray(image * (1 + skin * change[..., None]), np.float32)


def _beard(rng: np.random.Generator, image: Picture, area: Float, hair: NDArray[Any], points: NDArray[Any]) -> Picture:
    """A full beard, a beard of the chin, a moustache or stubble."""
    kind = rng.choice(["full", "chin", "moustache", "around"])
    mouth = points[list(LIPS_OUTER)]
    middle, width = mouth.mean(axis=0), np.ptp(mouth[:, 0])
    share = area.copy()
    y, x = np.mgrid[0:INPUT_PX, 0:INPUT_PX].astype(np.float32)
    if kind == "chin":
        share *= (np.abs(x - middle[0]) < 0.6 * width) & (y > middle[1])
    elif kind == "moustache":
        share *= (np.abs(x - middle[0]) < 0.75 * width) & (y < mouth[:, 1].max() * 0.5 + middle[1] * 0.5)
    elif kind == "around":
        share *= np.abs(x - middle[0]) < 0.75 * width
    density = rng.choice([rng.uniform(0.15, 0.4), rng.uniform(0.6, 1.0)])
    strands = np.clip(density + 0.25 * noise(rng, rng.uniform(1, 2), rng.uniform(1, 4)), 0, 1)
    share = cv2.GaussianBlur(share, (0, 0), rng.uniform(0.7, 2.5)) * strands * density
    shaded = hair * (1 + 0.25 * noise(rng, rng.uniform(1, 2.5), rng.uniform(1, 4))[..., None])
    if rng.random() < 0.25:
        shaded = shaded + 90 * np.clip(noise(rng, 2, 3), 0, 1)[..., None]
    light = image.mean(axis=-1, keepdims=True) / max(float(image[area > 0.5].mean()) if (area > 0.5).any() else 1, 1)
    return np.asarray(image + share[..., None] * (shaded * np.clip(light, 0.3, 1.8) - image), np.float32)


def _fringe(rng: np.random.Generator, image: Picture, points: NDArray[Any], hair: NDArray[Any]) -> None:
    """Hair over the forehead or along the sides of the face, in place."""
    top = points[10]
    reach = rng.uniform(0.2, 1.0) * (points[9, 1] - top[1])
    side = rng.random() < 0.4
    for _ in range(int(rng.integers(15, 90))):
        if side:
            number = CONTOUR[int(rng.choice([*range(4, 12), *range(25, 33)]))]
            start = points[number] + rng.normal(0, 2.5, 2) - [0, 10]
            end = start + np.array([rng.normal(0, 2), rng.uniform(15, 50)])
        else:
            start = top + np.array([rng.uniform(-35, 35), -rng.uniform(2, 16)])
            end = start + np.array([rng.normal(0, 4), rng.uniform(6, 16 + reach)])
        strokes(
            image, rng, np.array([start, (start + end) / 2 + rng.normal(0, 1, 2), end]), hair, int(rng.integers(1, 3))
        )


def _shadow(rng: np.random.Generator, image: Picture, coverage: Float) -> Picture:
    """A soft or hard shadow across the face, or light from one side."""
    if rng.random() < 0.5:
        return np.asarray(image * lighting(rng, rng.uniform(0.2, 0.9)), np.float32)
    share = blob(rng, rng.uniform(10, INPUT_PX - 10, 2), rng.uniform(20, 60))
    share = cv2.GaussianBlur(share, (0, 0), rng.choice([0.8, 3.0, 8.0]))[..., None] * coverage
    return np.asarray(image * (1 - share * rng.uniform(0.15, 0.7)), np.float32)
