"""Numpy functions shared by the renderers: the screen frame, smooth normals, shading and alpha compositing.

Screen frame: pixels, x right, y DOWN, with (0, 0) at the upper left corner of the image (pixel centres at .5); depth in
pixels, increasing towards the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Float = NDArray[np.floating]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Light:
    """A distant light.

    Attributes:
        direction: from the head towards the light, head frame (x right, y up, z to the camera); any positive length.
        intensity: brightness of a surface that faces the light, per colour channel; 1 keeps the surface colour.
    """

    direction: tuple[float, float, float]
    intensity: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not np.linalg.norm(self.direction) > 0:
            raise ValueError(f"direction: got {self.direction}, needs a positive length")


#: Studio lighting: a key light from the upper left and a weaker fill light from the right.
STUDIO = (Light((-0.5, 0.6, 1.0), (0.55, 0.54, 0.52)), Light((0.8, 0.1, 0.6), (0.2, 0.21, 0.23)))
AMBIENT = 0.42
#: Standard deviation of the blur of `smooth_edges`, pixels.
EDGE_BLUR = 0.7
#: Fraction of partly transparent pixels above which blending all pixels is faster than selecting these.
_BLEND_ALL = 0.05


def to_screen(vertices: Float, cam: Float, width: int, height: int) -> NDArray[np.float32]:
    """Project points from the head frame to the screen frame with a weak-perspective camera.

    ``p = s * (X_xy + [tx, ty])``, y negated, pixel ``(p + 1) / 2 * size``; depth is ``s * z`` in the same pixels.

    Args:
        vertices: (..., V, 3) metres, x right, y up, z towards the camera.
        cam: (..., 3) ``[s, tx, ty]``.
        width: image width in pixels.
        height: image height in pixels.

    Returns:
        (..., V, 3) float32 ``[x, y, depth]`` in pixels.
    """
    points = np.asarray(vertices, dtype=np.float32)
    camera = np.asarray(cam, dtype=np.float32)[..., None, :]
    scale, half = camera[..., 0], np.array([width / 2, height / 2], dtype=np.float32)
    out = np.empty(np.broadcast_shapes(points.shape, (*camera.shape[:-1], 3)), dtype=np.float32)
    out[..., 0] = (scale * (points[..., 0] + camera[..., 1]) + 1) * half[0]
    out[..., 1] = (1 - scale * (points[..., 1] + camera[..., 2])) * half[1]
    out[..., 2] = scale * points[..., 2] * half[0]
    return out


class SmoothNormals:
    """Computes area-weighted unit normals of vertices, for a fixed list of triangles."""

    def __init__(self, faces: NDArray[np.integer], n_vertices: int) -> None:
        """Create it for ``faces`` (F, 3), anticlockwise seen from outside, of a mesh with ``n_vertices`` vertices."""
        self.faces = np.asarray(faces, dtype=np.int64)
        count = len(self.faces)
        rows, cols = self.faces.T.ravel(), np.tile(np.arange(count), 3)
        ones = np.ones(3 * count, dtype=np.float32)
        self._sum_of_faces = sparse.csr_matrix((ones, (rows, cols)), shape=(n_vertices, count))

    def __call__(self, vertices: Float) -> NDArray[np.float32]:
        """Normals (V, 3) of ``vertices`` (V, 3), same frame; zeros for a vertex without area."""
        a, b, c = (np.asarray(vertices, dtype=np.float32)[self.faces[:, k]] for k in range(3))
        u, v = b - a, c - a
        cross = np.stack(
            [
                u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1],
                u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
                u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0],
            ],
            axis=1,
        )
        summed = self._sum_of_faces @ cross
        length = np.sqrt(np.einsum("ij,ij->i", summed, summed))
        return summed / np.maximum(length, np.float32(1e-20))[:, None]


def shade(
    colors: Bytes,
    normals: Float,
    lights: tuple[Light, ...] = STUDIO,
    ambient: float = AMBIENT,
    gloss: float = 0.06,
) -> Bytes:
    """Shade vertices: ``color * (ambient + sum intensity * max(0, n.l)) + gloss * highlight``.

    Args:
        colors: (V, 3) uint8, surface colours.
        normals: (V, 3) unit normals, head frame after the head's rotation.
        lights: distant lights.
        ambient: ambient light, 1 keeps the surface colour.
        gloss: strength of the highlight (Blinn, exponent 24) as a fraction of white.

    Returns:
        (V, 3) uint8.
    """
    light = np.full((len(normals), 3), ambient, dtype=np.float32)
    specular = np.zeros(len(normals), dtype=np.float32)
    for source in lights:
        direction = np.asarray(source.direction, dtype=np.float32)
        direction /= np.linalg.norm(direction)
        half_vector = direction + np.array([0, 0, 1], dtype=np.float32)
        half_vector /= np.linalg.norm(half_vector)
        diffuse = np.maximum(normals @ direction, 0)
        light += diffuse[:, None] * np.asarray(source.intensity, dtype=np.float32)
        specular += np.maximum(normals @ half_vector, 0) ** 24 * np.float32(np.mean(source.intensity))
    lit = colors * light + (255 * gloss) * specular[:, None]
    return np.clip(lit + 0.5, 0, 255).astype(np.uint8)


def alpha_over(foreground: Bytes, background: Bytes | tuple[int, int, int]) -> Bytes:
    """Composite an RGBA image (H, W, 4), straight alpha, over an RGB image (H, W, 3) or one colour."""
    mixed = np.empty_like(foreground[..., :3], order="C")
    mixed[:] = background
    alpha = np.ascontiguousarray(foreground[..., 3])
    edge = edge_pixels(alpha)
    if len(edge[0]) > _BLEND_ALL * alpha.size:
        return _blend_all(foreground, mixed, alpha)
    behind = mixed[edge]
    cv2.copyTo(cv2.cvtColor(foreground, cv2.COLOR_RGBA2RGB), alpha, mixed)
    if len(edge[0]):
        part = alpha[edge].astype(np.uint16)[:, None]
        mixed[edge] = (foreground[edge][:, :3] * part + behind * (255 - part) + 127) // 255
    return mixed


def _blend_all(foreground: Bytes, background: Bytes, alpha: Bytes) -> Bytes:
    """``(foreground * alpha + background * (255 - alpha) + 127) // 255`` of all pixels."""
    part = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    above = cv2.multiply(cv2.cvtColor(foreground, cv2.COLOR_RGBA2RGB), part, dtype=cv2.CV_16U)
    below = cv2.multiply(background, cv2.bitwise_not(part), dtype=cv2.CV_16U)
    total = np.asarray(above, dtype=np.uint16) + np.asarray(below, dtype=np.uint16) + np.uint16(127)
    # n // 255 of n < 65,280, without a division.
    return ((total + (total >> np.uint16(8)) + np.uint16(1)) >> np.uint16(8)).astype(np.uint8)


def smooth_edges(image: Bytes) -> Bytes:
    """Antialias the edges of an RGBA image (H, W, 4) whose alpha is 0 or 255; returns straight alpha.

    A small blur, because multisampling in software takes ten times as long.
    """
    soft = np.asarray(cv2.GaussianBlur(image, (3, 3), EDGE_BLUR), dtype=np.uint8)
    divide_by_alpha(soft)
    return soft


def divide_by_alpha(image: Bytes) -> None:
    """Convert the edge pixels of an RGBA image (H, W, 4) from premultiplied to straight alpha, in place.

    Without this, edges that were blended with transparent black have a dark fringe.
    """
    edge = edge_pixels(np.ascontiguousarray(image[..., 3]))
    if len(edge[0]):
        part = image[edge].astype(np.uint16)
        image[edge[0], edge[1], :3] = np.minimum((part[:, :3] * 255 + part[:, 3:] // 2) // part[:, 3:], 255)


def edge_pixels(alpha: Bytes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels of ``alpha`` (H, W) that are neither transparent (0) nor opaque (255)."""
    # 0 - 1 wraps around to 255, so that one comparison suffices.
    rows, columns = np.nonzero(alpha - np.uint8(1) < 254)
    return rows, columns
