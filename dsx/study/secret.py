"""Passwords of databases are never printed, also where no URL can be made out."""

import re


def without_password(text: str) -> str:
    """Blot out whatever could be a password in a database URL, or in what was meant as one.

    Args:
        text: Any text.

    Returns:
        The text with `***` between the colon and the `@`.
    """
    return re.sub(r"(?<=:)[^:/@\s]+(?=@)", "***", text)
