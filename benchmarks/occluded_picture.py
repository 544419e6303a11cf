"""Makes the first picture of README.md: a generated head behind a hand, from input to recovered motion.

    python benchmarks/occluded_picture.py --head resources/heads/open-*.npz --out docs/images/predict.jpg

It generates a talking head behind an occluder, runs ``occlufacediff predict`` on the video, with nothing else given,
and saves the frame of the animation in which the occluder hides the most.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from occlufacediff.config.occluders import OCCLUDERS
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.media.rates import FPS, SAMPLE_RATE
from occlufacediff.stages.synthesise import expression_for
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.occluded import clip_occluder
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_path
from occlufacediff.synthetic.speakers import make_speaker
from occlufacediff.visibility.moving import skin_colour


def write_video(path: Path, head: Path, subject: str, number: int, occluder: str, seed: int) -> None:
    """Write a video of a generated speaker behind an occluder; print how much of the face and mouth is hidden."""
    settings = SyntheticSettings(occluders=(occluder,))
    asset = HeadAsset.load(head)
    clip = subject_clips(subject, settings)[number]
    spoken = generate_clip(clip, settings, seed, fps=FPS, sample_rate=SAMPLE_RATE)
    speaker = make_speaker(subject, seed, spread=settings.articulation_spread)
    renderer = ClipRenderer(asset, draw_appearance(speaker, asset, settings.picture_size, seed))
    exp, camera = expression_for(spoken, asset), camera_path(spoken, renderer.appearance, seed)
    points = renderer.landmarks(spoken, exp, camera)
    first = next(renderer.frames(spoken, exp, camera))
    painted = clip_occluder(clip.clip_id, points, skin_colour(first, points[0]), settings, seed)
    assert painted is not None  # every clip is occluded
    size = (settings.picture_size, settings.picture_size)
    with VideoWriter(path, FPS, size, audio=spoken.waveform, audio_rate=SAMPLE_RATE, crf=12) as writer:
        for frame in renderer.frames(spoken, exp, camera, painted):
            writer.write(frame)
    print(f"{clip.clip_id}: {clip.text!r}, {100 * painted.covers(points).mean():.0f} % of the landmarks are hidden")


def main() -> None:
    """Generate, predict, and save one frame of the animation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True, help="open head, made by the workflow")
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--occluder", choices=OCCLUDERS, default="hand")
    parser.add_argument("--subject", default="M102", help="subject of the synthetic data set")
    parser.add_argument("--clip", type=int, default=5, help="number of the subject's clip")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        video = Path(folder, "head.mp4")
        write_video(video, options.head, options.subject, options.clip, options.occluder, options.seed)
        program = [sys.executable, "-m", "occlufacediff", "predict", str(video)]
        subprocess.run([*program, "--head", str(options.head), "--out", folder, "--no-viewer"], check=True)
        with np.load(Path(folder, "head/motion.npz")) as motion:
            hidden = 1 - motion["lmk_mask"].mean(axis=1)
        chosen = int(np.argmax(hidden))
        for number, frame in enumerate(read_frames(Path(folder, "head/animation.mp4"))):
            if number == chosen:
                Image.fromarray(frame).save(options.out, quality=88)
    print(f"{options.out}: frame {chosen}, {100 * hidden[chosen]:.0f} % of the landmarks are found hidden")


if __name__ == "__main__":
    main()
