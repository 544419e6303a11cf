"""Tar and zip archives: deterministic writing, safe reading of untrusted files."""

from __future__ import annotations

import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from occlufacediff.errors import ClipError
from occlufacediff.files import written_aside

BLOCK = tarfile.BLOCKSIZE
_COPY = 1 << 20
#: Errors of damaged tar archives or their compression; see `_damaged` for OSError.
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)


@dataclass(frozen=True)
class Limits:
    """Limits of an archive; a larger one is rejected."""

    #: Number of members.
    members: int = 200_000
    #: Bytes of one unpacked member.
    member_bytes: int = 4 << 30
    #: Bytes of all members.
    archive_bytes: int = 200 << 30


LIMITS = Limits()


def write_tar(path: Path | str, members: Iterable[tuple[str, Path]]) -> None:
    """Write files into an uncompressed tar, sorted by name, without dates and owners.

    Args:
        members: (name in the archive, file) pairs; names are relative and unique.

    Raises:
        ValueError: a name that `unpack` would reject, or a name given twice.
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


def unpack(path: Path | str, place: Callable[[str], Path | None], limits: Limits = LIMITS) -> list[str]:
    """Unpack the members of a tar for which ``place`` returns a path.

    The whole archive is rejected before anything is written if any member has an absolute path or ``..``, is a link, a
    device or a sparse file, or if the archive exceeds the limits. All readable members of a damaged archive are
    unpacked: after a damaged header, the next valid one is searched for.

    Args:
        path: a tar, compressed or not.
        place: member name -> file to write; None: skip the member. Called once per member.
        limits: limits of the archive.

    Returns:
        names of the unpacked members, in the archive's order.

    Raises:
        ClipError: ``unsafe_archive``: rejected, the message names the member; ``broken_archive``: unreadable or damaged
            (readable members are unpacked, the message names the damage); ``no_archive``: no such file.
    """
    path = Path(path)
    unpacked: list[str] = []
    with _opened(path) as archive:
        members, damage = _survey(archive, path, limits)
        wanted = _checked(path, members, place, limits)
        for member, target in wanted:
            try:
                source = archive.extractfile(member)
                assert source is not None
                with written_aside(target) as aside, aside.open("wb") as file:
                    _copy_whole(source, file, member)
            except _DAMAGE as error:
                if not _damaged(error):
                    raise
                damage.append(f"{member.name} cannot be read ({error})")
                continue
            unpacked.append(member.name)
    if damage or not members:
        what = "; ".join(damage[:3]) or "no readable member in it"
        more = f"; and {len(damage) - 3} more" if len(damage) > 3 else ""
        raise ClipError(
            "broken_archive", f"{path}: damaged, {len(unpacked)} files unpacked; {what}{more}; fetch it again"
        )
    return unpacked


def unpack_zip(path: Path | str, folder: Path, limits: Limits = LIMITS) -> list[str]:
    """Unpack a zip into a folder.

    Rejected before anything is written, as in `unpack`: absolute paths, ``..``, links, devices, encrypted members,
    archives over the limits. A damaged member is an error.

    Returns:
        names of the unpacked members, in the archive's order.

    Raises:
        ClipError: ``unsafe_archive``, ``broken_archive`` or ``no_archive``.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError("no_archive", f"{path}: no such archive")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            sizes = [(member.filename, member.file_size) for member in members]
            _check_limits(path, sizes, sizes, limits)
            for member in members:
                kind = stat.S_IFMT(member.external_attr >> 16)
                fault = _fault_of_name(member.filename)
                fault = fault or ("" if kind in (0, stat.S_IFREG) else "not a plain file")
                fault = fault or ("encrypted" if member.flag_bits & 1 else "")
                if fault:
                    raise _unsafe(path, member.filename, fault)
            for member in members:
                with (
                    archive.open(member) as source,
                    written_aside(folder / member.filename) as aside,
                    aside.open("wb") as file,
                ):
                    # zipfile reads at most the size that was checked above.
                    shutil.copyfileobj(source, file, _COPY)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise ClipError("broken_archive", f"{path}: not a readable zip ({error}); fetch it again") from error
    return [member.filename for member in members]


def _survey(archive: tarfile.TarFile, path: Path, limits: Limits) -> tuple[list[tarfile.TarInfo], list[str]]:
    """All members that can be found, and the damage between and after them.

    Stops at the first member that exceeds the limits or has a negative size; the archive is then rejected.
    """
    size = path.stat().st_size if isinstance(archive.fileobj, io.BufferedReader) else None
    members: list[tarfile.TarInfo] = []
    damage: list[str] = []
    end, total, before = 0, 0, "the beginning"
    while True:
        try:
            member = archive.next()
        except _DAMAGE as error:
            if not _damaged(error):
                raise
            if size is not None and archive.offset + BLOCK < size:
                archive.offset += BLOCK
                continue
            damage.append(f"nothing can be read behind {before} ({error})")
            return members, damage
        if member is None:
            break
        # tarfile silently searches for the next valid header after a damaged one.
        if member.offset > end and not (size is not None and _blank(path, end, member.offset)):
            damage.append(f"{member.offset - end} bytes cannot be read between {before} and {member.name}")
        if size is not None and member.offset_data + _stored(member) > size:
            damage.append(f"{member.name} is cut off")
            return members, damage
        members.append(member)
        total += member.size
        if member.size < 0 or len(members) > limits.members or total > limits.archive_bytes:
            return members, damage
        end, before = member.offset_data + -(-_stored(member) // BLOCK) * BLOCK, member.name
    if size is not None and end < size and not _blank(path, end, size):
        damage.append(f"{size - end} bytes cannot be read behind {before}")
    elif size is not None and end >= size and members:
        damage.append(f"it ends behind {before} without its end mark")
    return members, damage


def _checked(
    path: Path, members: list[tarfile.TarInfo], place: Callable[[str], Path | None], limits: Limits
) -> list[tuple[tarfile.TarInfo, Path]]:
    """The members to unpack and their targets; raises ClipError if any member is rejected."""
    for member in members:
        # The packed folder is itself a member, named ".".
        fault = "" if member.isdir() and member.name in (".", "") else _fault_of_name(member.name)
        if not fault and not member.isdir() and (not member.isreg() or member.issparse()):
            fault = "not a plain file"
        if not fault and member.size < 0:
            fault = "its size is negative"
        if fault:
            raise _unsafe(path, member.name, fault)
    placed = [(member, place(member.name)) for member in members if member.isreg()]
    wanted = [(member, target) for member, target in placed if target is not None]
    sizes = [(member.name, member.size) for member in members]
    _check_limits(path, sizes, [(member.name, member.size) for member, _ in wanted], limits)
    return wanted


def _check_limits(path: Path, members: list[tuple[str, int]], wanted: list[tuple[str, int]], limits: Limits) -> None:
    if len(members) > limits.members:
        raise _unsafe(path, members[limits.members][0], f"it is one of more than {limits.members} members")
    for name, size in wanted:
        if size > limits.member_bytes:
            raise _unsafe(path, name, f"it unpacks to {size} bytes, more than {limits.member_bytes}")
    total = 0
    for name, size in members:
        total += size
        if total > limits.archive_bytes:
            raise _unsafe(path, name, f"with it the archive unpacks to more than {limits.archive_bytes} bytes")


def _copy_whole(source: IO[bytes], file: IO[bytes], member: tarfile.TarInfo) -> None:
    shutil.copyfileobj(source, file, _COPY)
    if file.tell() != member.size:
        raise tarfile.ReadError("it is cut off")


def _unsafe(path: Path, name: str, fault: str) -> ClipError:
    return ClipError("unsafe_archive", f"{path}: member {name!r} is rejected: {fault}")


def _stored(member: tarfile.TarInfo) -> int:
    """Bytes of a member's content in the archive; sparse files are rejected later."""
    return member.size if member.isreg() and not member.issparse() else 0


def _blank(path: Path, begin: int, end: int) -> bool:
    """Whether a part of a file has zeros only."""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            data = file.read(min(_COPY, end - begin))
            if not data:
                break
            if data.strip(b"\0"):
                return False
            begin += len(data)
    return True


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise ClipError("no_archive", f"{path}: no such archive")
    try:
        archive = tarfile.TarFile.open(path, "r:*", ignore_zeros=True)
    except _DAMAGE as error:
        if not _damaged(error):
            raise
        raise ClipError("broken_archive", f"{path}: not a readable tar archive ({error}); fetch it again") from error
    with archive:
        yield archive


def _damaged(error: Exception) -> bool:
    """Whether the archive is damaged: OSErrors of decompressors have no error number, those of disks have one."""
    return not isinstance(error, OSError) or error.errno is None


def _fault_of_name(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts:
        return "an empty name"
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "an absolute or foreign path"
    if ".." in parts:
        return "it steps out of the archive"
    return ""
