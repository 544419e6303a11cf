"""A training in two tasks of a job of a real SLURM: the curve of one process."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(Path(__file__).resolve().parent), str(ROOT / "tests")]

import slurm_here  # noqa: E402
from small_data import write_small_data  # noqa: E402

from occlufacediff.config.loop import LoopSettings  # noqa: E402
from occlufacediff.errors import ConfigError  # noqa: E402
from occlufacediff.workflow.resources import check_batch, check_devices, training_tasks  # noqa: E402

pytestmark = pytest.mark.xdist_group("slurm")

#: One rule with the workflow's script and resources; the data are those of the small tests.
_RULE = """
from occlufacediff.config.section import as_params
from occlufacediff.config.training import LoopSettings, MotionPriorSettings
from occlufacediff.workflow.resources import training_tasks

LOOP = LoopSettings(
    max_steps=12, batch_size=4, validate_every=6, validation_windows=4, warmup_steps=2, devices={devices}
)


rule train_motion_prior:
    input:
        manifest={manifest!r},
        face={face!r},
        head={head!r},
    output:
        model="prior/model.safetensors",
        history="prior/history.csv",
    log:
        "train.log",
    threads: 1
    resources:
        **training_tasks(LOOP, {gpus}),
        mem_mb=2000 * {devices},
        runtime=10,
    params:
        settings=as_params(MotionPriorSettings(loop=LOOP)),
        origin=dict(dataset="small", split_rule="lists", run="main"),
        seed=1,
    script:
        {script!r}
"""


def _curve(folder: Path) -> list[list[float]]:
    with (folder / "prior/history.csv").open() as file:
        return [
            [float(value) for name, value in row.items() if name not in ("seconds", "windows_per_s")]
            for row in csv.DictReader(file)
        ]


def _run(folder: Path, devices: int, gpus: int, *options: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    files = write_small_data(folder / "data")
    rule = _RULE.format(
        devices=devices,
        gpus=gpus,
        manifest=str(files.manifest),
        face=[str(path) for path in files.packed()],
        head=str(files.head),
        script=str(ROOT / "scripts/train_motion_prior.py"),
    )
    (folder / "Snakefile").write_text(rule)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--config", "device=cpu", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_slurm_tasks_give_the_curve_of_one_process(tmp_path: Path) -> None:
    """Tolerance 1e-4 of each value of history.csv, as for two processes on one machine."""
    reason = slurm_here.why_not()
    if reason is not None:
        pytest.skip(f"no SLURM to run on: {reason}")
    one = _run(tmp_path / "one", 1, 0, "--cores", "1")
    assert one.returncode == 0, one.stdout[-3000:]
    options = ("--executor", "slurm", "--jobs", "1", "--slurm-status-command", "squeue")
    options += ("--slurm-init-seconds-before-status-checks", "2")
    with slurm_here.running(tmp_path / "slurm"):
        two = _run(tmp_path / "two", 2, 1, *options)
        shown = subprocess.run(["scontrol", "show", "job"], capture_output=True, text=True, check=True).stdout
    log = tmp_path / "two" / "train.log"
    assert two.returncode == 0, two.stdout[-3000:] + (log.read_text()[-3000:] if log.exists() else "")
    assert "NumTasks=2" in shown
    assert "gres:gpu:2" in shown or "gres/gpu=2" in shown
    assert "2 processes train together" in log.read_text()
    for alone, together in zip(_curve(tmp_path / "one"), _curve(tmp_path / "two"), strict=True):
        assert together == pytest.approx(alone, rel=1e-4)


def test_a_training_asks_for_a_task_per_process() -> None:
    loop = LoopSettings(devices=4)
    assert training_tasks(LoopSettings(), 1) == {"gpu": 1}
    assert training_tasks(LoopSettings(), 0) == {"gpu": 0}
    asked = {"tasks": 4, "nodes": 1, "mpi": "srun"}
    assert training_tasks(loop, 0) == asked
    assert training_tasks(loop, 1) == asked | {"gpu": 4, "tasks_per_gpu": 0}
    two = training_tasks(LoopSettings(devices=4, nodes=2), 1)
    assert two == {"tasks": 8, "nodes": 2, "mpi": "srun", "gres": "gpu:4", "tasks_per_gpu": 0}


def test_devices_that_this_machine_lacks_are_refused_in_the_plan() -> None:
    loop = LoopSettings(devices=4)
    check_devices(loop, "denoiser.loop", "auto", 4)
    check_devices(LoopSettings(), "denoiser.loop", "auto", 0)
    # Several processes on the CPU must be asked for.
    check_devices(loop, "denoiser.loop", "cpu", 0)
    with pytest.raises(ConfigError, match=r"devices: got 4, .* has 0 GPU\(s\); set it to 1, or set device: cpu"):
        check_devices(loop, "denoiser.loop", "auto", 0)
    with pytest.raises(ConfigError, match=r"^device: got cuda, but this machine has no GPU; set it to auto or cpu"):
        check_devices(LoopSettings(), "denoiser.loop", "cuda", 0)
    with pytest.raises(ConfigError, match=r"^denoiser.loop.devices: got 4, .* has 2 GPU\(s\); set it to 2"):
        check_devices(loop, "denoiser.loop", "auto", 2)
    with pytest.raises(ConfigError, match=r"nodes: got 2, but jobs run on this machine; set it to 1, or use SLURM"):
        check_devices(LoopSettings(nodes=2), "denoiser.loop", "auto", 2)
    with pytest.raises(ConfigError, match=r"batch_size: got 10, needs a multiple of devices \* nodes \(4\)"):
        check_batch(LoopSettings(devices=4, batch_size=10), "denoiser.loop")
