"""OccluFaceDiff: 3D facial motion from talking videos in which part of the face is occluded."""

__version__ = "0.1.0"
