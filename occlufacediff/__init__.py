"""OccluFaceDiff: 3D facial motion from talking videos in which part of the face is hidden."""

__version__ = "0.1.0"
