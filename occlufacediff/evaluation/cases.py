"""Clips under occlusions: what a method has to reconstruct, and what it receives."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation.painted import PaintedClip
from occlufacediff.head.fit import fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import crop_boxes, from_crop, to_crop
from occlufacediff.occlusion.occlude import Occlusion, occlude
from occlufacediff.occlusion.published_test import published_occlusion
from occlufacediff.speech.phones import Phones

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """The face of a case as methods receive it.

    Attributes:
        lmk_2d: (T, 468, 2) landmarks, crop coordinates; methods use those that are visible only.
        motion: (T, E + 3) motion; methods use visible frames only.
        shape: (S,) identity.
        boxes: (T, 3) crop boxes; None: not known.
        pose: head pose (T, 3) and camera (T, 3) of the estimate; None: those of the truth.
    """

    lmk_2d: Float
    motion: Float
    shape: Float
    boxes: Float | None = None
    pose: tuple[Float, Float] | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A clip under an occlusion, with its visible landmarks.

    Attributes:
        clip_id: ``<subject>/<clip>``.
        clip: the clip.
        occlusion: what is occluded.
        visible: (T, 468) 1 where a landmark is occluded neither by the occlusion nor in the recording itself.
        seen: what methods receive of the face.
        audio: the clip's audio by its kind: ``log_mel``, ``speech`` or ``waveform``.
        phones: recognised in the audio; None: not read.
        true: (T, 468) 1 where a landmark is visible in truth, if ``visible`` was found by the program; None: the same.
    """

    clip_id: str
    clip: Clip
    occlusion: Occlusion
    visible: Float
    seen: Seen
    audio: Mapping[str, Float] = field(default_factory=dict)
    phones: Phones | None = None
    true: Float | None = None

    @property
    def scored(self) -> Float:
        """(T, 468) landmarks that count as visible in scores: those that are visible in truth."""
        return self.visible if self.true is None else self.true


def make_case(
    clip_id: str, clip: Clip, kind: str, settings: EvaluationSettings, seed: int, painted: PaintedClip | None = None
) -> Case:
    """Occlude part of a clip. The random draw depends on the seed and the names of clip and occlusion kind only.

    Args:
        clip_id: ``<subject>/<clip>``.
        clip: the clip.
        kind: the occlusion kind.
        settings: of the protocol.
        seed: of the draw.
        painted: the clip with a painted occluder, for the kinds `config.occlusion.PAINTED_KINDS`.

    Raises:
        ValueError: the clip has no landmarks.
        ClipError: ``no_region``, no landmark of the region to occlude is known.
    """
    if clip.lmk_2d is None:
        raise ValueError(f"{clip_id}: got no landmarks, needs lmk_2d")
    if painted is not None:
        return _painted_case(clip_id, clip, kind, painted)
    rng = np.random.default_rng([seed, zlib.crc32(clip_id.encode()), zlib.crc32(kind.encode())])
    draw = published_occlusion if settings.protocol == "published" else occlude
    occlusion = draw(kind, clip.lmk_2d, rng, settings.occlusion)
    visible = occlusion.lmk_mask(clip.lmk_2d)
    if clip.lmk_visible is not None:
        visible = visible * clip.lmk_visible
    return Case(clip_id, clip, occlusion, visible, Seen(clip.lmk_2d, clip.motion, clip.shape))


def _painted_case(clip_id: str, clip: Clip, kind: str, painted: PaintedClip) -> Case:
    """A clip with a painted occluder: landmarks and crops are those of the detector under it.

    Landmarks that the detector never gives in the clear clip stay unknown.
    """
    assert clip.lmk_2d is not None  # make_case requires landmarks
    if len(painted.true) != len(clip):
        raise ValueError(f"{clip_id}: the painted clip has {len(painted.true)} frames, needs {len(clip)}")
    occlusion = painted.occlusion(kind)
    recorded = np.isfinite(clip.lmk_2d).all(axis=-1).astype(np.float32)
    if clip.lmk_visible is not None:
        recorded = recorded * clip.lmk_visible
    seen = Seen(painted.lmk_2d, clip.motion, clip.shape, painted.boxes)
    visible = painted.visible(kind) * recorded
    return Case(clip_id, clip, occlusion, visible, seen, true=occlusion.lmk_mask(clip.lmk_2d) * recorded)


def unknown_frames(case: Case) -> NDArray[np.bool_]:
    """Frames (T,) whose motion baselines do not receive: something is occluded, or the recording does not show it.

    Where the program finds the occlusions, these are also the frames in which it finds one without reason. In frames
    whose occlusion it misses, baselines do not receive the true motion either, because nothing shows it.
    """
    occluded = case.occlusion.frames
    if case.true is not None:
        occluded = occluded | ~(case.visible > 0).all(axis=1)
    return occluded if case.clip.known is None else occluded | ~case.clip.known


def from_visible(
    case: Case, boxes: Float, basis: LandmarkBasis, settings: ReconstructionSettings, crop_scale: float
) -> Case:
    """The case with a face that is estimated from the visible landmarks only (``evaluation.identity: visible``).

    The head model is fitted to the visible landmarks. Occluded landmarks are NaN. New crops are placed around the
    visible landmarks and those of the fitted head, so the crop does not show where occluded landmarks are. If no frame
    shows enough landmarks for a fit, identity and motion are neutral, and there is no estimate of the pose.

    Args:
        case: a clip under an occlusion.
        boxes: (T, 3) crop boxes of its landmarks, source pixels.
        basis: head model at its landmarks.
        settings: of the fit.
        crop_scale: edge of a crop relative to the landmarks, as in the crop stage.
    """
    clip = case.clip
    # Painted occluders have crops of their own.
    boxes = boxes if case.seen.boxes is None else case.seen.boxes
    points = np.where(case.visible[..., None] > 0, case.seen.lmk_2d, np.float32(np.nan))
    if not well_seen(basis, case.visible).any():
        nothing = Seen(np.full_like(points, np.nan), np.zeros_like(clip.motion), np.zeros_like(clip.shape))
        return replace(case, seen=nothing)
    fit = fit_clip(basis, points, settings=settings, boxes=boxes, visible=case.visible)
    pixels = from_crop(points, boxes)
    shown = pixels.copy()
    hidden = np.isnan(shown[:, basis.indices])
    shown[:, basis.indices] = np.where(hidden, from_crop(fit.landmarks, boxes), shown[:, basis.indices])
    around = crop_boxes(shown, crop_scale)
    seen = Seen(
        to_crop(pixels, around).astype(np.float32),
        np.concatenate([fit.exp, fit.jaw], axis=1),
        fit.shape,
        around.astype(np.float32),
        (fit.global_pose, fit.cam),
    )
    return replace(case, seen=seen)
