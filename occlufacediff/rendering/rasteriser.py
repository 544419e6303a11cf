"""Renders meshes of some thousand small triangles on the CPU with a depth buffer, compiled by numba.

An OpenGL driver in software (Mesa's llvmpipe) takes 6 to 10 ms for the open head at 360 x 360 pixels, this module 1 ms
(docs/decisions/022-rasteriser-of-the-overlay.md). numba keeps the compiled function in its cache on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from occlufacediff.rendering.mesh import Bytes, Float

#: Points are rounded to this part of a pixel, so that neighbouring triangles share their edges exactly.
_SUBPIXELS = 256
#: Largest distance of a point from the corner of the image, pixels, so that products of two distances fit in 64 bits.
_FARTHEST = 1e6


class Rasteriser:
    """Renders one mesh at one size; samples the middle of each pixel.

    Args:
        width: pixels.
        height: pixels.
        faces: vertex indices (F, 3).

    Raises:
        ValueError: a size below 1 or faces of another shape.
    """

    def __init__(self, width: int, height: int, faces: NDArray[np.integer]) -> None:
        faces = np.ascontiguousarray(faces, dtype=np.int64)
        if width < 1 or height < 1:
            raise ValueError(f"width, height: got {width} x {height}, needs 1 or more")
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise ValueError(f"faces: got shape {faces.shape}, needs (F, 3) with F of 1 or more")
        self.width, self.height = width, height
        self._faces, self._n_vertices = faces, int(faces.max()) + 1
        self._depth = np.empty((height, width), np.float32)
        self._front = np.empty((height, width), np.int32)

    def layers(self, points: Float, values: Bytes) -> Bytes:
        """Render any number of channels: (H, W, C + 1) uint8; the last one is 255 in the mesh and 0 outside.

        Args:
            points: see `Renderer.rgba`.
            values: (V, C) per vertex, interpolated, or (F, C) per triangle, flat.

        Raises:
            ValueError: ``points`` or ``values`` have the wrong shape for the mesh.
        """
        if points.shape[0] < self._n_vertices or points.shape[1:] != (3,):
            raise ValueError(f"points: got shape {points.shape}, needs ({self._n_vertices}, 3)")
        rows = len(values)
        if values.ndim != 2 or rows not in (len(points), len(self._faces)):
            raise ValueError(f"values: got shape {values.shape}, needs {len(points)} or {len(self._faces)} rows")
        places = np.asarray(points, np.float64)[:, :2]
        fixed = np.rint(np.clip(places, -_FARTHEST, _FARTHEST) * _SUBPIXELS).astype(np.int64)
        depth = np.ascontiguousarray(points[:, 2], dtype=np.float32)
        self._depth.fill(-np.inf)
        self._front.fill(-1)
        _find_front(self._front, self._depth, fixed, depth, self._faces)
        image = np.zeros((self.height, self.width, values.shape[1] + 1), np.uint8)
        _fill(image, self._front, fixed, self._faces, np.ascontiguousarray(values), rows == len(points))
        return image


@njit(cache=True, nogil=True, error_model="numpy")
def _find_front(front: Any, nearest: Any, points: Any, depth: Any, faces: Any) -> None:
    """Find the triangle that is seen in each pixel.

    A pixel belongs to a triangle if its middle is inside. The middle on an edge belongs to the triangle below or to
    the right of the edge, as in OpenGL.

    Args:
        front: (H, W) number of the triangle; is changed.
        nearest: (H, W) its depth; is changed.
        points: (V, 2) integers, pixels times `_SUBPIXELS`.
        depth: (V,) towards the viewer.
        faces: (F, 3) vertex indices.
    """
    height, width = nearest.shape
    half = _SUBPIXELS // 2
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        area = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1])
        area -= (points[b, 1] - points[a, 1]) * (points[c, 0] - points[a, 0])
        if area == 0:
            continue
        if area < 0:
            b, c, area = c, b, -area
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        left = max((min(ax, bx, cx) + half - 1) // _SUBPIXELS, 0)
        right = min((max(ax, bx, cx) - half) // _SUBPIXELS, width - 1)
        top = max((min(ay, by, cy) + half - 1) // _SUBPIXELS, 0)
        bottom = min((max(ay, by, cy) - half) // _SUBPIXELS, height - 1)
        if left > right or top > bottom:
            continue
        x, y = left * _SUBPIXELS + half, top * _SUBPIXELS + half
        # Twice the area of the part of the triangle opposite to each corner, for the middle of the first pixel. A
        # middle on an edge that is neither a left nor a top edge is outside.
        row_a = (cx - bx) * (y - by) - (cy - by) * (x - bx) - (0 if _owns(cx - bx, cy - by) else 1)
        row_b = (ax - cx) * (y - cy) - (ay - cy) * (x - cx) - (0 if _owns(ax - cx, ay - cy) else 1)
        row_c = (bx - ax) * (y - ay) - (by - ay) * (x - ax) - (0 if _owns(bx - ax, by - ay) else 1)
        right_a, right_b, right_c = (by - cy) * _SUBPIXELS, (cy - ay) * _SUBPIXELS, (ay - by) * _SUBPIXELS
        down_a, down_b, down_c = (cx - bx) * _SUBPIXELS, (ax - cx) * _SUBPIXELS, (bx - ax) * _SUBPIXELS
        za, zb, zc = depth[a] / area, depth[b] / area, depth[c] / area
        for row in range(top, bottom + 1):
            part_a, part_b, part_c = row_a, row_b, row_c
            for column in range(left, right + 1):
                if (part_a | part_b | part_c) >= 0:
                    z = part_a * za + part_b * zb + part_c * zc
                    if z >= nearest[row, column]:
                        nearest[row, column] = z
                        front[row, column] = face
                part_a += right_a
                part_b += right_b
                part_c += right_c
            row_a += down_a
            row_b += down_b
            row_c += down_c


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(image: Any, front: Any, points: Any, faces: Any, values: Any, per_vertex: bool) -> None:
    """Fill the pixels in which a triangle is seen.

    Args:
        image: (H, W, C + 1), see `Rasteriser.layers`; is changed.
        front: (H, W) number of the triangle, -1 for none.
        points: (V, 2) integers, pixels times `_SUBPIXELS`.
        faces: (F, 3) vertex indices.
        values: (V, C) or (F, C) uint8.
        per_vertex: whether ``values`` are those of vertices.
    """
    half, channels = _SUBPIXELS // 2, values.shape[1]
    for row in range(front.shape[0]):
        y = row * _SUBPIXELS + half
        for column in range(front.shape[1]):
            face = front[row, column]
            if face < 0:
                continue
            image[row, column, channels] = 255
            if not per_vertex:
                for channel in range(channels):
                    image[row, column, channel] = values[face, channel]
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            x = column * _SUBPIXELS + half
            bx, by, cx, cy = points[b, 0] - x, points[b, 1] - y, points[c, 0] - x, points[c, 1] - y
            ax, ay = points[a, 0] - x, points[a, 1] - y
            part_a, part_b, part_c = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            share = 1.0 / (part_a + part_b + part_c)
            u, v, w = part_a * share, part_b * share, part_c * share
            for channel in range(channels):
                mixed = u * values[a, channel] + v * values[b, channel] + w * values[c, channel]
                image[row, column, channel] = np.uint8(mixed + 0.5)


@njit(cache=True, nogil=True)
def _owns(across: int, down: int) -> bool:
    """Whether an edge in this direction is a left or a top edge of a triangle clockwise on the screen."""
    return down < 0 or (down == 0 and across > 0)
