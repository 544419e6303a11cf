"""The report's 3D view, lip openings and heat maps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from node_tools import browser, run_node
from small_head import N_EXP, N_SHAPE, small_head
from test_report import CLIPS, FRAMES, fabricate

from occlufacediff.config.report import ReportSettings
from occlufacediff.errors import AssetError
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import opening
from occlufacediff.reporting.head_view import head_view
from occlufacediff.reporting.heat_maps import DistanceMaps, every, heat_map_image
from occlufacediff.reporting.lip_plots import lip_opening_plot, stretches
from occlufacediff.reporting.run_table import run_rows
from occlufacediff.reporting.shown_clips import ChosenClip, ShownClip, choose_clips, read_shown_clip
from occlufacediff.stages.report import make_report


def shown_clip(seed: int = 0, occluded: slice = slice(5, 12)) -> ShownClip:
    """A clip whose interpolation is 1 too large in the first coefficient, and ours is right."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.random((FRAMES, N_EXP)), 0.1 * rng.random((FRAMES, 3))], axis=1).astype(np.float32)
    wrong = truth.copy()
    wrong[:, 0] += 1
    hidden = np.zeros(FRAMES, bool)
    hidden[occluded] = True
    return ShownClip(
        shape=rng.standard_normal(N_SHAPE).astype(np.float32),
        global_pose=0.1 * rng.standard_normal((FRAMES, 3)).astype(np.float32),
        truth=truth,
        motions={"ours": truth.copy(), "ours_without_audio": truth.copy(), "interpolation": wrong},
        samples=np.stack([truth, wrong]),
        occluded=hidden,
        lips_visible=1 - hidden.astype(np.float32),
        waveform=np.zeros(FRAMES * 640, np.float32),
    )


def scores(values: dict[str, float], **changes: str) -> pd.DataFrame:
    rows = [
        {"method": "ours", "occlusion": "mouth", "metric": "lve", "subject": "A", "clip": clip, "value": value}
        | changes
        for clip, value in values.items()
    ]
    return pd.DataFrame(rows)


def test_best_median_and_worst_clip_are_chosen_once():
    table = scores({"a": 3.0, "b": 1.0, "c": 2.0, "d": 5.0, "e": 4.0, "f": float("nan")})
    assert [(one.rank, one.clip, one.error) for one in choose_clips(table, "mouth")] == [
        ("best", "b", 1.0),
        ("median", "a", 3.0),
        ("worst", "d", 5.0),
    ]
    assert [one.clip for one in choose_clips(scores({"a": 3.0, "b": 1.0}), "mouth")] == ["b", "a"]
    assert len(choose_clips(scores({"a": 3.0}), "mouth")) == 1
    assert choose_clips(table, "upper") == []
    assert choose_clips(scores({"a": 3.0}, method="neutral"), "mouth") == []


def test_a_clip_is_read_with_all_methods_and_samples(tmp_path: Path):
    arguments = fabricate(tmp_path)
    data, evaluation = arguments["data"], arguments["evaluation"]
    clip = read_shown_clip("NA", CLIPS[0], "mouth", evaluation.motions[1], data.coefficients[1], data.audio[1])
    assert list(clip.motions) == ["ours", "interpolation"]
    np.testing.assert_allclose(clip.motions["ours"], clip.truth * 0.7, rtol=1e-5)
    assert clip.samples is not None
    np.testing.assert_allclose(clip.samples, np.stack([clip.truth * 0.6, clip.truth * 0.8]), rtol=1e-5)
    assert clip.occluded.tolist() == [False] * 5 + [True] * (FRAMES - 5)
    assert len(clip.waveform) == FRAMES * 640
    with pytest.raises(AssetError, match="sad"):
        read_shown_clip("NA", "sad/level_1/009", "mouth", evaluation.motions[1], data.coefficients[1], None)


def test_heat_maps_are_mean_distances_of_occluded_frames():
    head, maps = small_head(), DistanceMaps(small_head())
    clips = [shown_clip(0), shown_clip(1, slice(2, 4)), shown_clip(2, slice(0, 0))]
    for clip in clips:
        maps.add(clip)
    assert (maps.clips, maps.frames) == (2, 9)
    means = maps.means()
    assert list(means) == ["ours", "ours_without_audio", "interpolation"]
    assert means["ours"].max() < 1e-4
    # A coefficient that is 1 too large moves each vertex by its column of the basis; the jaw turns, which keeps lengths
    # except for vertices that follow it in part.
    expected = 1000 * np.linalg.norm(head.expdirs[:, :, 0], axis=1)
    upper = head.weights[:, 1] < 1e-3
    moved = upper & (expected > 0.01)
    assert moved.sum() > 5
    # The jaw joint moves with the expression too, which shifts vertices that follow the jaw only.
    np.testing.assert_allclose(means["interpolation"][moved], expected[moved], rtol=2e-2)


def test_the_hottest_vertices_are_bright_in_the_image():
    head = small_head()
    means = {"ours": np.zeros(head.n_vertices), "interpolation": np.zeros(head.n_vertices)}
    means["interpolation"][head.regions["face"]] = 3.0
    image = heat_map_image(head, means, 96)
    brightness = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    assert image.shape[1] > 2 * 96
    middle = slice(28 + 30, 28 + 60)
    ours, other = brightness[middle, 30:66], brightness[middle, 100 + 30 : 100 + 66]
    assert other.mean() > 2.5 * ours.mean()


def test_many_methods_have_rows_of_four_panels():
    head = small_head()
    means = {name: np.ones(head.n_vertices) for name in ("ours", "a", "b", "c", "d")}
    one, two = (heat_map_image(head, dict(list(means.items())[:count]), 64) for count in (4, 5))
    assert two.shape == (2 * one.shape[0], one.shape[1], 3)


def test_clips_of_heat_maps_are_evenly_spaced():
    items = [("s", str(number)) for number in range(10)]
    assert every(items, 20) == items
    assert every(items, 4) == [items[number] for number in (0, 3, 6, 9)]
    assert every(items, 0) == []


def test_stretches_of_occluded_frames():
    assert stretches(np.array([1, 1, 0, 0, 1, 0, 1], bool)) == [(0, 2), (4, 5), (6, 7)]
    assert stretches(np.zeros(4, bool)) == []


def test_the_plot_shows_methods_occlusion_and_the_range_of_samples():
    basis, clip = LandmarkBasis.of(small_head()), shown_clip()
    with_range = lip_opening_plot(basis, clip)
    for text in ("truth", "ours", "linear interpolation", "range of 2 samples", "seconds", "#eceef1"):
        assert text in with_range, text
    without = lip_opening_plot(basis, replace(clip, samples=None, occluded=np.zeros(FRAMES, bool)))
    assert "range of" not in without
    assert "#eceef1" not in without


def test_the_view_begins_with_truth_ours_and_interpolation():
    head, clip = small_head(), shown_clip()
    content = head_view(head, [(ChosenClip("best", "A", "happy/level_1/001", 1.234), clip)], "mm")
    (shown,) = content.clips
    assert shown.name == "best: A, happy/level_1/001, lip error of ours 1.23 mm"
    assert [motion.name for motion in shown.motions] == ["truth", "ours", "linear interpolation", "ours, without audio"]
    assert shown.shown == 3
    assert shown.waveform is None
    np.testing.assert_array_equal(shown.motions[2].exp, clip.motions["interpolation"][:, :-3])
    curve = shown.tracks[0].series[0].values
    np.testing.assert_allclose(curve, 1000 * opening(LandmarkBasis.of(head), clip.shape, clip.truth))
    assert {INNER_LIP_TOP, INNER_LIP_BOTTOM} <= set(head.landmark_indices.tolist())


def test_an_unreadable_description_of_a_network_is_named(tmp_path: Path):
    arguments = fabricate(tmp_path)
    broken = tmp_path / "denoiser" / "config.yaml"
    broken.write_text("a: [")
    manifest, means = (pd.read_csv(tmp_path / name) for name in ("manifest.csv", "metrics.csv"))
    with pytest.raises(AssetError, match=r"denoiser/config\.yaml: is not a readable description"):
        run_rows(manifest, means, small_head(), [broken], {})
    broken.write_text("text")
    with pytest.raises(AssetError, match="is not a description of a network"):
        make_report(**arguments)


def test_a_clip_that_cannot_be_read_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from occlufacediff.reporting import clip_views

    arguments = fabricate(tmp_path)
    original = clip_views.read_shown_clip
    calls: list[Any] = []

    def read(*values: Any) -> ShownClip:
        calls.append(values)
        if len(calls) == 1:
            raise IndexError("no frame <0>")
        return original(*values)

    monkeypatch.setattr(clip_views, "read_shown_clip", read)
    make_report(**arguments)
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert page.count("cannot be shown (IndexError: no frame &lt;0&gt;)") == 1
    assert page.count("median clip: ") == 1


def test_view_and_heat_maps_can_be_left_out(tmp_path: Path):
    arguments = fabricate(tmp_path)
    settings = ReportSettings(panel_px=64, videos=0, viewer=False, heat_clips=0, contact_pictures=0)
    make_report(**(arguments | {"settings": settings}))
    page = arguments["report_html"].read_text(encoding="utf-8")
    assert "ofd-viewer" not in page
    assert "Heat maps" not in page
    assert "Lip opening over time" in page


@pytest.mark.slow
def test_the_view_works_in_a_browser(tmp_path: Path):
    arguments = fabricate(tmp_path)
    make_report(**arguments)
    wanted = {"frames": [0, FRAMES - 1], "width": 420, "height": 800}
    shown = run_node("viewer/look_at_page.mjs", browser(), str(arguments["report_html"]), json.dumps(wanted))
    assert (shown["problems"], shown["requests"], shown["clips"]) == ([], [], 3)
    assert len(shown["frames"]["0"]["heads"]) == 3
    truth, ours, interpolation = (list(head.values()) for head in shown["frames"][str(FRAMES - 1)]["heads"])
    np.testing.assert_allclose(ours, 0.7 * np.array(truth), atol=1e-6)
    np.testing.assert_allclose(interpolation, 0.3 * np.array(truth), atol=1e-6)
    assert shown["turned"]
    assert shown["end"] == FRAMES - 1
    # A narrow window shows the page without scrolling sideways.
    assert shown["overflow"] <= 0
