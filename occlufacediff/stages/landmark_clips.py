"""Stages: shards of landmark clips for the open weights, and the manifest of these clips."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import h5py
from tqdm import tqdm

from occlufacediff.config.open_weights import LandmarkClipSettings
from occlufacediff.files import new_hdf5, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import FPS, MEL_RATE
from occlufacediff.synthetic.landmark_clips import generate_landmark_clip
from occlufacediff.synthetic.shards import shard_clips, shard_names

log = logging.getLogger(__name__)


def draw_shard(shard: str, head: Path, clips_h5: Path, *, settings: LandmarkClipSettings, seed: int) -> None:
    """Generate the clips of a shard. ``clips_h5`` has one group per clip with all data that training reads.

    Each group holds float32 ``exp`` (T, E), ``jaw``, ``global_pose``, ``cam`` (T, 3), ``shape`` (S,), ``landmarks``
    (T, 468, 2) and ``speech`` (4 T, 60). The bytes of the file depend on head, settings and seed only.
    """
    asset = HeadAsset.load(head)
    basis = LandmarkBasis.of(asset)
    numbers = shard_clips(shard, settings)
    with new_hdf5(clips_h5) as file:
        file.attrs.update({"fps": FPS, "sound_rate": MEL_RATE} | head_attributes(asset))
        for number in tqdm(numbers, desc=shard, unit="clip"):
            arrays = generate_landmark_clip(number, settings, seed, asset, basis).arrays()
            group = file.create_group(clip_name(number))
            for name, values in arrays.items():
                group.create_dataset({"lmk_2d": "landmarks", "audio": "speech"}.get(name, name), data=values)
    log.info("%s: %d clips", shard, len(numbers))


def clip_name(number: int) -> str:
    """Name of the group of clip ``number``."""
    return f"clip_{number:06d}"


def list_landmark_clips(shards: list[Path], manifest: Path, *, settings: LandmarkClipSettings) -> None:
    """Write the manifest for training: ``subject,clip,split,status,frames`` of the clips of all ``shards``."""
    names = shard_names(settings)
    with written_aside(manifest) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("subject", "clip", "split", "status", "frames"))
        for path in shards:
            held_out = names.index(path.stem) >= len(names) - settings.validation_shards
            with h5py.File(path, "r") as clips:
                for name in sorted(clips):
                    split = "validation" if held_out else "train"
                    writer.writerow((path.stem, name, split, "ok", len(clips[name]["exp"])))
