"""Stage: one table with the metrics of several runs."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.files import written_aside
from occlufacediff.reporting.runs import runs_table


def compare_runs(runs: list[Path], out_csv: Path) -> None:
    """Write the metrics of all runs to one table: ``run`` and the columns of ``evaluation/metrics.csv``.

    Args:
        runs: folders of the runs, ``results/<dataset>/runs/<run>``.
        out_csv: the table.

    Raises:
        ConfigError: there is no run, or a run has no readable ``evaluation/metrics.csv``.
    """
    if not runs:
        raise ConfigError(f"{out_csv}: no run has been evaluated yet; run the target evaluate first")
    with written_aside(out_csv) as aside:
        runs_table(runs).to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
