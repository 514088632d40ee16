"""Files, folders and locks: atomic writes that replace only files of dsx."""

from dsx.files.files import (
    check_writable,
    locked_folder,
    make_folder,
    open_regular,
    remove_abandoned,
    special_kind,
    temporary_name,
    write,
    writing,
)
from dsx.files.folders import scratch
from dsx.files.locks import locked, open_lock, try_lock
from dsx.files.ownership import (
    as_text,
    check_replaceable,
    digest,
    is_regular,
    is_signed_file,
    read_sealed,
    sealed,
    sha256,
    signed,
    write_own,
)

__all__ = [
    "as_text",
    "check_replaceable",
    "check_writable",
    "digest",
    "is_regular",
    "is_signed_file",
    "locked",
    "locked_folder",
    "make_folder",
    "open_lock",
    "open_regular",
    "read_sealed",
    "remove_abandoned",
    "scratch",
    "sealed",
    "sha256",
    "signed",
    "special_kind",
    "temporary_name",
    "try_lock",
    "write",
    "write_own",
    "writing",
]
