"""The conditions of each window for all guidance branches, computed once for all diffusion steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.models.denoiser import Denoiser, PreparedWindows
from occlufacediff.models.layers import FRAMES_PER_LATENT
from occlufacediff.models.step_decoder import StepDecoder
from occlufacediff.models.windows import WINDOW_FRAMES
from occlufacediff.speech.feature_columns import padding_row

#: Number format of the network's matrix products.
Precision = Literal["float32", "bf16"]

#: Windows of waveform per wav2vec2 pass, by device type. Its first convolutions need about 50 MB a window; on a CPU,
#: larger batches exceed the caches and are not faster.
WAVEFORM_WINDOWS = {"cpu": 1, "cuda": 16}


class GuidanceBranch(NamedTuple):
    """One pass of the network: which conditions it receives, and its weight in the guided prediction."""

    landmarks: bool
    audio: bool
    weight: float


@dataclass(frozen=True)
class SampleInput:
    """The inputs of a clip.

    Attributes:
        clip_id: selects the noise; a clip gets the same noise in any batch.
        lmk_2d: (T, L, 2) landmarks in crop coordinates; NaN counts as occluded.
        lmk_mask: (T, L), 1 visible, 0 occluded.
        audio: (T * 640,) waveform normalised over the clip, or (T * 4, bands) log-mel, as the denoiser expects.
    """

    clip_id: str
    lmk_2d: Tensor
    lmk_mask: Tensor
    audio: Tensor


class Conditions:
    """Computes the memories of windows for the guidance branches.

    The audio of a window is encoded once for all branches with audio. Missing audio and missing landmarks are encoded
    once for all windows.

    Args:
        denoiser: in evaluation mode.
        branches: passes of the network.
        use_audio: false removes the audio from all branches.
    """

    def __init__(self, denoiser: Denoiser, branches: Sequence[GuidanceBranch], *, use_audio: bool) -> None:
        self.denoiser = denoiser
        self.branches = list(branches)
        self._branch_conditions = [(branch.landmarks, branch.audio and use_audio) for branch in branches]
        self._waveform = denoiser.config.audio == "wav2vec2"
        self._rows_per_frame = SAMPLES_PER_FRAME if self._waveform else MEL_ROWS_PER_FRAME
        self._no_audio_features: Tensor | None = None
        self._unconditional_memory: Tensor | None = None

    def check(self, clip: SampleInput) -> None:
        """Check that the arrays of a clip have matching shapes.

        Raises:
            ValueError: they do not; the message names the clip.
        """
        frames, landmarks = clip.lmk_2d.shape[:2]
        expected = self.denoiser.config.landmarks
        if landmarks != expected:
            raise ValueError(f"{clip.clip_id}: lmk_2d has {landmarks} landmarks, needs {expected}")
        if clip.lmk_mask.shape != (frames, landmarks):
            raise ValueError(
                f"{clip.clip_id}: lmk_mask is {tuple(clip.lmk_mask.shape)}, needs {(frames, landmarks)} as lmk_2d"
            )
        if clip.audio.shape[0] != frames * self._rows_per_frame:
            raise ValueError(
                f"{clip.clip_id}: audio has {clip.audio.shape[0]} rows for {frames} frames, "
                f"needs {frames * self._rows_per_frame}"
            )

    def prepare(
        self,
        windows: Sequence[tuple[SampleInput, int]],
        decoder: StepDecoder,
        samples: int,
        device: torch.device,
    ) -> PreparedWindows:
        """Compute the terms of windows, given as (clip, first latent); rows are ordered branch, sample, window."""
        batch_size = WAVEFORM_WINDOWS.get(device.type, 1) if self._waveform else len(windows)
        memories = []
        for begin in range(0, len(windows), batch_size):
            inputs = [self._window_inputs(clip, start) for clip, start in windows[begin : begin + batch_size]]
            memories.append(self._memories(*(torch.stack(parts).to(device) for parts in zip(*inputs, strict=True))))
        memory = torch.cat(memories, dim=1)[:, None].expand(-1, samples, -1, -1, -1).flatten(0, 2)
        return PreparedWindows(cross=self.denoiser.memory_terms(memory), decoder=decoder)

    def _memories(self, lmk: Tensor, mask: Tensor, audio: Tensor) -> Tensor:
        """Memories (branches, W, N, C) of W windows."""
        denoiser, (count, frames) = self.denoiser, lmk.shape[:2]
        landmark_features: dict[bool, Tensor] = {}
        audio_features: dict[bool, Tensor] = {}
        for with_landmarks, with_audio in self._branch_conditions:
            if with_landmarks not in landmark_features:
                landmark_features[with_landmarks] = (
                    denoiser.landmark_condition(lmk, mask) if with_landmarks else self._encode_no_landmarks(lmk, mask)
                )
            if with_audio not in audio_features:
                audio_features[with_audio] = (
                    denoiser.audio_condition(audio, frames) if with_audio else self._encode_no_audio(audio, frames)
                )
        memories: dict[tuple[bool, bool], Tensor] = {}
        for with_landmarks, with_audio in set(self._branch_conditions):
            features = landmark_features[with_landmarks], audio_features[with_audio]
            if with_landmarks or with_audio:
                memory = denoiser.memory(*(part.expand(count, -1, -1) for part in features))
            else:
                if self._unconditional_memory is None:
                    self._unconditional_memory = denoiser.memory(*features)
                memory = self._unconditional_memory.expand(count, -1, -1)
            memories[with_landmarks, with_audio] = memory
        return torch.stack([memories[conditions] for conditions in self._branch_conditions])

    def _encode_no_landmarks(self, lmk: Tensor, mask: Tensor) -> Tensor:
        return self.denoiser.landmark_condition(torch.zeros_like(lmk[:1]), torch.zeros_like(mask[:1]))

    def _encode_no_audio(self, audio: Tensor, frames: int) -> Tensor:
        if self._no_audio_features is None:
            keep = torch.zeros(1, dtype=torch.bool, device=audio.device)
            self._no_audio_features = self.denoiser.audio_condition(torch.zeros_like(audio[:1]), frames, keep)
        return self._no_audio_features

    def _window_inputs(self, clip: SampleInput, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Landmarks, mask and audio of a window; after the clip's end the last frame and silence are repeated."""
        begin, rows = start * FRAMES_PER_LATENT, self._rows_per_frame
        frames = slice(begin, begin + WINDOW_FRAMES)
        lmk, mask = clip.lmk_2d[frames].float(), clip.lmk_mask[frames].float()
        audio = clip.audio[begin * rows : (begin + WINDOW_FRAMES) * rows].float()
        mask = mask * torch.isfinite(lmk).all(dim=-1)
        if audio.shape[0] < WINDOW_FRAMES * rows:  # the clip's last window
            audio = _pad_end(audio, WINDOW_FRAMES * rows, _silent_row(clip.audio))
        return _pad_end(torch.nan_to_num(lmk), WINDOW_FRAMES), _pad_end(mask, WINDOW_FRAMES), audio


def _silent_row(audio: Tensor) -> Tensor:
    """The row that pads a clip's audio at its end, as in training: (1,) or (1, columns)."""
    if audio.dim() == 1:
        return audio.new_zeros(1, dtype=torch.float32)
    return torch.from_numpy(padding_row(audio.float().cpu().numpy()))[None].to(audio.device)


def _pad_end(values: Tensor, rows: int, padding: Tensor | None = None) -> Tensor:
    """Pad values (N, ...) to ``rows`` rows with the row ``padding`` (1, ...), by default the last row."""
    missing = rows - values.shape[0]
    if missing == 0:
        return values
    return torch.cat([values, (values[-1:] if padding is None else padding).expand(missing, *values.shape[1:])])
