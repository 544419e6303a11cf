"""A small head asset for tests: an ellipsoid with a jaw joint, 468 landmarks and a few expressions."""

from __future__ import annotations

import numpy as np

from occlufacediff.head.asset import HeadAsset

N_SHAPE, N_EXP = 4, 6


def small_head(seed: int = 0, rows: int = 24, columns: int = 32) -> HeadAsset:
    """An ellipsoid of ``rows`` x ``columns`` vertices in metres, front at +z, y up, mouth at y = -0.04."""
    rng = np.random.default_rng(seed)
    height, angle = np.meshgrid(np.linspace(-0.97, 0.97, rows), np.linspace(0, 2 * np.pi, columns, endpoint=False))
    ring = np.sqrt(1 - height.T**2)
    vertices = np.stack([0.08 * ring * np.sin(angle.T), 0.11 * height.T, 0.09 * ring * np.cos(angle.T)], axis=-1)
    vertices = vertices.reshape(-1, 3)
    a = np.arange(rows - 1)[:, None] * columns + np.arange(columns)
    b = np.arange(rows - 1)[:, None] * columns + (np.arange(columns) + 1) % columns
    faces = np.concatenate(
        [np.stack([a, b, b + columns], axis=-1), np.stack([a, b + columns, a + columns], axis=-1)]
    ).reshape(-1, 3)
    front = np.flatnonzero((vertices[faces][..., 2] > 0.02).all(axis=1))
    mouth = np.exp(-(((vertices - [0, -0.04, 0.08]) / 0.03) ** 2).sum(axis=1))
    expdirs = rng.normal(0, 0.002, (1, 3, N_EXP)) * mouth[:, None, None]
    shapedirs = vertices[:, :, None] * rng.normal(0, 0.02, (1, 3, N_SHAPE))
    jaw = 1 / (1 + np.exp((vertices[:, 1] + 0.04) / 0.008))
    regressor = np.zeros((2, len(vertices)))
    regressor[:] = 1 / len(vertices)
    return HeadAsset(
        name="small",
        v_template=vertices,
        faces=faces,
        shapedirs=shapedirs,
        expdirs=expdirs,
        J_regressor=regressor,
        parents=np.array([-1, 0]),
        weights=np.stack([1 - jaw, jaw], axis=1),
        lmk_face_idx=front[rng.integers(0, len(front), 468)],
        lmk_b_coords=rng.dirichlet([1, 1, 1], 468),
        landmark_indices=np.arange(468),
        expression_names=tuple(f"action{number}" for number in range(N_EXP)),
        regions={
            "face": np.flatnonzero(vertices[:, 2] > 0),
            "lips": np.flatnonzero(mouth > 0.3),
        },
    )
