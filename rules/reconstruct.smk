# The open head model, and the head model's coefficients for every frame.
rule build_open_head:
    output:
        head=OPEN_HEAD,
    log:
        f"{LOGS}/build_open_head.log",
    benchmark:
        f"{LOGS}/build_open_head.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(30),
    params:
        settings=as_params(cfg.open_head),
        seed=cfg.open_head.seed,
        code=fingerprint("occlufacediff.openhead.build"),
    message:
        "Build the open head model"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/build_open_head.py"


if cfg.reconstruction.source == "emote":

    rule read_emote_coefficients:
        input:
            clips=f"{RESULTS}/clips/{{subject}}.h5",
            head=HEAD,
            published=local(f"{emote_coefficients(cfg)}/{{subject}}/{cfg.acquire.view}"),
            chunks=of_chunks(f"{RESULTS}/coefficients/{{subject}}.h5", f"{RESULTS}/coefficients/{{subject}}.csv"),
        output:
            coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
            index=f"{RESULTS}/coefficients/{{subject}}.csv",
        log:
            f"{LOGS}/read_emote_coefficients/{{subject}}.log",
        benchmark:
            f"{LOGS}/read_emote_coefficients/{{subject}}.tsv"
        threads: shard_threads()
        resources:
            mem_mb=scaled_by_attempt(1000, each=300),
            runtime=120,
        params:
            settings=as_params(cfg.emote),
            code=fingerprint("occlufacediff.stages.emote_coefficients"),
        message:
            "{wildcards.subject}: EMOTE's coefficients"
        conda:
            "../envs/learn.yaml"
        script:
            "../scripts/read_emote_coefficients.py"

else:

    rule fit_coefficients:
        input:
            clips=f"{RESULTS}/clips/{{subject}}.h5",
            head=HEAD,
            chunks=of_chunks(f"{RESULTS}/coefficients/{{subject}}.h5", f"{RESULTS}/coefficients/{{subject}}.csv"),
        output:
            coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
            index=f"{RESULTS}/coefficients/{{subject}}.csv",
        log:
            f"{LOGS}/fit_coefficients/{{subject}}.log",
        benchmark:
            f"{LOGS}/fit_coefficients/{{subject}}.tsv"
        threads: shard_threads()
        resources:
            mem_mb=scaled_by_attempt(500, each=400),
            runtime=120,
        params:
            settings=as_params(cfg.reconstruction),
            code=fingerprint("occlufacediff.stages.reconstruct"),
        message:
            "{wildcards.subject}: fit the head model to landmarks"
        conda:
            "../envs/learn.yaml"
        script:
            "../scripts/fit_coefficients.py"
