"""What the tables of an evaluation say about their protocol and about clips that a method lacks."""

from __future__ import annotations

import pandas as pd

from occlufacediff.evaluation.external import FOLDER, REASONS
from occlufacediff.reporting.names import counted, method_name, occlusion_name
from occlufacediff.reporting.tables import headline_metric

PROTOCOLS = {
    "default": "clips, occlusions and windows of this project",
    "published": "list of clips, occlusions and windows of the published evaluation",
}
#: Columns of `lacking_table`.
LACKING_COLUMNS = ["method", "occlusion", "reason", "clips", "first"]


def protocol_name(metrics: pd.DataFrame) -> str:
    """Name of the protocol of a table with the column ``protocol``, ``<name>-<digest>``; empty for older tables."""
    if "protocol" not in metrics or metrics.empty:
        return ""
    name = str(metrics["protocol"].iloc[0]).partition("-")[0]
    return name if name in PROTOCOLS else ""


def protocol_note(metrics: pd.DataFrame) -> str:
    """Which protocol a table has; empty for older tables."""
    name = protocol_name(metrics)
    return f"Protocol: {name} ({PROTOCOLS[name]})." if name else ""


def lacking_note(metrics: pd.DataFrame) -> str:
    """Which methods lack clips, and how many; empty if none does.

    Args:
        metrics: ``evaluation/metrics.csv``.
    """
    if "missing" not in metrics or metrics.empty:
        return ""
    rows = metrics[(metrics["metric"] == headline_metric(metrics)) & (metrics["missing"] > 0)]
    parts = []
    for method, theirs in rows.groupby("method", sort=False):
        counts = ", ".join(
            f"{occlusion_name(str(row['occlusion']))} {row['missing']} of {row['n'] + row['missing']}"
            for row in theirs.to_dict("records")
        )
        parts.append(f"{method_name(str(method))} lacks clips ({counts}).")
    if not parts:
        return ""
    return (
        " ".join(parts) + " The means of such a method are over its other clips and are not marked as the best. "
        "Differences of methods are on the clips that both have."
    )


def lacking_table(failures: pd.DataFrame) -> pd.DataFrame:
    """Clips that single methods lack, counted by occlusion and reason: `LACKING_COLUMNS`.

    Args:
        failures: ``evaluation/failures.csv``.
    """
    rows = failures[failures["method"] != ""] if "method" in failures else failures.iloc[:0]
    lines = []
    for (method, occlusion, reason), theirs in rows.groupby(["method", "occlusion", "reason"], sort=False):
        first = theirs.iloc[0]
        count = "" if first["clip"] == FOLDER else str(len(theirs))
        lines.append(
            (method, occlusion, f"{reason}: {REASONS.get(str(reason), 'see failures.csv')}", count, first["message"])
        )
    return pd.DataFrame(lines, columns=LACKING_COLUMNS)


def lacking_lines(failures: pd.DataFrame) -> list[str]:
    """One line per method that lacks clips, with the number of clips by reason."""
    lines = []
    rows = failures[(failures["method"] != "") & (failures["clip"] != FOLDER)]
    for method, theirs in rows.groupby("method", sort=False):
        reasons = theirs.drop_duplicates(["subject", "clip", "reason"])["reason"].value_counts(sort=False)
        counts = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        clips = theirs.groupby(["subject", "clip"]).ngroups
        lines.append(f"{method} lacks {counted(clips, 'clip')}: {counts}")
    return lines
