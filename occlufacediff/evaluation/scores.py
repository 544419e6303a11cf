"""All metrics of one prediction against one clip: lists of functions, each with values and weights by metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation import field_metrics, lip_timing, metrics
from occlufacediff.evaluation.baselines import neutral
from occlufacediff.evaluation.metrics import HIDDEN, POOLED
from occlufacediff.evaluation.observed import ObservedTruth, largest_observed, mean_observed, observed_truth
from occlufacediff.evaluation.sample_metrics import LEVELS, coverage, diversity
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]
Floats = NDArray[np.float64]

#: Regions whose mean vertex error is reported, if the head model has them.
REGIONS = ("face", "eye_region", "forehead", "nose", "neck")
INNER_LIPS = (face_mesh.INNER_LIP_TOP, face_mesh.INNER_LIP_BOTTOM)
#: Regions whose motion `fdd` compares: the upper face.
UPPER_FACE = ("eye_region", "forehead")


@dataclass(frozen=True)
class Scores:
    """Metrics of one prediction against one clip.

    Attributes:
        values: by metric.
        weights: number of frames or points behind a value, for metrics that are pooled over clips: their mean over
            clips is weighted. All other metrics have the weight 1 for each clip.
    """

    values: dict[str, float]
    weights: dict[str, float]

    def with_values(self, values: Mapping[str, float]) -> Scores:
        """These metrics and further ones with the weight 1."""
        return Scores({**self.values, **values}, self.weights)

    def weight(self, metric: str) -> float:
        """Weight of a clip in the mean of a metric over clips."""
        return self.weights.get(metric, 1.0)


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


@dataclass(frozen=True, eq=False)
class Reference:
    """A clip with what all predictions are compared with; computed once per clip, whatever the number of occlusions.

    Attributes:
        asset: head model.
        clip: the clip with its landmarks.
        truth: the head with the clip's motion.
        neutral: the neutral face with the clip's identity, pose and camera.
        observed: parts of the clip that count as truth.
        waveform: (N,) the audio, full scale 1; None: its metrics are absent.
    """

    asset: HeadAsset
    clip: Clip
    truth: Surface
    neutral: Surface
    observed: ObservedTruth
    waveform: Float | None = None

    @classmethod
    def of(cls, asset: HeadAsset, clip: Clip, waveform: Float | None = None) -> Reference:
        """Compute the surfaces of a clip.

        Raises:
            ValueError: the clip has no landmarks.
        """
        truth, still = (surface(asset, clip, motion) for motion in (clip.motion, neutral(clip.motion)))
        return cls(asset, clip, truth, still, observed_truth(asset, clip), waveform)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A motion of a clip under an occlusion, as metrics receive it.

    Truth and prediction share identity, pose and camera, as published, so errors come from the motion only.

    Attributes:
        reference: the clip.
        motion: (T, E + 3) predicted [exp, jaw]; None for vertices without coefficients.
        surface: the head with the predicted motion.
        visible: (T, 468) visible landmarks.
        occluded: (T,) frames in which something is occluded.
        samples: the head with each sampled motion, whose mean is the prediction; empty for methods without samples.
    """

    reference: Reference
    motion: Float | None
    surface: Surface
    visible: Float
    occluded: NDArray[np.bool_]
    samples: Sequence[Surface] = ()

    @classmethod
    def of(
        cls,
        reference: Reference,
        motion: Float,
        visible: Float,
        occluded: NDArray[np.bool_],
        samples: Sequence[Float] = (),
        head: tuple[Float, Float, Float] | None = None,
    ) -> Prediction:
        """Compute the surfaces of a motion and of its samples (T, E + 3).

        With ``head``, identity (S,), head pose (T, 3) and camera (T, 3) that were estimated from what is visible,
        landmarks in the crop are those of this head. Vertices are those of the true head in any case.
        """
        made, *several = (surface(reference.asset, reference.clip, one) for one in (motion, *samples))
        if head is not None:
            shape, global_pose, cam = head
            estimated = replace(reference.clip, shape=shape, global_pose=global_pose, cam=cam)
            made = replace(made, landmarks_2d=surface(reference.asset, estimated, motion).landmarks_2d)
        return cls(reference, motion, made, visible, occluded, several)

    @cached_property
    def errors(self) -> Floats:
        """Distances (T, V) of the vertices from the truth, mm."""
        return metrics.vertex_errors(self.reference.truth.vertices, self.surface.vertices)


#: Value of a metric, None if nothing is scored; and its weight, None for 1.
Part = dict[str, tuple[float | None, float | None]]
#: Metrics of a prediction, and metrics of the truth itself.
Metrics = Callable[[Prediction], Part]
TruthMetrics = Callable[[Reference], Part]


def score(prediction: Prediction, functions: Sequence[Metrics] | None = None) -> Scores:
    """Metrics by name. Names that end in ``_hidden`` are over the occluded frames only, and absent if there are none.

    Parts that are occluded in the recording itself are not scored: vertices and landmarks there, and expression and jaw
    of frames in which they are unknown. A metric without any scored part is absent.

    The 2D errors split landmarks, not frames: ``lmk_2d_error_hidden`` is over occluded landmarks.

    Args:
        prediction: a motion of a clip.
        functions: the metrics; None: `METRICS`.
    """
    return _joined(function(prediction) for function in (METRICS if functions is None else functions))


def score_truth(reference: Reference, functions: Sequence[TruthMetrics] | None = None) -> Scores:
    """Metrics that need no prediction, of the truth itself: a reference for the methods.

    ``mouth_closure`` compares the truth's mesh with the detected landmarks.

    Args:
        reference: the clip.
        functions: the metrics; None: `TRUTH_METRICS`.
    """
    return _joined(function(reference) for function in (TRUTH_METRICS if functions is None else functions))


def _joined(parts: Iterable[Part]) -> Scores:
    values: dict[str, float] = {}
    weights: dict[str, float] = {}
    for part in parts:
        for name, (value, weight) in part.items():
            if value is not None:
                values[name] = float(value)
                if weight is not None:
                    weights[name] = float(weight)
    return Scores(values, weights)


def _truth_metrics(reference: Reference) -> Part:
    """Amount and smoothness of the true motion, and its mesh against the detected landmarks."""
    truth, observed = reference.truth, reference.observed
    result: Part = {"mouth_closure": (_closure(reference, truth, None)[0], None)}
    if len(reference.clip) > 3:
        result["jitter"] = metrics.jitter(truth.vertices, FPS), None
    lips = reference.asset.regions["lips"]
    intensity = field_metrics.lip_intensity(
        truth.vertices[:, lips], reference.neutral.vertices[:, lips], observed.vertices[:, lips]
    )
    result["lip_intensity"] = intensity, None
    return result


def _speech_metrics(reference: Reference) -> Part:
    """Loudness of the audio."""
    if reference.waveform is None:
        return {}
    return {"speech_intensity": (field_metrics.speech_intensity(reference.waveform), None)}


def lip_pairs(asset: HeadAsset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of paired upper and lower lip landmarks among the head's landmarks."""
    pairs = face_mesh.lip_pairs(asset.landmark_indices)
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def upper_face(asset: HeadAsset) -> NDArray[np.int64] | None:
    """Vertices of the upper face; None if the head model lacks its regions."""
    regions = [asset.regions[name] for name in UPPER_FACE if name in asset.regions]
    return np.unique(np.concatenate(regions)) if len(regions) == len(UPPER_FACE) else None


def lip_gap(asset: HeadAsset, landmarks: NDArray[np.floating], observed: NDArray[np.bool_]) -> Floats | None:
    """Distance (T,) of the inner lips of landmarks (T, L, 3), mm; None if it is not observed in all frames."""
    rows = [np.flatnonzero(np.asarray(asset.landmark_indices) == point) for point in INNER_LIPS]
    if any(len(row) == 0 for row in rows):
        return None
    top, bottom = (int(row[0]) for row in rows)
    if not observed[:, [top, bottom]].all():
        return None
    points = np.asarray(landmarks, np.float64)
    return np.asarray(metrics.MM * np.linalg.norm(points[:, top] - points[:, bottom], axis=-1))


def _vertex_metrics(prediction: Prediction) -> Part:
    """Distances of vertices and of 3D landmarks."""
    reference, predicted = prediction.reference, prediction.surface
    asset, truth, observed = reference.asset, reference.truth, reference.observed
    errors, occluded = prediction.errors, prediction.occluded
    lips, face = asset.regions["lips"], asset.regions["face"]
    there = observed.vertices
    mean = mean_observed(errors, there)
    result: Part = {
        "lve": (largest_observed(errors[:, lips], there[:, lips]), None),
        "mvpe": (mean, None),
        "mve": (mean, int(there.sum())),
    }
    for name in (*(name for name in REGIONS if name in asset.regions), "lips"):
        region = asset.regions[name]
        result[f"mvpe_{name}"] = mean_observed(errors[:, region], there[:, region]), None
    points = metrics.vertex_errors(truth.landmarks, predicted.landmarks)
    result["lmk_3d_mvpe"] = largest_observed(points, observed.landmarks), None
    if (found := field_metrics.lve_frame(errors[:, lips], there[:, lips])) is not None:
        result["lve_frame"] = found
    if len(errors) > 1:
        speeds = metrics.velocity_errors(truth.vertices, predicted.vertices, FPS)
        result["mvve"] = mean_observed(speeds, there[1:] & there[:-1]), None
    if len(errors) > 3:
        result["jitter"] = metrics.jitter(predicted.vertices, FPS), None
    if occluded.any():
        at = there[occluded]
        result["lve" + HIDDEN] = largest_observed(errors[occluded][:, lips], at[:, lips]), None
        result["mvpe_lips" + HIDDEN] = mean_observed(errors[occluded][:, lips], at[:, lips]), None
        result["mvpe_face" + HIDDEN] = mean_observed(errors[occluded][:, face], at[:, face]), None
        if (found := field_metrics.lve_frame(errors[occluded][:, lips], at[:, lips])) is not None:
            result["lve_frame" + HIDDEN] = found
    return result


def _coefficient_metrics(prediction: Prediction) -> Part:
    clip, motion, frames = prediction.reference.clip, prediction.motion, prediction.reference.observed.frames
    if motion is None or not frames.any():
        return {}
    return {
        "jaw_error": (metrics.jaw_error(clip.jaw[frames], motion[frames, -3:]), None),
        "expression_error": (metrics.expression_error(clip.exp[frames], motion[frames, :-3]), None),
    }


def _landmark_metrics(prediction: Prediction) -> Part:
    """2D errors against the detected landmarks. Without visible or occluded landmarks, their metrics are absent."""
    reference, predicted, visible = prediction.reference, prediction.surface, prediction.visible
    asset, clip, observed = reference.asset, reference.clip, reference.observed
    assert clip.lmk_2d is not None  # observed_truth requires landmarks
    there = observed.landmarks
    # Landmarks that are not observed may be NaN; no metric uses them.
    detected = np.where(there[..., None], clip.lmk_2d[:, asset.landmark_indices], 0)
    flat = np.where(there[..., None], predicted.landmarks_2d, 0)
    seen = (visible[:, asset.landmark_indices] > 0) & there
    result: Part = {}
    for name, chosen in (("", there), ("_visible", seen), (HIDDEN, there & ~seen)):
        if chosen.any():
            error = metrics.lmk_2d_error(detected, flat, chosen)
            result["lmk_2d_error" + name] = error, None
            if name:
                result["lmk_2d_error" + name + POOLED] = error, int(chosen.sum())
    closure, closure_hidden = _closure(reference, predicted, prediction.occluded)
    result["mouth_closure"] = closure, None
    result["mouth_closure" + HIDDEN] = closure_hidden, None
    return result


def _closure(
    reference: Reference, posed: Surface, occluded: NDArray[np.bool_] | None
) -> tuple[float | None, float | None]:
    """Error of the mouth gaps in the crop against the detected landmarks, over all and over the occluded frames."""
    asset, clip, observed = reference.asset, reference.clip, reference.observed
    assert clip.lmk_2d is not None  # observed_truth requires landmarks
    upper, lower = lip_pairs(asset)
    there = observed.landmarks[..., None]
    detected = np.where(there, clip.lmk_2d[:, asset.landmark_indices], 0)
    flat = np.where(there, posed.landmarks_2d, 0)
    errors = np.abs(metrics.mouth_gaps(detected, upper, lower) - metrics.mouth_gaps(flat, upper, lower))
    pairs = observed.landmarks[:, upper] & observed.landmarks[:, lower]
    hidden = None if occluded is None else mean_observed(errors[occluded], pairs[occluded])
    return mean_observed(errors, pairs), hidden


def _dynamics_metrics(prediction: Prediction) -> Part:
    """Timing of the lips, and amount of motion of lips and upper face."""
    reference, predicted = prediction.reference, prediction.surface
    asset, truth, still, observed = reference.asset, reference.truth, reference.neutral, reference.observed
    result: Part = {}
    gaps = [lip_gap(asset, one.landmarks, observed.landmarks) for one in (truth, predicted)]
    if gaps[0] is not None and gaps[1] is not None:
        result["lip_dtw"] = lip_timing.lip_dtw(gaps[0], gaps[1]), None
        late, matched = lip_timing.misalignment(gaps[0], gaps[1], FPS)
        result["mtm"], result["lip_extrema_matched"] = (late, None), (matched, None)
    upper = upper_face(asset)
    if upper is not None:
        true, made, rest = (one.vertices[:, upper] for one in (truth, predicted, still))
        deviation = field_metrics.fdd(true, made, rest, observed.vertices[:, upper])
        if deviation is not None:
            result["fdd"], result["fdd_absolute"] = (deviation, None), (abs(deviation), None)
    lips = asset.regions["lips"]
    there = observed.vertices[:, lips]
    intensity = field_metrics.lip_intensity(predicted.vertices[:, lips], still.vertices[:, lips], there)
    result["lip_intensity"] = intensity, None
    return result


def _sample_metrics(prediction: Prediction) -> Part:
    """Errors of the mean and of the best sample, diversity, and coverage of the lip opening in occluded frames."""
    reference, samples = prediction.reference, prediction.samples
    asset, truth, observed = reference.asset, reference.truth, reference.observed
    errors, occluded = prediction.errors, prediction.occluded
    if len(samples) < 2:
        return {}
    lips, face = asset.regions["lips"], asset.regions["face"]
    there = observed.vertices[:, lips]
    result: Part = {"diversity": (diversity(np.stack([one.vertices[:, face] for one in samples])), None)}
    of_mean = field_metrics.lve_frame(errors[:, lips], there)
    of_samples = [
        field_metrics.lve_frame(metrics.vertex_errors(truth.vertices[:, lips], one.vertices[:, lips]), there)
        for one in samples
    ]
    if of_mean is not None:
        result["mee"] = of_mean
        result["ce"] = min(one[0] for one in of_samples if one is not None), of_mean[1]
    true = lip_gap(asset, truth.landmarks, observed.landmarks)
    gaps = [lip_gap(asset, one.landmarks, observed.landmarks) for one in samples]
    if true is not None and occluded.any():
        values = np.stack([gap[occluded] for gap in gaps if gap is not None])
        for level in LEVELS:
            result[f"coverage_{round(100 * level)}"] = coverage(true[occluded], values, level), int(occluded.sum())
    return result


#: Metrics of a prediction, and of the truth itself. A further metric is a function in one of them.
METRICS: tuple[Metrics, ...] = (
    _vertex_metrics,
    _coefficient_metrics,
    _landmark_metrics,
    _dynamics_metrics,
    _sample_metrics,
)
TRUTH_METRICS: tuple[TruthMetrics, ...] = (_truth_metrics, _speech_metrics)
