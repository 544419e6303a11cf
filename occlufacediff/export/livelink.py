"""Live Link Face's CSV files, which Unreal and many other programs import.

A row per frame: time code ``HH:MM:SS:FF.sss`` whose frames FF count sixtieths of a second, the number of values (61),
52 weights, and yaw, pitch and roll of head, left and right eye in radians. The signs of the head's angles were derived
from recordings, the sign of roll is not proven (docs/export.md).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit import ARKIT_NAMES, ArkitMotion
from occlufacediff.files import written_aside

#: Frames a second in time codes, whatever the rate of the rows.
CODE_RATE = 60
ANGLES = tuple(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
HEADER = ("Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in ARKIT_NAMES), *ANGLES)


def require_rate(fps: float) -> None:
    """Refuse rates at which rows do not lie at whole frames of the time code.

    Raises:
        ConfigError: ``fps`` does not divide `CODE_RATE`.
    """
    if CODE_RATE % fps:
        raise ConfigError(
            f"export livelink: got {fps:g} frames a second, needs a rate that divides {CODE_RATE}, because time "
            "codes count sixtieths of a second; give --fps 30 or 60"
        )


def time_code(seconds: float) -> str:
    """Time code of a time after 00:00:00:00."""
    thousandths = round(seconds * CODE_RATE * 1000)
    frames, part = divmod(thousandths, 1000)
    whole, frame = divmod(frames, CODE_RATE)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame:02d}.{part:03d}"


def livelink_angles(motion: ArkitMotion) -> NDArray[np.float32]:
    """The values (T, 9) of `ANGLES`, radians, with the signs of Live Link Face."""
    yaw, pitch, roll = motion.head.T
    still = np.zeros(len(motion), np.float32)
    # Live Link Face: an eye's yaw is positive to the subject's right, its pitch is positive downwards.
    eyes = [(-eye[:, 0], -eye[:, 1], still) for eye in (motion.eyes[:, 0], motion.eyes[:, 1])]
    return np.stack([yaw, -pitch, roll, *eyes[0], *eyes[1]], axis=1)


def write_livelink(path: Path, motion: ArkitMotion) -> None:
    """Write a motion; importers place frames by their time codes, so 30 and 60 frames a second are the usual rates.

    Raises:
        StorageError: see `files.written_aside`.
    """
    angles = livelink_angles(motion)
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for number, values in enumerate(np.concatenate([motion.weights, angles], axis=1)):
            code = time_code(number / motion.fps)
            rows.writerow([code, len(HEADER) - 2, *(f"{value + 0.0:.10f}" for value in values)])
