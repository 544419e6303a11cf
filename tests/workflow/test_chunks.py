"""Shards cut finer than a subject: the same bytes, and nothing left to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occlufacediff.files import sha256
from occlufacediff.workflow.chunks import names, of_chunk, subject_file

SUBJECT = "M101"


@given(clips=st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=40), count=st.integers(2, 12))
def test_chunks_share_out_every_clip_once(clips, count):
    shares = [of_chunk(clips, name) for name in names(count)]
    assert sorted(clip for share in shares for clip in share) == sorted(clips)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_chunk_is_no_chunk():
    assert names(1) == []
    assert of_chunk(["a", "b"], None) == ["a", "b"]


@pytest.mark.parametrize("name", ["0of2", "3of2", "2of", "two", "1of0", "1of2 "])
def test_a_name_that_is_no_chunk_is_refused(name):
    with pytest.raises(ValueError, match="2of4"):
        of_chunk(["a"], name)


def test_marker_stands_for_the_subjects_file():
    assert str(subject_file("results/clips/M003.h5.2of4", "2of4")) == "results/clips/M003.h5"
    assert str(subject_file("results/clips/M003.h5", None)) == "results/clips/M003.h5"


@pytest.mark.long
@pytest.mark.xdist_group("workflow")
def test_chunks_change_no_byte(tree):
    folder = tree.results / "coefficients"
    made = [folder / f"{SUBJECT}.{kind}" for kind in ("h5", "csv")]
    before = [sha256(path) for path in made]
    for path in made:
        path.unlink()
    targets = [str(path.relative_to(tree.folder)) for path in made]
    chunked = tree.override("chunks: 2")
    result = tree.run(*targets, config=chunked)
    assert result.returncode == 0, result.stdout[-3000:]
    assert [sha256(path) for path in made] == before
    # Markers and parts are gone, both chunks were jobs, and nothing is left to do.
    assert set(folder.glob(f"*{SUBJECT}*")) == set(made)
    logs = {path.name for path in (tree.folder / "logs/tiny/fit_coefficients_chunk" / SUBJECT).iterdir()}
    assert logs == {"1of2.log", "1of2.tsv", "2of2.log", "2of2.tsv"}
    assert tree.plan(*targets, config=chunked) == {}
