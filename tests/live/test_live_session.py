"""The command `live` with real sockets: generated clips, a stream made by ffmpeg, a camera that disappears."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from live_setup import FRAMES, ROOT, SUMMARY, TILT, Live, Receiver, figures
from packet_readers import read_livelink, read_vmc
from small_head import small_head

from occlufacediff.cli import main
from occlufacediff.live.session import LOG_COLUMNS
from occlufacediff.media.ffmpeg import ffmpeg_binary


def test_a_file_is_sent_as_vmc(clips: Path, live: Live, receiver: Receiver, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    begun = time.monotonic()
    status, output = live(clips / "face.mp4", "--send", "vmc", "--to", receiver.to, "--log", str(log))
    assert status == 0, output
    assert time.monotonic() - begun > FRAMES / 25
    sent, with_face, dropped = figures(output)
    assert sent + dropped == FRAMES
    assert with_face == sent > 0
    frames = read_vmc(receiver.close())
    assert len(frames) == sent
    for frame in frames:
        assert len(frame.weights) == 52
        assert min(frame.weights.values()) >= 0 and max(frame.weights.values()) <= 1
        assert np.linalg.norm(frame.bones["Head"][3:]) == pytest.approx(1, abs=1e-5)
    assert any(max(frame.weights.values()) > 0.1 for frame in frames)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LOG_COLUMNS
    assert [float(row["seconds"]) for row in rows] == pytest.approx([frame.seconds for frame in frames], abs=1e-5)
    # The times are those at which the file's frames are due: multiples of 1/25 s.
    steps = np.array([frame.seconds for frame in frames]) * 25
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert [int(row["frame"]) for row in rows] == np.round(steps).astype(int).tolist()
    assert all(float(row["latency_ms"]) > 0 for row in rows)


def test_a_file_is_sent_to_live_link(clips: Path, live: Live, receiver: Receiver) -> None:
    to = ("--send", "livelink", "--to", receiver.to, "--subject", "Anna")
    status, output = live(clips / "face.mp4", *to, "--visibility", "none")
    assert status == 0, output
    read = [read_livelink(packet) for packet in receiver.close()]
    assert len(read) == figures(output)[0]
    assert {one.subject for one in read} == {"Anna"}
    assert np.diff([one.frame for one in read]).min() > 1.9
    for one in read:
        assert one.values is not None
        assert all(0 <= value <= 1 for value in list(one.values.values())[:52])


def mean_angles(packets: list[bytes]) -> dict[str, float]:
    values = [read.values for read in map(read_livelink, packets) if read.values is not None]
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def test_the_head_turns_with_the_picture_and_mirrors(clips: Path, live: Live) -> None:
    """Rotations about the z axis, which points to the camera, are counter-clockwise in the picture."""
    means = {}
    for name, options in (("face", ()), ("tilted", ()), ("mirror", ()), ("tilted", ("--mirror",))):
        receiver = Receiver()
        to = ("--send", "livelink", "--to", receiver.to, "--visibility", "none")
        assert live(clips / f"{name}.mp4", *to, *options)[0] == 0
        means[name, bool(options)] = mean_angles(receiver.close())
    plain, turned = means["face", False], means["tilted", False]
    assert turned["HeadRoll"] - plain["HeadRoll"] == pytest.approx(TILT, abs=0.06)
    # The program mirrors as the mirrored picture does.
    in_picture, by_option = means["mirror", False], means["tilted", True]
    assert by_option["HeadRoll"] == pytest.approx(-turned["HeadRoll"], abs=0.02)
    for angle in ("HeadYaw", "HeadPitch", "HeadRoll"):
        assert in_picture[angle] == pytest.approx(by_option[angle], abs=0.08)


def test_without_a_face_live_link_packets_have_no_values(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "away.mp4", "--send", "livelink", "--to", receiver.to)
    assert status == 0, output
    assert "no face in the picture" in output
    sent, with_face, _ = figures(output)
    faces = [read_livelink(packet).values is not None for packet in receiver.close()]
    assert sum(faces) == with_face < sent == len(faces)
    assert faces[0] and not faces[-1]


def test_without_a_face_the_head_stays_in_vmc(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "away.mp4", "--send", "vmc", "--to", receiver.to)
    assert status == 0, output
    frames = read_vmc(receiver.close())
    last = [frame.bones["Head"] for frame in frames if frame.seconds > 1.2]
    assert len(last) > 2
    assert all(bone == last[0] for bone in last)


def test_a_closed_receiver_does_not_end_the_session(clips: Path, live: Live) -> None:
    receiver = Receiver()
    receiver.close()
    status, output = live(clips / "face.mp4", "--send", "livelink", "--to", receiver.to)
    assert status == 0, output
    sent, _, dropped = figures(output)
    assert sent + dropped == FRAMES
    refused = int(re.search(r"(\d+) packets refused", output)[1])  # type: ignore[index]
    assert 0 < refused < sent
    assert output.count("no program listens at the receiver's port; sending goes on") == 1


def test_a_session_can_have_a_limit(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "face.mp4", "--send", "livelink", "--to", receiver.to, "--seconds", "0.59")
    assert status == 0
    assert 0 < figures(output)[0] <= 15


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_one_line(
    clips: Path, small_open_head: Path, receiver: Receiver, tmp_path: Path, ending: int
) -> None:
    # Long enough for a signal that arrives seconds late on a busy machine.
    video, repeated = tmp_path / "long.mkv", ["-stream_loop", "39", "-i", str(clips / "face.mp4"), "-c", "copy"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", *repeated, str(video)], check=True)
    command = [sys.executable, "-m", "occlufacediff", "live", str(video), "--head", str(small_open_head)]
    process = subprocess.Popen(
        [*command, "--send", "livelink", "--to", receiver.to],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # Where a shell started the tests in the background, they ignore SIGINT, and so would the program.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    begun = time.monotonic()
    while not receiver.packets and time.monotonic() - begun < 90:
        time.sleep(0.01)
    process.send_signal(ending)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert len(SUMMARY.findall(errors)) == 1
    assert figures(errors)[0] < 40 * FRAMES


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("missing.mp4", ("--send", "vmc", "--to", "127.0.0.1:39539"), "there is no such file"),
        ("webcam:0", ("--send", "vmc", "--to", "127.0.0.1:39539"), "unknown scheme 'webcam'"),
        ("face.mp4", ("--send", "vmc", "--to", "127.0.0.1"), "--to 127.0.0.1: needs HOST:PORT"),
        ("face.mp4", ("--send", "vmc", "--to", "nowhere.invalid:1"), "host name cannot be resolved"),
        ("text.mp4", ("--send", "vmc", "--to", "127.0.0.1:39539"), "not a readable video"),
        ("face.mp4", ("--send", "vmc", "--to", "127.0.0.1:1", "--log", "missing/log.csv"), "missing"),
    ],
)
def test_bad_input_gives_one_line(
    clips: Path, live: Live, monkeypatch: pytest.MonkeyPatch, source: str, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(clips)
    status, output = live(source, *options)
    assert status == 2
    assert output.count("\n") == 1, output
    assert output.startswith("occlufacediff: ") and words in output


def test_a_head_without_arkit_actions_is_refused(clips: Path, tmp_path: Path, receiver: Receiver) -> None:
    small_head().save(tmp_path / "head.npz")
    arguments = ["live", str(clips / "face.mp4"), "--send", "vmc", "--to", receiver.to]
    result = CliRunner().invoke(main, [*arguments, "--head", str(tmp_path / "head.npz")])
    assert result.exit_code == 2
    assert "the coefficients of the head model 'small' are not ARKit actions" in result.output
