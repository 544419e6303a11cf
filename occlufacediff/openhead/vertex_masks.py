"""Regions of the open head and its neutral vertex colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.openhead.makehuman import BaseHead

Bools = NDArray[np.bool_]

#: Neutral colours, sRGB. Teeth and mouth are dark as in shadow: with bright teeth, the detector mistakes a slightly
#: open mouth for a closed one.
COLOURS = {
    "skin": (222, 178, 152),
    "lips": (186, 92, 92),
    "brow": (84, 60, 46),
    "scalp": (74, 54, 42),
    "white": (238, 236, 232),
    "iris": (92, 74, 54),
    "pupil": (18, 16, 16),
    "teeth": (112, 108, 101),
    "mouth": (24, 8, 10),
    "lid": (196, 146, 124),
}


def masks(head: BaseHead) -> dict[str, Bools]:
    """Region masks (V,) by name, from painted masks and from distances to eyes and lips."""
    x, y, z = head.vertices.T
    count = len(head.vertices)
    part = {name: np.isin(np.arange(count), ids) for name, ids in head.parts.items()}
    skin = part["skin"]
    lips = head.mask("mpfb_lips.jpg") > 0.5
    face = (head.mask("mpfb_face.jpg") > 0.5) & skin
    ears = (head.mask("mpfb_ears.jpg") > 0.5) & skin
    eye = head.joints["l-eye"]
    around = {
        side: skin & (((np.abs(x - sign * eye[0])) / 0.031) ** 2 + ((y - eye[1] - 0.006) / 0.026) ** 2 < 1) & (z > 0.08)
        for side, sign in (("left", 1), ("right", -1))
    }
    nose_top, nose_base = eye[1] + 0.006, y[lips].max() + 0.0075
    half_width = np.interp(y, [nose_base, nose_base + 0.018, nose_top], [0.021, 0.019, 0.010])
    nose = skin & (y > nose_base) & (y < nose_top) & (np.abs(x) < half_width) & (z > 0.12)
    jaw_line = y[lips].min() - 0.035
    neck = skin & ~face & ~ears & (y < jaw_line + 0.02 - 0.25 * (z - 0.14).clip(-0.2, 0)) & (z > -0.2)
    # The painted face leaves out the inner rims of the lips: these are no hair either.
    scalp = skin & ~face & ~ears & ~neck & (y > eye[1] - 0.06) & ((z < 0.09) | (y > eye[1]))
    edges = np.sort(np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]]), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    boundary = np.isin(np.arange(count), unique[times == 1]) & skin & (y < jaw_line + 0.02)
    return {
        "face": face,
        "lips": lips,
        "left_eye_region": around["left"],
        "right_eye_region": around["right"],
        "eye_region": around["left"] | around["right"],
        "nose": nose,
        "forehead": face & (y > eye[1] + 0.032),
        "ears": ears,
        "neck": neck,
        "scalp": scalp,
        "boundary": boundary,
        "left_eyeball": part["left_eye"],
        "right_eyeball": part["right_eye"],
        "teeth": part["upper_teeth"] | part["lower_teeth"],
        "mouth_interior": part["mouth_cavity"] & ~lips,
        "eyelids": (head.mask("mpfb_eyelids.jpg") > 0.5) & ~part["left_eye"] & ~part["right_eye"],
        "brows": _brows(head.vertices, eye, skin) > 0.3,
    }


def vertex_colours(head: BaseHead, regions: dict[str, Bools]) -> NDArray[np.uint8]:
    """Neutral vertex colours (V, 3) uint8 of skin, lips, brows, hair, eyes, mouth and teeth."""
    colours = np.empty((len(head.vertices), 3))
    colours[:] = COLOURS["skin"]
    _blend(colours, regions["scalp"].astype(float), "scalp")
    _blend(colours, regions["eyelids"] * 0.35, "lid")
    eye = head.joints["l-eye"]
    _blend(colours, 0.8 * _brows(head.vertices, eye, ~regions["scalp"]), "brow")
    _blend(colours, head.mask("mpfb_lips.jpg"), "lips")
    _blend(colours, regions["mouth_interior"].astype(float), "mouth")
    for name in ("left_eye_cavity", "right_eye_cavity"):
        colours[head.parts[name]] = COLOURS["lid"]
    _blend(colours, regions["teeth"].astype(float), "teeth")
    for name in ("left_eye", "right_eye"):
        ids = head.parts[name]
        offset = head.vertices[ids] - head.joints["l-eye" if name == "left_eye" else "r-eye"]
        angle = np.degrees(np.arccos(offset[:, 2] / np.linalg.norm(offset, axis=1)))
        colours[ids] = COLOURS["white"]
        colours[ids[angle < 23.5]] = COLOURS["iris"]
        colours[ids[angle < 9]] = COLOURS["pupil"]
    return (colours + 0.5).astype(np.uint8)


def _brows(vertices: NDArray[np.float64], eye: NDArray[np.float64], skin: Bools) -> NDArray[np.float64]:
    """Brow density (V,) at each vertex. The brows follow the landmarks that MediaPipe detects on this head."""
    x, y, z = vertices.T
    middle = eye[1] + np.interp(np.abs(x), [0.013, 0.030, 0.043, 0.056], [0.0195, 0.0240, 0.0245, 0.0165])
    ends = np.clip((np.abs(x) - 0.009) / 0.005, 0, 1) * np.clip((0.060 - np.abs(x)) / 0.006, 0, 1)
    amount: NDArray[np.float64] = np.clip((0.0060 - np.abs(y - middle)) / 0.0035, 0, 1) * ends
    return amount * (skin & (z > 0.08))


def _blend(colours: NDArray[np.float64], amount: NDArray[np.float64], name: str) -> None:
    """Mix a named colour into ``colours`` (V, 3) in place by ``amount`` (V,)."""
    colours += amount[:, None] * (np.array(COLOURS[name], dtype=float) - colours)
