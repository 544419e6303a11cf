"""Metrics of lip reading and of emotion: what readers find in a motion, compared with what the clip says.

A `Panel` holds the readers of an evaluation. `Panel.said` is computed once per clip, `Panel.read` once per motion,
and `Panel.compare` gives the metrics of a motion under one occlusion.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.readers import LipReadingSettings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS
from occlufacediff.evaluation.metrics import HIDDEN
from occlufacediff.evaluation.scores import Reference, Surface
from occlufacediff.head.asset import HeadAsset
from occlufacediff.readers import emotion_recogniser, text_errors
from occlufacediff.readers.alignment import align
from occlufacediff.readers.emotion_recogniser import EmotionRecogniser, load_emotion_recogniser
from occlufacediff.readers.lip_readers import LipReader, SyncNet, load_lip_reader, load_syncnet
from occlufacediff.readers.measures import cosine, frame_accuracy, top_share
from occlufacediff.readers.mouth_crops import HeadPictures, mouth_centres, mouth_crops, reader_input
from occlufacediff.readers.reading import Readers, Reading, belongs_to, load_readers
from occlufacediff.readers.viseme_letters import joined, sequence_of, viseme_text
from occlufacediff.synthetic.espeak import phonemes_of

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Said:
    """What a clip says and shows.

    Attributes:
        text: transcript; empty if it is unknown.
        emotion: name of the emotion; None if it is not one of `KNOWN_EMOTIONS`.
        visemes: (K,) viseme letters of the transcript without repetitions; empty if it is unknown.
        letters: (T,) number of the viseme of each frame, 0 in silence; None if it is unknown.
        waveform: (N,) audio at 16 kHz in [-1, 1].
    """

    text: str
    emotion: str | None
    visemes: str
    letters: NDArray[np.int64] | None
    waveform: Float


@dataclass(frozen=True, eq=False)
class Found:
    """What the readers found in one motion; None: without this reader.

    Attributes:
        reading: visemes and emotions by our readers.
        recognised: (T, 8) scores by EMOCA's recogniser.
        read: metrics of the text that the user's lip reader reads.
        features: (T, C) of the user's lip reader.
        sync: LSE-C and LSE-D.
    """

    reading: Reading | None = None
    recognised: Float | None = None
    read: dict[str, float] | None = None
    features: Float | None = None
    sync: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Panel:
    """The readers of an evaluation; None: without this reader.

    Attributes:
        asset: the head model.
        readers: our viseme and emotion readers.
        lip_reader: the user's lip reader of the kind ``av_hubert`` or ``features``.
        syncnet: the user's SyncNet.
        recogniser: EMOCA's emotion recogniser with the user's weights.
        pictures: renders heads; needed by the user's lip reader and SyncNet.
    """

    asset: HeadAsset
    readers: Readers | None = None
    lip_reader: LipReader | None = None
    syncnet: SyncNet | None = None
    recogniser: EmotionRecogniser | None = None
    pictures: HeadPictures | None = None

    @property
    def empty(self) -> bool:
        """Whether there is no reader."""
        return all(one is None for one in (self.readers, self.lip_reader, self.syncnet, self.recogniser))

    def said(self, clip_name: str, text: str, reference: Reference) -> Said:
        """What a clip says.

        Args:
            clip_name: ``<emotion>/<level>/<sentence>``; other names have no emotion.
            text: transcript; empty if it is unknown.
            reference: the clip with its audio.
        """
        waveform = np.zeros(0, np.float32) if reference.waveform is None else reference.waveform
        frames = len(reference.clip)
        parts = clip_name.split("/")
        emotion = parts[0] if len(parts) == 3 and parts[0] in KNOWN_EMOTIONS else None
        words = phonemes_of(text) if self.readers is not None else ()
        aligned = align(waveform, words) if words else None
        return Said(
            text,
            emotion,
            joined(viseme_text(words).replace(" ", "")),
            None if aligned is None else aligned.letters(frames),
            waveform,
        )

    def read(self, said: Said, reference: Reference, motion: Float | None, surface: Surface) -> Found:
        """Read one motion (T, E + 3) of a clip.

        Args:
            said: of the clip.
            reference: the clip, with its camera.
            motion: [exp, jaw]; None for vertices without coefficients, which the readers of coefficients do not read.
            surface: the head with this motion.

        Raises:
            AssetError: a reader of the user has another layout.
        """
        read, features, sync = None, None, None
        if self.pictures is not None:
            faces = self.pictures(surface.vertices, reference.clip.cam)
            if self.syncnet is not None:
                sync = self.syncnet.errors(faces, said.waveform)
            if self.lip_reader is not None:
                centres = mouth_centres(surface.landmarks_2d, self.asset.landmark_indices)
                mouths = reader_input(mouth_crops(faces, centres))
                if self.lip_reader.labels:
                    read = self._text_errors(said, mouths)
                else:
                    features = self.lip_reader.features(mouths)
        return Found(
            None if self.readers is None or motion is None else self.readers.read(motion),
            None if self.recogniser is None or motion is None else self.recogniser.scores(motion),
            read,
            features,
            sync,
        )

    def _text_errors(self, said: Said, mouths: Float) -> dict[str, float] | None:
        assert self.lip_reader is not None
        if not text_errors.normalised(said.text):
            return None
        if self.lip_reader.units == "text":
            return text_errors.text_errors(said.text, self.lip_reader.text(mouths))
        spoken = viseme_text(phonemes_of(text_errors.normalised(said.text).lower()))
        return text_errors.viseme_errors(spoken, viseme_text(self.lip_reader.phoneme_words(mouths)))

    def compare(self, said: Said, found: Found, truth: Found, occluded: Bool) -> dict[str, float]:
        """Metrics by name. Those that end in ``_hidden`` are over the occluded frames, and absent if there are none.

        Args:
            said: of the clip.
            found: of the motion.
            truth: of the clip's own motion.
            occluded: (T,) frames in which something is occluded.
        """
        result: dict[str, float | None] = {}
        if found.reading is not None:
            result |= _own_readers(said, found.reading, occluded)
        if found.recognised is not None and said.emotion is not None:
            label = emotion_recogniser.EMOTIONS.index(said.emotion)
            result["emotion_top1"] = top_share(found.recognised, label, 1)
            result["emotion_top3"] = top_share(found.recognised, label, 3)
        if found.features is not None and truth.features is not None and found is not truth:
            result["lip_reading_cosine"] = cosine(truth.features, found.features)
            if occluded.any():
                hidden = cosine(truth.features[occluded], found.features[occluded])
                result["lip_reading_cosine" + HIDDEN] = hidden
        if found.sync is not None:
            result["lse_c"], result["lse_d"] = found.sync
        result |= found.read or {}
        return {name: value for name, value in result.items() if value is not None}


@dataclass(frozen=True)
class ReaderFiles:
    """Files of the readers of an evaluation; None: without this reader.

    Attributes:
        readers: our viseme and emotion readers.
        packaged: whether these are the readers in the package, which are left out for another head model.
        lip_reading: the user's lip reader.
        recogniser: weights of EMOCA's emotion recogniser.
    """

    readers: Path | None = None
    packaged: bool = False
    lip_reading: LipReadingSettings = field(default_factory=LipReadingSettings)
    recogniser: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files."""
        found = [self.readers, self.lip_reading.reader, self.lip_reading.labels, self.recogniser]
        return [Path(path) for path in found if path is not None]

    def open(self, asset: HeadAsset) -> Panel:
        """Load the readers.

        Raises:
            AssetError: a file is missing, of another layout, or of another head model.
        """
        readers = None
        if self.readers is not None:
            if self.packaged and not belongs_to(self.readers, asset):
                LOG.warning(
                    "visemes and emotions are not read: the packaged readers belong to another head model than %s; "
                    "train readers for it with `snakemake reader_weights` and give the file in evaluation.readers",
                    asset.name,
                )
            else:
                readers = load_readers(self.readers, asset)
        recogniser = None
        if self.recogniser is not None:
            recogniser = load_emotion_recogniser(self.recogniser)
            # Refuses a head model that does not fit before anything is read.
            recogniser.scores(np.zeros((1, asset.n_exp + 3), np.float32))
        given, kind = self.lip_reading.reader is not None, self.lip_reading.kind
        return Panel(
            asset,
            readers,
            load_lip_reader(self.lip_reading) if given and kind != "syncnet" else None,
            load_syncnet(self.lip_reading) if given and kind == "syncnet" else None,
            recogniser,
            HeadPictures(asset) if given else None,
        )


def _own_readers(said: Said, reading: Reading, occluded: Bool) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    if said.letters is not None:
        spoken = said.letters > 0
        result["viseme_accuracy"] = frame_accuracy(said.letters, reading.letters, spoken)
        result["viseme_accuracy" + HIDDEN] = frame_accuracy(said.letters, reading.letters, spoken & occluded)
    if said.visemes:
        result["viseme_error_rate"] = text_errors.character_error(said.visemes, sequence_of(reading.letters))
    if said.emotion is not None:
        result["emotion_accuracy"] = float(reading.emotion() == said.emotion)
        if occluded.any():
            result["emotion_accuracy" + HIDDEN] = float(reading.emotion(occluded) == said.emotion)
    return result
