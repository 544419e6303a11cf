"""Results of other systems, read from a folder: one result per clip, scored as a method of the tables.

docs/evaluation.md describes the layout of the folder and the formats of its files. A result that is missing or cannot
be used is a `ClipError` of this method and clip; nothing is repaired.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError, ClipError, ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import require_head
from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]

SUFFIXES = (".npz", ".npy", ".h5")
#: Reasons of failure, with their meaning.
REASONS = {
    "external_missing": "the folder has no result of this clip",
    "external_ambiguous": "the folder has several results of this clip",
    "external_unreadable": "the file is damaged or lacks an array",
    "external_head": "the result belongs to another head model",
    "external_length": "the result has another number of frames",
    "external_rate": "the result has another frame rate",
    "external_not_finite": "the result has values that are not finite",
    "external_unit": "the vertices are not in metres",
    "external_unmatched": "files of the folder that belong to no clip of the evaluation",
}
#: Stands for the clip in a row about a whole folder.
FOLDER = "(folder)"
#: A head model whose first expressions are those of a model with fewer; EMOCA and DECA have 50 of FLAME's 100.
NESTED_EXPRESSIONS = "flame"
#: The head must have between half and twice the size of the head model.
_SIZES = (0.5, 2.0)
#: Files that a message lists by name.
_LISTED = 5


@dataclass(frozen=True, eq=False)
class ExternalResult:
    """The result of a system for one clip; one of the three is given.

    Attributes:
        motion: (T, E + 3) [exp, jaw].
        vertices: (T, V, 3) metres, without rotation of the head.
        offsets: (T, V, 3) metres, displacement of the vertices from the neutral face, without rotation of the head.
        padded: number of expressions that the system does not have and that are 0.
    """

    motion: Float | None = None
    vertices: Float | None = None
    offsets: Float | None = None
    padded: int = 0


@dataclass(frozen=True)
class ExternalFolder:
    """A folder of results.

    Attributes:
        name: of the method.
        folder: the folder.
        files: by its path in the folder without suffix, the files with this path.
        kinds: occlusion kinds that have a sub-folder of their own; empty if the results are for all kinds.
    """

    name: str
    folder: Path
    files: Mapping[str, tuple[Path, ...]]
    kinds: frozenset[str]

    @classmethod
    def open(cls, name: str, folder: Path, kinds: Collection[str]) -> ExternalFolder:
        """List the files of a folder.

        Args:
            name: of the method.
            folder: the folder.
            kinds: occlusion kinds that may have a sub-folder.

        Raises:
            ConfigError: there is no such folder.
        """
        if not folder.is_dir():
            raise ConfigError(
                f"evaluation.external: {name}: there is no folder {folder}; give the folder with the results of this "
                "system, or remove it"
            )
        found: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
                found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
        own = frozenset(kind for kind in kinds if (folder / kind).is_dir())
        return cls(name, folder, {stem: tuple(paths) for stem, paths in found.items()}, own)

    def read(self, kind: str, clip_id: str, frames: int, asset: HeadAsset) -> ExternalResult:
        """The result for a clip under an occlusion.

        Args:
            kind: kind of occlusion.
            clip_id: ``<subject>/<clip>``.
            frames: T of the clip.
            asset: the head model of the evaluation.

        Raises:
            ClipError: the result is missing or cannot be used; its reason is one of `REASONS`.
        """
        path, group = self._find(kind, clip_id)
        with_place = f"{path}{f', {group}' if group else ''}"
        try:
            arrays, about = _load(path, group)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ClipError("external_unreadable", f"{with_place}: cannot be read ({error})") from error
        try:
            require_head(with_place, about, asset, "give results for this head model")
        except AssetError as error:
            raise ClipError("external_head", str(error)) from error
        rate = about.get("fps")
        if rate is not None and abs(float(rate) - FPS) > 1e-6:
            raise ClipError("external_rate", f"{with_place}: has {float(rate):g} frames per second, needs {FPS:g}")
        for name, values in arrays.items():
            if len(values) != frames:
                raise ClipError(
                    "external_length", f"{with_place}: {name} has {len(values)} frames, the clip has {frames}"
                )
            bad = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
            if bad:
                raise ClipError(
                    "external_not_finite", f"{with_place}: {name} is not finite in {bad} of {frames} frames"
                )
        return _checked(arrays, asset, with_place)

    def unmatched(self, clip_ids: Iterable[str]) -> list[str]:
        """Paths, without suffix, of files that belong to none of the clips."""
        known: set[str] = set()
        for clip_id in clip_ids:
            for prefix in ("", *(f"{kind}/" for kind in self.kinds)):
                known |= {prefix + stem for stem in (*_stems(clip_id), clip_id.split("/")[0])}
        return [stem for stem in self.files if stem not in known]

    def unmatched_message(self, clip_ids: Iterable[str]) -> str:
        """Which files belong to no clip; empty if there are none."""
        names = self.unmatched(clip_ids)
        if not names:
            return ""
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        return (
            f"{self.folder}: {len(names)} of {len(self.files)} files belong to no clip of the evaluation ({listed}); "
            "name them <subject>/<clip>"
        )

    def digest(self, clip_ids: Iterable[str]) -> str:
        """Digest of the files for some clips, and of the sub-folders of occlusion kinds: names, sizes and contents."""
        digest = hashlib.sha256(repr(sorted(self.kinds)).encode())
        for stem in sorted(self._stems_of(clip_ids)):
            for path in self.files[stem]:
                digest.update(f"{path.relative_to(self.folder).as_posix()}\n".encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def _stems_of(self, clip_ids: Iterable[str]) -> set[str]:
        prefixes = ("", *(f"{kind}/" for kind in self.kinds))
        wanted = {stem for clip_id in clip_ids for stem in (*_stems(clip_id), clip_id.split("/")[0])}
        return {prefix + stem for prefix in prefixes for stem in wanted} & set(self.files)

    def _find(self, kind: str, clip_id: str) -> tuple[Path, str]:
        """File with the result of a clip, and the group in it if it has the results of a subject."""
        prefix = f"{kind}/" if self.kinds else ""
        subject, _, clip = clip_id.partition("/")
        found = [(path, "") for stem in _stems(clip_id) for path in self.files.get(prefix + stem, ())]
        for path in self.files.get(prefix + subject, ()):
            group = _group_of(path, kind, subject, clip) if path.suffix == ".h5" else None
            if group is not None:
                found.append((path, group))
        if len(found) > 1:
            names = ", ".join(str(path) for path, _ in found)
            raise ClipError("external_ambiguous", f"{clip_id}: has {len(found)} results ({names}); keep one of them")
        if not found:
            where = self.folder / prefix / clip_id
            raise ClipError("external_missing", f"{where}: there is no such file ({', '.join(SUFFIXES)})")
        return found[0]


def _stems(clip_id: str) -> tuple[str, ...]:
    """Accepted paths of a clip's file without suffix: folders or one name, with or without MEAD's view ``front``."""
    subject, *rest = clip_id.split("/")
    parts = ([subject, *rest], [subject, "front", *rest])
    return tuple(joint.join(part) for part in parts for joint in ("/", "_"))


def _group_of(path: Path, kind: str, subject: str, clip: str) -> str | None:
    """Group of a clip in the file of a subject; None if it has none.

    In the files ``evaluation/motions`` of a run, it is that of the method ``ours``.
    """
    try:
        with h5py.File(path, "r") as file:
            group = f"{kind}/ours/{subject}/{clip}" if "methods" in file.attrs else clip
            return group if group in file else None
    except OSError:
        # Reading the clip gives the error.
        return clip


def _load(path: Path, group: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays of a result, and what the file says about head model and frame rate.

    Raises:
        ValueError: an array is missing or has a wrong shape.
    """
    about: dict[str, Any] = {}
    if path.suffix == ".npy":
        values = np.load(path, allow_pickle=False)
        entries = {"vertices": values} if values.ndim == 3 else {"motion": values}
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            entries = {name: file[name] for name in ("exp", "jaw", "vertices", "offsets") if name in file.files}
            about = {name: file[name].item() for name in ("head_name", "head_digest", "fps") if name in file.files}
    else:
        with h5py.File(path, "r") as file:
            place = file[group] if group else file
            entries = {name: place[name][()] for name in ("exp", "jaw", "vertices", "offsets") if name in place}
            about = {
                name: _text(file.attrs[name]) for name in ("head_name", "head_digest", "fps") if name in file.attrs
            }
    return _named(entries), about


def _text(value: Any) -> Any:
    """An attribute of HDF5, which other programs may store as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _named(entries: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of one result, with checked numbers of axes: ``exp`` and ``jaw``, ``vertices`` or ``offsets``."""
    if "motion" in entries:
        motion = entries["motion"]
        if motion.ndim != 2 or motion.shape[1] < 4:
            raise ValueError(f"the array has the shape {motion.shape}, needs (T, E + 3) or (T, V, 3)")
        entries = {"exp": motion[:, :-3], "jaw": motion[:, -3:]}
    if {"exp", "jaw"} <= set(entries):
        chosen = {name: entries[name] for name in ("exp", "jaw")}
    else:
        chosen = {name: entries[name] for name in ("vertices", "offsets") if name in entries}
        if len(chosen) != 1:
            raise ValueError(
                f"it has {', '.join(entries) or 'none'} of the arrays, needs exp and jaw, or vertices, or offsets"
            )
    for name, values in chosen.items():
        axes = 2 if name in ("exp", "jaw") else 3
        if values.ndim != axes or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
            raise ValueError(
                f"{name} has the shape {values.shape} and type {values.dtype}, needs {axes} axes of numbers"
            )
    return chosen


def _checked(arrays: Mapping[str, NDArray[Any]], asset: HeadAsset, where: str) -> ExternalResult:
    """The result as float32 arrays of the head model.

    Raises:
        ClipError: ``external_head`` or ``external_unit``.
    """
    if "exp" in arrays:
        exp, jaw = (np.asarray(arrays[name], np.float32) for name in ("exp", "jaw"))
        missing = asset.n_exp - exp.shape[1]
        nested = asset.name.startswith(NESTED_EXPRESSIONS) and missing > 0
        if jaw.shape[1] != 3 or (missing != 0 and not nested):
            raise ClipError(
                "external_head",
                f"{where}: has {exp.shape[1]} expressions and {jaw.shape[1]} values of the jaw, the head model "
                f"'{asset.name}' has {asset.n_exp} and 3",
            )
        padding = np.zeros((len(exp), missing), np.float32)
        return ExternalResult(np.concatenate([exp, padding, jaw], axis=1), padded=missing)
    name = next(iter(arrays))
    values = np.asarray(arrays[name], np.float32)
    if values.shape[1:] != (asset.n_vertices, 3):
        raise ClipError(
            "external_head",
            f"{where}: {name} has the shape {values.shape}, the head model '{asset.name}' has "
            f"{asset.n_vertices} vertices",
        )
    if name == "offsets":
        largest, limit = float(np.abs(values).max()), float(np.ptp(asset.v_template, axis=0).max())
        if largest > limit:
            raise ClipError("external_unit", f"{where}: offsets of up to {largest:g}; needs metres")
        return ExternalResult(offsets=values)
    size = float(np.median(np.ptp(values, axis=1), axis=0).max() / np.ptp(asset.v_template, axis=0).max())
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ClipError(
            "external_unit", f"{where}: the vertices span {size:.3g} times the head model '{asset.name}'; needs metres"
        )
    return ExternalResult(vertices=values)
