"""Networks and diffusion: motion prior, denoiser, schedule, samplers, windows, checkpoints."""
