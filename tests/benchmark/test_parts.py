"""Parts of the benchmark: baselines, metrics, intervals, simulated occlusion and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reordering import reversed_in_all_modules
from scipy.stats import spearmanr

from occlufacediff.benchmark.methods import repeat_to_length
from occlufacediff.benchmark.metrics import measure
from occlufacediff.benchmark.occluded_recording import occlude_recording
from occlufacediff.benchmark.page_parts import spread_note
from occlufacediff.benchmark.recording import Recording, is_held_out, read_recording, source_of, write_recording
from occlufacediff.benchmark.statistics import (
    clip_ranks,
    gain_with_interval,
    gains,
    groups,
    mean_with_interval,
    means,
)
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.load import check_settings
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.baselines import bridge, hold, interpolate, visible_mean
from occlufacediff.face_mesh import IBUG_68, INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS

occluded_frames = arrays(np.bool_, st.integers(2, 40))


@given(occluded_frames, st.integers(0, 2**31))
def test_baselines_keep_visible_frames_and_stay_within_their_range(hidden: np.ndarray, seed: int) -> None:
    motion = np.random.default_rng(seed).normal(size=(len(hidden), 3)).astype(np.float32)
    for filled in (hold(motion, hidden), visible_mean(motion, hidden), interpolate(motion, hidden)):
        if hidden.all():
            assert (filled == 0).all()
            continue
        np.testing.assert_array_equal(filled[~hidden], motion[~hidden])
        seen = motion[~hidden]
        assert (filled >= seen.min(axis=0) - 1e-5).all()
        assert (filled <= seen.max(axis=0) + 1e-5).all()
    decayed = bridge(motion, hidden, 0.2)
    np.testing.assert_array_equal(decayed[~hidden], motion[~hidden] if not hidden.all() else decayed[~hidden])


def test_hold_and_bridge() -> None:
    motion = np.array([[1.0], [9], [9], [9], [3]], dtype=np.float32)
    hidden = np.array([False, True, True, True, False])
    assert hold(motion, hidden).ravel().tolist() == [1, 1, 1, 1, 3]
    # The mean is 2 and the ends are 1 below and 1 above it, so the bridge passes the mean in its middle.
    decayed = bridge(motion, hidden, 0.04).ravel()
    assert decayed[2] == pytest.approx(2)
    assert decayed[1] == pytest.approx(2 - np.exp(-1) + np.exp(-3))


def talking(frames: int = 120, late: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks whose lips open with the loudness of a sound that comes ``late`` frames late."""
    rng = np.random.default_rng(3)
    loud = np.convolve(rng.normal(size=frames + 60), np.ones(5) / 5, "same")
    points = np.zeros((frames, 468, 2), dtype=np.float32)
    points[:, LIPS] = rng.normal(0, 0.1, (1, len(LIPS), 2))
    points[:, 33, 0], points[:, 263, 0] = -0.4, 0.4
    points[:, INNER_LIP_TOP] = 0
    points[:, INNER_LIP_BOTTOM, 0] = 0
    points[:, INNER_LIP_BOTTOM, 1] = 0.1 + 0.03 * loud[30 : 30 + frames]
    heard = loud[30 - late : 30 - late + frames]
    return points, np.repeat(heard, 4)[:, None].repeat(80, axis=1).astype(np.float32)


def test_measures_of_known_errors() -> None:
    truth, _ = talking()
    moved = truth + np.array([3, 4], dtype=np.float32) / 112
    scored = np.zeros((120, 468), dtype=bool)
    scored[30:90, list(LIPS)] = True
    frames = scored.any(axis=1)
    same, late = measure(truth, truth, scored, frames), measure(np.roll(truth, 3, axis=0), truth, scored, frames)
    found = measure(moved, truth, scored, frames)
    assert found["lips_px"] == pytest.approx(5, abs=1e-3)
    assert found["lips_of_eye_span"] == pytest.approx(100 * 5 / (0.8 * 112), abs=1e-2)
    assert found["opening_error_px"] == pytest.approx(0, abs=1e-3)
    assert same["opening_correlation"] == pytest.approx(1)
    assert same["jerk_ratio"] == pytest.approx(1)
    assert (same["best_lag"], late["best_lag"]) == (0, 3)
    still = measure(np.repeat(truth[:1], 120, axis=0), truth, scored, frames)
    assert still["opening_correlation"] == 0
    nothing = measure(moved, truth, np.zeros_like(scored), frames)
    assert all(np.isnan(value) for value in nothing.values())


def test_intervals_hold_the_mean_and_pairs_stay_together() -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(1, 10, 40)
    mean, low, high = mean_with_interval(hard, 500, 0)
    assert low < mean < high
    # Every clip is 10 % better, however hard it is: the paired interval is a point.
    gain, low, high, share = gain_with_interval(0.9 * hard, hard, 500, 0)
    assert (gain, low, high, share) == pytest.approx((10, 10, 10, 1))
    assert all(np.isnan(value) for value in gain_with_interval(np.array([np.nan]), np.array([1.0]), 500, 0))


def test_tables() -> None:
    rows = [
        (f"a_{clip}", "a", clip % 2, -20.0 + clip, "mouth", "middle", method, "lips_px", "px", clip + worse)
        for clip in range(6)
        for method, worse in (("ours", 1.0), ("hold", 2.0))
    ]
    columns = ["clip", "source", "held_out", "level_db", "region", "span", "method", "metric", "unit", "value"]
    table = pd.DataFrame(rows, columns=columns)
    found = means(table, 200, 0)
    assert found.groupby("part")["n"].first().to_dict() == {"all": 6, "held_out": 3, "open": 3}
    worth = gains(table, "lips_px", 200, 0)
    assert worth["against"].unique().tolist() == ["hold"]
    assert (worth["gain_percent"] > 0).all()
    by_group = groups(table, 200, 0)
    assert set(by_group.loc[by_group["grouped_by"] == "loudness", "group"]) == {"quiet", "medium", "loud"}
    for count in (0, 1, 2):
        few = table[table["clip"].isin(["a_0", "a_1"][:count])]
        assert set(groups(few, 200, 0)["grouped_by"]) == ({"source"} if count else set())


@pytest.mark.parametrize("count", [7, 12])
def test_clips_are_ranked_by_their_spread(count: int) -> None:
    rng = np.random.default_rng(3)
    error = rng.permutation(count) + 1.0
    spread = np.where(np.arange(count) < 10, error, -error)
    rows = [
        (f"a_{clip}", "a", 0, -20.0, "mouth", "middle", method, metric, "mm", values[clip])
        for clip in range(count)
        for method, of_method in (("ours", spread), ("hold", -spread))
        for metric, values in (("mean_opening_error_mm", error), ("mean_opening_spread_mm", of_method))
    ]
    columns = ["clip", "source", "held_out", "level_db", "region", "span", "method", "metric", "unit", "value"]
    found = clip_ranks(pd.DataFrame(rows, columns=columns), 500, 0)
    if count < 8:
        assert found.empty
        return
    assert found["part"].tolist() == ["all", "open"]
    of_all = found.iloc[0]
    assert of_all["mean"] == pytest.approx(spearmanr(spread, error).statistic)
    assert of_all["low"] < of_all["mean"] < of_all["high"]
    assert of_all["n"] == count
    figures = pd.DataFrame({"metric": ["coverage_50", "coverage_90", "spread_rank"], "mean": [0.5, 0.9, 0.1]})
    figures = figures.assign(part="all", method="ours")
    assert f"over clips: {of_all['mean']:.2f} [" in spread_note(pd.concat([figures, found]))
    assert spread_note(figures).endswith("within a clip: 0.10.")


def recording(frames: int = 60) -> Recording:
    rng = np.random.default_rng(1)
    points = np.clip(rng.normal(0, 0.4, (1, 468, 2)) + np.zeros((frames, 1, 1)), -0.95, 0.95).astype(np.float32)
    points[:, 33], points[:, 263] = (-0.4, -0.3), (0.4, -0.3)
    known = np.ones((frames, 468), dtype=bool)
    known[5] = False
    some = np.zeros((frames, 3), dtype=np.float32)
    return Recording(
        lmk_2d=points, known=known, boxes=some, log_mel=np.zeros((4 * frames, 80), np.float32),
        waveform=np.zeros(640 * frames, np.float32), motion=some, shape=some[0], global_pose=some, cam=some,
        points=points, level=-12.5, fit_px=0.7,
    )  # fmt: skip


def test_occluded_landmarks_are_scored_and_not_visible(tmp_path: Path) -> None:
    one = recording()
    write_recording(one, tmp_path / "one.h5")
    again = read_recording(tmp_path / "one.h5")
    np.testing.assert_array_equal(again.lmk_2d, one.lmk_2d)
    assert (again.level, again.fit_px) == (one.level, one.fit_px)
    for region in ("mouth", "lower", "upper", "side", "everything"):
        middle = occlude_recording(one, "clip", region, "middle", seed=0, pictures=None)
        assert not (middle.scored & (middle.visible > 0)).any()
        assert not middle.scored[5].any()
        assert not middle.visible[5].any()
        assert middle.frames.tolist() == [False] * 15 + [True] * 30 + [False] * 15
        assert (middle.visible[20].sum() == 0) == (region == "everything")
    assert occlude_recording(one, "clip", "everything", "all", seed=0, pictures=None).visible.sum() == 0


def test_names() -> None:
    assert [source_of(name) for name in ("grid_bbaf2n", "demo1", "lrs2_00001", "vox/00015", "7")] == [
        "grid", "demo", "lrs2", "vox", "7",
    ]  # fmt: skip
    share = np.mean([is_held_out(f"clip {number}", 0.4) for number in range(2000)])
    assert 0.35 < share < 0.45
    assert len(repeat_to_length(np.ones((5, 80), np.float32), 12)) == 12


def test_landmarks_that_are_never_detected_do_not_change_the_occlusion() -> None:
    others = np.setdiff1d(np.arange(468), IBUG_68)
    found = []
    for place in (0.0, 0.9):
        one = recording()
        one.lmk_2d[:, others] = place
        one.known[:, others] = False
        regions = ("mouth", "lower", "upper")
        found.append([occlude_recording(one, "clip", region, "all", seed=0, pictures=None) for region in regions])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.occlusion.boxes, other.occlusion.boxes)
        np.testing.assert_array_equal(one.visible, other.visible)
        assert not one.visible[:, others].any()


def sides(names: list[str]) -> list[bool]:
    """Whether the left half is occluded, for recordings of the given names."""
    one = recording()
    drawn = [occlude_recording(one, name, "side", "all", seed=0, pictures=None).occlusion for name in names]
    return [bool(occlusion.boxes[0, 0] < 0) for occlusion in drawn]


def test_draws_do_not_depend_on_the_order_of_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"clip {number}" for number in range(24)]
    before = sides(names)
    assert 4 < sum(before) < 20
    reversed_in_all_modules(monkeypatch, "BENCHMARK_REGIONS")
    assert sides(names) == before


def test_folders_of_clips(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark videos: there is no folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(ConfigError, match="contains no video"):
        find_videos(tmp_path)
    (tmp_path / "b").mkdir()
    for name in ("b/two.MP4", "one.mpg", "phone.3gp", "notes.txt"):
        (tmp_path / name).touch()
    assert list(find_videos(tmp_path)) == ["b/two", "one", "phone"]
    (tmp_path / "one.avi").touch()
    with pytest.raises(ConfigError, match="differ in their suffix only"):
        find_videos(tmp_path)


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"regions\[0\]: got 'nose'"):
        check_settings(BenchmarkSettings(regions=("nose",)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs pictures"):
        BenchmarkSettings(regions=("picture",))
