"""Tar archives: written byte for byte the same each time, read without trusting them."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath

from occlufacediff.errors import ClipError
from occlufacediff.files import written_aside


def write_tar(path: Path | str, members: Iterable[tuple[str, Path]]) -> None:
    """Write files into an uncompressed tar, sorted by name, without dates and owners, written aside.

    Args:
        members: (name in the archive, file) pairs; names are relative and unique.

    Raises:
        ValueError: a name that `unpack` would refuse, or a name given twice.
    """
    pairs = sorted(members)
    for earlier, later in pairwise(pairs):
        if earlier[0] == later[0]:
            raise ValueError(f"archive member {later[0]!r} is given twice")
    with written_aside(path) as aside, tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, source in pairs:
            fault = _fault_of_name(name)
            if fault:
                raise ValueError(f"archive member {name!r}: {fault}")
            entry = tarfile.TarInfo(name)
            entry.size = source.stat().st_size
            entry.mode = 0o644
            with source.open("rb") as file:
                archive.addfile(entry, file)


def unpack(path: Path | str, place: Callable[[str], Path | None]) -> list[str]:
    """Unpack the members of an archive that ``place`` gives a path for, each written aside.

    The whole archive is refused before anything is written when any member has an absolute name, steps out with
    ``..``, or is a link or a device.

    Args:
        path: a tar, compressed or not.
        place: member name -> file to write, None to leave the member in the archive.

    Returns:
        names of the members unpacked, in the archive's order.

    Raises:
        ClipError: ``unsafe_archive``; ``broken_archive``: unreadable, or cut off (the members before the damage are
            unpacked, the error says how many); ``no_archive``: no such file.
    """
    path = Path(path)
    unpacked: list[str] = []
    # Damage shows again below, after the members in front of it have been saved.
    with suppress(tarfile.TarError), _opened(path) as archive:
        for member in _members(archive, path):
            fault = _fault_of_name(member.name) or ("" if member.isfile() or member.isdir() else "not a plain file")
            if fault:
                raise ClipError("unsafe_archive", f"{path}: member {member.name!r} is refused: {fault}")
    with _opened(path) as archive:
        try:
            for member in _members(archive, path):
                target = place(member.name) if member.isfile() else None
                source = archive.extractfile(member) if target is not None else None
                if source is None or target is None:
                    continue
                with written_aside(target) as aside, aside.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    if file.tell() != member.size:
                        raise tarfile.ReadError(f"{member.name} is cut off")
                unpacked.append(member.name)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ClipError(
                "broken_archive", f"{path}: damaged after {len(unpacked)} unpacked files ({error}); fetch it again"
            ) from error
    return unpacked


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        if member.offset_data + member.size > path.stat().st_size and not _compressed(archive):
            raise tarfile.ReadError(f"{member.name} is cut off")
        yield member


def _compressed(archive: tarfile.TarFile) -> bool:
    return not hasattr(archive.fileobj, "fileno")


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise ClipError("no_archive", f"{path}: no such archive")
    try:
        archive = tarfile.TarFile.open(path, "r:*")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ClipError("broken_archive", f"{path}: not a readable tar archive ({error}); fetch it again") from error
    with archive:
        yield archive


def _fault_of_name(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts:
        return "an empty name"
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "an absolute or foreign path"
    if ".." in parts:
        return "it steps out of the archive"
    return ""
