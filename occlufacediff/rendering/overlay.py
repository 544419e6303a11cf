"""Draws the head's mesh into a panel: over the video, or alone with colours such as those of errors."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.rendering.mesh import EDGE_BLUR, SmoothNormals, alpha_over, shade, smooth_edges, to_screen
from occlufacediff.rendering.panel_drawing import MESH_COLOUR, Floats, Image, mesh_colours
from occlufacediff.rendering.rasteriser import Rasteriser
from occlufacediff.rendering.renderer import make_renderer

#: Colours of parts of the head; all others have `MESH_COLOUR`.
PART_COLOURS = {
    "mouth_interior": (92, 52, 56),
    "teeth": (232, 230, 222),
}
#: Parts with the colours of the asset, if it has any, so that eyes have irises.
NATURAL_PARTS = ("left_eyeball", "right_eyeball")
#: Parts drawn together with the region ``face``, so that an open mouth is not a hole.
WITH_FACE = ("mouth_interior", "teeth")


def surface_colours(head: HeadAsset) -> Image:
    """Base colours (V, 3) uint8: one colour, except for eyes, teeth and the inside of the mouth."""
    colours = np.empty((head.n_vertices, 3), dtype=np.uint8)
    colours[:] = MESH_COLOUR
    for name, colour in PART_COLOURS.items():
        if name in head.regions:
            colours[head.regions[name]] = colour
    for name in NATURAL_PARTS:
        if name in head.regions and head.vertex_colors is not None:
            colours[head.regions[name]] = head.vertex_colors[head.regions[name]]
    return colours


def region_weights(head: HeadAsset, region: str) -> Image:
    """White (V, 3) for the vertices of a region, black for all others; white for the whole head.

    Raises:
        ConfigError: the head model has no such region.
    """
    if region == "head":
        return np.full((head.n_vertices, 3), 255, np.uint8)
    if region not in head.regions:
        known = ", ".join(["head", *head.regions])
        raise ConfigError(f"mesh_region: got {region!r}, the head model {head.name!r} has {known}")
    weights = np.zeros((head.n_vertices, 3), dtype=np.uint8)
    for name in (region, *(WITH_FACE if region == "face" else ())):
        weights[head.regions.get(name, np.empty(0, dtype=np.int64))] = 255
    return weights


def check_overlay(head: HeadAsset, region: str, device: Literal["cpu", "cuda"]) -> None:
    """Check that a `MeshOverlay` can be created, before long computations.

    Raises:
        ConfigError: the head model has no such region.
        AssetError: pytorch3d is needed and not installed.
    """
    MeshOverlay(head, 2, region, device)


def panel_points(
    vertices: NDArray[np.floating],
    cam: NDArray[np.floating],
    box: NDArray[np.floating],
    view: NDArray[np.floating],
    panel: int,
) -> Floats:
    """Project the vertices of one frame into a panel.

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
        device: ``cpu`` draws with the `Rasteriser`, ``cuda`` with pytorch3d.

    Raises:
        ConfigError: the head model has no such region.
        AssetError: pytorch3d is needed and not installed.
    """

    def __init__(
        self, head: HeadAsset, panel: int, region: str = "head", device: Literal["cpu", "cuda"] = "cpu"
    ) -> None:
        self.panel = panel
        self.base = surface_colours(head)
        self.normals = SmoothNormals(head.faces, head.n_vertices)
        # A region is cut out of the image of the whole head, so that the rest of the head occludes it correctly.
        self.weights = region_weights(head, region)
        self.rasteriser = Rasteriser(panel, panel, head.faces) if device == "cpu" else None
        self.renderer = None if device == "cpu" else make_renderer(panel, panel, head.faces, device=device)

    def draw(
        self,
        vertices: NDArray[np.floating],
        cam: NDArray[np.floating],
        box: NDArray[np.floating],
        view: NDArray[np.floating],
        background: Image | tuple[int, int, int],
        *,
        opacity: float = 1.0,
        occluded: NDArray[np.bool_] | None = None,
        colours: Image | None = None,
    ) -> Image:
        """Draw the mesh over ``background``: (P, P, 3).

        Args:
            vertices: (V, 3) metres, head frame after the head's rotation.
            cam: (3,) ``[s, tx, ty]``.
            box: crop box ``(x0, y0, size)``, source pixels.
            view: square ``(x0, y0, size)`` shown in the panel, source pixels.
            background: image (P, P, 3) or one colour.
            opacity: opacity of the mesh, 0 to 1.
            occluded: (224, 224) True = occluded; vertices there are drawn in a warm tone.
            colours: (V, 3) uint8 surface colours, instead of the colours of visible and predicted parts.
        """
        if colours is None:
            flat = np.asarray(cam[0] * (vertices[:, :2] + cam[1:]) * np.array([1, -1]), dtype=np.float32)
            colours = mesh_colours(flat, self.base, occluded)
        lit = shade(colours, self.normals(vertices))
        points = panel_points(vertices, cam, box, view, self.panel)
        image, weights = self._rendered(points, lit)
        image = smooth_edges(image)
        image[..., 3] = cv2.multiply(np.ascontiguousarray(image[..., 3]), weights, scale=opacity / 255)
        return alpha_over(image, background)

    def _rendered(self, points: Floats, lit: Image) -> tuple[Image, Image]:
        """The mesh (P, P, 4) with hard edges, and the weights (P, P) of its region, 0 to 255."""
        if self.renderer is not None:
            return self.renderer.rgba(points, lit), self.renderer.rgba(points, self.weights)[..., 0].copy()
        assert self.rasteriser is not None
        layers = self.rasteriser.layers(points, np.concatenate([lit, self.weights[:, :1]], axis=1))
        weights = cv2.GaussianBlur(layers[..., 3], (3, 3), EDGE_BLUR)
        return layers[..., [0, 1, 2, 4]], np.asarray(weights, np.uint8)
