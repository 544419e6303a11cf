"""The viewer's data, its elements in an HTML page, and a page of its own."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.export.gltf import GltfScene, head_glb
from occlufacediff.export.motion import PosedMotion
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import write_audio
from occlufacediff.media.rates import SAMPLE_RATE

#: Decimals of values along the time line.
DECIMALS = 3
#: The page may use what it contains, and files beside it, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data: blob: file: 'self'; connect-src data: blob:"
)


@dataclass(frozen=True)
class Series:
    """Values along the time line, one for each frame; NaN is a gap.

    Attributes:
        values: (T,).
        label: name in the legend; empty: none.
        colour: CSS colour of the curve and of the mark in the legend.
    """

    values: NDArray[np.floating]
    label: str = ""
    colour: str = "#5fd0c8"


@dataclass(frozen=True)
class Track:
    """A band (one series from 0 to 1 as colours) or curves along the time line.

    Attributes:
        label: its name.
        series: its values.
        kind: ``band`` or ``curves``.
        top: value at the upper edge of curves; the lower edge is 0.
    """

    label: str
    series: Sequence[Series]
    kind: Literal["band", "curves"] = "curves"
    top: float = 1.0


@dataclass(frozen=True, eq=False)
class ViewerClip:
    """A clip of the viewer.

    Attributes:
        name: its name.
        motions: motions of one identity, each shown by a head of its name.
        tracks: what the time line shows.
        waveform: (N,) audio from the first frame on, 16 kHz; None: silent.
        shown: number of heads that are shown at first.
        video: address of a video beside the page; None: no video.
    """

    name: str
    motions: Sequence[PosedMotion]
    tracks: Sequence[Track] = ()
    waveform: NDArray[np.float32] | None = None
    shown: int = 1
    video: str | None = None


@dataclass(frozen=True, eq=False)
class ViewerContent:
    """What one viewer shows.

    Attributes:
        head: the head model.
        clips: one or more clips.
        files: names of files beside the page, for downloads.
        download: name under which the glTF file in the page can be saved; None: it cannot.
        natural: colours of the head model instead of one colour.
    """

    head: HeadAsset
    clips: Sequence[ViewerClip]
    files: Sequence[str] = field(default=())
    download: str | None = None
    natural: bool = True


def viewer_data(content: ViewerContent) -> dict[str, Any]:
    """The data of a viewer, as `src/viewer.js` describes them."""
    scenes = [GltfScene(f"{content.head.name} {number}", clip.motions) for number, clip in enumerate(content.clips)]
    glb = head_glb(content.head, scenes, natural=content.natural).to_bytes()
    clips, animation = [], 0
    for scene, clip in enumerate(content.clips):
        methods = []
        for motion in clip.motions:
            methods.append({"name": motion.name, "animation": animation})
            animation += 1
        clips.append(
            {
                "name": clip.name,
                "scene": scene,
                "frames": clip.motions[0].frames,
                "fps": clip.motions[0].fps,
                "methods": methods,
                "shown": clip.shown,
                "audio": None if clip.waveform is None else audio_address(clip.waveform),
                "video": clip.video,
                "tracks": [_track(track) for track in clip.tracks],
            }
        )
    return {
        "glb": base64.b64encode(glb).decode("ascii"),
        "clips": clips,
        "files": [{"name": name, "address": name} for name in content.files],
        "download": content.download,
    }


def _track(track: Track) -> dict[str, Any]:
    series = [
        {
            "values": [round(float(value), DECIMALS) if np.isfinite(value) else None for value in one.values],
            "label": one.label,
            "colour": one.colour,
        }
        for one in track.series
    ]
    return {"label": track.label, "kind": track.kind, "top": track.top, "series": series}


def audio_address(waveform: NDArray[np.float32]) -> str:
    """Audio at 16 kHz as a data address: AAC, mono.

    Raises:
        ClipError: ``encoder``.
    """
    with TemporaryDirectory(prefix="viewer-") as folder:
        path = Path(folder) / "audio.m4a"
        write_audio(path, waveform, SAMPLE_RATE, channels=1, bitrate="64k")
        return "data:audio/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def viewer_element(data: dict[str, Any], number: int = 0) -> str:
    """A viewer in an HTML page: its element and its data.

    Args:
        data: see `viewer_data`.
        number: of the viewer in the page.
    """
    # Without "<", no text in the data can end the element.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    name = f"ofd-data-{number}"
    element = f'<div class="ofd-viewer" data-source="{name}"></div>'
    return f'{element}\n<script type="application/json" id="{name}">{text}</script>'


def viewer_style() -> str:
    """The style sheet of viewers."""
    return _shipped("viewer.css")


def viewer_program() -> str:
    """The program of viewers, which starts all viewers above it in a page."""
    return _shipped("viewer.js")


def viewer_page(content: ViewerContent, title: str) -> str:
    """A page with one viewer that needs no network.

    Args:
        content: what it shows.
        title: of the page.
    """
    parts = {
        "policy": html.escape(POLICY),
        "title": html.escape(title),
        "style": viewer_style(),
        "viewer": viewer_element(viewer_data(content)),
        "program": viewer_program(),
    }
    page = _shipped("page.html")
    first, *rest = page.split("{{")
    return first + "".join(parts[name.strip()] + text for name, text in (part.split("}}", 1) for part in rest))


def _shipped(name: str) -> str:
    return files("occlufacediff.viewer").joinpath(name).read_text(encoding="utf-8")
