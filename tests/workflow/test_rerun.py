"""What reruns after a change, and what does not: real Snakemake on the tiny configuration."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

SUBJECTS = 3
#: Rules of the evaluation; one subject is of the test split.
EVALUATION = {"sample_motions": 1, "score_motions": 1, "write_evaluation_tables": 1}
AFTER_CROP = {
    "fit_coefficients": SUBJECTS,
    "pack_face": SUBJECTS,
    "pack_audio": SUBJECTS,
    "build_manifest": 1,
    "train_motion_prior": 1,
    "train_denoiser": 1,
    **EVALUATION,
    "make_report": 1,
}
AFTER_AUDIO = set(AFTER_CROP) - {"fit_coefficients", "pack_face"}
SUBJECT = "M101"


def test_second_run_does_nothing_and_says_so(tree):
    begun = time.monotonic()
    result = tree.run()
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout
    assert time.monotonic() - begun < 20


def test_every_file_of_the_contract_is_there(finished):
    for name in (
        f"archives/{SUBJECT}/video.tar",
        f"truth/{SUBJECT}.h5",
        f"raw/{SUBJECT}/index.csv",
        f"video25/{SUBJECT}/index.csv",
        f"audio/{SUBJECT}.h5",
        f"landmarks/{SUBJECT}.h5",
        f"clips/{SUBJECT}.h5",
        f"coefficients/{SUBJECT}.h5",
        "manifest.csv",
        "runs/main/motion_prior/model.safetensors",
        "runs/main/denoiser/history.csv",
        "runs/main/evaluation/metrics.csv",
        "runs/main/report.html",
    ):
        assert (finished.results / name).stat().st_size > 0, name


def test_every_job_has_log_and_benchmark(finished):
    jobs = {path.stem for path in (finished.folder / "scripts").glob("*.py")} - {
        "fetch_archive",
        "fetch_asset",
        "predict_video",
        "summarise_predictions",
        "run_benchmark",
        "read_emote_landmarks",
        "read_emote_coefficients",
        "generate_landmark_clips",
        "list_landmark_clips",
        "pack_open_weights",
        "compare_runs",
        "index_videos",
        "keep_motion_prior",
        "recognise_phones",
        "train_readers",
        "draw_occlusion_pictures",
        "train_occlusion_network",
        "paint_occluders",
    }
    folder = finished.folder / "logs/tiny"
    for ending in ("log", "tsv"):
        found = {path.relative_to(folder).parts[0].removesuffix(f".{ending}") for path in folder.rglob(f"*.{ending}")}
        assert found == jobs


def test_touched_file_of_the_same_content_reruns_nothing(tree):
    os.utime(tree.results / f"landmarks/{SUBJECT}.h5")
    assert tree.plan() == {}


def test_another_run_shares_all_preprocessing(tree):
    runs = tree.override("run: {name: second, seed: 7}")
    training = {"train_motion_prior": 1, "train_denoiser": 1, **EVALUATION, "make_report": 1}
    assert tree.plan(config=runs) == training
    assert tree.plan() == {}


def test_runs_are_compared(tree):
    shutil.copytree(tree.main_run / "evaluation", tree.results / "runs/second/evaluation")
    # A run that would be trained again is compared as it is.
    stale = tree.override("denoiser: {noise_bias: 0.5}")
    assert tree.plan("compare_runs", config=stale) == {"compare_runs": 1}
    result = tree.run("compare_runs")
    assert result.returncode == 0, result.stdout[-3000:]
    rows = (tree.results / "runs.csv").read_text().splitlines()
    assert {row.split(",")[0] for row in rows[1:]} == {"main", "second"}
    # Both evaluations are the same, so no method differs.
    paired = pd.read_csv(tree.results / "runs_paired.csv")
    assert set(zip(paired["first"], paired["second"], strict=True)) == {("main", "second")}
    assert (paired["difference"] == 0).all()
    assert "main and second" in (tree.results / "runs.html").read_text()


def test_a_head_of_other_settings_lies_beside_the_first_one(tree):
    heads = tree.folder / "resources/heads"
    (first,) = heads.glob("open-*.npz")
    other = tree.override("open_head: {identities: 41}")
    assert tree.plan(config=other)["build_open_head"] == 1
    assert tree.run("--until", "build_open_head", config=other).returncode == 0
    assert len(list(heads.glob("open-*.npz"))) == 2
    assert first.exists()
    assert tree.plan() == {}


def test_crop_scale_reruns_crop_and_what_follows(tree):
    assert tree.plan(config=tree.override("crop: {scale: 1.6}")) == {"crop_faces": SUBJECTS} | AFTER_CROP


def test_visibility_reruns_crop_and_what_follows_but_no_detection_and_no_sound(tree):
    (tree.folder / "masks").mkdir()
    changed = tree.override("visibility: {source: masks, masks: masks, without_mask: visible}")
    assert tree.plan(config=changed) == {"crop_faces": SUBJECTS} | AFTER_CROP


def test_training_option_reruns_training_and_what_follows(tree):
    changed = tree.override("denoiser: {loop: {learning_rate: 0.0005}}")
    assert tree.plan(config=changed) == {"train_denoiser": 1, **EVALUATION, "make_report": 1}
    changed = tree.override("motion_prior: {kl_weight: 0.001}")
    assert set(tree.plan(config=changed)) == {
        "train_motion_prior",
        "train_denoiser",
        *EVALUATION,
        "make_report",
    }


def test_settings_of_the_tables_rerun_neither_sampling_nor_scores(tree):
    changed = tree.override("evaluation: {bootstrap: 300}")
    assert tree.plan(config=changed) == {"write_evaluation_tables": 1, "make_report": 1}
    changed = tree.override("evaluation: {steps: 3}")
    assert tree.plan(config=changed) == {**EVALUATION, "make_report": 1}


def test_device_and_workers_change_nothing(tree):
    assert tree.plan(config=tree.override("{device: cpu, dask: {workers: 2}}")) == {}


@pytest.mark.parametrize(
    ("module", "starts", "follow"),
    [
        ("landmarks/detect.py", {"detect_landmarks"}, {"crop_faces"} | set(AFTER_CROP)),
        ("stages/audio.py", {"extract_audio"}, AFTER_AUDIO),
        ("evaluation/methods.py", {"sample_motions"}, {*EVALUATION, "make_report"}),
        ("evaluation/field_metrics.py", {"score_motions"}, {"write_evaluation_tables", "make_report"}),
        ("evaluation/bootstrap.py", {"write_evaluation_tables"}, {"make_report"}),
        ("reporting/plots.py", {"make_report"}, set()),
    ],
)
def test_edited_module_reruns_the_stages_that_use_it(tree, module, starts, follow):
    path = tree.folder / "occlufacediff" / module
    path.write_text(path.read_text() + "\nedited = 1\n")
    output = tree.run("--dry-run").stdout
    changed = re.search(r"params have changed since last execution:\n +(.+)", output)
    assert changed is not None, output
    assert set(changed[1].split(", ")) == starts
    assert set(tree.plan()) == starts | follow


def test_comment_reruns_nothing(tree):
    path = tree.folder / "occlufacediff" / "landmarks/detect.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert tree.plan() == {}


@pytest.mark.parametrize(
    "name",
    [
        f"landmarks/{SUBJECT}.h5",
        f"coefficients/{SUBJECT}.csv",
        f"archives/{SUBJECT}/audio.tar",
        "runs/main/evaluation/motions/M102.h5",
        "runs/main/denoiser/model.safetensors",
    ],
)
def test_deleted_intermediate_is_not_missed_while_the_report_is_up_to_date(tree, name):
    (tree.results / name).unlink()
    assert tree.plan() == {}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (f"landmarks/{SUBJECT}.h5", "detect_landmarks"),
        (f"archives/{SUBJECT}/audio.tar", "synthesise_subject"),
        ("runs/main/denoiser/model.safetensors", "train_denoiser"),
    ],
)
def test_deleted_intermediate_is_made_again_when_asked_for(tree, name, rule):
    (tree.results / name).unlink()
    assert tree.plan("--", f"results/tiny/{name}") == {rule: 1}


def test_deleted_intermediate_comes_back_with_the_same_bytes(tree):
    path = tree.results / f"landmarks/{SUBJECT}.h5"
    before = path.read_bytes()
    path.unlink()
    result = tree.run("--", f"results/tiny/landmarks/{SUBJECT}.h5")
    assert result.returncode == 0, result.stdout[-3000:]
    assert path.read_bytes() == before
    assert tree.plan() == {}


def test_deleted_intermediate_with_a_changed_option_reruns_what_follows(tree):
    (tree.results / f"landmarks/{SUBJECT}.h5").unlink()
    changed = tree.override("crop: {scale: 1.6}")
    assert tree.plan(config=changed) == {"detect_landmarks": 1, "crop_faces": SUBJECTS} | AFTER_CROP


def _wait_for_script(rule: str, folder: Path, snakemake: subprocess.Popen[str]) -> int:
    """Process id of a rule's script, once it runs from ``folder`` (other runs on this machine are not ours to kill)."""
    for _ in range(600):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                # Gone in the meantime.
                continue
            if len(words) > 1 and words[1].startswith(f"{folder}/") and words[1].endswith(f".{rule}.py"):
                return int(entry.parent.name)
        assert snakemake.poll() is None, f"Snakemake ended before {rule} ran"
        time.sleep(0.05)
    raise AssertionError(f"{rule} did not start")


@pytest.mark.parametrize("whole", [False, True], ids=["rule", "everything"])
def test_kill_9_leaves_nothing_that_looks_finished(tree, whole):
    for name in ("denoiser", "evaluation"):
        shutil.rmtree(tree.main_run / name)
    (tree.main_run / "report.html").unlink()
    begun = subprocess.Popen(
        tree.command(),
        cwd=tree.folder,
        env=tree.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        script = _wait_for_script("train_denoiser", tree.folder, begun)
        if whole:
            os.killpg(begun.pid, signal.SIGKILL)
        else:
            os.kill(script, signal.SIGKILL)
        assert begun.wait(timeout=60) != 0
    finally:
        if begun.poll() is None:
            os.killpg(begun.pid, signal.SIGKILL)
            begun.wait()
    assert not (tree.main_run / "denoiser" / "model.safetensors").exists()
    if whole:
        assert tree.run("--unlock").returncode == 0
    result = tree.run()
    assert result.returncode == 0, result.stdout[-3000:]
    assert (tree.main_run / "denoiser" / "model.safetensors").exists()
    assert tree.plan() == {}


def test_snakemake_report_has_captions_and_categories(finished, tmp_path):
    page = tmp_path / "run.html"
    result = finished.run("--report", str(page))
    assert result.returncode == 0, result.stdout[-3000:]
    text = page.read_text()
    assert "Results" in text
    assert "lip vertex error" in text
    archive = tmp_path / "run.zip"
    result = finished.run("--report", str(archive))
    assert result.returncode == 0, result.stdout[-3000:]
    with zipfile.ZipFile(archive) as file:
        names = {Path(name).name for name in file.namelist()}
        text = file.read("run/report.html").decode()
    assert {"report.html", "metrics.csv", "paired.csv", "metrics_by_group.csv", "main_table.md"} <= names
    assert "by emotion, level, subject" in text
