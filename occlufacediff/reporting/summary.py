"""The small table that ends `make run`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from occlufacediff.errors import ConfigError
from occlufacediff.reporting.failures import failure_line
from occlufacediff.reporting.tables import (
    METRIC_COLUMNS,
    headline_metric,
    method_name,
    metric_name,
    pivot,
    read_table,
    unit_of,
)


def summary_table(results: Path) -> Table:
    """Table of the headline metric, methods down and occlusions across, the best of a column in bold.

    Args:
        results: folder of a data set, with ``evaluation/metrics.csv``.

    Raises:
        ConfigError: no such folder, or no readable metrics in it.
    """
    if not results.is_dir():
        raise ConfigError(f"there is no folder {results}; run the workflow first (`make run`)")
    metrics = read_table(results / "evaluation" / "metrics.csv", METRIC_COLUMNS)
    metric = headline_metric(metrics)
    means = pivot(metrics, metric)
    clips = int(metrics.loc[metrics["metric"] == metric, "n"].max())
    what = "Lip vertex error" if metric.startswith("lve") else f"Error of {metric_name(metric)}"
    title = f"{what} ({unit_of(metrics, metric)}) on {clips} clips, by what is hidden; less is better"
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for occlusion in means.columns:
        table.add_column(str(occlusion).replace("_", " "), justify="right")
    best = means.min()
    for method, row in means.iterrows():
        cells = [
            f"[bold green]{value:.2f}[/]" if value == least else f"{value:.2f}"
            for value, least in zip(row, best, strict=True)
        ]
        table.add_row(escape(method_name(str(method))), *cells)
    return table


def print_summary(results: Path, console: Console | None = None) -> None:
    """Print :func:`summary_table`, how many clips were left out and why, and where the report lies.

    Raises:
        ConfigError: no such folder, or no readable metrics in it.
    """
    console = console or Console(highlight=False)
    console.print(summary_table(results))
    manifest = results / "manifest.csv"
    if manifest.is_file():
        line = failure_line(read_table(manifest, ("subject", "clip", "status", "reason")))
        console.print(line, soft_wrap=True, markup=False)
    report = results / "report.html"
    line = f"report: {report}" if report.is_file() else f"no report yet ({report})"
    console.print(line, soft_wrap=True, markup=False)
