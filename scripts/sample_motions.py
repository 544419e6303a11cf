"""Occlude one subject's clips and reconstruct them by every method."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.evaluation import EvaluationSettings
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    painted = [Path(path) for path in snakemake.input.painted]
    sample_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.manifest),
        Path(snakemake.input.clips),
        Path(snakemake.input.audio),
        Path(snakemake.input.coefficients),
        Path(snakemake.input.head),
        Checkpoints(
            motion_prior=Path(snakemake.input.motion_prior[0]).parent,
            denoiser=Path(snakemake.input.denoiser[0]).parent,
            initial=Path(snakemake.input.initial[0]).parent if snakemake.input.initial else None,
            others={name: Path(folder) for name, folder in snakemake.params.checkpoints.items()},
        ),
        subject_file(snakemake.output.motions, chunk),
        subject_file(snakemake.output.failures, chunk),
        settings=from_params(EvaluationSettings, snakemake.params.settings),
        reconstruction=from_params(ReconstructionSettings, snakemake.params.reconstruction),
        seed=snakemake.params.seed,
        occlusion_seed=snakemake.params.occlusion_seed,
        device=snakemake.config["device"],
        crop_scale=snakemake.params.crop_scale,
        phones=Path(snakemake.input.phones) if snakemake.input.phones else None,
        painted=(painted[0], painted[1]) if painted else None,
        chunk=chunk,
    )
