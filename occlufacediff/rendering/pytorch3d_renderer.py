"""Renders meshes with pytorch3d on a GPU (on a CPU it takes about a second per image)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.rendering.mesh import Bytes, Float, alpha_over


class Pytorch3dRenderer:
    """`Renderer` with pytorch3d's rasteriser: one triangle per pixel, no antialiasing."""

    def __init__(self, width: int, height: int, faces: NDArray[np.integer], device: str = "cuda") -> None:
        """Create a renderer for images of ``width`` x ``height`` pixels and triangles ``faces`` (F, 3).

        Raises:
            AssetError: pytorch3d is not installed, or the device is ``cuda`` and not available.
            ValueError: a size below 1 or faces of another shape.
        """
        try:
            from pytorch3d.renderer.mesh import rasterize_meshes
            from pytorch3d.structures import Meshes
        except ImportError as error:
            raise AssetError(
                f"rendering: pytorch3d is not installed ({error}); install it (any build), or render on the CPU"
            ) from error
        if width < 1 or height < 1:
            raise ValueError(f"width, height: got {width} x {height}, needs 1 or more")
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise ValueError(f"faces: got shape {faces.shape}, needs (F, 3) with F of 1 or more")
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise AssetError("rendering: device cuda is not available; use device cpu")
        self.width, self.height = width, height
        self._rasterize, self._meshes = rasterize_meshes, Meshes
        self._device = torch.device(device)
        self._faces = torch.as_tensor(np.asarray(faces, dtype=np.int64), device=self._device)

    def rgba(self, points: Float, colors: Bytes) -> Bytes:
        """See `Renderer.rgba`.

        Raises:
            ValueError: ``colors`` has neither one row per vertex nor one row per triangle.
        """
        ids, weights = self._visible(points)
        drawn = ids >= 0
        table = torch.as_tensor(np.ascontiguousarray(colors), device=self._device).float()
        faces = self._faces[ids.clamp(min=0)]
        if len(colors) == len(points):
            rgb = (table[faces] * weights[..., None]).sum(dim=-2)
        elif len(colors) == len(self._faces):
            rgb = table[ids.clamp(min=0)]
        else:
            raise ValueError(f"colors: got {len(colors)} rows, needs {len(points)} or {len(self._faces)}")
        image = torch.cat([rgb, torch.full_like(rgb[..., :1], 255)], dim=-1) * drawn[..., None]
        result: Bytes = (image + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
        return result

    def render(self, points: Float, colors: Bytes, background: Bytes | tuple[int, int, int] = (0, 0, 0)) -> Bytes:
        """See `Renderer.render`."""
        return alpha_over(self.rgba(points, colors), background)

    def _visible(self, points: Float) -> tuple[torch.Tensor, torch.Tensor]:
        """Index (H, W) of the triangle in each pixel, -1 for none, and its barycentric weights (H, W, 3)."""
        screen = torch.as_tensor(np.asarray(points, dtype=np.float32), device=self._device)
        # pytorch3d: shorter side in [-1, 1], x left, y up, depth positive and increasing away from the viewer.
        half = min(self.width, self.height) / 2
        depth = (screen[:, 2].max() - screen[:, 2]) / half + 1
        ndc = torch.stack(
            [(self.width / 2 - screen[:, 0]) / half, (self.height / 2 - screen[:, 1]) / half, depth], dim=-1
        )
        ids, _, weights, _ = self._rasterize(
            self._meshes([ndc], [self._faces]),
            image_size=(self.height, self.width),
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=False,
        )
        return ids[0, ..., 0], weights[0, ..., 0, :]
