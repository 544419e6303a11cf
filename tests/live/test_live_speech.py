"""The motion of hidden parts by speech: recognition while audio comes in, look-ahead, and where it is used."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from occlufacediff.cli import main
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.export.arkit import ARKIT_NAMES
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks.detect import MediaPipeDetector
from occlufacediff.live.capture import Capture
from occlufacediff.live.face import LiveFace
from occlufacediff.live.identity import IdentityLearner
from occlufacediff.live.source import parse_source, pictures
from occlufacediff.live.speech import Recogniser, SpeechThread
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.rates import SAMPLE_RATE
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.speech.viseme_rules import viseme_motion
from occlufacediff.synthetic.espeak import speak
from occlufacediff.synthetic.speech import resample

PIECE = SAMPLE_RATE // 25
JAW = -3


@cache
def spoken() -> np.ndarray:
    """Some seconds of a synthetic voice, (N,) float32."""
    text = "Move that heavy purple sofa over by the window, before the others come home for supper."
    one = speak(text, "en-us+m3", words_per_minute=150, pitch=50, pitch_range=50, seed=1)
    return np.asarray(resample(one.samples, one.rate, SAMPLE_RATE), np.float32)


def pieces() -> list[np.ndarray]:
    scaled = np.round(np.clip(spoken(), -1, 1) * 32767).astype(np.int16)
    return [scaled[first : first + PIECE] for first in range(0, len(scaled) - PIECE, PIECE)]


def jaw_at_once() -> np.ndarray:
    """Jaw opening (T,) from all of the audio."""
    return viseme_motion(recognise_phones(spoken()), len(pieces()), EXPRESSION_NAMES)[:, JAW]


def test_recognition_in_pieces_agrees_with_that_of_the_whole() -> None:
    recogniser, found, ahead = Recogniser(), [], 0.28
    for number, piece in enumerate(pieces()):
        recogniser.add(piece, 100 + number / 25)
        moment = 100 + (number + 1) / 25 - ahead
        phones = recogniser.phones()
        found.append(viseme_motion(phones, 1, EXPRESSION_NAMES, offset_s=moment - recogniser.origin)[0, JAW])
    # Piece k gives the motion of frame k - 6.
    assert np.corrcoef(found[16:], jaw_at_once()[10:-6])[0, 1] > 0.6


def test_the_motion_has_the_look_ahead_and_stops_with_the_audio() -> None:
    with SpeechThread(EXPRESSION_NAMES, 0.28) as speech:
        found, now = [], 50.0
        for piece in pieces():
            speech.hear(piece, now)
            now += 1 / 25
            until = time.monotonic() + 5
            while speech.moment < now - 0.281 and time.monotonic() < until:
                time.sleep(0.001)
            found.append(speech.motion(now)[JAW])
        assert np.corrcoef(found[16:], jaw_at_once()[10:-6])[0, 1] > 0.6
        assert not speech.motion(now + 1).any()
    assert speech.cpu_s > 0


def test_silence_moves_nothing() -> None:
    recogniser = Recogniser()
    for number in range(50):
        recogniser.add(np.zeros(PIECE, np.int16), number / 25)
        motion = viseme_motion(recogniser.phones(), 1, EXPRESSION_NAMES, offset_s=2.5)
        assert abs(motion).max() < 0.02


def test_audio_of_a_file_is_heard_up_to_the_frame_and_in_step(tmp_path: Path) -> None:
    """A click at 0.6 s is heard at the time of frame 15, and never before this frame is due."""
    sound = np.zeros(2 * SAMPLE_RATE, np.float32)
    sound[int(0.6 * SAMPLE_RATE) :][:200] = 0.8
    with VideoWriter(tmp_path / "click.mp4", 25, (64, 64), audio=sound) as writer:
        for _ in range(50):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    heard: list[tuple[np.ndarray, float]] = []
    due: list[float] = []
    for timed in pictures(
        parse_source(str(tmp_path / "click.mp4")), lambda seconds: True, lambda *one: heard.append(one)
    ):
        if timed is None:
            break
        due.append(timed.time)
        assert all(begin + len(samples) / SAMPLE_RATE <= timed.time + 1e-9 for samples, begin in heard)
    begins = np.concatenate([begin + np.arange(len(samples)) / SAMPLE_RATE for samples, begin in heard])
    loud = np.abs(np.concatenate([samples for samples, _ in heard]).astype(float)) > 8000
    assert begins[loud][0] - due[0] == pytest.approx(0.6, abs=0.01)
    assert len(begins) > 1.8 * SAMPLE_RATE


def test_a_source_without_audio_is_silent(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "mute.mp4", 25, (64, 64)) as writer:
        for _ in range(10):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    heard: list[object] = []
    with Capture(parse_source(str(tmp_path / "mute.mp4")), wait_s=5, hear=lambda *one: heard.append(one)) as capture:
        while capture.next() is not None:
            pass
    assert heard == []


class HalfSeen(MediaPipeDetector):
    """Gives no landmark below the tip of the nose while ``hides`` is set."""

    hides = False

    def __init__(self) -> None:
        super().__init__(LandmarkSettings(static=False, max_faces=1, small_faces=False))

    def detect(self, frame: np.ndarray) -> np.ndarray:
        faces = super().detect(frame)
        if self.hides and len(faces):
            low = faces[0, :, 1] > faces[0, 1, 1]
            assert low[list(LIPS)].all()
            faces[0, low] = np.nan
        return faces


class Shouting(SpeechThread):
    """Speech that always opens the jaw by 0.2."""

    def motion(self, now: float) -> np.ndarray:
        """The same at any time."""
        moved = np.zeros_like(self._average)
        moved[JAW] = 0.2
        return moved

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def test_speech_moves_only_what_is_hidden(small_open_head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The identity is learnt in a thread, which does not end at the same frame in two runs.
    monkeypatch.setattr(IdentityLearner, "add", lambda *arguments: None)
    head = HeadAsset.load(small_open_head)
    picture = np.ascontiguousarray(data.astronaut()[:240, 100:340])
    opened = ARKIT_NAMES.index("jawOpen")
    weights = {}
    for name, speech in (("mute", None), ("loud", Shouting(head.expression_names, 0.3))):
        with LiveFace(head, find_hidden=False, speech=speech, detector=HalfSeen()) as face:
            detector = face.detector
            assert isinstance(detector, HalfSeen)
            looks = []
            for number in range(60):
                detector.hides = number >= 30
                looks.append(face.look(picture, number / 25).motion.weights[0])
            weights[name] = np.array(looks)
    np.testing.assert_allclose(weights["loud"][:30], weights["mute"][:30], atol=1e-6)
    assert (weights["loud"][40:, opened] - weights["mute"][40:, opened]).min() > 0.3
    upper = [number for number, name in enumerate(ARKIT_NAMES) if name.startswith(("brow", "eyeBlink"))]
    np.testing.assert_allclose(weights["loud"][:, upper], weights["mute"][:, upper], atol=1e-6)


def test_a_camera_has_no_audio_to_follow() -> None:
    arguments = ["live", "camera:0", "--send", "vmc", "--to", "127.0.0.1:39539", "--look-ahead", "0.3"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--look-ahead 0.3: camera:0 gives no audio" in result.output


def test_a_session_with_look_ahead(small_open_head: Path, tmp_path: Path) -> None:
    frames = 40
    with VideoWriter(tmp_path / "talk.mp4", 25, (240, 240), audio=spoken()[: frames * PIECE]) as writer:
        for number in range(frames):
            writer.write(np.ascontiguousarray(data.astronaut()[:240, 100 + number // 3 : 340 + number // 3]))
    arguments = ["live", str(tmp_path / "talk.mp4"), "--head", str(small_open_head), "--send", "livelink"]
    result = CliRunner().invoke(main, [*arguments, "--to", "127.0.0.1:9", "--look-ahead", "0.3", "--profile"])
    assert result.exit_code == 0, result.output
    assert "processor time per frame" in result.output and "speech" in result.output
