"""The summary of a data set's runs on the console: `occlufacediff summary`."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.training_overlap import SEEN
from occlufacediff.reporting.failures import failure_line
from occlufacediff.reporting.names import counted, method_name, metric_name
from occlufacediff.reporting.protocol_notes import lacking_lines
from occlufacediff.reporting.runs import find_runs, runs_table, seen_by_run
from occlufacediff.reporting.tables import count_texts, headline_metric, pivot, read_table, unit_of


def summary_table(metrics: pd.DataFrame) -> Table:
    """Table of the headline metric: one row per run and method, one column per occlusion, the best values in bold.

    Args:
        metrics: table of `runs_table`.
    """
    metric = headline_metric(metrics)
    by_run = {str(run): pivot(part, metric) for run, part in metrics.groupby("run", sort=False)}
    means = pd.concat(by_run, names=["run"])
    clips = int(metrics.loc[metrics["metric"] == metric, "n"].max())
    what = "Lip vertex error" if metric.startswith("lve") else f"Error of {metric_name(metric)}"
    title = f"{what} ({unit_of(metrics, metric)}) on {counted(clips, 'clip')}, by occlusion; lower is better"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if len(by_run) > 1:
        table.add_column("run", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for occlusion in means.columns:
        # The keys are shorter than the display names.
        table.add_column(str(occlusion).replace("_", " "), justify="right", overflow="fold")
    parts = metrics.groupby("run", sort=False)
    few = pd.concat({str(run): count_texts(part, metric, by_run[str(run)]) for run, part in parts}, names=["run"])
    # A mean over other clips is never the best.
    best = means.where(few.reindex_like(means).fillna("") == "").min()
    for (run, method), row in zip(means.index.to_list(), means.to_numpy(), strict=True):
        cells = [
            "-" if isnan(value) else f"[bold green]{value:.2f}[/]" if value == least else f"{value:.2f}"
            for value, least in zip(row, best, strict=True)
        ]
        names = [escape(str(run))] if len(by_run) > 1 else []
        table.add_row(*names, escape(method_name(str(method))), *cells)
    return table


def print_summary(results: Path, console: Console | None = None) -> None:
    """Print `summary_table` of all runs, the number of failed clips with reasons, and the paths of the reports.

    Args:
        results: folder of a data set, ``results/<dataset>``, or of one run.
        console: where to print; None for the standard output.

    Raises:
        ConfigError: the folder does not exist, or has no run with readable metrics.
    """
    console = console or Console(highlight=False)
    if not results.is_dir():
        raise ConfigError(f"there is no folder {results}; run the workflow first (`make run`)")
    runs = find_runs(results)
    if not runs:
        raise ConfigError(f"{results}: there is no file runs/<run>/evaluation/metrics.csv; run the workflow first")
    metrics = runs_table(runs)
    console.print(summary_table(metrics))
    for name, seen in seen_by_run(metrics).items():
        if seen not in ("no", "no_subjects"):
            console.print(f"{name}: {SEEN[seen]}", soft_wrap=True, markup=False)
    for manifest in (results / "manifest.csv", results.parent.parent / "manifest.csv"):
        if manifest.is_file():
            line = failure_line(read_table(manifest, ("subject", "clip", "status", "reason")))
            console.print(line, soft_wrap=True, markup=False)
            break
    for run in runs:
        failures = run / "evaluation" / "failures.csv"
        if failures.is_file() and len(failed := read_table(failures, ("occlusion", "subject", "clip", "reason"))):
            if "method" in failed:
                for line in lacking_lines(failed):
                    console.print(f"{run.name}: {line} ({failures})", soft_wrap=True, markup=False)
                failed = failed[failed["method"] == ""]
            count = failed.groupby(["subject", "clip"]).ngroups
            if count:
                console.print(
                    f"{run.name}: {counted(count, 'test clip')} failed ({failures})", soft_wrap=True, markup=False
                )
        report = run / "report.html"
        line = f"report: {report}" if report.is_file() else f"no report yet ({report})"
        console.print(line, soft_wrap=True, markup=False)
