"""The main result as a Markdown and as a LaTeX table, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.reporting.protocol_notes import lacking_note, protocol_note
from occlufacediff.reporting.tables import (
    best_values,
    cell_text,
    count_texts,
    digits_of,
    headline_metric,
    identity_note,
    interval_note,
    intervals,
    method_name,
    metric_name,
    pivot,
    unit_of,
)

#: Further metrics of the main result, if they were measured.
FURTHER = (
    *("lve_frame", "mvpe_face", "mouth_closure", "mtm", "jitter"),
    *("viseme_accuracy", "viseme_error_rate", "emotion_accuracy"),
    *("wer", "cer", "vwer", "ver", "lip_reading_cosine", "lse_c", "lse_d", "emotion_top1", "emotion_top3"),
)
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
        columns, rows = _cells(metrics, metric, lambda text: f"**{text}**", lambda text: text.replace("|", "\\|"))
        lines = ["| " + " | ".join(row) + " |" for row in [["method", *columns], *rows]]
        lines.insert(1, "|---" + "|---:" * len(columns) + "|")
        parts.append("\n".join([f"**{_title(metrics, metric)}**", "", *lines]))
    return "\n\n".join([*parts, _notes(metrics)]) + "\n"


def latex(metrics: pd.DataFrame) -> str:
    """One LaTeX table (package ``booktabs``) per metric of the main result; see `markdown`."""
    parts = ["% Needs \\usepackage{booktabs}."]
    for metric in main_metrics(metrics):
        columns, rows = _cells(metrics, metric, lambda text: f"\\textbf{{{text}}}", escaped)
        lines = [" & ".join(row) + r" \\" for row in [["method", *columns], *rows]]
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{escaped(_title(metrics, metric) + '. ' + _notes(metrics))}}}",
                    rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
                    r"\toprule",
                    lines[0],
                    r"\midrule",
                    *lines[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _notes(metrics: pd.DataFrame) -> str:
    """Sentences about intervals, protocol, what methods received, and clips that methods lack."""
    notes = (interval_note(metrics), protocol_note(metrics), *identity_note(metrics), lacking_note(metrics))
    return " ".join(note for note in notes if note)


def _title(metrics: pd.DataFrame, metric: str) -> str:
    unit = unit_of(metrics, metric)
    return metric_name(metric) + (f", {unit}" if unit else "")


def _cells(
    metrics: pd.DataFrame, metric: str, bold: Callable[[str], str], escape: Callable[[str], str]
) -> tuple[Sequence[str], list[list[str]]]:
    """Names of the columns, and rows of a name and its cells."""
    means = pivot(metrics, metric)
    lows, highs = intervals(metrics, metric, means)
    counts = count_texts(metrics, metric, means)
    best = best_values(means.where(counts == ""), metric)
    digits = digits_of(means)
    rows = []
    for method in means.index:
        row = [escape(method_name(str(method)))]
        for occlusion in means.columns:
            value = means.loc[method, occlusion]
            text = escape(cell_text(value, lows.loc[method, occlusion], highs.loc[method, occlusion], digits))
            if counts.loc[method, occlusion]:
                row.append(f"{text} ({counts.loc[method, occlusion]})".strip())
            else:
                row.append(bold(text) if method != TRUTH and value == best.get(occlusion) else text)
        rows.append(row)
    return [escape(str(name).replace("_", " ")) for name in means.columns], rows
