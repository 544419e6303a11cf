"""Stage: the metrics of several runs in one table, and their differences on the same clips."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.files import written_aside
from occlufacediff.reporting.comparison import compare_all
from occlufacediff.reporting.result_tables import run_difference_note, run_difference_tables
from occlufacediff.reporting.runs import runs_table
from occlufacediff.reporting.templates import render


def compare_runs(runs: list[Path], out_csv: Path, paired_csv: Path, page_html: Path, *, dataset: str) -> None:
    """Write the metrics of all runs to one table, and compare all pairs of runs on the same clips.

    Args:
        runs: folders of the runs, ``results/<dataset>/runs/<run>``.
        out_csv: the table: ``run`` and the columns of ``evaluation/metrics.csv``.
        paired_csv: differences of runs (`comparison.COMPARED_COLUMNS`).
        page_html: a page with the differences of the main metric, and the pairs that cannot be compared.
        dataset: name of the data set.

    Raises:
        ConfigError: there is no run, or a run has no readable ``evaluation/metrics.csv``.
    """
    if not runs:
        raise ConfigError(f"{out_csv}: no run has been evaluated yet; run the target evaluate first")
    compared, refused = compare_all(runs)
    for path, table in ((out_csv, runs_table(runs)), (paired_csv, compared)):
        with written_aside(path) as aside:
            table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
    parts = {
        "dataset": dataset,
        "intro": f"{len(runs)} evaluated runs: {', '.join(run.name for run in runs)}.",
        "note": run_difference_note(compared),
        "refused": refused,
        "tables": run_difference_tables(compared),
    }
    with written_aside(page_html) as aside:
        aside.write_text(render("runs.html.j2", parts), encoding="utf-8")
