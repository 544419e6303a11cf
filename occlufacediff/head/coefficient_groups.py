"""Coefficients of the mouth and of the upper face, and the visibility from which a mouth counts as visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The mouth of a frame counts as occluded if a smaller share of its landmarks is visible.
LEAST_VISIBLE_SHARE = 0.1


def is_mouth_action(name: str) -> bool:
    """Whether an action, by its ARKit name, belongs to mouth and jaw; puffed cheeks belong to the mouth."""
    return name.startswith(("mouth", "jaw", "cheekPuff", "tongue"))


def mouth_columns(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Coefficients (E + 3,) of expression ``names`` and jaw that move the mouth.

    Expressions without ARKit names, as in FLAME, do not count, because each of them moves the whole face.
    """
    return np.array([is_mouth_action(name) for name in names] + [True] * 3)


def upper_columns(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Coefficients (E + 3,) of expression ``names`` and jaw that move only brows, lids or eyes."""
    return np.array([name.startswith(("brow", "eye")) for name in names] + [False] * 3)
