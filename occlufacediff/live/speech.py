"""Speech for what is hidden: phones recognised while the audio comes in, and the mouth's motion from them by rules.

The recogniser is that of `speech.recognition`, fed with short pieces of audio. Its result for the last tenths of a
second changes while more audio comes in, so the motion is taken with a look-ahead: at time t it is that of t minus the
look-ahead, from the audio up to t.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from occlufacediff.live.worker_thread import WorkerThread
from occlufacediff.media.rates import FPS, SAMPLE_RATE
from occlufacediff.speech.phones import SILENCE, Phones
from occlufacediff.speech.recognition import FRAME_OFFSET_S, FRAME_S, PEAK, phone_decoder
from occlufacediff.speech.viseme_rules import viseme_motion

Float = NDArray[np.float32]

#: Share of the rules' motion that is used: the prior gain of the method ``phone_rules``.
GAIN = 0.65
#: Time constant of the rules' average motion, seconds.
AVERAGE_S = 10.0
#: Seconds of phones that are kept: those further away do not change the motion.
_KEPT_S = 3.0
#: An utterance ends in a pause of this length after this time, or after the longest time, seconds.
_PAUSE_S, _SHORT_S, _LONG_S = 0.3, 4.0, 15.0
#: Seconds without audio after which nothing is said.
_LATE_S = 0.5
#: Audio is scaled by its loudest peak so far, which falls with this time constant in seconds, and has a lower limit, so
#: that noise does not become speech.
_PEAK_S, _LOWEST_PEAK = 20.0, 0.02


class Recogniser:
    """Recognises phones in audio that comes in pieces. Times are seconds of the clock of the pieces."""

    def __init__(self) -> None:
        self._decoder: pocketsphinx.Decoder = phone_decoder(cmn="live")
        self._open = False
        self._begun = self._end = 0.0
        self._peak = _LOWEST_PEAK
        self._earlier: list[tuple[str, float]] = []

    def add(self, samples: NDArray[np.int16], begin: float) -> None:
        """Recognise a piece.

        Args:
            samples: (N,) at 16 kHz.
            begin: when its first sample was heard.
        """
        if self._open and abs(begin - self._end) > _LATE_S:
            self._finish()
        if not self._open:
            self._decoder.start_utt()
            self._open, self._begun = True, begin
        seconds = len(samples) / SAMPLE_RATE
        values = samples.astype(np.float32) / 32768
        self._peak = max(float(np.abs(values).max(initial=0)), self._peak * np.exp(-seconds / _PEAK_S), _LOWEST_PEAK)
        scaled = np.clip(values * (PEAK / self._peak), -1, 1)
        try:
            self._decoder.process_raw(np.round(scaled * 32767).astype("<i2").tobytes(), False, False)
        except RuntimeError:
            # All paths are lost; the next piece starts another utterance.
            self._finish()
        self._end = begin + seconds

    def phones(self) -> Phones:
        """Phones of the last seconds; times count from `origin`."""
        found = [*self._earlier, *self._segments()]
        found = [(name, start) for name, start in found if start > self._end - _KEPT_S] or [(SILENCE, self._end - 0.1)]
        length = self._end - self._begun
        names = [name for name, _ in found]
        silent = names[-1] == SILENCE and self._end - found[-1][1] > _PAUSE_S
        if self._open and (length > _LONG_S or (length > _SHORT_S and silent)):
            self._finish()
        return Phones.from_starts([(name, start - self.origin) for name, start in found], self._end - self.origin)

    @property
    def origin(self) -> float:
        """The moment from which times of `phones` count."""
        return self._end - _KEPT_S

    def _segments(self) -> list[tuple[str, float]]:
        if not self._open:
            return []
        found = self._decoder.seg() or ()
        return [(one.word, self._begun + one.start_frame * FRAME_S + FRAME_OFFSET_S) for one in found]

    def _finish(self) -> None:
        self._earlier = [one for one in [*self._earlier, *self._segments()] if one[1] > self._end - _KEPT_S]
        self._open = False
        try:
            self._decoder.end_utt()
        except RuntimeError:
            self._decoder = phone_decoder(cmn="live")


class SpeechThread(WorkerThread):
    """Recognises phones beside the session and keeps the motion that they give.

    Args:
        expression_names: names of the head model's expression coefficients.
        look_ahead_s: seconds of audio after a moment that its motion is computed from.
    """

    def __init__(self, expression_names: tuple[str, ...], look_ahead_s: float) -> None:
        super().__init__("speech")
        self._names, self._look_ahead_s = expression_names, look_ahead_s
        self._pieces: deque[tuple[NDArray[np.int16], float]] = deque()
        self._average = np.zeros(len(expression_names) + 3, np.float32)
        self._motions: deque[tuple[float, Float]] = deque(maxlen=2 * FPS)

    def hear(self, samples: NDArray[np.int16], begin: float) -> None:
        """Give a piece of audio.

        Args:
            samples: (N,) at 16 kHz.
            begin: when its first sample was heard, seconds of the monotonic clock.
        """
        with self.changed:
            self._pieces.append((samples, begin))
            self.changed.notify_all()

    def motion(self, now: float) -> Float:
        """Motion (E + 3,) that the speech adds to the average, of the moment ``now`` minus the look-ahead."""
        self.check()
        with self.changed:
            motions = list(self._motions)
        if not motions or now - self._look_ahead_s - motions[-1][0] > _LATE_S:
            return np.zeros_like(self._average)
        moment = now - self._look_ahead_s
        return min(motions, key=lambda one: abs(one[0] - moment))[1]

    @property
    def moment(self) -> float:
        """The newest moment whose motion is known."""
        with self.changed:
            return self._motions[-1][0] if self._motions else -np.inf

    def begin(self) -> None:
        """Load the recogniser."""
        self._recogniser = Recogniser()

    def has_work(self) -> bool:
        """Whether there is audio."""
        return bool(self._pieces)

    def take(self) -> list[tuple[NDArray[np.int16], float]]:
        """All pieces of audio."""
        pieces = list(self._pieces)
        self._pieces.clear()
        return pieces

    def work(self, taken: list[tuple[NDArray[np.int16], float]]) -> None:
        """Recognise the pieces and keep the motion of the moment that is now known."""
        for samples, begin in taken:
            self._recogniser.add(samples, begin)
        samples, begin = taken[-1]
        self._keep(begin + len(samples) / SAMPLE_RATE - self._look_ahead_s)

    def _keep(self, moment: float) -> None:
        phones = self._recogniser.phones()
        values = viseme_motion(phones, 1, self._names, offset_s=moment - self._recogniser.origin)[0]
        self._average += (values - self._average) / (AVERAGE_S * FPS)
        with self.changed:
            self._motions.append((moment, np.float32(GAIN) * (values - self._average)))
