"""Makes archives with the known faults of MEAD from the archives of the synthetic data set.

``python tests/faults/make_faulty_archives.py ARCHIVES OUT`` reads good archives (``results/synthetic/archives``) and
writes subjects named after the subjects of MEAD with these faults, and one (M009) with faults of single
clips. ``OUT/expected.csv`` lists the expected status and reason of every clip.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import faulty_media as media
from faulty_media import Maker, Take

from occlufacediff.errors import ARCHIVE, ConfigError, OccluFaceError
from occlufacediff.files import written_aside
from occlufacediff.media.archives import unpack, write_tar

EXPECTED_COLUMNS = ("subject", "clip", "fault", "status", "reason")
_BLOCK = 512


@dataclass(frozen=True)
class Recording:
    """A clip of the faulty data set: its fault, and the expected reason in the manifest (empty: the clip is usable)."""

    clip: str
    fault: str
    reason: str
    make: Maker


@dataclass(frozen=True)
class Expected:
    """Expected row of a clip; an empty ``reason`` means usable."""

    clip: str
    fault: str
    reason: str


Damage = Callable[[Path, list[Expected]], list[Expected]]


@dataclass(frozen=True)
class Person:
    """A faulty subject: its recordings, the folder of its views, the damage to its packed archives.

    Attributes:
        shift: what the numbers of its clips are ahead of the sentences spoken; not 0: it has a table of them.
    """

    name: str
    recordings: tuple[Recording, ...]
    views: str = "video/front"
    shift: int = 0
    damage: Damage = lambda folder, expected: expected


def cut_video_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Truncate ``video.tar`` within its last clip."""
    tar = folder / "video.tar"
    starts = _members(tar.read_bytes())
    tar.write_bytes(tar.read_bytes()[: starts[-1] + 2 * _BLOCK])
    lost = replace(expected[-1], fault="lies behind the cut", reason="no_video")
    return [Expected(ARCHIVE, "video.tar is cut off", "broken_archive"), *expected[:-1], lost]


def scratch_video_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Overwrite the header of the second clip in ``video.tar``; later clips stay readable."""
    tar = folder / "video.tar"
    content = bytearray(tar.read_bytes())
    start = _members(bytes(content))[1]
    content[start : start + _BLOCK] = b"\xa5" * _BLOCK
    tar.write_bytes(content)
    lost = replace(expected[1], fault="lies under the damage", reason="no_video")
    return [Expected(ARCHIVE, "video.tar is damaged", "broken_archive"), expected[0], lost, *expected[2:]]


def lose_audio_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Remove ``audio.tar``."""
    (folder / "audio.tar").unlink()
    return [Expected(ARCHIVE, "no audio.tar", "no_archive"), *expected]


def lose_video_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Remove ``video.tar``."""
    (folder / "video.tar").unlink()
    lost = [replace(one, fault="its archive is missing", reason="no_video") for one in expected]
    return [Expected(ARCHIVE, "no video.tar", "no_archive"), *lost]


def hostile_video_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Give a member of ``video.tar`` a path outside the folder into which it is unpacked."""
    tar = folder / "video.tar"
    with tarfile.open(tar, "a", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("video/front/../../../escaped.mp4"))
    lost = [replace(one, fault="its archive is refused", reason="no_video") for one in expected]
    return [Expected(ARCHIVE, "video.tar steps out of its folder", "unsafe_archive"), *lost]


def page_as_archive(folder: Path, expected: list[Expected]) -> list[Expected]:
    """Replace ``video.tar`` by a web page."""
    (folder / "video.tar").write_text("<!DOCTYPE html><html><title>Quota exceeded</title></html>\n" * 40)
    lost = [replace(one, fault="its archive is a web page", reason="no_video") for one in expected]
    return [Expected(ARCHIVE, "video.tar is a web page", "broken_archive"), *lost]


def no_view(folder: Path, expected: list[Expected]) -> list[Expected]:
    """No clip: the view was never recorded."""
    lost = [replace(one, fault="its view is missing", reason="no_video") for one in expected]
    return [Expected(ARCHIVE, "no front view", "no_view"), *lost]


def _good(*clips: str, fault: str = "none") -> tuple[Recording, ...]:
    return tuple(Recording(clip, fault, "", media.whole) for clip in clips)


#: Faults of single clips. Numbers below 10 are sentences of MEAD's test split.
CLIP_FAULTS = (
    Recording("angry/level_1/001", "sound 0.3 s short", "", media.sound_for(-0.3)),
    Recording("angry/level_1/002", "sound 0.3 s long", "", media.sound_for(0.3)),
    Recording("angry/level_1/003", "sound 2 s long", "audio_mismatch", media.sound_for(2.0)),
    Recording("angry/level_1/004", "hardly any sound", "audio_mismatch", media.sound_for(-60.0)),
    Recording("angry/level_1/005", "sound of zeros", "", media.silent),
    Recording("angry/level_1/006", "no sound anywhere", "no_audio", media.mute),
    Recording("angry/level_1/007", "sound in the video alone", "", media.sound_in_video),
    Recording("angry/level_1/008", "broken sound, none in the video", "broken_audio", media.bad_sound),
    Recording("angry/level_1/009", "broken sound, good one in the video", "", media.bad_sound_beside_good),
    Recording("confused/level_1/001", "unknown emotion", "", media.whole),
    Recording("fear/level_1/001", "variable frame rate", "", media.uneven_rate),
    Recording("fear/level_1/002", "4:4:4 pixels", "", media.full_colour),
    Recording("fear/level_1/003", "stored lying on its side", "", media.turned),
    Recording("fear/level_1/004", "some bytes overwritten", "", media.scratched),
    Recording("fear/level_1/005", "time stamps leap by ten hours", "too_long", media.leaping(36000.0)),
    Recording("happy/level_1/001", "zero bytes", "broken_video", media.empty),
    Recording("happy/level_1/002", "a few KB of nothing", "broken_video", media.broken),
    Recording("happy/level_1/003", "a web page", "broken_video", media.web_page),
    Recording("happy/level_1/004", "cut off, index lost", "broken_video", media.cut_off),
    Recording("happy/level_1/005", "cut off, index first", "broken_video", media.cut_off_streaming),
    Recording("happy/level_1/006", "sound in place of video", "no_video", media.no_picture_track),
    Recording("happy/level_1/007", "sound without a picture", "no_video", media.unseen),
    Recording("sad/level_1/001", "no face", "no_face", media.covered(1.0)),
    Recording("sad/level_1/002", "a face in a third of its frames", "", media.covered(2 / 3)),
    Recording("sad/level_1/003", "a face in a tenth of its frames", "few_faces", media.covered(0.9)),
    Recording("sad/level_1/004", "half a second", "too_short", media.shortened(0.5)),
    Recording("surprised/level_1/006 (copy)", "a space in its name", "odd_name", media.whole),
    Recording('surprised/level_1/"007"', "quotes in its name", "odd_name", media.whole),
    Recording("surprised/level_1/it's 008", "an apostrophe in its name", "odd_name", media.whole),
    Recording("surprised/level_1/-009", "a dash before its name", "odd_name", media.whole),
    Recording("surprised/level_1/\u4e09", "a number in another script", "odd_name", media.whole),
    Recording("\u00e9tonn\u00e9/level_1/001", "an accent in its emotion", "odd_name", media.whole),
    Recording("surprised/Level 1/001", "another name of its level", "odd_name", media.whole),
)

#: The faulty subjects. M003, M011, M019, M034, M041, W017 and W021 have the faults of their namesakes in MEAD.
PEOPLE = (
    Person("M003", _good("happy/level_1/011", "happy/level_1/012", fault="shifted sentence numbers"), shift=2),
    Person("M009", CLIP_FAULTS),
    Person(
        "M011",
        _good("neutral/level_1/011", "neutral/level_1/013", "neutral/level_1/017"),
        damage=scratch_video_archive,
    ),
    Person("M019", _good("neutral/level_1/011", "neutral/level_1/012"), damage=cut_video_archive),
    Person(
        "M022",
        (
            Recording("neutral/level_1/011", "no archive of sounds", "no_audio", media.mute),
            Recording("neutral/level_1/012", "no archive of sounds, sound in the video", "", media.sound_in_video),
        ),
        damage=lose_audio_archive,
    ),
    Person("M023", _good("neutral/level_1/011"), damage=hostile_video_archive),
    Person("M024", _good("neutral/level_1/011"), damage=lose_video_archive),
    Person("M034", (Recording("fear/level_3/028", "17 s long", "", media.repeated(17.0)),)),
    Person(
        "M041",
        (
            *(Recording(f"sad/level_2/{number:03d}", "no sound", "no_audio", media.mute) for number in range(20, 24)),
            *_good("sad/level_2/024"),
        ),
    ),
    Person("W011", _good("neutral/level_1/001"), damage=page_as_archive),
    Person("W017", _good("neutral/level_1/011"), views="video/down", damage=no_view),
    Person("W021", _good("neutral/level_1/011", fault="views below video/1"), views="video/1/front"),
)


def make_faulty(archives: Path, out: Path, *, seconds: float | None = None) -> list[tuple[str, Expected]]:
    """Fill ``out`` with the archives of `PEOPLE` and ``expected.csv`` (`EXPECTED_COLUMNS`).

    Args:
        archives: folder of good archives: ``<subject>/video.tar`` and ``audio.tar``, view ``front``.
        out: folder to fill; must not exist or be empty.
        seconds: cut the good clips to this many seconds first; None keeps them.

    Returns:
        (subject, what is expected of a clip), in the order of the file.

    Raises:
        ConfigError: ``archives`` holds no clip with picture and sound, or ``out`` holds something.
        ClipError: a clip cannot be read or encoded.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; give a new folder for the faulty archives")
    expected: list[tuple[str, Expected]] = []
    with TemporaryDirectory(prefix="faults-") as name:
        work = Path(name)
        takes = cycle(_good_takes(archives, work / "good", sum(len(person.recordings) for person in PEOPLE), seconds))
        for person in PEOPLE:
            folder = work / person.name
            made = [(one, one.make(next(takes), _stem(folder, number))) for number, one in enumerate(person.recordings)]
            _pack(person, made, out / person.name)
            wanted = [Expected(one.clip, one.fault, one.reason) for one, _ in made]
            expected += [(person.name, one) for one in person.damage(out / person.name, wanted)]
    with written_aside(out / "expected.csv") as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EXPECTED_COLUMNS)
        for subject, one in expected:
            writer.writerow((subject, one.clip, one.fault, "failed" if one.reason else "ok", one.reason))
    return expected


def _stem(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{number:03d}"


def _pack(person: Person, made: Sequence[tuple[Recording, Take]], folder: Path) -> None:
    """Write a subject's archives, and its sentence table if its file numbers are shifted."""
    videos = [(f"{person.views}/{one.clip}.mp4", take.video) for one, take in made]
    sounds = [(f"audio/{one.clip}.m4a", take.sound) for one, take in made]
    write_tar(folder / "video.tar", [(name, path) for name, path in videos if path is not None])
    write_tar(folder / "audio.tar", [(name, path) for name, path in sounds if path is not None])
    if person.shift:
        with written_aside(folder / "sentences.csv") as aside, aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("clip", "sentence_id"))
            writer.writerows((one.clip, int(one.clip[-3:]) - person.shift) for one, _ in made)


def _good_takes(archives: Path, folder: Path, most: int, seconds: float | None) -> list[Take]:
    """Up to ``most`` good recordings, in the order of subjects."""
    takes: list[Take] = []
    for tar in sorted(archives.glob("*/video.tar")):
        for video, sound in _unpacked(tar.parent, folder / tar.parent.name):
            take = Take(video, sound)
            if seconds is not None:
                take = media.shortened(seconds)(take, video.with_name(f"{video.stem}-short"))
            takes.append(take)
            if len(takes) == most:
                return takes
    if not takes:
        raise ConfigError(
            f"{archives}: holds no <subject>/video.tar and audio.tar with clips video/front/...; "
            "run `snakemake acquire` and give results/synthetic/archives"
        )
    return takes


def _unpacked(archives: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """(video, audio) of the clips of one subject that have both."""

    def place(name: str) -> Path | None:
        start = next((start for start in ("video/front/", "audio/") if name.startswith(start)), None)
        return None if start is None else folder / start / name.removeprefix(start).replace("/", "-")

    for name in ("video.tar", "audio.tar"):
        unpack(archives / name, place)
    for video in sorted((folder / "video/front").glob("*.mp4")):
        sound = folder / "audio" / f"{video.stem}.m4a"
        if sound.is_file():
            yield video, sound


def _members(content: bytes) -> list[int]:
    """Offsets of the headers of a tar's members."""
    starts, place = [], 0
    while content[place : place + 1].strip(b"\0"):
        starts.append(place)
        size = int(content[place + 124 : place + 135], 8)
        place += _BLOCK + -(-size // _BLOCK) * _BLOCK
    return starts


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("archives", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seconds", type=click.FloatRange(min=1.2), help="Cut the clips to this many seconds first.")
def main(archives: Path, out: Path, seconds: float | None) -> None:
    """Fill the new folder OUT with faulty archives in MEAD's layout, made from those in ARCHIVES."""
    try:
        expected = make_faulty(archives, out, seconds=seconds)
    except OccluFaceError as error:
        raise click.ClickException(str(error)) from error
    failing = sum(bool(one.reason) for _, one in expected)
    click.echo(f"{out}: {len(PEOPLE)} subjects; expected.csv: {len(expected)} rows, {failing} of them must fail")


if __name__ == "__main__":
    main()
