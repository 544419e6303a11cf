"""The real workflow on faulty archives: the report lists what was left out, and why."""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_tree import ROOT, Tree, copy_workflow

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workflow")]

#: One with faults of single clips, one whose archive is rejected, one without any, one without the view.
SUBJECTS = ("M009", "M023", "M024", "W017")


@pytest.fixture(scope="module")
def faulty(finished: Tree, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tree, Path, str]:
    """The workflow, run on faulty archives with the networks of the tiny run: its folder, the archives, its output."""
    folder = tmp_path_factory.mktemp("faulty")
    archives = folder / 'it\'s "faulty" MÉAD'
    command = [
        sys.executable,
        ROOT / "tests" / "faults" / "make_faulty_archives.py",
        finished.results / "archives",
        archives,
    ]
    made = subprocess.run([*command, "--seconds", "1.4"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    (folder / "tree").mkdir()
    tree = Tree(copy_workflow(folder / "tree").folder, "faulty.yaml")
    settings = yaml.safe_load((finished.folder / finished.config).read_text())
    settings |= {
        "source": "local",
        "archives": str(archives),
        "subjects": list(SUBJECTS),
        "checkpoint": str(finished.main_run),
        "head": str(next((finished.folder / "resources" / "heads").glob("*.npz"))),
        "split": {"rule": "all_test"},
        "evaluation": {"occlusions": ["mouth"], "methods": ["ours", "neutral"], "steps": 2, "max_clips": 2},
    }
    (tree.folder / tree.config).write_text(yaml.safe_dump(settings))
    result = tree.run()
    assert result.returncode == 0, result.stdout[-6000:]
    return tree, archives, result.stdout


def table_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index(["subject", "clip"]).sort_index()


def test_the_manifest_gives_each_clip_its_one_reason(faulty: tuple[Tree, Path, str]) -> None:
    tree, archives, _ = faulty
    expected = table_of(archives / "expected.csv").loc[list(SUBJECTS)].sort_index()
    manifest = table_of(tree.results / "manifest.csv")
    columns = ["status", "reason"]
    pd.testing.assert_frame_equal(manifest[columns], expected[columns])
    assert "down" in manifest.loc[("W017", "(archive)"), "message"]
    assert "'video/front/../../../escaped.mp4' is rejected" in manifest.loc[("M023", "(archive)"), "message"]
    assert "M024 has no video.tar" in manifest.loc[("M024", "(archive)"), "message"]


def test_the_report_sums_up_what_was_left_out(faulty: tuple[Tree, Path, str]) -> None:
    tree, _, _ = faulty
    manifest = table_of(tree.results / "manifest.csv").reset_index()
    page = (tree.main_run / "report.html").read_text(encoding="utf-8")
    section = html.unescape(page.split('<section id="failures">')[1].split("</section>")[0])
    failed = manifest[manifest["status"] == "failed"]
    lost = failed[failed["clip"] != "(archive)"]
    found = manifest[manifest["clip"] != "(archive)"]
    assert f"{len(lost)} of {len(found)} clips failed; all others are used." in section
    assert "Subjects without any usable clip: M023, M024, W017." in section
    for reason, rows in failed.groupby("reason"):
        cells = f"<td>{reason}</td><td>{len(rows)}</td><td>{rows['subject'].nunique()}</td>"
        assert cells in section, reason
    for subject, reason in (("M023", "unsafe_archive"), ("M024", "no_archive"), ("W017", "no_view")):
        reasons = ", ".join(sorted(["no_video", reason]))
        assert f"<td>{subject}</td><td>0</td><td>1</td><td>{reasons}</td>" in section
    for row in failed.itertuples():
        assert f"<td>{row.subject}</td><td>{row.clip}</td><td>{row.reason}</td>" in section


def test_a_second_run_has_nothing_to_do(faulty: tuple[Tree, Path, str]) -> None:
    tree, _, _ = faulty
    result = tree.run()
    assert result.returncode == 0 and "Nothing to be done" in result.stdout


def test_a_folder_that_cannot_be_a_subject_is_named(faulty: tuple[Tree, Path, str]) -> None:
    tree, archives, _ = faulty
    (archives / "M009 (copy)").symlink_to(archives / "M009")
    settings = yaml.safe_load((tree.folder / tree.config).read_text()) | {"subjects": None}
    (tree.folder / "all.yaml").write_text(yaml.safe_dump(settings))
    result = tree.run("--dry-run", config="all.yaml")
    assert result.returncode != 0
    assert "'M009 (copy)'" in result.stdout and "rename it" in result.stdout
    assert "most recent call last" not in result.stdout
