"""Fixtures of live sessions."""

from live_setup import clips as clips
from live_setup import live as live
from live_setup import receiver as receiver
