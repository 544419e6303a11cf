"""Renders meshes with VTK's off-screen OpenGL; needs neither a display nor a GPU."""

from __future__ import annotations

import ctypes.util

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer
from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow

from occlufacediff.errors import AssetError
from occlufacediff.rendering.mesh import Bytes, Float, alpha_over, divide_by_alpha

#: Range of depth that is rendered, in pixels before and behind the image plane.
_DEPTH = 1e5


class VtkRenderer:
    """`Renderer` with one VTK window that is reused; points and colours are written to its arrays in place."""

    def __init__(self, width: int, height: int, faces: NDArray[np.integer], samples: int = 0) -> None:
        """Open an off-screen window of ``width`` x ``height`` pixels for triangles ``faces`` (F, 3).

        Args:
            width: pixels.
            height: pixels.
            faces: vertex indices.
            samples: samples per pixel for antialiasing; 0 is three times faster than 4.

        Raises:
            AssetError: the machine has no EGL library.
            ValueError: a size below 1 or faces of another shape.
        """
        faces = np.asarray(faces, dtype=np.int64)
        if width < 1 or height < 1:
            raise ValueError(f"width, height: got {width} x {height}, needs 1 or more")
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise ValueError(f"faces: got shape {faces.shape}, needs (F, 3) with F of 1 or more")
        if ctypes.util.find_library("EGL") is None:
            raise AssetError("rendering: libEGL is missing; install it from Mesa (Debian: apt install libegl1)")
        self.width, self.height = width, height
        self._n_faces, self._n_vertices = len(faces), int(faces.max()) + 1

        self._xyz = np.zeros((self._n_vertices, 3), dtype=np.float32)
        self._rgb = np.zeros((self._n_vertices, 3), dtype=np.uint8)
        self._face_rgb = np.zeros((self._n_faces, 3), dtype=np.uint8)
        self._xyz_vtk = numpy_to_vtk(self._xyz)
        self._rgb_vtk = numpy_to_vtk(self._rgb)
        self._face_rgb_vtk = numpy_to_vtk(self._face_rgb)
        self._points = vtkPoints()
        self._points.SetData(self._xyz_vtk)
        triangles = vtkCellArray()
        triangles.SetData(3, numpy_to_vtkIdTypeArray(faces.ravel(), deep=1))
        self._mesh = vtkPolyData()
        self._mesh.SetPoints(self._points)
        self._mesh.SetPolys(triangles)
        self._mesh.GetPointData().SetScalars(self._rgb_vtk)
        self._mesh.GetCellData().SetScalars(self._face_rgb_vtk)
        self._mapper = vtkPolyDataMapper()
        self._mapper.SetInputData(self._mesh)
        actor = vtkActor()
        actor.SetMapper(self._mapper)
        # Colours are already shaded. Lighting in the shader would take time and differ between renderers.
        actor.GetProperty().LightingOff()

        self._scene = vtkRenderer()
        self._scene.AddActor(actor)
        self._scene.SetBackgroundAlpha(0.0)
        camera = self._scene.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetParallelScale(height / 2)
        camera.SetFocalPoint(width / 2, -height / 2, 0)
        camera.SetPosition(width / 2, -height / 2, _DEPTH)
        camera.SetClippingRange(1, 2 * _DEPTH)
        self._window = vtkEGLRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.UseOffScreenBuffersOn()
        self._window.SwapBuffersOff()
        self._window.SetMultiSamples(samples)
        self._window.SetAlphaBitPlanes(1)
        self._window.SetSize(width, height)
        self._window.AddRenderer(self._scene)
        self._buffer = vtkUnsignedCharArray()

    def rgba(self, points: Float, colors: Bytes) -> Bytes:
        """See `Renderer.rgba`.

        Raises:
            ValueError: ``points`` or ``colors`` have the wrong shape for the mesh.
        """
        if points.shape[0] < self._n_vertices or points.shape[1:] != (3,):
            raise ValueError(f"points: got shape {points.shape}, needs ({self._n_vertices}, 3)")
        if colors.shape == (len(points), 3):
            self._rgb[:] = colors[: self._n_vertices]
            self._rgb_vtk.Modified()
            self._mapper.SetScalarModeToUsePointData()
        elif colors.shape == (self._n_faces, 3):
            self._face_rgb[:] = colors
            self._face_rgb_vtk.Modified()
            self._mapper.SetScalarModeToUseCellData()
        else:
            raise ValueError(f"colors: got shape {colors.shape}, needs ({len(points)}, 3) or ({self._n_faces}, 3)")
        self._xyz[:] = points[: self._n_vertices]
        self._xyz[:, 1] *= -1
        self._xyz_vtk.Modified()
        self._points.Modified()
        self._mesh.Modified()
        self._window.Render()
        self._window.GetRGBACharPixelData(0, 0, self.width - 1, self.height - 1, 0, self._buffer)
        image: Bytes = vtk_to_numpy(self._buffer).reshape(self.height, self.width, 4)[::-1].copy()
        if self._window.GetMultiSamples() > 1:
            divide_by_alpha(image)
        return image

    def render(self, points: Float, colors: Bytes, background: Bytes | tuple[int, int, int] = (0, 0, 0)) -> Bytes:
        """See `Renderer.render`."""
        return alpha_over(self.rgba(points, colors), background)
