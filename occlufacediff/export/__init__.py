"""Motion as files for other programs."""
