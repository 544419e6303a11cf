"""Means over clips with intervals, paired differences of methods, and means by group, from one row per clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.evaluation import bootstrap
from occlufacediff.evaluation.bootstrap import Estimates, Resampling
from occlufacediff.evaluation.metrics import TRUTH, unit_of

Floats = NDArray[np.float64]

#: Metrics of a clip whose correlation over clips is `SLCC`.
LIPS, SPEECH, SLCC = "lip_intensity", "speech_intensity", "slcc"
MEANS_COLUMNS = [
    *("method", "occlusion", "metric", "unit", "mean", "low", "high", "n", "n_subjects", "interval_over"),
]
PAIRED_COLUMNS = [
    *("occlusion", "metric", "unit", "method", "against", "difference", "low", "high", "share_lower"),
    *("n", "n_subjects", "interval_over"),
]
DIFFERENCE_COLUMNS = ["against", "difference", "difference_low", "difference_high"]
GROUPED_COLUMNS = ["grouped_by", "group", *MEANS_COLUMNS]


@dataclass(frozen=True, eq=False)
class _Metric:
    """Values and weights (M, O, C) of one metric, NaN where a clip has no value."""

    name: str
    values: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class _Table:
    """A table of one row per clip, method, occlusion and metric, by the codes of its names."""

    methods: list[str]
    occlusions: list[str]
    metrics: list[str]
    clips: list[tuple[str, str]]
    codes: dict[str, NDArray[np.intp]]
    values: Floats
    weights: Floats

    @classmethod
    def of(cls, by_clip: pd.DataFrame) -> _Table:
        codes: dict[str, NDArray[np.intp]] = {}
        names: dict[str, list[str]] = {}
        for column in ("method", "occlusion", "metric"):
            codes[column], found = pd.factorize(by_clip[column])
            names[column] = [str(name) for name in found]
        subjects, subject_names = pd.factorize(by_clip["subject"])
        clips, clip_names = pd.factorize(by_clip["clip"])
        codes["clip"], numbers = pd.factorize(subjects * len(clip_names) + clips)
        places = zip(*np.divmod(numbers, len(clip_names)), strict=True)
        ids = [(str(subject_names[subject]), str(clip_names[clip])) for subject, clip in places]
        weights = by_clip["weight"] if "weight" in by_clip else pd.Series(1.0, index=by_clip.index)
        return cls(
            names["method"],
            names["occlusion"],
            names["metric"],
            ids,
            codes,
            by_clip["value"].to_numpy(np.float64),
            weights.to_numpy(np.float64),
        )

    def of_metrics(self) -> Iterator[_Metric]:
        """The metrics one by one."""
        order = np.argsort(self.codes["metric"], kind="stable")
        ends = np.cumsum(np.bincount(self.codes["metric"], minlength=len(self.metrics)))
        shape = (len(self.methods), len(self.occlusions), len(self.clips))
        for number, name in enumerate(self.metrics):
            rows = order[ends[number - 1] if number else 0 : ends[number]]
            at = tuple(self.codes[column][rows] for column in ("method", "occlusion", "clip"))
            values, weights = np.full(shape, np.nan), np.ones(shape)
            values[at], weights[at] = self.values[rows], self.weights[rows]
            yield _Metric(name, values, weights)


def means(by_clip: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Means over clips with intervals: `MEANS_COLUMNS`.

    Rows of the metric ``slcc`` are correlations over clips of ``lip_intensity`` with the ``speech_intensity`` of the
    method `TRUTH`.

    Args:
        by_clip: columns ``method, occlusion, subject, clip, metric, value`` and optionally ``weight``, the weight of a
            clip in its mean (default 1). Clips without a value are left out.
        draws: number of bootstrap draws.
        seed: of the draws, together with the names of subjects.
    """
    if by_clip.empty:
        return pd.DataFrame(columns=MEANS_COLUMNS)
    table = _Table.of(by_clip)
    resampling = Resampling.of(table.clips, draws, seed)
    frames = []
    shape = (len(table.methods), len(table.occlusions))
    for name, estimates in _estimates(table, resampling):
        low, high = estimates.limits()
        methods, occlusions = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        frames.append(
            pd.DataFrame(
                {
                    "method": np.array(table.methods, dtype=object)[methods],
                    "occlusion": np.array(table.occlusions, dtype=object)[occlusions],
                    "metric": name,
                    "unit": unit_of(name),
                    "mean": estimates.value,
                    "low": low,
                    "high": high,
                    "n": estimates.clips,
                    "n_subjects": _subjects(estimates, resampling),
                    "interval_over": resampling.over,
                    "place": occlusions * shape[0] + methods,
                }
            )[np.isfinite(estimates.value)]
        )
    found = pd.concat(frames, ignore_index=True)
    return found.sort_values("place", kind="stable")[MEANS_COLUMNS].reset_index(drop=True)


def _estimates(table: _Table, resampling: Resampling) -> Iterator[tuple[str, Estimates]]:
    """Means of each metric, columns (method, occlusion), and the speech-lip correlation."""
    intensities: dict[str, Floats] = {}
    for metric in table.of_metrics():
        yield metric.name, bootstrap.means(_columns(metric.values), _columns(metric.weights), resampling)
        if metric.name in (LIPS, SPEECH):
            intensities[metric.name] = metric.values
    if len(intensities) == 2 and TRUTH in table.methods:
        speech = intensities[SPEECH][table.methods.index(TRUTH)]
        lips = intensities[LIPS]
        yield SLCC, bootstrap.correlations(_columns(lips), _columns(np.broadcast_to(speech, lips.shape)), resampling)


def _columns(values: Floats) -> Floats:
    """(..., C) as (C, K)."""
    return values.reshape(-1, values.shape[-1]).T


def _subjects(estimates: Estimates, resampling: Resampling) -> NDArray[np.int64]:
    return estimates.units if resampling.over == "subjects" else np.minimum(estimates.units, 1)


def paired(by_clip: pd.DataFrame, draws: int, seed: int, against: bool = False) -> pd.DataFrame:
    """Mean difference of each pair of methods on the same clips, with intervals: `PAIRED_COLUMNS`.

    ``difference`` is the mean of ``method`` minus that of ``against`` over clips that have both; ``share_lower`` is the
    share of clips in which ``method`` has the lower value. The bootstrap draws subjects with both values of each clip.

    Args:
        by_clip: as for `means`; rows of the method `TRUTH` are left out.
        draws: number of bootstrap draws.
        seed: of the draws, together with the names of subjects.
        against: pairs with the first method only, instead of all pairs.
    """
    chosen = by_clip[by_clip["method"] != TRUTH]
    if chosen["method"].nunique() < 2:
        return pd.DataFrame(columns=PAIRED_COLUMNS)
    table = _Table.of(chosen)
    resampling = Resampling.of(table.clips, draws, seed)
    pairs = [pair for pair in combinations(range(len(table.methods)), 2) if not against or pair[0] == 0]
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    count = len(table.occlusions)
    names = np.array(table.methods, dtype=object)
    frames = []
    for metric in table.of_metrics():
        differences = _columns(metric.values[first] - metric.values[second])
        estimates = bootstrap.means(differences, _columns(metric.weights[first]), resampling)
        low, high = estimates.limits()
        there = np.isfinite(differences)
        with np.errstate(invalid="ignore"):
            lower = np.where(there, differences < 0, False).sum(axis=0) / there.sum(axis=0)
        pair, occlusion = np.divmod(np.arange(len(pairs) * count), count)
        frames.append(
            pd.DataFrame(
                {
                    "occlusion": np.array(table.occlusions, dtype=object)[occlusion],
                    "metric": metric.name,
                    "unit": unit_of(metric.name),
                    "method": names[first][pair],
                    "against": names[second][pair],
                    "difference": estimates.value,
                    "low": low,
                    "high": high,
                    "share_lower": lower,
                    "n": estimates.clips,
                    "n_subjects": _subjects(estimates, resampling),
                    "interval_over": resampling.over,
                    "place": occlusion,
                }
            )[np.isfinite(estimates.value)]
        )
    found = pd.concat(frames, ignore_index=True)
    return found.sort_values("place", kind="stable")[PAIRED_COLUMNS].reset_index(drop=True)


def differences_to(first: str, means: pd.DataFrame, paired: pd.DataFrame) -> pd.DataFrame:
    """Columns `DIFFERENCE_COLUMNS` for a table of `means`: the method of the row minus ``first``.

    Rows of this method and of the truth have no difference.

    Args:
        first: the method to compare with, the first one of the evaluation.
        means: table of `means`.
        paired: table of `paired` of the same clips.
    """
    rows = paired[paired["method"] == first]
    keys = zip(rows["against"], rows["occlusion"], rows["metric"], strict=True)
    # The table has the first method minus the other one.
    found = dict(zip(keys, zip(-rows["difference"], -rows["high"], -rows["low"], strict=True), strict=True))
    none = (np.nan, np.nan, np.nan)
    places = zip(means["method"], means["occlusion"], means["metric"], strict=True)
    differences = [(first, *found[place]) if place in found else ("", *none) for place in places]
    return pd.DataFrame(differences, columns=DIFFERENCE_COLUMNS, index=means.index)


def by_group(by_clip: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Means by emotion, level and subject of the clips: `GROUPED_COLUMNS`.

    Emotion and level are the first parts of a clip's name, ``<emotion>/<level>/<sentence>``. Clips of other names are
    grouped by subject only.
    """
    parts = {clip: str(clip).split("/") for clip in by_clip["clip"].unique()}
    frames = []
    for place, name in enumerate(("emotion", "level", "subject")):
        if name == "subject":
            groups = by_clip["subject"]
        else:
            groups = by_clip["clip"].map({clip: part[place] for clip, part in parts.items() if len(part) == 3})
        for group in sorted(groups.dropna().unique()):
            table = means(by_clip[groups == group], draws, seed)
            table.insert(0, "group", str(group))
            table.insert(0, "grouped_by", name)
            frames.append(table)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=GROUPED_COLUMNS)
