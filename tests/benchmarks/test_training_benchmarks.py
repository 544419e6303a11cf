"""The benchmarks of training run on any machine, with small sizes, and give every figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
