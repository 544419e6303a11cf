"""Runs the user's networks: TorchScript files and ONNX files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError

_REMEDY = "give a TorchScript file (torch.jit.save) or an ONNX file (.onnx), see docs/readers.md"


class Program(Protocol):
    """A network that takes and returns arrays."""

    path: Path

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Run the network; one array per output.

        Raises:
            AssetError: the network refuses inputs of these shapes.
        """
        ...


def load_program(path: Path | str) -> Program:
    """Load a network. The file's content decides: a zip archive with code is TorchScript, other files are ONNX.

    Raises:
        AssetError: the file is missing, damaged or neither of the two, or onnxruntime is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path}: no such file; {_REMEDY}")
    if zipfile.is_zipfile(path):
        return _TorchScript(path)
    if path.suffix.lower() != ".onnx":
        raise AssetError(f"{path}: neither TorchScript nor a file that ends in .onnx; {_REMEDY}")
    return _Onnx(path)


class _TorchScript:
    def __init__(self, path: Path) -> None:
        import torch

        with zipfile.ZipFile(path) as file:
            if not any("/code/" in name for name in file.namelist()):
                raise AssetError(
                    f"{path}: a zip archive without a TorchScript program, such as a checkpoint; {_REMEDY}"
                )
        try:
            self._model = torch.jit.load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            raise AssetError(f"{path}: TorchScript cannot be loaded ({_first_line(error)}); {_REMEDY}") from error
        self.path = path

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[Any]]:
        import torch

        try:
            with torch.no_grad():
                found = self._model(*(torch.from_numpy(np.ascontiguousarray(one)) for one in inputs))
        except RuntimeError as error:
            raise _refusal(self.path, inputs, error) from error
        outputs = found if isinstance(found, tuple | list) else [found]
        if not all(isinstance(one, torch.Tensor) for one in outputs):
            raise AssetError(f"{self.path}: returned {type(found).__name__}, needs a tensor or several tensors")
        return [one.numpy() for one in outputs]


class _Onnx:
    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise AssetError(
                f"{path}: ONNX files need the package onnxruntime; install it with `pip install 'occlufacediff[onnx]'`"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise AssetError(f"{path}: not a readable ONNX file ({_first_line(error)}); {_REMEDY}") from error
        self.path = path

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[Any]]:
        names = [one.name for one in self._session.get_inputs()]
        if len(names) != len(inputs):
            raise AssetError(f"{self.path}: has {len(names)} inputs, needs {len(inputs)}; {_REMEDY}")
        try:
            found: Sequence[Any] = self._session.run(None, dict(zip(names, inputs, strict=True)))
        except Exception as error:
            raise _refusal(self.path, inputs, error) from error
        return [np.asarray(one) for one in found]


def _refusal(path: Path, inputs: Sequence[NDArray[Any]], error: Exception) -> AssetError:
    shapes = ", ".join(str(one.shape) for one in inputs)
    return AssetError(f"{path}: refuses inputs of shape {shapes} ({_first_line(error)}); {_REMEDY}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript's message ends with the cause.
    return (lines[-1] if lines else type(error).__name__)[:200]
