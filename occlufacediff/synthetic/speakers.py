"""Subjects of the synthetic data set: sex, age, voice and speaking style, from the seed and the subject's name."""

from __future__ import annotations

from dataclasses import dataclass

from occlufacediff.speech.coarticulation import SpeakingStyle
from occlufacediff.synthetic.seeding import rng_for

AGES = ("young", "adult", "old")
#: English voices of espeak-ng, and its male and female variants.
ACCENTS = ("en-us", "en-gb-x-rp", "en", "en-us-nyc", "en-gb-scotland", "en-gb-x-gbclan", "en-029", "en-gb-x-gbcwmd")
MALE = ("m1", "m3", "m7", "m2", "m4", "m6", "m8")
FEMALE = ("f1", "f2", "f3", "f4", "f5")


@dataclass(frozen=True)
class Speaker:
    """One subject. ``voice``, ``pitch`` and ``pitch_range`` are in the units of espeak-ng."""

    name: str
    sex: str
    age: str
    voice: str
    pitch: int
    pitch_range: int
    words_per_minute: int
    style: SpeakingStyle


def make_speaker(name: str, seed: int, *, spread: float) -> Speaker:
    """Return the speaker ``name``: `M...` for men, `W...` for women; the number selects age and accent.

    Args:
        spread: factor on the differences of speaking style; 0 gives all speakers the same style.
    """
    number = int(name[1:])
    woman = name.startswith("W")
    age = AGES[(number + woman) % len(AGES)]
    rng = rng_for(seed, name, "speaker")
    variants = FEMALE if woman else MALE
    accent = ACCENTS[(2 * (number - 101) + woman) % len(ACCENTS)]
    variant = variants[(number - 101) % len(variants)]
    pitch_of_age = {"young": 4, "adult": 0, "old": -3}[age]

    def style_factor(deviation: float, low: float, high: float) -> float:
        return float(min(max(1.0 + spread * deviation * rng.standard_normal(), low), high))

    style = SpeakingStyle(
        opening=0.21 * style_factor(0.1, 0.75, 1.3),
        lips=style_factor(0.1, 0.75, 1.3),
        rounding=style_factor(0.1, 0.75, 1.25),
        closure=1.0 - abs(style_factor(0.06, 0.8, 1.2) - 1.0),
        stress=0.14 * style_factor(0.3, 0.3, 1.7),
        overlap=style_factor(0.1, 0.75, 1.3),
        asymmetry=0.08 * (style_factor(1.0, -1.5, 3.5) - 1.0),
        jaw_side=0.04 * (style_factor(1.0, -1.0, 3.0) - 1.0),
    )
    return Speaker(
        name=name,
        sex="female" if woman else "male",
        age=age,
        voice=f"{accent}+{variant}",
        pitch=round(48 + pitch_of_age + rng.uniform(-7, 7)),
        pitch_range=round(rng.uniform(38, 62)),
        words_per_minute=round({"young": 166, "adult": 158, "old": 148}[age] + rng.uniform(-7, 7)),
        style=style,
    )
