"""A segmentation model (.tflite) that classifies by colour, with the categories of selfie_multiclass."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import schema_py_generated as schema
from mediapipe.tasks.python.metadata.metadata_writers import image_segmenter, metadata_writer

CATEGORIES = ("background", "hair", "body-skin", "face-skin", "clothes", "others")
EDGE = 64
#: Per category: weights of red, green and blue (0 to 1), and a bias. Blue is background, green is body-skin.
WEIGHTS = np.zeros((len(CATEGORIES), 4), np.float32)
WEIGHTS[CATEGORIES.index("background")] = (-20, -20, 30, 0)
WEIGHTS[CATEGORIES.index("body-skin")] = (-20, 30, -20, 0)
WEIGHTS[CATEGORIES.index("face-skin")] = (0, 0, 0, 3)


def write_colour_segmenter(path: Path, *, named: bool = True) -> Path:
    """Write a model of one 1 x 1 convolution and a softmax for 64 x 64 pixels, optionally with category names."""
    model = schema.ModelT()
    model.version, model.description = 3, b"colours"
    model.operatorCodes = [
        _code(schema.BuiltinOperator.CONV_2D),
        _code(schema.BuiltinOperator.SOFTMAX),
    ]
    model.buffers = [_buffer(), _buffer(WEIGHTS[:, :3].reshape(-1, 1, 1, 3)), _buffer(WEIGHTS[:, 3])]
    count = len(CATEGORIES)
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(b"input", (1, EDGE, EDGE, 3), 0),
        _tensor(b"weights", (count, 1, 1, 3), 1),
        _tensor(b"bias", (count,), 2),
        _tensor(b"scores", (1, EDGE, EDGE, count), 0),
        _tensor(b"confidences", (1, EDGE, EDGE, count), 0),
    ]
    convolution, softmax = schema.OperatorT(), schema.OperatorT()
    convolution.opcodeIndex, convolution.inputs, convolution.outputs = 0, [0, 1, 2], [3]
    convolution.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    convolution.builtinOptions = schema.Conv2DOptionsT()
    convolution.builtinOptions.strideW = convolution.builtinOptions.strideH = 1
    softmax.opcodeIndex, softmax.inputs, softmax.outputs = 1, [3], [4]
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    graph.operators, graph.inputs, graph.outputs = [convolution, softmax], [0], [4]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    labels = metadata_writer.Labels()
    if named:
        labels.add(list(CATEGORIES))
    writer = image_segmenter.MetadataWriter.create(bytearray(builder.Output()), [0.0], [1.0], labels)
    path.write_bytes(writer.populate()[0])
    return path


def _code(operator: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 1
    return code


def _buffer(values: np.ndarray | None = None) -> schema.BufferT:
    buffer = schema.BufferT()
    if values is not None:
        buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    return buffer


def _tensor(name: bytes, shape: tuple[int, ...], buffer: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = schema.TensorType.FLOAT32
    return tensor
