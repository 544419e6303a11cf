"""What a training shows and writes while it runs: progress, history.csv, and errors of its data loader."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Never

from tqdm import tqdm

from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.training.meter import Row
from occlufacediff.training.task import Batch


def write_history(path: Path, rows: list[Row]) -> None:
    """Write history.csv: one row for each validation, columns in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: f"{value:.6g}" for key, value in row.items()} for row in rows])
    with written_aside(path) as aside:
        aside.write_text(text.getvalue())


#: How long the signal of an ended loader process may take to arrive, seconds.
_SIGNAL_S = 0.5
#: Torch's errors about ended loader processes contain these words.
_ENDED = "DataLoader worker"


def next_batch(batches: Iterator[Batch]) -> Batch:
    """The next batch.

    Raises:
        RuntimeError: a loader process ended while it handed over a batch; its connection fails before torch knows why.
        StopIteration: there is none.
    """
    try:
        return next(batches)
    except (ConnectionError, EOFError) as error:
        # The signal must not interrupt the report of this error.
        with suppress(RuntimeError):
            time.sleep(_SIGNAL_S)
        raise RuntimeError(f"{_ENDED} ended: {str(error) or type(error).__name__}") from error


@contextmanager
def loader_faults(label: str, step: Callable[[], int]) -> Iterator[None]:
    """Name the end of a loader process as an error for the user.

    A signal reports the end, so torch's error can come from any line.

    Args:
        label: of the training.
        step: gives the step at which the process ended.

    Raises:
        AssetError: a loader process was killed or crashed.
    """
    try:
        yield
    except RuntimeError as error:
        if _ENDED not in str(error):
            raise
        raise AssetError(
            f"{label}: a data loader process ended at step {step()} ({error}); a kill is mostly due to memory: lower "
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
