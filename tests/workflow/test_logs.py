"""What surrounds a script: its log, its progress on the console, its way to fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script = f"""
import os, sys, time
from occlufacediff.errors import ConfigError
from occlufacediff.workflow.job_log import LoggedJob
with LoggedJob({str(folder / "deep" / "job.log")!r}, "train M101", every=0.1):
{lines}
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_output_of_libraries_and_children_reaches_the_log_only(tmp_path):
    result = _run(tmp_path, "print('ours')\nos.write(2, b'library')\nos.system('echo child')")
    log = (tmp_path / "deep" / "job.log").read_text()
    assert result.returncode == 0
    assert (result.stdout, result.stderr) == ("", "")
    assert all(word in log for word in ("ours", "library", "child"))


def test_newest_progress_is_shown_on_the_console(tmp_path):
    body = "for n in range(8):\n    sys.stderr.write(f'\\rclips {n}/8')\n    sys.stderr.flush()\n    time.sleep(0.1)"
    result = _run(tmp_path, body)
    lines = result.stderr.splitlines()
    assert 3 <= len(lines) <= 8
    assert all(line.startswith("[train M101] clips ") for line in lines)


def test_error_for_the_user_has_no_traceback(tmp_path):
    result = _run(tmp_path, "raise ConfigError('crop.scale: got 0, needs more')")
    log = (tmp_path / "deep" / "job.log").read_text()
    assert result.returncode == 1
    assert result.stderr == "ERROR: train M101: crop.scale: got 0, needs more\n"
    assert "crop.scale" in log and "Traceback" not in log


def test_other_error_has_its_traceback_in_the_log(tmp_path):
    result = _run(tmp_path, "raise KeyError('waveform')")
    assert result.returncode == 1
    assert "KeyError" in result.stderr and "job.log" in result.stderr and "Traceback" not in result.stderr
    assert "Traceback" in (tmp_path / "deep" / "job.log").read_text()


@pytest.mark.parametrize("code", [0, 3])
def test_exit_status_of_a_script_is_kept(tmp_path, code):
    assert _run(tmp_path, f"sys.exit({code})").returncode == code


def test_an_error_reaches_the_console_after_mediapipe_was_loaded(tmp_path):
    body = "from occlufacediff.landmarks.native_output import filter_native_output\nfilter_native_output()\n"
    result = _run(tmp_path, body + "raise ConfigError('crop.scale: got 0, needs more')")
    assert result.returncode == 1
    assert result.stderr == "ERROR: train M101: crop.scale: got 0, needs more\n"
    assert (tmp_path / "deep" / "job.log").read_text().count("crop.scale") == 1
