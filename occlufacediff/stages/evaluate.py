"""Stage: score all methods on a split, and store metrics and predictions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import pandas as pd
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER
from occlufacediff.datasets.store import ClipStore
from occlufacediff.device import pick_device
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.predictions import write_motion, write_occlusion
from occlufacediff.evaluation.protocol import Protocol, Round
from occlufacediff.evaluation.scores import unit_of
from occlufacediff.evaluation.training_overlap import SEEN, seen_in_training
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.models.checkpoint import checkpoint_files, load_denoiser, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import FAILED, Row, key, part_path, parts_folder, remove_parts, run_shard

LOG = logging.getLogger(__name__)

BY_CLIP_COLUMNS = ["method", "occlusion", "subject", "clip", "metric", "unit", "value"]
FAILURE_COLUMNS = ["occlusion", "subject", "clip", "reason", "message"]


def evaluate(
    manifest: Path,
    clips: Sequence[Path],
    audio: Sequence[Path],
    coefficients: Sequence[Path],
    head: Path,
    motion_prior_dir: Path,
    denoiser_dir: Path,
    metrics_csv: Path,
    metrics_by_clip_csv: Path,
    predictions_h5: Path,
    failures_csv: Path,
    *,
    dataset: str,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: str,
    initial_dir: Path | None = None,
    phones: Sequence[Path] | None = None,
) -> None:
    """Score all methods under all occlusions on a split.

    Writes ``metrics_csv`` (``method, occlusion, metric, unit, mean, n, seen_in_training``: means over n clips),
    ``metrics_by_clip_csv`` (`BY_CLIP_COLUMNS`), ``predictions_h5`` and ``failures_csv`` (`FAILURE_COLUMNS`). The
    headline is ``lve``: over all frames of a clip, as published; ``lve_hidden`` is over the occluded frames only.
    ``seen_in_training`` is a key of `evaluation.training_overlap.SEEN`: what training used of these clips.

    A clip that raises an error is left out under that occlusion, for all methods, and listed in ``failures_csv``.
    Occlusions that a killed run finished are stored beside ``predictions_h5`` and reused.

    Args:
        manifest: manifest of the data set.
        clips: clip stores of all subjects.
        audio: audio of all subjects.
        coefficients: coefficients of all subjects; they are the truth.
        head: head model.
        motion_prior_dir: checkpoint of the motion prior.
        denoiser_dir: checkpoint of the denoiser.
        metrics_csv: means.
        metrics_by_clip_csv: one row per clip, method, occlusion and metric.
        predictions_h5: motions and occlusions (see `evaluation.predictions`).
        failures_csv: clips that failed.
        dataset: name of the data set, to compare it with the data that the networks were trained on.
        settings: of the protocol.
        reconstruction: of the final fit of our motion to the visible landmarks.
        seed: of occlusions and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        initial_dir: checkpoint of the denoiser that this one was fine-tuned from; it is scored too, as the method
            ``before_finetuning``, with the same motion prior.
        phones: recognised phones of all subjects, if the denoiser reads speech features.

    Raises:
        AssetError: a file is missing or does not fit, the checkpoint belongs to another head model, or every clip
            failed.
        StorageError: a file cannot be read or written.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    (prior, prior_info), (denoiser, denoiser_info) = load_networks(motion_prior_dir, denoiser_dir, asset, device=where)
    store = ClipStore(
        manifest,
        settings.split,
        head=asset,
        coefficients=coefficients,
        clips=clips,
        audio=audio,
        audio_as=AUDIO_OF_ENCODER[denoiser.config.audio],
        phones=phones,
    )
    provenances = [info.provenance for info in (prior_info, denoiser_info)]
    seen = seen_in_training(provenances, dataset, store.clip_sentences())
    LOG.log(logging.INFO if seen in ("no", "no_subjects") else logging.WARNING, SEEN[seen])
    before = None
    if initial_dir is not None:
        before, before_info = load_denoiser(initial_dir, device=where)
        before_info.require_head(asset)
    protocol = Protocol(store, asset, denoiser, prior, settings, reconstruction, seed, where, before)
    parts = parts_folder(predictions_h5)
    folders = [motion_prior_dir, denoiser_dir, *([] if initial_dir is None else [initial_dir])]
    checkpoints = [file for folder in folders for file in checkpoint_files(folder)]
    made_from = _key(protocol, [head, *checkpoints])
    done = run_shard(settings.occlusions, _Rounds(protocol).write, parts, lambda kind: made_from, title="occlusions")
    for row in done:
        if row["status"] == FAILED:
            raise AssetError(f"evaluation: the occlusion {row['clip']} failed ({row['reason']}: {row['message']})")
    failures = pd.DataFrame([line for row in done for line in row["failures"]], columns=FAILURE_COLUMNS)
    by_clip = pd.DataFrame([line for row in done for line in row["scores"]], columns=BY_CLIP_COLUMNS)
    if by_clip.empty:
        first = failures.iloc[0]
        raise AssetError(
            f"evaluation: all {failures.groupby(['subject', 'clip']).ngroups} clips failed (first "
            f"{first['subject']}/{first['clip']}: {first['reason']}: {first['message']})"
        )
    for _, line in failures.iterrows():
        LOG.warning("%s/%s failed: %s: %s", line["subject"], line["clip"], line["reason"], line["message"])
    with new_hdf5(predictions_h5) as file:
        file.attrs.update(head_attributes(asset))
        for row in done:
            _append(file, part_path(parts, row["clip"]))
    groups = by_clip.groupby(["method", "occlusion", "metric", "unit"], sort=False)["value"]
    means = groups.agg(mean="mean", n="size").reset_index().assign(seen_in_training=seen)
    for path, table in ((metrics_csv, means), (metrics_by_clip_csv, by_clip), (failures_csv, failures)):
        with written_aside(path) as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
    remove_parts(parts)


class _Rounds:
    """Rounds of the protocol in the order in which the shard runner requests them."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._kinds: list[str] = []
        self._rounds: Iterator[Round] = iter(())

    def write(self, kind: str, part: Path) -> Row:
        """Write the round of one occlusion kind; ``scores`` and ``failures`` of the row are lines of the tables."""
        if kind not in self._kinds:
            kinds: list[str] = list(self._protocol.settings.occlusions)
            # One iterator for all remaining kinds, so that surfaces of the truth are computed once.
            self._kinds = kinds[kinds.index(kind) :]
            self._rounds = self._protocol.rounds(self._kinds)
        while True:
            next_kind, *self._kinds = self._kinds
            done = next(self._rounds)
            if next_kind == kind:
                break
        with new_hdf5(part) as file:
            for case in done.cases:
                write_occlusion(file, case.clip_id, case.occlusion, case.visible)
            for result in done.results:
                write_motion(file, result.occlusion, result.method, result.clip_id, result.motion)
        return {
            "scores": [
                (result.method, result.occlusion, *result.clip_id.split("/", 1), metric, unit_of(metric), float(value))
                for result in done.results
                for metric, value in result.metrics.items()
            ],
            "failures": [
                (kind, *failure.clip_id.split("/", 1), failure.reason, failure.message) for failure in done.failures
            ],
        }


def _append(file: h5py.File, path: Path) -> None:
    """Copy a part one data set at a time. Copying whole groups would copy uninitialised bytes, which differ."""

    def add(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        if isinstance(thing, h5py.Dataset):
            thing.file.copy(thing, file[thing.parent.name], name.rpartition("/")[2])
            return
        group = file.create_group(name)
        for attribute, value in sorted(thing.attrs.items()):
            group.attrs[attribute] = value

    with h5py.File(path, "r") as part:
        part.visititems(add)


def _key(protocol: Protocol, files: Sequence[Path]) -> str:
    """Digest of everything that a round depends on."""
    settings, device = protocol.settings, torch.device(protocol.device)
    digests = [*map(sha256, files), *occluder_digests(settings.occlusion.pictures, settings.occlusions)]
    code = fingerprint("occlufacediff.stages.evaluate")
    return key(settings, protocol.reconstruction, protocol.seed, device.type, digests, protocol.store.digest(), code)
