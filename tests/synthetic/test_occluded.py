"""Occluders of the synthetic data set: rendered before the face, with the true visibility, drawn by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.stages.synthesise import expression_for, synthesise_subject
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.occluded import clip_occluder
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_path
from occlufacediff.synthetic.speakers import make_speaker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("visibility_found")]

CLEAR = SyntheticSettings(training_subjects=1, training_clips=2, max_seconds=2.7, picture_size=160)
OCCLUDED = replace(CLEAR, occluders=("hand", "mask", "cup"))
SKIN = np.array([200.0, 150.0, 120.0])
SEED = 3
NAMES = ("video.tar", "audio.tar", "sentences.csv", "truth.h5")


def test_occluders_are_painted_where_the_true_visibility_says(small_open_head: Path) -> None:
    asset = HeadAsset.load(small_open_head)
    clip = subject_clips("M101", OCCLUDED)[0]
    spoken = generate_clip(clip, OCCLUDED, SEED)
    speaker = make_speaker("M101", SEED, spread=1.0)
    renderer = ClipRenderer(asset, draw_appearance(speaker, asset, OCCLUDED.picture_size, SEED))
    exp, camera = expression_for(spoken, asset), camera_path(spoken, renderer.appearance, SEED)
    points = renderer.landmarks(spoken, exp, camera)
    # The landmarks lie on the face in the picture.
    assert ((points > 20) & (points < 150)).all()
    # A bright blue skin shows where the hand is.
    only_hand = replace(OCCLUDED, occluders=("hand",))
    occluder = clip_occluder(clip.clip_id, points, np.array([0.0, 0.0, 255.0]), only_hand, SEED)
    assert occluder is not None
    covered = occluder.covers(points)
    pairs = zip(renderer.frames(spoken, exp, camera), renderer.frames(spoken, exp, camera, occluder), strict=True)
    agree = []
    for number, (clear, painted) in enumerate(pairs):
        if not occluder.frames[number]:
            np.testing.assert_array_equal(clear, painted)
            continue
        x, y = points[number].round().astype(int).T
        changed = np.abs(clear[y, x].astype(int) - painted[y, x]).sum(axis=1) > 90
        agree.append((changed == covered[number]).mean())
    assert covered.any() and np.mean(agree) > 0.93


def test_occluders_depend_on_seed_and_name_only(small_open_head: Path) -> None:
    points = np.random.default_rng(0).uniform(40, 120, (1, 468, 2)).repeat(60, axis=0).astype(np.float32)

    def drawn(clip_id: str, settings: SyntheticSettings = OCCLUDED, seed: int = SEED) -> object:
        found = clip_occluder(clip_id, points, SKIN, settings, seed)
        return None if found is None else (found.kind, found.moving.path.tobytes())

    first = drawn("M101/a")
    assert drawn("M101/b") != first != drawn("M101/a", seed=4)
    assert drawn("M101/a") == first is not None
    assert drawn("M101/a", CLEAR) is None
    half = [drawn(f"M101/{number}", replace(OCCLUDED, occluded_clips=0.5)) for number in range(40)]
    assert 10 < sum(one is None for one in half) < 30
    assert {one[0] for one in half if one is not None} == {"hand", "mask", "cup"}  # type: ignore[index]


def test_the_truth_holds_the_visibility_of_occluded_data_only(small_open_head: Path, tmp_path: Path) -> None:
    groups = {}
    for name, settings in (("clear", CLEAR), ("occluded", OCCLUDED)):
        (tmp_path / name).mkdir()
        out = [tmp_path / name / file for file in NAMES]
        synthesise_subject("M101", small_open_head, *out, settings=settings, seed=SEED)
        with h5py.File(out[-1], "r") as truth:
            groups[name] = {
                clip.clip: {item: truth[clip.clip][item][()] for item in truth[clip.clip]}
                | {"occluder": truth[clip.clip].attrs.get("occluder")}
                for clip in subject_clips("M101", settings)
            }
    assert (tmp_path / "clear/audio.tar").read_bytes() == (tmp_path / "occluded/audio.tar").read_bytes()
    assert (tmp_path / "clear/video.tar").read_bytes() != (tmp_path / "occluded/video.tar").read_bytes()
    for clip, clear in groups["clear"].items():
        occluded = groups["occluded"][clip]
        assert clear["occluder"] is None and "lmk_visible" not in clear
        assert occluded["occluder"] in OCCLUDED.occluders
        visible = occluded["lmk_visible"]
        assert visible.shape == (len(clear["exp"]), 468) and visible.dtype == np.uint8
        assert 0.02 < (visible == 0).mean() < 0.9
        # The motion is the same.
        np.testing.assert_array_equal(clear["exp"], occluded["exp"])
