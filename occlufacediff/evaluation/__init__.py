"""Metrics, baselines and the test protocol under occlusion."""
