"""Stage: one subject of the embedded data set, as archives in MEAD's layout, with the truth kept apart."""

from __future__ import annotations

import csv
import logging
import threading
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.files import new_hdf5, sha256, written_aside
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.media.archives import write_tar
from occlufacediff.media.encode import VideoWriter, write_audio
from occlufacediff.synthetic.clip import SyntheticClip, draw_clip
from occlufacediff.synthetic.faces import look_of
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_of
from occlufacediff.synthetic.speakers import speaker
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import OK, key, part_path, parts_folder, remove_parts, run_shard

log = logging.getLogger(__name__)

FPS = 30
SAMPLE_RATE = 48_000


class _Films(threading.local):
    """The film of the subject that a thread works on, by what it was made from.

    A window draws only in the thread that opened it, and a Dask worker may have several.
    """

    def __init__(self) -> None:
        self.of: dict[tuple[object, ...], tuple[HeadAsset, ClipRenderer]] = {}


_films = _Films()


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
    scheduler: str | None = None,
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
        workers: processes; not used with a ``scheduler``.
        scheduler: address of a Dask scheduler whose workers share this file system, or None.

    Clips that a killed run finished lie beside ``truth_h5`` and are taken over.

    Raises:
        ValueError: the subject is not in the plan.
        AssetError: ``head`` is not the open head.
        ClipError: a clip could not be encoded.
    """
    clips = subject_clips(subject, settings)
    parts = parts_folder(truth_h5)
    made_from = key(settings, seed, sha256(head), fingerprint("occlufacediff.stages.synthesise"))
    rows = run_shard(
        [clip.clip for clip in clips],
        partial(_make_clip, subject=subject, head=head, settings=settings, seed=seed),
        parts,
        lambda clip: made_from,
        workers=workers,
        scheduler=scheduler,
        beside=(".mp4", ".m4a"),
        title=subject,
    )
    for row in rows:
        if row["status"] != OK:
            raise ClipError(row["reason"], f"{subject}/{row['clip']}: {row['message']}")
    for tar, suffix, folder in ((video_tar, ".mp4", "video/front"), (audio_tar, ".m4a", "audio")):
        write_tar(tar, [(f"{folder}/{clip.clip}{suffix}", part_path(parts, clip.clip, suffix)) for clip in clips])
    with written_aside(sentences_csv) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("clip", "sentence_id", "text"))
        writer.writerows((clip.clip, clip.sentence_id, clip.text) for clip in clips)
    with new_hdf5(truth_h5) as truth:
        asset = HeadAsset.load(head)
        truth.attrs.update(head_attributes(asset))
        truth.attrs["expression_names"] = list(asset.expression_names)
        truth.attrs["units"] = "rotations: axis-angle in radians; cam_picture: [s, tx, ty], s a metre, picture [-1, 1]"
        for clip in clips:
            # Written anew: a group copied by the library carries bytes that were never set.
            with h5py.File(part_path(parts, clip.clip), "r") as part:
                group = truth.create_group(clip.clip)
                for name in sorted(part):
                    group.create_dataset(name, data=part[name][()], compression="gzip", track_times=False)
                for name in sorted(part.attrs):
                    group.attrs[name] = part.attrs[name]
    remove_parts(parts)
    log.info("%s: %d clips", subject, len(clips))


def _make_clip(
    name: str, part: Path, *, subject: str, head: Path, settings: SyntheticSettings, seed: int
) -> dict[str, Any]:
    """Draw, render and encode one clip beside ``part``, which gets the truth and is written last."""
    clip = next(one for one in subject_clips(subject, settings) if one.clip == name)
    drawn = draw_clip(clip, settings, seed, fps=FPS, sample_rate=SAMPLE_RATE)
    asset, film = _film(subject, head, settings, seed)
    exp = expression_for(drawn, asset)
    camera = camera_of(drawn, film.look, seed)
    size = settings.picture_size
    with VideoWriter(part.with_suffix(".mp4"), FPS, (size, size), crf=settings.video_quality) as writer:
        for frame in film.frames(drawn, exp, camera):
            writer.write(frame)
    write_audio(part.with_suffix(".m4a"), drawn.waveform, drawn.sample_rate, out_rate=SAMPLE_RATE)
    arrays = {
        "exp": exp,
        "jaw": drawn.jaw,
        "global_pose": drawn.global_pose,
        "cam_picture": camera,
        "shape": film.look.shape,
    }
    with new_hdf5(part) as file:
        for item, values in arrays.items():
            file.create_dataset(item, data=values)
        file.attrs["fps"] = FPS
        file.attrs["sentence"] = clip.text
        file.attrs["sentence_id"] = clip.sentence_id
    return {"frames": len(exp)}


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
            raise AssetError(f"head model {asset.name!r} has no action {name!r}; set `head` to null")
    return exp


def _film(subject: str, head: Path, settings: SyntheticSettings, seed: int) -> tuple[HeadAsset, ClipRenderer]:
    """The head and the film of a subject, made once a thread.

    A Dask worker outlives a workflow and stands in many folders: the head is known by its whole path and its time.
    """
    about = head.stat()
    wanted = (subject, head.resolve(), about.st_mtime_ns, about.st_size, settings, seed)
    if wanted not in _films.of:
        asset = HeadAsset.load(head)
        who = speaker(subject, seed, spread=settings.articulation_spread)
        _films.of.clear()
        _films.of[wanted] = (asset, ClipRenderer(asset, look_of(who, asset, settings.picture_size, seed)))
    return _films.of[wanted]
