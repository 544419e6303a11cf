"""Writes a contact sheet for each video of a folder: without and with the visibility that the program finds.

    python benchmarks/visibility_sheets.py --recordings FOLDER --out SHEETS

The upper row shows the face with all landmarks of the detector, as `--visibility none` uses them. The lower row shows
the same frames with what `--visibility auto` finds: visible landmarks green, those that are not used because they are
beside an occluder yellow, hidden ones red. A frame without a face is grey. The pictures show the people of the videos.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.errors import ClipError
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import probe
from occlufacediff.prediction.observation import observe
from occlufacediff.prediction.progress import no_progress
from occlufacediff.prediction.visibility import find_visibility
from occlufacediff.threads import limit_threads
from occlufacediff.visibility.finder import OcclusionFinder

Picture = NDArray[np.uint8]
GREEN, YELLOW, RED, WHITE = (60, 220, 80), (250, 210, 40), (240, 50, 50), (255, 255, 255)
GREY = 110


def drawn_face(crop: Picture, landmarks: NDArray[np.floating], colours: NDArray[np.integer]) -> Picture:
    """The crop (224, 224, 3) with its landmarks (468, 2), each in its colour (468, 3)."""
    out = crop.copy()
    for point, colour in zip((landmarks + 1) * (CROP_PX / 2), colours, strict=True):
        cv2.circle(out, (round(float(point[0])), round(float(point[1]))), 1, tuple(map(int, colour)), -1, cv2.LINE_AA)
    return out


def contact_sheet(video: Path, columns: int) -> Picture:
    """The sheet of a video, (448, 224 ``columns``, 3): evenly spaced frames without and with visibility.

    Raises:
        ClipError: the video cannot be read, or shows no face.
    """
    seen = observe(
        probe(video), landmarks=LandmarkSettings(), crop=CropSettings(), min_seconds=0.2, progress=no_progress,
        finder=OcclusionFinder(),
    )  # fmt: skip
    visibility = find_visibility(video, seen, [], kind="none", settings=OcclusionSettings(), seed=0)
    chosen = np.linspace(0, seen.frames - 1, columns).round().astype(int)
    faces = {}
    for number, frame in enumerate(read_frames(video)):
        if number not in chosen:
            continue
        crop = np.asarray(crop_image(frame, seen.boxes[number]), np.uint8)
        if not seen.found[number]:
            faces[number] = np.full((2, *crop.shape), GREY, np.uint8)
            continue
        shown, used = (values[number] > 0 for values in (visibility.lmk_mask_video, visibility.lmk_mask))
        found = np.where(used[:, None], GREEN, np.where(shown[:, None], YELLOW, RED))
        points = seen.lmk_2d[number]
        faces[number] = np.stack([drawn_face(crop, points, np.tile(WHITE, (len(points), 1))),
                                  drawn_face(crop, points, found)])  # fmt: skip
    rows = [np.concatenate([faces[number][row] for number in chosen], axis=1) for row in (0, 1)]
    return np.concatenate(rows)


def main() -> None:
    """Write the sheets of all videos of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, required=True, help="folder of videos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the sheets (.jpg)")
    parser.add_argument("--columns", type=int, default=10, help="frames of each video")
    options = parser.parse_args()
    limit_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    for video in sorted(path for path in options.recordings.iterdir() if path.is_file()):
        try:
            sheet = contact_sheet(video, options.columns)
        except ClipError as error:
            print(f"{video.name}: left out, {error}", file=sys.stderr)
            continue
        Image.fromarray(sheet).save(options.out / f"{video.stem}.jpg", quality=85)
        print(options.out / f"{video.stem}.jpg")


if __name__ == "__main__":
    main()
