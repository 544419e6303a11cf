"""Two runs on one folder, a lock that a kill left behind, and changes that Snakemake does not see by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from machine_faults import digests, running, scripts_of, until
from PIL import Image
from tiny_tree import Tree

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]


def test_a_second_run_refuses_and_a_lock_left_behind_is_explained(tree: Tree, finished: Tree) -> None:
    target = "results/tiny/manifest.csv"
    (tree.results / "manifest.csv").unlink()
    with running(tree, "--", target) as first:
        until(lambda: "build_manifest" in scripts_of(tree.folder))
        # The first run waits while the second one tries.
        os.kill(scripts_of(tree.folder)["build_manifest"], signal.SIGSTOP)
        second = tree.run("--", target)
        assert second.returncode != 0
        assert "cannot be locked" in second.stdout and "--unlock" in second.stdout
        assert "most recent call last" not in second.stdout
        assert first.poll() is None
        os.killpg(first.pid, signal.SIGKILL)
    third = tree.run("--", target)
    assert third.returncode != 0
    assert "caused by a kill signal or a power loss" in third.stdout and "--unlock" in third.stdout
    assert tree.run("--unlock").returncode == 0
    assert tree.run("--", target).returncode == 0
    assert digests(tree.results, "manifest.csv") == digests(finished.results, "manifest.csv")


@pytest.mark.long
def test_changed_occluder_pictures_rerun_the_evaluation(tree: Tree, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGBA", (8, 8), (0, 0, 0, 255)).save(pictures / "a.png")
    changed = tree.override(f"evaluation: {{occlusions: [none, picture], occlusion: {{pictures: {pictures}}}}}")
    evaluation = {"sample_motions", "score_motions", "write_evaluation_tables"}
    assert set(tree.plan(config=changed)) == evaluation | {"make_report"}
    assert tree.run("--", "results/tiny/runs/main/evaluation/metrics.csv", config=changed).returncode == 0
    assert tree.plan("--", "results/tiny/runs/main/evaluation/metrics.csv", config=changed) == {}
    Image.new("RGBA", (8, 8), (9, 0, 0, 255)).save(pictures / "b.png")
    assert set(tree.plan("--", "results/tiny/runs/main/evaluation/metrics.csv", config=changed)) == evaluation
