"""A download killed with SIGKILL in the middle goes on where it was; nothing is taken for whole."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from machine_faults import running, scripts_of, until
from tiny_tree import Tree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acquire"))
from faulty_server import TOKEN, Served, faulty_server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]


@pytest.mark.parametrize("source", ["archive", pytest.param("asset", marks=pytest.mark.long)])
def test_a_killed_download_goes_on_where_it_was(
    bare: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    shutil.copytree(bare.folder, tmp_path / "tree")
    tree = replace(bare, folder=tmp_path / "tree")
    with faulty_server() as server, (tree.folder / "table.csv").open("w", newline="") as table:
        server.files["a"] = Served(os.urandom(500_000), [("cut", 200_000), "trickle"])
        if source == "archive":
            csv.writer(table).writerows([("subject", "file", "id"), ("M101", "video.tar", "a")])
            more, folder = "source: download, dataset: fetched, ", tree.folder / "results/fetched/archives/M101"
            target = part = folder / "video.tar"
        else:
            columns = ("asset", "file", "address", "login", "terms")
            csv.writer(table).writerows([columns, ("flint", "video.tar.bin", "a", "token", "emote")])
            more, folder = "", tree.folder / "resources/licensed/flint"
            target, part = folder / "video.tar.bin", folder.parent / ".flint.fetching/video.tar.bin"
        table.close()
        names = "table: table.csv" if source == "archive" else "assets_table: table.csv, assets: [flint]"
        config = tree.override(
            f"{{{more}download: {{{names}, accept_terms: [mead, emote], service: '{server.service}', timeout_s: 90}}}}"
        )
        part = part.with_name(f".{part.name}.part")
        goal = str(target.relative_to(tree.folder)) if source == "archive" else "fetch"
        with running(tree, "--", goal, config=config) as process:
            until(lambda: part.exists() and part.stat().st_size > 200_000)
            os.kill(scripts_of(tree.folder)[f"fetch_{source}"], signal.SIGKILL)
            assert process.wait(60) != 0
        assert not target.exists()
        kept, asked = part.stat().st_size, len(server.asked)
        result = tree.run("--", goal, config=config)
        assert result.returncode == 0, result.stdout[-4000:]
        assert target.read_bytes() == server.files["a"].content
        assert [one.range for one in server.asked[asked:]] == [f"bytes={kept}-"]
        assert not part.exists()
