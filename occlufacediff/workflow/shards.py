"""Runs a stage on the clips of one subject with Dask; finished clips are kept, failures become rows.

A finished clip has a part file in the parts folder, further files with other suffixes where a stage writes some, and a
JSON record ``{"key", "files", "row"}`` with the size of each file by suffix. A shard that was killed finds them again
and processes only clips whose key (source, settings, code) has changed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dask
import h5py
from dask.callbacks import Callback
from tqdm import tqdm

from occlufacediff import __version__
from occlufacediff.errors import UNEXPECTED, AssetError, OccluFaceError
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.storage import StorageError, as_clip_error, faults_named
from occlufacediff.worker_processes import worker_faults, worker_pool
from occlufacediff.workflow.fingerprint import PACKAGE

LOG = logging.getLogger(__name__)

Row = dict[str, Any]
Work = Callable[[str, Path], Row]
#: Size in bytes and time of change of the files a clip is made from.
Stamps = dict[Path, tuple[int, int]]
Job = tuple[Work, str, Path, str, Stamps, tuple[str, ...]]

#: Columns that every index has, in this order; figures follow.
COLUMNS = ("clip", "status", "reason", "message")
OK, FAILED = "ok", "failed"
#: How long the file system may take to show files of a Dask worker on another machine, seconds.
_SEEN_WITHIN_S = 60.0


def run_shard(
    clips: Sequence[str],
    work: Work,
    parts: Path,
    key_of: Callable[[str], str],
    *,
    inputs: Callable[[str], Iterable[Path]] = lambda clip: (),
    workers: int = 1,
    scheduler: str | None = None,
    suffix: str = ".h5",
    beside: tuple[str, ...] = (),
    title: str = "clips",
) -> list[Row]:
    """Run ``work(clip, part_path)`` for every clip that has no finished part of the same key.

    Args:
        clips: names of the clips, ``<emotion>/<level>/<sentence>``.
        work: writes the whole part or nothing and returns the clip's figures; it is pickled to other processes. A
            `ClipError` becomes a failed row. So does an unforeseen error, with the reason ``unexpected_error``: its
            traceback goes to the log, and the next run tries the clip again. Errors of configuration, assets and
            storage end the shard; finished clips are kept.
        parts: folder of the parts: ``<parts>/<clip><suffix>`` and ``.json``.
        key_of: what the part depends on (`key`); called in this process before any clip is processed.
        inputs: files that a clip is made from. A failure of the clip counts only if these files still exist unchanged:
            a lost mount must not turn clips into failed rows.
        workers: 1 runs in this process, more in that many processes; not used with a ``scheduler``.
        scheduler: address of a Dask scheduler whose workers share this file system, or None.
        suffix: of the part files.
        beside: suffixes of further files that ``work`` writes for each clip; a clip without them is not finished.
        title: of the progress bar, which is written to stderr.

    Returns:
        one row per clip in the order of ``clips``: ``clip status reason message`` and the figures.

    Raises:
        StorageError: a file of ``inputs`` was deleted or changed, the disk is full, a folder is read-only.
        OccluFaceError: a worker process was killed, or every one of several clips failed with an unforeseen error.
    """
    stamps = {clip: {path: _stamp(path) for path in inputs(clip)} for clip in clips}
    keys = {clip: key_of(clip) for clip in clips}
    waiting = [clip for clip in clips if _is_waiting(_finished(parts, clip, suffix, keys[clip]))]
    for clip in waiting:
        part_path(parts, clip, suffix).parent.mkdir(parents=True, exist_ok=True)
        _record_path(parts, clip).unlink(missing_ok=True)
    jobs = [(work, clip, part_path(parts, clip, suffix), keys[clip], stamps[clip], beside) for clip in waiting]
    with tqdm(total=len(clips), initial=len(clips) - len(jobs), desc=title, unit="clip", mininterval=1.0) as progress:
        try:
            if scheduler is not None:
                _run_distributed(jobs, suffix, beside, parts, scheduler, progress.update)
            else:
                _run_local(jobs, workers, progress.update)
        finally:
            _log_tracebacks(parts, waiting)
    rows = [_finished(parts, clip, suffix, keys[clip]) for clip in clips]
    lost = [clip for clip, row in zip(clips, rows, strict=True) if row is None]
    if lost:
        raise AssetError(f"{parts}: the part of {lost[0]} vanished; do all Dask workers share this folder?")
    finished = [row for row in rows if row is not None]
    if len(finished) > 1 and all(row["reason"] == UNEXPECTED for row in finished):
        raise OccluFaceError(
            f"{title}: all {len(finished)} clips failed with an unexpected error, the first with "
            f"{finished[0]['message']!r}; this is a fault of the program or its installation and not of the clips: see "
            "the tracebacks in the log"
        )
    return finished


def key(*of: object) -> str:
    """Digest of all that a part depends on: strings, numbers and settings (dataclasses), in order."""
    plain = [asdict(thing) if is_dataclass(thing) and not isinstance(thing, type) else thing for thing in of]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def part_path(parts: Path, clip: str, suffix: str = ".h5") -> Path:
    """Path of the part of a clip."""
    return parts / f"{clip}{suffix}"


def _record_path(parts: Path, clip: str) -> Path:
    return parts / f"{clip}.json"


def _finished(parts: Path, clip: str, suffix: str, wanted: str) -> Row | None:
    """The row of a finished clip; None if it is not finished, its key differs, or a file of it is missing."""
    try:
        record = json.loads(_record_path(parts, clip).read_text(encoding="utf-8"))
        row: Row = record["row"]
        # After a power failure a file may be empty; files that another machine wrote may appear late.
        sizes = {end: part_path(parts, clip, end).stat().st_size for end in record["files"]}
        if record["key"] != wanted or sizes != record["files"] or (row["status"] == OK and suffix not in sizes):
            return None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return row


def _is_waiting(row: Row | None) -> bool:
    """Whether a clip has to be done: it has no row, or an unforeseen error that may not occur again."""
    return row is None or row["reason"] == UNEXPECTED


def _log_tracebacks(parts: Path, clips: Iterable[str]) -> None:
    """Log the tracebacks of unforeseen errors, which may have been raised in other processes."""
    for clip in clips:
        with suppress(FileNotFoundError, ValueError):
            record = json.loads(_record_path(parts, clip).read_text(encoding="utf-8"))
            if trace := record.get("traceback"):
                LOG.error("%s failed:\n%s", clip, trace)


def _one(job: Job) -> str:
    """Process one clip and write its record; runs in a worker."""
    work, clip, part, made_from, stamps, beside = job
    files: dict[str, int] = {}
    trace = ""
    row: Row = {"clip": clip, "status": OK, "reason": "", "message": ""}
    try:
        row |= work(clip, part)
        files = {end: part.with_suffix(end).stat().st_size for end in (part.suffix, *beside)}
    except Exception as error:  # noqa: BLE001  as_clip_error raises what is not a failure of the clip
        failure = as_clip_error(error)
        _require_unchanged(stamps)
        for end in (part.suffix, *beside):
            part.with_suffix(end).unlink(missing_ok=True)
        row = {"clip": clip, "status": FAILED, "reason": failure.reason, "message": " ".join(str(failure).split())}
        trace = traceback.format_exc() if failure.reason == UNEXPECTED else ""
    with written_aside(part.with_suffix(".json")) as aside:
        record = {"key": made_from, "files": files, "row": row} | ({"traceback": trace} if trace else {})
        aside.write_text(json.dumps(record), encoding="utf-8")
    return clip


def _stamp(path: Path) -> tuple[int, int]:
    with faults_named(path):
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise StorageError(
                f"{path}: does not exist, although an earlier stage wrote it; if its disk or network mount was lost, "
                "mount it again; if it was deleted, delete the index.csv of its subject too: the next run makes both"
            ) from error
    return found.st_size, found.st_mtime_ns


def _require_unchanged(stamps: Stamps) -> None:
    """Read the inputs of a failed clip again: the disk or mount may have failed, not the clip."""
    for path, stamp in stamps.items():
        if _stamp(path) != stamp:
            raise StorageError(f"{path}: changed while it was read; run again when nothing else writes to it")
        with faults_named(path):
            sha256(path)


def _run_local(jobs: list[Job], workers: int, done: Callable[[], object]) -> None:
    # Dask starts with the last name: these names keep the order of the clips.
    tasks = [dask.delayed(_one)(job, dask_key_name=f"{len(jobs) - place:08d}") for place, job in enumerate(jobs)]
    with Callback(posttask=lambda *_: done()):
        if min(workers, len(jobs)) <= 1:
            dask.compute(*tasks, scheduler="synchronous", optimize_graph=False)
            return
        pool = worker_pool(min(workers, len(jobs)))
        try:
            with worker_faults("dask.workers", "finished clips are kept: "):
                dask.compute(*tasks, scheduler="processes", pool=pool, chunksize=1, optimize_graph=False)
        finally:
            pool.shutdown(cancel_futures=True)


def _run_distributed(
    jobs: list[Job], suffix: str, beside: tuple[str, ...], parts: Path, scheduler: str, done: Callable[[], object]
) -> None:
    from occlufacediff.workflow.dask_workers import run_elsewhere

    if not jobs:
        return
    work = jobs[0][0]
    module = getattr(work, "func", work).__module__
    items = [(clip, made_from, stamps) for _, clip, _, made_from, stamps, _ in jobs]
    run_elsewhere(
        partial(_one_elsewhere, work, parts, suffix, beside),
        {item[0]: item for item in items},
        scheduler,
        module=module if module.partition(".")[0] == PACKAGE else __name__,
        done=done,
    )
    # New files of another machine may take a while to appear here.
    deadline = time.monotonic() + _SEEN_WITHIN_S
    for clip, made_from, _ in items:
        while _finished(parts, clip, suffix, made_from) is None and time.monotonic() < deadline:
            time.sleep(0.5)


def _one_elsewhere(
    work: Work, parts: Path, suffix: str, beside: tuple[str, ...], item: tuple[str, str, Stamps]
) -> None:
    """Process one clip unless it is finished: its worker may have died before it could report the result."""
    clip, made_from, stamps = item
    if _finished(parts, clip, suffix, made_from) is None:
        _one((work, clip, part_path(parts, clip, suffix), made_from, stamps, beside))


def parts_folder(output: Path) -> Path:
    """Folder of the parts of an output, in the output's folder: ``.<name>.parts``."""
    return output.parent / f".{output.name}.parts"


def assemble(path: Path | str, rows: Iterable[Row], parts: Path, attributes: Mapping[str, Any]) -> None:
    """Join the HDF5 parts of the usable clips into one file with one group per clip, in the order of the rows.

    Args:
        attributes: of the file; the program's version is added.
    """
    with new_hdf5(path) as file:
        for name, value in {**attributes, "version": __version__}.items():
            file.attrs[name] = value
        for row in rows:
            if row["status"] == OK:
                with h5py.File(part_path(parts, row["clip"]), "r") as part:
                    group = file.create_group(row["clip"])
                    for name, value in sorted(part.attrs.items()):
                        group.attrs[name] = value
                    for name in sorted(part):
                        part.copy(part[name], group, name)


def clips_with(file: h5py.File, dataset: str) -> list[str]:
    """Names of the clips of an assembled file that hold ``dataset``."""
    found: list[str] = []
    file.visititems(
        lambda name, thing: found.append(name) if isinstance(thing, h5py.Group) and dataset in thing else None
    )
    return found


def remove_parts(parts: Path) -> None:
    """Remove the parts after the assembled output and the index are written."""
    shutil.rmtree(parts, ignore_errors=True)


def write_index(path: Path | str, rows: Iterable[Mapping[str, Any]], figures: Sequence[str] = ()) -> None:
    """Write an index: `COLUMNS`, then the named figures; missing figures are empty."""
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *figures], restval="", extrasaction="raise", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_index(path: Path | str) -> list[dict[str, str]]:
    """Rows of an index as text; AssetError if it is missing or has other columns."""
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
            names = set(rows[0]) if rows else set(COLUMNS)
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: the index cannot be read ({error}); run the stage that writes it") from error
    if not set(COLUMNS) <= names:
        raise AssetError(f"{path}: not an index; it needs the columns {', '.join(COLUMNS)}")
    return rows


def usable(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Rows of clips that the stage could use."""
    return [row for row in rows if row["status"] == OK]
