"""Facial motion of a camera, a file played in real time or a stream, sent to other programs frame by frame."""
