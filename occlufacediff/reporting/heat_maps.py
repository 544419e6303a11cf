"""Heat maps on the head: the mean distance of each vertex from the truth, for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.rendering import panel_drawing
from occlufacediff.rendering.overlay import MeshOverlay
from occlufacediff.reporting.names import METHOD_ORDER, method_name
from occlufacediff.reporting.shown_clips import ShownClip
from occlufacediff.reporting.tables import in_order
from occlufacediff.reporting.videos import BACKGROUND, CROP_BOX, CROP_VIEW, heat_colours, scale_bar

#: The colour scale ends at this quantile of the face's distances, over all methods.
HOTTEST_QUANTILE = 0.98
#: Panels in a row of the image.
COLUMNS = 4
#: Part of a panel that the face fills.
FILLED = 0.82


@dataclass
class DistanceMaps:
    """Sums of the distances of each vertex from the truth over occluded frames, by method.

    Attributes:
        head: the head model.
        clips: number of clips.
        frames: number of occluded frames.
        sums: (V,) millimetres by method.
    """

    head: HeadAsset
    clips: int = 0
    frames: int = 0
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, clip: ShownClip) -> None:
        """Add the occluded frames of a clip; identity is that of the truth, the head does not turn."""
        frames = np.flatnonzero(clip.occluded)
        if len(frames) == 0:
            return
        truth = self._vertices(clip, clip.truth[frames])
        for name, motion in clip.motions.items():
            distance = np.linalg.norm(self._vertices(clip, motion[frames]) - truth, axis=2).sum(axis=0) * 1000
            self.sums[name] = self.sums.get(name, np.zeros(self.head.n_vertices)) + distance
        self.clips += 1
        self.frames += len(frames)

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Mean distance (V,) in millimetres by method, in the order of the tables."""
        return {name: self.sums[name] / self.frames for name in in_order(self.sums, METHOD_ORDER)}

    def _vertices(self, clip: ShownClip, motion: NDArray[np.float32]) -> NDArray[np.float32]:
        still = np.zeros((len(motion), 3), np.float32)
        return vertices_numpy(self.head, clip.shape, motion[:, :-3], still, motion[:, -3:])


def every(items: Sequence[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most ``most`` of the items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def heat_map_image(head: HeadAsset, means: Mapping[str, NDArray[np.float64]], panel: int) -> panel_drawing.Image:
    """One panel for each method: the mean head from the front in the colours of the distances.

    Args:
        head: the head model.
        means: (V,) millimetres by method, see `DistanceMaps.means`.
        panel: edge of a panel, pixels.
    """
    face = head.regions.get("face", np.arange(head.n_vertices))
    hottest = max(0.1, float(np.quantile(np.stack(list(means.values()))[:, face], HOTTEST_QUANTILE)))
    hottest = float(f"{hottest:.1g}") if hottest < 1 else float(np.ceil(hottest * 2) / 2)
    points = head.v_template[face][:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    cam = np.array([2 * FILLED / float((high - low).max()), *(-(low + high) / 2)], dtype=np.float32)
    mesh = MeshOverlay(head, panel)
    panels = []
    for values in means.values():
        colours = np.ascontiguousarray(heat_colours(values, hottest))
        drawn = mesh.draw(head.v_template, cam, CROP_BOX, CROP_VIEW, BACKGROUND, colours=colours)
        panels.append(panel_drawing.draw_rgba(drawn, scale_bar(panel, hottest)))
    titles = tuple(method_name(name) for name in means)
    columns = min(COLUMNS, len(panels))
    empty = np.full_like(panels[0], BACKGROUND)
    rows = []
    for first in range(0, len(panels), columns):
        row, names = panels[first : first + columns], titles[first : first + columns]
        missing = columns - len(row)
        rows.append(panel_drawing.side_by_side([*row, *[empty] * missing], (*names, *[""] * missing)))
    return np.concatenate(rows)
