"""Stage: archives of one synthetic subject in MEAD's layout, and a separate file with the true coefficients."""

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
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import SyntheticClip, generate_clip
from occlufacediff.synthetic.occluded import clip_occluder
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_path
from occlufacediff.synthetic.speakers import make_speaker
from occlufacediff.visibility.moving import skin_colour
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import OK, key, part_path, parts_folder, remove_parts, run_shard

log = logging.getLogger(__name__)

FPS = 30
SAMPLE_RATE = 48_000


class _Renderers(threading.local):
    """Renderer of the current subject, by its inputs, for each thread.

    A render window works only in the thread that opened it, and a Dask worker can have several threads.
    """

    def __init__(self) -> None:
        self.cache: dict[tuple[object, ...], tuple[HeadAsset, ClipRenderer]] = {}


_renderers = _Renderers()


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
    """Generate and pack all clips of ``subject``. The bytes of the outputs depend on settings, seed and head only.

    Clips that an interrupted run has finished are reused.

    Args:
        subject: a name of the plan.
        head: the open head asset.
        video_tar: output with ``video/front/<clip>.mp4``: H.264, 30 fps, no audio track.
        audio_tar: output with ``audio/<clip>.m4a``: AAC, 48 kHz, audio offset 0.
        sentences_csv: output with columns ``clip,sentence_id,text``.
        truth_h5: output with one group per clip, float32: ``exp`` (T, E), ``jaw`` (T, 3), ``global_pose`` (T, 3),
            ``shape`` (S,) and ``cam_picture`` (T, 3), the camera ``[s, tx, ty]`` that projects to the full image in
            [-1, 1]. Attributes of a group: ``fps``, ``sentence``, ``sentence_id``; of the file: ``expression_names``.
            With ``settings.occluders`` also ``lmk_visible`` (T, 468) uint8, 0 where the occluder covers a landmark, and
            the attribute ``occluder``, which is empty for a clear clip.
        settings: size and content of the data set.
        seed: seed of all random draws.
        workers: number of processes; not used with a ``scheduler``.
        scheduler: address of a Dask scheduler whose workers share this file system, or None.

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
            # HDF5 would copy uninitialised bytes with the group, so each data set is written again.
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
    """Generate, render and encode one clip; ``part`` gets the true coefficients and is written last."""
    clip = next(one for one in subject_clips(subject, settings) if one.clip == name)
    generated = generate_clip(clip, settings, seed, fps=FPS, sample_rate=SAMPLE_RATE)
    asset, renderer = _renderer(subject, head, settings, seed)
    exp = expression_for(generated, asset)
    camera = camera_path(generated, renderer.appearance, seed)
    size = settings.picture_size
    occluder, visible = None, None
    if settings.occluders:
        points = renderer.landmarks(generated, exp, camera)
        first = next(renderer.frames(generated, exp, camera))
        occluder = clip_occluder(clip.clip_id, points, skin_colour(first, points[0]), settings, seed)
        covered = np.zeros(points.shape[:2], bool) if occluder is None else occluder.covers(points)
        visible = (~covered).astype(np.uint8)
    with VideoWriter(part.with_suffix(".mp4"), FPS, (size, size), crf=settings.video_quality) as writer:
        for frame in renderer.frames(generated, exp, camera, occluder):
            writer.write(frame)
    write_audio(part.with_suffix(".m4a"), generated.waveform, generated.sample_rate, out_rate=SAMPLE_RATE)
    arrays = {
        "exp": exp,
        "jaw": generated.jaw,
        "global_pose": generated.global_pose,
        "cam_picture": camera,
        "shape": renderer.appearance.shape,
    }
    with new_hdf5(part) as file:
        for item, values in arrays.items():
            file.create_dataset(item, data=values)
        if visible is not None:
            file.create_dataset("lmk_visible", data=visible)
            file.attrs["occluder"] = "" if occluder is None else occluder.kind
        file.attrs["fps"] = FPS
        file.attrs["sentence"] = clip.text
        file.attrs["sentence_id"] = clip.sentence_id
    return {"frames": len(exp)}


def expression_for(clip: SyntheticClip, asset: HeadAsset) -> np.ndarray:
    """Expression (T, E) float32 of the clip, columns in the order of the asset.

    Raises:
        AssetError: the clip uses an action that the asset does not have.
    """
    exp = np.zeros((len(clip.exp), asset.n_exp), dtype=np.float32)
    for column, name in enumerate(clip.expression_names):
        if name in asset.expression_names:
            exp[:, asset.expression_names.index(name)] = clip.exp[:, column]
        elif clip.exp[:, column].any():
            raise AssetError(f"head model {asset.name!r} has no action {name!r}; set `head` to null")
    return exp


def _renderer(subject: str, head: Path, settings: SyntheticSettings, seed: int) -> tuple[HeadAsset, ClipRenderer]:
    """Head and renderer of a subject, created once per thread.

    A Dask worker can serve several runs, so the key of the cache has the absolute path, time and size of the head.
    """
    stat = head.stat()
    inputs = (subject, head.resolve(), stat.st_mtime_ns, stat.st_size, settings, seed)
    if inputs not in _renderers.cache:
        asset = HeadAsset.load(head)
        who = make_speaker(subject, seed, spread=settings.articulation_spread)
        _renderers.cache.clear()
        appearance = draw_appearance(who, asset, settings.picture_size, seed)
        _renderers.cache[inputs] = (asset, ClipRenderer(asset, appearance))
    return _renderers.cache[inputs]
