"""The workflow as a module of another workflow, and in another working folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from good_archives import write_good_archives

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

OUTER = f"""
module faces:
    snakefile:
        "{ROOT}/Snakefile"
    config:
        config["faces"]
    prefix:
        "motion"


use rule * from faces as faces_*


rule everything:
    default_target: True
    input:
        rules.faces_all.input,
"""

CONFIG = """
faces:
  dataset: ours
  source: local
  archives: my archives
  split:
    train: {subjects: [M101], sentences: ["1"]}
    validation: {subjects: [M102], sentences: ["2"]}
    test: {subjects: [M103], sentences: ["3"]}
"""


def snakemake(folder: Path, *arguments: str) -> str:
    """Output of Snakemake in ``folder``, without the package on the path; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a workflow that uses ours, with archives of three subjects."""
    folder = tmp_path_factory.mktemp("outer")
    archives = write_good_archives(folder / "my archives", clips=1)
    for subject in ("M102", "M103"):
        shutil.copytree(archives / "M101", archives / subject)
    (folder / "Snakefile").write_text(OUTER)
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def test_another_workflow_plans_ours(outer):
    output = snakemake(outer, "--configfile", "config.yaml", "--dry-run")
    for rule in ("unpack_subject", "fit_coefficients", "train_denoiser", "make_report"):
        assert f"faces_{rule} " in output
    assert "motion/results/ours/runs/main/report.html" in output


def test_another_workflow_runs_ours(outer):
    target = "motion/results/ours/audio/M101.csv"
    snakemake(outer, "--configfile", "config.yaml", "--", target)
    assert "happy/level_1/001,ok" in (outer / target).read_text()
    assert (outer / "motion/logs/ours/extract_audio/M101.log").is_file()
    assert {path.name for path in outer.iterdir()} == {
        ".snakemake",
        "Snakefile",
        "config.yaml",
        "motion",
        "my archives",
    }
    again = snakemake(outer, "--configfile", "config.yaml", "--dry-run", "--", target)
    assert "Nothing to be done" in again


def test_another_working_folder(tmp_path):
    folder = tmp_path / "elsewhere"
    write_good_archives(folder / "archives", clips=1)
    target = "results/ours/audio/M101.csv"
    snakemake(
        tmp_path,
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--config", "dataset=ours", "source=local", "archives=archives", "split={rule: all_test}"),
        *("--", target),
    )
    assert "happy/level_1/001,ok" in (folder / target).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere"]
