"""The command `occlufacediff compare`: the paired table of two evaluations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from occlufacediff.errors import ConfigError
from occlufacediff.reporting.comparison import compare, read_evaluation
from occlufacediff.reporting.names import method_name, metric_name, occlusion_name
from occlufacediff.reporting.tables import cell_text, digits_of, headline_metric, interval_note


def comparison_table(compared: pd.DataFrame, metric: str) -> Table:
    """One row per method and occlusion: both means, the difference with its interval, and the share of clips."""
    rows = compared[compared["metric"] == metric]
    first, second = (escape(str(rows[name].iloc[0])) for name in ("first", "second"))
    unit = str(rows["unit"].iloc[0])
    title = f"{metric_name(metric)} ({unit}): A = {first}, B = {second}"
    table = Table(title=title, title_justify="left")
    for heading in ("method", "occlusion"):
        table.add_column(heading, no_wrap=True)
    for heading in ("A", "B", "A - B", "A lower", "clips"):
        table.add_column(heading, justify="right", no_wrap=True)
    digits = digits_of(rows[["mean_first", "mean_second"]])
    for row in rows.to_dict("records"):
        clear = row["low"] > 0 or row["high"] < 0
        difference = escape(cell_text(row["difference"], row["low"], row["high"], digits))
        table.add_row(
            escape(method_name(row["method"])),
            occlusion_name(str(row["occlusion"])),
            f"{row['mean_first']:.{digits}f}",
            f"{row['mean_second']:.{digits}f}",
            f"[bold]{difference}[/]" if clear else difference,
            f"{100 * row['share_lower']:.0f} %",
            str(row["n"]),
        )
    return table


def run(first: Path, second: Path, *, metric: str | None, out: Path | None) -> None:
    """Print the comparison of two evaluations, and write all metrics to a CSV table if ``out`` is given.

    Raises:
        ConfigError: the evaluations cannot be compared, or did not both measure the metric.
    """
    from occlufacediff.files import written_aside

    compared = compare(read_evaluation(first), read_evaluation(second))
    name = headline_metric(compared) if metric is None else metric
    found = sorted(compared["metric"].unique())
    if name not in found:
        raise ConfigError(f"--metric: got {name!r}, needs one of {', '.join(found)}")
    console = Console(highlight=False)
    console.print(comparison_table(compared, name))
    rows = compared[compared["metric"] == name]
    console.print(f"{interval_note(rows)} Bold: zero is outside the interval.", soft_wrap=True, markup=False)
    if out is not None:
        with written_aside(out) as aside:
            compared.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
        console.print(str(out), soft_wrap=True, markup=False)
