"""Stage: score the motions of one subject's clips, clip by clip."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import h5py
import pandas as pd

from occlufacediff.config.occlusion import EVALUATION_KINDS
from occlufacediff.datasets.manifest_rows import SplitRows
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.external import ExternalFolder
from occlufacediff.evaluation.external_scores import external_prediction
from occlufacediff.evaluation.failures import Failure, failure_to
from occlufacediff.evaluation.metrics import TRUTH, unit_of
from occlufacediff.evaluation.predictions import fit_of, has_case, motion_of, occlusion_of, read_names, require_head_of
from occlufacediff.evaluation.reading import Panel, ReaderFiles
from occlufacediff.evaluation.rows import BY_CLIP_COLUMNS, failure_row, failure_table, read_failures
from occlufacediff.evaluation.scores import Prediction, Reference, Scores, score, score_truth
from occlufacediff.files import file_version, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import FAILED, Row, key, part_path, parts_folder, remove_parts, run_shard

_SUFFIX = ".csv"


def score_subject(
    subject: str,
    motions_h5: Path,
    sampling_failures: Path,
    clips: Path,
    audio: Path,
    coefficients: Path,
    head: Path,
    manifest: Path,
    scores_csv: Path,
    failures_csv: Path,
    *,
    readers: ReaderFiles | None = None,
    external: Mapping[str, Path] | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Write the metrics of a subject's motions, `rows.BY_CLIP_COLUMNS` in full precision, and the clips that failed.

    Clips are scored one by one, so the memory of a process does not depend on their number. The surfaces of the truth
    are computed once per clip. A scored clip is a part, so a killed job continues where it stopped. A clip whose
    scoring raises an error is left out under that occlusion, for all methods, and listed in ``failures_csv``.

    Args:
        subject: its name.
        motions_h5: occlusions and motions of the subject.
        sampling_failures: clips that failed while motions were made; ``failures_csv`` contains them too.
        clips: clip store of the subject.
        audio: audio of the subject.
        coefficients: coefficients of the subject; they are the truth.
        head: head model.
        manifest: manifest of the data set, for the transcripts of the clips.
        scores_csv: one row per clip, method, occlusion and metric.
        failures_csv: clips that failed.
        readers: readers of visemes and emotions; None: none.
        external: results of other systems (`evaluation.external`): folder by the name of the method. A clip without a
            usable result is left out for this method only; ``failures_csv`` names it.
        workers: processes.
        scheduler: address of a Dask scheduler; None: processes of this machine.
        chunk: of `workflow.chunks`: only that chunk's clips are scored, and only their parts are written.

    Raises:
        AssetError: a file is missing, or motions or coefficients belong to another head model.
        StorageError: a file cannot be read or written.
    """
    require_head_of(motions_h5, _asset(head))
    with h5py.File(motions_h5, "r") as file:
        names = [clip_id.split("/", 1)[1] for clip_id in read_names(file)[0]]
    clip_ids = [f"{subject}/{name}" for name in names]
    folders = [ExternalFolder.open(name, folder, EVALUATION_KINDS) for name, folder in (external or {}).items()]
    parts = parts_folder(scores_csv)
    done: list[Row] = []
    if names:
        files = readers or ReaderFiles()
        texts = _transcripts(manifest, subject)
        store = _store(motions_h5, subject, names, clips, coefficients, _asset(head))
        made_from = key(
            *map(sha256, (motions_h5, head, *files.paths)),
            files.lip_reading,
            files.packaged,
            sorted(texts.items()),
            store.digest(),
            [(folder.name, folder.digest(clip_ids)) for folder in folders],
            fingerprint("occlufacediff.stages.score_motions"),
        )
        done = run_shard(
            of_chunk(names, chunk),
            partial(_score_clip, subject, motions_h5, clips, audio, coefficients, head, files, texts, folders),
            parts,
            lambda clip: made_from,
            workers=workers,
            scheduler=scheduler,
            suffix=_SUFFIX,
            title=f"{subject} scores",
        )
    if chunk is not None:
        return
    for row in done:
        if row["status"] == FAILED:
            raise AssetError(f"{subject}/{row['clip']}: scoring failed ({row['reason']}: {row['message']})")
    with written_aside(scores_csv) as aside, aside.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerow(BY_CLIP_COLUMNS)
        for row in done:
            with part_path(parts, row["clip"], _SUFFIX).open(newline="", encoding="utf-8") as part:
                out.writelines(part)
    failed = [tuple(line) for line in read_failures(sampling_failures).itertuples(index=False)]
    failed += [tuple(line) for row in done for line in row["failures"]]
    with written_aside(failures_csv) as aside:
        failure_table(failed).to_csv(aside, index=False, lineterminator="\n")
    remove_parts(parts)


def _score_clip(
    subject: str,
    motions_h5: Path,
    clips: Path,
    audio: Path,
    coefficients: Path,
    head: Path,
    readers: ReaderFiles,
    texts: Mapping[str, str],
    folders: Sequence[ExternalFolder],
    name: str,
    part: Path,
) -> Row:
    """Write the scores of one clip under all occlusions, without a header; ``failures`` of the row are table lines."""
    asset, clip_id = _asset(head), f"{subject}/{name}"
    panel = _panel(readers, head)
    failures: list[Failure] = []
    lines: list[tuple[object, ...]] = []
    with h5py.File(motions_h5, "r") as file:
        _, kinds, methods = read_names(file)
        kinds = [kind for kind in kinds if has_case(file, kind, clip_id)]
        with failure_to(failures, kinds, clip_id):
            clip = _store(motions_h5, subject, [name], clips, coefficients, asset)[0]
            with h5py.File(audio, "r") as sounds:
                reference = Reference.of(asset, clip, sounds[name]["waveform"][()])
            of_truth = score_truth(reference)
            said = panel.said(name, texts.get(name, ""), reference)
            true = panel.read(said, reference, clip.motion, reference.truth)
            for kind in kinds:
                with failure_to(failures, (kind,), clip_id):
                    found: dict[str, Scores] = {}
                    occlusion, visible = occlusion_of(file, kind, clip_id)
                    seen = fit_of(file, kind, clip_id)
                    for method in methods:
                        motion, samples = motion_of(file, kind, method, clip_id)
                        several = () if samples is None else list(samples)
                        prediction = Prediction.of(reference, motion, visible, occlusion.frames, several, seen)
                        read = panel.read(said, reference, motion, prediction.surface)
                        found[method] = score(prediction).with_values(panel.compare(said, read, true, occlusion.frames))
                    for folder in folders:
                        with failure_to(failures, (kind,), clip_id, folder.name):
                            result = folder.read(kind, clip_id, len(clip), asset)
                            prediction = external_prediction(reference, result, visible, occlusion.frames, seen)
                            read = panel.read(said, reference, result.motion, prediction.surface)
                            compared = panel.compare(said, read, true, occlusion.frames)
                            found[folder.name] = score(prediction).with_values(compared)
                    found[TRUTH] = of_truth.with_values(panel.compare(said, true, true, occlusion.frames))
                    lines += [
                        (method, kind, subject, name, metric, unit_of(metric), repr(value), scores.weight(metric))
                        for method, scores in found.items()
                        for metric, value in scores.values.items()
                    ]
    with written_aside(part) as aside, aside.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(lines)
    return {"failures": [failure_row(failure) for failure in failures]}


def _store(
    motions_h5: Path, subject: str, names: list[str], clips: Path, coefficients: Path, asset: HeadAsset
) -> ClipStore:
    """Some clips of a subject with their landmarks."""
    rows = SplitRows(motions_h5, "motions", [(subject, name) for name in names], {})
    return ClipStore(motions_h5, "motions", head=asset, coefficients=[coefficients], clips=[clips], rows=rows)


def _transcripts(manifest: Path, subject: str) -> dict[str, str]:
    """Texts that the clips of a subject say, by clip; without those that the manifest does not know."""
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    if "text" not in table.columns:
        return {}
    mine = table[(table["subject"] == subject) & (table["text"] != "")]
    return dict(zip(mine["clip"], mine["text"], strict=True))


def _panel(readers: ReaderFiles, head: Path) -> Panel:
    """The readers, loaded once per process."""
    return _open_panel(readers, *file_version(head))


@cache
def _open_panel(readers: ReaderFiles, head: Path, size: int, time_ns: int) -> Panel:
    return readers.open(_load_asset(head, size, time_ns))


def _asset(head: Path) -> HeadAsset:
    """The head, loaded once per process and file content."""
    return _load_asset(*file_version(head))


@cache
def _load_asset(head: Path, size: int, time_ns: int) -> HeadAsset:
    return HeadAsset.load(head)
