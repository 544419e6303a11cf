"""Read EMOTE's landmarks of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.emote import EmoteSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.emote_landmarks import read_emote_landmarks_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    video = Path(snakemake.input.index)
    read_emote_landmarks_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        Path(snakemake.input.published),
        subject_file(snakemake.output.landmarks, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(EmoteSettings, snakemake.params.settings),
        min_found=snakemake.params.min_found,
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
