"""Which entries a file of wav2vec2's weights has, and whether they are those of its configured sizes. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from occlufacediff.config.published_recipe import Wav2Vec2Settings
from occlufacediff.errors import AssetError
from occlufacediff.models.published_names import new_weight_norm_name

Shape = tuple[int, ...]
#: Names of a folder's weights file, in order of preference.
FILES = ("model.safetensors", "pytorch_model.bin")
#: Prefix of the entries in files of models with a head, such as the one for speech recognition.
_PREFIX = "wav2vec2."
#: Entries of heads, which are left out.
_HEADS = ("lm_head.", "quantizer.", "project_q.", "project_hid.", "projector.", "classifier.")
#: Entries that a file may lack: some files for speech recognition have no mask embedding.
OPTIONAL = frozenset({"masked_spec_embed"})
#: Kernel sizes of the convolutions on the waveform.
_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_REMEDY = "give another file as denoiser.wav2vec2.weights, or set the sizes of this one in denoiser.wav2vec2"


def is_safetensors(file: Path) -> bool:
    """Whether the name of a file is that of a safetensors file."""
    return file.suffix == ".safetensors"


def entry_shapes(file: Path) -> dict[str, Shape]:
    """Shapes of all entries of a safetensors or ``torch.save`` file; no tensor is read.

    Raises:
        AssetError: damaged, cut short, not such a file, or a pickle that could run code.
    """
    if is_safetensors(file):
        try:
            with safe_open(str(file), framework="numpy") as content:
                return {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise AssetError(f"{file}: damaged or not a safetensors file ({error}); download it again") from error
    # Imports scipy, which a safetensors file does not need.
    from occlufacediff.models.torch_entries import Entry, read_checkpoint

    content = read_checkpoint(file)
    if not isinstance(content, dict):
        raise AssetError(f"{file}: got a {type(content).__name__}, needs a dictionary of tensors")
    return {str(name): entry.shape for name, entry in content.items() if isinstance(entry, Entry)}


def expected_shapes(sizes: Wav2Vec2Settings) -> dict[str, Shape]:
    """Shapes of the entries of transformers' ``Wav2Vec2Model`` with the given sizes."""
    width, inner = sizes.hidden_size, sizes.intermediate_size
    shapes: dict[str, Shape] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.weight": (channels,), f"{name}.bias": (channels,)})

    channels = (1, *sizes.conv_dim)
    for number, kernel in enumerate(_KERNELS):
        convolution = f"feature_extractor.conv_layers.{number}"
        shapes[f"{convolution}.conv.weight"] = (channels[number + 1], channels[number], kernel)
    norm("feature_extractor.conv_layers.0.layer_norm", channels[1])
    norm("feature_projection.layer_norm", channels[-1])
    linear("feature_projection.projection", channels[-1], width)
    positions, kernel = "encoder.pos_conv_embed.conv", sizes.num_conv_pos_embeddings
    shapes[f"{positions}.bias"] = (width,)
    shapes[f"{positions}.parametrizations.weight.original0"] = (1, 1, kernel)
    shapes[f"{positions}.parametrizations.weight.original1"] = (
        width,
        width // sizes.num_conv_pos_embedding_groups,
        kernel,
    )
    norm("encoder.layer_norm", width)
    for number in range(sizes.num_hidden_layers):
        layer = f"encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.attention.{part}", width, width)
        norm(f"{layer}.layer_norm", width)
        linear(f"{layer}.feed_forward.intermediate_dense", width, inner)
        linear(f"{layer}.feed_forward.output_dense", inner, width)
        norm(f"{layer}.final_layer_norm", width)
    return shapes | {"masked_spec_embed": (width,)}


def matched_names(file: Path, shapes: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> dict[str, str]:
    """Names in a file by the names of ``Wav2Vec2Model``, without heads and without entries that it may lack.

    Args:
        file: the file, for messages.
        shapes: of its entries.
        wanted: shapes of the entries of the model.

    Raises:
        AssetError: an entry is missing, unknown or of another shape; the message names file, entry and shapes.
    """
    names = {_plain(name): name for name in shapes if not _plain(name).startswith(_HEADS)}
    for name, shape in wanted.items():
        if name not in names:
            if name in OPTIONAL:
                continue
            raise AssetError(f"{file}: entry '{_PREFIX}{name}' is missing, needs shape {shape}; {_REMEDY}")
        if shapes[names[name]] != shape:
            raise AssetError(f"{file}: entry '{names[name]}' has shape {shapes[names[name]]}, needs {shape}; {_REMEDY}")
    extra = [full for name, full in names.items() if name not in wanted]
    if extra:
        raise AssetError(
            f"{file}: entry '{extra[0]}' is not part of this wav2vec2 ({len(extra)} such entries); {_REMEDY}"
        )
    return names


def check_sizes(file: Path, sizes: Wav2Vec2Settings) -> None:
    """Refuse a file whose entries are not those of the configured sizes; raises as the functions above."""
    matched_names(file, entry_shapes(file), expected_shapes(sizes))


def _plain(name: str) -> str:
    """The name of an entry in ``Wav2Vec2Model`` of newer torch versions."""
    return new_weight_norm_name(name.removeprefix(_PREFIX))
