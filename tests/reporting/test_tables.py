"""Result tables, and the summary of runs on the console."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from occlufacediff.config.occlusion import EVALUATION_KINDS
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.metrics import UNITS
from occlufacediff.evaluation.training_overlap import SEEN
from occlufacediff.reporting import names, report_parts, result_tables, tables
from occlufacediff.reporting.failures import failure_part
from occlufacediff.reporting.summary import print_summary, summary_table
from occlufacediff.stages.compare_runs import compare_runs

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


def test_every_metric_and_occlusion_has_a_name() -> None:
    for metric in UNITS:
        assert metric in names.METRIC_NAMES, metric
    assert names.metric_name("lmk_2d_error_hidden_pooled") == "projected landmarks, occluded ones, pooled over clips"
    assert names.metric_name("lve_hidden") == "lip vertices (LVE), occluded frames"
    assert set(names.OCCLUSION_NOTES) == {"none", *EVALUATION_KINDS}
    assert names.occluded("mouth") == "mouth occluded"
    assert names.occluded("natural") == "occlusion painted occluder"
    assert [names.counted(count, "clip") for count in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]


def write_run(folder: Path, table: pd.DataFrame) -> Path:
    """A run with its metrics."""
    (folder / "evaluation").mkdir(parents=True)
    table.to_csv(folder / "evaluation" / "metrics.csv", index=False)
    return folder


def printed(folder: Path) -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    print_summary(folder, console)
    return console.export_text()


def test_the_summary_names_methods_values_and_the_report(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "main", metrics().assign(seen_in_training="no"))
    assert "no report yet" in printed(tmp_path)
    (run / "report.html").write_text("x")
    for folder in (tmp_path, run):
        text = printed(folder)
        for word in ("Lip vertex error (mm) on 12 clips", "ours, without audio", "neutral face", "report.html", "3.00"):
            assert word in text
        assert "trained" not in text


def test_a_mean_over_fewer_clips_is_never_the_best(tmp_path: Path) -> None:
    table = metrics().assign(missing=0)
    few = {"method": "EMOCA", "metric": "lve", "unit": "mm"}
    lacking = [
        few | {"occlusion": "none", "mean": 0.5, "n": 4, "missing": 8},
        few | {"occlusion": "mouth", "n": 0, "missing": 12},
    ]
    table = pd.concat([table, pd.DataFrame(lacking)], ignore_index=True)
    console = Console(record=True, width=120, force_terminal=True)
    console.print(summary_table(table.assign(run="main")))
    marked = [line for line in console.export_text(styles=True).splitlines() if "\x1b[1;32m" in line]
    assert marked
    assert not any("EMOCA" in line for line in marked)
    by_method = table[(table["metric"] == "lve") & (table["occlusion"] == "none")].set_index("method")
    methods = list(by_method.index)
    cells = dict(zip(methods, result_tables._cells(by_method, methods, 2), strict=True))
    assert cells["EMOCA"]["text"] == "0.50 (4 of 12 clips)"
    assert [name for name, cell in cells.items() if cell["best"]] == ["ours"]


def test_the_summary_compares_runs_and_names_what_was_trained_on(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "main", metrics().assign(seen_in_training="clips"))
    other = metrics()
    other.loc[other["method"] == "ours", "mean"] = 1.25
    write_run(tmp_path / "runs" / "001", other)
    failures = (
        "occlusion,subject,clip,method,reason,message\n"
        "mouth,A,x/y/1,,no_region,none\nupper,A,x/y/1,,no_region,none\n"
        "mouth,A,x/y/2,EMOCA,external_missing,none\nupper,A,x/y/2,EMOCA,external_missing,none\n"
    )
    (tmp_path / "runs" / "001" / "evaluation" / "failures.csv").write_text(failures)
    text = printed(tmp_path)
    lines = [line.split()[:3] for line in text.splitlines() if "ours  " in line]
    assert lines == [["001", "ours", "1.25"], ["main", "ours", "2.00"]]
    assert "001: 1 test clip failed" in text
    assert "001: EMOCA lacks 1 clip: external_missing 1" in text
    assert f"main: {SEEN['clips']}" in text
    assert f"001: {SEEN['unknown']}" in text


def test_the_table_of_runs_has_the_metrics_of_every_run(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("runs.csv", "runs_paired.csv", "runs.html")]
    runs = [write_run(tmp_path / "runs" / name, metrics()) for name in ("a", "007")]
    compare_runs(runs, *outputs, dataset="d")
    table = tables.read_table(tmp_path / "runs.csv", ("run", *tables.METRIC_COLUMNS))
    assert table.groupby("run", sort=False).size().to_dict() == {"a": len(metrics()), "007": len(metrics())}
    np.testing.assert_allclose(table["mean"], [*metrics()["mean"]] * 2)
    # These runs have no table of clips, so they cannot be compared; the page names the reason.
    assert "has no column protocol" in outputs[2].read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="no run has been evaluated"):
        compare_runs([], *outputs, dataset="d")
    with pytest.raises(ConfigError, match=r"there is no file .*lacking"):
        compare_runs([tmp_path / "lacking"], *outputs, dataset="d")


@pytest.mark.parametrize(
    ("content", "match"), [(None, "there is no file"), ("", "not a readable CSV"), ("a,b\n1,2\n", "no column")]
)
def test_unusable_results_are_named(tmp_path: Path, content: str | None, match: str) -> None:
    folder = tmp_path / "runs" / "main" / "evaluation"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "metrics.csv").write_text(content)
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
