# Parts of a subject's jobs, where the configuration cuts them finer (docs/workflow.md). Their markers go when the subject's
# own job, which finds the parts finished and joins them, is done.
if cfg.chunks > 1:

    use rule convert_video as convert_video_chunk with:
        input:
            index=f"{D}/raw/{{subject}}/index.csv",
        output:
            index=temp(touch(f"{D}/video25/{{subject}}/index.csv.{{chunk}}")),
        log:
            f"{LOGS}/convert_video_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{BENCHMARKS}/convert_video_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: video at 25 fps"

    use rule extract_audio as extract_audio_chunk with:
        input:
            index=f"{D}/raw/{{subject}}/index.csv",
        output:
            audio=temp(touch(f"{D}/audio/{{subject}}.h5.{{chunk}}")),
            index=temp(touch(f"{D}/audio/{{subject}}.csv.{{chunk}}")),
        log:
            f"{LOGS}/extract_audio_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{BENCHMARKS}/extract_audio_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: sound at 16 kHz"

    if cfg.landmarks.source == "published":

        use rule read_landmarks as read_landmarks_chunk with:
            input:
                index=f"{D}/video25/{{subject}}/index.csv",
                published=f"{published_landmarks(cfg)}/{{subject}}/{cfg.acquire.view}",
            output:
                landmarks=temp(touch(f"{D}/landmarks/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{D}/landmarks/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/read_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{BENCHMARKS}/read_landmarks_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: published landmarks"

    else:

        use rule detect_landmarks as detect_landmarks_chunk with:
            input:
                index=f"{D}/video25/{{subject}}/index.csv",
            output:
                landmarks=temp(touch(f"{D}/landmarks/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{D}/landmarks/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{BENCHMARKS}/detect_landmarks_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: landmarks"

    use rule crop_faces as crop_faces_chunk with:
        input:
            index=f"{D}/video25/{{subject}}/index.csv",
            landmarks=f"{D}/landmarks/{{subject}}.h5",
        output:
            clips=temp(touch(f"{D}/clips/{{subject}}.h5.{{chunk}}")),
            index=temp(touch(f"{D}/clips/{{subject}}.csv.{{chunk}}")),
        log:
            f"{LOGS}/crop_faces_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{BENCHMARKS}/crop_faces_chunk/{{subject}}/{{chunk}}.tsv"
        message:
            "{wildcards.subject}, {wildcards.chunk}: crops and normalised landmarks"

    if cfg.reconstruction.source == "published":

        use rule read_coefficients as read_coefficients_chunk with:
            input:
                clips=f"{D}/clips/{{subject}}.h5",
                head=HEAD,
                published=f"{published_coefficients(cfg)}/{{subject}}/{cfg.acquire.view}",
            output:
                coefficients=temp(touch(f"{D}/coefficients/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{D}/coefficients/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/read_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{BENCHMARKS}/read_coefficients_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: published coefficients"

    else:

        use rule fit_coefficients as fit_coefficients_chunk with:
            input:
                clips=f"{D}/clips/{{subject}}.h5",
                head=HEAD,
            output:
                coefficients=temp(touch(f"{D}/coefficients/{{subject}}.h5.{{chunk}}")),
                index=temp(touch(f"{D}/coefficients/{{subject}}.csv.{{chunk}}")),
            log:
                f"{LOGS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.log",
            benchmark:
                f"{BENCHMARKS}/fit_coefficients_chunk/{{subject}}/{{chunk}}.tsv"
            message:
                "{wildcards.subject}, {wildcards.chunk}: fit the head model to landmarks"
