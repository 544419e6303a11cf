"""Reads motion and rendered mouths: visemes, emotions, and the user's lip readers and emotion recogniser."""
