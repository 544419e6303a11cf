"""Find the face landmarks on every frame of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.crops_ahead import CropsAhead
    from occlufacediff.stages.landmarks import detect_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    # What is made in passing is no result, so the crops' settings are not among the rule's: they rerun the crops alone.
    ahead = CropsAhead(Path(snakemake.params.clips), from_params(CropSettings, snakemake.config["crop"]))
    # A segmentation model looks at the pictures themselves, so the crop stage decodes all the same.
    looked_at = snakemake.config["visibility"]["source"] == "segmentation"
    detect_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        subject_file(snakemake.output.landmarks, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(LandmarkSettings, snakemake.params.settings),
        track=None if looked_at else ahead.track,
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
