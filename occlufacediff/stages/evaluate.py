"""Stage: score all methods on a split, and store metrics and predictions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from occlufacediff.evaluation import aggregation
from occlufacediff.evaluation.aggregation import SPEECH, TRUTH
from occlufacediff.evaluation.field_metrics import speech_intensity
from occlufacediff.evaluation.metrics import unit_of
from occlufacediff.evaluation.predictions import write_motion, write_occlusion
from occlufacediff.evaluation.protocol import Protocol, Round
from occlufacediff.evaluation.training_overlap import SEEN, seen_in_training
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.models.checkpoint import checkpoint_files, load_denoiser, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.reporting import main_table
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import FAILED, Row, key, part_path, parts_folder, remove_parts, run_shard

LOG = logging.getLogger(__name__)

BY_CLIP_COLUMNS = ["method", "occlusion", "subject", "clip", "metric", "unit", "value", "weight"]
FAILURE_COLUMNS = ["occlusion", "subject", "clip", "reason", "message"]


@dataclass(frozen=True)
class Tables:
    """Further tables of an evaluation.

    Attributes:
        paired: differences of methods on the same clips (`aggregation.PAIRED_COLUMNS`).
        by_group: means by emotion, level and subject (`aggregation.GROUPED_COLUMNS`).
        markdown: the main result.
        latex: the main result.
    """

    paired: Path
    by_group: Path
    markdown: Path
    latex: Path


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
    tables: Tables,
    *,
    dataset: str,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: str,
    initial_dir: Path | None = None,
    phones: Sequence[Path] | None = None,
    occlusion_seed: int | None = None,
) -> None:
    """Score all methods under all occlusions on a split.

    Writes ``metrics_csv`` (`aggregation.MEANS_COLUMNS`, ``seen_in_training`` and ``protocol``: means over n clips with
    their intervals), ``metrics_by_clip_csv`` (`BY_CLIP_COLUMNS`), ``predictions_h5``, ``failures_csv``
    (`FAILURE_COLUMNS`) and the files of ``tables``. The headline is ``lve``: over all frames of a clip, as published;
    ``lve_hidden`` is over the occluded frames only. Rows of the method ``truth`` are metrics of the truth itself.

    ``seen_in_training`` is a key of `evaluation.training_overlap.SEEN`: what training used of these clips. Evaluations
    with equal ``protocol`` have the same occlusions of equal clips, so their clips can be compared in pairs.

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
        tables: further tables.
        dataset: name of the data set, to compare it with the data that the networks were trained on.
        settings: of the protocol.
        reconstruction: of the final fit of our motion to the visible landmarks.
        seed: of sampling, and of the bootstrap.
        device: ``auto``, ``cpu`` or ``cuda``.
        initial_dir: checkpoint of the denoiser that this one was fine-tuned from; it is scored too, as the method
            ``before_finetuning``, with the same motion prior.
        phones: recognised phones of all subjects, if the denoiser reads speech features.
        occlusion_seed: of occlusions, the same for all runs of a data set; None: ``seed``.

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
    protocol = Protocol(store, asset, denoiser, prior, settings, reconstruction, seed, where, before, occlusion_seed)
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
    by_clip = pd.concat([by_clip, _speech_intensities(by_clip, audio)], ignore_index=True)
    means = aggregation.means(by_clip, settings.bootstrap, protocol.seed_of_occlusions)
    means = means.assign(seen_in_training=seen, protocol=_protocol_digest(protocol))
    for path, table in (
        (metrics_csv, means),
        (metrics_by_clip_csv, by_clip),
        (failures_csv, failures),
        (tables.paired, aggregation.paired(by_clip, settings.bootstrap, protocol.seed_of_occlusions)),
        (tables.by_group, aggregation.by_group(by_clip, settings.bootstrap, protocol.seed_of_occlusions)),
    ):
        with written_aside(path) as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
    for path, text in ((tables.markdown, main_table.markdown(means)), (tables.latex, main_table.latex(means))):
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
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
                (method, done.occlusion, *clip_id.split("/", 1), metric, unit_of(metric), float(value), weight)
                for method, clip_id, scores in [
                    *((result.method, result.clip_id, result.metrics) for result in done.results),
                    *((TRUTH, clip_id, scores) for clip_id, scores in done.truths.items()),
                ]
                for metric, value in scores.values.items()
                for weight in [scores.weight(metric)]
            ],
            "failures": [
                (kind, *failure.clip_id.split("/", 1), failure.reason, failure.message) for failure in done.failures
            ],
        }


def _speech_intensities(by_clip: pd.DataFrame, audio: Sequence[Path]) -> pd.DataFrame:
    """Rows with the ``speech_intensity`` of every scored clip, of the method ``truth``."""
    files = {path.stem: path for path in audio}
    scored = by_clip[["occlusion", "subject", "clip"]].drop_duplicates()
    levels: dict[tuple[str, str], float] = {}
    for subject, of_subject in scored.groupby("subject"):
        with h5py.File(files[str(subject)], "r") as file:
            for clip in of_subject["clip"].unique():
                levels[str(subject), str(clip)] = speech_intensity(file[clip]["waveform"][()])
    values = [levels[subject, clip] for subject, clip in zip(scored["subject"], scored["clip"], strict=True)]
    rows = scored.assign(method=TRUTH, metric=SPEECH, unit=unit_of(SPEECH), value=values, weight=1.0)
    return rows[BY_CLIP_COLUMNS]


def _protocol_digest(protocol: Protocol) -> str:
    """Digest of the split, the head model and everything that determines the occlusions."""
    settings, head = protocol.settings, head_attributes(protocol.asset)
    pictures = occluder_digests(settings.occlusion.pictures, settings.occlusions)
    occlusion = replace(settings.occlusion, pictures=None)
    return key(settings.split, occlusion, protocol.seed_of_occlusions, head, pictures)[:12]


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
    return key(
        settings,
        protocol.reconstruction,
        protocol.seed,
        protocol.seed_of_occlusions,
        device.type,
        digests,
        protocol.store.digest(),
        code,
    )
