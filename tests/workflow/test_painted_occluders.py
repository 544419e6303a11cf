"""Painted occluders through the workflow: an evaluation with visibility found, and an occluded data set."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from occlufacediff.visibility.regions import REGIONS

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workflow")]

NATURAL = "evaluation: {occlusions: [none, mouth, natural, natural_true]}"


def test_the_evaluation_paints_finds_and_scores(tree):
    old = pd.read_csv(tree.main_run / "evaluation/metrics_by_clip.csv")
    changed = tree.override(NATURAL)
    evaluation = {"sample_motions", "score_motions", "write_evaluation_tables", "make_report"}
    assert set(tree.plan(config=changed)) == evaluation | {"paint_occluders"}
    result = tree.run(config=changed)
    assert result.returncode == 0, result.stdout[-4000:]
    assert tree.plan(config=changed) == {}
    folder = tree.main_run / "evaluation"
    scores = pd.read_csv(folder / "metrics_by_clip.csv")
    assert set(scores["occlusion"]) == {"none", "mouth", "natural", "natural_true"}
    # The other rows keep every digit.
    both = scores[scores["occlusion"].isin(["none", "mouth"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(both.drop(columns="protocol"), old.drop(columns="protocol"))
    table = pd.read_csv(folder / "visibility.csv").set_index(["occluder", "region"])
    face = table.loc["all", "face"]
    assert face["clips"] == 1 and face["hidden"] > 0 and face["iou_visible"] > 0.6
    assert set(REGIONS) < set(table.loc["all"].index)
    page = (tree.main_run / "report.html").read_text()
    assert "Found visibility, by region of the face" in page and "Found visibility, by occluder" in page
    # In chunks, the clips of a subject are painted by several jobs.
    painted = next((folder / "painted").glob("*.h5"))
    target = str(painted.relative_to(tree.folder))
    painted.unlink()
    assert tree.plan(target, config=tree.override(NATURAL + "\nchunks: 2"))["paint_occluders_chunk"] == 2


def test_an_occluded_data_set_goes_through_the_workflow(tree):
    changed = tree.override(
        "dataset: occluded\n"
        "synthetic: {occluders: [hand, cup], occluded_clips: 0.6}\n"
        "visibility: {source: auto}\n"
        "evaluation: {occlusions: [mouth]}"
    )
    result = tree.run("evaluate", config=changed)
    assert result.returncode == 0, result.stdout[-4000:]
    folder = tree.folder / "results/occluded"
    occluded = 0
    for path in sorted((folder / "truth").glob("*.h5")):
        with h5py.File(path, "r") as truth, h5py.File(folder / "clips" / path.name, "r") as store:
            for clip in pd.read_csv(folder / "clips" / f"{path.stem}.csv")["clip"]:
                true, found = truth[clip]["lmk_visible"][()] > 0, store[clip]["lmk_visible"][()] > 0
                # The truth has 30 frames a second, the store 25.
                true = true[np.minimum(np.round(np.arange(len(found)) * 30 / 25).astype(int), len(true) - 1)]
                if truth[clip].attrs["occluder"] == "":
                    assert true.all() and found.mean() > 0.97
                    continue
                occluded += 1
                assert truth[clip].attrs["occluder"] in ("hand", "cup")
                assert 0.02 < (~true).mean() < 0.9
                assert (true & found).sum() / (true | found).sum() > 0.7
    assert occluded > 0
    manifest = pd.read_csv(folder / "manifest.csv")
    assert manifest["clips_landmarks_hidden"].max() > 0.02
