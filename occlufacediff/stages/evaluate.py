"""The evaluation stage: the test protocol, its tables and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import pandas as pd
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.clips import SOUND, ClipStore
from occlufacediff.device import pick_device
from occlufacediff.evaluation.predictions import write_hidden, write_motion
from occlufacediff.evaluation.protocol import Case, Result, run_protocol
from occlufacediff.evaluation.scores import unit_of
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.models.checkpoint import checkpoint_files, load_networks
from occlufacediff.occlusion.occluder_images import occluder_digests
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import Row, key, part_path, parts_folder, remove_parts, run_shard


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
    *,
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: str,
) -> None:
    """Score all methods under all occlusions on a split.

    Writes ``metrics_csv`` (``method, occlusion, metric, unit, mean, n``: means over clips, n of them),
    ``metrics_by_clip_csv`` (``method, occlusion, subject, clip, metric, unit, value``) and ``predictions_h5``. The
    headline is ``lve``: over all frames of a clip, as published; ``lve_hidden`` is over the hidden frames only.
    Occlusions that a killed run finished lie beside ``predictions_h5`` and are taken over.

    Args:
        manifest: the data set's manifest.
        clips: clip stores of all subjects.
        audio: sound of all subjects.
        coefficients: coefficients of all subjects, taken as truth.
        head: the head asset.
        motion_prior_dir: checkpoint of the motion prior.
        denoiser_dir: checkpoint of the denoiser.
        metrics_csv: means.
        metrics_by_clip_csv: one row a clip, method, occlusion and metric.
        predictions_h5: motions and what was hidden (see `evaluation.predictions`).
        settings: of the protocol.
        reconstruction: of the fit to visible landmarks that ends our methods.
        seed: of occlusions and sampling.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        AssetError: a file is missing or does not fit, the checkpoint belongs to another head model, or a clip lacks
            the landmarks of a region that is to be hidden.
    """
    where = pick_device(device)
    asset = HeadAsset.load(head)
    (prior, _), (denoiser, _) = load_networks(motion_prior_dir, denoiser_dir, asset, device=where)
    sound = SOUND[denoiser.config.audio]
    store = ClipStore(
        manifest,
        settings.split,
        head=asset,
        coefficients=coefficients,
        clips=clips,
        audio=audio,
        sound=sound,
        memory_mib=0,
    )
    protocol = partial(
        run_protocol, store, asset, denoiser, prior, reconstruction=reconstruction, seed=seed, device=where
    )
    rounds = _Rounds(protocol, settings)
    parts = parts_folder(predictions_h5)
    made_from = _key(
        store,
        [head, *checkpoint_files(motion_prior_dir), *checkpoint_files(denoiser_dir)],
        settings,
        reconstruction,
        seed,
        where,
    )
    done = run_shard(settings.occlusions, rounds.write, parts, lambda kind: made_from, title="occlusions")
    with new_hdf5(predictions_h5) as file:
        file.attrs.update(head_attributes(asset))
        for row in done:
            _append(file, part_path(parts, row["clip"]))
    rows = [score for row in done for score in row["scores"]]
    by_clip = pd.DataFrame(rows, columns=["method", "occlusion", "subject", "clip", "metric", "unit", "value"])
    groups = by_clip.groupby(["method", "occlusion", "metric", "unit"], sort=False)["value"]
    means = groups.agg(mean="mean", n="size").reset_index()
    for path, table in ((metrics_csv, means), (metrics_by_clip_csv, by_clip)):
        with written_aside(path) as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
    remove_parts(parts)


class _Rounds:
    """The protocol, one occlusion at a time as the shard's runner asks for them, in their order."""

    def __init__(
        self, protocol: Callable[..., Iterator[tuple[list[Case], list[Result]]]], settings: EvaluationSettings
    ) -> None:
        self._protocol = protocol
        self._settings = settings
        self._ahead: Sequence[str] = ()
        self._results: Iterator[tuple[list[Case], list[Result]]] = iter(())

    def write(self, kind: str, part: Path) -> Row:
        """Write what was hidden and recovered under one occlusion; the figure ``scores`` has its rows by clip."""
        if kind not in self._ahead:
            kinds = self._settings.occlusions
            left = kinds[list[str](kinds).index(kind) :]
            # One protocol for all that is left: it draws the truth's surfaces once.
            self._ahead, self._results = left, self._protocol(settings=replace(self._settings, occlusions=left))
        while True:
            passed, *self._ahead = self._ahead
            cases, results = next(self._results)
            if passed == kind:
                break
        with new_hdf5(part) as file:
            for case in cases:
                write_hidden(file, case.clip_id, case.hidden, case.visible)
            for result in results:
                write_motion(file, result.occlusion, result.method, result.clip_id, result.motion)
        return {
            "scores": [
                (result.method, result.occlusion, *result.clip_id.split("/", 1), metric, unit_of(metric), float(value))
                for result in results
                for metric, value in result.metrics.items()
            ]
        }


def _append(file: h5py.File, path: Path) -> None:
    """Copy all that a part holds, data set by data set: a group copied whole carries bytes that were never set."""

    def add(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        if isinstance(thing, h5py.Dataset):
            thing.file.copy(thing, file[thing.parent.name], name.rpartition("/")[2])
            return
        group = file.create_group(name)
        for attribute, value in sorted(thing.attrs.items()):
            group.attrs[attribute] = value

    with h5py.File(path, "r") as part:
        part.visititems(add)


def _key(
    store: ClipStore,
    small: Sequence[Path],
    settings: EvaluationSettings,
    reconstruction: ReconstructionSettings,
    seed: int,
    device: torch.device,
) -> str:
    """Digest of all that a round depends on."""
    digests = [*map(sha256, small), *occluder_digests(settings.occlusion.pictures, settings.occlusions)]
    code = fingerprint("occlufacediff.stages.evaluate")
    return key(settings, reconstruction, seed, device.type, digests, store.digest(), code)
