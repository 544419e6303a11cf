"""The interface of the renderers, and the factory function for the device."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.rendering.mesh import Bytes, Float


class Renderer(Protocol):
    """Renders a mesh with fixed triangles, for many frames of one size."""

    width: int
    height: int

    def rgba(self, points: Float, colors: Bytes) -> Bytes:
        """Render to (H, W, 4) uint8 with straight alpha, 0 outside the mesh.

        Args:
            points: (V, 3) float, screen frame (see `rendering.mesh`): x and y in pixels, depth towards the viewer.
            colors: (V, 3) uint8 per vertex, interpolated, or (F, 3) uint8 per triangle, flat; already shaded.
        """
        ...

    def render(self, points: Float, colors: Bytes, background: Bytes | tuple[int, int, int] = (0, 0, 0)) -> Bytes:
        """Render to (H, W, 3) uint8 over an image (H, W, 3) or one colour; arguments as in `rgba`."""
        ...


def make_renderer(
    width: int, height: int, faces: NDArray[np.integer], device: Literal["cpu", "cuda"] = "cpu", samples: int = 0
) -> Renderer:
    """Create a renderer for images of ``width`` x ``height`` pixels and triangles ``faces`` (F, 3).

    Args:
        width: pixels.
        height: pixels.
        faces: vertex indices.
        device: ``cpu`` uses VTK, ``cuda`` uses pytorch3d.
        samples: samples per pixel for antialiasing (0: none; VTK only).

    Raises:
        AssetError: pytorch3d is needed and not installed, or VTK finds no off-screen OpenGL.
    """
    if device == "cuda":
        from occlufacediff.rendering.pytorch3d_renderer import Pytorch3dRenderer

        return Pytorch3dRenderer(width, height, faces, device=device)
    from occlufacediff.rendering.vtk_renderer import VtkRenderer

    return VtkRenderer(width, height, faces, samples=samples)
