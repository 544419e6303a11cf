"""The target `predict` for several videos: a job each, a summary, and failures that stop nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from small_head import N_EXP, small_head
from tiny_tree import Tree

from occlufacediff.media.encode import VideoWriter


def test_a_folder_has_a_job_for_each_video(bare: Tree, tmp_path: Path) -> None:
    for name in ("a b.mp4", "deep/ü.mkv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    video = f"video={tmp_path / 'in'}"
    plan = bare.plan("predict", "--config", video, "prediction={weights: open, export: [glb]}")
    assert {name: plan[name] for name in ("predict_video", "summarise_predictions")} == {
        "predict_video": 2,
        "summarise_predictions": 1,
    }
    (tmp_path / "in" / "deep" / "a b.mov").touch()
    result = bare.run("--dry-run", "predict", "--config", video, "prediction={weights: open}")
    assert result.returncode != 0
    assert "have the same result folder 'a b'; rename one of them" in result.stdout
    assert "most recent call last" not in result.stdout


def test_the_mapping_is_checked_and_is_an_input(bare: Tree, tmp_path: Path) -> None:
    """Four errors of a mapping, each one line that names the key, and a rule that has the file as input."""
    (tmp_path / "talk.mp4").touch()
    small_head().save(tmp_path / "head.npz")
    for name, size in (("mapping.npz", N_EXP), ("other.npz", N_EXP + 1)):
        np.savez(tmp_path / name, names=np.asarray(["jawOpen"]), exp=np.ones((1, size)), jaw=np.zeros((1, 3)))
    (tmp_path / "text.npz").write_text("no npz")

    def plan(mapping: str, *more: str, show: str = "--dry-run") -> tuple[int, str]:
        settings = f"prediction={{export: [livelink], arkit_mapping: {tmp_path / mapping}}}"
        result = bare.run(show, "predict", "--config", f"video={tmp_path / 'talk.mp4'}", settings, *more)
        return result.returncode, result.stdout

    head = f"head={tmp_path / 'head.npz'}"
    for mapping, words, more in (
        ("none.npz", "there is no such file; give an .npz file with names, exp and jaw", [head]),
        ("text.npz", "is not a readable .npz file", [head]),
        ("other.npz", "shape (1, 6); give a mapping that was made for this head model", [head]),
        ("mapping.npz", "head is null, so the open head predicts, and its coefficients are ARKit weights already", []),
    ):
        status, output = plan(mapping, *more)
        (line,) = [line for line in output.splitlines() if "Configuration, prediction.arkit_mapping" in line]
        assert status != 0 and words in line and str(tmp_path / mapping) in line, output
    status, output = plan("mapping.npz", head, show="--filegraph")
    assert status == 0, output
    (node,) = [node for node in output.split("<table") if "motion.livelink.csv" in node]
    assert f">{tmp_path / 'mapping.npz'}<" in node, node


@pytest.mark.long
def test_failures_are_rows_of_the_summary(tree: Tree, tmp_path: Path) -> None:
    shown = next((tree.results / "raw" / "M101" / "video").rglob("*.mp4"))
    with VideoWriter(tmp_path / "nobody.mp4", 30, (240, 240)) as writer:
        for _ in range(30):
            writer.write(np.full((240, 240, 3), 90, np.uint8))
    table = tmp_path / "videos.csv"
    table.write_text(f"video\n{shown}\nnobody.mp4\nmissing.mp4\n")
    config = tree.override(f"video: '{table}'\nprediction: {{export: [livelink, glb], export_fps: video}}")
    # Live Link needs a rate that divides 60, so the generated videos of 30 frames a second are accepted.
    result = tree.run("--", "predict", config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    with (tree.results / "predictions" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["status"], row["reason"]) for row in rows] == [
        (shown.stem, "ok", ""),
        ("nobody", "failed", "no_face"),
        ("missing", "failed", "no_video"),
    ]
    assert rows[0]["exports"] == "livelink glb"
    folder = tree.results / "predictions" / shown.stem
    names = {path.name for path in folder.iterdir()}
    assert {"motion.npz", "animation.mp4", "viewer.html", "motion.glb", "motion.livelink.csv", "summary.csv"} <= names
    assert tree.run("--dry-run", "--", "predict", config=config).stdout.count("Nothing to be done") == 1
    # A video that is repaired is predicted again, the others are not.
    (tmp_path / "missing.mp4").write_bytes(shown.read_bytes())
    assert tree.plan("--", "predict", config=config)["predict_video"] == 1
