"""The benchmarks of training run on any machine, with small sizes, and give every figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: str) -> str:
    """Output of a benchmark."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_packed_files_are_read_without_opening_files(tmp_path: Path, precision: str) -> None:
    folder = tmp_path / "data"
    arguments = ["--clips", "47", "--windows", "128", "--audio", "log_mel", "--precision", precision]
    result = json.loads(run("packed.py", "--folder", str(folder), *arguments).splitlines()[-1])
    assert result["clips"] == 47
    assert result["read and cut, cached"]["files_opened"] == 0
    assert result["batches of the published recipe"]["per_s"] > 0
    assert not folder.exists()


@pytest.mark.slow
def test_the_training_loop_is_compared_with_a_plain_one(tmp_path: Path) -> None:
    arguments = ["--quick", "--device", "cpu", "--batch", "1", "--steps", "1", "--loader-batches", "4"]
    result = json.loads(run("training.py", *arguments).splitlines()[-1])
    for kind in ("plain", "ours"):
        assert result[kind]["windows_per_s"] > 0
        assert result[kind]["loader_windows_per_s"] > result[kind]["windows_per_s"]
    assert result["ratios"].keys() == result["ours"].keys() == result["plain"].keys()


def test_backward_passes_of_grouped_convolutions_are_counted_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from published_setup import flop_counter

    values = torch.randn(2, 8, 10, requires_grad=True)
    for groups in (1, 4):
        counter = flop_counter()
        with counter:
            torch.nn.Conv1d(8, 12, 3, groups=groups)(values).sum().backward()
        # Two windows, 8 places, 12 channels, each from 8 / groups channels of 3 places; two operations per product.
        forward = 2 * 2 * 8 * 12 * (8 // groups) * 3
        # The backward pass has a product of this size for each gradient: of the values and of the weights.
        assert counter.get_total_flops() == 3 * forward


@pytest.mark.long
@pytest.mark.timeout(1300)
def test_the_gpu_check_without_a_gpu(tmp_path: Path) -> None:
    run("gpu.py", "--dry-run", "--minutes", "18", "--out", str(tmp_path))
    result = json.loads((tmp_path / "gpu.json").read_text())
    rows: dict[tuple[str, str], dict[str, Any]] = {(row["name"], row["phase"]): row for row in result["rows"]}
    names = {name for name, _ in rows}
    assert names >= {f"training, {kind}" for kind in ("float32", "tf32", "bf16", "bf16, compiled")}
    assert names >= {f"sampling, {kind}, 1 clips, DDIM" for kind in ("float32", "bf16")}
    assert not [row["note"] for row in rows.values() if row.get("note")]
    training = rows["training, float32", "audio"]
    assert training["windows_per_s"] > 0
    assert training["gflop_per_window"] > rows["training, float32", "visual"]["gflop_per_window"]
    assert (tmp_path / "gpu.md").read_text().count("\n") == 2 + len(rows)
