"""Log lines of native libraries do not reach the error output; all other lines do, even of a process that crashes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from skimage import data

NOISE = (
    "W0000 00:00:1795921436.394730   21697 inference_feedback_manager.cc:114] Feedback manager requires a model",
    "I0000 00:00:1795921436.394730   21697 gl_context.cc:357] GL version",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
)


def run(code: str) -> tuple[int, str]:
    """Exit status and error output of a Python process with filtered output."""
    start = "import os, sys, subprocess\nfrom occlufacediff.landmarks.native_output import filter_native_output\n"
    code = start + "filter_native_output()\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def native(*lines: str) -> str:
    """Code that writes lines to descriptor 2 as native code does."""
    return f"os.write(2, {chr(10).join([*lines, '']).encode()!r})\n"


def test_log_lines_are_dropped_and_others_kept_in_order() -> None:
    status, errors = run(native("first", *NOISE, "E0000 00:00:1.5  7 x.cc:1] broken", NOISE[0], "last"))
    assert status == 0
    assert errors.splitlines() == ["first", "E0000 00:00:1.5  7 x.cc:1] broken", "last"]


def test_lines_in_pieces_are_one_line() -> None:
    pieces = [NOISE[0][:1], NOISE[0][1:9], NOISE[0][9:40], NOISE[0][40:] + "\nWe", "ird\nno line end"]
    code = "import time\n" + "time.sleep(0.1)\n".join(f"os.write(2, {piece.encode()!r})\n" for piece in pieces)
    assert run(code) == (0, "Weird\nno line end")


def test_log_lines_after_a_progress_bar_are_dropped() -> None:
    bars = ["\rvideos: 1/3 [00:18, 18.8s/clip]", "\rvideos: 2/3 [00:26, 12.3s/clip]", "\rvideos: 3/3\n"]
    code = f"os.write(2, {(bars[0] + NOISE[0]).encode()!r} + b'\\n')\n"
    code += f"os.write(2, {bars[1].encode()!r})\n" + native(NOISE[3], NOISE[2]) + f"os.write(2, {bars[2].encode()!r})"
    status, errors = run(code)
    assert status == 0
    assert errors.replace("\n", "\r").split("\r") == "".join(bars).replace("\n", "\r").split("\r")


@pytest.mark.parametrize(
    ("crash", "words"),
    [
        ("raise RuntimeError('ours')", "RuntimeError: ours"),
        ("os.abort()", "the last line"),
        ("import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)", "Segmentation fault"),
    ],
)
def test_a_crash_keeps_its_last_lines(crash: str, words: str) -> None:
    status, errors = run(native(NOISE[0], "the last line") + crash)
    assert status != 0
    assert "the last line" in errors and words in errors
    assert NOISE[0] not in errors


def test_children_are_filtered_too() -> None:
    child = native(NOISE[1], "of the child") + "filter_native_output(); sys.exit('its end')"
    lines = "import os, sys\nfrom occlufacediff.landmarks.native_output import filter_native_output\n" + child
    status, errors = run(f"sys.exit(subprocess.run([sys.executable, '-c', {lines!r}]).returncode)")
    assert status == 1
    assert sorted(errors.splitlines()) == ["its end", "of the child"]


def test_without_an_error_output_nothing_breaks() -> None:
    code = "import os; os.close(2)\nfrom occlufacediff.landmarks.native_output import filter_native_output as f\nf()"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.slow
def test_detection_is_silent(tmp_path: Path) -> None:
    """MediaPipe itself, with the first face after some frames without one."""
    photograph = data.astronaut()[:240, 100:340]
    np.save(tmp_path / "frames.npy", np.stack([np.zeros_like(photograph)] * 3 + [photograph] * 3))
    code = f"""
    import numpy as np
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.landmarks.detect import make_detector
    frames = np.load({str(tmp_path / "frames.npy")!r})
    with make_detector(LandmarkSettings()) as detector:
        print([len(detector.detect(frame)) for frame in frames])
    """
    assert run(code) == (0, "")
