"""Measures `occlufacediff live` end to end: from the moment a frame is due to the arrival of its last packet.

    python benchmarks/live.py --seconds 20
    python benchmarks/live.py --videos talk.mp4 --formats vmc

The command runs in a process of its own and sends to a socket of this process on loopback. Both use the machine's
monotonic clock. A frame of a file is due at its time stamp after the first frame; the command writes these moments to
its log. Without --videos, a photograph that moves is the video (512 x 512, 25 frames a second).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from occlufacediff.media.encode import VideoWriter

#: Time of a frame in seconds within a packet, and whether the packet ends the frame.
Read = tuple[float | None, bool]


def read_vmc(packet: bytes) -> Read:
    """Of a bundle: ``/VMC/Ext/T`` if it is there; the frame ends with ``Blend/Apply``."""
    place = packet.find(b"/VMC/Ext/T\0\0,f\0\0")
    seconds = None if place < 0 else struct.unpack_from(">f", packet, place + 16)[0]
    return seconds, b"/VMC/Ext/Blend/Apply" in packet


def read_livelink(packet: bytes) -> Read:
    """Of a packet: frame number and rest at 60 frames a second."""
    place = 1
    for _ in range(2):
        place += 4 + struct.unpack_from(">i", packet, place)[0]
    number, rest = struct.unpack_from(">if", packet, place)
    return (number + rest) / 60, True


READERS = {"vmc": read_vmc, "livelink": read_livelink}


class Receiver:
    """Receives packets in a thread and notes when each frame was complete."""

    def __init__(self, form: str) -> None:
        self._read = READERS[form]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = self._socket.getsockname()[1]
        self._stop = threading.Event()
        #: (time of the frame, arrival) of each frame.
        self.frames: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        seconds = None
        while True:
            try:
                packet = self._socket.recv(65535)
            except TimeoutError:
                if self._stop.is_set():
                    return
                continue
            arrival = time.monotonic()
            found, last = self._read(packet)
            seconds = seconds if found is None else found
            if last and seconds is not None:
                self.frames.append((seconds, arrival))
                seconds = None

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()
        self._socket.close()


def moving_photograph(path: Path, seconds: float) -> None:
    """A face that moves in small circles: 512 x 512, 25 frames a second."""
    from skimage import data

    photograph = data.astronaut()[:330, 60:390]
    with VideoWriter(path, 25, (512, 512)) as writer:
        import cv2

        for number in range(round(25 * seconds)):
            angle = number / 25 * 2
            x, y = 20 + 15 * np.sin(angle), 15 + 10 * np.cos(1.3 * angle)
            matrix = np.array([[1.8, 0, -x], [0, 1.8, -y]])
            writer.write(cv2.warpAffine(photograph, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE))


def measure(video: Path, form: str, folder: Path, seconds: float, look_ahead: float) -> dict[str, float | str]:
    """Run the command on one video and measure its frames."""
    receiver, log = Receiver(form), folder / "log.csv"
    command = [sys.executable, "-m", "occlufacediff", "live", str(video), "--send", form, "--profile"]
    command += ["--to", f"127.0.0.1:{receiver.port}", "--log", str(log), "--seconds", str(seconds)]
    command += ["--look-ahead", str(look_ahead)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    receiver.close()
    if done.returncode:
        sys.exit(done.stderr)
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    captured = np.array([float(row["captured_s"]) for row in rows])
    times, arrivals = np.array(receiver.frames).T
    # Times of the packets count from another moment than those of the log.
    times = times - times[0] + captured[0]
    nearest = np.abs(captured[:, None] - times).argmin(axis=1)
    arrived = np.abs(captured - times[nearest]) < 2e-3
    latency = 1000 * (arrivals[nearest] - captured)[arrived]
    dropped = re.search(r"(\d+) dropped", done.stderr)
    total, parts = re.search(r"processor time per frame ([\d.]+) ms: (.*)", done.stderr).groups()  # type: ignore[union-attr]
    return {
        "video": video.name,
        "format": form,
        "frames": len(rows),
        "dropped": int(dropped[1]) if dropped else 0,
        "not_received": int((~arrived).sum()),
        "median_ms": float(np.median(latency)),
        "p95_ms": float(np.percentile(latency, 95)),
        "largest_ms": float(latency.max()),
        "cpu_ms_per_frame": float(total),
        "cpu_parts": parts,
    }


def main() -> None:
    """Measure both formats and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="*", default=[])
    parser.add_argument("--formats", nargs="*", choices=sorted(READERS), default=["vmc", "livelink"])
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of each video")
    parser.add_argument("--look-ahead", type=float, default=0.0, help="see `occlufacediff live`")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = options.videos
        if not videos:
            videos = [folder / "photograph.mp4"]
            moving_photograph(videos[0], options.seconds)
        print("| video | format | frames | dropped | median | 95 % | largest | processor time per frame |")
        print("|---|---|---|---|---|---|---|---|")
        for video in videos:
            for form in options.formats:
                result = measure(video, form, folder, options.seconds, options.look_ahead)
                results.append(result)
                print(
                    f"| {result['video']} | {form} | {result['frames']} | {result['dropped']} | "
                    f"{result['median_ms']:.1f} ms | {result['p95_ms']:.1f} ms | {result['largest_ms']:.1f} ms | "
                    f"{result['cpu_ms_per_frame']:.1f} ms |",
                    flush=True,
                )
    for result in results:
        print(f"{result['video']}, {result['format']}: {result['cpu_parts']}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
