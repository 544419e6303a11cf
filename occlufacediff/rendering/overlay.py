"""The head's mesh drawn in the frame of a panel: over the picture, or alone with colours for errors."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.rendering.animation import CROP, Floats, Picture, mesh_colours, region_faces
from occlufacediff.rendering.mesh import SmoothNormals, over, shade, to_screen
from occlufacediff.rendering.renderer import make_renderer


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
    points = to_screen(vertices, cam, CROP, CROP)
    to_source, zoom = float(box[2]) / (CROP - 1), panel / float(view[2])
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
        if region != "head" and region not in head.regions:
            known = ", ".join(["head", *head.regions])
            raise ConfigError(f"mesh_region: got {region!r}, the head model {head.name!r} has {known}")
        self.panel = panel
        self.normals = SmoothNormals(head.faces, head.n_vertices)
        faces = region_faces(head.faces, None if region == "head" else head.regions[region])
        self.renderer = make_renderer(panel, panel, faces, device=device, samples=4)

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
            colours = mesh_colours(flat, hidden)
        lit = shade(colours, self.normals(vertices))
        picture = self.renderer.rgba(panel_points(vertices, cam, box, view, self.panel), lit)
        if opacity < 1.0:
            picture[..., 3] = np.rint(picture[..., 3] * opacity).astype(np.uint8)
        return over(picture, background)
