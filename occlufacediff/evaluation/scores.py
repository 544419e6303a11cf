"""All metrics of one prediction against one clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation import metrics
from occlufacediff.evaluation.observed import largest_observed, mean_observed, observed_truth
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]

#: Regions whose mean vertex error is reported, if the head model has them.
REGIONS = ("face", "eye_region", "forehead", "nose", "neck")
#: Suffix of metrics over the occluded frames only.
HIDDEN = "_hidden"


def unit_of(metric: str) -> str:
    """Unit of a metric by its name in the tables."""
    name = metric if metric in metrics.UNITS else metric.removesuffix(HIDDEN)
    return "mm" if name.startswith("mvpe") else metrics.UNITS[name]


@dataclass(frozen=True, eq=False)
class Surface:
    """The head with a motion: vertices (T, V, 3), landmarks (T, L, 3), and landmarks (T, L, 2) in the crop."""

    vertices: Float
    landmarks: Float
    landmarks_2d: Float


def surface(asset: HeadAsset, clip: Clip, motion: Float) -> Surface:
    """The head with a motion (T, E + 3) and the identity, pose and camera of the clip."""
    vertices = vertices_numpy(asset, clip.shape, motion[:, :-3], clip.global_pose, motion[:, -3:])
    landmarks = landmarks_numpy(asset, vertices)
    return Surface(vertices, landmarks, np.asarray(project_numpy(landmarks, clip.cam), np.float32))


def lip_pairs(asset: HeadAsset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of paired upper and lower lip landmarks among the head's landmarks."""
    pairs = face_mesh.lip_pairs(asset.landmark_indices)
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def score(
    asset: HeadAsset,
    clip: Clip,
    truth: Surface,
    predicted: Surface,
    motion: Float,
    visible: Float,
    occluded: NDArray[np.bool_],
) -> dict[str, float]:
    """Metrics by name. Names that end in ``_hidden`` are over the occluded frames only, and absent if there are none.

    Parts that are occluded in the recording itself are not scored: vertices and landmarks there, and expression and jaw
    of frames in which they are unknown. A metric without any scored part is absent.

    Truth and prediction share identity, pose and camera, as published, so the errors come from the motion only. The 2D
    errors split landmarks, not frames: ``lmk_2d_error_hidden`` is over occluded landmarks.

    Args:
        asset: head model.
        clip: the clip with its landmarks.
        truth: the head with the clip's motion.
        predicted: the head with the predicted motion.
        motion: (T, E + 3) predicted [exp, jaw].
        visible: (T, 468) visible landmarks.
        occluded: (T,) frames in which something is occluded.
    """
    observed = observed_truth(asset, clip)
    assert clip.lmk_2d is not None  # observed_truth requires landmarks
    errors = metrics.vertex_errors(truth.vertices, predicted.vertices)
    upper, lower = lip_pairs(asset)
    # Landmarks that are not observed may be NaN; no metric uses them.
    there = observed.landmarks[..., None]
    detected = np.where(there, clip.lmk_2d[:, asset.landmark_indices], 0)
    flat = np.where(there, predicted.landmarks_2d, 0)
    closure = np.abs(metrics.mouth_gaps(detected, upper, lower) - metrics.mouth_gaps(flat, upper, lower))
    pairs = observed.landmarks[:, upper] & observed.landmarks[:, lower]
    lips = asset.regions["lips"]
    result: dict[str, float | None] = {
        "lve": largest_observed(errors[:, lips], observed.vertices[:, lips]),
        "mvpe": mean_observed(errors, observed.vertices),
    }
    for name in (*(name for name in REGIONS if name in asset.regions), "lips"):
        region = asset.regions[name]
        result[f"mvpe_{name}"] = mean_observed(errors[:, region], observed.vertices[:, region])
    points = metrics.vertex_errors(truth.landmarks, predicted.landmarks)
    result["lmk_3d_mvpe"] = largest_observed(points, observed.landmarks)
    if observed.frames.any():
        result["jaw_error"] = metrics.jaw_error(clip.jaw[observed.frames], motion[observed.frames, -3:])
        result["expression_error"] = metrics.expression_error(clip.exp[observed.frames], motion[observed.frames, :-3])
    if observed.landmarks.any():
        seen = (visible[:, asset.landmark_indices] > 0) & observed.landmarks
        for name, chosen in (("", observed.landmarks), ("_visible", seen), ("_hidden", observed.landmarks & ~seen)):
            result["lmk_2d_error" + name] = metrics.lmk_2d_error(detected, flat, chosen)
    result["mouth_closure"] = mean_observed(closure, pairs)
    if len(motion) > 1:
        speeds = metrics.velocity_errors(truth.vertices, predicted.vertices, FPS)
        result["mvve"] = mean_observed(speeds, observed.vertices[1:] & observed.vertices[:-1])
    if len(motion) > 3:
        result["jitter"] = metrics.jitter(predicted.vertices, FPS)
    if occluded.any():
        at, face = observed.vertices[occluded], asset.regions["face"]
        result["lve" + HIDDEN] = largest_observed(errors[occluded][:, lips], at[:, lips])
        result["mvpe_lips" + HIDDEN] = mean_observed(errors[occluded][:, lips], at[:, lips])
        result["mvpe_face" + HIDDEN] = mean_observed(errors[occluded][:, face], at[:, face])
        result["mouth_closure" + HIDDEN] = mean_observed(closure[occluded], pairs[occluded])
    return {name: value for name, value in result.items() if value is not None}
