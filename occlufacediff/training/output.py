"""What a training shows and writes while it runs: progress, history.csv, and errors of its data loader."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

from tqdm import tqdm

from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.training.meter import Row


def write_history(path: Path, rows: list[Row]) -> None:
    """Write history.csv: one row for each validation, columns in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: f"{value:.6g}" for key, value in row.items()} for row in rows])
    with written_aside(path) as aside:
        aside.write_text(text.getvalue())


@contextmanager
def loader_faults(label: str, step: int) -> Iterator[None]:
    """Name the end of a loader process as an error for the user.

    Raises:
        AssetError: a loader process was killed or crashed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise AssetError(
            f"{label}: a data loader process ended at step {step} ({error}); a kill is mostly due to memory: lower "
            "loop.loader_workers or loop.batch_size, then run again: the training resumes from its last saved state"
        ) from error


def progress_bar(label: str, step: int, steps: int, *, show: bool) -> tqdm[Never]:
    """Progress in steps: a bar on a terminal, whole lines in a log."""
    live = sys.stderr.isatty()
    return tqdm(
        total=steps,
        initial=step,
        desc=label,
        unit="step",
        mininterval=0.5 if live else 5.0,
        # Whole lines keep logs readable.
        bar_format=None if live else "{desc}: {n}/{total} {postfix} [{elapsed}<{remaining}]\n",
        file=sys.stderr,
        disable=not show,
    )
