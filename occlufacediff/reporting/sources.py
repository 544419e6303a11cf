"""Read the data set's files for the report: fit errors, contact sheet, result clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks.store import read_crops
from occlufacediff.media.rates import SAMPLES_PER_FRAME
from occlufacediff.reporting.tables import headline_metric
from occlufacediff.reporting.videos import ResultClip


def by_subject(files: Iterable[Path]) -> dict[str, Path]:
    """Files of subjects, keyed by the subject: the stem of the file name."""
    return {file.stem: file for file in files}


def fit_errors(coefficients: Iterable[Path]) -> pd.DataFrame:
    """Errors of the landmark fit of every clip: columns ``subject``, ``clip`` and one column per error."""
    rows = []
    for path in coefficients:
        with h5py.File(path, "r") as file:
            for clip, group in clip_groups(file):
                errors = {name: float(value) for name, value in group.attrs.items() if _is_error(name, value)}
                rows.append({"subject": path.stem, "clip": clip, **errors})
    return pd.DataFrame(rows)


def _is_error(name: str, value: object) -> bool:
    return isinstance(value, (float, np.floating)) and ("px" in name or "corr" in name)


def clip_groups(file: h5py.File) -> list[tuple[str, h5py.Group]]:
    """Clips of a subject's file, ``<emotion>/<level>/<sentence>``, sorted by name."""
    return [
        (f"{emotion}/{level}/{sentence}", file[emotion][level][sentence])
        for emotion in file
        for level in file[emotion]
        for sentence in file[emotion][level]
    ]


def contact_pictures(manifest: pd.DataFrame, clips: dict[str, Path], most: int) -> list[NDArray[np.uint8]]:
    """Middle crops (224, 224, 3) of at most ``most`` usable clips, evenly over each subject, subjects in turn."""
    good = manifest[manifest["status"] == "ok"].copy()
    good["turn"] = good.groupby("subject").cumcount()
    subjects = good["subject"].nunique()
    if subjects == 0 or most == 0:
        return []
    rounds = max(1, most // subjects)
    chosen = []
    for _, part in good.groupby("subject", sort=True):
        places = np.unique(np.linspace(0, len(part) - 1, min(rounds, len(part))).round().astype(int))
        chosen += [(turn, row) for turn, row in enumerate(part.iloc[places].itertuples())]
    pictures = []
    for _, row in sorted(chosen, key=lambda item: (item[0], item[1].subject))[:most]:
        with h5py.File(clips[str(row.subject)], "r") as file:
            group = file[str(row.clip)]
            middle = len(group["landmarks"]) // 2
            pictures.append(read_crops(group, middle, middle + 1)[0])
    return pictures


def typical_clips(by_clip: pd.DataFrame, occlusion: str, most: int) -> list[tuple[str, str, float]]:
    """Clips whose lip error by our method is nearest to the median, of different subjects if possible.

    Returns:
        ``(subject, clip, error)``; empty if this occlusion was not scored.
    """
    metric = headline_metric(by_clip)
    choice = (by_clip["method"] == "ours") & (by_clip["occlusion"] == occlusion) & (by_clip["metric"] == metric)
    scores = by_clip[choice].dropna(subset=["value"]).copy()
    if scores.empty:
        return []
    scores["distance"] = (scores["value"] - scores["value"].median()).abs()
    scores = scores.sort_values(["distance", "subject", "clip"], kind="stable")
    scores["turn"] = scores.groupby("subject").cumcount()
    scores = scores.sort_values(["turn", "distance"], kind="stable").head(most)
    return [(str(row["subject"]), str(row["clip"]), float(row["value"])) for row in scores.to_dict("records")]


def result_clip(
    clip: str,
    clips: Path,
    coefficients: Path,
    prediction: tuple[NDArray[np.float32], NDArray[np.float32]],
    occluded: Callable[[int], NDArray[np.bool_]],
    head: HeadAsset,
    frames: int,
) -> ResultClip:
    """Content of a result video: the first ``frames`` frames of a clip.

    Args:
        clip: ``<emotion>/<level>/<sentence>``.
        clips: the subject's clip store.
        coefficients: the subject's coefficients; they are the truth.
        prediction: our ``exp`` (T, E) and ``jaw`` (T, 3).
        occluded: function from a frame number to its mask (224, 224).
        head: head model.
        frames: maximum number of frames.

    Raises:
        AssetError: a file of the subject has no such clip.
    """
    with h5py.File(coefficients, "r") as file:
        group = clip_group(file, clip)
        shape = np.asarray(group["shape"], dtype=np.float32)
        names = ("exp", "jaw", "global_pose", "cam")
        truth = {name: np.asarray(group[name][:frames], dtype=np.float32) for name in names}
    with h5py.File(clips, "r") as file:
        crops = read_crops(clip_group(file, clip), 0, len(truth["exp"]))
    exp, jaw = (values[: len(truth["exp"])] for values in prediction)
    return ResultClip(
        crops=crops,
        occluded=occluded,
        truth=vertices_numpy(head, shape, truth["exp"], truth["global_pose"], truth["jaw"]),
        ours=vertices_numpy(head, shape, exp, truth["global_pose"], jaw),
        cam=truth["cam"],
    )


def waveform_of(audio: Path, clip: str, frames: int) -> NDArray[np.float32]:
    """Audio of the first ``frames`` frames of a clip, 16 kHz mono."""
    with h5py.File(audio, "r") as file:
        return np.asarray(clip_group(file, clip)["waveform"][: frames * SAMPLES_PER_FRAME], dtype=np.float32)


def clip_group(file: h5py.File, clip: str) -> h5py.Group:
    """The group of a clip in a subject's file.

    Raises:
        AssetError: the file has no such clip.
    """
    if clip not in file:
        raise AssetError(f"{file.filename}: clip {clip} is missing; delete the file and run its stage again")
    return file[clip]
