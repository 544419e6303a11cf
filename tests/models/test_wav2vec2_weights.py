"""wav2vec2's weights from the user's file: names, shapes, damage; and how the encoder uses them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from occlufacediff.config.published_recipe import Wav2Vec2Settings
from occlufacediff.errors import AssetError
from occlufacediff.models.audio_encoder import Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.published_names import old_weight_norm_name
from occlufacediff.models.spec_augment import spec_augment_mask, thinned
from occlufacediff.models.wav2vec2_entries import expected_shapes
from occlufacediff.models.wav2vec2_weights import load_wav2vec2

SIZES = Wav2Vec2Sizes(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=4,
    num_conv_pos_embedding_groups=2,
)
State = dict[str, Tensor]


def encoder(seed: int) -> Wav2Vec2Encoder:
    torch.manual_seed(seed)
    return Wav2Vec2Encoder(SIZES)


def of_asr(state: State) -> State:
    """The entries as files for speech recognition have them: a prefix, old weight-norm names and a CTC head."""
    named = {"wav2vec2." + old_weight_norm_name(name): value.clone() for name, value in state.items()}
    return named | {"lm_head.weight": torch.zeros(32, 16), "lm_head.bias": torch.zeros(32)}


def without_mask_embedding(state: State) -> State:
    return {name: value for name, value in of_asr(state).items() if not name.endswith("masked_spec_embed")}


def as_it_is(state: State) -> State:
    return {name: value.clone() for name, value in state.items()}


def as_bin(path: Path, state: State) -> None:
    torch.save(state, path)


def as_old_bin(path: Path, state: State) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("model.safetensors", lambda path, state: save_file(state, path)),
        ("pytorch_model.bin", as_bin),
        ("pytorch_model.bin", as_old_bin),
    ],
)
@pytest.mark.parametrize("layout", [of_asr, without_mask_embedding, as_it_is])
@pytest.mark.parametrize("folder", [True, False])
def test_weights_are_read_from_every_layout(
    tmp_path: Path,
    name: str,
    write: Callable[[Path, State], None],
    layout: Callable[[State], State],
    folder: bool,
) -> None:
    source, target = encoder(1), encoder(2)
    before = target.model.masked_spec_embed.detach().clone()
    write(tmp_path / name, layout(source.model.state_dict()))
    assert load_wav2vec2(target.model, tmp_path if folder else tmp_path / name) == tmp_path / name
    for key, value in source.model.state_dict().items():
        want = before if layout is without_mask_embedding and key == "masked_spec_embed" else value
        assert torch.equal(target.model.state_dict()[key], want), key


def test_a_folder_without_weights_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none of model\.safetensors, pytorch_model\.bin"):
        load_wav2vec2(encoder(0).model, tmp_path)
    with pytest.raises(AssetError, match="there is no such file or folder"):
        load_wav2vec2(encoder(0).model, tmp_path / "wav2vec2")


def test_another_size_or_a_missing_entry_is_one_message(tmp_path: Path) -> None:
    state = of_asr(encoder(0).model.state_dict())
    key = "wav2vec2.encoder.layers.1.attention.k_proj.weight"
    for changed, message in (
        (state | {key: torch.zeros(12, 16)}, r"has shape \(12, 16\), needs \(16, 16\)"),
        ({name: value for name, value in state.items() if name != key}, r"is missing, needs shape \(16, 16\)"),
        (state | {key: torch.full((16, 16), float("nan"))}, "not finite"),
    ):
        path = tmp_path / "model.safetensors"
        save_file(changed, path)
        with pytest.raises(AssetError, match=message) as caught:
            load_wav2vec2(encoder(0).model, path)
        assert str(caught.value).startswith(f"{path}: entry '{key}' ")
        assert "\n" not in str(caught.value)
    more = state | {"wav2vec2.encoder.layers.2.layer_norm.weight": torch.zeros(16)}
    save_file(more, tmp_path / "model.safetensors")
    with pytest.raises(AssetError, match=re.escape("layers.2.layer_norm.weight' is not part of this wav2vec2")):
        load_wav2vec2(encoder(0).model, tmp_path)


def test_the_expected_entries_are_those_of_transformers() -> None:
    sizes = replace(SIZES, conv_dim=(8, 9, 10, 11, 12, 13, 14), num_conv_pos_embeddings=6, hidden_size=24)
    model = Wav2Vec2Encoder(sizes).model
    settings = Wav2Vec2Settings(**asdict(sizes))
    assert expected_shapes(settings) == {name: tuple(value.shape) for name, value in model.state_dict().items()}


class Harm:
    """An object whose pickle would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_damaged_files_and_files_that_run_code_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "b.bin").write_bytes(b"x" * 100)
    (tmp_path / "c.bin").write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    torch.save({"a": Harm(tmp_path / "harm")}, tmp_path / "d.bin")
    (tmp_path / "e.bin").write_text("<html>log in</html>")
    for name in ("a.safetensors", "b.bin", "c.bin", "d.bin", "e.bin"):
        with pytest.raises(AssetError, match=rf"{name}"):
            load_wav2vec2(encoder(0).model, tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_the_convolutions_are_frozen_and_run_without_gradients() -> None:
    model = encoder(0).train()
    waveform = torch.randn(2, 64 * 640, requires_grad=True)
    assert not model.front(waveform).requires_grad
    model(waveform, 64).square().mean().backward()
    assert waveform.grad is None
    for name, parameter in model.named_parameters():
        if "feature_extractor" in name:
            assert not parameter.requires_grad
            assert parameter.grad is None
    assert model.model.feature_projection.projection.weight.grad is not None


def test_masked_frames_take_the_mask_embedding() -> None:
    model = encoder(0).eval()
    waveform = torch.randn(2, 64 * 640)
    masked = torch.zeros(2, 64, dtype=torch.bool)
    assert torch.equal(model(waveform, 64, masked), model(waveform, 64))
    masked[0] = True
    with torch.no_grad():
        other = model(torch.randn(2, 64 * 640), 64, masked)
        here = model(waveform, 64, masked)
    # A window that is masked in all frames does not depend on its audio.
    torch.testing.assert_close(here[0], other[0])
    assert not torch.allclose(here[1], other[1])


def test_spec_augment_masks_two_spans_of_ten_frames() -> None:
    masks = np.array(
        [spec_augment_mask(np.random.default_rng([4, i]), frames=64, spans=2, length=10) for i in range(4000)]
    )
    counts = masks.sum(axis=1)
    assert (counts.min(), counts.max()) == (11, 20)
    # Starts are 0 .. 53, so the last frame is never masked and the first one with probability 2 / 54.
    assert not masks[:, 63].any()
    assert masks[:, 62].mean() == pytest.approx(2 / 54, abs=0.012)
    assert masks[:, 0].mean() == pytest.approx(2 / 54, abs=0.012)
    # Two different starts of 54: all pairs that overlap in 10 - d frames, d = 1 .. 9.
    overlap = sum(2 * (54 - d) * (10 - d) for d in range(1, 10)) / (54 * 53)
    assert counts.mean() == pytest.approx(20 - overlap, abs=0.15)
    for mask in masks[:200]:
        runs = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]]).astype(int)))
        lengths = runs[1::2] - runs[::2]
        assert set(lengths) == {10} or (len(lengths) == 1 and 11 <= lengths[0] <= 20)


def test_thinned_masks_have_the_count_of_the_fewest() -> None:
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(np.array([spec_augment_mask(rng, frames=64, spans=2, length=10) for _ in range(16)]))
    few = thinned(masks)
    assert few.sum(1).tolist() == [int(masks.sum(1).min())] * 16
    assert not (few & ~masks).any()


def test_spec_augment_refuses_windows_that_are_too_short() -> None:
    with pytest.raises(ValueError, match="frames: got 8"):
        spec_augment_mask(np.random.default_rng(0), frames=8, spans=2, length=10)
