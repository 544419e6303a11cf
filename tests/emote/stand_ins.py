"""Writes substitutes for the licensed files in the same layouts, with tensors filled by the rule of the parity numbers.

``python tests/emote/stand_ins.py FOLDER`` writes checkpoints of the published sizes with a small audio encoder (see
``wav2vec2.json``); with ``--full``, the denoiser has wav2vec2-base (500 MB). FLAME is replaced by the synthetic head of
the parity numbers; with ``--head OPEN_HEAD``, by a head of that shape, which can be rendered and fitted to landmarks.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from scipy import sparse

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
GOLDENS = TESTS / "goldens"

from golden_rule import ruled  # noqa: E402

from occlufacediff.models.published_names import COMPUTED, old_weight_norm_name  # noqa: E402

Entries = dict[str, torch.Tensor]


def audio_sizes() -> dict[str, Any]:
    """Sizes of the small audio encoder, in the format of wav2vec2's ``config.json``."""
    sizes: dict[str, Any] = json.loads((GOLDENS / "wav2vec2_configs.json").read_text())["small"]
    return sizes


def _entry(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    if name.endswith("num_batches_tracked") or name in COMPUTED:
        return torch.zeros(shape, dtype=dtype)
    return torch.from_numpy(np.asarray(ruled(old_weight_norm_name(name), shape), np.float32))


def _listed(name: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    content = json.loads((GOLDENS / name).read_text())
    return {
        key: (tuple(entry["shape"]), getattr(torch, entry["dtype"].removeprefix("torch.")))
        for key, entry in content.items()
    }


def denoiser_entries(*, full: bool = False, old_names: bool = True) -> Entries:
    """The 430 entries of the published denoiser; without ``full``, with those of the small audio encoder."""
    listed = _listed("state_dict_denoiser.json")
    if not full:
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        small = Wav2Vec2Model(Wav2Vec2Config(**audio_sizes())).state_dict()
        listed = {name: entry for name, entry in listed.items() if not name.startswith("audio_encoder.")}
        listed |= {f"audio_encoder.{name}": (tuple(tensor.shape), tensor.dtype) for name, tensor in small.items()}
    entries = {name: _entry(name, *entry) for name, entry in listed.items()}
    return {old_weight_norm_name(name): tensor for name, tensor in entries.items()} if old_names else entries


def prior_entries() -> Entries:
    """The entries of FLINT that are read."""
    return {name: _entry(name, *entry) for name, entry in _listed("state_dict_flint.json").items()}


def lightning(entries: Entries, settings: object) -> dict[str, Any]:
    """A Lightning checkpoint like FLINT's, with other networks, an optimizer and settings of other packages."""
    return {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "1.4.9",
        "state_dict": {**entries, "flame.faces": torch.zeros(4, 3, dtype=torch.long)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(7)}}, "param_groups": [{"lr": 1e-4}]}],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": Path("there")}},
        "hyper_parameters": settings,
    }


def flame_arrays(head: Path | None = None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """FLAME's model, embedding and masks: synthetic (parity numbers), or in the shape of a head asset."""
    if head is not None:
        return _flame_of_head(head)

    def rng(name: str) -> np.random.RandomState:
        return np.random.RandomState(zlib.crc32(f"flame:{name}".encode()) & 0xFFFFFFFF)

    def rows(values: np.ndarray) -> np.ndarray:
        return values / values.sum(axis=1, keepdims=True)

    model = {
        "v_template": 0.1 * rng("v_template").standard_normal((5023, 3)),
        "shapedirs": 0.003 * rng("shapedirs").standard_normal((5023, 3, 400)),
        "posedirs": 0.001 * rng("posedirs").standard_normal((5023, 3, 36)),
        "J_regressor": sparse.csc_matrix(rows(np.abs(rng("J_regressor").standard_normal((5, 5023))))),
        "weights": rows(np.abs(rng("weights").standard_normal((5023, 5))) ** 3),
        "f": rng("f").randint(0, 5023, (9976, 3)).astype(np.uint32),
    }
    embedding = {
        "lmk_face_idx": rng("lmk_face_idx").randint(0, 9976, (105,)).astype(np.uint32),
        "lmk_b_coords": rows(np.abs(rng("lmk_b_coords").standard_normal((105, 3)))),
        "landmark_indices": np.load(GOLDENS / "flame.npz")["landmark_indices"],
    }
    masks = {name: np.arange(9, dtype=np.int64) for name in ("face", "lips", "eye_region", "nose", "forehead")}
    return model | _KINEMATICS, embedding, masks


_KINEMATICS = {
    "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.int64),
    "bs_style": "lbs",
    "bs_type": "lrotmin",
}


def _flame_of_head(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A head asset with bases zero-padded to 300 and 100 components, and the jaw as third joint."""
    from occlufacediff.head.asset import HeadAsset

    head = HeadAsset.load(path)
    vertices = head.n_vertices
    basis = np.zeros((vertices, 3, 400))
    basis[..., : head.n_shape] = head.shapedirs
    basis[..., 300 : 300 + head.n_exp] = head.expdirs
    jaw = head.joint_names.index("jaw")
    regressor, weights = np.repeat(head.J_regressor[:1], 5, axis=0), np.zeros((vertices, 5))
    regressor[2] = head.J_regressor[jaw]
    weights[:, 2] = head.weights[:, jaw]
    weights[:, 0] = 1 - weights[:, 2]
    model = {
        "v_template": head.v_template,
        "shapedirs": basis,
        "posedirs": np.zeros((vertices, 3, 36)),
        "J_regressor": sparse.csc_matrix(regressor),
        "weights": weights,
        "f": head.faces.astype(np.uint32),
    }
    embedding = {name: getattr(head, name) for name in ("lmk_face_idx", "lmk_b_coords", "landmark_indices")}
    return model | _KINEMATICS, embedding, dict(head.regions)


def write_flame(folder: Path, head: Path | None = None) -> Path:
    """Write a folder with the unpacked archives of FLAME 2020."""
    model, embedding, masks = flame_arrays(head)
    (folder / "FLAME_masks").mkdir(parents=True, exist_ok=True)
    (folder / "mediapipe_landmark_embedding").mkdir(exist_ok=True)
    (folder / "generic_model.pkl").write_bytes(pickle.dumps(model, protocol=2))
    (folder / "FLAME_masks" / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    np.savez(folder / "mediapipe_landmark_embedding" / "mediapipe_landmark_embedding.npz", **embedding)
    return folder


def write_landmarks(folder: Path, frames: list[list[np.ndarray]], protocol: int = 4) -> Path:
    """Write a clip of EMOTE's ``landmarks_original``: a list per frame of (478, 3) arrays, video px."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "landmarks_original.pkl"
    path.write_bytes(pickle.dumps(frames, protocol=protocol))
    return path


def coefficient_arrays(frames: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Smooth motion of FLAME with a constant identity, (frames, values) float32 each."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 25
    return {
        "exp": (0.5 * np.sin(time * rng.uniform(2, 9, 100))).astype(np.float32),
        "jaw": np.column_stack([0.1 + 0.1 * np.sin(9 * time), np.zeros((frames, 2))]).astype(np.float32),
        "global_pose": (0.1 * np.sin(time * [1, 2, 3])).astype(np.float32),
        "cam": np.tile(np.float32([5, 0.01, -0.02]), (frames, 1)),
        "shape": np.repeat(rng.normal(size=(1, 300)), frames, axis=0).astype(np.float32),
    }


def write_coefficients(folder: Path, arrays: Mapping[str, np.ndarray | None]) -> Path:
    """Write a clip of EMOTE's ``reconstructions``: (1, frames, values) per entry; None omits an entry."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shape_pose_cam.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values is not None:
                file[name] = values[None]
    return path


def write_emote_clip(
    folder: Path, clip: str, landmarks_px: np.ndarray, arrays: Mapping[str, np.ndarray | None]
) -> None:
    """Write a clip of EMOTE's folder ``processed``.

    Args:
        clip: ``<subject>/<view>/<emotion>/<level>/<number>``.
        landmarks_px: (frames, 478, 2), video px; frames with a value that is not finite have no face.
        arrays: the entries of `write_coefficients`.
    """
    deep = np.concatenate([landmarks_px, np.zeros_like(landmarks_px[..., :1])], axis=-1)
    frames = [[face] if np.isfinite(face).all() else [] for face in deep]
    write_landmarks(folder / "landmarks_original/mediapipe" / clip, frames)
    write_coefficients(folder / "reconstructions/EMICA-MEAD_flame2020" / clip, arrays)


def write_tree(folder: Path, results: Path, view: str = "front") -> Path:
    """Write EMOTE's folder ``processed`` from the landmarks and videos of a run of the workflow in RESULTS."""
    for store in sorted(results.glob("landmarks/*.h5")):
        subject = store.stem
        with h5py.File(store) as file:
            clips: list[str] = []
            file.visititems(lambda name, thing, to=clips: to.append(name) if "landmarks_px" in _below(thing) else None)
            for number, clip in enumerate(clips):
                flat = np.asarray(file[clip]["landmarks_px"])
                write_emote_clip(folder, f"{subject}/{view}/{clip}", flat, coefficient_arrays(len(flat), number))
    return folder


def _below(thing: h5py.Group | h5py.Dataset) -> h5py.Group | tuple[()]:
    return thing if isinstance(thing, h5py.Group) else ()


def main() -> None:
    """Write all substitutes to a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="use wav2vec2-base in the denoiser")
    parser.add_argument("--head", type=Path, help="head asset that replaces FLAME's shape")
    parser.add_argument("--data", type=Path, help="results/<dataset> with the clips for EMOTE's folder 'processed'")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(denoiser_entries(full=arguments.full), folder / "occlufacediff.pt")
    torch.save(lightning(prior_entries(), {"lr": 1e-4}), folder / "flint.ckpt")
    (folder / "wav2vec2.json").write_text(json.dumps(audio_sizes(), indent=1))
    write_flame(folder / "FLAME2020", arguments.head)
    if arguments.data:
        write_tree(folder / "processed", arguments.data)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sys.stdout.write(f"{path} {path.stat().st_size}\n")


if __name__ == "__main__":
    main()
