"""The page of the benchmark on real recordings, from its tables and from what was found of each clip."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.benchmark import page_parts
from occlufacediff.benchmark.occlude import hide
from occlufacediff.benchmark.recording import Recording, load
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.media.frames import read_frames
from occlufacediff.media.rates import FPS
from occlufacediff.occlusion.occlude import Occlusion
from occlufacediff.rendering.animation import view_picture
from occlufacediff.reporting.embed import result_video
from occlufacediff.reporting.report_parts import render
from occlufacediff.reporting.videos import ResultClip
from occlufacediff.stages.benchmark import BenchmarkInputs, read_table
from occlufacediff.workflow.shards import part_path

PANEL_PX, HEAT_MAX_MM = 256, 8.0


def write_page(folder: Path, out_dir: Path, *, inputs: BenchmarkInputs) -> None:
    """Write ``out_dir/benchmark.html`` from what `run_benchmark` left there.

    Its videos show the best, the median and the worst clip (lips, ours) of the first region and span; one that is more
    than one of these is shown once.
    """
    tables = {name: read_table(out_dir, name) for name in ("means", "gains", "groups", "by_clip")}
    clips = read_table(out_dir, "clips")
    region, span = inputs.settings.regions[0], inputs.settings.spans[0]
    methods = [
        one for one in ("ours", "ours_without_sound", "interpolation", "bridge") if one in inputs.settings.methods
    ]
    good = clips[clips["status"] == "ok"]
    what = f"{page_parts.REGION_NAMES[region]} hidden {page_parts.SPAN_NAMES[span]}"
    by_loudness = (tables["groups"]["grouped_by"] == "loudness").any()
    loudness = "thirds of the clips by their loudest 20 ms." if by_loudness else "too few clips to group them by it."
    parts = {
        "intro": f"{len(good)} of {len(clips)} clips, {pd.to_numeric(good['frames']).sum() / FPS:.0f} seconds. "
        "What was hidden is filled in by each method and compared with what was really there. "
        + page_parts.lone_clip_note(inputs.settings.methods, set(tables["by_clip"]["method"])),
        "cards": page_parts.cards(tables["means"], tables["gains"], region, span),
        "settings": page_parts.settings_part(tables["means"], tables["gains"], tables["by_clip"], inputs.seed),
        "videos": _videos(folder, out_dir, tables["by_clip"], inputs),
        "videos_note": f"{what}; clips by the error of our lips. Warm is what was hidden; the last panel shows the "
        "distance on the surface, identity and pose being those of the truth.",
        "groups_note": f"{what}: error of the lips in px. Loudness: {loudness}",
        "group_columns": ["clips", *(page_parts.METHOD_NAMES[one] for one in methods), "opening r, ours"],
        "groups": page_parts.group_rows(tables["groups"], region, span, methods),
        "clips_note": f"A part of {100 * inputs.settings.held_out:.0f} %, drawn from the names, is kept apart: "
        "no choice is made on it.",
        "clips": page_parts.clip_rows(clips),
    }
    with written_aside(out_dir / "benchmark.html") as aside:
        aside.write_text(render(parts, "recordings.html.j2"), encoding="utf-8")


def _videos(folder: Path, out_dir: Path, by_clip: pd.DataFrame, inputs: BenchmarkInputs) -> list[dict[str, str]]:
    region, span = inputs.settings.regions[0], inputs.settings.spans[0]
    chosen = by_clip[(by_clip["region"] == region) & (by_clip["span"] == span) & (by_clip["method"] == "ours")]
    errors = chosen[chosen["metric"] == "lips_px"].dropna(subset=["value"]).sort_values("value", kind="stable")
    if errors.empty:
        return []
    asset, paths, videos = HeadAsset.load(inputs.head), find_videos(folder), []
    places: dict[int, list[str]] = {}
    for title, place in {"best": 0, "median": len(errors) // 2, "worst": len(errors) - 1}.items():
        places.setdefault(place, []).append(title)
    for place, titles in places.items():
        clip, error = str(errors.iloc[place]["clip"]), float(errors.iloc[place]["value"])
        recording = load(part_path(out_dir / "recordings", clip))
        hidden = hide(recording, clip, region, span, seed=inputs.seed, pictures=inputs.settings.pictures)
        with h5py.File(part_path(out_dir / "filled", clip), "r") as file:
            ours = file[f"{region}/{span}/ours"][()]
        views = zip(islice(read_frames(paths[clip]), len(ours)), recording.boxes, strict=True)
        shown = ResultClip(
            crops=np.stack([view_picture(frame, box, CROP_PX) for frame, box in views]),
            hidden=partial(_mask, hidden.occlusion),
            truth=_posed(asset, recording.motion, recording),
            ours=_posed(asset, ours, recording),
            cam=recording.cam,
        )
        video = result_video(shown, asset, recording.waveform, panel=PANEL_PX, heat_max_mm=HEAT_MAX_MM)
        videos.append({**video, "caption": f"{', '.join(titles)}: {clip}, lips {error:.2f} px"})
    return videos


def _mask(cover: Occlusion, frame: int) -> NDArray[np.bool_]:
    return cover.image_mask(slice(frame, frame + 1))[0]


def _posed(asset: HeadAsset, motion: NDArray[np.float32], recording: Recording) -> NDArray[np.float32]:
    """Vertices of a motion (T, E + 3) on the true identity and pose."""
    return vertices_numpy(asset, recording.shape, motion[:, :-3], recording.global_pose, motion[:, -3:])
