"""Checkpoints: weights as safetensors with a YAML description; written whole or not at all, never as a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from occlufacediff import __version__
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import HEAD_DIGEST, HEAD_NAME, described
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.provenance import Provenance

WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"
#: Entry of a denoiser's ``training``: digest of the weights file of the motion prior that it was trained with.
PRIOR_OF_DENOISER = "motion_prior_sha256"
_Model = TypeVar("_Model", MotionPrior, Denoiser)
_KINDS: dict[type[nn.Module], str] = {MotionPrior: "motion_prior", Denoiser: "denoiser"}


@dataclass(frozen=True)
class CheckpointInfo:
    """The description of a checkpoint.

    Attributes:
        folder: its folder; or its weights file, if it was given as a file.
        head_name: name of the head model that its motion belongs to.
        head_digest: digest of that head model (`HeadAsset.digest`); None where it is not known.
        expression_names: names of the expression coefficients, in order.
        version: version of the package that wrote it.
        training: the resolved training settings and figures, as given on saving.
        provenance: what it was trained on; None for converted and old checkpoints, which do not record it.
    """

    folder: Path
    head_name: str
    head_digest: str | None
    expression_names: tuple[str, ...]
    version: str
    training: dict[str, Any] = field(default_factory=dict)
    provenance: Provenance | None = None

    def require_head(self, head: HeadAsset) -> None:
        """Refuse a head model that is not the checkpoint's.

        Digests are compared where the checkpoint has one. Converted published networks have none, nor have checkpoints
        that were written before digests existed: there name and expressions are compared.

        Raises:
            AssetError: another digest, or without one another name or other expressions.
        """
        known = self.head_digest is not None
        same = self.head_digest == head.digest if known else self.head_name == head.name
        if not same or self.expression_names != head.expression_names:
            raise AssetError(
                f"{self.folder}: the network was trained with the head model "
                f"{described(self.head_name, self.head_digest)} with {len(self.expression_names)} expressions, but the "
                f"head model in use is {described(head.name, head.digest)} with {head.n_exp}; use that head model "
                "(--head, or `head` in the configuration) or train with this one"
            )


def checkpoint_files(path: Path | str) -> tuple[Path, Path]:
    """Weights file and YAML file of a checkpoint.

    Args:
        path: folder with ``model.safetensors`` and ``config.yaml``; or a file ``NAME.safetensors`` whose description
            is ``NAME.yaml`` in the same folder (``config.yaml`` for ``model.safetensors``).
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return path / WEIGHTS, path / CONFIG
    return path, path.with_name(CONFIG) if path.name == WEIGHTS else path.with_suffix(".yaml")


def save_checkpoint(
    folder: Path | str,
    model: MotionPrior | Denoiser,
    *,
    head_name: str,
    head_digest: str | None,
    expression_names: tuple[str, ...] | list[str],
    training: dict[str, Any] | None = None,
    provenance: Provenance | None = None,
    precision: Literal["float32", "float16"] = "float32",
) -> None:
    """Write ``model.safetensors``, then ``config.yaml`` with the digest of the weights.

    Args:
        folder: created if missing; or a ``.safetensors`` file, see `checkpoint_files`.
        model: the network.
        head_name: name of the head model.
        head_digest: `HeadAsset.digest` of the head model; None where only its name is known.
        expression_names: names of the expression coefficients.
        training: plain values to keep beside it (resolved settings, figures).
        provenance: what the network was trained on; None where that is not known.
        precision: ``float16`` halves the file: matrices are rounded, see `rounded`; loading gives float32 modules.

    Raises:
        ValueError: a value that float16 cannot hold.
    """
    weights, config = checkpoint_files(folder)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    if precision == "float16":
        state = rounded(state)
    with written_aside(weights) as aside:
        save_file(state, aside)
    described = {
        "kind": _KINDS[type(model)],
        "version": __version__,
        HEAD_NAME: head_name,
        HEAD_DIGEST: head_digest,
        "expression_names": list(expression_names),
        "weights_sha256": sha256(weights),
        "model": model.config.to_dict(),
        "training": training or {},
        "provenance": None if provenance is None else provenance.to_dict(),
    }
    with written_aside(config) as aside:
        aside.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state with its matrices in float16; biases, means and spreads differ much in magnitude and stay float32.

    Raises:
        ValueError: a value that float16 cannot hold.
    """
    halves = dict(state)
    for name, tensor in state.items():
        if tensor.ndim >= 2 and tensor.is_floating_point():
            halves[name] = tensor.half()
            if not torch.isfinite(halves[name]).all():
                raise ValueError(f"precision: got float16, which cannot hold the values of entry '{name}'")
    return halves


def checkpoint_info(folder: Path | str) -> CheckpointInfo:
    """The description of a checkpoint of either network, without its weights; raises AssetError."""
    return _info(Path(folder), _described(Path(folder), *_KINDS.values()))


def load_motion_prior(folder: Path | str, *, device: torch.device | str = "cpu") -> tuple[MotionPrior, CheckpointInfo]:
    """A motion prior in eval mode and the description of its checkpoint; raises AssetError.

    ``folder`` may be a ``.safetensors`` file, see `checkpoint_files`.
    """
    folder = Path(folder)
    described = _described(folder, "motion_prior")
    try:
        model = MotionPrior(MotionPriorConfig(**described["model"]))
    except (TypeError, ValueError) as error:
        raise AssetError(
            f"{checkpoint_files(folder)[1]}: entry 'model' does not describe a motion prior: {error}"
        ) from error
    return _filled(model, folder, described, device), _info(folder, described)


def load_networks(
    motion_prior: Path | str, denoiser: Path | str, asset: HeadAsset, *, device: torch.device | str = "cpu"
) -> tuple[tuple[MotionPrior, CheckpointInfo], tuple[Denoiser, CheckpointInfo]]:
    """Both networks of a head model and the descriptions of their checkpoints.

    Raises:
        AssetError: a checkpoint cannot be read or belongs to another head model, or the denoiser was trained with
            another motion prior, as far as its checkpoint records it.
    """
    networks = load_motion_prior(motion_prior, device=device), load_denoiser(denoiser, device=device)
    for _, info in networks:
        info.require_head(asset)
    wanted = networks[1][1].training.get(PRIOR_OF_DENOISER)
    if wanted is not None and wanted != sha256(checkpoint_files(motion_prior)[0]):
        raise AssetError(
            f"{denoiser}: this denoiser was trained with another motion prior than {motion_prior}, so it predicts "
            "other latents; give both networks of one run"
        )
    return networks


def load_denoiser(folder: Path | str, *, device: torch.device | str = "cpu") -> tuple[Denoiser, CheckpointInfo]:
    """A denoiser in eval mode and the description of its checkpoint; raises AssetError.

    ``folder`` may be a ``.safetensors`` file, see `checkpoint_files`.
    """
    folder = Path(folder)
    described = _described(folder, "denoiser")
    try:
        model = Denoiser(DenoiserConfig.from_dict(described["model"]))
    except (TypeError, ValueError, KeyError) as error:
        raise AssetError(
            f"{checkpoint_files(folder)[1]}: entry 'model' does not describe a denoiser: {error}"
        ) from error
    return _filled(model, folder, described, device), _info(folder, described)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The entries of a safetensors file; raises AssetError if it is missing, damaged or another kind of file."""
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path} is missing; train the model or give another folder")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise AssetError(f"{path} is damaged or not a safetensors file ({error}); write it again") from error


def fill_state(model: nn.Module, entries: dict[str, Tensor], source: Path | str) -> None:
    """Copy entries into the model; their names and shapes must be those of the model.

    Raises:
        AssetError: names the source, the entry and what was expected.
    """
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in entries:
            raise AssetError(f"{source}: entry '{name}' is missing, expected shape {tuple(tensor.shape)}")
        if entries[name].shape != tensor.shape:
            raise AssetError(
                f"{source}: entry '{name}' has shape {tuple(entries[name].shape)}, expected {tuple(tensor.shape)}"
            )
    extra = sorted(set(entries) - set(wanted))
    if extra:
        raise AssetError(f"{source}: entry '{extra[0]}' is not part of this model ({len(extra)} such entries)")
    model.load_state_dict(entries)


def _described(folder: Path, *kinds: str) -> dict[str, Any]:
    """The entries of the YAML file of a checkpoint of one of ``kinds``."""
    path = checkpoint_files(folder)[1]
    if not path.is_file():
        raise AssetError(f"{path} is missing; {folder} is not a checkpoint of a {' or '.join(kinds).replace('_', ' ')}")
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AssetError(f"{path} is not readable YAML: {error}") from error
    if isinstance(described, dict) and HEAD_NAME not in described:
        # The key's name before heads had digests.
        described[HEAD_NAME] = described.pop("head_model", None)
    needed = {
        "kind": str,
        "version": str,
        HEAD_NAME: str,
        "expression_names": list,
        "weights_sha256": str,
        "model": dict,
        "training": dict,
    }
    if not isinstance(described, dict):
        raise AssetError(f"{path} holds no entries; expected {', '.join(needed)}")
    for name, expected in needed.items():
        if not isinstance(described.get(name), expected):
            raise AssetError(f"{path}: entry '{name}' is missing or not of type {expected.__name__}")
    if described["kind"] not in kinds:
        raise AssetError(f"{path}: entry 'kind' is '{described['kind']}', expected '{' or '.join(kinds)}'")
    return described


def _filled(model: _Model, folder: Path, described: dict[str, Any], device: torch.device | str) -> _Model:
    weights, config = checkpoint_files(folder)
    entries = read_weights(weights)
    fill_state(model, entries, weights)
    if sha256(weights) != described["weights_sha256"]:
        raise AssetError(
            f"{weights} has another digest than 'weights_sha256' in {config}: the two files do not belong together; "
            "restore both or train again"
        )
    return model.eval().to(device)


def _info(folder: Path, described: dict[str, Any]) -> CheckpointInfo:
    return CheckpointInfo(
        folder=folder,
        head_name=described[HEAD_NAME],
        head_digest=described.get(HEAD_DIGEST),
        expression_names=tuple(described["expression_names"]),
        version=described["version"],
        training=described["training"],
        provenance=_provenance(checkpoint_files(folder)[1], described.get("provenance")),
    )


def _provenance(config: Path, entry: Any) -> Provenance | None:
    if entry is None:
        return None
    try:
        return Provenance.from_dict(entry)
    except (ValueError, TypeError) as error:
        raise AssetError(
            f"{config}: entry 'provenance' is damaged: {error}; restore the file or train again"
        ) from error
