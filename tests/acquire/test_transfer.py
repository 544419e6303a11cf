"""Fetching from a server that fails on purpose."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from faulty_server import PASSWORD, TOKEN, USER, FaultyServer, Served, faulty_server

from occlufacediff.acquire.fetch import fetch_files
from occlufacediff.acquire.sources import Remote, archives, asset
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.errors import AssetError, OccluFaceError
from occlufacediff.storage import StorageError

CONTENT = os.urandom(1_000_000)
CHANGED = os.urandom(1_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    monkeypatch.setenv("FLAME_USER", USER)
    monkeypatch.setenv("FLAME_PASSWORD", PASSWORD)
    with faulty_server() as running:
        yield running


def patience(server: FaultyServer, folder: Path, **changes: object) -> DownloadSettings:
    settings = DownloadSettings(
        service=server.service,
        checksums=str(folder / "checksums.csv"),
        first_wait_s=0.01,
        longest_wait_s=1.5,
        timeout_s=1.0,
        attempts=4,
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


def remote(server: FaultyServer, name: str = "a", login: str = "token", **known: object) -> Remote:
    route = {"token": "drive/v3/files", "form": "form", "none": "open"}[login]
    address = f"{server.base}/{route}/{name}?alt=media"
    return Remote(f"M003/{name}.tar", f"files/{name}", address, login, ("mead",), **known)  # type: ignore[arg-type]


def fetch(
    server: FaultyServer, folder: Path, *, login: str = "token", known: dict | None = None, **changes: object
) -> Path:
    target = folder / "a.tar"
    wanted = {target: remote(server, login=login, **(known or {}))}
    fetch_files(wanted, settings=patience(server, folder, **changes))
    return target


def part_of_an_earlier_run(folder: Path, content: bytes, etag: str) -> None:
    (folder / ".a.tar.part").write_bytes(content)
    note = {"identity": "files/a", "length": len(CONTENT), "etag": etag, "modified": "", "joined": False}
    (folder / ".a.tar.part.json").write_text(json.dumps(note))


def rest(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([], 1),
        ([("cut", 300_000)], 2),
        ([("cut", 300_000), ("cut", 300_000), ("cut", 300_000)], 4),
        (["drop", "drop"], 3),
        ([500, 503, 502], 4),
        ([("cut", 300_000), 500, ("cut", 100_000), 500], 5),
        ([408, ("retry_after", 0)], 3),
        ([("cut", 400_000), "ignore_range"], 2),
        ([("cut", 400_000), ("ignore_range", 500_000)], 3),
        ([("wrong_length", 5000)], 2),
        (["chunked"], 1),
        (["chunked_cut"], 2),
        ([("silence", 3)], 2),
        ([(403, '{"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}')], 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_a_fault_that_passes_costs_nothing(server, tmp_path, faults, requests, marked):
    server.files["a"] = Served(CONTENT, list(faults), marked)
    if ("wrong_length", 5000) in faults:
        # The answer promises more than there is; asked for the rest, the server says that there is none.
        requests = 3
    target = fetch(server, tmp_path)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == requests
    assert rest(tmp_path) == [".checksums.csv.lock", "a.tar", "checksums.csv"]


def test_files_of_a_shared_drive_are_found(server, tmp_path):
    server.files["1AbC"] = Served(CONTENT, shared_drive=True)
    table, own = tmp_path / "shared.csv", tmp_path / "assets.csv"
    table.write_text("subject,file,id\nM003,video.tar,1AbC\n")
    own.write_text("asset,file,address,login,terms\noccluder,a.zip,1AbC,token,mead\n")
    settings = patience(server, tmp_path, table=str(table), assets_table=str(own))
    wanted = [archives(settings)["M003", "video.tar"], asset(settings, "occluder")["a.zip"]]
    for number, remote in enumerate(wanted):
        target = tmp_path / f"{number}.tar"
        fetch_files({target: remote}, settings=settings)
        assert target.read_bytes() == CONTENT


def test_resumed_where_it_broke(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("cut", 300_000)])
    fetch(server, tmp_path)
    assert [asked.range for asked in server.asked] == ["", "bytes=300000-"]


def test_without_a_mark_the_end_is_asked_for_again_and_compared(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("cut", 300_000)], marked=False)
    fetch(server, tmp_path)
    assert [asked.range for asked in server.asked] == ["", f"bytes={300_000 - 65536}-"]


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_a_file_that_changes_between_two_parts_is_never_mixed(server, tmp_path, marked):
    server.files["a"] = Served(CONTENT, [("cut", 300_000), "change"], marked, CHANGED)
    assert fetch(server, tmp_path).read_bytes() == CHANGED


@pytest.mark.parametrize("etag", ['"old"', ""], ids=["marked", "unmarked"])
def test_a_part_of_a_new_version_is_not_joined_to_one_of_the_old(server, tmp_path, etag):
    # The server gives the rest of the new version although the rest of the old one was asked for.
    server.files["a"] = Served(CHANGED, ["ignore_if_range"], bool(etag))
    part_of_an_earlier_run(tmp_path, CONTENT[:300_000], etag)
    assert fetch(server, tmp_path).read_bytes() == CHANGED
    assert [asked.range != "" for asked in server.asked] == [True, False]


def test_a_later_run_goes_on_where_the_last_one_was_stopped(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("cut", 300_000), 500, 500, 500, 500])
    with pytest.raises(AssetError, match=r"M003/a\.tar: given up after 4 failures.*500.*run again"):
        fetch(server, tmp_path)
    assert not (tmp_path / "a.tar").exists()
    assert (tmp_path / ".a.tar.part").stat().st_size == 300_000
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1].range == "bytes=300000-"


def test_a_part_of_another_file_is_not_used(server, tmp_path):
    server.files["a"] = Served(CONTENT)
    (tmp_path / ".a.tar.part").write_bytes(b"x" * 5000)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[0].range == ""


def test_retry_after_is_honoured_as_seconds_and_as_date(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("retry_after", 1), ("retry_after", formatdate(time.time() + 4, usegmt=True))])
    begun = time.monotonic()
    fetch(server, tmp_path)
    assert 2.4 < time.monotonic() - begun < 6


def test_progress_forgives_failures_but_not_for_ever(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("cut", 50_000)] * 12)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.tar").unlink()
    server.files["a"] = Served(CONTENT, [("ignore_range", 50_000)] * 50)
    with pytest.raises(AssetError, match=r"given up after 4 failures in a row: the connection"):
        fetch(server, tmp_path)


def test_a_trickle_is_given_up(server, tmp_path):
    server.files["a"] = Served(CONTENT, ["trickle"] * 9)
    with pytest.raises(AssetError, match="less than 1000 bytes/s"):
        fetch(server, tmp_path, timeout_s=0.3, attempts=2)


@pytest.mark.parametrize(
    ("fault", "login", "words"),
    [
        (401, "token", ["401", "MEAD_TOKEN", "expired"]),
        (403, "token", ["403", "MEAD_TOKEN", "access"]),
        ((403, '{"error": {"errors": [{"reason": "downloadQuotaExceeded"}]}}'), "token", ["quota", "tomorrow"]),
        (404, "token", ["404", "files/a"]),
        (401, "form", ["401", "FLAME_USER", "FLAME_PASSWORD"]),
        (403, "none", ["403", "login"]),
        (418, "none", ["418"]),
        ("html", "token", ["web page", "MEAD_TOKEN"]),
        ("html_as_tar", "none", ["web page"]),
        ("html", "form", ["web page", "FLAME_USER"]),
        ("no_length", "none", ["length", "size"]),
    ],
    ids=str,
)
def test_refusals_name_the_remedy_and_are_not_repeated(server, tmp_path, fault, login, words):
    server.files["a"] = Served(CONTENT, [fault] * 5)
    with pytest.raises(AssetError) as refused:
        fetch(server, tmp_path, login=login)
    for word in ["M003/a.tar", *words]:
        assert word in str(refused.value)
    assert len(server.asked) == 1
    assert not {"a.tar", ".a.tar.part"} & set(rest(tmp_path))


def test_wrong_content_is_never_taken(server, tmp_path):
    server.files["a"] = Served(CONTENT)
    for known, words in (
        ({"sha256": "0" * 64}, r"SHA-256 is [0-9a-f]{64}, and the table that names it says 0{64}"),
        ({"size": 999}, r"size is 1000000, and the table that names it says 999"),
    ):
        with pytest.raises(AssetError, match=words):
            fetch(server, tmp_path, known=known)
        assert rest(tmp_path) == []
    assert fetch(server, tmp_path, known={"size": len(CONTENT), "sha256": SHA}).read_bytes() == CONTENT


def test_a_joined_file_of_the_wrong_digest_is_fetched_once_more_in_one_piece(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("cut", 300_000)])
    part_of_an_earlier_run(tmp_path, b"x" * 300_000, server.files["a"].etag)
    assert fetch(server, tmp_path, known={"sha256": SHA}).read_bytes() == CONTENT


def test_the_first_digest_is_written_down_and_binding(server, tmp_path):
    server.files["a"] = Served(CONTENT)
    fetch(server, tmp_path)
    with (tmp_path / "checksums.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"address": "files/a", "size": str(len(CONTENT)), "sha256": SHA, "name": "M003/a.tar"}
        ]
    (tmp_path / "a.tar").unlink()
    server.files["a"] = Served(CHANGED)
    with pytest.raises(AssetError, match=r"SHA-256 is .*checksums\.csv says.*remove its row"):
        fetch(server, tmp_path)
    assert not (tmp_path / "a.tar").exists()


def test_a_form_is_filled_in_and_not_carried_elsewhere(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("redirect", f"http://localhost:{server.server_port}/open/a")])
    fetch(server, tmp_path, login="form")
    first, second = server.asked
    assert (first.method, second.method) == ("POST", "GET")
    assert "username" in first.form and second.form == "" and second.host.startswith("localhost")


def test_the_token_does_not_follow_to_another_host(server, tmp_path):
    server.files["a"] = Served(CONTENT, [("redirect", f"http://localhost:{server.server_port}/open/a")])
    fetch(server, tmp_path)
    assert [asked.authorization for asked in server.asked] == [f"Bearer {TOKEN}", ""]


def test_files_come_in_parallel_and_the_line_tells_of_speed(server, tmp_path, capfd):
    names = ["a", "b", "c"]
    for name in names:
        server.files[name] = Served(CONTENT, [("cut", 300_000), ("retry_after", 1)])
    begun = time.monotonic()
    wanted = {tmp_path / f"{name}.tar": remote(server, name) for name in names}
    fetched = fetch_files(wanted, settings=patience(server, tmp_path), title="video.tar")
    assert time.monotonic() - begun < 2.5
    assert list(fetched) == list(wanted)
    assert all(path.read_bytes() == CONTENT for path in wanted)
    line = capfd.readouterr().err.rpartition("\r")[2]
    assert re.match(r"video\.tar: 100%.*2\.86M/2\.86M \[00:0\d<00:00, .*B/s\]", line), line


def test_of_several_files_those_that_came_are_not_asked_for_again(server, tmp_path):
    server.files["a"] = Served(CONTENT)
    wanted = {tmp_path / "a.tar": remote(server), tmp_path / "b.tar": remote(server, "b")}
    one_at_a_time = patience(server, tmp_path, parallel=1)
    with pytest.raises(AssetError, match=r"b\.tar: the server has no such file"):
        fetch_files(wanted, settings=one_at_a_time)
    server.files["b"] = Served(CHANGED)
    fetched = fetch_files(wanted, settings=one_at_a_time)
    assert [asked.path[-11:-10] for asked in server.asked] == ["a", "b", "b"]
    assert fetched[tmp_path / "a.tar"].sha256 == SHA
    # But a damaged part is fetched again.
    (tmp_path / "a.tar").write_bytes(CONTENT[:-1] + b"?")
    fetch_files(wanted, settings=one_at_a_time)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT and len(server.asked) == 4


def test_one_refusal_stops_the_others_and_keeps_what_they_have(server, tmp_path):
    server.files["a"] = Served(CONTENT, ["trickle"])
    wanted = {tmp_path / "a.tar": remote(server), tmp_path / "b.tar": remote(server, "missing")}
    begun = time.monotonic()
    with pytest.raises(AssetError, match=r"missing\.tar: the server has no such file"):
        fetch_files(wanted, settings=patience(server, tmp_path))
    assert time.monotonic() - begun < 2
    assert (tmp_path / ".a.tar.part").exists()


def test_a_disk_without_room_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    server.files["a"] = Served(CONTENT, [("wrong_length", 10**15)])
    with pytest.raises(StorageError, match=r"a\.tar: .*needs 1,000,000,001 MB more.*free some space"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("value", ["", "two words\nlines", "ümlaut"])
def test_a_missing_or_impossible_token_is_named_and_not_shown(server, tmp_path, monkeypatch, value):
    monkeypatch.setenv("MEAD_TOKEN", value)
    with pytest.raises(OccluFaceError, match="MEAD_TOKEN") as refused:
        fetch(server, tmp_path)
    assert not value or value not in str(refused.value)
    assert server.asked == []
