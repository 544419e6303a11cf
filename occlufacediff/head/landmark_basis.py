"""The head model reduced to its landmarks, so that the cost of a fit does not depend on the number of vertices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LEFT_EYE, MESH_POINTS, RIGHT_EYE
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import rotation_matrices

Array = NDArray[np.float64]

#: Points of the lids of both eyes.
EYELIDS = RIGHT_EYE + LEFT_EYE


@dataclass(frozen=True)
class Linear:
    """A linear function of the coefficients: ``base + shape @ s + exp @ e + pose @ vec(R - I)``.

    Attributes:
        base: (..., 3) value at the mean head.
        shape: (..., 3, S) derivative by the identity.
        exp: (..., 3, E) derivative by the expression.
        pose: (..., 3, 9) derivative by the jaw rotation R; None without pose correctives.
    """

    base: Array
    shape: Array
    exp: Array
    pose: Array | None

    def at(self, shape: Array, exp: Array, jaw_turn: Array) -> Array:
        """Values (T, ..., 3) for shape (S,), exp (T, E) and the jaw's R - I (T, 3, 3)."""
        values = np.tensordot(exp, self.exp, axes=(1, -1)) + (self.base + self.shape @ shape)
        if self.pose is not None:
            values += np.tensordot(jaw_turn.reshape(-1, 9), self.pose, axes=(1, -1))
        return values

    def with_shape(self, shape: Array) -> Linear:
        """The function of the other coefficients at a fixed shape (S,)."""
        return Linear(self.base + self.shape @ shape, self.shape[..., :0], self.exp, self.pose)

    def rows(self, rows: NDArray[np.int64]) -> Linear:
        """The function for some of the points (first axis)."""
        return Linear(self.base[rows], self.shape[rows], self.exp[rows], None if self.pose is None else self.pose[rows])


@dataclass(frozen=True)
class LandmarkBasis:
    """Landmarks of a head model in the frame of its root: ``Y = U + (R - I) Z`` with the jaw rotation R.

    A vertex is ``v = u + w (R - I)(u - c)`` with its jaw weight w and the jaw joint c. A landmark is the barycentric
    sum of three vertices, so ``U = sum b u`` and ``Z = sum b w (u - c)``. Both are linear in the coefficients.

    Attributes:
        points: U, (L, 3).
        levers: Z, (L, 3).
        root: the root joint, (3,).
        indices: (L,) numbers of the landmarks among the 468 face mesh points.
        bounded: (E,) True for facial actions with values from 0 to 1.
        n_shape, n_exp: S and E. name, expression_names: of the asset.
    """

    points: Linear
    levers: Linear
    root: Linear
    indices: NDArray[np.int64]
    bounded: NDArray[np.bool_]
    n_shape: int
    n_exp: int
    head_name: str
    head_digest: str
    expression_names: tuple[str, ...]

    @classmethod
    def of(cls, asset: HeadAsset) -> LandmarkBasis:
        """Extract the landmarks from an asset."""
        jaw = asset.joint_names.index("jaw")
        corners = asset.triangles_of_landmarks
        share = asset.lmk_b_coords.astype(np.float64)
        lever = asset.weights[corners, jaw] * share
        regress = asset.J_regressor[[0, jaw]].astype(np.float64)

        def parts(array: NDArray[np.float32]) -> tuple[Array, Array, Array]:
            joints = np.tensordot(regress, array, axes=(1, 0))
            points = np.einsum("lk,lk...->l...", share, array[corners])
            levers = np.einsum("lk,lk...->l...", lever, array[corners]) - np.multiply.outer(lever.sum(1), joints[1])
            return points, levers, joints[0]

        template, shape, exp = parts(asset.v_template), parts(asset.shapedirs), parts(asset.expdirs)
        pose: list[Array | None] = [None, None, None]
        if asset.posedirs is not None:
            # Joints are regressed before the pose correctives are applied, so these do not move the jaw joint.
            at_corners = asset.posedirs[:, :, 9 * (jaw - 1) : 9 * jaw][corners]
            pose = [*(np.einsum("lk,lkcp->lcp", weights, at_corners) for weights in (share, lever)), None]
        points, levers, root = (Linear(*arrays) for arrays in zip(template, shape, exp, pose, strict=True))
        return cls(
            points=points,
            levers=levers,
            root=root,
            indices=asset.landmark_indices,
            bounded=np.array([not _is_component(name) for name in asset.expression_names]),
            n_shape=asset.n_shape,
            n_exp=asset.n_exp,
            head_name=asset.name,
            head_digest=asset.digest,
            expression_names=asset.expression_names,
        )

    def local(self, shape: Array, exp: Array, jaw: Array, rows: NDArray[np.int64] | None = None) -> Array:
        """Landmarks (T, L, 3) before the head rotation, metres, for shape (S,), exp (T, E), jaw (T, 3).

        With ``rows`` (L,), only these landmarks are computed.
        """
        turn = rotation_matrices(jaw) - np.eye(3)
        points, levers = (part if rows is None else part.rows(rows) for part in (self.points, self.levers))
        return points.at(shape, exp, turn) + levers.at(shape, exp, turn) @ turn.transpose(0, 2, 1)

    def with_shape(self, shape: Array) -> LandmarkBasis:
        """The landmarks of one person: the identity (S,) is fixed, and S is 0."""
        points, levers, root = (part.with_shape(shape) for part in (self.points, self.levers, self.root))
        return replace(self, points=points, levers=levers, root=root, n_shape=0)

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """(468,) row of each face mesh point among the landmarks, -1 for points that the head model lacks."""
        place = np.full(MESH_POINTS, -1, dtype=np.int64)
        place[self.indices] = np.arange(len(self.indices))
        return place

    def rows_of(self, points: tuple[int, ...]) -> NDArray[np.int64]:
        """Rows of the given face mesh points; points that the head model lacks are left out."""
        rows = self.place[list(points)]
        return rows[rows >= 0]


def _is_component(name: str) -> bool:
    """Whether a coefficient is a numbered principal component and not a named facial action."""
    return name.rstrip("0123456789").rstrip("_") in {"exp", "expression", "pc", "component"} and name[-1].isdigit()
