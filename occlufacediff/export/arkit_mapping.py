"""ARKit weights of head models whose coefficients are not ARKit actions (FLAME), by a mapping file of the user.

A mapping file says how the head model makes each action: its expression coefficients and its rotation of the jaw at
weight 1. Weights are those whose surface is nearest to that of the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit import ARKIT_NAMES
from occlufacediff.export.limits import require_plausible
from occlufacediff.export.motion import PosedMotion, read_arrays
from occlufacediff.export.refit import LIP_WEIGHT, has_actions
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import HEAD_DIGEST, HEAD_NAME, require_head
from occlufacediff.head.skinning import vertices_numpy

Float = NDArray[np.float32]

#: Rotation by which the movement of the surface with the jaw is measured, radians.
_STEP = 0.05


@dataclass(frozen=True, eq=False)
class ArkitMapping:
    """K ARKit actions as motions of a head model with E expression coefficients.

    Attributes:
        names: of the actions.
        exp: (K, E) expression coefficients at weight 1.
        jaw: (K, 3) rotation of the jaw at weight 1, axis-angle, radians.
    """

    names: tuple[str, ...]
    exp: NDArray[np.float64]
    jaw: NDArray[np.float64]


def read_mapping(path: Path, head: HeadAsset, about: str | None = None) -> ArkitMapping:
    """Read a mapping file (.npz with ``names``, ``exp`` and ``jaw``) for a head model.

    Args:
        path: the file.
        head: the head model.
        about: beginning of messages; None: the option and the file.

    Raises:
        ConfigError: it is missing or unreadable, names no ARKit action, has values beyond `export.limits`, does not
            fit the head model, or the head model needs none.
        AssetError: it names another head model.
    """
    about = about or f"--arkit-mapping {path}"
    if has_actions(head):
        raise ConfigError(
            f"{about}: the coefficients of the head model {head.name!r} are ARKit actions already; leave it out"
        )
    entries = read_arrays(path, about, "give an .npz file with names, exp and jaw (docs/export.md)")
    missing = [name for name in ("names", "exp", "jaw") if name not in entries]
    if missing:
        raise ConfigError(f"{about}: has no entry {missing[0]!r}; needs names, exp and jaw (docs/export.md)")
    names = tuple(str(name) for name in entries["names"].ravel())
    unknown = [name for name in names if name not in ARKIT_NAMES]
    if unknown or not names or len(set(names)) < len(names):
        found = f"{unknown[0]!r}, which is no ARKit action" if unknown else "no action, or one of them twice"
        raise ConfigError(f"{about}: names: got {found}; needs names such as {ARKIT_NAMES[17]}, each once")
    identity = {name: str(entries[name]) for name in (HEAD_NAME, HEAD_DIGEST) if name in entries}
    remedy = "give a mapping that was made for this head model (docs/export.md)"
    require_head(about, identity, head, remedy)
    for name, shape in (("exp", (len(names), head.n_exp)), ("jaw", (len(names), 3))):
        one = entries[name]
        if one.shape != shape or one.dtype.kind not in "fiu":
            raise ConfigError(
                f"{about}: {name} is {one.dtype} of shape {one.shape}; the head model {head.name!r} needs numbers of "
                f"shape {shape}; {remedy}"
            )
        require_plausible(about, name, one, remedy, item="row")
    return ArkitMapping(names, entries["exp"].astype(np.float64), entries["jaw"].astype(np.float64))


def mapped(motion: PosedMotion, head: HeadAsset, mapping: ArkitMapping) -> tuple[PosedMotion, str]:
    """The motion with ARKit weights, and a sentence that says how far their surface is from that of the motion.

    Minimises ``|S D (sum_k w_k a_k - a)|^2`` over ``0 <= w <= 1`` in each frame. ``a`` is expression and jaw of the
    frame, ``a_k`` of action k, D (3 V, E + 3) the movement of the surface with them. S is `refit.LIP_WEIGHT` at the
    lips and 1 elsewhere. Actions of the gaze (``eyeLook``) are left out: their weights come from the irises.

    Args:
        motion: T frames.
        head: the head model.
        mapping: see `read_mapping`.
    """
    moves = _movement(head, motion.shape)
    scale = np.ones((head.n_vertices, 1, 1))
    scale[head.regions.get("lips", np.empty(0, dtype=np.int64))] = LIP_WEIGHT
    # |S D x| = |R x| with the triangular factor R.
    factor = np.linalg.qr((moves * scale).reshape(-1, moves.shape[2]), mode="r")
    used = [number for number, name in enumerate(mapping.names) if not name.startswith("eyeLook")]
    actions = np.concatenate([mapping.exp[used], mapping.jaw[used]], axis=1)
    given = np.concatenate([motion.exp, motion.jaw], axis=1).astype(np.float64)
    weights = np.zeros((motion.frames, len(ARKIT_NAMES)), np.float32)
    basis = factor @ actions.T
    places = [ARKIT_NAMES.index(mapping.names[number]) for number in used]
    total, largest = 0.0, 0.0
    for frame, values in enumerate(given):
        solved = lsq_linear(basis, factor @ values, (0, 1), method="bvls", max_iter=10 * len(used)).x
        found = np.clip(solved, 0, 1)
        weights[frame, places] = found
        distance = 1000 * np.linalg.norm(moves @ (found @ actions - values), axis=1)
        total, largest = total + float(distance.mean()), max(largest, float(distance.max()))
    text = (
        f"coefficients mapped to {len(used)} ARKit weights: their surface is {total / motion.frames:.2f} mm from that "
        f"of the motion on average, and {largest:.1f} mm at most"
    )
    return replace(motion, weights=weights), text


def _movement(head: HeadAsset, shape: Float) -> NDArray[np.float64]:
    """(V, 3, E + 3) movement of the surface per unit of expression and of jaw rotation, metres."""
    turns = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32) * _STEP
    still = np.zeros((6, 3), np.float32)
    posed = vertices_numpy(head, shape, np.zeros((6, head.n_exp), np.float32), still, turns).astype(np.float64)
    jaw = (posed[:3] - posed[3:]).transpose(1, 2, 0) / (2 * _STEP)
    return np.concatenate([head.expdirs.astype(np.float64), jaw], axis=2)
