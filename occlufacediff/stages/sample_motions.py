"""Stage: occlude one subject's clips of a split and reconstruct them by every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER
from occlufacediff.datasets.store import ClipStore
from occlufacediff.device import pick_device
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.methods import Method, Network, methods_of
from occlufacediff.evaluation.predictions import write_motion, write_names, write_occlusion
from occlufacediff.evaluation.protocol import batches, reconstruct
from occlufacediff.evaluation.rows import failure_row, failure_table, scored_rows
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.models.checkpoint import checkpoint_files, load_denoiser, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import FAILED, Row, key, part_path, parts_folder, remove_parts, run_shard


@dataclass(frozen=True)
class Checkpoints:
    """Folders of the evaluated networks.

    Attributes:
        motion_prior: of the motion prior.
        denoiser: of the denoiser.
        initial: the denoiser that it was fine-tuned from, scored as the method ``before_finetuning`` with the same
            motion prior; None: there is none.
    """

    motion_prior: Path
    denoiser: Path
    initial: Path | None = None

    def files(self) -> list[Path]:
        """All files of the checkpoints."""
        folders = [self.motion_prior, self.denoiser, *([] if self.initial is None else [self.initial])]
        return [file for folder in folders for file in checkpoint_files(folder)]


def sample_subject(
    subject: str,
    manifest: Path,
    clips: Path,
    audio: Path,
    coefficients: Path,
    head: Path,
    checkpoints: Checkpoints,
    motions_h5: Path,
    failures_csv: Path,
    *,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    occlusion_seed: int,
    device: str,
    phones: Path | None = None,
    chunk: str | None = None,
) -> None:
    """Write the occlusions and motions of a subject's clips (see `evaluation.predictions`), and those that failed.

    Clips are processed in batches of few clips (`evaluation.protocol.batches`), so the memory does not depend on their
    number. A finished batch is a part: a killed job continues with the next one. Draws depend on seeds and names only.

    A clip that raises an error is left out under that occlusion, for all methods, and listed in ``failures_csv``
    (`rows.FAILURE_COLUMNS`). A subject without a clip to score gets empty files.

    Args:
        subject: its name.
        manifest: manifest of the data set.
        clips: clip store of the subject.
        audio: audio of the subject.
        coefficients: coefficients of the subject; they are the truth.
        head: head model.
        checkpoints: networks to evaluate.
        motions_h5: occlusions and motions.
        failures_csv: clips that failed.
        settings: of the protocol.
        reconstruction: of the final fit of our motion to the visible landmarks.
        seed: of sampling.
        occlusion_seed: of occlusions, the same for all runs of a data set.
        device: ``auto``, ``cpu`` or ``cuda``.
        phones: recognised phones of the subject, if the denoiser reads speech features.
        chunk: of `workflow.chunks`: only the batches of that chunk are processed, and only their parts are written.

    Raises:
        AssetError: a file is missing or does not fit, or the checkpoint belongs to another head model.
        StorageError: a file cannot be read or written.
    """
    rows = scored_rows(manifest, settings.split, settings.max_clips, subject)
    asset = HeadAsset.load(head)
    parts = parts_folder(motions_h5)
    done: list[Row] = []
    methods: Mapping[str, Method] = {}
    if rows.rows:
        where = pick_device(device)
        network, before = _load(checkpoints, asset, where)
        store = ClipStore(
            manifest,
            settings.split,
            head=asset,
            coefficients=[coefficients],
            clips=[clips],
            audio=[audio],
            audio_as=AUDIO_OF_ENCODER[network.denoiser.config.audio],
            phones=None if phones is None else [phones],
            rows=rows,
        )
        methods = methods_of(
            settings, network, LandmarkBasis.of(asset), reconstruction, seed=seed, device=where, before=before
        )
        named = {f"{part[0]:06d}": part for part in batches(store, settings)}
        made_from = key(
            settings,
            reconstruction,
            seed,
            occlusion_seed,
            where.type,
            [sha256(file) for file in (head, *checkpoints.files())],
            occluder_digests(settings.occlusion.pictures, settings.occlusions),
            store.digest(),
            fingerprint("occlufacediff.stages.sample_motions"),
        )

        def write(name: str, part: Path) -> Row:
            return _write_batch(store, named[name], methods, settings, occlusion_seed, part)

        done = run_shard(of_chunk(list(named), chunk), write, parts, lambda name: made_from, title=f"{subject} batches")
    if chunk is not None:
        return
    for row in done:
        if row["status"] == FAILED:
            raise AssetError(f"evaluation: {subject}: sampling failed ({row['reason']}: {row['message']})")
    with new_hdf5(motions_h5) as file:
        file.attrs.update(head_attributes(asset))
        write_names(file, ["/".join(row) for row in rows.rows], settings.occlusions, list(methods))
        for row in done:
            _append(file, part_path(parts, row["clip"]))
    with written_aside(failures_csv) as aside:
        failure_table(line for row in done for line in row["failures"]).to_csv(aside, index=False, lineterminator="\n")
    remove_parts(parts)


def _load(checkpoints: Checkpoints, asset: HeadAsset, device: torch.device) -> tuple[Network, Network | None]:
    (prior, _), (denoiser, _) = load_networks(checkpoints.motion_prior, checkpoints.denoiser, asset, device=device)
    if checkpoints.initial is None:
        return Network(denoiser, prior), None
    before, info = load_denoiser(checkpoints.initial, device=device)
    info.require_head(asset)
    return Network(denoiser, prior), Network(before, prior)


def _write_batch(
    store: ClipStore,
    numbers: Sequence[int],
    methods: Mapping[str, Method],
    settings: EvaluationSettings,
    occlusion_seed: int,
    part: Path,
) -> Row:
    """Write occlusions and motions of some clips; ``failures`` of the row are lines of the table."""
    found = reconstruct(store, numbers, methods, settings, occlusion_seed)
    with new_hdf5(part) as file:
        for case in found.cases.values():
            write_occlusion(file, case.clip_id, case.occlusion, case.visible)
        for (kind, method, clip_id), made in found.made.items():
            write_motion(file, kind, method, clip_id, made.motion, made.samples)
    return {"failures": [failure_row(failure) for failure in found.failures]}


def _append(file: h5py.File, path: Path) -> None:
    """Copy a part one data set at a time. Copying whole groups would copy uninitialised bytes, which differ."""

    def add(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        if isinstance(thing, h5py.Dataset):
            thing.file.copy(thing, file[thing.parent.name], name.rpartition("/")[2])
            return
        group = file.require_group(name)
        for attribute, value in sorted(thing.attrs.items()):
            group.attrs[attribute] = value

    with h5py.File(path, "r") as part:
        part.visititems(add)
