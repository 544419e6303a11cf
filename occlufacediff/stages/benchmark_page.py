"""Stage: the benchmark's HTML page, from its tables and its intermediate results."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.benchmark import page_parts
from occlufacediff.benchmark.occluded_recording import occlude_recording
from occlufacediff.benchmark.recording import Recording, read_recording
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.media.frames import read_frames
from occlufacediff.media.rates import FPS
from occlufacediff.occlusion.occlude import Occlusion
from occlufacediff.rendering.panel_drawing import view_image
from occlufacediff.reporting.embed import result_video, video_or_note
from occlufacediff.reporting.names import METHOD_NAMES
from occlufacediff.reporting.tables import read_table
from occlufacediff.reporting.templates import render
from occlufacediff.reporting.videos import ResultClip
from occlufacediff.stages.benchmark import COLUMNS, MOTIONS, RECORDINGS, BenchmarkInputs
from occlufacediff.workflow.shards import part_path

PANEL_PX, HEAT_MAX_MM = 256, 8.0


def write_page(folder: Path, out_dir: Path, *, inputs: BenchmarkInputs) -> None:
    """Write ``out_dir/benchmark.html`` from the results of `run_benchmark`.

    The videos show the best, the median and the worst clip (by lip error of ours) of the first region and span. A clip
    that has several of these places is shown once. A video that cannot be drawn is replaced by a note.
    """
    tables = {name: read_table(out_dir / f"{name}.csv", ()) for name in ("means", "gains", "groups")}
    by_clip = read_table(out_dir / "by_clip.csv", COLUMNS)
    clips = read_table(out_dir / "clips.csv", ("clip", "status", "reason", "message"))
    settings = inputs.settings
    region, span = settings.regions[0], settings.spans[0]
    methods = [one for one in ("ours", "ours_without_audio", "interpolation", "bridge") if one in settings.methods]
    good = clips[clips["status"] == "ok"]
    what = f"{page_parts.REGION_NAMES[region]} occluded {page_parts.SPAN_NAMES[span]}"
    by_loudness = (tables["groups"]["grouped_by"] == "loudness").any()
    loudness = "thirds of the clips by their loudest 20 ms." if by_loudness else "too few clips for groups."
    parts = {
        "intro": f"{len(good)} of {len(clips)} clips, {good['frames'].sum() / FPS:.0f} seconds. "
        "Part of each face is occluded, every method reconstructs it, and the result is compared with the original. "
        + page_parts.single_clip_note(settings.methods, set(by_clip["method"])),
        "cards": page_parts.cards(tables["means"], tables["gains"], region, span),
        "settings": page_parts.settings_part(tables["means"], tables["gains"], by_clip, inputs.seed),
        "videos": _videos(folder, out_dir, by_clip, inputs),
        "videos_note": f"{what}. Clips are ordered by the lip error of our method. Warm colours mark the occluded "
        "area. The last panel shows the distance on the surface, with identity and pose of the truth.",
        "groups_note": f"{what}: error of the lips in px. Loudness: {loudness}",
        "group_columns": ["clips", *(METHOD_NAMES[one] for one in methods), "opening r, ours"],
        "groups": page_parts.group_rows(tables["groups"], region, span, methods),
        "clips_note": f"{100 * settings.held_out:.0f} % of the clips, drawn from their names, are held out: "
        "no choice depends on them.",
        "clips": page_parts.clip_rows(clips),
    }
    with written_aside(out_dir / "benchmark.html") as aside:
        aside.write_text(render("benchmark.html.j2", parts), encoding="utf-8")


def _videos(folder: Path, out_dir: Path, by_clip: pd.DataFrame, inputs: BenchmarkInputs) -> list[dict[str, str]]:
    """Videos of the best, the median and the worst clip."""
    region, span = inputs.settings.regions[0], inputs.settings.spans[0]
    chosen = by_clip[(by_clip["region"] == region) & (by_clip["span"] == span) & (by_clip["method"] == "ours")]
    errors = chosen[chosen["metric"] == "lips_px"].dropna(subset=["value"]).sort_values("value", kind="stable")
    if errors.empty:
        return []
    asset, paths = HeadAsset.load(inputs.head), find_videos(folder)
    places: dict[int, list[str]] = {}
    for title, place in {"best": 0, "median": len(errors) // 2, "worst": len(errors) - 1}.items():
        places.setdefault(place, []).append(title)
    videos = []
    for place, titles in places.items():
        clip, error = str(errors.iloc[place]["clip"]), float(errors.iloc[place]["value"])
        caption = f"{', '.join(titles)}: {clip}, lips {error:.2f} px"
        videos.append(video_or_note(caption, partial(_video, clip, paths[clip], out_dir, asset, inputs)))
    return videos


def _video(clip: str, path: Path, out_dir: Path, asset: HeadAsset, inputs: BenchmarkInputs) -> dict[str, str]:
    region, span = inputs.settings.regions[0], inputs.settings.spans[0]
    recording = read_recording(part_path(out_dir / RECORDINGS, clip))
    occluded = occlude_recording(recording, clip, region, span, seed=inputs.seed, pictures=inputs.settings.pictures)
    with h5py.File(part_path(out_dir / MOTIONS, clip), "r") as file:
        ours = file[f"{region}/{span}/ours"][()]
    views = zip(islice(read_frames(path), len(ours)), recording.boxes, strict=True)
    shown = ResultClip(
        crops=np.stack([view_image(frame, box, CROP_PX) for frame, box in views]),
        occluded=partial(_mask, occluded.occlusion),
        truth=_posed(asset, recording.motion, recording),
        ours=_posed(asset, ours, recording),
        cam=recording.cam,
    )
    return result_video(shown, asset, recording.waveform, panel=PANEL_PX, heat_max_mm=HEAT_MAX_MM)


def _mask(occlusion: Occlusion, frame: int) -> NDArray[np.bool_]:
    return occlusion.image_mask(slice(frame, frame + 1))[0]


def _posed(asset: HeadAsset, motion: NDArray[np.float32], recording: Recording) -> NDArray[np.float32]:
    """Vertices of a motion (T, E + 3) with the true identity and pose."""
    return vertices_numpy(asset, recording.shape, motion[:, :-3], recording.global_pose, motion[:, -3:])
