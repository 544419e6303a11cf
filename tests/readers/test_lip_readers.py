"""The user's lip readers: stand-in networks in TorchScript and ONNX of the documented layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from occlufacediff.config.readers import LipReadingSettings
from occlufacediff.errors import AssetError
from occlufacediff.readers.lip_readers import load_lip_reader, load_syncnet, read_labels
from occlufacediff.readers.programs import load_program

LABELS = ("<blank>", "|", "A", "B", "C")


class Features(nn.Module):
    """Mean and deviation of each mouth."""

    def forward(self, mouths: Tensor) -> Tensor:
        flat = mouths[0, :, 0].flatten(1)
        return torch.stack([flat.mean(1), flat.std(1)], dim=1)


class Scores(nn.Module):
    """The label of a frame is the rounded mean of its mouth."""

    def forward(self, mouths: Tensor) -> Tensor:
        label = mouths[0, :, 0].flatten(1).mean(1).round().clamp(0, 4).long()
        return nn.functional.one_hot(label, 5).float()[None]


class Numbers(nn.Module):
    """Always the labels A, space, C."""

    def forward(self, mouths: Tensor) -> Tensor:
        return torch.tensor([2, 1, 4])


class Sync(nn.Module):
    """Embeddings that meet if the mean of the faces equals the first coefficient."""

    def forward(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        return video.flatten(1).mean(1, keepdim=True), audio[:, :, 0].flatten(1).mean(1, keepdim=True)


def script(module: nn.Module, path: Path) -> str:
    torch.jit.script(module.eval()).save(str(path))
    return str(path)


def onnx_features(path: Path) -> str:
    """The network `Features` without the deviation, as an ONNX file."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    mouths = helper.make_tensor_value_info("mouths", TensorProto.FLOAT, [1, "T", 1, 88, 88])
    out = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["T", 1])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 88 * 88])
    nodes = [
        helper.make_node("Reshape", ["mouths", "shape"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["features"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "reader", [mouths], [out], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


@pytest.fixture
def labels(tmp_path: Path) -> str:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    return str(path)


def mouths(*values: float) -> np.ndarray:
    return np.broadcast_to(np.array(values, np.float32)[None, :, None, None, None], (1, len(values), 1, 88, 88)).copy()


def test_features_of_a_torchscript_network(tmp_path: Path):
    reader = load_lip_reader(LipReadingSettings(script(Features(), tmp_path / "f.pt"), "features"))
    np.testing.assert_allclose(reader.features(mouths(1, 3)), [[1, 0], [3, 0]], atol=1e-5)


def test_features_of_an_onnx_network(tmp_path: Path):
    reader = load_lip_reader(LipReadingSettings(onnx_features(tmp_path / "f.onnx"), "features"))
    np.testing.assert_allclose(reader.features(mouths(1, 3)), [[1], [3]], atol=1e-4)


def test_scores_are_decoded_without_repetitions_and_blanks(tmp_path: Path, labels: str):
    reader = load_lip_reader(LipReadingSettings(script(Scores(), tmp_path / "s.pt"), "av_hubert", labels))
    # A A blank A | C C
    assert reader.read(mouths(2, 2, 0, 2, 1, 4, 4)) == ["A", "A", "|", "C"]
    assert reader.text(mouths(2, 2, 0, 2, 1, 4, 4)) == "AA C"
    assert reader.phoneme_words(mouths(1, 2, 1, 1, 3, 4)) == [["A"], ["B", "C"]]


def test_numbers_of_labels_are_read_as_they_are(tmp_path: Path, labels: str):
    reader = load_lip_reader(LipReadingSettings(script(Numbers(), tmp_path / "n.pt"), "av_hubert", labels))
    assert reader.text(mouths(0, 0)) == "A C"


def test_sentence_pieces_begin_words(tmp_path: Path):
    path = tmp_path / "pieces.txt"
    path.write_text("<blank>\n\u2581BA\nBY\n\u2581MO\nON\n", encoding="utf-8")
    reader = load_lip_reader(LipReadingSettings(script(Scores(), tmp_path / "s.pt"), "av_hubert", str(path)))
    assert reader.text(mouths(1, 2, 3, 4)) == "BABY MOON"


def test_lse_of_a_stand_in_for_syncnet(tmp_path: Path):
    network = load_syncnet(LipReadingSettings(script(Sync(), tmp_path / "y.pt"), "syncnet"))
    rng = np.random.default_rng(1)
    confidence, distance = network.errors(
        rng.integers(0, 20, (30, 224, 224, 3), dtype=np.uint8), rng.standard_normal(30 * 640) / 10
    )
    assert distance > 0
    assert confidence >= 0


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(AssetError, match=r"absent\.pt: no such file"):
        load_program(tmp_path / "absent.pt")


@pytest.mark.parametrize("name", ["reader.pt", "reader.bin", "reader.onnx"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"<html>not a network</html>")
    with pytest.raises(AssetError, match="TorchScript"):
        load_program(tmp_path / name)


def test_a_checkpoint_without_program_is_refused(tmp_path: Path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "c.pt")
    with pytest.raises(AssetError, match="without a TorchScript program"):
        load_program(tmp_path / "c.pt")


def test_onnx_without_onnxruntime_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = onnx_features(tmp_path / "f.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(AssetError, match=r"pip install 'occlufacediff\[onnx\]'"):
        load_program(path)


class Pooled(nn.Module):
    """One row for the whole clip."""

    def forward(self, mouths: Tensor) -> Tensor:
        return mouths[0, :, 0].flatten(1).mean(0, keepdim=True)


class Narrow(nn.Module):
    """Accepts other mouths only."""

    def forward(self, mouths: Tensor) -> Tensor:
        return mouths.reshape(1, -1, 1, 96, 96)[0, :, 0].flatten(1)


class NotFinite(nn.Module):
    """Divides by zero."""

    def forward(self, mouths: Tensor) -> Tensor:
        return mouths[0, :, 0].flatten(1) / torch.zeros(1)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Pooled(), r"needs features \(5, C\)"),
        (Narrow(), r"refuses inputs of shape \(1, 5, 1, 88, 88\)"),
        (NotFinite(), "not finite"),
        (Sync(), "refuses inputs"),
        (Numbers(), r"returned int64 of shape \(3,\)"),
    ],
)
def test_features_of_other_shapes_are_refused(tmp_path: Path, module: nn.Module, message: str):
    with pytest.raises(AssetError, match=message):
        load_lip_reader(LipReadingSettings(script(module, tmp_path / "x.pt"), "features"))


def test_scores_of_other_labels_are_refused(tmp_path: Path):
    path = tmp_path / "few.txt"
    path.write_text("-\nA\n", encoding="utf-8")
    settings = LipReadingSettings(script(Scores(), tmp_path / "s.pt"), "av_hubert", str(path))
    with pytest.raises(AssetError, match=r"needs scores \(T, 2\) of the labels"):
        load_lip_reader(settings)
    with pytest.raises(AssetError, match="returned the label 4, but there are 2 labels"):
        load_lip_reader(replace(settings, reader=script(Numbers(), tmp_path / "n.pt")))


def test_syncnet_with_one_output_is_refused(tmp_path: Path):
    class One(nn.Module):
        def forward(self, video: Tensor, audio: Tensor) -> Tensor:
            return video.flatten(1)[:, :4]

    with pytest.raises(AssetError, match="needs two"):
        load_syncnet(LipReadingSettings(script(One(), tmp_path / "o.pt"), "syncnet"))


@pytest.mark.parametrize("text", ["", "A\n", "A\nA\n", "A\n\nB\n"])
def test_bad_labels_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssetError, match="two or more different ones"):
        read_labels(str(path))
    with pytest.raises(AssetError, match="cannot be read"):
        read_labels(str(tmp_path / "absent.txt"))
