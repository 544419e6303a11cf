"""Stage: the benchmark on a folder of real recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from occlufacediff.benchmark import calibration as spreads
from occlufacediff.benchmark.calibration import calibration
from occlufacediff.benchmark.measures import UNITS, measure, placed
from occlufacediff.benchmark.methods import fill, of_length
from occlufacediff.benchmark.occlude import hide
from occlufacediff.benchmark.recording import is_held_out, load, record, save, source_of
from occlufacediff.benchmark.statistics import clip_ranks, gains, groups, means
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.config.benchmark import BENCHMARK_METHODS, BENCHMARK_REGIONS, BENCHMARK_SPANS, BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.device import pick_device
from occlufacediff.errors import AssetError
from occlufacediff.face_mesh import LIPS
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.sound import log_mel
from occlufacediff.models.checkpoint import checkpoint_files, load_networks
from occlufacediff.occlusion.pictures import occluder_digests
from occlufacediff.prediction.motion import Heard, Networks
from occlufacediff.speech.activity import activity
from occlufacediff.speech.phones import recognise
from occlufacediff.weights import NETWORKS
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import OK, Row, key, part_path, run_shard, usable, write_index

FIGURES = ("source", "held_out", "frames", "level_db", "fit_px", "offset_frames", "heard")
COLUMNS = ("clip", "source", "held_out", "level_db", "region", "span", "method", "metric", "unit", "value")
#: Columns of all tables that hold names, which may look like numbers or like nothing (007, NA, null).
_NAMES = ("clip", "source", "group")
#: Columns whose empty cells are numbers that nobody knows.
_FIGURES = ("value", "mean", "low", "high", "gain_percent", "share_better")
#: Metrics that methods are compared by.
COMPARED = ("lips_px", "hidden_px")


@dataclass(frozen=True)
class BenchmarkInputs:
    """Everything that a clip's figures depend on beside the clip."""

    head: Path
    checkpoint: Path
    settings: BenchmarkSettings
    landmarks: LandmarkSettings
    crop: CropSettings
    reconstruction: ReconstructionSettings
    seed: int
    device: str


def run_benchmark(folder: Path, out_dir: Path, *, inputs: BenchmarkInputs, workers: int = 1) -> None:
    """Hide parts of every recording, let every method fill them in, and compare with the fit to all that was seen.

    Writes to ``out_dir``: ``clips.csv`` (a row a clip, with the reason where it could not be used), ``by_clip.csv``
    (`COLUMNS`), ``means.csv`` (with 95 % intervals over clips, for all clips and both parts), ``groups.csv`` (means by
    source and by loudness), ``gains.csv`` (ours against every other method, paired), and what was found of each clip
    under ``recordings/`` and ``filled/``; what is there already and still fits is not done again.

    Raises:
        ConfigError: see `find_videos`; a device that is not there; pictures that cannot be used.
        AssetError: head or checkpoint are missing or do not fit; no clip of the folder can be used.
    """
    clips = find_videos(folder)
    _check(inputs)
    settings, watching = inputs.settings, _of_watching(inputs)
    pictures = occluder_digests(settings.pictures, settings.regions)
    watched = run_shard(
        list(clips),
        partial(_watch, clips, inputs),
        out_dir / "recordings",
        lambda clip: key(sha256(clips[clip]), *watching, fingerprint("occlufacediff.benchmark.recording")),
        inputs=lambda clip: [clips[clip]],
        workers=workers,
        title="watching",
    )
    names = [row["clip"] for row in _usable(watched, folder)]
    parts = {name: part_path(out_dir / "recordings", name) for name in names}
    # One clip has no other's sound; nor does it count where nobody is to be misled by it.
    misled = "ours_other_sound" in settings.methods and len(names) > 1
    partners = dict(zip(names, [parts[name] for name in names[1:] + names[:1]], strict=True)) if misled else {}
    files = [file for one in NETWORKS for file in checkpoint_files(inputs.checkpoint / one)]
    networks = [pick_device(inputs.device).type, *map(sha256, files)]
    filled = run_shard(
        names,
        partial(_fill, parts, partners, inputs),
        out_dir / "filled",
        lambda name: key(
            sha256(parts[name]),
            sha256(partners[name]) if name in partners else "",
            *networks,
            *watching,
            settings,
            pictures,
            inputs.seed,
            fingerprint("occlufacediff.stages.benchmark"),
        ),
        inputs=lambda name: [parts[name], *([partners[name]] if name in partners else [])],
        workers=workers,
        title="filling in",
    )
    figures = {row["clip"]: row for row in filled}
    rows = [_joined(row, figures.get(row["clip"], {}), settings) for row in watched]
    write_index(out_dir / "clips.csv", rows, FIGURES)
    by_clip = _table(_usable(rows, folder), out_dir / "filled")
    seed = inputs.seed
    averages, ranks = (table(by_clip, settings.bootstrap, seed) for table in (means, clip_ranks))
    tables = {
        "by_clip": by_clip,
        "means": averages if ranks.empty else pd.concat([averages, ranks]),
        "groups": groups(by_clip, settings.bootstrap, seed),
        "gains": pd.concat([gains(by_clip, metric, settings.bootstrap, seed) for metric in COMPARED]),
    }
    for name, table in tables.items():
        with written_aside(out_dir / f"{name}.csv") as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")


def read_table(out_dir: Path, name: str) -> pd.DataFrame:
    """A table that `run_benchmark` left, ``clips``, ``by_clip``, ``means``, ``groups`` or ``gains``."""
    return pd.read_csv(
        out_dir / f"{name}.csv",
        dtype=dict.fromkeys(_NAMES, str),
        keep_default_na=False,
        na_values={column: [""] for column in _FIGURES},
    )


def _usable(rows: Sequence[Row], folder: Path) -> list[Mapping[str, Any]]:
    """Rows of clips that can be used; AssetError where there is none."""
    good = usable(rows)
    if not good:
        reasons = "; ".join(f"{row['clip']}: {row['reason']}" for row in rows[:5])
        raise AssetError(f"{folder}: no clip can be used ({reasons})")
    return good


def _joined(watched: Row, filled: Row, settings: BenchmarkSettings) -> Row:
    """The row of a clip; its part is told here, for rows of clips watched before know another share's."""
    row = {**watched, **filled}
    return row | {"held_out": int(is_held_out(row["clip"], settings.held_out)) if row["status"] == OK else ""}


def _of_watching(inputs: BenchmarkInputs) -> tuple[object, ...]:
    settings = inputs.settings
    return (
        sha256(inputs.head),
        settings.min_seconds,
        settings.silence_db,
        inputs.landmarks,
        inputs.crop,
        inputs.reconstruction,
    )


def _check(inputs: BenchmarkInputs) -> None:
    """Load head and networks once, so that what does not fit is said before minutes of work."""
    _networks(inputs.head, inputs.checkpoint, inputs.device)


@cache
def _head(path: Path) -> tuple[HeadAsset, LandmarkBasis]:
    asset = HeadAsset.load(path)
    return asset, LandmarkBasis.of(asset)


@cache
def _networks(head: Path, checkpoint: Path, device: str) -> Networks:
    asset, _ = _head(head)
    where = pick_device(device)
    (prior, _), (denoiser, _) = load_networks(checkpoint / "motion_prior", checkpoint / "denoiser", asset, device=where)
    return Networks(denoiser, prior, where)


def _watch(clips: dict[str, Path], inputs: BenchmarkInputs, clip: str, part: Path) -> Row:
    recording = record(
        clips[clip],
        _head(inputs.head)[1],
        settings=inputs.settings,
        landmarks=inputs.landmarks,
        crop=inputs.crop,
        reconstruction=inputs.reconstruction,
    )
    save(recording, part)
    return {
        "source": source_of(clip),
        "frames": len(recording.known),
        "level_db": round(recording.level, 2),
        "fit_px": round(recording.fit_px, 4),
    }


def _fill(parts: dict[str, Path], partners: dict[str, Path], inputs: BenchmarkInputs, clip: str, part: Path) -> Row:
    """Fill in one clip under every region and span; the part gets motions and their measures."""
    asset, basis = _head(inputs.head)
    recording, settings = load(parts[clip]), inputs.settings
    networks = _networks(inputs.head, inputs.checkpoint, inputs.device)
    # Networks that need phones hear them in `Heard.of`.
    phones = recognise(recording.waveform) if "phone_rules" in settings.methods else None
    heard = Heard.of(recording.waveform, recording.log_mel, networks, settings.adaptation, phones=phones)
    other = None
    if clip in partners:
        waveform = of_length(load(partners[clip]).waveform, len(recording.waveform))
        other = Heard.of(waveform, log_mel(waveform), networks, settings.adaptation)
    offsets: list[int] = []
    with new_hdf5(part) as file:
        for span, region in product(settings.spans, settings.regions):
            hidden = hide(recording, clip, region, span, seed=inputs.seed, pictures=settings.pictures)
            filled = fill(
                recording,
                clip,
                hidden,
                heard,
                other,
                basis,
                networks,
                settings=settings,
                reconstruction=inputs.reconstruction,
                seed=inputs.seed,
            )
            offsets.append(filled.ours.offset)
            group = file.create_group(f"{region}/{span}")
            group["visible"] = hidden.visible.astype(np.uint8)
            group.attrs["nothing_visible"] = filled.nothing_visible
            for method, motion in filled.motions.items():
                group[method] = motion
                points = placed(asset, basis, motion, filled.fit)
                found = measure(points, recording.points, hidden.scored, hidden.frames)
                if method == "ours":
                    found |= calibration(
                        basis,
                        filled.fit.shape,
                        filled.ours.motion,
                        filled.ours.spread,
                        recording.shape,
                        recording.motion,
                        hidden.frames & hidden.scored[:, LIPS].any(axis=1),
                    )
                group[method].attrs.update(found)
    kind = activity(recording.waveform, silence_db=settings.silence_db).kind
    return {"offset_frames": offsets[0], "heard": kind}


def _table(rows: Sequence[Mapping[str, Any]], folder: Path) -> pd.DataFrame:
    """All measures of all clips (`COLUMNS`)."""
    found: list[tuple[object, ...]] = []
    for row in rows:
        clip = tuple(row[name] for name in ("clip", "source", "held_out", "level_db"))
        with h5py.File(part_path(folder, row["clip"]), "r") as file:
            for region, span in product((one for one in BENCHMARK_REGIONS if one in file), BENCHMARK_SPANS):
                group = file[region].get(span, {})
                for method in (method for method in BENCHMARK_METHODS if method in group):
                    measured = group[method].attrs
                    units = {name: unit for name, unit in (UNITS | spreads.UNITS).items() if name in measured}
                    found += [(*clip, region, span, method, name, unit, measured[name]) for name, unit in units.items()]
    return pd.DataFrame(found, columns=list(COLUMNS))
