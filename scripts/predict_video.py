"""Predict the facial motion of one video and animate it."""

from functools import partial
from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.prediction import PredictionSettings
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.config.visibility import VisibilitySettings
    from occlufacediff.stages.predict import load_once, predict_video
    from occlufacediff.stages.predict_videos import predict_listed

    predict = partial(
        predict_video,
        checkpoint_dir=Path(snakemake.input.denoiser[0]).parent.parent,
        head=Path(snakemake.input.head),
        # The stage creates the folder with the name of the video.
        out_dir=Path(snakemake.output[0]).parent.parent,
        settings=from_params(PredictionSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
        landmarks=from_params(LandmarkSettings, snakemake.params.landmarks),
        crop=from_params(CropSettings, snakemake.params.crop),
        visibility=from_params(VisibilitySettings, snakemake.params.visibility),
        reconstruction=from_params(ReconstructionSettings, snakemake.params.reconstruction),
        load=load_once(snakemake.threads),
    )
    if snakemake.params.listed is None:
        predict(Path(snakemake.input.video[0]))
    else:
        predict_listed(Path(snakemake.params.listed), Path(snakemake.output.summary), predict)
