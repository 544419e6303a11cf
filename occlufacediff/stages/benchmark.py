"""Stage: the benchmark on a folder of real videos."""

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
from occlufacediff.benchmark.methods import repeat_to_length, run_methods
from occlufacediff.benchmark.metrics import UNITS, measure, posed_landmarks
from occlufacediff.benchmark.occluded_recording import occlude_recording
from occlufacediff.benchmark.recording import (
    is_held_out,
    make_recording,
    read_recording,
    source_of,
    write_recording,
)
from occlufacediff.benchmark.statistics import clip_ranks, gains, groups, means
from occlufacediff.benchmark.videos import find_videos
from occlufacediff.config.benchmark import BENCHMARK_METHODS, BENCHMARK_REGIONS, BENCHMARK_SPANS, BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.names import NETWORKS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.device import pick_device
from occlufacediff.errors import AssetError
from occlufacediff.face_mesh import LIPS
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.audio import log_mel
from occlufacediff.models.checkpoint import checkpoint_files, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.speech import recognise_speech
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.speech.voice_activity import detect_voice_activity
from occlufacediff.storage import faults_named
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import OK, Row, key, part_path, run_shard, usable, write_index

#: Columns of ``clips.csv`` after status, reason and message.
FIGURES = ("source", "held_out", "frames", "level_db", "fit_px", "offset_frames", "audio_kind")
#: Columns of ``by_clip.csv``.
COLUMNS = ("clip", "source", "held_out", "level_db", "region", "span", "method", "metric", "unit", "value")
#: Metrics by which methods are compared.
COMPARED = ("lips_px", "hidden_px")
#: Folders below the output folder: the decoded clips, and the motions of all methods with their metrics.
RECORDINGS, MOTIONS = "recordings", "motions"


@dataclass(frozen=True)
class BenchmarkInputs:
    """Everything besides the clip that its results depend on."""

    head: Path
    checkpoint: Path
    settings: BenchmarkSettings
    landmarks: LandmarkSettings
    crop: CropSettings
    reconstruction: ReconstructionSettings
    seed: int
    device: str


def run_benchmark(folder: Path, out_dir: Path, *, inputs: BenchmarkInputs, workers: int = 1) -> None:
    """Occlude every video, reconstruct it by every method, and compare with the fit to all landmarks.

    Writes to ``out_dir``: ``clips.csv`` (one row per clip, with the reason if it failed), ``by_clip.csv`` (`COLUMNS`),
    ``means.csv`` (with 95 % intervals over clips, for all, open and held-out clips), ``groups.csv`` (means by source
    and by loudness), ``gains.csv`` (paired comparison of ours with every other method), and intermediate results per
    clip below ``recordings/`` and ``motions/``. Intermediate results whose inputs have not changed are reused.

    A clip that raises an error becomes a failed row; the other clips continue.

    Raises:
        ConfigError: see `find_videos`; the device does not exist; pictures cannot be used.
        AssetError: head or checkpoint are missing or do not fit; every clip failed.
        StorageError: a video cannot be read, or the output cannot be written.
    """
    clips = find_videos(folder)
    _networks(inputs.head, inputs.checkpoint, inputs.device)  # fail before minutes of work if they do not fit
    settings, shared = inputs.settings, _recording_key(inputs)
    pictures = occluder_digests(settings.pictures, settings.regions)
    recorded = run_shard(
        list(clips),
        partial(_record, clips, inputs),
        out_dir / RECORDINGS,
        lambda clip: key(_digest(clips[clip]), *shared, fingerprint("occlufacediff.benchmark.recording")),
        inputs=lambda clip: [clips[clip]],
        workers=workers,
        title="reading videos",
    )
    names = [row["clip"] for row in usable(recorded)]
    if not names:
        write_index(out_dir / "clips.csv", recorded, FIGURES)
        raise _all_failed(folder, recorded)
    parts = {name: part_path(out_dir / RECORDINGS, name) for name in names}
    # The audio of the next clip; a single clip has no other audio.
    needs_other = "ours_other_audio" in settings.methods and len(names) > 1
    partners = dict(zip(names, [parts[name] for name in names[1:] + names[:1]], strict=True)) if needs_other else {}
    files = [file for one in NETWORKS for file in checkpoint_files(inputs.checkpoint / one)]
    networks = [pick_device(inputs.device).type, *map(sha256, files)]
    compared = run_shard(
        names,
        partial(_compare, parts, partners, inputs),
        out_dir / MOTIONS,
        lambda name: key(
            sha256(parts[name]),
            sha256(partners[name]) if name in partners else "",
            *networks,
            *shared,
            settings,
            pictures,
            inputs.seed,
            fingerprint("occlufacediff.stages.benchmark"),
        ),
        inputs=lambda name: [parts[name], *([partners[name]] if name in partners else [])],
        workers=workers,
        title="comparing methods",
    )
    by_name = {row["clip"]: row for row in compared}
    rows = [_joined(row, by_name.get(row["clip"], {}), settings) for row in recorded]
    write_index(out_dir / "clips.csv", rows, FIGURES)
    good = usable(rows)
    if not good:
        raise _all_failed(folder, rows)
    by_clip = _table(good, out_dir / MOTIONS)
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


def _all_failed(folder: Path, rows: Sequence[Row]) -> AssetError:
    """The error for a folder of which every clip failed."""
    shown = "; ".join(f"{row['clip']}: {row['reason']}" for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return AssetError(f"{folder}: all {len(rows)} clips failed ({shown}{more}); clips.csv has the messages")


def _digest(video: Path) -> str:
    with faults_named(video):
        return sha256(video)


def _joined(recorded: Row, compared: Row, settings: BenchmarkSettings) -> Row:
    """The row of a clip. ``held_out`` is computed here, because recordings are reused when the fraction changes."""
    row = {**recorded, **compared}
    return row | {"held_out": int(is_held_out(row["clip"], settings.held_out)) if row["status"] == OK else ""}


def _recording_key(inputs: BenchmarkInputs) -> tuple[object, ...]:
    """Everything besides the video that a recording depends on."""
    settings = inputs.settings
    return (
        sha256(inputs.head),
        settings.min_seconds,
        settings.silence_db,
        inputs.landmarks,
        inputs.crop,
        inputs.reconstruction,
    )


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


def _record(clips: dict[str, Path], inputs: BenchmarkInputs, clip: str, part: Path) -> Row:
    """Decode one video and fit the head model; write the recording."""
    recording = make_recording(
        clips[clip],
        _head(inputs.head)[1],
        settings=inputs.settings,
        landmarks=inputs.landmarks,
        crop=inputs.crop,
        reconstruction=inputs.reconstruction,
    )
    write_recording(recording, part)
    return {
        "source": source_of(clip),
        "frames": len(recording.known),
        "level_db": round(recording.level, 2),
        "fit_px": round(recording.fit_px, 4),
    }


def _compare(parts: dict[str, Path], partners: dict[str, Path], inputs: BenchmarkInputs, clip: str, part: Path) -> Row:
    """Reconstruct one clip under every region and span; write the motions with their metrics."""
    asset, basis = _head(inputs.head)
    recording, settings = read_recording(parts[clip]), inputs.settings
    networks = _networks(inputs.head, inputs.checkpoint, inputs.device)
    # `recognise_speech` recognises phones itself where the networks need them.
    phones = recognise_phones(recording.waveform) if "phone_rules" in settings.methods else None
    speech = recognise_speech(recording.waveform, recording.log_mel, networks, settings.adaptation, phones=phones)
    other = None
    if clip in partners:
        waveform = repeat_to_length(read_recording(partners[clip]).waveform, len(recording.waveform))
        other = recognise_speech(waveform, log_mel(waveform), networks, settings.adaptation)
    offsets: list[int] = []
    with new_hdf5(part) as file:
        for span, region in product(settings.spans, settings.regions):
            occluded = occlude_recording(recording, clip, region, span, seed=inputs.seed, pictures=settings.pictures)
            result = run_methods(
                recording,
                clip,
                occluded,
                speech,
                other,
                basis,
                networks,
                settings=settings,
                reconstruction=inputs.reconstruction,
                seed=inputs.seed,
            )
            offsets.append(result.ours.offset)
            group = file.create_group(f"{region}/{span}")
            group["visible"] = occluded.visible.astype(np.uint8)
            group.attrs["nothing_visible"] = result.nothing_visible
            for method, motion in result.motions.items():
                group[method] = motion
                points = posed_landmarks(asset, basis, motion, result.fit)
                metrics = measure(points, recording.points, occluded.scored, occluded.frames)
                if method == "ours":
                    metrics |= calibration(
                        basis,
                        result.fit.shape,
                        result.ours.motion,
                        result.ours.spread,
                        recording.shape,
                        recording.motion,
                        occluded.frames & occluded.scored[:, LIPS].any(axis=1),
                    )
                group[method].attrs.update(metrics)
    kind = detect_voice_activity(recording.waveform, silence_db=settings.silence_db).kind
    return {"offset_frames": offsets[0], "audio_kind": kind}


def _table(rows: Sequence[Mapping[str, Any]], folder: Path) -> pd.DataFrame:
    """All metrics of all clips (`COLUMNS`)."""
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
