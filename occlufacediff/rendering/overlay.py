"""The head's mesh drawn in the frame of a panel: over the picture, or alone with colours for errors."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.rendering.animation import MESH_COLOUR, Floats, Picture, mesh_colours
from occlufacediff.rendering.mesh import SmoothNormals, over, shade, soften, to_screen
from occlufacediff.rendering.renderer import make_renderer

#: Own colours of parts of the head; all else is `MESH_COLOUR`.
PART_COLOURS = {
    "mouth_interior": (92, 52, 56),
    "teeth": (232, 230, 222),
}
#: Parts that keep the asset's own colours, where it has any: eyes without an iris look dead.
NATURAL_PARTS = ("left_eyeball", "right_eyeball")
#: Parts drawn with the region ``face``, where a head has them: an open mouth would be a hole otherwise.
WITH_FACE = ("mouth_interior", "teeth")


def surface_colours(head: HeadAsset) -> Picture:
    """Colours (V, 3) uint8 of a plain model: one colour but for eyes, teeth and the inside of the mouth."""
    colours = np.empty((head.n_vertices, 3), dtype=np.uint8)
    colours[:] = MESH_COLOUR
    for name, colour in PART_COLOURS.items():
        if name in head.regions:
            colours[head.regions[name]] = colour
    for name in NATURAL_PARTS:
        if name in head.regions and head.vertex_colors is not None:
            colours[head.regions[name]] = head.vertex_colors[head.regions[name]]
    return colours


def region_weights(head: HeadAsset, region: str) -> Picture | None:
    """White (V, 3) for vertices of a region that is drawn, black for others; None for the whole head.

    Raises:
        ConfigError: the head model has no such region.
    """
    if region == "head":
        return None
    if region not in head.regions:
        known = ", ".join(["head", *head.regions])
        raise ConfigError(f"mesh_region: got {region!r}, the head model {head.name!r} has {known}")
    weights = np.zeros((head.n_vertices, 3), dtype=np.uint8)
    for name in (region, *(WITH_FACE if region == "face" else ())):
        weights[head.regions.get(name, np.empty(0, dtype=np.int64))] = 255
    return weights


def check_overlay(head: HeadAsset, region: str, device: Literal["cpu", "cuda"]) -> None:
    """Tell before long work what `MeshOverlay` would fail on after it.

    Raises:
        ConfigError: the head model has no such region.
        AssetError: what draws on the device is not installed.
    """
    region_weights(head, region)
    make_renderer(2, 2, head.faces, device=device)


def panel_points(
    vertices: NDArray[np.floating],
    cam: NDArray[np.floating],
    box: NDArray[np.floating],
    view: NDArray[np.floating],
    panel: int,
) -> Floats:
    """Project one frame's vertices into a panel.

    Args:
        vertices: (V, 3) metres, head frame after the head's rotation.
        cam: (3,) ``[s, tx, ty]`` of the frame's crop.
        box: crop box ``(x0, y0, size)``, source pixels.
        view: square ``(x0, y0, size)`` shown in the panel, source pixels.
        panel: edge of the panel, pixels.

    Returns:
        (V, 3) ``[x, y, depth]``, panel pixels.
    """
    points = to_screen(vertices, cam, CROP_PX, CROP_PX)
    to_source, zoom = float(box[2]) / (CROP_PX - 1), panel / float(view[2])
    points *= np.float32(to_source * zoom)
    points[:, :2] += ((box[:2] - view[:2]) * zoom).astype(np.float32)
    return points


class MeshOverlay:
    """Draws a head's mesh, or a region of it, into square panels.

    Args:
        head: the head model.
        panel: edge of a panel, pixels.
        region: name of a region of ``head``, or ``head`` for all triangles.
        device: ``cpu`` draws with VTK, ``cuda`` with pytorch3d.

    Raises:
        ConfigError: the head model has no such region.
    """

    def __init__(
        self, head: HeadAsset, panel: int, region: str = "head", device: Literal["cpu", "cuda"] = "cpu"
    ) -> None:
        self.panel = panel
        self.base = surface_colours(head)
        self.normals = SmoothNormals(head.faces, head.n_vertices)
        # A region is cut out of the whole head's picture: what it hides from view stays hidden, and its edge is soft.
        self.weights = region_weights(head, region)
        self.renderer = make_renderer(panel, panel, head.faces, device=device)
        # The region's edge is soft by itself, so a quarter of the pixels will do.
        small = max(1, panel // 2)
        self.stencil = None if self.weights is None else make_renderer(small, small, head.faces, device=device)

    def draw(
        self,
        vertices: NDArray[np.floating],
        cam: NDArray[np.floating],
        box: NDArray[np.floating],
        view: NDArray[np.floating],
        background: Picture | tuple[int, int, int],
        *,
        opacity: float = 1.0,
        hidden: NDArray[np.bool_] | None = None,
        colours: Picture | None = None,
    ) -> Picture:
        """Give a picture (P, P, 3) of the mesh over ``background``.

        Args:
            vertices: (V, 3) metres, head frame after the head's rotation.
            cam: (3,) ``[s, tx, ty]``.
            box: crop box ``(x0, y0, size)``, source pixels.
            view: square shown, source pixels.
            background: picture (P, P, 3) or one colour.
            opacity: of the mesh, 0 to 1.
            hidden: (224, 224) True = hidden; vertices there are drawn warm.
            colours: (V, 3) uint8 surface colours instead of seen and guessed ones.
        """
        if colours is None:
            flat = np.asarray(cam[0] * (vertices[:, :2] + cam[1:]) * np.array([1, -1]), dtype=np.float32)
            colours = mesh_colours(flat, self.base, hidden)
        lit = shade(colours, self.normals(vertices))
        points = panel_points(vertices, cam, box, view, self.panel)
        picture = soften(self.renderer.rgba(points, lit))
        alpha = picture[..., 3] * np.float32(opacity)
        if self.stencil is not None and self.weights is not None:
            small = self.stencil.rgba(points * np.float32(self.stencil.width / self.panel), self.weights)[..., 0]
            alpha *= cv2.resize(small, (self.panel, self.panel), interpolation=cv2.INTER_LINEAR) / np.float32(255)
        picture[..., 3] = np.rint(alpha).astype(np.uint8)
        return over(picture, background)
