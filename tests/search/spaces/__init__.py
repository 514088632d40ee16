"""Small and fast search spaces for tests, and variations of them."""

from pathlib import Path

_FOLDER = Path(__file__).parent

STATIC, TINY, TIMED, QUICK, ONE, THREE, LEARNED, SEVERAL = (
    _FOLDER / f"{name}.yaml"
    for name in ("static", "tiny", "timed", "quick", "one", "three", "learned", "several")
)


def varied(space: Path, folder: Path, old: str, new: str) -> Path:
    """Write a variation of a space file.

    Args:
        space: Original space file.
        folder: Folder to write to, under the same name.
        old: Text that occurs once in the file.
        new: Replacement of the text.

    Returns:
        The new file.
    """
    text = space.read_text()
    assert text.count(old) == 1, (space.name, old)
    file = folder / space.name
    file.write_text(text.replace(old, new))
    return file
