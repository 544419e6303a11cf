"""Head-model coefficients of one subject's clips: shared by the fit and by EMOTE's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.files import new_hdf5
from occlufacediff.head.digest import HEAD_DIGEST, HEAD_NAME
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.workflow.chunks import of_chunk
from occlufacediff.workflow.shards import (
    Work,
    assemble,
    clips_with,
    key,
    parts_folder,
    remove_parts,
    run_shard,
    write_index,
)

#: Datasets of every clip.
COEFFICIENTS = ("exp", "jaw", "global_pose", "cam", "shape")
#: Errors against the landmarks (crop px; correlation of the lips' opening over time).
ERRORS = ("error_px", "lips_px", "opening_correlation")
#: Columns of the index: frames, frames without a detected face, errors.
FIGURES = ("frames", "frames_carried", *ERRORS)
#: Further datasets of a clip store that was made with a visibility source.
_VISIBILITY = ("lmk_visible", "known_frames")


def store_coefficients(
    subject: str,
    clips_h5: Path,
    coefficients_h5: Path,
    index_csv: Path,
    *,
    work: Work,
    made_from: Callable[[str, str], str],
    reads: Sequence[str],
    basis: LandmarkBasis,
    title: str,
    inputs: Callable[[str], Iterable[Path]] = lambda clip: (),
    figures: Sequence[str] = FIGURES,
    workers: int = 1,
    scheduler: str | None = None,
    chunk: str | None = None,
) -> None:
    """Run ``work`` on every clip of a clip store; join its parts (`write_part`) and write the index.

    With ``chunk`` (see `workflow.chunks`) only that chunk's clips are processed, and only their parts are written.

    Args:
        work: see `run_shard`.
        made_from: key of a clip's part, from the clip's name and the digest of the datasets read.
        reads: names of a clip's datasets that ``work`` reads, see `read_clip`.
        basis: of the coefficients' head model.
        title: of the progress bar, after the subject's name.
        inputs: files of a clip other than the clip store.
        figures: columns of the index.
    """
    with h5py.File(clips_h5, "r") as file:
        clips = clips_with(file, "landmarks")
        digests = {clip: _digest(_read(file[clip], reads)) for clip in clips}
        visibility = file.attrs.get("visibility")
    parts = parts_folder(coefficients_h5)
    rows = run_shard(
        of_chunk(clips, chunk),
        work,
        parts,
        lambda clip: made_from(clip, digests[clip]),
        inputs=inputs,
        workers=workers,
        scheduler=scheduler,
        title=f"{subject} {title}",
    )
    if chunk is not None:
        return
    attributes: dict[str, Any] = {
        "subject": subject,
        HEAD_NAME: basis.head_name,
        HEAD_DIGEST: basis.head_digest,
        "expression_names": list(basis.expression_names),
        "fps": 25.0,
    }
    if visibility is not None:
        attributes["visibility"] = str(visibility)
    assemble(coefficients_h5, rows, parts, attributes)
    write_index(index_csv, rows, figures)
    remove_parts(parts)


def read_clip(clips_h5: Path, clip: str, reads: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The datasets ``reads`` of a clip, and ``lmk_visible`` and ``known_frames`` if the store has them."""
    with h5py.File(clips_h5, "r") as file:
        return _read(file[clip], reads)


def _read(group: h5py.Group, reads: Sequence[str]) -> dict[str, NDArray[Any]]:
    names = [*reads, *(name for name in _VISIBILITY if name in group)]
    return {name: np.asarray(group[name]) for name in names}


def _digest(values: Mapping[str, NDArray[Any]]) -> str:
    return key(*(one.tobytes().hex() for one in values.values()))


def write_part(
    part: Path,
    coefficients: Mapping[str, NDArray[np.float32]],
    errors: Sequence[float],
    known_frames: NDArray[Any] | None,
) -> dict[str, float]:
    """Write the `COEFFICIENTS` of a clip, with its `ERRORS` as attributes.

    Args:
        coefficients: ``exp`` (T, E), ``jaw`` (T, 3), ``global_pose`` (T, 3), ``cam`` (T, 3), ``shape`` (S,).
        errors: in the order of `ERRORS`.
        known_frames: (T,) known frames, or None without a visibility source.

    Returns:
        the stored errors by name, for the clip's row.
    """
    stored = {name: round(value, 4) for name, value in zip(ERRORS, errors, strict=True)}
    with new_hdf5(part) as file:
        for name in COEFFICIENTS:
            file[name] = coefficients[name]
        if known_frames is not None:
            file["known_frames"] = known_frames
        for name, value in stored.items():
            file.attrs[name] = value
        file["jaw"].attrs["unit"] = file["global_pose"].attrs["unit"] = "axis-angle, radians"
        file["cam"].attrs["unit"] = "s, tx, ty: p = s * (X_xy + [tx, ty]), then y negated; crop coordinates and metres"
    return stored
