"""Gauss-Newton steps of the landmark fit: normal equations of all frames, bounds, and the banded solve over time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solveh_banded

from occlufacediff.head.landmark_basis import Array, LandmarkBasis
from occlufacediff.head.skinning import rotation_matrices

Float32 = NDArray[np.float32]

# Added to every diagonal, so that unknowns without any information do not move.
_TINY = 1e-6
# Fewer frames are not given to a thread.
_LEAST_FRAMES = 24
# Rounds of the active set within one step.
_BOUND_ROUNDS = 4


@dataclass(frozen=True)
class Layout:
    """Positions of the N = E + 9 unknowns of a frame: expression, jaw, rotation, log of the scale, offset."""

    n_exp: int

    @property
    def size(self) -> int:
        """Number of unknowns N of a frame."""
        return self.n_exp + 9

    @property
    def exp(self) -> slice:
        """Expression, E."""
        return slice(0, self.n_exp)

    @property
    def jaw(self) -> slice:
        """Jaw, axis-angle, 3."""
        return slice(self.n_exp, self.n_exp + 3)

    @property
    def turn(self) -> slice:
        """Head rotation, axis-angle, 3."""
        return slice(self.n_exp + 3, self.n_exp + 6)

    @property
    def scale(self) -> int:
        """Log of the camera's scale."""
        return self.n_exp + 6

    @property
    def place(self) -> slice:
        """Offset in the image, 2."""
        return slice(self.n_exp + 7, self.n_exp + 9)


@dataclass(frozen=True)
class Priors:
    """Quadratic terms on the unknowns, all as 1 / variance.

    Attributes:
        shape: for identity coefficients about 0, scalar.
        ridge: (N,) for each unknown about its mean.
        velocity, acceleration: (N,) for first and second differences over time of the difference from the mean.
        low, high: (N,) bounds; infinite for free unknowns.
        robust: residual from which the loss is linear, in the unit of the residuals.
    """

    shape: float
    ridge: Array
    velocity: Array
    acceleration: Array
    low: Array
    high: Array
    robust: float


def cross_matrices(vectors: Array) -> Array:
    """Cross-product matrices (T, 3, 3) of vectors (T, 3)."""
    out = np.zeros((len(vectors), 3, 3))
    out[:, 2, 1], out[:, 0, 2], out[:, 1, 0] = vectors.T
    return out - out.transpose(0, 2, 1)


def left_jacobians(vectors: Array) -> Array:
    """(T, 3, 3) J with ``exp(v + d) = exp(J d) exp(v)`` to first order.

    ``J = I + (1 - cos a) / a^2 K + (a - sin a) / a^3 K^2``, K the cross-product matrix of v, a its length.
    """
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(small, 1 / 6, (safe - np.sin(safe)) / safe**3)
    cross = cross_matrices(vectors)
    return np.eye(3) + first * cross + second * (cross @ cross)


class Problem:
    """Residuals and derivatives of landmarks of some frames against the head model.

    Args:
        basis: the head at its L landmarks.
        targets: (T, L, 2) landmarks, y up, in the unit of the residuals; any finite value where occluded.
        weights: (T, L) weight of each landmark, 0 where occluded.
        priors: quadratic terms and bounds.
        mean: (T, N) mean of the priors.
        threads: threads that share the frames of `normal_equations`.
    """

    def __init__(
        self, basis: LandmarkBasis, targets: Array, weights: Array, priors: Priors, mean: Array, threads: int = 1
    ) -> None:
        self.basis = basis
        self.mean = mean
        self.targets = targets
        self.weights = weights
        self.priors = priors
        self.layout = Layout(basis.n_exp)
        count = min(threads, len(mean) // _LEAST_FRAMES)
        bounds = np.linspace(0, len(mean), count + 1).round().astype(int)
        frames = [slice(*pair) for pair in pairwise(bounds.tolist())] if count > 1 else []
        self._parts = [(at, Problem(basis, targets[at], weights[at], priors, mean[at])) for at in frames]
        # Rows c = 0..2 are of the points, 3..5 of the levers: (6, E L) and (6, L S).
        stacked = np.concatenate([basis.points.exp, basis.levers.exp], axis=1).transpose(1, 2, 0)
        self._exp_rows = np.ascontiguousarray(stacked.reshape(6, -1), dtype=np.float32)
        stacked = np.concatenate([basis.points.shape, basis.levers.shape], axis=1).transpose(1, 0, 2)
        self._shape_rows = np.ascontiguousarray(stacked.reshape(6, -1), dtype=np.float32)

    def project(self, shape: Array, state: Array) -> Array:
        """Landmarks (T, L, 2), y up, of identity (S,) and unknowns (T, N)."""
        at = self.layout
        turned = self.basis.local(shape, state[:, at.exp], state[:, at.jaw])
        camera = np.exp(state[:, at.scale])[:, None, None] * rotation_matrices(state[:, at.turn])[:, :2]
        return turned @ camera.transpose(0, 2, 1) + state[:, None, at.place]

    def derivatives(self, shape: Array, state: Array) -> tuple[Array, Float32, Float32]:
        """Residuals (T, 2, L), model minus target; Jacobian (T, 2, N, L); rows (T, 2, 6) for the identity.

        The derivative of landmark l by the identity is ``rows @ [points.shape; levers.shape][l]``.
        """
        at, frames, landmarks = self.layout, len(state), len(self.basis.indices)
        jaw_matrix = rotation_matrices(state[:, at.jaw])
        jaw_turn = jaw_matrix - np.eye(3)
        exp = state[:, at.exp]
        levers = self.basis.levers.at(shape, exp, jaw_turn)
        local = self.basis.points.at(shape, exp, jaw_turn) + levers @ jaw_turn.transpose(0, 2, 1)
        turn = rotation_matrices(state[:, at.turn])
        scale = np.exp(state[:, at.scale])[:, None, None]
        camera = scale * turn[:, :2]
        turned = (scale * turn) @ local.transpose(0, 2, 1)
        residuals = turned[:, :2] + state[:, at.place, None] - self.targets.transpose(0, 2, 1)

        rows = np.concatenate([camera, camera @ jaw_turn], axis=2).astype(np.float32)
        jacobian = np.empty((frames, 2, at.size, landmarks), dtype=np.float32)
        flat = jacobian.reshape(2 * frames, -1)
        np.matmul(rows.reshape(-1, 6), self._exp_rows, out=flat[:, : self._exp_rows.shape[1]])
        # d(R z) = (J d) x (R z), for the jaw rotation and for the head rotation.
        bent = jaw_matrix @ levers.transpose(0, 2, 1)
        jaw_left, turn_left = left_jacobians(state[:, at.jaw]), left_jacobians(state[:, at.turn])
        for number in range(3):
            swing = cross_matrices(jaw_left[:, :, number])
            jacobian[:, :, at.jaw.start + number] = (camera @ swing) @ bent
            if self.basis.points.pose is not None and self.basis.levers.pose is not None:
                change = (swing @ jaw_matrix).reshape(-1, 9)
                moved = np.tensordot(change, self.basis.points.pose, axes=(1, -1))
                moved += np.tensordot(change, self.basis.levers.pose, axes=(1, -1)) @ jaw_turn.transpose(0, 2, 1)
                jacobian[:, :, at.jaw.start + number] += camera @ moved.transpose(0, 2, 1)
            jacobian[:, :, at.turn.start + number] = cross_matrices(turn_left[:, :, number])[:, :2] @ turned
        jacobian[:, :, at.scale] = turned[:, :2]
        jacobian[:, :, at.place] = np.eye(2, dtype=np.float32)[..., None]
        return residuals, jacobian, rows

    def normal_equations(self, shape: Array, state: Array) -> tuple[Array, Array]:
        """Hessian blocks (T, N, N) and gradients (T, N) of the landmark term with robust weights."""
        if self._parts:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                work = [pool.submit(part.normal_equations, shape, state[at]) for at, part in self._parts]
                blocks, gradients = zip(*(one.result() for one in work), strict=True)
            return np.concatenate(blocks), np.concatenate(gradients)
        residuals, jacobian, _ = self.derivatives(shape, state)
        root = np.sqrt(self._robust_weights(residuals))
        return _blocks(residuals, jacobian, root)

    def _robust_weights(self, residuals: Array) -> Array:
        """(T, L) weights of the pseudo-Huber loss: quadratic near zero, linear beyond `robust`."""
        return self.weights / np.sqrt(1 + (residuals**2).sum(1) / self.priors.robust**2)

    def step_with_identity(self, shape: Array, state: Array) -> tuple[Array, Array]:
        """One step of the identity and all frames; frames depend on each other through the identity only.

        The unknowns of the frames are eliminated (Schur complement), the identity is solved, then the frames.
        """
        own, frames = self.layout.size, len(state)
        residuals, jacobian, rows = self.derivatives(shape, state)
        weights = self._robust_weights(residuals)
        root = np.sqrt(weights)
        blocks, right = _blocks(residuals, jacobian, root)
        right += self.priors.ridge * (state - self.mean)
        blocks[:, np.arange(own), np.arange(own)] += self.priors.ridge + _TINY
        mixed = self._mixed_block(jacobian, rows, root)
        whole, pull = self._shape_equations(residuals, rows, weights)
        whole[np.diag_indices_from(whole)] += self.priors.shape
        pull += self.priors.shape * shape
        change = np.zeros_like(shape)

        def solve(fixed: NDArray[np.bool_], held: Array) -> Array:
            nonlocal change
            free = ~fixed
            push = np.where(free, right + (blocks @ held[..., None])[..., 0], 0)
            system = np.where(free[:, :, None] & free[:, None, :], blocks, np.eye(own))
            # With the Cholesky factor of the inverse, the Schur complement is one symmetric product.
            factor = np.linalg.inv(np.linalg.cholesky(system))
            masked = (factor * free[:, None]).astype(np.float32)
            part = masked @ mixed
            flat = part.reshape(frames * own, -1)
            reduced = whole - (flat.T @ flat).astype(np.float64)
            pushed = (factor @ push[..., None])[..., 0]
            fixed_pull = held.astype(np.float32).ravel() @ mixed.reshape(frames * own, -1)
            free_pull = pushed.astype(np.float32).ravel() @ flat
            change = -cho_solve(cho_factor(reduced), pull + fixed_pull - free_pull)
            pushed += (flat @ change.astype(np.float32)).reshape(frames, own)
            return held - (factor.transpose(0, 2, 1) @ pushed[..., None])[..., 0]

        moved = self._within_bounds(state, right, solve)
        return shape + change, moved.reshape(frames, own)

    def _mixed_block(self, jacobian: Float32, rows: Float32, root: Array) -> Float32:
        """(T, N, S) of the Hessian between a frame's unknowns and the identity.

        Args:
            jacobian: (T, 2, N, L), already times ``root``, (T, L).
        """
        frames, landmarks = root.shape
        shape_jacobian = (rows.reshape(-1, 6) @ self._shape_rows).reshape(frames, 2, landmarks, -1)
        weighted = jacobian * root[:, None, None].astype(np.float32)
        mixed: Float32 = np.matmul(weighted, shape_jacobian).sum(axis=1)
        return mixed

    def _shape_equations(self, residuals: Array, rows: Float32, weights: Array) -> tuple[Array, Array]:
        """Hessian (S, S) and gradient (S,) of the identity; frames are summed first, for each landmark."""
        landmarks = weights.shape[1]
        basis = self._shape_rows.reshape(6, landmarks, -1)
        square = (rows.transpose(0, 2, 1) @ rows).reshape(len(rows), 36)
        inner = (weights.T.astype(np.float32) @ square).reshape(landmarks, 6, 6)
        moved = np.matmul(inner, basis.transpose(1, 0, 2)).transpose(1, 0, 2)
        hessian = self._shape_rows.reshape(6 * landmarks, -1).T @ moved.reshape(6 * landmarks, -1)
        hessian = (hessian + hessian.T) / 2
        outer = np.einsum("tcl,tck->kl", residuals * weights[:, None], rows, optimize=True)
        gradient = outer.astype(np.float32).ravel() @ self._shape_rows.reshape(6 * landmarks, -1)
        return hessian.astype(np.float64), gradient.astype(np.float64)

    def step_in_time(self, shape: Array, state: Array) -> Array:
        """One step of all frames with smoothness over time: a banded system of T N unknowns."""
        frames, own = state.shape
        hessian, gradient = self.normal_equations(shape, state)
        diagonal, beside, beyond = _smoothness(frames, self.priors.velocity, self.priors.acceleration)
        hessian[:, np.arange(own), np.arange(own)] += self.priors.ridge + diagonal + _TINY
        apart = state - self.mean
        gradient += (self.priors.ridge + diagonal) * apart + _neighbours(apart, beside, beyond)
        row, column = np.tril_indices(own)
        banded = np.zeros((2 * own + 1, frames, own))

        def solve(fixed: NDArray[np.bool_], held: Array) -> Array:
            free = ~fixed
            push = gradient + (hessian @ held[..., None])[..., 0] + _neighbours(held, beside, beyond)
            both = free[:, row] & free[:, column]
            both[:, row == column] = True
            banded[row - column, :, column] = (hessian[:, row, column] * both).T
            banded[own, :-1] = beside * (free[1:] & free[:-1])
            banded[2 * own, :-2] = beyond * (free[2:] & free[:-2])
            flat = banded.reshape(2 * own + 1, -1)
            step = solveh_banded(flat, np.where(free, push, 0).ravel(), lower=True, check_finite=False)
            return held - step.reshape(frames, own)

        return self._within_bounds(state, gradient, solve)

    def _within_bounds(
        self, state: Array, gradient: Array, solve: Callable[[NDArray[np.bool_], Array], Array]
    ) -> Array:
        """Minimise the quadratic model of this step within the bounds by an active set.

        Unknowns whose gradient pushes them against their bound stay there. If the solution leaves the bounds, these
        unknowns are fixed at their bounds and the others are solved again, `_BOUND_ROUNDS` times at most.

        Args:
            state: (T, N) current unknowns.
            gradient: (T, N) at ``state``.
            solve: gives the best change (T, N), where ``fixed`` (T, N) unknowns have the given change.
        """
        low, high = self.priors.low - state, self.priors.high - state
        fixed = ((low >= 0) & (gradient > 0)) | ((high <= 0) & (gradient < 0))
        held = np.zeros_like(state)
        for _ in range(_BOUND_ROUNDS):
            change = solve(fixed, held)
            beyond = ~fixed & ((change < low) | (change > high))
            if not beyond.any():
                break
            held = np.where(beyond, np.clip(change, low, high), held)
            fixed = fixed | beyond
        return state + np.clip(change, low, high)


def _blocks(residuals: Array, jacobian: Float32, root: Array) -> tuple[Array, Array]:
    """Hessian (T, N, N) and gradient (T, N) of ``|root r|^2 / 2``; multiplies ``jacobian`` (T, 2, N, L) by ``root``."""
    jacobian *= root[:, None, None].astype(np.float32)
    hessian = np.matmul(jacobian, jacobian.swapaxes(2, 3)).sum(axis=1)
    weighted = (root[:, None] * residuals).astype(np.float32)
    gradient = np.matmul(jacobian, weighted[..., None])[..., 0].sum(axis=1)
    return hessian.astype(np.float64), gradient.astype(np.float64)


def _neighbours(values: Array, beside: Array, beyond: Array) -> Array:
    """Contribution (T, N) of neighbouring frames to the gradient: off-diagonals of `_smoothness` times ``values``."""
    out = np.zeros_like(values)
    out[1:] += beside * values[:-1]
    out[:-1] += beside * values[1:]
    out[2:] += beyond * values[:-2]
    out[:-2] += beyond * values[2:]
    return out


def _smoothness(frames: int, velocity: Array, acceleration: Array) -> tuple[Array, Array, Array]:
    """Diagonal (T, N), first (T - 1, N) and second (T - 2, N) off-diagonal of ``v D1'D1 + a D2'D2`` over T frames."""
    own = len(velocity)
    diagonal, beside = np.zeros((frames, own)), np.zeros((max(frames - 1, 0), own))
    beyond = np.zeros((max(frames - 2, 0), own))
    diagonal[1:] += velocity
    diagonal[:-1] += velocity
    beside -= velocity
    if frames > 2:
        for offset, factor in enumerate((1, 4, 1)):
            diagonal[offset : frames - 2 + offset] += factor * acceleration
        beside[:-1] -= 2 * acceleration
        beside[1:] -= 2 * acceleration
        beyond += acceleration
    return diagonal, beside, beyond


def fill_gap(state: Array, gap: slice, mean: Array, priors: Priors) -> Array:
    """Most likely unknowns (G, N) of the ``gap``'s frames by the priors alone, given the frames before and after.

    It minimises ridge, velocity and acceleration about ``mean``. Two frames on either side of the gap are fixed;
    at least one must exist.

    Args:
        state: (T, N) unknowns of all frames.
        gap: the G frames to fill.
        mean: (T, N) that ridge and smoothness refer to.
        priors: quadratic terms and bounds.
    """
    around = slice(max(gap.start - 2, 0), min(gap.stop + 2, len(state)))
    inside = slice(gap.start - around.start, gap.stop - around.start)
    fixed = state[around] - mean[around]
    fixed[inside] = 0
    diagonal, beside, beyond = _smoothness(len(fixed), priors.velocity, priors.acceleration)
    right = -_neighbours(fixed, beside, beyond)[inside]
    # The unknowns are independent: one banded system, an unknown after the other.
    banded = np.zeros((3, right.shape[1], len(right)))
    banded[0] = (diagonal[inside] + priors.ridge).T
    banded[1, :, :-1] = beside[inside.start : inside.stop - 1].T
    banded[2, :, :-2] = beyond[inside.start : inside.stop - 2].T
    solved = solveh_banded(banded.reshape(3, -1), right.T.ravel(), lower=True, check_finite=False)
    return np.clip(mean[gap] + solved.reshape(right.T.shape).T, priors.low, priors.high)
