"""Measures the visibility that the program finds against labels of real recordings.

    python benchmarks/visibility.py --recordings FOLDER --labels tests/visibility/labels.csv

A label of a region is `visible`, `partly`, `hidden` or `unsure`. The program calls a region hidden if half of its
landmarks are. Precision and recall use the labels `hidden` and `visible`; `partly` is counted apart. A frame is clear
if all of its regions are labelled `visible`.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.live.visibility import CausalVisibility
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import probe
from occlufacediff.prediction.observation import observe
from occlufacediff.prediction.progress import no_progress
from occlufacediff.threads import limit_threads
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.regions import REGIONS, hidden_regions

Row = dict[str, str]
#: Counts: hidden called hidden, hidden called visible, visible called hidden, visible called visible, partly called
#: hidden, partly called visible.
KEYS = ("hidden_found", "hidden_missed", "false_alarm", "visible", "partly_hidden", "partly_visible")


class TimedFinder(OcclusionFinder):
    """Measures the processor time of all looks."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def look(self, frame, box, landmarks):
        """See `OcclusionFinder`."""
        start = time.process_time()
        found = super().look(frame, box, landmarks)
        self.seconds += time.process_time() - start
        return found


def read_labels(path: Path) -> dict[str, list[Row]]:
    """Rows by clip."""
    rows = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["clip"]].append(row)
    return dict(rows)


def count(rows: list[Row], regions: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Counts by region over labelled frames."""
    counts = {region: dict.fromkeys(KEYS, 0) for region in REGIONS}
    for row in rows:
        for region, called in regions.items():
            hidden = bool(called[int(row["frame"])])
            key = {
                "hidden": "hidden_found" if hidden else "hidden_missed",
                "visible": "false_alarm" if hidden else "visible",
                "partly": "partly_hidden" if hidden else "partly_visible",
            }.get(row[region])
            if key:
                counts[region][key] += 1
    return counts


def clear_frames(rows: list[Row], regions: dict[str, np.ndarray]) -> tuple[int, int]:
    """Clear frames with a region that is called hidden, and all clear frames."""
    clear = [int(row["frame"]) for row in rows if all(row[region] == "visible" for region in REGIONS)]
    return sum(any(called[frame] for called in regions.values()) for frame in clear), len(clear)


def seen_live(video: Path, finder: OcclusionFinder) -> np.ndarray:
    """(T, 468) hidden landmarks as a live session finds them: from past frames, with a tracked face."""
    settings, causal = LandmarkSettings(static=False, max_faces=1, small_faces=False), CausalVisibility()
    rows, hidden = [], np.zeros(468, bool)
    with make_detector(settings) as detector:
        for number, frame in enumerate(read_frames(video)):
            faces = detector.detect(frame)
            # A look ends before the next frame comes, so it holds from there on.
            rows.append(hidden if len(faces) else np.ones(468, bool))
            if len(faces) and finder.is_due(number):
                box = crop_boxes(faces[0]).astype(np.float32)
                finder.next_turn()
                hidden = causal.add(finder.look(frame, box, to_crop(faces[0][:468], box).astype(np.float32)))
    finder.close()
    return np.stack(rows)


def ratio(part: int, whole: int) -> str:
    """A ratio as text; empty without a denominator."""
    return f"{part / whole:.3f}" if whole else ""


def table(title: str, clips: dict[str, tuple[dict, tuple[int, int]]]) -> None:
    """Print the sums over clips as a table of regions."""
    print(f"\n{title}: {len(clips)} clips")
    print("| region | precision | recall | hidden | visible | false alarms | partly: called hidden |")
    print("|---|---|---|---|---|---|---|")
    for region in REGIONS:
        total = {key: sum(counts[region][key] for counts, _ in clips.values()) for key in KEYS}
        found, missed, false = total["hidden_found"], total["hidden_missed"], total["false_alarm"]
        partly = total["partly_hidden"] + total["partly_visible"]
        print(
            f"| {region} | {ratio(found, found + false)} | {ratio(found, found + missed)} | {found + missed} | "
            f"{false + total['visible']} | {false} | {total['partly_hidden']} of {partly} |"
        )
    alarms, clear = (sum(value[1][k] for value in clips.values()) for k in (0, 1))
    print(f"clear frames with a region called hidden: {alarms} of {clear} ({ratio(100 * alarms, clear)} %)")


def main() -> None:
    """Measure all labelled clips of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, required=True, help="folder that the labels' clips are relative to")
    parser.add_argument("--labels", type=Path, default=Path("tests/visibility/labels.csv"))
    parser.add_argument("--clips", nargs="*", help="only clips whose name contains one of these words")
    parser.add_argument("--save", type=Path, help="folder for hidden landmarks and probabilities of each clip (.npz)")
    parser.add_argument("--live", action="store_true", help="as a live session finds it, without later frames")
    options = parser.parse_args()
    limit_threads()
    measured, parts, seconds, frames = {}, {}, 0.0, 0
    for clip, rows in read_labels(options.labels).items():
        if options.clips and not any(word in clip for word in options.clips):
            continue
        video = options.recordings / clip
        if not video.is_file():
            print(f"{clip}: not there, left out", file=sys.stderr)
            continue
        finder = TimedFinder()
        probability = None
        if options.live:
            hidden = seen_live(video, finder)
        else:
            seen = observe(
                probe(video), landmarks=LandmarkSettings(), crop=CropSettings(), min_seconds=0.2, progress=no_progress,
                finder=finder, beside=False,
            )  # fmt: skip
            assert seen.seen is not None
            # A frame without a face shows none of it.
            hidden, probability = seen.seen.hidden | ~seen.known, seen.seen.probability
        regions = hidden_regions(hidden)
        measured[clip], parts[clip] = (count(rows, regions), clear_frames(rows, regions)), rows[0]["part"]
        seconds, frames = seconds + finder.seconds, frames + len(hidden)
        print(f"{clip}: {1000 * finder.seconds / len(hidden):.1f} ms a frame", file=sys.stderr)
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            name = clip.replace("/", "_")
            np.savez(
                options.save / f"{name}.npz",
                hidden=hidden,
                **({} if probability is None else {"probability": probability}),
            )
    for part in ("development", "test"):
        table(part, {clip: value for clip, value in measured.items() if parts[clip] == part})
    for word in ("hand_", "mask_", "microphone_", "clear_", "clips/"):
        table(f"{word}*", {clip: value for clip, value in measured.items() if word in clip})
    print("\n| clip | mouth hidden: found | mouth visible: called hidden | clear frames with a hidden region |")
    print("|---|---|---|---|")
    for clip, (counts, (alarms, clear)) in measured.items():
        mouth = counts["mouth"]
        hidden_frames, shown = (mouth[a] + mouth[b] for a, b in (KEYS[:2], KEYS[2:4]))
        print(f"| {clip} | {mouth['hidden_found']} of {hidden_frames} | {mouth['false_alarm']} of {shown} | "
              f"{alarms} of {clear} |")  # fmt: skip
    print(f"\n{1000 * seconds / max(frames, 1):.1f} ms of processor time a frame, over {frames} frames")


if __name__ == "__main__":
    main()
