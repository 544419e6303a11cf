"""Blinks and gaze of `predict`, with and without glasses: `python benchmarks/eyes.py`.

Renders clips of generated heads that blink and look about, without glasses, with clear ones, and with clear ones that
reflect; predicts them with the open weights, and compares with the truth. With ``--motions FOLDER`` (results of
``occlufacediff predict RECORDINGS --out FOLDER``), blinks of real recordings are compared with the labels in
``tests/prediction/blinks.csv`` too. Prints tables, then one JSON object. Each table has rows for blinks as measured and
as exported (``--blinks full``):

- found, missed, false: blinks whose mean weight reaches 0.7 within two frames of the truth; other peaks of 0.7
- peak: mean of the highest weights of true blinks
- correlation, difference: of the mean weight of both eyes with the truth, over time; mean absolute
- yaw, pitch: mean absolute difference of the gaze in degrees, after the median difference of the clip is removed; and
  degrees estimated per true degree
- hidden: share of eye landmarks that count as hidden; nothing hides them
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import find_peaks

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.export.blinks import LIDS, closed_in_blinks
from occlufacediff.export.motion import read_motion
from occlufacediff.face_mesh import LEFT_EYE, MESH_POINTS, RIGHT_EYE
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.eyes import turn_eyes
from occlufacediff.head.skinning import landmarks_numpy, vertices_numpy
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.pipeline import Predictor
from occlufacediff.rendering.mesh import SmoothNormals, shade, to_screen
from occlufacediff.rendering.renderer import make_renderer
from occlufacediff.stages.open_head import open_head
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.behaviour import blink_curve, head_pose
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.synthetic.speakers import make_speaker
from occlufacediff.weights import open_weights

LABELS = Path(__file__).resolve().parents[1] / "tests" / "prediction" / "blinks.csv"
SIZE, CLOSED, NEAR = 480, 0.7, 2
#: What the heads wear: opacity of the reflection of glasses; None: no glasses.
WORN = {"bare": None, "glasses": 0.0, "reflecting": 0.3}
#: Largest angles of the gaze, degrees.
YAW, PITCH = 20.0, 10.0


def looking(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaze (T, 2) in radians: it rests for 0.5 to 1.5 s at random places."""
    gaze, moment = np.zeros((len(times), 2)), 0.0
    while moment < times[-1]:
        gaze[times >= moment] = np.radians([rng.uniform(-YAW, YAW), rng.uniform(-PITCH, PITCH)])
        moment += rng.uniform(0.5, 1.5)
    return gaze


def draw_glasses(image: np.ndarray, points: np.ndarray, rim: tuple[int, int, int], reflection: float) -> np.ndarray:
    """Glasses on a picture (H, W, 3): rims, bridge, temples, and clear lenses with a bright band of some opacity."""
    out = image.copy()
    across = points[263] - points[33]
    span, turn = float(np.linalg.norm(across)), float(np.degrees(np.arctan2(across[1], across[0])))
    width = max(2, round(0.03 * span))
    centres = [points[list(ring)].mean(axis=0) + np.array([0, 0.04 * span]) for ring in (RIGHT_EYE, LEFT_EYE)]
    axes = (round(0.29 * span), round(0.23 * span))
    for centre, ear in zip(centres, (127, 356), strict=True):
        place = (round(float(centre[0])), round(float(centre[1])))
        lens, band = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
        cv2.ellipse(lens, place, axes, turn, 0, 360, 1.0, -1)
        start = centre + np.array([-0.5, 0.25]) * span * 0.5
        end = centre + np.array([0.1, -0.4]) * span * 0.5
        cv2.line(band, tuple(np.round(start).astype(int)), tuple(np.round(end).astype(int)), 1.0, round(0.12 * span))
        light = 0.04 * lens + reflection * lens * cv2.GaussianBlur(band, (0, 0), 0.03 * span)
        out = (out + light[..., None] * (255.0 - out)).astype(np.uint8)
        cv2.ellipse(out, place, axes, turn, 0, 360, rim, width, cv2.LINE_AA)
        side = centre + np.sign(points[ear][0] - centre[0]) * np.array([axes[0], 0])
        cv2.line(out, tuple(np.round(side).astype(int)), tuple(np.round(points[ear]).astype(int)), rim, width)
    inner = [centres[0] + np.array([axes[0], 0]), centres[1] - np.array([axes[0], 0])]
    cv2.line(out, *(tuple(np.round(end).astype(int)) for end in inner), rim, width, cv2.LINE_AA)
    return out


def render(head: HeadAsset, number: int, seconds: float, folder: Path) -> tuple[dict[str, Path], dict]:
    """Videos of one person by `WORN`, and the truth: lids (T,) and gaze (T, 2)."""
    name = f"{'MW'[number % 2]}{101 + number}"
    rng, who = rng_for(0, name, "eyes"), make_speaker(name, 0, spread=0.0)
    look = draw_appearance(who, head, SIZE, 0)
    times = np.arange(round(seconds * FPS)) / FPS
    lids, gaze = blink_curve(times, rng), looking(times, rng)
    exp = np.zeros((len(times), head.n_exp), np.float32)
    exp[:, [head.expression_names.index(lid) for lid in LIDS]] = lids[:, None]
    jaw = np.zeros((len(times), 3), np.float32)
    jaw[:, 0] = 0.08 * np.maximum(np.sin(2 * np.pi * 2.3 * times), 0)
    pose = head_pose(times, rng, 6.0).astype(np.float32)
    posed = vertices_numpy(head, look.shape, exp, pose, jaw)
    posed = turn_eyes(head, look.shape, posed, pose, np.repeat(gaze[:, None], 2, axis=1))
    renderer, normals = make_renderer(SIZE, SIZE, head.faces), SmoothNormals(head.faces, head.n_vertices)
    camera = np.array([look.scale, *look.shift])
    rim = tuple(int(value) for value in rng.integers(10, 90, 3))
    paths = {worn: folder / f"{name}_{worn}.mp4" for worn in WORN}
    with ExitStack() as stack:
        writers = {worn: stack.enter_context(VideoWriter(path, FPS, (SIZE, SIZE))) for worn, path in paths.items()}
        for vertices in posed:
            lit = shade(look.colours, normals(vertices), look.lights, look.ambient)
            image = renderer.render(to_screen(vertices, camera, SIZE, SIZE), lit, look.background)
            points = np.zeros((MESH_POINTS, 2))
            there = to_screen(landmarks_numpy(head, vertices[None]), camera[None], SIZE, SIZE)[0, :, :2]
            points[head.landmark_indices] = there
            for worn, writer in writers.items():
                drawn = image if WORN[worn] is None else draw_glasses(image, points, rim, WORN[worn])
                writer.write(cv2.GaussianBlur(drawn, (3, 3), 0.6))
    return paths, {"lids": lids, "gaze": gaze}


def blink_figures(mean: np.ndarray, blinks: list[tuple[int, int]]) -> dict:
    """Found, missed and false blinks of mean weights (T,), and the peaks of true ones; blinks are first and last."""
    peaks = find_peaks(np.pad(mean, 1), height=CLOSED, distance=4)[0] - 1
    high = [float(mean[max(first - NEAR, 0) : last + NEAR + 1].max()) for first, last in blinks]
    inside = [any(first - NEAR <= peak <= last + NEAR for first, last in blinks) for peak in peaks]
    found = sum(value >= CLOSED for value in high)
    return {"blinks": len(blinks), "found": found, "false": len(peaks) - sum(inside), "peaks": high}


def variants(lids: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Mean weights (T,) as measured and as exported, from those of both eyes (T, 2)."""
    for name, values in (("measured", lids), ("full", closed_in_blinks(lids, FPS)[0])):
        yield name, np.clip(values, 0, 1).mean(axis=1)


def generated(people: int, seconds: float) -> dict[str, dict]:
    """Rows of the generated heads by glasses and blinks."""
    path = open_head(print)
    head, rows = HeadAsset.load(path), defaultdict(list)
    columns = [head.expression_names.index(lid) for lid in LIDS]
    predictor = Predictor(
        open_weights(), path, settings=PredictionSettings(), visibility=VisibilitySettings(source="auto")
    )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(people):
            videos, truth = render(head, number, seconds, Path(folder))
            closed = np.flatnonzero(np.diff(np.pad(truth["lids"] > 0.5, 1).astype(int)))
            blinks = [(int(first), int(last) - 1) for first, last in closed.reshape(-1, 2)]
            for worn, video in videos.items():
                found = predictor.predict(video)
                away = np.degrees(found.gaze.angles[:, 0] - truth["gaze"])
                slope = [np.polyfit(truth["gaze"][:, k], found.gaze.angles[:, 0, k], 1)[0] for k in (0, 1)]
                shared = {
                    "gaze": np.abs(away - np.median(away, axis=0)).mean(axis=0).tolist(),
                    "offset": np.median(away, axis=0).tolist(),
                    "slope": [float(value) for value in slope],
                    "hidden": float((found.visibility.lmk_mask[:, [*LEFT_EYE, *RIGHT_EYE]] == 0).mean()),
                }
                for name, mean in variants(found.exp[:, columns].astype(np.float64)):
                    row = blink_figures(mean, blinks) | shared
                    row["correlation"] = float(np.corrcoef(mean, truth["lids"])[0, 1])
                    row["difference"] = float(np.abs(mean - truth["lids"]).mean())
                    rows[f"{worn}, {name}"].append(row)
    return {name: joined(some) for name, some in rows.items()}


def recorded(folder: Path) -> dict[str, dict]:
    """Rows of the labelled recordings whose motion is in the folder."""
    labels, worn = defaultdict(list), {}
    with LABELS.open(newline="") as file:
        for row in csv.DictReader(file):
            worn[row["recording"]] = row["glasses"] == "1"
            # A recording without a blink has an empty row.
            labels[row["recording"]] += [(int(row["first"]), int(row["last"]))] if row["first"] else []
    rows = defaultdict(list)
    for recording, blinks in labels.items():
        entries = read_motion(folder / recording / "motion.npz")
        columns = [entries["expression_names"].tolist().index(lid) for lid in LIDS]
        for name, mean in variants(entries["exp"][:, columns].astype(np.float64)):
            rows[f"{'glasses' if worn[recording] else 'bare'}, {name}"].append(blink_figures(mean, blinks))
    return {name: joined(some) for name, some in rows.items()}


def joined(rows: list[dict]) -> dict:
    """Sums of counts and means of the other figures over clips."""
    out = {key: sum(row[key] for row in rows) for key in ("blinks", "found", "false")}
    out["peak"] = float(np.mean([value for row in rows for value in row["peaks"]]))
    others = [key for key in rows[0] if key not in ("blinks", "found", "false", "peaks")]
    return out | {key: np.round(np.mean([row[key] for row in rows], axis=0), 3).tolist() for key in others}


def show(title: str, rows: dict[str, dict]) -> None:
    """Print a table."""
    print(f"{title}:")
    for name, row in rows.items():
        print(
            f"  {name:18}",
            *(f"{key} {value if isinstance(value, list) else round(value, 3)}" for key, value in row.items()),
        )


def main() -> None:
    """Render, predict, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4, help="generated heads; 0: none")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a generated clip")
    parser.add_argument("--motions", type=Path, help="results of `occlufacediff predict` for the labelled recordings")
    arguments = parser.parse_args()
    result = {}
    if arguments.people:
        result["generated"] = generated(arguments.people, arguments.seconds)
        show("generated heads", result["generated"])
    if arguments.motions is not None:
        result["recorded"] = recorded(arguments.motions)
        show("recordings", result["recorded"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
