"""Detection of the layout of the folders of a dataset, and errors for ambiguous layouts."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from typing import NoReturn

from dsx.data._contents import named
from dsx.data._splits import PART_NAMES, PARTS, find_counterparts, find_parts, parse_part
from dsx.data.folders.walk import FolderListing, Walk
from dsx.data.images.decode import suffixes
from dsx.errors import DataMissing, DsxError, printable, short

MAX_INSPECTED = 20
"""Largest number of class folders whose content is inspected.

A dataset has few splits, so that splits can be confused with classes only among few folders. Among
more folders, a few that happen to have names of splits are classes.
"""

NO_CLASSES = frozenset({
    "image", "images", "img", "imgs", "jpegimages", "label", "labels", "annotation", "annotations",
    "masks",
})  # fmt: skip
"""Names of folders that separate images from their labels, in lower case."""

UNCLASSIFIED, OTHER = "unclassified image", "other folder"
"""Skipped images next to class folders, and skipped folders next to those of splits."""

SPECIFY = "specify parts: {train: FOLDER, test: FOLDER}, or parts: {} if each folder is a class"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Folders of a dataset.

    Args:
        parts: Folder of each split, relative to the root; empty if the folders in the root are
            classes.
        classes: Split and folder of each class, by split, in alphabetical order.
    """

    parts: Mapping[str, str]
    classes: Sequence[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """Names of the classes, which are those of the training folders."""
        return [class_of(folder) for part, folder in self.classes if part == "train"]


def class_of(folder: str) -> str:
    """Return the name of the class of a folder.

    Args:
        folder: Path of the folder.
    """
    return folder.rpartition("/")[2]


def stated_parts(value: object) -> dict[str, str] | None:
    """Check the argument that specifies the folders of the splits.

    Args:
        value: Value as given; None if the folders are detected by their names.

    Returns:
        Folder of each split relative to the root, which may be empty; None if nothing is specified.

    Raises:
        DsxError: If the value is something else.
    """
    if value is None:
        return None
    example = ", ".join(f"{part}: FOLDER" for part in PARTS)
    allowed = f"(allowed: {{{example}}}, at least train; or {{}} if each folder is a class)"
    if not isinstance(value, Mapping):
        raise DsxError(f"parts: {short(value)} {allowed}")
    found: dict[str, str] = {}
    for key, folder in value.items():
        part = parse_part(key) if isinstance(key, str) else None
        if part is None:
            raise DsxError(
                f"parts: '{short(key)}' is not the name of a split (allowed: {PART_NAMES}, "
                "optionally with a suffix such as s, _set or 2017)"
            )
        if part in found:
            raise DsxError(f"parts: '{short(key)}' is specified twice {allowed}")
        if not isinstance(folder, str) or not _is_inside(folder):
            raise DsxError(f"parts: {key}: {short(folder)} (allowed: a folder inside the root)")
        found[part] = posixpath.normpath(folder)
    if found and "train" not in found:
        raise DsxError(f"parts: train is missing {allowed}")
    _check_disjoint(found)
    return found


def _check_disjoint(stated: Mapping[str, str]) -> None:
    """Raise an error for splits that share images, because their folders are nested or equal."""
    for (part, folder), (other, outer) in permutations(stated.items(), 2):
        if f"{folder}/".startswith(f"{outer}/"):
            problem = f"the folder of {part}, {short(folder)}, is inside that of {other}"
            if folder == outer:
                problem = f"{part} and {other} have the same folder {short(folder)}"
            raise DsxError(f"parts: {problem} (allowed: disjoint folders)")


def _is_inside(folder: str) -> bool:
    path = posixpath.normpath(folder)
    return not posixpath.isabs(path) and path.partition("/")[0] not in (".", "..")


def find_layout(walk: Walk, stated: Mapping[str, str] | None) -> Layout:
    """Find the folders of the splits and of the classes.

    Args:
        walk: Walk over the folders of the dataset.
        stated: Specified folder of each split; None if the folders are detected by their names.

    Returns:
        The folders.

    Raises:
        DsxError: If a folder cannot be read or contains no classes, or it cannot be determined
            which folders are splits and which are classes.
    """
    parts = _detect_parts(walk) if stated is None else stated
    outer = parts or {"train": ""}
    folders = {part: _class_folders(walk, folder) for part, folder in outer.items()}
    if stated is None:
        _check_classes(walk, outer["train"], folders["train"])
    return Layout(
        parts=parts,
        classes=[(part, folder) for part, inside in folders.items() for folder in inside],
    )


def _detect_parts(walk: Walk) -> dict[str, str]:
    """Detect the folders of splits; empty if no folder in the root has the name of a split."""
    found: dict[str, str] = {}
    others = []
    for name in _folders(walk, ""):
        part = parse_part(name)
        if part is None:
            others.append(name)
        elif part in found:
            both = f"has both '{found[part]}' and '{name}' for {part}"
            raise DsxError(f"{walk.root}: {both} ({SPECIFY})")
        else:
            found[part] = name
    if found and others:
        # A folder called `train` without class folders, next to many other folders, is a class.
        hold_classes = _hold_classes(walk, found.values())
        if list(found) == ["train"] and len(others) >= MAX_INSPECTED and not hold_classes:
            return {}
        # A folder next to several splits that contain class folders is not a class.
        if not ("train" in found and len(found) > 1 and hold_classes):
            _raise_ambiguous(walk, list(found.values()), others)
        walk.skipped[OTHER].update(others)
    if found and "train" not in found:
        raise DsxError(
            f"{walk.root}: has {named(list(found.values()))}, but no folder for training (allowed: "
            f"a folder train; or {SPECIFY})"
        )
    return found


def _raise_ambiguous(walk: Walk, parts: Sequence[str], others: Sequence[str]) -> NoReturn:
    """Raise an error for folders of which only some have names of splits."""
    raise DsxError(
        f"{walk.root}: ambiguous layout, since only some folders have names of splits: "
        f"{named(parts)}; others do not: {named(others)} ({SPECIFY})"
    )


def _hold_classes(walk: Walk, folders: Iterable[str]) -> bool:
    return all(walk.list_folder(folder, suffixes()).is_wrapper for folder in folders)


def _folders(walk: Walk, folder: str) -> list[str]:
    try:
        return walk.folders(folder)
    except DsxError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise DataMissing(
            f"{walk.root / folder}: there is no such folder (allowed: a folder with one folder of "
            "images per class, or with the folders train and val with one folder per class each)"
        ) from error


def _class_folders(walk: Walk, folder: str) -> list[str]:
    found = _folders(walk, folder)
    images = walk.list_folder(folder, suffixes()).images
    if not found:
        count = "1 image" if len(images) == 1 else f"{len(images):,} images"
        content = f", but {count}" if images else ""
        alternative = "; or specify parts without this folder" if folder else ""
        raise DsxError(
            f"{walk.root / folder}: has no folders{content} (allowed: one folder of images per "
            f"class{alternative}){skipped_note(walk)}"
        )
    if images:
        walk.skipped[UNCLASSIFIED].update(posixpath.join(folder, image) for image in images)
    return found


def skipped_note(walk: Walk) -> str:
    """Return a note about skipped entries, to be appended to an error message.

    Args:
        walk: Walk over the folders of the dataset.
    """
    return f"; {walk}" if walk.skipped else ""


def _check_classes(walk: Walk, outer: str, folders: Sequence[str]) -> None:
    """Raise an error for folders that are probably not classes."""
    names = [class_of(folder) for folder in folders]
    where = walk.root / outer
    inside = {folder: walk.list_folder(folder, suffixes()) for folder in folders[:MAX_INSPECTED]}
    if len(folders) == 1 and (not outer or inside[folders[0]].is_wrapper):
        _raise_single_folder(walk, outer, folders[0])
    if reserved := [name for name in names if name.lower() in NO_CLASSES]:
        raise DsxError(
            f"{where}: folders called {named(reserved)} are probably not classes (allowed: one "
            f"folder of images per class; found: {named(names)}; or {SPECIFY})"
        )
    if _are_like_parts(names, alone=not outer):
        problem = f"the folders {named(names)} may be splits or classes"
        raise DsxError(f"{where}: ambiguous layout: {problem} ({SPECIFY})")
    for folder, content in inside.items():
        if content.folders and (
            all(map(parse_part, content.folders)) or _are_counterparts(content.folders)
        ):
            raise DsxError(
                f"{walk.root / folder}: has {named(content.folders)}, but splits inside of a class "
                f"are not supported (allowed: train/{short(class_of(folder))} and so on; or "
                "parts: {} to sample the splits from all images of each class)"
            )
    _check_not_shared(walk, outer, names, list(inside.values()))


def _are_like_parts(names: Sequence[str], *, alone: bool) -> bool:
    """Check whether folders have names of splits."""
    if _are_counterparts(names):
        return True
    words = [find_parts(name) for name in names]
    if not set.union(*words) > {"train"} or not (alone or all(map(parse_part, names))):
        return False
    return len(names) <= MAX_INSPECTED or 2 * sum(map(bool, words)) >= len(names)


def _are_counterparts(names: Sequence[str]) -> bool:
    """Check whether some of a few folders, or most of many, differ only in the word for a split."""
    found = find_counterparts(names)
    return bool(found) and (len(names) <= MAX_INSPECTED or 2 * len(found) >= len(names))


def _check_not_shared(
    walk: Walk, outer: str, names: Sequence[str], inside: Sequence[FolderListing]
) -> None:
    """Raise an error for folders without images that contain the same folders, as splits do."""
    if not all(content.is_wrapper for content in inside):
        return
    shared = reduce(set.intersection, (set(content.folders) for content in inside))
    if shared:
        raise DsxError(
            f"{walk.root / outer}: ambiguous layout: {named(names)} may be splits or classes, "
            f"since all of them have the folders {named(sorted(shared))} ({SPECIFY})"
        )


def _raise_single_folder(walk: Walk, outer: str, folder: str) -> None:
    """Raise an error for a folder that only contains another one, with advice."""
    inner = folder
    while (content := walk.list_folder(inner, suffixes())).is_wrapper and len(content.folders) == 1:
        inner = f"{inner}/{content.folders[0]}"
    has = f"{walk.root / outer}: has only the folder '{short(class_of(folder))}'"
    if not content.is_wrapper:
        raise DsxError(
            f"{has} (allowed: two or more classes, or train and test with classes in both)"
        )
    advice = f"root: {printable(str(walk.root / inner))}"
    if outer:
        advice = f"parts: {{train: {printable(inner)}, ...}}"
    raise DsxError(f"{has}; its content is {named(content.folders)} (to read it, specify {advice})")
