"""What prediction refuses, in one line and before work, and which files it does not replace."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_head import small_head

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.face_mesh import LIPS
from occlufacediff.media.ffmpeg import ffmpeg_binary
from occlufacediff.media.probe import probe
from occlufacediff.prediction import pipeline
from occlufacediff.prediction.audio import read_audio
from occlufacediff.prediction.observation import Observation, observe
from occlufacediff.prediction.pipeline import Predictor

# Fixtures are costly: all tests of the file on one worker.
pytestmark = pytest.mark.xdist_group("predict")

FRAMES = 26


def test_a_region_without_landmarks_is_rejected_in_one_line(
    predict: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observe_no_lips(*arguments: Any, **settings: Any) -> Observation:
        seen = observe(*arguments, **settings)
        seen.known[:, list(LIPS)] = False
        return seen

    monkeypatch.setattr(pipeline, "observe", observe_no_lips)
    status, output = predict("talk.mp4", tmp_path, "--occlusion", "mouth")
    assert status == 2
    assert re.search(r"talk\.mp4: occlusion: the detector gives no landmark of the .*lips", " ".join(output.split()))


@pytest.mark.parametrize(
    ("video", "options", "words"),
    [
        ("missing.mp4", (), "no such file"),
        ("text.mp4", (), "not a readable video"),
        ("nobody.mp4", (), "no face was found"),
        ("short.mp4", (), "lasts 0.48 s"),
        ("talk.mp4", ("--mask", "missing.png"), "no file or folder missing.png"),
        ("talk.mp4", ("--segmentation", "missing.tflite"), "visibility.model: there is no file missing.tflite"),
        ("models", (), "contains no video"),
        ("talk.mp4", ("--visible", "hand"), "--visible: got hand, which needs a segmentation model"),
        ("talk.mp4", ("--occluder", "missing.png"), "no file or folder missing.png"),
        ("talk.mp4", ("--checkpoint", "missing"), "train the networks with `make run`"),
        ("talk.mp4", ("--head", "missing.npz"), "no such file"),
        ("talk.mp4", ("--export", "maya"), "export: got the unknown format 'maya', needs one or more of glb"),
        ("talk.mp4", ("--export", "glb,fbx"), "export fbx: needs Blender, which writes this format; give --blender"),
        ("talk.mp4", ("--export", "abc", "--blender", "nowhere"), "--blender nowhere: is no program that can be run"),
        ("talk.mp4", ("--export", "glb,livelink", "--fps", "25"), "export livelink: got 25 frames a second"),
        ("talk.mp4", ("--guidance-all", "nan"), "--guidance-all: got nan, needs a finite number"),
        ("talk.mp4", ("--guidance-audio", "1e30"), "--guidance-audio: got 1e+30, needs at most 20"),
    ],
)
def test_wrong_input_is_rejected_in_one_line_and_writes_nothing(
    predict: Callable[..., tuple[int, str]], tmp_path: Path, video: str, options: tuple[str, ...], words: str
) -> None:
    status, output = predict(video, tmp_path / "out", *options)
    assert status == 2
    message = [line for line in output.splitlines() if line.startswith("occlufacediff:")]
    assert len(message) == 1
    assert words in message[0]
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_an_unknown_mesh_region_is_rejected_first(folder: Path) -> None:
    with pytest.raises(ConfigError, match="mesh_region: got 'nose', the head model 'small' has head, "):
        Predictor(folder / "models", folder / "head.npz", settings=PredictionSettings(mesh_region="nose"), device="cpu")


def late_audio(video: Path, target: Path) -> Path:
    """The video with audio that begins ten hours after it."""
    command = [ffmpeg_binary(), "-loglevel", "error", "-i", str(video), "-itsoffset", "36000", "-i", str(video)]
    subprocess.run([*command, "-map", "0:v", "-map", "1:a", "-c", "copy", str(target)], check=True)
    return target


def test_audio_hours_after_the_video_is_rejected(folder: Path, tmp_path: Path) -> None:
    late = late_audio(folder / "talk.mp4", tmp_path / "late.mkv")
    with pytest.raises(ClipError, match=r"late\.mkv: the audio starts 36000\.\d s after the video") as refused:
        read_audio(probe(late), FRAMES, silence_db=-60)
    assert refused.value.reason == "broken_audio"
    models, head = folder / "models", folder / "head.npz"
    with (
        Predictor(models, head, settings=PredictionSettings(), device="cpu", workers=2) as predictor,
        pytest.raises(ClipError, match=r"late\.mkv: the audio starts 36000") as refused,
    ):
        predictor.predict(late)
    assert refused.value.reason == "broken_audio"


@pytest.mark.parametrize("there", ["base", "base/motion.npz/", "base/animation.mp4/", "base/viewer.html/"])
def test_an_unusable_result_folder_is_rejected_first(
    predict: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path, there: str
) -> None:
    shutil.copy(folder / "mute.mp4", folder / "base.mp4")
    if there.endswith("/"):
        (tmp_path / there).mkdir(parents=True)
    else:
        (tmp_path / there).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    status, output = predict("base.mp4", tmp_path)
    assert status == 2
    assert f"out {tmp_path}: {tmp_path / there}" in output
    assert sorted(tmp_path.rglob("*")) == before


def test_results_of_another_video_are_not_replaced(
    predict: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path
) -> None:
    """Two videos of equal stem share a result folder; the same video may be predicted again."""
    (folder / "other").mkdir(exist_ok=True)
    shutil.copy(folder / "mute.mp4", folder / "twin.mp4")
    shutil.copy(folder / "talk.mp4", folder / "other/twin.mov")
    assert predict("twin.mp4", tmp_path)[0] == 0
    motion = tmp_path / "twin/motion.npz"
    first = motion.read_bytes()
    assert predict("twin.mp4", tmp_path)[0] == 0
    assert motion.read_bytes() == first
    status, output = predict("other/twin.mov", tmp_path)
    assert status == 2
    digest = hashlib.sha256((folder / "mute.mp4").read_bytes()).hexdigest()
    assert f"{tmp_path / 'twin'} holds the results of another video, twin.mp4 (SHA-256 {digest[:12]})" in output
    assert f"those of {folder / 'other/twin.mov'}, twin.mov (SHA-256 " in output and "--overwrite" in output
    assert motion.read_bytes() == first
    assert predict("other/twin.mov", tmp_path, "--overwrite")[0] == 0
    with np.load(motion) as replaced:
        assert replaced["source_name"] == "twin.mov"


def test_results_without_a_source_are_not_replaced(predict: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "mute").mkdir()
    (tmp_path / "mute/motion.npz").write_bytes(b"no archive")
    status, output = predict("mute.mp4", tmp_path)
    assert status == 2
    assert f"{tmp_path / 'mute'} holds the results of an unknown video" in output
    assert (tmp_path / "mute/motion.npz").read_bytes() == b"no archive"


def test_a_checkpoint_of_another_head_is_rejected(
    folder: Path, predict: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    head = small_head()
    other = replace(head, name="other", v_template=head.v_template + np.float32(0.001))
    other.save(tmp_path / "other.npz")
    status, output = predict("talk.mp4", tmp_path / "out", "--head", str(tmp_path / "other.npz"))
    assert status == 2
    for model in (head, other):
        assert f"'{model.name}' (digest {model.digest[:12]})" in output
