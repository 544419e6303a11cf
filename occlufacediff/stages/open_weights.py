"""Stage: trained networks become the open weights, in half precision where that moves nothing, with a model card."""

from __future__ import annotations

import copy
import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch
import yaml

from occlufacediff import __version__
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.open_weights import OpenWeightsSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.models.checkpoint import (
    CONFIG,
    WEIGHTS,
    CheckpointInfo,
    load_networks,
    rounded,
    save_checkpoint,
)
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.sample import sample_motion
from occlufacediff.occlusion.occlude import occlude_frames
from occlufacediff.reporting.templates import render

log = logging.getLogger(__name__)

#: Rounding is accepted where it moves the lips less than this, a mean over frames, millimetres.
LARGEST_CHANGE_MM = 0.01
#: All weights together, bytes: what a package may carry.
LARGEST_BYTES = 20_000_000
CARD = "MODEL_CARD.md"
#: Columns of figures on real recordings: which weights were measured, and what the card explains below the table.
FIGURE_COLUMNS = ("denoiser_sha256", "hidden", "frames")
#: Clips on which the change by rounding is measured.
_CLIPS = 4


@dataclass(frozen=True)
class Change:
    """How far lips move by rounding the weights, millimetres: mean and largest over frames of some clips."""

    mean: float
    largest: float


def pack_open_weights(
    motion_prior: Path,
    denoiser: Path,
    head: Path,
    held_out: Path,
    out_dir: Path,
    *,
    settings: OpenWeightsSettings,
    seed: int,
    figures: Path | None = None,
) -> None:
    """Write ``out_dir/{motion_prior,denoiser}/{model.safetensors,config.yaml}`` and ``out_dir/MODEL_CARD.md``.

    Args:
        motion_prior: checkpoint of the trained motion prior.
        denoiser: checkpoint of the trained denoiser.
        head: the head asset they speak of.
        held_out: a shard of clips that training did not learn from; some of them tell what rounding changes.
        out_dir: is made if missing.
        settings: of the clips and both trainings, for the card.
        seed: of everything random.
        figures: measured on real recordings, see `measured`; None: none yet.

    Raises:
        AssetError: a file is missing or does not fit, or the weights are larger than a package may carry.
    """
    asset = HeadAsset.load(head)
    (prior, prior_info), (network, network_info) = load_networks(motion_prior, denoiser, asset)
    change = change_by_rounding(network, prior, asset, held_out, seed=seed)
    precision: Literal["float32", "float16"] = "float16" if change.mean < LARGEST_CHANGE_MM else "float32"
    log.info("Rounding moves the lips by %.4f mm: saved as %s", change.mean, precision)
    networks: tuple[tuple[MotionPrior | Denoiser, CheckpointInfo], ...] = ((prior, prior_info), (network, network_info))
    packed = [(name, *pair) for name, pair in zip(("motion_prior", "denoiser"), networks, strict=True)]
    for name, model, info in packed:
        save_checkpoint(
            out_dir / name,
            model,
            head_name=info.head_name,
            head_digest=info.head_digest,
            expression_names=info.expression_names,
            training=info.training,
            provenance=info.provenance,
            precision=precision,
        )
    size = sum((out_dir / name / WEIGHTS).stat().st_size for name, *_ in packed)
    if size > LARGEST_BYTES:
        raise AssetError(
            f"{out_dir}: the weights take {size / 1e6:.1f} MB, a package may carry {LARGEST_BYTES / 1e6:.0f}; "
            "choose smaller presets in open_weights.motion_prior and open_weights.denoiser"
        )
    parts = {
        "version": __version__,
        "seed": seed,
        "head": asset,
        "clips": asdict(settings.clips),
        "shards": settings.clips.shards,
        "precision": precision,
        "change": change,
        "size_mb": size / 1e6,
        "networks": [_described(out_dir / name, model, info) for name, model, info in packed],
        "figures": measured(figures, sha256(out_dir / "denoiser" / WEIGHTS)),
    }
    with written_aside(out_dir / CARD) as aside:
        aside.write_text(render("model_card.md.j2", parts), encoding="utf-8")


@torch.no_grad()
def change_by_rounding(denoiser: Denoiser, prior: MotionPrior, asset: HeadAsset, shard: Path, *, seed: int) -> Change:
    """How far lips move when all matrices are rounded to float16: clips of a shard sampled twice, mouth hidden.

    Raises:
        AssetError: the shard is no readable file of clips.
    """
    models = [(denoiser, prior), (copy.deepcopy(denoiser), copy.deepcopy(prior))]
    for model in models[1]:
        model.load_state_dict(rounded(model.state_dict()))
    lips = HeadModel(asset, asset.regions["lips"])
    box = OcclusionSettings(mouth_with_chin=True)
    distances: list[torch.Tensor] = []
    for clip, landmarks, sound in _some_clips(shard):
        everywhere = np.ones(len(landmarks), dtype=bool)
        hidden = occlude_frames("mouth", landmarks, everywhere, np.random.default_rng(seed), box)
        shown = torch.from_numpy(hidden.lmk_mask(landmarks))
        places = []
        for network, decoder in models:
            motion = sample_motion(
                network,
                decoder,
                torch.from_numpy(landmarks),
                shown,
                torch.from_numpy(sound),
                seed=seed,
                clip_id=clip,
                steps=10,
            )[0]
            still = motion.new_zeros(1)
            places.append(
                lips(still.expand(1, asset.n_shape), motion[:, :-3], still.expand(len(motion), 3), motion[:, -3:])
            )
        distances.append((places[0] - places[1]).norm(dim=-1).flatten())
    distance = 1000 * torch.cat(distances)
    return Change(float(distance.mean()), float(distance.max()))


def measured(figures: Path | None, weights_sha256: str) -> list[dict[str, str]]:
    """Rows of a table of figures that were measured with these very weights.

    Args:
        figures: CSV with columns ``denoiser_sha256`` (of the packed ``denoiser/model.safetensors``; its first twelve
            digits suffice), ``hidden`` and ``frames`` (the part of the face and when, which the card explains), and any
            others; the card shows all but the first as they are. None gives no rows.
        weights_sha256: of the packed denoiser.

    Raises:
        AssetError: one of these columns is missing, or a digest has fewer than twelve digits.
    """
    if figures is None:
        return []
    with figures.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        rows, columns = list(table), table.fieldnames or ()
    missing = [name for name in FIGURE_COLUMNS if name not in columns]
    if missing:
        raise AssetError(
            f"{figures}: there is no column {', '.join(missing)}; figures for the card need {', '.join(FIGURE_COLUMNS)}"
        )
    kept = []
    for row in rows:
        digest = row.pop("denoiser_sha256") or ""
        if len(digest) < 12:
            raise AssetError(
                f"{figures}: column denoiser_sha256: got {digest!r}, needs twelve or more digits of the digest of the "
                "denoiser that was measured (`sha256sum denoiser/model.safetensors`)"
            )
        if weights_sha256.startswith(digest):
            kept.append(row)
    return kept


def _some_clips(shard: Path) -> Sequence[tuple[str, np.ndarray, np.ndarray]]:
    """Name, landmarks (T, 468, 2) and sound (4 T, 60) of the first clips."""
    try:
        with h5py.File(shard, "r") as file:
            return [(name, file[name]["landmarks"][()], file[name]["speech"][()]) for name in sorted(file)[:_CLIPS]]
    except (OSError, KeyError) as error:
        raise AssetError(f"{shard}: no readable shard of clips ({error}); delete it and draw it again") from error


def _described(folder: Path, model: MotionPrior | Denoiser, info: CheckpointInfo) -> dict[str, Any]:
    """What the card says of a network."""
    file = folder / WEIGHTS
    sizes = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["model"]
    last = info.training.get("last", {})
    settings = info.training.get("settings", {})
    return {
        "name": folder.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        # wav2vec2 has sizes of its own, and is no part of these networks.
        "sizes": {key: value for key, value in sizes.items() if not isinstance(value, dict)},
        "megabytes": file.stat().st_size / 1e6,
        "sha256": sha256(file),
        "device": info.training.get("device", "unknown"),
        "last": {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in last.items()},
        "settings": yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110).rstrip(),
    }
