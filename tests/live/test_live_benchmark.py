"""The benchmark of live sessions measures each frame that arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from occlufacediff.media.encode import VideoWriter

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_frame_is_matched_with_its_arrival(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "talk.mp4", 25, (240, 240)) as writer:
        for number in range(30):
            writer.write(np.ascontiguousarray(data.astronaut()[:240, 100 + number // 3 : 340 + number // 3]))
    command = [sys.executable, str(ROOT / "benchmarks/live.py"), "--videos", str(tmp_path / "talk.mp4")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert [one["format"] for one in results] == ["vmc", "livelink"]
    for one in results:
        assert one["frames"] + one["dropped"] == 30
        assert one["not_received"] == 0
        assert 0 < one["median_ms"] <= one["p95_ms"] <= one["largest_ms"]
        assert one["cpu_ms_per_frame"] > 0
        assert "fit" in one["cpu_parts"] and "visibility" in one["cpu_parts"]
