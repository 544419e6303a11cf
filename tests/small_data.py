"""A small data set on disk in the shapes of the real one: a mouth that follows the sound."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.files import sha256
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.stages.pack import pack_audio, pack_face
from occlufacediff.stages.phones import recognise_subject

SPLITS = {"A1": "train", "A2": "train", "B1": "validation", "C1": "test"}


def sha256_of(*texts: str) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Files:
    """Paths of a data set."""

    manifest: Path
    clips: list[Path]
    audio: list[Path]
    coefficients: list[Path]
    head: Path

    def packed(self, kind: str = "face") -> list[Path]:
        """Packed files as the workflow makes them: ``face``, or a kind of audio; made once for each content."""
        files = [*self.clips, *self.audio, *self.coefficients]
        folder = self.manifest.parent / "packed" / sha256_of(*map(sha256, files))
        packed = [folder / kind / path.name for path in self.coefficients]
        for out, clips, audio, coefficients in zip(packed, self.clips, self.audio, self.coefficients, strict=True):
            face = folder / "face" / out.name
            if not face.is_file():
                pack_face(out.stem, coefficients, clips, face)
            if not out.is_file():
                pack_audio(out.stem, kind, face, audio, out, phones_h5=self.phones(audio) if kind == "speech" else None)
        return packed

    @staticmethod
    def phones(audio: Path) -> Path:
        """Recognised phones of a file of audio; made once for each content."""
        out = audio.parent / "phones" / sha256(audio) / audio.name
        if not out.is_file():
            recognise_subject(audio.stem, audio, out, out.with_suffix(".csv"))
        return out


def write_small_data(folder: Path, clips: int = 2, frames: tuple[int, ...] = (70, 50)) -> Files:
    """Write shards of four subjects with ``clips`` clips each, and the manifest."""
    asset = small_head()
    asset.save(folder / "head.npz")
    rows = []
    paths: dict[str, list[Path]] = {"clips": [], "audio": [], "coefficients": []}
    for number, (subject, split) in enumerate(SPLITS.items()):
        for kind, listed in paths.items():
            (folder / kind).mkdir(exist_ok=True)
            listed.append(folder / kind / f"{subject}.h5")
        with (
            h5py.File(paths["clips"][-1], "w") as store,
            h5py.File(paths["audio"][-1], "w") as audio,
            h5py.File(paths["coefficients"][-1], "w") as coefficients,
        ):
            for index in range(clips):
                rng = np.random.default_rng([number, index])
                count = frames[index % len(frames)]
                clip = f"happy/level_1/{index:03d}"
                loud = np.repeat(rng.random(-(-4 * count // 16)), 16)[: 4 * count].astype(np.float32)
                mel = loud[:, None] + 0.1 * rng.standard_normal((4 * count, 80)).astype(np.float32)
                opening = loud.reshape(count, 4).mean(1)
                values = {
                    "exp": opening[:, None] * np.linspace(1, 2, N_EXP, dtype=np.float32),
                    "jaw": np.stack([0.3 * opening, 0 * opening, 0 * opening], 1),
                    "global_pose": 0.05 * rng.standard_normal((1, 3)).repeat(count, 0),
                    "cam": np.tile([7.0, 0.0, 0.0], (count, 1)),
                    "shape": rng.standard_normal(N_SHAPE),
                }
                values = {name: np.asarray(value, np.float32) for name, value in values.items()}
                made = vertices_numpy(asset, values["shape"], values["exp"], values["global_pose"], values["jaw"])
                lmk = project_numpy(landmarks_numpy(asset, made), values["cam"])
                for name, value in values.items():
                    coefficients[f"{clip}/{name}"] = value
                store[f"{clip}/landmarks"] = np.concatenate([lmk, lmk[:, :10]], 1).astype(np.float32)
                audio[f"{clip}/log_mel"] = mel
                audio[f"{clip}/waveform"] = rng.standard_normal(640 * count).astype(np.float32)
                rows.append((subject, clip, split, "ok", "", f"s{index}"))
        rows.append((subject, "sad/level_1/009", split, "failed", "no_face", "s9"))
    columns = ["subject", "clip", "split", "status", "reason", "sentence_id"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return Files(folder / "manifest.csv", paths["clips"], paths["audio"], paths["coefficients"], folder / "head.npz")
