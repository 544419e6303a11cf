"""The head model: its asset, linear blend skinning, rotations, the landmark fit."""
