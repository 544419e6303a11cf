"""The benchmark of the evaluation's jobs, on small data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import evaluation as benchmark
from small_evaluation import SETTINGS, write_evaluation


@pytest.mark.slow
def test_the_benchmark_measures_every_job_and_estimates_larger_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_evaluation(tmp_path / "data", 2)
    networks = [tmp_path / "data" / name for name in ("motion_prior", "denoiser")]
    source = benchmark.Source(tmp_path / "data", files.head, *networks)
    found = benchmark.measure(source, [2, 5], SETTINGS, tmp_path / "work")
    for job in benchmark.JOBS:
        assert set(found["jobs"][job]) == {2, 5}
        assert all(figures["cpu_s"] > 0 and figures["peak_mib"] > 100 for figures in found["jobs"][job].values())
        hours = [found["estimates"][str(size)]["core_hours"][job] for size in benchmark.SIZES]
        assert hours[0] <= hours[1]
    assert "10000 clips x 11 occlusions" in capsys.readouterr().out
    # Five clips from two: each of them is scored.
    scores = (tmp_path / "work" / "5" / "scores" / "repeated.csv").read_text().splitlines()
    assert {line.split(",")[3] for line in scores[1:]} == {f"happy/level_1/{number:05d}" for number in range(5)}


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no finished run main"):
        benchmark.Source.of_run(tmp_path, "main", tmp_path)
