"""The main result as a Markdown and as a LaTeX table, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap

import pandas as pd

from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.reporting.names import method_name, metric_name, occlusion_name
from occlufacediff.reporting.protocol_notes import lacking_note, protocol_note
from occlufacediff.reporting.tables import (
    best_values,
    count_texts,
    digits_of,
    headline_metric,
    identity_note,
    interval_note,
    interval_text,
    intervals,
    pivot,
    unit_of,
)

#: Further metrics of the main result, if they were measured.
FURTHER = (
    *("lve_frame", "mvpe_face", "mouth_closure", "mtm", "jitter"),
    *("viseme_accuracy", "viseme_error_rate", "emotion_accuracy"),
    *("wer", "cer", "vwer", "ver", "lip_reading_cosine", "lse_c", "lse_d", "emotion_top1", "emotion_top3"),
)
#: Width of the headings of a LaTeX table, in letters.
HEADING_LETTERS = 16
#: Largest number of occlusions of a LaTeX table in one column of a page.
ONE_COLUMN = 3
#: Replacements for characters with a meaning in LaTeX.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def main_metrics(metrics: pd.DataFrame) -> list[str]:
    """Metrics of the main result: the headline metric first."""
    first = headline_metric(metrics)
    return [first, *(name for name in FURTHER if name in set(metrics["metric"]) and name != first)]


def markdown(metrics: pd.DataFrame) -> str:
    """One Markdown table per metric of the main result: methods by occlusions, the best values in bold.

    Methods that lack clips have the number of their clips in each cell and are never the best.

    Args:
        metrics: ``evaluation/metrics.csv``.
    """
    parts = []
    for metric in main_metrics(metrics):
        columns, rows = _cells(metrics, metric, _markdown_cell, lambda text: text.replace("|", "\\|"))
        lines = ["| " + " | ".join(row) + " |" for row in [["method", *columns], *rows]]
        lines.insert(1, "|---" + "|---:" * len(columns) + "|")
        parts.append("\n".join([f"**{_title(metrics, metric)}**", "", *lines]))
    return "\n\n".join([*parts, _notes(metrics)]) + "\n"


def latex(metrics: pd.DataFrame) -> str:
    """One LaTeX table (package ``booktabs``) per metric of the main result, intervals below the means; see `markdown`.

    A table of more than `ONE_COLUMN` occlusions is as wide as the page (``table*``).
    """
    parts = ["% Needs \\usepackage{booktabs}."]
    for metric in main_metrics(metrics):
        columns, rows = _cells(metrics, metric, _latex_cell, escaped)
        headings = [_stacked(wrap(name, HEADING_LETTERS)) for name in columns]
        lines = [" & ".join(row) + r" \\" for row in [["method", *headings], *rows]]
        table = "table" if len(columns) <= ONE_COLUMN else "table*"
        parts.append(
            "\n".join(
                [
                    rf"\begin{{{table}}}",
                    r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
                    rf"\caption{{{escaped(_title(metrics, metric) + '. ' + _notes(metrics))}}}",
                    rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
                    r"\toprule",
                    lines[0],
                    r"\midrule",
                    *lines[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                    rf"\end{{{table}}}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown_cell(mean: str, interval: str, count: str, best: bool) -> str:
    text = " ".join(part for part in (mean, interval, f"({count})" if count else "") if part)
    return f"**{text}**" if best else text


def _latex_cell(mean: str, interval: str, count: str, best: bool) -> str:
    shown = rf"\textbf{{{mean}}}" if best else mean
    below = [rf"\scriptsize {{{part}}}" for part in (interval, f"({count})" if count else "") if part]
    return _stacked([shown, *below] if shown else below)


def _stacked(lines: Sequence[str]) -> str:
    """Lines below each other in one cell."""
    joined = r"\\".join(lines)
    return rf"\shortstack[r]{{{joined}}}" if len(lines) > 1 else joined


def _notes(metrics: pd.DataFrame) -> str:
    """Sentences about intervals, protocol, what methods received, and clips that methods lack."""
    notes = (interval_note(metrics), protocol_note(metrics), *identity_note(metrics), lacking_note(metrics))
    return " ".join(note for note in notes if note)


def _title(metrics: pd.DataFrame, metric: str) -> str:
    unit = unit_of(metrics, metric)
    return metric_name(metric) + (f", {unit}" if unit else "")


def _cells(
    metrics: pd.DataFrame, metric: str, cell: Callable[[str, str, str, bool], str], escape: Callable[[str], str]
) -> tuple[Sequence[str], list[list[str]]]:
    """Names of the columns, and rows of a name and its cells.

    Args:
        metrics: ``evaluation/metrics.csv``.
        metric: the metric.
        cell: a cell of a mean, an interval, a number of clips for methods that lack some, and whether it is the best.
        escape: for names.
    """
    means = pivot(metrics, metric)
    lows, highs = intervals(metrics, metric, means)
    counts = count_texts(metrics, metric, means)
    best = best_values(means.where(counts == ""), metric)
    digits = digits_of(means)
    rows = []
    for method in means.index:
        row = [escape(method_name(str(method)))]
        for occlusion in means.columns:
            value, count = means.loc[method, occlusion], counts.loc[method, occlusion]
            mean = "" if pd.isna(value) else f"{value:.{digits}f}"
            interval = interval_text(lows.loc[method, occlusion], highs.loc[method, occlusion], digits) if mean else ""
            row.append(cell(mean, interval, count, not count and method != TRUTH and value == best.get(occlusion)))
        rows.append(row)
    return [escape(occlusion_name(str(name))) for name in means.columns], rows
