"""Names of studies, which are also names of folders."""

import re

from dsx.errors import StorageError, quoted

LONGEST = 100
_FORM = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
ENDINGS = ".lock", ".db", ".db-wal", ".db-shm", ".db-journal"
"""Endings of the files of a database, whose folder also has a folder for each of its studies."""


def check_study_name(name: str, where: str = "") -> None:
    """Check the name of a study.

    Args:
        name: Name of a study.
        where: Origin of a name that the user did not give.

    Raises:
        StorageError: If the name is empty, too long, or has characters or an ending that are not
            allowed.
    """
    if not _FORM.fullmatch(name) or name.lower().endswith(ENDINGS):
        raise StorageError(
            f"invalid study name {quoted(name)}{where} (allowed: up to {LONGEST} letters a-z, "
            "digits, '.', '_' and '-', the first a letter or digit, the end none of "
            f"{', '.join(ENDINGS)})"
        )
