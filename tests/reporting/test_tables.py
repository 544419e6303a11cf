"""Tables and the summary that ends a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from occlufacediff.errors import ConfigError
from occlufacediff.reporting import report_parts, tables
from occlufacediff.reporting.failures import failure_part
from occlufacediff.reporting.summary import print_summary

METHODS = {"neutral": 5.0, "ours": 2.0, "interpolation": 4.0, "ours_without_audio": 3.5}


def metrics() -> pd.DataFrame:
    rows = [
        (method, occlusion, metric, unit, value + extra, 12)
        for method, value in METHODS.items()
        for occlusion, extra in (("random", 0.5), ("mouth", 1.0), ("none", 0.0))
        for metric, unit in (("jitter", "m/s^3"), ("lve", "mm"))
    ]
    return pd.DataFrame(rows, columns=list(tables.METRIC_COLUMNS))


def test_rows_and_columns_have_a_fixed_order() -> None:
    table = tables.pivot(metrics(), "lve")
    assert list(table.index) == ["ours", "ours_without_audio", "interpolation", "neutral"]
    assert list(table.columns) == ["none", "mouth", "random"]
    assert table.loc["ours", "mouth"] == 3.0


def test_the_headline_is_the_lip_error_and_comes_first() -> None:
    assert tables.headline_metric(metrics()) == "lve"
    made = report_parts.result_tables(metrics())
    assert [table["title"] for table in made] == ["lip vertices (LVE), mm", "jitter, m/s^3"]
    assert [cell["best"] for cell in made[0]["rows"][0]["cells"]] == [True, True, True]
    assert made[0]["rows"][1]["cells"][0] == {"text": "3.50", "best": False}
    with pytest.raises(ConfigError, match=r"no vertex error .* have jitter"):
        tables.headline_metric(metrics().query("metric == 'jitter'"))


def test_the_summary_names_methods_values_and_the_report(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    metrics().to_csv(tmp_path / "evaluation" / "metrics.csv", index=False)
    console = Console(record=True, width=100, file=(tmp_path / "log").open("w"))
    print_summary(tmp_path, console)
    assert "no report yet" in console.export_text(clear=False)
    (tmp_path / "report.html").write_text("x")
    print_summary(tmp_path, console)
    text = console.export_text()
    for word in (
        "Lip vertex error (mm) on 12 clips",
        "ours, without audio",
        "neutral face",
        "report.html",
        "3.00",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("content", "match"), [(None, "there is no file"), ("", "not a readable CSV"), ("a,b\n1,2\n", "no column")]
)
def test_unusable_results_are_named(tmp_path: Path, content: str | None, match: str) -> None:
    (tmp_path / "evaluation").mkdir()
    if content is not None:
        (tmp_path / "evaluation" / "metrics.csv").write_text(content)
    with pytest.raises(ConfigError, match=match):
        print_summary(tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        print_summary(tmp_path / "missing")


def test_failures_and_splits() -> None:
    manifest = pd.DataFrame(
        {
            "subject": ["A", "A", "B"],
            "clip": ["happy/level_1/001", "happy/level_1/002", "sad/level_1/001"],
            "emotion": ["happy", "happy", "sad"],
            "sentence_id": ["1", "2", "1"],
            "split": ["train", "train", "test"],
            "frames": [75, 150, 0],
            "status": ["ok", "ok", "failed"],
            "reason": [None, None, "no_face"],
            "message": [None, None, "no face <found>"],
        }
    )
    assert report_parts.split_rows(manifest) == [
        {"split": "train", "subjects": 1, "sentences": 2, "clips": 2, "minutes": "0.1"}
    ]
    assert failure_part(manifest)["clips"] == [
        {"subject": "B", "clip": "sad/level_1/001", "reason": "no_face", "message": "no face <found>"}
    ]
    cards = report_parts.headline_cards(metrics(), manifest, "mouth")
    assert cards[0]["value"] == "3.00 mm"
    assert cards[-1]["value"] == "2 / 3"
