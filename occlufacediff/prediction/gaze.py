"""Gaze from the irises: where the eyes look, relative to the head.

The detector gives the centre of each iris. An eye turns about a point `EYE_M` behind the front of the eyeball, and the
iris lies `IRIS_M` before this point. The head model gives the front of the eyeball; its place in the picture is
corrected by the distance of the detected eye corners from those of the fit. The direction from the turning point to the
iris, turned back by the head rotation, is the gaze.

The eyes are taken as parallel: both have the mean of what they show, after the median difference of the two in the clip
is removed. So an eye that is hidden follows the visible one. Where no iris is visible (blinks, occlusions, no face),
short gaps are interpolated; in longer ones the gaze returns to the clip's median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from occlufacediff.face_mesh import CORNERS_OF_EYES, LEFT_EYE, LIDS_OF_EYES, RIGHT_EYE
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import eyeballs
from occlufacediff.head.fit import FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import project_numpy, rotation_matrices
from occlufacediff.media.rates import FPS

Array = NDArray[np.float64]

#: Radius of a human eyeball, and distance of the iris from the point about which the eye turns, metres.
EYE_M, IRIS_M = 0.012, 0.0105
#: The subject's left and right eye: corners, upper and lower eyelid, all points.
EYES = tuple(zip(CORNERS_OF_EYES, LIDS_OF_EYES, (LEFT_EYE, RIGHT_EYE), strict=True))
#: An eye whose eyelids are nearer to each other than this part of its width is closed.
CLOSED = 0.12
#: An eye is hidden if fewer of its landmarks than this part are visible.
VISIBLE_PART = 0.5
#: Width of the median filter of the correction by the eye corners, seconds.
CORNERS_S = 0.6
#: Longest gap that is interpolated, and time in which the gaze returns to its median in longer ones, seconds.
GAP_S, RETURN_S = 0.4, 0.4
#: Yaw by which each eye seems to look outwards: median of 13 recordings, for clips that never show both eyes.
OUTWARDS = np.deg2rad(12.0)
#: Largest sine of the angle between gaze and camera; the iris of an eye that looks further away is not visible.
LARGEST = 0.9


@dataclass(frozen=True, eq=False)
class Gaze:
    """Directions of the eyes over T frames.

    Attributes:
        angles: (T, 2, 2) yaw and pitch of the subject's left and right eye relative to the head, radians; positive yaw
            looks to the subject's left, positive pitch up. Equal for both; 0 if no frame shows an iris.
        visible: (T, 2) bool, True where the iris of the left and right eye is visible.
    """

    angles: NDArray[np.float32]
    visible: NDArray[np.bool_]


def find_gaze(
    head: HeadAsset,
    basis: LandmarkBasis,
    fit: FitResult,
    irises: NDArray[np.floating] | None,
    lmk_2d: NDArray[np.floating],
    lmk_mask: NDArray[np.floating],
    *,
    eye_m: float = EYE_M,
    iris_m: float = IRIS_M,
) -> Gaze:
    """Gaze of a clip.

    Args:
        head: the head model; without regions of the eyeballs no gaze is found.
        basis: its landmarks.
        fit: fit to the clip.
        irises: (T, 2, 2) centres of the left and right iris, crop coordinates; NaN where not detected, None
            without any.
        lmk_2d: (T, 468, 2) landmarks, crop coordinates.
        lmk_mask: (T, 468) above 0 where a landmark is visible.
        eye_m, iris_m: sizes of the eye, metres.
    """
    frames = len(lmk_2d)
    irises = np.full((frames, 2, 2), np.nan) if irises is None else irises
    raw, visible = np.zeros((frames, 2, 2)), np.zeros((frames, 2), dtype=bool)
    turn = rotation_matrices(fit.global_pose)
    vertices = head.v_template + head.shapedirs @ fit.shape
    root = head.J_regressor[0] @ vertices
    for number, (eye, (corners, lids, points)) in enumerate(zip(eyeballs(head, vertices), EYES, strict=False)):
        rows = basis.rows_of(corners)
        if len(rows) < len(corners):
            continue
        arm = eye.centre - root + np.array([0, 0, eye.radius - eye_m])
        projected = project_numpy((turn @ arm + root)[:, None], fit.cam.astype(np.float64))[:, 0]
        away = (lmk_2d[:, corners] - fit.landmarks[:, rows]).mean(axis=1)
        size = min(frames, round(CORNERS_S * FPS)) | 1
        away = median_filter(away, size=(size, 1), mode="nearest")
        offset = (irises[:, number] - projected - away) / (fit.cam[:, :1] * iris_m) * (1, -1)
        visible[:, number] = _open_and_seen(lmk_2d, lmk_mask, corners, lids, points)
        visible[:, number] &= np.isfinite(offset).all(axis=1) & (np.linalg.norm(offset, axis=1) <= LARGEST)
        raw[:, number] = gaze_angles(np.where(visible[:, number, None], offset, 0), turn)
    return Gaze(np.repeat(_joined(raw, visible)[:, None], 2, axis=1).astype(np.float32), visible)


def _open_and_seen(
    lmk_2d: NDArray[np.floating],
    lmk_mask: NDArray[np.floating],
    corners: tuple[int, int],
    lids: tuple[int, int],
    points: tuple[int, ...],
) -> NDArray[np.bool_]:
    """(T,) whether an eye is open and not hidden."""
    width, gap = (np.linalg.norm(lmk_2d[:, a] - lmk_2d[:, b], axis=1) for a, b in (corners, lids))
    seen: NDArray[np.bool_] = (lmk_mask[:, points] > 0).mean(axis=1) >= VISIBLE_PART
    return seen & (gap > CLOSED * width)


def gaze_angles(offset: Array, turn: Array) -> Array:
    """Yaw and pitch (T, 2) in the head's frame, from the sine of the direction in the picture (T, 2), y up."""
    depth = np.sqrt(np.maximum(1 - (offset**2).sum(axis=1, keepdims=True), 0))
    x, y, z = np.einsum("tji,tj->ti", turn, np.concatenate([offset, depth], axis=1)).T
    return np.stack([np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))], axis=1)


def _joined(raw: Array, visible: NDArray[np.bool_]) -> Array:
    """Gaze (T, 2) of both eyes from that of each (T, 2, 2); see the module."""
    if not visible.any():
        return np.zeros_like(raw[:, 0])
    both, count = visible.all(axis=1), visible.sum(axis=1)
    half = np.median(raw[both, 0] - raw[both, 1], axis=0) / 2 if both.any() else np.array([OUTWARDS, 0.0])
    single = raw - np.stack([half, -half])
    shared = (single * visible[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
    return fill_hidden(shared, count > 0)


def fill_hidden(angles: Array, known: NDArray[np.bool_]) -> Array:
    """Angles (T, N) with values where they are not known (T,), at least one is: see the module."""
    out, places = angles.copy(), np.flatnonzero(known)
    usual = np.median(angles[known], axis=0)
    for before, after in zip([-1, *places], [*places, len(known)], strict=True):
        frames = np.arange(before + 1, after)
        if not len(frames):
            continue
        inside = before >= 0 and after < len(known)
        if inside and len(frames) <= GAP_S * FPS:
            share = ((frames - before) / (after - before))[:, None]
            out[frames] = (1 - share) * angles[before] + share * angles[after]
            continue
        # The gaze stays near the value at each end and returns to the median in between.
        fade = RETURN_S * FPS
        left = np.exp(-(((frames - before) / fade) ** 2)) if before >= 0 else np.zeros(len(frames))
        right = np.exp(-(((after - frames) / fade) ** 2)) if after < len(known) else np.zeros(len(frames))
        out[frames] = usual
        if before >= 0:
            out[frames] += left[:, None] * (angles[before] - usual)
        if after < len(known):
            out[frames] += right[:, None] * (angles[after] - usual)
    return out
