"""The whole configuration: general keys and one section per stage. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from occlufacediff.config.acquire import AcquireSettings, DownloadSettings
from occlufacediff.config.audio import AudioSettings
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.constraints import Count, Limits, Name, Section, Seed
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.emote import EmoteSettings
from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.occlusion_weights import OcclusionWeightsSettings
from occlufacediff.config.open_weights import OpenWeightsSettings
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.packing import PackingSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.readers import ReaderSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.report import ReportSettings
from occlufacediff.config.run import RunSettings
from occlufacediff.config.split import SplitSettings
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.config.training import DenoiserSettings, MotionPriorSettings
from occlufacediff.config.video import VideoSettings
from occlufacediff.config.visibility import VisibilitySettings


@dataclass(frozen=True)
class DaskSettings(Section):
    """Parallel processing of a subject's clips; results do not depend on it."""

    #: Processes per subject; null: Snakemake's cores divided by the number of subjects, at least 1.
    workers: Count | None = None
    #: Address of a running Dask scheduler to use instead, such as ``tcp://node1:8786``; null: none.
    scheduler: str | None = None


@dataclass(frozen=True)
class Config(Section):
    """All keys of the configuration."""

    #: Name of the data set; results go to ``results/<dataset>/``.
    dataset: Name = "synthetic"
    #: Seed of all random draws, together with the name of the clip or subject.
    seed: Seed = 1
    #: Source of the clips: generated archives (``synthetic``), a folder in MEAD's layout (``local``), a shared folder
    #: listed in ``download.table`` (``download``), or ordinary videos (``videos``).
    source: Literal["synthetic", "local", "download", "videos"] = "synthetic"
    #: Folder with ``<subject>/video.tar`` and ``<subject>/audio.tar``, if ``source`` is ``local``.
    archives: str | None = None
    #: If ``source`` is ``videos``: a folder with a sub-folder of videos for each speaker, or a CSV table
    #: ``video,subject`` and optionally ``sentence_id,split``; paths are relative to the table.
    videos: str | None = None
    #: Subjects to use; null: all.
    subjects: Annotated[tuple[Name, ...], Limits(min_length=1)] | None = None
    #: Jobs per subject and stage, to use more machines than subjects. Results do not depend on it, but a change reruns
    #: finished subjects.
    chunks: Annotated[int, Limits(1, 1000)] = 1
    #: Folder with trained ``motion_prior/`` and ``denoiser/`` to use; null: train them.
    checkpoint: str | None = None
    #: Head model to use (.npz); null: build the open head in ``resources/heads``.
    head: str | None = None
    #: Device of the networks; ``auto``: a GPU if there is one.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: For the target ``predict``: a video, a folder of videos, or a CSV table with the column ``video`` (paths are
    #: relative to the table); null for other targets.
    video: str | None = None
    #: Folder of videos for the target ``benchmark``; null for other targets.
    benchmark_videos: str | None = None
    run: RunSettings = field(default_factory=RunSettings)
    dask: DaskSettings = field(default_factory=DaskSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    open_head: OpenHeadSettings = field(default_factory=OpenHeadSettings)
    download: DownloadSettings = field(default_factory=DownloadSettings)
    acquire: AcquireSettings = field(default_factory=AcquireSettings)
    emote: EmoteSettings = field(default_factory=EmoteSettings)
    conversion: VideoSettings = field(default_factory=VideoSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)
    landmarks: LandmarkSettings = field(default_factory=LandmarkSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    visibility: VisibilitySettings = field(default_factory=VisibilitySettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    packing: PackingSettings = field(default_factory=PackingSettings)
    motion_prior: MotionPriorSettings = field(default_factory=MotionPriorSettings)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    open_weights: OpenWeightsSettings = field(default_factory=OpenWeightsSettings)
    readers: ReaderSettings = field(default_factory=ReaderSettings)
    occlusion_weights: OcclusionWeightsSettings = field(default_factory=OcclusionWeightsSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    report: ReportSettings = field(default_factory=ReportSettings)

    def __post_init__(self) -> None:
        if self.source == "local" and self.archives is None:
            raise ValueError(
                "archives: got nothing, needs the folder of the archives because source is 'local' "
                "(give it with --config archives=FOLDER)"
            )
        if self.run.init_from is not None and self.checkpoint is not None:
            raise ValueError(
                "run.init_from: got a checkpoint to start from together with `checkpoint`, which trains nothing; "
                "needs one of the two"
            )
        if self.run.motion_prior is not None and (self.run.init_from or self.checkpoint) is not None:
            raise ValueError(
                "run.motion_prior: got a motion prior together with `run.init_from` or `checkpoint`, which have their "
                "own; needs only one of these"
            )
        if self.source == "videos" and self.videos is None:
            raise ValueError(
                "videos: got nothing, needs a folder or table of videos because source is 'videos' (give it with "
                "--config videos=FOLDER)"
            )
        for name, section in (("landmarks", self.landmarks), ("reconstruction", self.reconstruction)):
            if section.source == "emote" and self.emote.folder is None:
                raise ValueError(
                    f"emote.folder: got nothing, needs EMOTE's folder 'processed' because {name}.source is 'emote'"
                )
        if self.reconstruction.source == "emote" and self.head is None:
            raise ValueError(
                "head: got nothing, needs FLAME because reconstruction.source is 'emote' (make it with "
                "occlufacediff convert FLAME_FOLDER --to flame2020.npz)"
            )
        if self.visibility.source == "auto" and self.landmarks.detector != "mediapipe":
            raise ValueError(
                f"visibility.source: got 'auto' together with landmarks.detector {self.landmarks.detector!r}, needs "
                "'mediapipe': the network sees the whole face mesh"
            )
        if self.evaluation.painted and self.landmarks.detector != "mediapipe":
            raise ValueError(
                f"evaluation.occlusions: got {self.evaluation.painted[0]!r} together with landmarks.detector "
                f"{self.landmarks.detector!r}, needs 'mediapipe': visibility is found with the whole face mesh; leave "
                "natural and natural_true out"
            )
        if self.run.name in self.report.compare:
            raise ValueError(f"report.compare: got {self.run.name!r}, needs other runs than the run itself")
        if self.open_weights.denoiser.preset != "open":
            raise ValueError(
                f"open_weights.denoiser.preset: got {self.open_weights.denoiser.preset!r}, needs 'open': landmark "
                "clips have audio as spectrum and phones only"
            )
