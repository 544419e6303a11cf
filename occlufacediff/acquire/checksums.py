"""Size and SHA-256 of remote files: published values in this package, and a table recorded at the first download."""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from occlufacediff.acquire.sources import Remote
from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside

PUBLISHED = Path(__file__).with_name("checksums.csv")
COLUMNS = ("address", "size", "sha256", "name")


@dataclass(frozen=True)
class Expected:
    """Known size and digest of a file, and their source."""

    size: int | None = None
    sha256: str | None = None
    #: Where the values are from, for messages.
    source: str = ""
    #: Remedy if a file differs.
    remedy: str = ""


def expected(remote: Remote, table: Path) -> Expected:
    """Known size and digest of a file: from its row in the table, else published ones, else from the first download.

    Args:
        table: the recorded table; it may not exist yet.

    Raises:
        AssetError: a table cannot be read.
    """
    if remote.size is not None or remote.sha256 is not None:
        return Expected(
            remote.size, remote.sha256, "the table that names it", "correct the table or download it elsewhere"
        )
    for path, remedy in (
        (PUBLISHED, "its owner may have replaced it: update this package"),
        (table, f"if its owner has replaced it, remove its row from {table}"),
    ):
        row = _read(path).get(remote.identity)
        if row is not None:
            return Expected(int(row["size"]), row["sha256"], str(path), remedy)
    return Expected()


def remember(remote: Remote, size: int, sha256: str, table: Path) -> None:
    """Record a downloaded file, unless the table has it. Safe for concurrent processes."""
    with _locked(table):
        rows = _read(table)
        if remote.identity in rows:
            return
        rows[remote.identity] = {"size": str(size), "sha256": sha256, "name": remote.name}
        with written_aside(table) as aside, aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(row | {"address": address} for address, row in sorted(rows.items()))


@contextmanager
def _locked(table: Path) -> Iterator[None]:
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.with_name(f".{table.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Rows by address; empty if the table does not exist."""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["address"]: row for row in csv.DictReader(file)}
        for row in rows.values():
            if not (row["size"].isdecimal() and len(row["sha256"]) == 64):
                raise ValueError(f"row of {row['address']}")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, csv.Error) as error:
        raise AssetError(
            f"{path}: not a table of checksums ({error!r}); needs the columns address,size,sha256: correct or remove it"
        ) from None
    return rows
