"""Every stage, killed with SIGKILL in the middle: the next run finishes it, keeps what was done, gives the same bytes.

The first test also runs in another folder and with more processes than the run it is compared with, so equal bytes
show that results depend on neither.
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from machine_faults import Killer, digests, running
from tiny_tree import Tree, copy_workflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

SUBJECT = "M101"
#: Rules of one subject, and the files that tell that one clip is done.
SHARDS: dict[str, str | None] = {
    "synthesise_subject": f"truth/.{SUBJECT}.h5.parts/**/*.json",
    "convert_video": f"video25/{SUBJECT}/**/*.json",
    "extract_audio": f"audio/.{SUBJECT}.h5.parts/**/*.json",
    "detect_landmarks": f"landmarks/.{SUBJECT}.h5.parts/**/*.json",
    "crop_faces": f"clips/.{SUBJECT}.h5.parts/**/*.json",
    "fit_coefficients": f"coefficients/.{SUBJECT}.h5.parts/**/*.json",
}
#: Too short to be met in the middle of writing, or without anything to keep: killed while they start.
WHOLE: dict[str, str | None] = {"build_open_head": None, "unpack_subject": None}
TOGETHER: dict[str, str | None] = {
    "build_manifest": None,
    "train_motion_prior": "runs/main/motion_prior/resume/state.pt",
    "train_denoiser": "runs/main/denoiser/resume/state.pt",
    "sample_motions": None,
    "score_motions": None,
    "write_evaluation_tables": None,
    "make_report": None,
}


def _first_progress(log: Path) -> int:
    """How many clips a job began with."""
    found = re.search(r"(\d+)/\d+ \[00:00<", log.read_text(errors="replace"))
    assert found is not None, log.read_text(errors="replace")
    return int(found[1])


def _orphans(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name != ".gitkeep"]


def test_shards_of_a_subject(finished: Tree, tmp_path: Path) -> None:
    for place in ("another place", "a second place", "a third place"):
        folder = tmp_path / place
        killer = _kill_every_shard(folder, finished)
        # On a busy machine a short job can be over before it is met: then all is done again elsewhere.
        if set(killer.kept) == set(SHARDS | WHOLE) and all(killer.kept[rule] for rule in SHARDS):
            break
    assert set(killer.kept) == set(SHARDS | WHOLE)
    assert all(killer.kept[rule] for rule in SHARDS)


def _kill_every_shard(folder: Path, finished: Tree) -> Killer:
    """Run the stages of one subject, each killed once; the results are those of a run that nobody disturbed."""
    folder.mkdir()
    tree = copy_workflow(folder)
    targets = [f"results/tiny/{stage}/{SUBJECT}.csv" for stage in ("coefficients", "audio")]
    config = tree.override(f"{{subjects: [{SUBJECT}], dask: {{workers: 2}}}}")
    killer = Killer(tree, SHARDS | WHOLE)
    # A retry is a run again: Snakemake starts the killed job again.
    with running(tree, "--retries", "1", "--", *targets, config=config) as process:
        killer.run(process)
    output = (folder / "run.log").read_text()
    assert process.returncode == 0, output[-4000:]
    assert killer.redone == []
    for rule in set(SHARDS) & set(killer.kept):
        assert _first_progress(folder / f"logs/tiny/{rule}/{SUBJECT}.log") >= len(killer.kept[rule]), rule

    patterns = [f"*/{SUBJECT}*", f"*/{SUBJECT}/**/*"]
    assert digests(tree.results, *patterns) == digests(finished.results, *patterns)
    heads = digests(folder / "resources", "heads/*.npz")
    assert len(heads) == 1
    assert heads == digests(finished.folder / "resources", "heads/*.npz")
    assert _orphans(tree.results) == []
    return killer


@pytest.mark.long
def test_stages_that_join_subjects(tree: Tree, finished: Tree) -> None:
    shutil.rmtree(tree.main_run)
    (tree.results / "manifest.csv").unlink()
    killer = Killer(tree, TOGETHER)
    with running(tree, "--retries", "1") as process:
        killer.run(process)
    assert process.returncode == 0, (tree.folder / "run.log").read_text()[-4000:]
    assert set(killer.kept) == set(TOGETHER)
    for network in ("motion_prior", "denoiser"):
        assert "resumes from step 2 of 4" in (tree.folder / f"logs/tiny/train_{network}/main.log").read_text()
        assert _history(tree, network) == _history(finished, network)
    patterns = [
        "manifest.csv",
        *(f"runs/main/{name}" for name in ("*/model.safetensors", "*/config.yaml", "evaluation/**/*")),
    ]
    assert digests(tree.results, *patterns) == digests(finished.results, *patterns)
    assert (tree.main_run / "report.html").stat().st_size > 0
    assert _orphans(tree.results) == []
    assert tree.plan() == {}


@pytest.mark.long
def test_a_prediction(tree: Tree) -> None:
    video = next((tree.results / "raw" / SUBJECT / "video").rglob("*.mp4"))
    config = tree.override(f"video: '{video}'")
    # In the middle of its drawing; nothing of it is kept.
    killer = Killer(tree, {"predict_video": "predictions/*/.animation.*"})
    with running(tree, "--retries", "1", "--", "predict", config=config) as process:
        killer.run(process)
    assert process.returncode == 0, (tree.folder / "run.log").read_text()[-4000:]
    assert set(killer.kept) == {"predict_video"}
    found = digests(tree.results, "predictions/**/*")
    assert {Path(name).name for name in found} == {"motion.npz", "animation.mp4", "viewer.html"}
    shutil.rmtree(tree.results / "predictions")
    assert tree.run("--", "predict", config=config).returncode == 0
    assert digests(tree.results, "predictions/**/*") == found


def _history(tree: Tree, network: str) -> list[dict[str, str]]:
    """Rows of a history without what the clock put in."""
    with (tree.main_run / network / "history.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in ("seconds", "windows_per_s")}
            for row in csv.DictReader(file)
        ]
