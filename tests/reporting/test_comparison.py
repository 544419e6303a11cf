"""Comparison of two evaluations: the paired table, the page of all runs, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from occlufacediff.cli import main
from occlufacediff.evaluation import aggregation
from occlufacediff.reporting import main_table
from occlufacediff.reporting.comparison import compare, read_evaluation
from occlufacediff.reporting.tables import read_table
from occlufacediff.stages.compare_runs import compare_runs

CLIPS = (("A", "sad/level_1/001"), ("A", "sad/level_1/002"), ("B", "sad/level_1/001"))
#: Lip errors of `ours` by clip, in two runs.
FIRST, SECOND = (1.0, 3.0, 2.0), (2.0, 3.0, 5.0)


def write(folder: Path, ours: tuple[float, ...], protocol: str = "p", change: Callable | None = None) -> Path:
    """A run with the lip errors of `ours`, and of `neutral`, which is 9 for all clips."""
    by_clip = pd.DataFrame(
        [
            (method, occlusion, *clip, "lve", "mm", value, 1.0)
            for occlusion in ("none", "mouth")
            for method, values in (("ours", ours), ("neutral", (9.0,) * 3))
            for clip, value in zip(CLIPS, values, strict=True)
        ],
        columns=["method", "occlusion", "subject", "clip", "metric", "unit", "value", "weight"],
    )
    by_clip = by_clip if change is None else change(by_clip)
    (folder / "evaluation").mkdir(parents=True)
    by_clip.to_csv(folder / "evaluation" / "metrics_by_clip.csv", index=False)
    means = aggregation.means(by_clip, 200, seed=0).assign(protocol=protocol, seen_in_training="no")
    means.to_csv(folder / "evaluation" / "metrics.csv", index=False)
    return folder


def test_differences_are_paired_by_clip(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one", FIRST), write(tmp_path / "other", SECOND)
    found = compare(read_evaluation(one), read_evaluation(other / "evaluation"))
    row = found[(found["method"] == "ours") & (found["occlusion"] == "mouth")].iloc[0]
    assert (row["first"], row["second"]) == ("one", "other")
    # Differences -1, 0 for A and -3 for B: intervals from the subjects' means -0.5 and -3.
    assert row["mean_first"] == pytest.approx(2)
    assert row["mean_second"] == pytest.approx(10 / 3)
    assert row["difference"] == pytest.approx(-4 / 3)
    assert (row["low"], row["high"]) == (-3, -0.5)
    assert row["share_lower"] == pytest.approx(2 / 3)
    assert (row["n"], row["n_subjects"]) == (3, 2)
    still = found[found["method"] == "neutral"]
    assert (still[["difference", "low", "high", "share_lower"]] == 0).all(axis=None)


def test_the_command_prints_the_table_and_writes_all_metrics(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one", FIRST), write(tmp_path / "other", SECOND)
    arguments = ["compare", str(one), str(other), "--out", str(tmp_path / "c.csv")]
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    for words in ("A = one, B = other", "-1.33 [-3.00, -0.50]", "67 %", "bootstrap over 2 subjects"):
        assert words in result.output
    assert set(read_table(tmp_path / "c.csv", ("difference",))["method"]) == {"ours", "neutral"}
    wrong = CliRunner().invoke(main, ["compare", str(one), str(other), "--metric", "beauty"])
    assert wrong.exit_code == 2
    assert "needs one of lve" in wrong.output


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: write(folder, SECOND, protocol="q"), "different test protocols (p and q)"),
        (
            lambda folder: write(folder, SECOND, change=lambda table: table[table["subject"] == "A"]),
            "2 clips are scored in only one of both, the first is B/sad/level_1/001 under mouth",
        ),
        (
            lambda folder: write(folder, SECOND, change=lambda table: table.assign(occlusion="upper")),
            "have no occlusion in common",
        ),
        (lambda folder: folder, "there is no folder"),
        (lambda folder: (folder.mkdir(), folder)[1], "has no evaluation/metrics.csv"),
        (
            lambda folder: (write(folder / "runs/a", FIRST), write(folder / "runs/b", FIRST), folder)[2],
            "has 2 runs (a, b)",
        ),
    ],
)
def test_evaluations_that_differ_are_refused(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    one, other = write(tmp_path / "one", FIRST), make(tmp_path / "other")
    result = CliRunner().invoke(main, ["compare", str(one), str(other)])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_the_page_of_runs_shows_differences_and_names_what_it_cannot_compare(tmp_path: Path) -> None:
    runs = [
        write(tmp_path / "a", FIRST),
        write(tmp_path / "b", SECOND),
        write(tmp_path / "c", SECOND, protocol="other"),
    ]
    outputs = [tmp_path / name for name in ("runs.csv", "runs_paired.csv", "runs.html")]
    compare_runs(runs, *outputs, dataset="d")
    page = outputs[2].read_text(encoding="utf-8")
    assert "a and b: lip vertices (LVE), mm" in page
    assert "-1.33 [-3.00, -0.50]" in page
    assert page.count("different test protocols") == 2
    # Neutral faces do not differ between runs.
    assert "neutral face" not in page
    assert set(read_table(outputs[1], ("first",))["second"]) == {"b"}
    assert set(read_table(outputs[1], ())["protocol"]) == {"p"}


def test_main_tables_name_the_best_method_and_escape(tmp_path: Path) -> None:
    metrics = read_table(write(tmp_path / "a", FIRST) / "evaluation" / "metrics.csv", ())
    assert "| ours | **2.00 [2.00, 2.00]** | **2.00 [2.00, 2.00]** |" in main_table.markdown(metrics)
    assert "| neutral face | 9.00 [9.00, 9.00] | 9.00 [9.00, 9.00] |" in main_table.markdown(metrics)
    latex = main_table.latex(metrics.replace("mouth", "a&b_c"))
    assert r"method & none & a\&b c \\" in latex
    assert r"ours & \shortstack[r]{\textbf{2.00}\\\scriptsize {[2.00, 2.00]}}" in latex
    # Few occlusions fit into one column of a page, and long names are wrapped.
    assert r"\begin{table}" in latex
    wide = pd.concat([metrics.assign(occlusion=name) for name in ("a", "b", "c", "natural_true")])
    assert r"\shortstack[r]{painted, true\\visibility}" in main_table.latex(wide)
    assert r"\begin{table*}" in main_table.latex(wide)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert main_table.escaped("50 %_^") == r"50 \%\_\textasciicircum{}"
