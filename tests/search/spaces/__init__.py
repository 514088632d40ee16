"""Small and fast search spaces for tests: their files, and variations of them."""

from pathlib import Path

_FOLDER = Path(__file__).parent

STATIC, TINY, TIMED, QUICK, ONE, THREE, LEARNED = (
    _FOLDER / f"{name}.yaml"
    for name in ("static", "tiny", "timed", "quick", "one", "three", "learned")
)


def varied(space: Path, folder: Path, old: str, new: str) -> Path:
    """Write a space that differs from another in one place.

    Args:
        space: The file to start from.
        folder: Where to write; the file's name stays.
        old: Text that stands once in the file.
        new: Text to stand there instead.

    Returns:
        The new file.
    """
    text = space.read_text()
    assert text.count(old) == 1, (space.name, old)
    file = folder / space.name
    file.write_text(text.replace(old, new))
    return file
