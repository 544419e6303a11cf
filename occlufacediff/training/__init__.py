"""Data loading, losses and resumable training loops."""
