"""Intervals over subjects: against scipy, by hand, and their speed."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from occlufacediff.evaluation import aggregation, bootstrap
from occlufacediff.evaluation.bootstrap import Resampling
from occlufacediff.reporting.tables import interval_note


def rows(values: dict[tuple[str, str], dict[str, float]], **columns: object) -> pd.DataFrame:
    """Rows of one occlusion and metric from values by (subject, clip) and method."""
    table = [
        {"method": method, "occlusion": "mouth", "subject": subject, "clip": clip, "metric": "lve", "value": value}
        for (subject, clip), of_method in values.items()
        for method, value in of_method.items()
    ]
    return pd.DataFrame(table).assign(**columns)


@pytest.mark.parametrize("count", [3, 12])
def test_intervals_over_clips_equal_those_of_scipy(count: int) -> None:
    values = np.random.default_rng(0).gamma(2, size=(2, count))
    for samples, statistic in (
        (values[:1], np.mean),
        (values, lambda a, b, axis=-1: a.mean(axis=axis) / b.mean(axis=axis)),
    ):
        expected = scipy_bootstrap(
            tuple(samples),
            statistic,
            n_resamples=500,
            paired=len(samples) > 1,
            method="percentile",
            rng=np.random.default_rng(7),
        ).confidence_interval
        np.testing.assert_allclose(bootstrap.interval(statistic, 500, 7, *samples), expected, rtol=1e-12)


def test_whole_subjects_are_drawn() -> None:
    """With the subjects A (mean 1, one clip) and B (mean 4, three clips), a draw has the mean 1, 3.25 or 4."""
    clips = [("A", "1"), ("B", "1"), ("B", "2"), ("B", "3")]
    drawn = Resampling.of(clips, 400, seed=3)
    assert drawn.over == "subjects"
    found = bootstrap.means(np.array([[1.0], [2.0], [4.0], [6.0]]), np.ones((4, 1)), drawn)
    assert found.value == (1 + 2 + 4 + 6) / 4
    assert set(found.drawn.ravel()) == {1.0, 3.25, 4.0}
    # AA and BB have a quarter each, AB and BA half.
    assert (found.drawn == 3.25).mean() == pytest.approx(0.5, abs=0.07)
    assert [limit[0] for limit in found.limits()] == [1.0, 4.0]
    assert found.clips == 4
    assert found.units == 2


def test_draws_depend_on_names_only() -> None:
    clips = [("A", "1"), ("B", "1"), ("C", "2"), ("B", "3")]
    values = np.arange(4.0)[:, None]
    order = [2, 0, 3, 1]
    one = bootstrap.means(values, np.ones((4, 1)), Resampling.of(clips, 50, seed=3))
    other = bootstrap.means(values[order], np.ones((4, 1)), Resampling.of([clips[i] for i in order], 50, seed=3))
    np.testing.assert_allclose(one.drawn, other.drawn)
    assert not np.allclose(one.drawn, bootstrap.means(values, np.ones((4, 1)), Resampling.of(clips, 50, 4)).drawn)
    with pytest.raises(ValueError, match="different names"):
        Resampling.of([("A", "1"), ("A", "1")], 50, 0)


def test_one_subject_falls_back_to_clips() -> None:
    table = rows({("A", str(i)): {"ours": float(i)} for i in range(5)})
    found = aggregation.means(table, 200, seed=0).iloc[0]
    assert found["interval_over"] == "clips"
    assert found["n_subjects"] == 1
    assert found["low"] < found["mean"] == 2 < found["high"]
    # Two clips are too few.
    few = aggregation.means(table.head(2), 200, seed=0)
    assert np.isnan(few.iloc[0]["low"])
    assert interval_note(few) == "There are too few clips for intervals."
    assert "over clips, because there is only one subject" in interval_note(aggregation.means(table, 200, seed=0))


def test_clips_without_a_value_are_left_out_and_weights_pool() -> None:
    table = rows({("A", "1"): {"ours": 1.0}, ("B", "1"): {"ours": 4.0}, ("B", "2"): {"ours": np.nan}})
    found = aggregation.means(table, 200, seed=0).iloc[0]
    assert (found["mean"], found["n"], found["n_subjects"]) == (2.5, 2, 2)
    pooled = aggregation.means(table.assign(weight=[10.0, 30.0, 5.0]), 200, seed=0).iloc[0]
    assert pooled["mean"] == pytest.approx((10 * 1 + 30 * 4) / 40)
    assert (pooled["low"], pooled["high"]) == (1.0, 4.0)


def test_paired_differences_are_over_common_clips() -> None:
    """Differences per clip: -1 and -3 for A, -2 for B; C has no value of the other method."""
    values = {
        ("A", "1"): {"ours": 1.0, "neutral": 2.0},
        ("A", "2"): {"ours": 2.0, "neutral": 5.0},
        ("B", "1"): {"ours": 3.0, "neutral": 5.0},
        ("C", "1"): {"ours": 90.0},
    }
    found = aggregation.paired(rows(values), 300, seed=0)
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["method"], row["against"], row["difference"], row["n"], row["n_subjects"]) == (
        "ours",
        "neutral",
        -2,
        3,
        2,
    )
    # Each subject's mean difference is -2, so subjects cannot change it.
    assert (row["low"], row["high"], row["share_lower"]) == (-2, -2, 1)
    assert aggregation.paired(rows({("A", "1"): {"ours": 1.0, "truth": 0.0}}), 300, seed=0).empty
    # The same difference beside the mean of the other method: its own value minus that of the first method.
    means = aggregation.means(rows(values), 300, seed=0)
    table = means.join(aggregation.differences_to("ours", means, found)).set_index("method")
    row = found[(found["method"] == "ours") & (found["against"] == "neutral")].iloc[0]
    other = table.loc["neutral"]
    assert other["against"] == "ours"
    assert (other["difference"], other["difference_low"], other["difference_high"]) == (
        *(-row["difference"], -row["high"], -row["low"]),
    )
    assert table.loc["ours", "against"] == ""
    assert np.isnan(table.loc["ours", "difference"])


def test_the_speech_lip_correlation_is_over_clips() -> None:
    clips = {("A", "1"): (1.0, 0.1), ("A", "2"): (2.0, 0.3), ("B", "1"): (4.0, 0.2), ("B", "2"): (3.0, 0.4)}
    table = pd.DataFrame(
        [
            row
            for (subject, clip), (lips, speech) in clips.items()
            for row in (
                ("ours", "none", subject, clip, "lip_intensity", lips),
                ("truth", "none", subject, clip, "lip_intensity", 2 * speech),
                ("truth", "none", subject, clip, "speech_intensity", speech),
                ("neutral", "none", subject, clip, "lip_intensity", 0.0),
            )
        ],
        columns=["method", "occlusion", "subject", "clip", "metric", "value"],
    )
    found = aggregation.means(table, 300, seed=0)
    slcc = found[found["metric"] == "slcc"].set_index("method")["mean"]
    lips, speech = np.array(list(clips.values())).T
    assert slcc["ours"] == pytest.approx(np.corrcoef(lips, speech)[0, 1])
    assert slcc["truth"] == pytest.approx(1)
    # Lips that never move have no correlation.
    assert "neutral" not in slcc


def test_means_by_emotion_level_and_subject() -> None:
    table = rows(
        {("A", "sad/level_1/1"): {"ours": 1.0}, ("B", "sad/level_2/1"): {"ours": 3.0}, ("B", "x"): {"ours": 8.0}}
    )
    found = aggregation.by_group(table, 200, seed=0).set_index(["grouped_by", "group"])["mean"]
    assert found.to_dict() == {
        ("emotion", "sad"): 2.0,
        ("level", "level_1"): 1.0,
        ("level", "level_2"): 3.0,
        ("subject", "A"): 1.0,
        ("subject", "B"): 5.5,
    }


@pytest.mark.slow
@pytest.mark.parametrize("subjects", [47, 1])
def test_ten_thousand_clips_and_eleven_occlusions_take_seconds(subjects: int) -> None:
    clips, occlusions, methods = 10_000, 11, 5
    count = clips * occlusions * methods
    names = [f"{index % 8}/level_1/{index}" for index in range(clips)]
    table = pd.DataFrame(
        {
            "method": np.repeat([f"m{index}" for index in range(methods)], clips * occlusions),
            "occlusion": np.tile(np.repeat([f"o{index}" for index in range(occlusions)], clips), methods),
            "subject": np.tile([f"s{index % subjects}" for index in range(clips)], methods * occlusions),
            "clip": np.tile(names, methods * occlusions),
            "metric": "lve",
            "value": np.random.default_rng(0).gamma(2, size=count),
        }
    )
    start = time.perf_counter()
    found = aggregation.means(table, 2000, seed=0)
    pairs = aggregation.paired(table, 2000, seed=0)
    seconds = time.perf_counter() - start
    assert len(found) == methods * occlusions
    assert len(pairs) == methods * (methods - 1) // 2 * occlusions
    assert seconds < 30, seconds
