"""Stage: occlude one subject's clips of a split and reconstruct them by every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.names import NETWORKS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.device import pick_device
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.cases import Case, from_visible
from occlufacediff.evaluation.clip_list import TOO_SHORT
from occlufacediff.evaluation.methods import BEFORE, Method, Network, audio_kinds, methods_of
from occlufacediff.evaluation.painted import PaintedClip, PaintedClips
from occlufacediff.evaluation.predictions import write_fit, write_motion, write_names, write_occlusion
from occlufacediff.evaluation.protocol import Reconstruction, batches, reconstruct
from occlufacediff.evaluation.rows import failure_row, failure_table, scored_clips
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import CROP_SCALE
from occlufacediff.models.checkpoint import checkpoint_files, load_denoiser, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import (
    FAILED,
    Row,
    key,
    part_path,
    parts_folder,
    read_index,
    remove_parts,
    run_shard,
)


@dataclass(frozen=True)
class Checkpoints:
    """Folders of the evaluated networks.

    Attributes:
        motion_prior: of the motion prior.
        denoiser: of the denoiser.
        initial: the denoiser that it was fine-tuned from, scored as the method ``before_finetuning`` with the same
            motion prior; None: there is none.
        others: folders with ``motion_prior/`` and ``denoiser/`` of further checkpoints, by the name of their method.
    """

    motion_prior: Path
    denoiser: Path
    initial: Path | None = None
    others: Mapping[str, Path] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """All files of the checkpoints."""
        folders = [self.motion_prior, self.denoiser, *([] if self.initial is None else [self.initial])]
        folders += [folder / name for folder in self.others.values() for name in NETWORKS]
        return [file for folder in folders for file in checkpoint_files(folder)]

    def load(self, asset: HeadAsset, device: torch.device) -> tuple[Network, dict[str, Network]]:
        """The evaluated network, and the further ones by the name of their method.

        Raises:
            AssetError: a checkpoint cannot be read, or belongs to another head model.
        """
        (prior, _), (denoiser, _) = load_networks(self.motion_prior, self.denoiser, asset, device=device)
        others: dict[str, Network] = {}
        if self.initial is not None:
            before, info = load_denoiser(self.initial, device=device)
            info.require_head(asset)
            others[BEFORE] = Network(before, prior)
        for name, folder in self.others.items():
            try:
                (its_prior, _), (its_denoiser, _) = load_networks(
                    folder / "motion_prior", folder / "denoiser", asset, device=device
                )
            except AssetError as error:
                raise AssetError(f"evaluation.checkpoints.{name}: {error}") from error
            others[name] = Network(its_denoiser, its_prior)
        return Network(denoiser, prior), others


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
    crop_scale: float = CROP_SCALE,
    phones: Path | None = None,
    painted: tuple[Path, Path] | None = None,
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
        crop_scale: edge of a crop relative to the landmarks, as in the crop stage; for ``identity: visible``.
        phones: recognised phones of the subject, if a denoiser reads speech features or a method needs phones.
        painted: clips with painted occluders and their index (`stages.paint_occluders`), for the kinds that need them.
        chunk: of `workflow.chunks`: only the batches of that chunk are processed, and only their parts are written.

    Raises:
        AssetError: a file is missing or does not fit, or the checkpoint belongs to another head model.
        StorageError: a file cannot be read or written.
    """
    scored = scored_clips(manifest, settings, subject)
    rows = scored.rows
    asset = HeadAsset.load(head)
    parts = parts_folder(motions_h5)
    done: list[Row] = []
    methods: Mapping[str, Method] = {}
    if rows.rows:
        where = pick_device(device)
        network, others = checkpoints.load(asset, where)
        basis = LandmarkBasis.of(asset)
        store = ClipStore(
            manifest,
            settings.split,
            head=asset,
            coefficients=[coefficients],
            clips=[clips],
            audio=[audio],
            audio_as=None,
            phones=None if phones is None else [phones],
            rows=rows,
        )
        methods = methods_of(settings, network, basis, reconstruction, seed=seed, device=where, others=others)
        kinds = audio_kinds(settings, [network, *others.values()])
        given = _given(store, kinds, settings, basis, reconstruction, crop_scale)
        named = {f"{part[0]:06d}": part for part in batches(store, settings)}
        made_from = key(
            settings,
            reconstruction,
            seed,
            occlusion_seed,
            where.type,
            crop_scale,
            list(others),
            [sha256(file) for file in (head, *checkpoints.files())],
            occluder_digests(settings.occlusion.pictures, settings.occlusions, settings.occlusion.occluders),
            store.digest(),
            [sha256(file) for file in painted or ()],
            fingerprint("occlufacediff.stages.sample_motions"),
        )
        occluded = _painted(store, painted) if settings.painted else None

        def write(name: str, part: Path) -> Row:
            found = reconstruct(store, named[name], methods, settings, occlusion_seed, given, occluded)
            return _write_batch(found, part)

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
        failed = [
            (kind, *row, "", TOO_SHORT, why) for row, why in scored.skipped.items() for kind in settings.occlusions
        ]
        failed += [line for row in done for line in row["failures"]]
        failure_table(failed).to_csv(aside, index=False, lineterminator="\n")
    remove_parts(parts)


def _given(
    store: ClipStore,
    kinds: Sequence[str],
    settings: EvaluationSettings,
    basis: LandmarkBasis,
    reconstruction: ReconstructionSettings,
    crop_scale: float,
) -> Callable[[int], Callable[[Case], Case]]:
    """Completes cases by audio and phones, and by a face that is estimated from what is visible if that is chosen."""

    def of_clip(number: int) -> Callable[[Case], Case]:
        audio = {kind: store.audio_of(number, kind) for kind in kinds}
        phones = store.phones_of(number) if "phone_rules" in settings.methods else None
        boxes = store.boxes_of(number) if settings.identity == "visible" else None

        def complete(case: Case) -> Case:
            case = replace(case, audio=audio, phones=phones)
            return case if boxes is None else from_visible(case, boxes, basis, reconstruction, crop_scale)

        return complete

    return of_clip


def _painted(store: ClipStore, files: tuple[Path, Path] | None) -> Callable[[int], PaintedClip]:
    """The clips with painted occluders, by their number in the store."""
    if files is None:
        raise ValueError("painted: got None, needs the painted clips for the occlusions 'natural' and 'natural_true'")
    reasons = {row["clip"]: (row["reason"], row["message"]) for row in read_index(files[1]) if row["status"] == FAILED}
    clips = PaintedClips(files[0], reasons)
    return lambda number: clips[store.rows[number][1]]


def _write_batch(found: Reconstruction, part: Path) -> Row:
    """Write occlusions and motions of some clips; ``failures`` of the row are lines of the table."""
    with new_hdf5(part) as file:
        for case in found.cases.values():
            received = None if case.true is None else case.visible
            write_occlusion(file, case.clip_id, case.occlusion, case.scored, received)
            if case.seen.pose is not None:
                write_fit(file, case.occlusion.kind, case.clip_id, case.seen.shape, *case.seen.pose)
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
