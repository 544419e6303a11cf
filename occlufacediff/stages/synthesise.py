"""Stage: one subject of the embedded data set, as archives in MEAD's layout, with the truth kept apart."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import sha256 as hashed
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree

import h5py
import numpy as np
from tqdm import tqdm

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.archives import write_tar
from occlufacediff.media.encode import VideoWriter, write_sound
from occlufacediff.synthetic.clip import SyntheticClip, draw_clip
from occlufacediff.synthetic.faces import look_of
from occlufacediff.synthetic.film import Film, camera_of
from occlufacediff.synthetic.plan import PlanClip, subject_clips
from occlufacediff.synthetic.speakers import speaker

log = logging.getLogger(__name__)

FPS = 30
SAMPLE_RATE = 48_000

#: The film of the subject this process works on; a window and its tables are made once a process.
_films: dict[tuple[str, str, int], tuple[HeadAsset, Film]] = {}


def synthesise_subject(
    subject: str,
    head: Path,
    video_tar: Path,
    audio_tar: Path,
    sentences_csv: Path,
    truth_h5: Path,
    *,
    settings: SyntheticSettings,
    seed: int,
    workers: int = 1,
) -> None:
    """Make all clips of ``subject`` and pack them; the bytes depend on settings, seed and head only.

    Args:
        subject: a name of the plan.
        head: the open head asset.
        video_tar: gets ``video/front/<clip>.mp4``: H.264, 30 fps, no sound.
        audio_tar: gets ``audio/<clip>.m4a``: AAC, 48 kHz, exactly in step with the picture.
        sentences_csv: gets ``clip,sentence_id,text``.
        truth_h5: gets a group a clip, float32: ``exp`` (T, E), ``jaw`` (T, 3), ``global_pose`` (T, 3), ``shape`` (S,)
            in the asset's units, ``cam_picture`` (T, 3): ``[s, tx, ty]`` into the whole picture as [-1, 1]; attributes
            ``fps``, ``sentence``, ``sentence_id``; attribute ``expression_names`` of the file.
        settings: size and content of the data set.
        seed: of all draws.
        workers: processes.

    Clips that a killed run finished lie beside ``truth_h5`` and are taken over.

    Raises:
        ValueError: the subject is not in the plan.
        AssetError: ``head`` is not the open head.
    """
    clips = subject_clips(subject, settings)
    key = hashed(f"{settings!r}|{seed}|{sha256(head)}".encode()).hexdigest()[:16]
    parts = truth_h5.parent / f".{subject}.parts" / key
    parts.mkdir(parents=True, exist_ok=True)
    work = partial(_finish_clip, folder=parts, head=head, settings=settings, seed=seed)
    missing = [clip for clip in clips if not _part(parts, clip, "h5").is_file()]
    with _mapped(workers if len(missing) > 1 else 1) as mapped:
        for _ in tqdm(mapped(work, missing), total=len(clips), initial=len(clips) - len(missing), desc=subject):
            pass
    for tar, suffix, folder in ((video_tar, "mp4", "video/front"), (audio_tar, "m4a", "audio")):
        write_tar(tar, [(f"{folder}/{clip.clip}.{suffix}", _part(parts, clip, suffix)) for clip in clips])
    with written_aside(sentences_csv) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("clip", "sentence_id", "text"))
        writer.writerows((clip.clip, clip.sentence_id, clip.text) for clip in clips)
    with new_hdf5(truth_h5) as truth:
        truth.attrs["expression_names"] = list(HeadAsset.load(head).expression_names)
        truth.attrs["units"] = "rotations: axis-angle in radians; cam_picture: [s, tx, ty], s a metre, picture [-1, 1]"
        for clip in clips:
            # Written anew: a group copied by the library carries bytes that were never set.
            with h5py.File(_part(parts, clip, "h5"), "r") as part:
                group = truth.create_group(clip.clip)
                for name in sorted(part):
                    group.create_dataset(name, data=part[name][()], compression="gzip", track_times=False)
                for name in sorted(part.attrs):
                    group.attrs[name] = part.attrs[name]
    rmtree(parts.parent)
    log.info("%s: %d clips", subject, len(clips))


@contextmanager
def _mapped(workers: int) -> Iterator[type[map]]:
    """``map`` in this process, or over processes; the order of results is that of the arguments."""
    if workers <= 1:
        yield map
        return
    # Started afresh: a forked process would share the renderer's window.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map  # type: ignore[misc]


def _part(folder: Path, clip: PlanClip, suffix: str) -> Path:
    return folder / f"{clip.clip.replace('/', '_')}.{suffix}"


def _finish_clip(clip: PlanClip, *, folder: Path, head: Path, settings: SyntheticSettings, seed: int) -> None:
    """Draw, render and encode one clip into ``folder``; its truth is written last and says that it is finished."""
    drawn = draw_clip(clip, settings, seed, fps=FPS, sample_rate=SAMPLE_RATE)
    asset, film = _film(clip.subject, head, settings, seed)
    exp = expression_for(drawn, asset)
    camera = camera_of(drawn, film.look, seed)
    size = settings.picture_size
    video = _part(folder, clip, "mp4")
    with VideoWriter(video, FPS, (size, size), crf=settings.video_quality) as writer:
        for frame in film.frames(drawn, exp, camera):
            writer.write(frame)
    write_sound(_part(folder, clip, "m4a"), drawn.waveform, drawn.sample_rate, out_rate=SAMPLE_RATE)
    with new_hdf5(_part(folder, clip, "h5")) as file:
        arrays = {
            "exp": exp,
            "jaw": drawn.jaw,
            "global_pose": drawn.global_pose,
            "cam_picture": camera,
            "shape": film.look.shape,
        }
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
        file.attrs["fps"] = FPS
        file.attrs["sentence"] = clip.text
        file.attrs["sentence_id"] = clip.sentence_id


def expression_for(clip: SyntheticClip, asset: HeadAsset) -> np.ndarray:
    """The clip's expression (T, E) float32 in the order of the asset's basis.

    Raises:
        AssetError: the clip moves an action that the asset does not have.
    """
    exp = np.zeros((len(clip.exp), asset.n_exp), dtype=np.float32)
    for column, name in enumerate(clip.expression_names):
        if name in asset.expression_names:
            exp[:, asset.expression_names.index(name)] = clip.exp[:, column]
        elif clip.exp[:, column].any():
            raise AssetError(f"head model {asset.name!r} has no action {name!r}; build resources/open_head.npz anew")
    return exp


def _film(subject: str, head: Path, settings: SyntheticSettings, seed: int) -> tuple[HeadAsset, Film]:
    key = (subject, str(head), seed)
    if key not in _films:
        asset = HeadAsset.load(head)
        who = speaker(subject, seed, spread=settings.articulation_spread)
        _films.clear()
        _films[key] = (asset, Film(asset, look_of(who, asset, settings.picture_size, seed)))
    return _films[key]
