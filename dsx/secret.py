"""Redaction of database passwords in all output, including those in malformed URLs.

Names of files or slots may resemble a part of a URL. In texts or values that are known to contain
such names, only URLs with a scheme and parameters of databases are redacted.
"""

import re

_NAMES = "password|passwd|passphrase|pwd|secret|token|credential"
_KEYS = "password|passwd|passphrase|pwd|passfile|sslpassword"
"""Keys of a connection string, not preceded by other characters: `host=h password=...`."""
_PARAMETER = re.compile(
    rf"((?:[?&]\w{{0,20}}(?:{_NAMES})\w{{0,20}}|(?<![\w.])(?:{_KEYS}))=)(?!\*\*\*\W*$).*",
    re.IGNORECASE | re.DOTALL,
)
_USER = re.compile(r"[^:]*://[^:]*:|[^:]*:(?!//)")
"""Everything up to and including the user name, with or without `scheme://`."""
_SCHEME = ":/"
"""End of the scheme of a URL, of which pathlib keeps only one slash."""
_NO_PORT = re.compile(r"(://[^:@/\[]*:)(?!\*|\d+(?!\w)).+", re.DOTALL)
"""Text after `host:` that is not a port may be the password in a URL without host."""


def without_password(text: str) -> str:
    """Replace the passwords of all database URLs in a text by `***`.

    Args:
        text: Any text, such as an error message of a database driver.

    Returns:
        The text; each word separated by white space is treated as one URL.
    """
    return re.sub(r"\S+", lambda match: redact_url(match[0]), text)


def without_url_password(text: str) -> str:
    """Replace passwords in a text of dsx, whose words may be names of files.

    Args:
        text: Any text that does not quote a database driver.

    Returns:
        The text; `a:b@c` is unchanged, since it has no scheme.
    """
    return re.sub(r"\S+", lambda match: redact_name(match[0]), text)


def redact_name(name: str) -> str:
    """Replace the password in a value that is used as a file name, if it has a scheme.

    Args:
        name: Value used as a file name.

    Returns:
        The result of `redact_url` if the name has a scheme; otherwise the name without parameters
        such as `password=...`.
    """
    return redact_url(name) if _SCHEME in name else _PARAMETER.sub(r"\1***", name)


def redact_url(value: str) -> str:
    """Replace the password in a value that is, or was meant to be, a database URL by `***`.

    Args:
        value: The whole value; its password may contain white space, `/` and `@`.

    Returns:
        The value with `***` in place of everything between the user name and the last `@`, and in
        place of parameters such as `password=...` up to the end.
    """
    head, at, tail = value.rpartition("@")
    user = _USER.match(head) if at else None
    if user:
        # If the last @ is inside a parameter, the following text belongs to a password too.
        rest = "" if _PARAMETER.search(head, user.end()) else f"@{tail}"
        value = f"{user[0]}***{rest}"
    else:
        value = _NO_PORT.sub(r"\1***", value)
    return _PARAMETER.sub(r"\1***", value)
