"""What the benchmark's tests share: a clip of a speaking face, weights for a small head, and inputs."""

from __future__ import annotations

import shutil
from functools import cache
from itertools import islice
from pathlib import Path

import yaml

from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.names import NETWORKS
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import VideoWriter
from occlufacediff.stages.benchmark import BenchmarkInputs
from occlufacediff.stages.synthesise import expression_for
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_path
from occlufacediff.synthetic.speakers import make_speaker
from occlufacediff.weights import open_weights

FRAMES, SIZE = 45, 256


def write_speaking_clip(path: Path, head: Path) -> None:
    """Write a video of a speaking face."""
    asset, settings, seed = HeadAsset.load(head), SyntheticSettings(picture_size=SIZE), 1
    clip = generate_clip(subject_clips("W103", settings)[3], settings, seed, fps=25, sample_rate=16000)
    look = draw_appearance(make_speaker("W103", seed, spread=settings.articulation_spread), asset, SIZE, seed)
    frames = ClipRenderer(asset, look).frames(clip, expression_for(clip, asset), camera_path(clip, look, seed))
    with VideoWriter(path, 25, (SIZE, SIZE), audio=clip.waveform[: FRAMES * 640]) as writer:
        for frame in islice(frames, FRAMES):
            writer.write(frame)


@cache
def weights_for(head: Path) -> Path:
    """The open weights with the digest of a small head, which has the same actions."""
    folder = head.parent / "benchmark_weights"
    for network in NETWORKS:
        shutil.copytree(open_weights() / network, folder / network)
        config = folder / network / "config.yaml"
        described = yaml.safe_load(config.read_text(encoding="utf-8"))
        described["head_digest"] = HeadAsset.load(head).digest
        config.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    return folder


def inputs_of(head: Path, settings: BenchmarkSettings) -> BenchmarkInputs:
    """Inputs of the benchmark on a CPU, with a small head and weights for it."""
    return BenchmarkInputs(
        head=head,
        checkpoint=weights_for(head),
        settings=settings,
        landmarks=LandmarkSettings(),
        crop=CropSettings(),
        reconstruction=ReconstructionSettings(),
        seed=0,
        device="cpu",
    )
