"""The viewer in headless Chromium: it loads, plays, seeks and shows the motion, without a network or errors."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_tools import browser, node_packages, run_node
from small_head import small_head

from occlufacediff.export.motion import PosedMotion
from occlufacediff.viewer.build import BUNDLE, bundle
from occlufacediff.viewer.page import Series, Track, ViewerClip, ViewerContent, viewer_data, viewer_page

FRAMES = 60


def motion_of(seed: int, name: str, frames: int = FRAMES) -> PosedMotion:
    head, rng = small_head(), np.random.default_rng(seed)
    return PosedMotion(
        name=name,
        exp=rng.uniform(-0.2, 1.1, (frames, head.n_exp)).astype(np.float32),
        jaw=rng.uniform(0, 0.3, (frames, 3)).astype(np.float32),
        global_pose=rng.uniform(-0.1, 0.1, (frames, 3)).astype(np.float32),
        shape=rng.standard_normal(head.n_shape).astype(np.float32),
        fps=25.0,
    )


def content_of(*clips: ViewerClip, **options: Any) -> ViewerContent:
    return ViewerContent(small_head(), clips, **options)


def spoken(name: str = "talk </script> & co", seed: int = 1) -> ViewerClip:
    """A clip with audio, two methods and values along the time line, some of which are missing."""
    tone = (0.3 * np.sin(np.arange(FRAMES * 640) / 16000 * 2 * np.pi * 220)).astype(np.float32)
    confidence = np.linspace(0, 1, FRAMES)
    confidence[10:14] = np.nan
    return ViewerClip(
        name=name,
        motions=[motion_of(seed, "ours"), motion_of(seed + 1, "truth")],
        tracks=[Track("confidence", [Series(confidence, "ours")]), Track("lips", [Series(confidence)], kind="band")],
        waveform=tone,
        shown=2,
    )


def look(page: Path, **wanted: Any) -> dict[str, Any]:
    return run_node("viewer/look_at_page.mjs", browser(), str(page), json.dumps(wanted))


def assert_shown(shown: dict[str, Any], frame: int, motions: list[PosedMotion]) -> None:
    """The heads have the weights of the motions at a frame."""
    heads = shown["frames"][str(frame)]["heads"]
    assert len(heads) == len(motions)
    for head, motion in zip(heads, motions, strict=True):
        assert list(head) == list(small_head().expression_names)
        np.testing.assert_allclose(list(head.values()), motion.exp[frame], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_the_shipped_program_is_built_from_its_sources():
    assert BUNDLE.read_text(encoding="utf-8") == bundle(node_packages())


def test_the_program_has_the_licence_of_three():
    text = BUNDLE.read_text(encoding="utf-8")
    assert "Permission is hereby granted, free of charge" in text
    assert "three.js authors" in text
    assert "</script" not in text


@pytest.mark.slow
def test_it_loads_plays_seeks_and_shows_the_motion(tmp_path: Path):
    clip = spoken()
    content = content_of(clip, files=["motion.npz"], download="talk.glb")
    page = tmp_path / "viewer.html"
    page.write_text(viewer_page(content, "talk </title> & co"), encoding="utf-8")
    frames = [0, 1, 30, FRAMES - 1]
    shown = look(page, frames=frames, save=str(tmp_path / "saved.glb"), methods=2)
    assert shown["requests"] == []
    assert shown["problems"] == []
    for frame in frames:
        assert shown["frames"][str(frame)]["frame"] == frame
        assert_shown(shown, frame, list(clip.motions))
    assert shown["scrubbed"] == {"last": FRAMES - 1, "frame": (FRAMES - 1) // 2}
    assert shown["turned"]
    playing = shown["playing"]
    assert playing["playing"]
    assert 0 < playing["frame"] < FRAMES - 1
    # The audio is the clock.
    assert playing["time"] == playing["audio"]
    assert abs(playing["frame"] - 25 * playing["audio"]) <= 0.5
    assert shown["paused"] == {"playing": False, "moved": 0}
    assert shown["end"] == FRAMES - 1
    assert shown["overflow"] <= 0
    assert shown["downloads"] == [["talk.glb", "blob"], ["motion.npz", "motion.npz"]]
    assert (tmp_path / "saved.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.slow
def test_a_clip_can_be_chosen_and_one_without_audio_plays(tmp_path: Path):
    silent = ViewerClip("silent", [motion_of(5, "ours", 30), motion_of(6, "truth", 30)], shown=1)
    page = tmp_path / "viewer.html"
    files = [
        f"motion.{suffix}" for suffix in ("npz", "glb", "usdc", "livelink.csv", "a2f.json", "vrma", "obj.zip", "wav")
    ]
    page.write_text(viewer_page(content_of(spoken(), silent, files=files), "two"), encoding="utf-8")
    shown = look(page, frames=[3, 29], clip=1, width=390, height=700)
    assert (shown["clips"], shown["requests"], shown["problems"]) == (2, [], [])
    for frame in (3, 29):
        assert_shown(shown, frame, [silent.motions[0]])
    assert shown["playing"]["audio"] is None
    assert 0 < shown["playing"]["frame"] < 29
    assert shown["end"] == 29
    # A narrow window shows all without scrolling sideways.
    assert shown["overflow"] <= 0


class _Elements(HTMLParser):
    """The elements of a page, and the addresses in it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_no_text_of_the_data_ends_the_page():
    page = viewer_page(content_of(spoken("</script><b>bold</b>")), "<i>title</i>")
    elements = _Elements()
    elements.feed(page)
    assert elements.tags.count("script") == 2
    assert not {"b", "i"} & set(elements.tags)
    assert elements.addresses == ["data:,"]
    assert "default-src 'none'" in page.replace("&#x27;", "'")


def test_missing_values_are_null_and_the_page_is_small():
    data = viewer_data(content_of(spoken()))
    (track, _) = data["clips"][0]["tracks"]
    assert track["series"][0]["values"][9:15] == [pytest.approx(9 / 59, abs=1e-3), None, None, None, None, 0.237]
    assert [method["animation"] for method in data["clips"][0]["methods"]] == [0, 1]
    assert BUNDLE.stat().st_size < 800_000


def test_sources_name_no_registry():
    text = (BUNDLE.parent / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in json.loads(text)["packages"]["node_modules/three"]
    assert not re.search(r"https?://[^\"]*registry", text)
