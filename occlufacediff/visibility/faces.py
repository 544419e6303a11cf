"""Renders clear faces of the open head for the training of the occlusion network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, vertices_numpy
from occlufacediff.landmarks.normalise import CROP_PX, CROP_SCALE
from occlufacediff.openhead.vertex_masks import COLOURS
from occlufacediff.rendering.mesh import Light, SmoothNormals, shade
from occlufacediff.rendering.renderer import make_renderer
from occlufacediff.visibility.inputs import INPUT_PX

#: Skin colours from dark to light, sRGB.
_SKIN = np.array([(62, 42, 34), (112, 76, 58), (160, 114, 86), (198, 150, 116), (222, 178, 152), (244, 212, 192)])
_HAIR = np.array([(24, 20, 20), (74, 54, 42), (110, 66, 40), (176, 140, 88), (168, 164, 160), (214, 212, 208)])


@dataclass(frozen=True, eq=False)
class Face:
    """One rendered face.

    Attributes:
        picture: (112, 112, 3) uint8 RGB, black outside the head.
        regions: (112, 112, 4) uint8: coverage by the head; hair, beard area and skin.
        landmarks: (468, 2) float32, crop coordinates.
        other: (468, 2) float32, of the same head in the same pose with another expression.
    """

    picture: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    other: NDArray[np.float32]


class FaceRenderer:
    """Renders random heads with random skin, hair colour, expression, pose and light."""

    def __init__(self, asset: HeadAsset) -> None:
        """Create a renderer of the open head ``asset``, which needs vertex colours."""
        self._asset = asset
        self._renderer = make_renderer(CROP_PX, CROP_PX, asset.faces)
        self._normals = SmoothNormals(asset.faces, asset.n_vertices)
        self._regions = _region_colours(asset)

    def draw(self, rng: np.random.Generator) -> Face:
        """Render one random face."""
        asset = self._asset
        shape = np.zeros(asset.n_shape, np.float32)
        shape[: asset.n_principal] = np.clip(0.9 * rng.standard_normal(asset.n_principal), -2.5, 2.5)
        shape[asset.n_principal :] = 0.5 * rng.standard_normal(asset.n_shape - asset.n_principal)
        exp = np.stack([self._expression(rng), self._expression(rng)])
        jaw = np.zeros((2, 3), np.float32)
        jaw[:, 0] = [max(0.0, value) for value in rng.choice([0.0, 0.0, 0.08, 0.18, 0.33], 2) * rng.uniform(0.6, 1.2)]
        # Speakers on a stage often turn aside.
        yaw = rng.uniform(-55, 55) if rng.random() < 0.3 else rng.normal(0, 18)
        turn = np.radians([rng.normal(0, 12), yaw, rng.normal(0, 7)]).astype(np.float32)
        vertices = vertices_numpy(asset, shape, exp, np.stack([turn, turn]), jaw)
        points = landmarks_numpy(asset, vertices)
        low, high = points[0, :, :2].min(axis=0), points[0, :, :2].max(axis=0)
        # Boxes of real landmarks vary, above all under occlusion.
        size = (high - low).mean() * CROP_SCALE * rng.uniform(0.92, 1.1)
        middle = (low + high) / 2 + rng.normal(0, 0.025, 2) * size
        scale = np.array([CROP_PX, -CROP_PX]) / size

        def on_crop(values: NDArray[np.floating]) -> NDArray[np.float32]:
            return np.asarray((values[..., :2] - middle) * scale + CROP_PX / 2, np.float32)

        screen = np.column_stack([on_crop(vertices[0]), vertices[0][:, 2] * scale[0]])
        normals = self._normals(vertices[0])
        lights, ambient = _lights(rng)
        colours = self._colours(rng)
        lit = self._renderer.rgba(screen, shade(colours, normals, lights, ambient, float(rng.uniform(0, 0.25))))
        areas = self._renderer.rgba(screen, self._regions)
        regions = np.concatenate([_halved(lit[..., 3:]), _halved(areas[..., :3])], axis=-1)
        marks = on_crop(points) / (CROP_PX / 2) - 1
        return Face(_halved(lit[..., :3]), regions, marks[0].astype(np.float32), marks[1].astype(np.float32))

    def _expression(self, rng: np.random.Generator) -> NDArray[np.float32]:
        count = self._asset.n_exp
        chosen = rng.random(count) < rng.choice([0.05, 0.15, 0.3])
        values = (chosen * rng.beta(1.2, 1.6, count)).astype(np.float32)
        blink = rng.choice([0.0, 0.0, 0.5, 1.0])
        for number, name in enumerate(self._asset.expression_names):
            if name.startswith("eyeBlink"):
                values[number] = blink
        return values

    def _colours(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        asset = self._asset
        assert asset.vertex_colors is not None
        neutral = asset.vertex_colors.astype(np.float64)
        colours = neutral.copy()
        place = rng.uniform(0, len(_SKIN) - 1)
        skin = np.array([np.interp(place, np.arange(len(_SKIN)), _SKIN[:, k]) for k in range(3)])
        skin = np.clip(skin * (1 + rng.normal(0, 0.06, 3)), 8, 250)
        fixed = np.zeros(asset.n_vertices, bool)
        for name in ("left_eyeball", "right_eyeball", "teeth", "mouth_interior"):
            fixed[asset.regions[name]] = True
        colours[~fixed] *= skin / COLOURS["skin"]
        hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.6, 1.15)
        bald = rng.random() < 0.12
        colours[asset.regions["scalp"]] = skin if bald else hair
        brows = asset.regions["brows"]
        colours[brows] = colours[brows] + rng.uniform(0.0, 0.95) * (hair - colours[brows])
        lips = asset.regions["lips"]
        colours[lips] += rng.uniform(0, 1) * (rng.uniform(0.75, 1.0) * skin - colours[lips])
        teeth = asset.regions["teeth"]
        colours[teeth] *= rng.uniform(0.6, 2.0)
        waves = rng.standard_normal((8, 3)) * rng.uniform(20, 140, (8, 1))
        mottle = np.sin(asset.v_template @ waves.T + rng.uniform(0, 6.28, 8)).sum(axis=1) / 8
        colours[~fixed] *= 1 + rng.uniform(0, 0.12) * mottle[~fixed, None]
        red = np.zeros(asset.n_vertices)
        red[asset.regions["face"]] = np.maximum(0, np.sin(asset.v_template[asset.regions["face"]] @ waves[0]))
        colours[:, 1:] *= (1 - rng.uniform(0, 0.2) * red * ~fixed)[:, None]
        return np.clip(colours + 0.5, 0, 255).astype(np.uint8)


def _lights(rng: np.random.Generator) -> tuple[tuple[Light, ...], float]:
    """Random lights and the intensity of the ambient light."""
    lights = []
    for most in (rng.uniform(0.2, 1.1), rng.uniform(0, 0.5)):
        direction = (float(rng.normal(0, 0.9)), float(rng.normal(0.3, 0.6)), float(rng.uniform(0.1, 1.0)))
        tint = np.clip(1 + rng.normal(0, 0.1, 3), 0.5, 1.5) * most
        lights.append(Light(direction, (float(tint[0]), float(tint[1]), float(tint[2]))))
    return tuple(lights), float(rng.uniform(0.12, 0.75))


def _region_colours(asset: HeadAsset) -> NDArray[np.uint8]:
    """Per vertex (V, 3) uint8: hair, area of beards, skin."""
    out = np.zeros((asset.n_vertices, 3))
    out[asset.regions["scalp"], 0] = 1
    skin = np.ones(asset.n_vertices, bool)
    for name in ("scalp", "left_eyeball", "right_eyeball", "teeth", "mouth_interior"):
        skin[asset.regions[name]] = False
    out[skin, 2] = 1
    height = asset.v_template[:, 1]
    lips = asset.regions["lips"]
    top = height[lips].max() + 0.009
    beard = np.clip((top - height) / 0.006, 0, 1)
    for name in ("lips", "mouth_interior", "teeth", "scalp", "neck", "nose"):
        beard[asset.regions[name]] = 0
    out[:, 1] = beard
    return (255 * out).astype(np.uint8)


def _halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of 2 x 2 pixels of (224, 224, C): (112, 112, C)."""
    blocks = image.reshape(INPUT_PX, 2, INPUT_PX, 2, -1).astype(np.uint16)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
