"""Results of other systems: formats, names of files, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_head import N_EXP, small_head

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.evaluation.external import REASONS, ExternalFolder

CLIP, FRAMES = "M003/happy/level_1/001", 30
HEAD = small_head()
FLAME = replace(HEAD, name="flame2020")


def motion(seed: int = 0, expressions: int = N_EXP) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(FRAMES, expressions + 3)).astype(np.float32)


def write(path: Path, values: np.ndarray | None = None, **entries: object) -> Path:
    """Write an array as .npy, or entries as .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        np.savez(path, **entries)
    return path


def opened(folder: Path, kinds: tuple[str, ...] = ("none", "mouth")) -> ExternalFolder:
    return ExternalFolder.open("EMOCA", folder, kinds)


@pytest.mark.parametrize(
    "name",
    [
        "M003/happy/level_1/001",
        "M003/front/happy/level_1/001",
        "M003_happy_level_1_001",
        "M003_front_happy_level_1_001",
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_every_format_and_name_gives_the_same_motion(name: str, suffix: str, tmp_path: Path) -> None:
    expected = motion()
    path = tmp_path / f"{name}{suffix}"
    if suffix == ".h5":
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["exp"], file["jaw"] = expected[:, :-3], expected[:, -3:]
            file.attrs["head_digest"] = HEAD.digest
    else:
        write(path, expected, exp=expected[:, :-3], jaw=expected[:, -3:], head_digest=HEAD.digest, fps=25.0)
    found = opened(tmp_path)
    for kind in ("none", "mouth"):
        np.testing.assert_array_equal(found.read(kind, CLIP, FRAMES, HEAD).motion, expected)
    assert found.unmatched([CLIP]) == []


def test_one_file_per_subject(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "M003.h5", "w") as file:
        for number in (1, 2):
            group = file.create_group(f"happy/level_1/{number:03d}")
            group["exp"], group["jaw"] = motion(number)[:, :-3], motion(number)[:, -3:]
    found = opened(tmp_path)
    np.testing.assert_array_equal(found.read("none", "M003/happy/level_1/002", FRAMES, HEAD).motion, motion(2))
    with pytest.raises(ClipError, match="there is no such file") as caught:
        found.read("none", "M003/happy/level_1/003", FRAMES, HEAD)
    assert caught.value.reason == "external_missing"


def test_results_by_occlusion(tmp_path: Path) -> None:
    write(tmp_path / "mouth" / f"{CLIP}.npy", motion(1))
    found = opened(tmp_path)
    assert found.kinds == {"mouth"}
    np.testing.assert_array_equal(found.read("mouth", CLIP, FRAMES, HEAD).motion, motion(1))
    with pytest.raises(ClipError) as caught:
        found.read("none", CLIP, FRAMES, HEAD)
    assert caught.value.reason == "external_missing"


def test_vertices_and_offsets(tmp_path: Path) -> None:
    vertices = np.repeat(HEAD.v_template[None], FRAMES, 0) + np.float32(0.001)
    write(tmp_path / f"{CLIP}.npy", vertices)
    np.testing.assert_array_equal(opened(tmp_path).read("none", CLIP, FRAMES, HEAD).vertices, vertices)
    other = "M003/sad/level_2/002"
    write(tmp_path / f"{other}.npz", offsets=vertices - HEAD.v_template)
    result = opened(tmp_path).read("none", other, FRAMES, HEAD)
    assert result.vertices is None
    np.testing.assert_allclose(result.offsets, 0.001, atol=1e-6)


def test_fewer_expressions_of_flame_are_followed_by_zeros(tmp_path: Path) -> None:
    write(tmp_path / f"{CLIP}.npy", motion(expressions=4))
    result = opened(tmp_path).read("none", CLIP, FRAMES, FLAME)
    assert result.padded == N_EXP - 4
    np.testing.assert_array_equal(result.motion[:, :4], motion(expressions=4)[:, :4])
    assert not result.motion[:, 4:-3].any()
    np.testing.assert_array_equal(result.motion[:, -3:], motion(expressions=4)[:, -3:])
    # The expressions of other head models are not ordered.
    with pytest.raises(ClipError, match=r"has 4 expressions .* 'small' has 6 and 3"):
        opened(tmp_path).read("none", CLIP, FRAMES, HEAD)


PARTS = {"exp": motion()[:, :-3], "jaw": motion()[:, -3:]}
NOT_FINITE = motion()
NOT_FINITE[[3, 9], 2] = np.nan
VERTICES = np.repeat(HEAD.v_template[None], FRAMES, 0)
#: Reason, words of the message, and the file's array or entries.
BAD: list[tuple[str, str, dict[str, object]]] = [
    ("external_length", "has 29 frames, the clip has 30", {"values": motion()[:-1]}),
    ("external_length", "has 31 frames", {"values": np.concatenate([motion(), motion()[:1]])}),
    ("external_not_finite", "exp is not finite in 2 of 30 frames", {"values": NOT_FINITE}),
    ("external_not_finite", "jaw is not finite in 3 of", {"values": np.where(np.eye(FRAMES, 9, 6) > 0, np.inf, 0.0)}),
    ("external_head", "has 100 expressions", {"values": motion(expressions=100)}),
    ("external_head", "belongs to the head model", {**PARTS, "head_digest": "f" * 64}),
    ("external_head", "belongs to the head model 'flame2020'", {**PARTS, "head_name": "flame2020"}),
    ("external_head", "vertices has the shape", {"values": VERTICES[:, :-1]}),
    ("external_rate", "has 30 frames per second, needs 25", {**PARTS, "fps": 30.0}),
    ("external_unit", "1e+03 times the head model", {"values": VERTICES * 1000}),
    ("external_unit", "offsets of up to", {"offsets": VERTICES * 1000}),
    ("external_unreadable", "needs exp and jaw, or vertices, or offsets", {"exp": motion()[:, :-3]}),
    ("external_unreadable", "needs exp and jaw, or vertices, or offsets", {"pose": motion()}),
    ("external_unreadable", "needs 2 axes of numbers", {"exp": motion()[None], "jaw": motion()[:, -3:]}),
    ("external_unreadable", "needs (T, E + 3) or (T, V, 3)", {"values": np.zeros(FRAMES)}),
    ("external_unreadable", "axes of numbers", {"values": np.full((FRAMES, 9), "x")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "words", "content"), BAD, ids=[f"{reason}-{words[:20]}" for reason, words, _ in BAD]
)
def test_a_result_that_cannot_be_used_has_a_reason(
    reason: str, words: str, content: dict[str, object], tmp_path: Path
) -> None:
    path = write(tmp_path / f"{CLIP}.{'npy' if 'values' in content else 'npz'}", **content)  # type: ignore[arg-type]
    with pytest.raises(ClipError) as caught:
        opened(tmp_path).read("none", CLIP, FRAMES, HEAD)
    assert caught.value.reason == reason
    assert reason in REASONS
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_damaged_files_are_unreadable(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"{CLIP}{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not an array")
    with pytest.raises(ClipError, match="cannot be read") as caught:
        opened(tmp_path).read("none", CLIP, FRAMES, HEAD)
    assert caught.value.reason == "external_unreadable"


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    write(tmp_path / f"{CLIP}.npy", np.array([{"exp": 1}], dtype=object))
    with pytest.raises(ClipError, match="cannot be read"):
        opened(tmp_path).read("none", CLIP, FRAMES, HEAD)


def test_two_results_of_a_clip_are_ambiguous(tmp_path: Path) -> None:
    write(tmp_path / f"{CLIP}.npy", motion())
    write(tmp_path / "M003_happy_level_1_001.npy", motion(1))
    with pytest.raises(ClipError, match="has 2 results") as caught:
        opened(tmp_path).read("none", CLIP, FRAMES, HEAD)
    assert caught.value.reason == "external_ambiguous"


def test_files_that_belong_to_no_clip_are_named(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / f"clip{number}.npy", motion())
    write(tmp_path / f"{CLIP}.npy", motion())
    (tmp_path / "readme.txt").touch()
    message = opened(tmp_path).unmatched_message([CLIP])
    assert "7 of 8 files belong to no clip of the evaluation (clip0, clip1, clip2, clip3, clip4, ...)" in message
    empty = tmp_path / "empty"
    empty.mkdir()
    assert opened(empty).unmatched_message([CLIP]) == ""
    with pytest.raises(ConfigError, match=r"evaluation\.external: EMOCA: there is no folder"):
        opened(tmp_path / "none")


def test_the_digest_changes_with_the_results_of_the_clips(tmp_path: Path) -> None:
    write(tmp_path / f"{CLIP}.npy", motion())
    first = opened(tmp_path).digest([CLIP])
    write(tmp_path / "M005/happy/level_1/001.npy", motion())
    assert opened(tmp_path).digest([CLIP]) == first
    write(tmp_path / f"{CLIP}.npy", motion(1))
    changed = opened(tmp_path).digest([CLIP])
    assert changed != first
    (tmp_path / "mouth").mkdir()
    assert opened(tmp_path).digest([CLIP]) != changed
