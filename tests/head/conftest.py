"""A small head whose 468 landmarks move as a face's roughly do, for tests of the fit."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.face_mesh import LIP_PAIRS_LOWER, LIP_PAIRS_UPPER
from occlufacediff.head.asset import HeadAsset


@pytest.fixture(scope="session")
def small_head() -> HeadAsset:
    """A curved sheet of 468 triangles, one a landmark, with smooth bases, lips and a chin that hangs on the jaw."""
    rng = np.random.default_rng(7)
    n_shape, n_exp = 8, 10
    angle, height = rng.uniform(-1.2, 1.2, 468), rng.uniform(-0.09, 0.09, 468)
    lips = np.array(LIP_PAIRS_UPPER + LIP_PAIRS_LOWER)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    angle[lips] = 0.35 * np.cos(np.r_[turn, turn])
    height[lips] = -0.045 + np.r_[np.full(20, 0.004), np.full(20, -0.004)]
    middle = np.stack([0.075 * np.sin(angle), height, 0.075 * np.cos(angle) - 0.04], axis=1)
    corners = middle[:, None] + 0.002 * rng.normal(size=(468, 3, 3))
    vertices = np.concatenate([corners.reshape(-1, 3), [[0, 0, -0.05], [0, -0.02, -0.03]]])

    def smooth(count: int, scale: float) -> np.ndarray:
        waves = rng.normal(size=(count, 3, 3)) * 25
        phase = rng.uniform(0, 2 * np.pi, (count, 3))
        return scale * np.sin(np.einsum("vc,nkc->vkn", vertices, waves) + phase.T)

    weights = np.zeros((len(vertices), 2))
    low = 1 / (1 + np.exp((vertices[:, 1] + 0.045) / 0.0015))
    weights[:, 1] = low
    weights[:, 0] = 1 - low
    regressor = np.zeros((2, len(vertices)))
    regressor[0, -2], regressor[1, -1] = 1, 1
    return HeadAsset(
        name="small",
        v_template=vertices,
        faces=np.arange(1404).reshape(468, 3),
        shapedirs=smooth(n_shape, 0.003),
        expdirs=smooth(n_exp, 0.006),
        J_regressor=regressor,
        parents=np.array([-1, 0]),
        weights=weights,
        lmk_face_idx=np.arange(468),
        lmk_b_coords=np.full((468, 3), 1 / 3),
        landmark_indices=np.arange(468),
        expression_names=tuple(f"action{chr(65 + i)}" for i in range(n_exp)),
        regions={"lips": np.arange(9)},
    )
