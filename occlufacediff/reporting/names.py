"""Names for display: methods, metrics, occlusions, and counted things."""

from __future__ import annotations

from collections.abc import Iterable

from occlufacediff.evaluation.metrics import HIDDEN, POOLED

#: Names of the methods of evaluation and benchmark, in the order of all tables and plots.
METHOD_NAMES = {
    "ours": "ours",
    "ours_without_audio": "ours, without audio",
    "network_only": "ours, network only",
    "as_published": "ours, sampled as published",
    "before_finetuning": "ours, before fine-tuning",
    "ours_other_audio": "ours, another clip's audio",
    "fit_alone": "fit to visible landmarks only",
    "interpolation": "linear interpolation",
    "hold": "hold last visible frame",
    "visible_mean": "mean of visible frames",
    "bridge": "decay to visible mean",
    "phone_rules": "viseme rules, no network",
    "neutral": "neutral face",
    "truth": "(truth)",
}
METHOD_ORDER = tuple(METHOD_NAMES)
#: What is occluded, by the name of the occlusion.
OCCLUSION_NOTES = {
    "none": "nothing",
    "mouth": "a box over the mouth, in a span of the clip",
    "upper": "everything down to the lower edge of eyes and brows, in a span",
    "bottom": "everything below eyes and brows, in a span",
    "left": "the left half of the crop, in a span",
    "right": "the right half of the crop, in a span",
    "left_eye": "a box over the left eye, in a span",
    "right_eye": "a box over the right eye, in a span",
    "asym": "the left or the right half of the crop, in a span",
    "contour": "everything outside of a box around lips and eyes, in a span",
    "random": "a random box, in a span",
    "missing": "the whole face, in a span",
    "audio_driven": "the whole face, in all frames: only audio is left",
    "every_third": "the whole face, in every third frame",
    "picture": "what lies under a pasted picture, in a span",
    "natural": "an object, such as a hand or a face mask, is painted into the video; the program detects the landmarks "
    "and finds by itself which of them are hidden",
    "natural_true": "the same videos and landmarks; methods receive the true visibility",
}
#: Names of occlusions that differ from their key.
OCCLUSION_NAMES = {
    "natural": "painted occluder",
    "natural_true": "painted, true visibility",
}
OCCLUSION_ORDER = ("none", "mouth", "upper", "random", "audio_driven", "natural", "natural_true")
METRIC_NAMES = {
    "lve": "lip vertices (LVE)",
    "mvpe": "all vertices",
    "mvpe_face": "face vertices",
    "mvpe_lips": "lip vertices, mean",
    "mvpe_eye_region": "vertices around the eyes",
    "mvpe_forehead": "forehead vertices",
    "mvpe_nose": "nose vertices",
    "mvpe_neck": "neck vertices",
    "lmk_3d_mvpe": "3D landmarks, largest over time",
    "mvve": "velocity of all vertices",
    "jaw_error": "jaw rotation",
    "expression_error": "expression coefficients",
    "lmk_2d_error": "projected landmarks",
    "lmk_2d_error_visible": "projected landmarks, visible ones",
    "lmk_2d_error_hidden": "projected landmarks, occluded ones",
    "mouth_closure": "mouth closure",
    "jitter": "jitter",
    "mve": "all vertices, pooled over frames (MVE)",
    "lve_frame": "lip vertices by frame, squared (LVE of CodeTalker)",
    "fdd": "upper-face dynamics, truth minus prediction (FDD)",
    "fdd_absolute": "upper-face dynamics, absolute (FDD)",
    "lip_dtw": "lip opening after time warping",
    "mtm": "temporal misalignment of the lips (MTM)",
    "lip_extrema_matched": "share of lip extrema that match",
    "viseme_accuracy": "visemes read from the motion: share of right frames in speech",
    "viseme_error_rate": "visemes read from the motion: error rate of the sequence",
    "emotion_accuracy": "emotion read from the motion: share of right clips",
    "wer": "lip reading: word error rate (WER)",
    "cer": "lip reading: character error rate (CER)",
    "vwer": "lip reading: viseme word error rate (VWER)",
    "ver": "lip reading: viseme error rate (VER)",
    "lip_reading_cosine": "lip reader's features: cosine with the truth",
    "lse_c": "lip-sync confidence (LSE-C)",
    "lse_d": "lip-sync distance (LSE-D)",
    "emotion_top1": "EMOCA's emotion: share of frames, first",
    "emotion_top3": "EMOCA's emotion: share of frames, among three",
    "lip_intensity": "distance of the lips from the neutral face",
    "speech_intensity": "speech level (RMS)",
    "slcc": "speech-lip correlation over clips (SLCC)",
    "mee": "mean of the samples (MEE)",
    "ce": "best sample (CE)",
    "diversity": "diversity of the samples",
    "coverage_50": "coverage of the 50 % interval",
    "coverage_90": "coverage of the 90 % interval",
}
#: What a suffix of a metric's name means.
_SUFFIXES = ((POOLED, ", pooled over clips"), (HIDDEN, ", occluded frames"))


def method_name(method: str) -> str:
    """Display name of a method."""
    return METHOD_NAMES.get(method, method.replace("_", " "))


def metric_name(metric: str) -> str:
    """Display name of a metric."""
    if metric in METRIC_NAMES:
        return METRIC_NAMES[metric]
    for suffix, words in _SUFFIXES:
        if metric.endswith(suffix):
            return metric_name(metric.removesuffix(suffix)) + words
    return metric.replace("_", " ")


def occlusion_name(occlusion: str) -> str:
    """Display name of a kind of occlusion."""
    return OCCLUSION_NAMES.get(occlusion, occlusion.replace("_", " "))


def occluded(occlusion: str) -> str:
    """A kind of occlusion as part of a title, such as ``mouth occluded``."""
    if occlusion in OCCLUSION_NAMES or occlusion == "none":
        return f"occlusion {occlusion_name(occlusion)}"
    return f"{occlusion_name(occlusion)} occluded"


def occlusion_notes(occlusions: Iterable[str]) -> list[tuple[str, str]]:
    """Name and meaning of each kind of occlusion that has a note."""
    return [(occlusion_name(name), OCCLUSION_NOTES[name]) for name in occlusions if name in OCCLUSION_NOTES]


def counted(count: int, noun: str) -> str:
    """A number and a noun, such as ``1 clip`` and ``2 clips``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
