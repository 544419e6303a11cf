"""The whole configuration: what is run, where it comes from, and one section a stage. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from occlufacediff.config.acquire import AcquireSettings, DownloadSettings
from occlufacediff.config.audio import AudioSettings
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.emote import EmoteSettings
from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.names import NAME
from occlufacediff.config.open_weights import OpenWeightsSettings
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.report import ReportSettings
from occlufacediff.config.run import RunSettings
from occlufacediff.config.split import SplitSettings
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.config.training import DenoiserSettings, MotionPriorSettings
from occlufacediff.config.video import VideoSettings
from occlufacediff.config.visibility import VisibilitySettings


@dataclass(frozen=True)
class DaskSettings:
    """How the clips of one subject are spread over processes; results do not depend on it."""

    #: Processes a subject's job; null: the cores given to Snakemake, divided by the number of subjects, at least 1.
    workers: int | None = None
    #: Address of a running Dask scheduler that does the work instead, such as ``tcp://node1:8786``; null: none.
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers: got {self.workers}, needs 1 or more, or null")


@dataclass(frozen=True)
class Config:
    """All keys of the configuration."""

    #: Name of the data set; everything derived goes to ``results/<dataset>/``.
    dataset: str = "synthetic"
    #: Seed of every random draw, together with a clip's or subject's name.
    seed: int = 1
    #: Where the archives come from: made here (``synthetic``), a folder of archives in MEAD's layout (``local``), or a
    #: shared folder by the table ``download.table`` (``download``).
    source: Literal["synthetic", "local", "download"] = "synthetic"
    #: With source ``local``: folder that holds ``<subject>/video.tar`` and ``<subject>/audio.tar``.
    archives: str | None = None
    #: Subjects to use; null: all of the source.
    subjects: tuple[str, ...] | None = None
    #: Jobs that each stage of a subject's preprocessing and reconstruction is cut into, for more machines than
    #: subjects; results do not depend on it, but another number makes finished subjects anew.
    chunks: int = 1
    #: Folder with the trained ``motion_prior/`` and ``denoiser/`` to use instead of training here; null: train here.
    checkpoint: str | None = None
    #: Head model to use (.npz); null: build the open head in ``resources/heads``.
    head: str | None = None
    #: Where networks run: ``auto`` takes a GPU when there is one.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: Video that the target ``predict`` works on; null for every other target.
    video: str | None = None
    #: Folder of videos that the target ``benchmark`` works on; null for every other target.
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
    motion_prior: MotionPriorSettings = field(default_factory=MotionPriorSettings)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    open_weights: OpenWeightsSettings = field(default_factory=OpenWeightsSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    report: ReportSettings = field(default_factory=ReportSettings)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.dataset):
            raise ValueError(f"dataset: got {self.dataset!r}, needs letters, digits, '_', '-' and '.'")
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, needs 0 or more")
        if not 1 <= self.chunks <= 1000:
            raise ValueError(f"chunks: got {self.chunks}, needs 1 to 1000")
        if self.source == "local" and self.archives is None:
            raise ValueError(
                "archives: got nothing, needs the folder of the archives because source is 'local' "
                "(give it with --config archives=FOLDER)"
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
        if self.open_weights.denoiser.preset != "open":
            raise ValueError(
                f"open_weights.denoiser.preset: got {self.open_weights.denoiser.preset!r}, needs 'open': clips without "
                "pictures have spectrum and phones for sound, and nothing else"
            )
        for name in self.subjects or ():
            if not NAME.fullmatch(name):
                raise ValueError(f"subjects: got {name!r}, needs names of letters, digits, '_', '-' and '.'")
        if self.subjects is not None and not self.subjects:
            raise ValueError("subjects: got an empty list, needs names, or null for all subjects of the source")
