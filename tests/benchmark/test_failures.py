"""Clips that fail do not end the benchmark: unusable videos, and clips that raise unforeseen errors."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmark_setup import inputs_of, weights_for, write_speaking_clip
from click.testing import CliRunner

from occlufacediff.benchmark.recording import Recording, make_recording
from occlufacediff.cli import main
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.errors import AssetError
from occlufacediff.media.encode import VideoWriter
from occlufacediff.reporting.tables import read_table
from occlufacediff.stages import benchmark as stage
from occlufacediff.stages.benchmark import run_benchmark

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("benchmark")]

SETTINGS = BenchmarkSettings(regions=("mouth",), spans=("middle",), methods=("interpolation", "neutral"))


@pytest.fixture(scope="module")
def video(small_open_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_speaking_clip(path, small_open_head)
    return path


def write_blank(path: Path, frames: int, audio: np.ndarray | None = None) -> None:
    with VideoWriter(path, 25, (128, 128), audio=audio) as writer:
        for _ in range(frames):
            writer.write(np.full((128, 128, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def hostile(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One usable clip under several difficult names, and videos that cannot be used."""
    folder = tmp_path_factory.mktemp("hostile")
    tone = 0.3 * np.sin(np.arange(40 * 640) / 16000 * 2 * np.pi * 180).astype(np.float32)
    for name in ("a/{clip}.mp4", "b/{clip}.mp4", "{0}%s.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(video, folder / name)
    shutil.copy(video, os.fsencode(folder) + b"/not_utf8_\xff.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.avi").write_text("not a video" * 99)
    (folder / "cut.mp4").write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    write_blank(folder / "faceless.mp4", 40, tone)
    write_blank(folder / "mute.mp4", 40)
    write_blank(folder / "short.mp4", 2, tone[:1280])
    return folder


def test_hostile_videos_are_rows_with_reasons(hostile: Path, small_open_head: Path, tmp_path: Path) -> None:
    run_benchmark(hostile, tmp_path / "out", inputs=inputs_of(small_open_head, SETTINGS))
    clips = read_table(tmp_path / "out" / "clips.csv", ("clip", "status", "reason", "message")).set_index("clip")
    good = {"a/{clip}", "b/{clip}", "{0}%s"}
    assert set(clips.index[clips["status"] == "ok"]) == good
    assert clips.loc[clips["status"] == "failed", "reason"].to_dict() == {
        "empty": "broken_video",
        "text": "broken_video",
        "cut": "broken_video",
        "faceless": "no_face",
        "mute": "no_audio",
        "short": "too_short",
        # ffmpeg's command is text, so a name that is not UTF-8 cannot be part of it.
        "not_utf8_\\xff": "unexpected_error",
    }
    assert (clips.loc[clips["status"] == "failed", "message"].str.len() > 10).all()
    by_clip = read_table(tmp_path / "out" / "by_clip.csv", ())
    assert set(by_clip["clip"]) == good


@pytest.fixture
def three(video: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "three"
    folder.mkdir()
    for name in ("one", "raises_early", "raises_late"):
        shutil.copy(video, folder / f"{name}.mp4")
    return folder


def raise_for_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading one clip raise, and the methods on another one."""
    methods = stage.run_methods

    def recorded(path: Path, *args: object, **options: object) -> Recording:
        if path.stem == "raises_early":
            raise IndexError("array of sample points\nis empty")
        return make_recording(path, *args, **options)  # type: ignore[arg-type]

    def compared(recording: Recording, name: str, *args: object, **options: object) -> object:
        if name == "raises_late":
            raise ZeroDivisionError("<division>")
        return methods(recording, name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "make_recording", recorded)
    monkeypatch.setattr(stage, "run_methods", compared)


def test_a_clip_that_raises_is_a_row_on_console_and_page(
    three: Path, small_open_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    raise_for_clips(monkeypatch)
    arguments = ["benchmark", str(three), "--out", str(out), "--head", str(small_open_head), "--device", "cpu"]
    arguments += ["--checkpoint", str(weights_for(small_open_head)), "--quick"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    clips = read_table(out / "clips.csv", ("clip", "status", "reason", "message")).set_index("clip")
    assert clips["reason"].to_dict() == {
        "one": "",
        "raises_early": "unexpected_error",
        "raises_late": "unexpected_error",
    }
    assert clips.loc["raises_early", "message"] == "IndexError: array of sample points is empty"
    assert set(pd.read_csv(out / "by_clip.csv")["clip"]) == {"one"}
    assert "failed: raises_late (unexpected_error: ZeroDivisionError: <division>)" in result.output
    page = (out / "benchmark.html").read_text(encoding="utf-8")
    assert "unexpected_error: ZeroDivisionError: &lt;division&gt;" in page
    log = (out / "benchmark.log").read_text(encoding="utf-8")
    assert re.search(r"raises_early failed:\nTraceback.*IndexError: array of sample points", log, re.DOTALL)
    assert re.search(r"raises_late failed:\nTraceback.*ZeroDivisionError", log, re.DOTALL)
    assert result.output.count("Traceback") == 0
    assert len([line for line in result.output.splitlines() if str(out / "benchmark.log") in line]) == 1
    monkeypatch.undo()
    # Nothing is done again but what failed, and the log of the earlier run is gone.
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert (read_table(out / "clips.csv", ())["status"] == "ok").all()
    assert not (out / "benchmark.log").exists()


def test_if_every_clip_fails_the_error_says_so(three: Path, small_open_head: Path, tmp_path: Path) -> None:
    for path in three.iterdir():
        path.write_text("not a video")
    inputs = inputs_of(small_open_head, SETTINGS)
    with pytest.raises(
        AssetError, match=r"three: all 3 clips failed \(one: broken_video; raises_early: broken_video; "
    ):
        run_benchmark(three, tmp_path / "out", inputs=inputs)
    assert len(read_table(tmp_path / "out" / "clips.csv", ("clip", "reason"))) == 3


def test_if_every_clip_raises_later_the_error_says_so(
    three: Path, small_open_head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "raises_early"):
        (three / f"{name}.mp4").unlink()
    raise_for_clips(monkeypatch)
    with pytest.raises(AssetError, match=r"all 1 clips failed \(raises_late: unexpected_error\); clips\.csv has"):
        run_benchmark(three, tmp_path / "out", inputs=inputs_of(small_open_head, SETTINGS))
