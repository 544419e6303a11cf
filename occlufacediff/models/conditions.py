"""What the network is told of each window, for all guidance branches: computed once, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.denoiser import Denoiser, Prepared
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.models.windows import WINDOW_FRAMES
from occlufacediff.speech.feature_columns import padding_row

#: A pass of the network: landmarks shown, sound heard, weight in the sum.
Branch = tuple[bool, bool, float]

#: Number format of the network's products.
Precision = Literal["float32", "bf16"]

#: Windows of waveform through wav2vec2 at once. Its first convolutions need some 50 MB a window, and a CPU is no faster
#: with more of them than fit its caches.
WAVEFORM_WINDOWS = {"cpu": 1, "cuda": 16}


@dataclass(frozen=True)
class SampleInput:
    """What is known of a clip.

    Attributes:
        clip_id: names the noise; the same clip gets the same noise in any batch.
        lmk_2d: (T, L, 2) landmarks in crop coordinates; NaN counts as hidden.
        lmk_mask: (T, L), 1 visible, 0 hidden.
        audio: (T * 640,) waveform normalised over the clip, or (T * 4, bands) log-mel, as the denoiser takes.
    """

    clip_id: str
    lmk_2d: Tensor
    lmk_mask: Tensor
    audio: Tensor


class Conditions:
    """Memories of windows for the guidance branches.

    The sound of a window goes through its encoder once for all branches that hear it, silence once for all windows,
    and so does a face of which nothing is seen.

    Args:
        denoiser: in evaluation mode.
        branches: passes of the network.
        use_audio: false makes all of them deaf.
    """

    def __init__(self, denoiser: Denoiser, branches: Sequence[Branch], *, use_audio: bool) -> None:
        self.denoiser = denoiser
        self.branches = list(branches)
        self._told = [(shown, heard and use_audio) for shown, heard, _ in branches]
        self._waveform = denoiser.config.audio == "wav2vec2"
        self._rows_a_frame = SAMPLES_PER_FRAME if self._waveform else MEL_ROWS_PER_FRAME
        self._silence: Tensor | None = None
        self._nothing: Tensor | None = None

    def check(self, clip: SampleInput) -> None:
        """Raise ValueError, naming the clip, where its arrays do not fit together."""
        frames, landmarks = clip.lmk_2d.shape[:2]
        wanted = self.denoiser.config.landmarks
        if landmarks != wanted:
            raise ValueError(f"{clip.clip_id}: lmk_2d has {landmarks} landmarks, needs {wanted}")
        if clip.lmk_mask.shape != (frames, landmarks):
            raise ValueError(
                f"{clip.clip_id}: lmk_mask is {tuple(clip.lmk_mask.shape)}, needs {(frames, landmarks)} as lmk_2d"
            )
        if clip.audio.shape[0] != frames * self._rows_a_frame:
            raise ValueError(
                f"{clip.clip_id}: audio has {clip.audio.shape[0]} rows for {frames} frames, "
                f"needs {frames * self._rows_a_frame}"
            )

    def prepare(
        self,
        windows: Sequence[tuple[SampleInput, int]],
        decoder: StepDecoder,
        samples: int,
        device: torch.device,
    ) -> Prepared:
        """Terms of windows, given as clip and first latent; rows ordered branch, sample, window."""
        at_once = WAVEFORM_WINDOWS.get(device.type, 1) if self._waveform else len(windows)
        memories = []
        for begin in range(0, len(windows), at_once):
            cut = [self._cut(clip, start) for clip, start in windows[begin : begin + at_once]]
            memories.append(self._memories(*(torch.stack(parts).to(device) for parts in zip(*cut, strict=True))))
        memory = torch.cat(memories, dim=1)[:, None].expand(-1, samples, -1, -1, -1).flatten(0, 2)
        return Prepared(cross=self.denoiser.memory_terms(memory), decoder=decoder)

    def _memories(self, lmk: Tensor, mask: Tensor, audio: Tensor) -> Tensor:
        """(branches, W, N, C)."""
        denoiser, (count, frames) = self.denoiser, lmk.shape[:2]
        faces: dict[bool, Tensor] = {}
        sounds: dict[bool, Tensor] = {}
        for shown, heard in self._told:
            if shown not in faces:
                faces[shown] = denoiser.landmark_condition(lmk, mask) if shown else self._unseen(lmk, mask)
            if heard not in sounds:
                sounds[heard] = denoiser.audio_condition(audio, frames) if heard else self._unheard(audio, frames)
        memories: dict[tuple[bool, bool], Tensor] = {}
        for shown, heard in set(self._told):
            if shown or heard:
                memory = denoiser.memory(*(part.expand(count, -1, -1) for part in (faces[shown], sounds[heard])))
            else:
                if self._nothing is None:
                    self._nothing = denoiser.memory(faces[shown], sounds[heard])
                memory = self._nothing.expand(count, -1, -1)
            memories[shown, heard] = memory
        return torch.stack([memories[told] for told in self._told])

    def _unseen(self, lmk: Tensor, mask: Tensor) -> Tensor:
        return self.denoiser.landmark_condition(torch.zeros_like(lmk[:1]), torch.zeros_like(mask[:1]))

    def _unheard(self, audio: Tensor, frames: int) -> Tensor:
        if self._silence is None:
            keep = torch.zeros(1, dtype=torch.bool, device=audio.device)
            self._silence = self.denoiser.audio_condition(torch.zeros_like(audio[:1]), frames, keep)
        return self._silence

    def _cut(self, clip: SampleInput, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Landmarks, mask and sound of a window; after the clip's end faces stand still and nothing is heard."""
        begin, rows = start * FRAMES_PER_LATENT, self._rows_a_frame
        frames = slice(begin, begin + WINDOW_FRAMES)
        lmk, mask = clip.lmk_2d[frames].float(), clip.lmk_mask[frames].float()
        audio = clip.audio[begin * rows : (begin + WINDOW_FRAMES) * rows].float()
        mask = mask * torch.isfinite(lmk).all(dim=-1)
        if audio.shape[0] < WINDOW_FRAMES * rows:  # the clip's last window
            audio = _filled(audio, WINDOW_FRAMES * rows, _unheard_row(clip.audio))
        return _filled(torch.nan_to_num(lmk), WINDOW_FRAMES), _filled(mask, WINDOW_FRAMES), audio


def _unheard_row(audio: Tensor) -> Tensor:
    """What follows the end of a clip's sound, as in training: (1,) or (1, columns)."""
    if audio.dim() == 1:
        return audio.new_zeros(1, dtype=torch.float32)
    return torch.from_numpy(padding_row(audio.float().cpu().numpy()))[None].to(audio.device)


def _filled(values: Tensor, rows: int, after: Tensor | None = None) -> Tensor:
    """Values (N, ...) made ``rows`` long by the row ``after`` (1, ...), by default their last one."""
    missing = rows - values.shape[0]
    if missing == 0:
        return values
    return torch.cat([values, (values[-1:] if after is None else after).expand(missing, *values.shape[1:])])
