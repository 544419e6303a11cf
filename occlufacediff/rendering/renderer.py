"""The interface of the renderers, and the choice between them."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.rendering.mesh import Bytes, Float


class Renderer(Protocol):
    """Draws one mesh with changing points; made once for a size and a list of triangles, used for many frames."""

    width: int
    height: int

    def rgba(self, points: Float, colors: Bytes) -> Bytes:
        """Picture (H, W, 4) uint8, alpha 0 where the mesh is not, colours not multiplied by alpha.

        Args:
            points: (V, 3) float, screen frame (see `rendering.mesh`): x and y in pixels, depth towards the viewer.
            colors: (V, 3) uint8 a vertex, interpolated, or (F, 3) uint8 a triangle, flat; already lit.
        """
        ...

    def render(self, points: Float, colors: Bytes, background: Bytes | tuple[int, int, int] = (0, 0, 0)) -> Bytes:
        """Picture (H, W, 3) uint8 of the mesh over a picture (H, W, 3) or one colour; arguments as in `rgba`."""
        ...

    def face_ids(self, points: Float) -> NDArray[np.int32]:
        """Index (H, W) of the triangle seen in each pixel, -1 where there is none."""
        ...


def make_renderer(
    width: int, height: int, faces: NDArray[np.integer], device: Literal["cpu", "cuda"] = "cpu", samples: int = 0
) -> Renderer:
    """A renderer for pictures of ``width`` x ``height`` and the triangles ``faces`` (F, 3).

    Args:
        width: pixels.
        height: pixels.
        faces: vertex indices.
        device: ``cpu`` draws with VTK, ``cuda`` with pytorch3d.
        samples: samples a pixel for smooth edges (0: none; VTK only).

    Raises:
        AssetError: pytorch3d is asked for and not installed, or VTK finds no off-screen OpenGL.
    """
    if device == "cuda":
        from occlufacediff.rendering.pytorch3d_renderer import Pytorch3dRenderer

        return Pytorch3dRenderer(width, height, faces, device=device)
    from occlufacediff.rendering.vtk_renderer import VtkRenderer

    return VtkRenderer(width, height, faces, samples=samples)
