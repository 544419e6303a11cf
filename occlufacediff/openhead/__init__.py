"""Builds the open head model from freely licensed data."""
