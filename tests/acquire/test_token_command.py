"""Bearer tokens that expire in the middle of a download: a command gives the next one."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from faulty_server import TOKEN, FaultyServer, Served, faulty_server

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from good_archives import write_good_archives

from occlufacediff.acquire.fetch import fetch_files
from occlufacediff.acquire.sources import Remote
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.errors import AssetError

#: Prints a token that was never printed before, and notes that it did.
COMMAND = """
import os, sys
with open(sys.argv[1], "ab", buffering=0) as file:
    file.write(b".")
    number = os.fstat(file.fileno()).st_size
print("ya29.made-by-a-command-%04d" % number)
"""


@dataclass
class Issuer:
    """A server's view of tokens: each is good for some requests."""

    folder: Path
    uses: int
    used: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def command(self) -> tuple[str, ...]:
        """What to set `token_command` to."""
        (self.folder / "token.py").write_text(COMMAND)
        return sys.executable, "-S", str(self.folder / "token.py"), str(self.folder / "given")

    @property
    def given(self) -> int:
        """Tokens that the command has given."""
        return (self.folder / "given").stat().st_size if (self.folder / "given").exists() else 0

    def accepts(self, token: str) -> bool:
        """Whether the token is good once more."""
        with self.lock:
            if not token.startswith("ya29.made-by-a-command-"):
                return False
            self.used[token] += 1
            return self.used[token] <= self.uses


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.delenv("MEAD_TOKEN", raising=False)
    with faulty_server() as running:
        yield running


def settings_for(server: FaultyServer, folder: Path, command: tuple[str, ...]) -> DownloadSettings:
    return DownloadSettings(
        service=server.service,
        checksums=str(folder / "checksums.csv"),
        token_command=command,
        first_wait_s=0.01,
        longest_wait_s=0.1,
        attempts=4,
    )


def remote(server: FaultyServer, name: str) -> Remote:
    return Remote(f"M003/{name}.tar", f"files/{name}", f"{server.service}/files/{name}?alt=media", "token", ("mead",))


@pytest.mark.parametrize("in_environment", ["", "ya29.ended-an-hour-ago"])
def test_tokens_expire_in_the_middle_of_files_fetched_at_once(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_environment: str
) -> None:
    issuer = Issuer(tmp_path, uses=6)
    server.accepts = issuer.accepts
    monkeypatch.setenv("MEAD_TOKEN", in_environment)
    names = [f"file{number}" for number in range(6)]
    for name in names:
        server.files[name] = Served(os.urandom(400_000), [("cut", 100_000)] * 3)
    wanted = {tmp_path / "out" / f"{name}.tar": remote(server, name) for name in names}
    fetch_files(wanted, settings=settings_for(server, tmp_path, issuer.command))
    for name, path in zip(names, wanted, strict=True):
        assert path.read_bytes() == server.files[name].content
    # Four good answers a file and six a token: no token was asked for that was not used up.
    assert issuer.given == 4
    # A refusal in the middle of a file costs no byte: each piece was asked for once with a good token.
    good = Counter(asked.range for asked in server.asked) - Counter({"": len(server.asked)})
    assert set(good) == {f"bytes={start}-" for start in (100_000, 200_000, 300_000)}
    assert (server.asked[0].authorization == f"Bearer {in_environment}") == bool(in_environment)


def test_a_good_token_of_the_environment_needs_no_command(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEAD_TOKEN", TOKEN)
    server.files["a"] = Served(b"x" * 1000)
    issuer = Issuer(tmp_path, uses=0)
    fetch_files({tmp_path / "a.tar": remote(server, "a")}, settings=settings_for(server, tmp_path, issuer.command))
    assert issuer.given == 0


@pytest.mark.parametrize(
    ("command", "words", "requests"),
    [
        (("ya29.a-token-in-place-of-a-command",), "cannot be started", 0),
        (("false",), "ended with status 1", 0),
        (("true",), "printed nothing", 0),
        (("echo", "Log in with", TOKEN), "something else than one token", 0),
        (("echo", TOKEN + "x"), r"prints the token that the server has just rejected \(401\) again", 1),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_that_gives_no_good_token_is_one_line_without_it(
    server: FaultyServer, tmp_path: Path, command: tuple[str, ...], words: str, requests: int
) -> None:
    server.files["a"] = Served(b"x" * 1000)
    with pytest.raises(AssetError, match=words) as refused:
        fetch_files({tmp_path / "a.tar": remote(server, "a")}, settings=settings_for(server, tmp_path, command))
    assert str(refused.value).startswith("download.token_command: ")
    assert "ya29" not in str(refused.value) and "\n" not in str(refused.value)
    assert len(server.asked) == requests


def test_an_account_without_the_right_is_given_up(server: FaultyServer, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, uses=0)
    server.accepts = issuer.accepts
    server.files["a"] = Served(b"x" * 1000)
    with pytest.raises(AssetError, match=r"rejects the request \(401\)\. It also rejects the token of download"):
        fetch_files({tmp_path / "a.tar": remote(server, "a")}, settings=settings_for(server, tmp_path, issuer.command))
    assert issuer.given == len(server.asked) == 4


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_whole_data_set_outlives_its_tokens_and_none_is_left_anywhere(
    bare: object, server: FaultyServer, tmp_path: Path
) -> None:
    issuer = Issuer(tmp_path, uses=2)
    server.accepts = issuer.accepts
    shutil.copytree(bare.folder, tmp_path / "tree")  # type: ignore[attr-defined]
    tree = replace(bare, folder=tmp_path / "tree")  # type: ignore[type-var]
    good = write_good_archives(tmp_path / "good", clips=1)
    rows = []
    for subject in ("M101", "M102"):
        for name in ("video", "audio"):
            content = (good / "M101" / f"{name}.tar").read_bytes()
            server.files[f"{subject}-{name}"] = Served(content, [("cut", len(content) // 3), 503])
            rows.append((subject, f"{name}.tar", f"{subject}-{name}"))
    with (tree.folder / "shared.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "file", "id"), *rows])
    command = ", ".join(f"'{word}'" for word in issuer.command)
    config = tree.override(
        "{dataset: fetched, source: download, download: {table: shared.csv, accept_terms: [mead], first_wait_s: 0.1, "
        f"service: '{server.service}', token_command: [{command}]}}}}"
    )
    result = tree.run("acquire", config=config)
    assert result.returncode == 0, result.stdout[-4000:]
    for subject, name, _ in rows:
        path = tree.folder / "results/fetched/archives" / subject / name
        assert path.read_bytes() == (good / "M101" / name).read_bytes()
    # Three good answers a file, two a token, and every file is a process of its own.
    assert issuer.given >= 6
    assert "ya29" not in result.stdout
    left = [path for path in tree.folder.rglob("*") if path.is_file() and b"made-by-a-command-" in path.read_bytes()]
    assert left == []
