# The benchmark on real recordings: snakemake real_benchmark --config clips=FOLDER
rule benchmark_recordings:
    input:
        clips=recordings,
        head=HEAD,
        motion_prior=expand(f"{MODELS}/motion_prior/{{file}}", file=NETWORK),
        denoiser=expand(f"{MODELS}/denoiser/{{file}}", file=NETWORK),
    output:
        tables=expand(f"{D}/recordings/{{table}}.csv", table=["clips", "by_clip", "means", "groups", "gains"]),
        page=report(
            f"{D}/recordings/benchmark.html",
            caption="../report/recordings.rst",
            category="Real recordings",
        ),
    log:
        f"{LOGS}/benchmark_recordings.log",
    benchmark:
        f"{BENCHMARKS}/benchmark_recordings.tsv"
    threads: cores(8)
    resources:
        mem_mb=growing(1500, each=1500),
        runtime=growing(240),
        gpu=gpus(),
    params:
        folder=cfg.clips,
        settings=as_params(cfg.recordings),
        landmarks=as_params(cfg.landmarks),
        crop=as_params(cfg.crop),
        pictures=occluders_state(cfg.recordings, cfg.recordings.regions),
        reconstruction=as_params(cfg.reconstruction),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.recordings", "occlufacediff.stages.recordings_page"),
    message:
        "Hide parts of real recordings, fill them in, compare"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/benchmark_recordings.py"
