"""Archives of one good subject: a photograph that moves, and a tone; drawn in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data

from occlufacediff.media.archives import write_tar
from occlufacediff.media.encode import VideoWriter, write_audio

SIZE = 256
SECONDS = 1.4


def write_good_archives(folder: Path, clips: int = 3) -> Path:
    """Write ``<folder>/M101/video.tar`` and ``audio.tar`` of clips with a face and a sound; gives ``folder``."""
    photograph = skimage.data.astronaut()
    videos, sounds = [], []
    for clip in range(1, clips + 1):
        video, sound = folder / f"{clip}.mp4", folder / f"{clip}.m4a"
        with VideoWriter(video, 30, (SIZE, SIZE), preset="ultrafast") as writer:
            for frame in range(round(30 * SECONDS)):
                left = 88 + clip + frame // 4
                writer.write(np.ascontiguousarray(photograph[:SIZE, left : left + SIZE]))
        time = np.arange(round(48000 * SECONDS)) / 48000
        write_audio(sound, (0.2 * np.sin(2 * np.pi * 200 * clip * time)).astype(np.float32), 48000)
        videos.append((f"video/front/happy/level_1/{clip:03d}.mp4", video))
        sounds.append((f"audio/happy/level_1/{clip:03d}.m4a", sound))
    write_tar(folder / "M101" / "video.tar", videos)
    write_tar(folder / "M101" / "audio.tar", sounds)
    return folder
