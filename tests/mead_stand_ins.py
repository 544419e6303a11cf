"""Archives, transcripts and EMOTE's files with MEAD's subject names, from clips of the tiny data set."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from tiny_tree import Tree

from occlufacediff.media.archives import unpack, write_tar

sys.path.insert(0, str(Path(__file__).resolve().parent / "emote"))
from stand_ins import coefficient_arrays, write_coefficients, write_landmarks
from stand_ins import write_flame as write_flame

#: Subject -> clips and their sentences. The numbers of the clips are not those of the sentences.
CLIPS = {
    "M003": {"happy/level_1/021": 4, "sad/level_2/003": 15},
    "M011": {"happy/level_1/005": 11, "neutral/level_1/007": 12, "sad/level_3/030": 4},
    "M040": {"angry/level_2/001": 20, "angry/level_2/002": 21},
}
SPLITS = {
    "M003": ["test", "unused"],
    "M011": ["train", "train", "unused"],
    "M040": ["validation", "unused"],
}


def write_archives(folder: Path, finished: Tree) -> Path:
    """Write ``<subject>/video.tar`` and ``audio.tar`` of `CLIPS`; the recordings are those of the tiny data set."""
    recordings = _recordings(folder / ".recordings", finished.results / "archives")
    for subject, clips in CLIPS.items():
        for name, place, suffix in (("video", "video/front", ".mp4"), ("audio", "audio", ".m4a")):
            members = [
                (f"{place}/{clip}{suffix}", recordings[number % len(recordings)].with_suffix(suffix))
                for number, clip in enumerate(clips)
            ]
            write_tar(folder / subject / f"{name}.tar", members)
    return folder


def write_table(path: Path) -> Path:
    """Write a table of transcripts in which sentence N is the N-th one of a subject that has no archives."""
    lines = [f"W009_level_1_neutral_{number:03d} Sentence number {number}." for number in range(30)]
    for subject, clips in CLIPS.items():
        for clip, sentence in clips.items():
            emotion, level, number = clip.split("/")
            lines.append(f"{subject}_{level}_{emotion}_{number} Sentence number {sentence}.")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_emote(folder: Path, preprocessed: Path) -> Path:
    """Write EMOTE's folder ``processed`` for `CLIPS`, from the detected landmarks in ``preprocessed``/landmarks."""
    for subject, clips in CLIPS.items():
        with h5py.File(preprocessed / "landmarks" / f"{subject}.h5") as file:
            for number, clip in enumerate(clips):
                flat = np.asarray(file[clip]["landmarks_px"])
                deep = np.concatenate([flat, np.zeros_like(flat[..., :1])], axis=-1)
                frames = [[face] if np.isfinite(face).all() else [] for face in deep]
                write_landmarks(folder / "landmarks_original/mediapipe" / subject / "front" / clip, frames)
                place = folder / "reconstructions/EMICA-MEAD_flame2020" / subject / "front" / clip
                write_coefficients(place, coefficient_arrays(len(flat), number))
    return folder


def _recordings(folder: Path, archives: Path) -> list[Path]:
    """Videos of the archives of generated speakers, each with its audio in a file of the same name."""

    def place(name: str) -> Path:
        parts = Path(name).parts
        return folder / f"{subject}-{'-'.join(parts[-3:])}"

    for tar in sorted(archives.glob("*/*.tar")):
        subject = tar.parent.name
        unpack(tar, place)
    return sorted(folder.glob("*.mp4"))
