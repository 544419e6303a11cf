"""Clips that the report shows: best, median and worst of our method, with the motions of all methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.evaluation.predictions import OCCLUSION, motion_of, occlusion_of
from occlufacediff.face_mesh import LIPS
from occlufacediff.reporting.names import METHOD_ORDER
from occlufacediff.reporting.sources import clip_group, waveform_of
from occlufacediff.reporting.tables import headline_metric, in_order

Float = NDArray[np.float32]

OURS = "ours"
RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class ChosenClip:
    """A clip to show.

    Attributes:
        rank: ``best``, ``median`` or ``worst``.
        subject: the subject.
        clip: ``<emotion>/<level>/<sentence>``.
        error: lip error of our method.
    """

    rank: str
    subject: str
    clip: str
    error: float


@dataclass(frozen=True, eq=False)
class ShownClip:
    """Motions of a clip of T frames by all methods.

    Attributes:
        shape: (S,) identity of the truth.
        global_pose: (T, 3) head rotation of the truth.
        truth: (T, E + 3) true motion.
        motions: (T, E + 3) motion by method, in the order of the tables.
        samples: (N, T, E + 3) samples of our method; None if it has none.
        occluded: (T,) True in occluded frames.
        lips_visible: (T,) visible part of the lip landmarks.
        waveform: (640 T,) audio, 16 kHz.
    """

    shape: Float
    global_pose: Float
    truth: Float
    motions: Mapping[str, Float]
    samples: Float | None
    occluded: NDArray[np.bool_]
    lips_visible: Float
    waveform: Float


def choose_clips(by_clip: pd.DataFrame, occlusion: str) -> list[ChosenClip]:
    """The clips with the smallest, median and largest lip error of our method, each once.

    Args:
        by_clip: columns ``method, occlusion, metric, subject, clip, value``.
        occlusion: kind of occlusion; if it was not scored, the list is empty.
    """
    metric = headline_metric(by_clip)
    choice = (by_clip["method"] == OURS) & (by_clip["occlusion"] == occlusion) & (by_clip["metric"] == metric)
    scores = by_clip[choice].dropna(subset=["value"]).sort_values(["value", "subject", "clip"], kind="stable")
    if scores.empty:
        return []
    places = dict(zip((0, len(scores) // 2, len(scores) - 1), RANKS, strict=True))
    return [
        ChosenClip(rank, str(row["subject"]), str(row["clip"]), float(row["value"]))
        for place, rank in sorted(places.items())
        for row in [scores.iloc[place].to_dict()]
    ]


def read_shown_clip(
    subject: str, clip: str, occlusion: str, motions: Path, coefficients: Path, audio: Path | None
) -> ShownClip:
    """Read a clip.

    Args:
        subject: the subject.
        clip: ``<emotion>/<level>/<sentence>``.
        occlusion: kind of occlusion.
        motions: motions of the evaluation.
        coefficients: the subject's coefficients; they are the truth.
        audio: the subject's audio; None: not needed, the waveform is empty.

    Raises:
        AssetError: a file has no such clip.
    """
    with h5py.File(coefficients, "r") as file:
        group = clip_group(file, clip)
        arrays = {name: np.asarray(group[name], dtype=np.float32) for name in ("exp", "jaw", "global_pose", "shape")}
    truth = np.concatenate([arrays["exp"], arrays["jaw"]], axis=1)
    with h5py.File(motions, "r") as file:
        hidden, visible = occlusion_of(file, occlusion, f"{subject}/{clip}")
        methods = in_order((name for name in file[occlusion] if name != OCCLUSION), METHOD_ORDER)
        methods = [name for name in methods if f"{name}/{subject}/{clip}" in file[occlusion]]
        found = {name: motion_of(file, occlusion, name, f"{subject}/{clip}") for name in methods}
    samples = found[OURS][1] if OURS in found else None
    frames = min(len(truth), *(len(motion) for motion, _ in found.values())) if found else len(truth)
    return ShownClip(
        shape=arrays["shape"],
        global_pose=arrays["global_pose"][:frames],
        truth=truth[:frames],
        motions={name: motion[:frames].astype(np.float32) for name, (motion, _) in found.items()},
        samples=None if samples is None or len(samples) < 2 else samples[:, :frames].astype(np.float32),
        occluded=hidden.frames[:frames],
        lips_visible=visible[:frames, list(LIPS)].mean(axis=1),
        waveform=np.zeros(0, np.float32) if audio is None else waveform_of(audio, clip, frames),
    )
