"""The benchmark of smoothing runs on any motion, with and without its truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from occlufacediff.config.names import SMOOTHING
from occlufacediff.head.asset import HeadAsset

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 60


@pytest.mark.slow
def test_all_strengths_are_measured(tmp_path: Path, small_open_head: Path) -> None:
    head, rng = HeadAsset.load(small_open_head), np.random.default_rng(0)
    times = np.arange(FRAMES)[:, None] / 25
    truth = {
        "exp": np.tile(0.3 + 0.2 * np.sin(6 * times), (1, head.n_exp)),
        "jaw": 0.1 + 0.08 * np.sin(9 * times) * np.array([1, 0, 0]),
        "global_pose": 0.1 * np.sin(3 * times) * np.ones(3),
    }
    noisy = {name: values + 0.003 * rng.standard_normal(values.shape) for name, values in truth.items()}
    shape = np.zeros(head.n_shape, np.float32)
    about = {"shape": shape, "fps": 25, "head_name": head.name, "head_digest": head.digest}
    np.savez(tmp_path / "motion.npz", **noisy, **about)
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        clip = file.create_group("happy/level_1/001")
        clip.attrs["fps"] = 25
        for name, values in {**truth, "shape": shape}.items():
            clip[name] = values.astype(np.float32)
    command = [sys.executable, str(ROOT / "benchmarks" / "smoothing.py"), str(tmp_path / "motion.npz")]
    command += ["--head", str(small_open_head), "--truth", str(tmp_path / "truth.h5"), "happy/level_1/001"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert tuple(result) == SMOOTHING
    for strength in SMOOTHING[1:]:
        for figure in ("jitter_mm", "jitter_head_deg", "error_mm", "error_change_mm", "error_head_deg"):
            assert result[strength][figure] < result["off"][figure], (strength, figure)
    assert result["off"]["closures"] == result["off"]["closures_kept"] > 0
