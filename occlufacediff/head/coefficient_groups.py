"""What of a head's coefficients belongs to the mouth or to the upper face, and when a mouth counts as hidden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The mouth of a frame counts as hidden when fewer of its landmarks than this part are visible.
HIDDEN_PART = 0.1


def is_mouth_action(name: str) -> bool:
    """Whether an expression, by its ARKit name, belongs to mouth and jaw; a puffed cheek is the mouth's too."""
    return name.startswith(("mouth", "jaw", "cheekPuff", "tongue"))


def mouth_columns(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which coefficients (E + 3,) of expression ``names`` and jaw move the mouth.

    Expressions without such names (FLAME's) count as none of the mouth's: any of them moves the whole face.
    """
    return np.array([is_mouth_action(name) for name in names] + [True] * 3)


def upper_columns(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which coefficients (E + 3,) of expression ``names`` and jaw move brows, lids or eyes alone."""
    return np.array([name.startswith(("brow", "eye")) for name in names] + [False] * 3)
