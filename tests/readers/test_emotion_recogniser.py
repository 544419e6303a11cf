"""EMOCA's emotion recogniser: a stand-in file of the same layout, and files of other layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from occlufacediff.errors import AssetError
from occlufacediff.readers.emotion_recogniser import EMOTIONS, load_emotion_recogniser, recogniser_network
from occlufacediff.readers.measures import top_share


def state(seed: int = 0) -> dict[str, Tensor]:
    """Entries of a network with random weights, by the names of a sequence of layers."""
    torch.manual_seed(seed)
    network = recogniser_network()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return network.state_dict()


def motion(frames: int = 3, expression: int = 100) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((frames, expression + 3)).astype(np.float32)


def expected(entries: dict[str, Tensor], values: np.ndarray) -> np.ndarray:
    """The formulas of the layers, in numpy."""
    numbers = {name: tensor.numpy().astype(np.float64) for name, tensor in entries.items()}
    hidden = np.concatenate([values[:, :50], values[:, -3:]], axis=1).astype(np.float64)
    for layer in range(0, 12, 3):
        hidden = hidden @ numbers[f"{layer}.weight"].T + numbers[f"{layer}.bias"]
        norm = f"{layer + 1}."
        hidden = (hidden - numbers[norm + "running_mean"]) / np.sqrt(numbers[norm + "running_var"] + 1e-5)
        hidden = hidden * numbers[norm + "weight"] + numbers[norm + "bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    outputs = (hidden @ numbers["12.weight"].T + numbers["12.bias"])[:, :8]
    return outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))


def test_scores_equal_the_formulas(tmp_path: Path):
    entries = state()
    torch.save({"state_dict": {f"mlp.net.{name}": value for name, value in entries.items()}}, tmp_path / "emo.ckpt")
    found = load_emotion_recogniser(tmp_path / "emo.ckpt").scores(motion())
    assert found.shape == (3, 8)
    np.testing.assert_allclose(found, expected(entries, motion()), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)
    label = int(found[0].argmax())
    assert EMOTIONS[label] in EMOTIONS
    assert top_share(found[:1], label, 1) == 1.0


def test_names_and_other_networks_do_not_matter(tmp_path: Path):
    entries = state(1)
    names = {
        **{f"{3 * k}.": f"recogniser.fc{k}." for k in range(5)},
        **{f"{3 * k + 1}.": f"recogniser.bn{k}." for k in range(4)},
    }
    renamed = {
        next(new + name.removeprefix(old) for old, new in names.items() if name.startswith(old)): value
        for name, value in entries.items()
    }
    renamed["encoder.fc0.weight"], renamed["encoder.fc0.bias"] = torch.zeros(4, 4), torch.zeros(4)
    save_file({name: value.contiguous() for name, value in renamed.items()}, tmp_path / "emo.safetensors")
    found = load_emotion_recogniser(tmp_path / "emo.safetensors").scores(motion())
    np.testing.assert_allclose(found, expected(entries, motion()), atol=1e-4)


def _without(entries: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in entries.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: _without(entries, "12.weight"),
        lambda entries: _without(entries, "4.running_var"),
        lambda entries: {**entries, "0.weight": torch.zeros(2048, 156)},
        lambda entries: {**entries, "12.weight": torch.zeros(8, 2048), "12.bias": torch.zeros(8)},
        lambda entries: {"weight": torch.zeros(3)},
    ],
)
def test_another_layout_is_refused(tmp_path: Path, change):
    torch.save(change(state()), tmp_path / "other.pt")
    with pytest.raises(AssetError, match="needs the weights of EMOCA's recogniser"):
        load_emotion_recogniser(tmp_path / "other.pt")


def test_two_recognisers_in_a_file_are_refused(tmp_path: Path):
    both = {f"{place}.{name}": value for place in ("a", "b") for name, value in state().items()}
    torch.save(both, tmp_path / "two.pt")
    with pytest.raises(AssetError, match="holds 2 networks"):
        load_emotion_recogniser(tmp_path / "two.pt")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path):
    entries = state()
    entries["3.bias"] = torch.full((2048,), float("nan"))
    torch.save(entries, tmp_path / "nan.pt")
    with pytest.raises(AssetError, match=r"'3\.bias' is not finite"):
        load_emotion_recogniser(tmp_path / "nan.pt")


class Evil:
    def __reduce__(self):
        return eval, ("print('ran')",)


def test_no_code_of_the_file_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save({"state_dict": state(), "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(AssetError, match="refused"):
        load_emotion_recogniser(tmp_path / "evil.pt")
    assert "ran" not in capsys.readouterr().out


def test_a_missing_file_and_other_files_are_refused(tmp_path: Path):
    with pytest.raises(AssetError, match="no such file"):
        load_emotion_recogniser(tmp_path / "absent.pt")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(AssetError, match="not a readable safetensors file"):
        load_emotion_recogniser(tmp_path / "text.safetensors")


def test_a_head_with_fewer_coefficients_is_refused(tmp_path: Path):
    torch.save(state(), tmp_path / "emo.pt")
    with pytest.raises(AssetError, match="has 40 expression coefficients"):
        load_emotion_recogniser(tmp_path / "emo.pt").scores(motion(expression=40))
