"""Extract the audio of one subject's clips at 16 kHz, and its log-mel spectrogram."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.audio import AudioSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.audio import extract_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    raw = Path(snakemake.input.index)
    extract_subject(
        snakemake.wildcards.subject,
        raw.parent,
        raw,
        subject_file(snakemake.output.audio, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(AudioSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
