"""Stage: pack trained networks as the open weights, in half precision if that is accurate, with a model card."""

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

from occlufacediff.config.names import NETWORKS
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.open_weights import OpenWeightsSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.models.checkpoint import (
    CONFIG,
    PRIOR_OF_DENOISER,
    WEIGHTS,
    CheckpointInfo,
    checkpoint_files,
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

#: Rounding is accepted if it moves the lips by less than this, mean over frames, millimetres.
LARGEST_CHANGE_MM = 0.01
#: Size limit of all weights together, bytes.
LARGEST_BYTES = 20_000_000
CARD = "MODEL_CARD.md"
#: Required columns of the scores on real videos: the measured weights, and what the card explains.
FIGURE_COLUMNS = ("denoiser_sha256", "hidden", "frames")
#: Clips on which the change by rounding is measured.
_CLIPS = 4


@dataclass(frozen=True)
class Change:
    """Distance by which rounding the weights moves the lips, millimetres: mean and largest over frames."""

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
        head: their head model.
        held_out: a shard of validation clips, on some of which the change by rounding is measured.
        out_dir: created if missing.
        settings: of the clips and both trainings, for the card.
        seed: of all random draws.
        figures: scores on real videos, see `measured`; None: none.

    Raises:
        AssetError: a file is missing or does not fit the others, or the weights are larger than `LARGEST_BYTES`.
    """
    asset = HeadAsset.load(head)
    (prior, prior_info), (network, network_info) = load_networks(motion_prior, denoiser, asset)
    change = change_by_rounding(network, prior, asset, held_out, seed=seed)
    precision: Literal["float32", "float16"] = "float16" if change.mean < LARGEST_CHANGE_MM else "float32"
    log.info("Rounding moves the lips by %.4f mm: saved as %s", change.mean, precision)
    networks: tuple[tuple[MotionPrior | Denoiser, CheckpointInfo], ...] = ((prior, prior_info), (network, network_info))
    packed = [(name, *pair) for name, pair in zip(NETWORKS, networks, strict=True)]
    for name, model, info in packed:
        training = dict(info.training)
        if PRIOR_OF_DENOISER in training:
            # Packed first, with other digits.
            training[PRIOR_OF_DENOISER] = sha256(checkpoint_files(out_dir / NETWORKS[0])[0])
        save_checkpoint(
            out_dir / name,
            model,
            head_name=info.head_name,
            head_digest=info.head_digest,
            expression_names=info.expression_names,
            training=training,
            provenance=info.provenance,
            precision=precision,
        )
    size = sum((out_dir / name / WEIGHTS).stat().st_size for name, *_ in packed)
    if size > LARGEST_BYTES:
        raise AssetError(
            f"{out_dir}: the weights take {size / 1e6:.1f} MB, the limit is {LARGEST_BYTES / 1e6:.0f} MB; "
            "choose smaller presets in open_weights.motion_prior and open_weights.denoiser"
        )
    write_card(out_dir, asset, change, precision, settings=settings, seed=seed, figures=figures)


def write_card(
    folder: Path,
    asset: HeadAsset,
    change: Change,
    precision: Literal["float32", "float16"],
    *,
    settings: OpenWeightsSettings,
    seed: int,
    figures: Path | None,
) -> None:
    """Write the model card of packed weights to ``folder/MODEL_CARD.md``; arguments as in `pack_open_weights`."""
    prior, denoiser = load_networks(folder / "motion_prior", folder / "denoiser", asset)
    described = [_described(folder / "motion_prior", *prior), _described(folder / "denoiser", *denoiser)]
    parts = {
        "version": prior[1].version,
        "seed": seed,
        "head_name": asset.name,
        "head_digest": asset.digest,
        "n_exp": asset.n_exp,
        "clips": asdict(settings.clips),
        "shards": settings.clips.shards,
        "precision": precision,
        "change": change,
        "size_mb": sum(network["megabytes"] for network in described),
        "networks": described,
        "figures": measured(figures, sha256(folder / "denoiser" / WEIGHTS)),
    }
    with written_aside(folder / CARD) as aside:
        aside.write_text(render("model_card.md.j2", parts), encoding="utf-8")


@torch.no_grad()
def change_by_rounding(denoiser: Denoiser, prior: MotionPrior, asset: HeadAsset, shard: Path, *, seed: int) -> Change:
    """How far the lips move if all matrices are rounded to float16: clips are sampled twice, with an occluded mouth.

    Raises:
        AssetError: the shard is not a readable file of clips.
    """
    models = [(denoiser, prior), (copy.deepcopy(denoiser), copy.deepcopy(prior))]
    for model in models[1]:
        model.load_state_dict(rounded(model.state_dict()))
    lips = HeadModel(asset, asset.regions["lips"])
    box = OcclusionSettings(mouth_with_chin=True)
    distances: list[torch.Tensor] = []
    for clip, landmarks, audio in _some_clips(shard):
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
                torch.from_numpy(audio),
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
    """Rows of a table of scores that were measured with these weights.

    Args:
        figures: CSV with the columns ``denoiser_sha256`` (of the packed ``denoiser/model.safetensors``, at least twelve
            digits), ``hidden`` and ``frames`` (occluded part of the face and frames, which the card explains), and any
            others. The card shows all columns but the first. None: no rows.
        weights_sha256: of the packed denoiser.

    Raises:
        AssetError: a required column is missing, or a digest has fewer than twelve digits.
    """
    if figures is None:
        return []
    with figures.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        rows, columns = list(table), table.fieldnames or ()
    missing = [name for name in FIGURE_COLUMNS if name not in columns]
    if missing:
        raise AssetError(
            f"{figures}: column {', '.join(missing)} is missing; scores for the card need {', '.join(FIGURE_COLUMNS)}"
        )
    kept = []
    for row in rows:
        digest = row.pop("denoiser_sha256") or ""
        if len(digest) < 12:
            raise AssetError(
                f"{figures}: column denoiser_sha256: got {digest!r}, needs at least twelve digits of the digest of "
                "the measured denoiser (`sha256sum denoiser/model.safetensors`)"
            )
        if weights_sha256.startswith(digest):
            kept.append(row)
    return kept


def _some_clips(shard: Path) -> Sequence[tuple[str, np.ndarray, np.ndarray]]:
    """Name, landmarks (T, 468, 2) and speech features (4 T, 60) of the first clips."""
    try:
        with h5py.File(shard, "r") as file:
            return [(name, file[name]["landmarks"][()], file[name]["speech"][()]) for name in sorted(file)[:_CLIPS]]
    except (OSError, KeyError) as error:
        raise AssetError(f"{shard}: not a readable shard of clips ({error}); delete it and draw it again") from error


def _described(folder: Path, model: MotionPrior | Denoiser, info: CheckpointInfo) -> dict[str, Any]:
    """Entries of the card for one network."""
    file = folder / WEIGHTS
    sizes = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["model"]
    last = info.training.get("last", {})
    settings = info.training.get("settings", {})
    return {
        "name": folder.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        # The sizes of wav2vec2 do not apply to these networks.
        "sizes": {key: value for key, value in sizes.items() if not isinstance(value, dict)},
        "megabytes": file.stat().st_size / 1e6,
        "sha256": sha256(file),
        "device": info.training.get("device", "unknown"),
        "last": {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in last.items()},
        "settings": yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110).rstrip(),
    }
