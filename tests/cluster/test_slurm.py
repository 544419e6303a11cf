"""The whole workflow on the tiny configuration with a real SLURM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(Path(__file__).resolve().parent))

import slurm_here  # noqa: E402

pytestmark = pytest.mark.xdist_group("slurm")
PARTS = ("Snakefile", "rules", "scripts", "occlufacediff", "config", "profiles", "report", "envs")
ON_GPU = {"train_motion_prior", "train_denoiser", "sample_motions"}
SUBJECTS = 3
#: Memory of the manifest's job at first, too little; twice as much is enough.
LITTLE_MB = 250


def _workflow(folder: Path) -> None:
    """The workflow's files; the manifest's job gets too little memory at first, and jobs have one thread."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    rules = folder / "rules/manifest.smk"
    text = rules.read_text()
    begin = text.index("rule build_manifest:")
    assert "mem_mb=scaled_by_attempt(800)" in text[begin:]
    rules.write_text(
        text[:begin] + text[begin:].replace("mem_mb=scaled_by_attempt(800)", f"mem_mb=scaled_by_attempt({LITTLE_MB})")
    )
    # SLURM checks memory every other second; without this the job may end before.
    script = folder / "scripts/build_manifest.py"
    script.write_text("import time\n\nballast = b'x' * (200 << 20)\ntime.sleep(6)\n" + script.read_text())
    (folder / "one.yaml").write_text("dask: {workers: 1}\n")


def _jobs() -> list[dict[str, str]]:
    """All jobs that SLURM remembers, in the order of their submission."""
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%k|%T|%l|%m"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = ("id", "rule", "state", "limit", "memory")
    jobs = [dict(zip(names, line.split("|"), strict=True)) for line in listed.stdout.splitlines()]
    for job in jobs:
        job["rule"] = re.sub("^rule_|_wildcards_.*$", "", job["rule"])
        shown = subprocess.run(["scontrol", "show", "job", job["id"]], capture_output=True, text=True, check=True)
        job["gpu"] = str("TresPerJob=gres:gpu:1" in shown.stdout)
    return jobs


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_whole_chain_runs_as_slurm_jobs(tmp_path: Path) -> None:
    reason = slurm_here.why_not()
    if reason is not None:
        pytest.skip(f"no SLURM to run on: {reason}")
    tree = tmp_path / "tree"
    tree.mkdir()
    _workflow(tree)
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    command += ["--configfile", "config/tiny.yaml", "one.yaml", "--jobs", "3"]
    command += ["--slurm-init-seconds-before-status-checks", "2", "--set-threads"]
    command += [f"{rule}=1" for rule in ("build_open_head", "make_report", *sorted(ON_GPU))]
    with slurm_here.running(tmp_path / "slurm"):
        result = subprocess.run(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2900,
            check=False,
        )
        jobs = _jobs()
    assert result.returncode == 0, result.stdout[-6000:]
    assert (tree / "results/tiny/runs/main/report.html").stat().st_size > 10_000

    done = [job for job in jobs if job["state"] == "COMPLETED"]
    # Of a subject: synthesis, detection and two groups. Together: head, manifest, two trainings, motions and scores of
    # the one scored subject, tables, report.
    assert len(done) == 4 * SUBJECTS + 8
    names = [job["rule"] for job in done]
    assert names.count("media_convert_video_extract_audio_unpack_subject") == SUBJECTS
    assert names.count("faces_crop_faces_fit_coefficients_pack_audio_pack_face") == SUBJECTS
    assert {job["rule"] for job in done if job["gpu"] == "True"} == ON_GPU
    assert not [job for job in jobs if job["limit"] in {"UNLIMITED", "INVALID", ""}]

    manifest = [job for job in jobs if job["rule"] == "build_manifest"]
    assert [job["state"] for job in manifest] == ["FAILED", "COMPLETED"]
    assert [job["memory"] for job in manifest] == [f"{LITTLE_MB}M", f"{2 * LITTLE_MB}M"]
    assert [job for job in jobs if job["state"] == "FAILED"] == manifest[:-1]

    assert not any(os.path.lexists(slurm_here.ETC / name) for name in slurm_here.FILES)
    pids = [int(path.read_text()) for path in (tmp_path / "slurm").rglob("*.pid")]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_every_rule_that_may_use_a_gpu_asks_for_one_on_slurm() -> None:
    import yaml

    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    asking = {rule for rule, resources in profile["set-resources"].items() if resources.get("gpu") == 1}
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = re.split(r"^ *(?:use rule (\w+) as|rule) (\w+)(?: with)?:\n", text, flags=re.M)
    found = list(zip(rules[1::3], rules[2::3], rules[3::3], strict=True))
    able = {name for _, name, body in found if "gpu=gpus()" in body}
    # A rule made of another has its resources, unless it gives its own.
    able |= {name for other, name, body in found if other in able and "resources:" not in body}
    assert able and asking == able
    # Trainings ask by themselves, for one task and GPU per process.
    trainings = {name for _, name, body in found if "**training(" in body}
    assert trainings == {"train_motion_prior", "train_denoiser", "train_open_motion_prior", "train_open_denoiser"}


def test_every_rule_has_a_time_limit_and_memory_that_grows() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        rules = re.split(r"^ *rule (\w+):\n", path.read_text(), flags=re.M)
        for name, body in zip(rules[1::2], rules[2::2], strict=True):
            if "script:" in body:
                assert re.search(r"runtime=(scaled_by_attempt\()?\d+", body), name
                assert "mem_mb=scaled_by_attempt(" in body, name
