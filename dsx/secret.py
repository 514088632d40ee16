"""Passwords of databases are never printed, not even where a URL is malformed.

A file or a slot may have a name that resembles a part of a URL. Where a text or value is known to
name such things, only what has a scheme, or is a parameter of a database, counts as a password.
"""

import re

_NAMES = "password|passwd|passphrase|pwd|secret|token|credential"
_KEYS = "password|passwd|passphrase|pwd|passfile|sslpassword"
"""Keys of a connection string, in which no other character precedes them: `host=h password=...`."""
_PARAMETER = re.compile(
    rf"((?:[?&]\w{{0,20}}(?:{_NAMES})\w{{0,20}}|(?<![\w.])(?:{_KEYS}))=)(?!\*\*\*\W*$).*",
    re.IGNORECASE | re.DOTALL,
)
_USER = re.compile(r"[^:]*://[^:]*:|[^:]*:(?!//)")
"""Everything up to the name of the user, with or without `scheme://`."""
_SCHEME = ":/"
"""The end of the scheme of a URL; pathlib leaves one slash of two."""
_NO_PORT = re.compile(r"(://[^:@/\[]*:)(?!\*|\d+(?!\w)).+", re.DOTALL)
"""Text after `host:` that is not a port may be the password of a URL that lacks its host."""


def without_password(text: str) -> str:
    """Replace the passwords of all database URLs in a text by `***`.

    Args:
        text: Any text, such as an error message of a database driver.

    Returns:
        The text; what is between white space is taken for one URL.
    """
    return re.sub(r"\S+", lambda word: hidden(word[0]), text)


def without_url_password(text: str) -> str:
    """Replace passwords in a text of dsx itself, whose words may be the names of files.

    Args:
        text: Any text that quotes no database driver.

    Returns:
        The text; `a:b@c` stays, for want of a scheme.
    """
    return re.sub(r"\S+", lambda word: hidden_in_name(word[0]), text)


def hidden_in_name(name: str) -> str:
    """Replace the password in what is meant as the name of a file, unless it has no scheme.

    Args:
        name: The name.

    Returns:
        The name as `hidden` returns it if it has a scheme; otherwise without parameters such as
        `password=...` only.
    """
    return hidden(name) if _SCHEME in name else _PARAMETER.sub(r"\1***", name)


def hidden(value: str) -> str:
    """Replace the password in a value that is, or was meant as, a database URL by `***`.

    Args:
        value: The whole value, which may contain white space, `/` and `@` in its password.

    Returns:
        The value, with `***` from the end of the user's name to the last `@`, and in place of
        parameters such as `password=...` to the end.
    """
    head, at, tail = value.rpartition("@")
    user = _USER.match(head) if at else None
    if user:
        # A parameter may contain the last @: then what follows belongs to a password, too.
        rest = "" if _PARAMETER.search(head, user.end()) else f"@{tail}"
        value = f"{user[0]}***{rest}"
    else:
        value = _NO_PORT.sub(r"\1***", value)
    return _PARAMETER.sub(r"\1***", value)
