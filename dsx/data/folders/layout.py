"""Recognise how the folders of a data set are laid out, and refuse what could mean two things."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from typing import NoReturn

from dsx.data._contents import named
from dsx.data._splits import PART_NAMES, PARTS, counterparts, part_of, parts_in
from dsx.data.folders.walk import Glance, Walk
from dsx.data.images.decode import suffixes
from dsx.errors import DataMissing, DsxError, printable, short

LOOKED_INTO = 20
"""Class folders whose content is looked at: parts that are taken for classes are few.

Among more folders than these, a few that are named like parts by chance are classes.
"""

NO_CLASSES = frozenset({
    "image", "images", "img", "imgs", "jpegimages", "label", "labels", "annotation", "annotations",
    "masks",
})  # fmt: skip
"""Names of folders that separate images from their labels, in lower case."""

UNCLASSIFIED, OTHER = "unclassified image", "other folder"
"""Skipped images next to the folders of classes, and skipped folders next to those of parts."""

STATE = "state parts: {train: FOLDER, test: FOLDER}, or parts: {} if each folder is a class"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of a data set.

    Args:
        parts: Folder of each part, relative to the root; empty if the folders are classes.
        classes: Part and folder of each class, part by part, in alphabetical order.
    """

    parts: Mapping[str, str]
    classes: Sequence[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """Names of the classes, which are those of the training folders."""
        return [class_of(folder) for part, folder in self.classes if part == "train"]


def class_of(folder: str) -> str:
    """Return the name of the class of a folder."""
    return folder.rpartition("/")[2]


def stated_parts(value: object) -> dict[str, str] | None:
    """Check the argument that states the folders of the parts.

    Args:
        value: As given; None if the folders are to be recognised by their names.

    Returns:
        Folder of each part relative to the root, which may be none; None if nothing is stated.

    Raises:
        DsxError: If it is something else.
    """
    if value is None:
        return None
    words = ", ".join(f"{part}: FOLDER" for part in PARTS)
    allowed = f"(allowed: {{{words}}}, at least train; or {{}} if each folder is a class)"
    if not isinstance(value, Mapping):
        raise DsxError(f"parts: {short(value)} {allowed}")
    found: dict[str, str] = {}
    for key, folder in value.items():
        part = part_of(key) if isinstance(key, str) else None
        if part is None:
            raise DsxError(
                f"parts: '{short(key)}' is not the name of a part (allowed: {PART_NAMES}, also "
                "with an ending such as s, _set or 2017)"
            )
        if part in found:
            raise DsxError(f"parts: '{short(key)}' is a part that is stated twice {allowed}")
        if not isinstance(folder, str) or not _is_inside(folder):
            raise DsxError(f"parts: {key}: {short(folder)} (allowed: a folder inside the root)")
        found[part] = posixpath.normpath(folder)
    if found and "train" not in found:
        raise DsxError(f"parts: no folder for train {allowed}")
    _check_apart(found)
    return found


def _check_apart(stated: Mapping[str, str]) -> None:
    """Refuse parts that share images, because one of their folders is or holds the other."""
    for (part, folder), (other, outer) in permutations(stated.items(), 2):
        if f"{folder}/".startswith(f"{outer}/"):
            problem = f"the folder of {part}, {short(folder)}, lies in that of {other}"
            if folder == outer:
                problem = f"{part} and {other} both name the folder {short(folder)}"
            raise DsxError(f"parts: {problem} (allowed: folders that share no images)")


def _is_inside(folder: str) -> bool:
    path = posixpath.normpath(folder)
    return not posixpath.isabs(path) and path.partition("/")[0] not in (".", "..")


def find_layout(walk: Walk, stated: Mapping[str, str] | None) -> Layout:
    """Find the folders of the parts and of the classes.

    Args:
        walk: Walk over the folders of the data set.
        stated: Folder of each part, if it is stated.

    Returns:
        The folders.

    Raises:
        DsxError: If a folder cannot be read or holds no classes, or the names and the content of
            the folders leave open which are parts and which are classes.
    """
    parts = _recognised_parts(walk) if stated is None else stated
    outer = parts or {"train": ""}
    folders = {part: _class_folders(walk, folder) for part, folder in outer.items()}
    if stated is None:
        _check_classes(walk, outer["train"], folders["train"])
    return Layout(
        parts=parts,
        classes=[(part, folder) for part, inside in folders.items() for folder in inside],
    )


def _recognised_parts(walk: Walk) -> dict[str, str]:
    """Find the folders of parts; none if no folder in the root is called like one."""
    found: dict[str, str] = {}
    others = []
    for name in _folders(walk, ""):
        part = part_of(name)
        if part is None:
            others.append(name)
        elif part in found:
            both = f"has both '{found[part]}' and '{name}' for {part}"
            raise DsxError(f"{walk.root}: {both} ({STATE})")
        else:
            found[part] = name
    if found and others:
        # Training images that are in no folders of classes, next to many folders, are a class.
        hold_classes = _hold_classes(walk, found.values())
        if list(found) == ["train"] and len(others) >= LOOKED_INTO and not hold_classes:
            return {}
        # A folder next to several parts that hold folders of classes is certainly no class.
        if not ("train" in found and len(found) > 1 and hold_classes):
            _ask_which(walk, list(found.values()), others)
        walk.skipped[OTHER].update(others)
    if found and "train" not in found:
        raise DsxError(
            f"{walk.root}: has {named(list(found.values()))}, but no folder for training (allowed: "
            f"a folder train; or {STATE})"
        )
    return found


def _ask_which(walk: Walk, parts: Sequence[str], others: Sequence[str]) -> NoReturn:
    """Refuse folders of which some are named like parts."""
    like = "is named like a part" if len(parts) == 1 else "are named like parts"
    others_are = "is" if len(others) == 1 else "are"
    raise DsxError(
        f"{walk.root}: {named(parts)} {like}, but {named(others)} {others_are} not: which folders "
        f"are parts, which are classes? ({STATE})"
    )


def _hold_classes(walk: Walk, folders: Iterable[str]) -> bool:
    return all(walk.glance(folder, suffixes()).is_wrapper for folder in folders)


def _folders(walk: Walk, folder: str) -> list[str]:
    try:
        return walk.folders(folder)
    except DsxError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise DataMissing(
            f"{walk.root / folder}: there is no such folder (put a folder of images for each class "
            "there, or the folders train and val with a folder for each class in both)"
        ) from error


def _class_folders(walk: Walk, folder: str) -> list[str]:
    found = _folders(walk, folder)
    images = walk.glance(folder, suffixes()).images
    if not found:
        count = "1 image" if len(images) == 1 else f"{len(images):,} images"
        beside = f", but {count} itself" if images else ""
        leave = "; or state parts without this folder" if folder else ""
        raise DsxError(
            f"{walk.root / folder}: has no folders{beside} (allowed: a folder of images for each "
            f"class{leave}){after(walk)}"
        )
    if images:
        walk.skipped[UNCLASSIFIED].update(posixpath.join(folder, image) for image in images)
    return found


def after(walk: Walk) -> str:
    """Name what was skipped, after a message about what is missing."""
    return f"; {walk}" if walk.skipped else ""


def _check_classes(walk: Walk, outer: str, folders: Sequence[str]) -> None:
    """Refuse folders that are probably no classes, but whose meaning is not known."""
    names = [class_of(folder) for folder in folders]
    where = walk.root / outer
    inside = {folder: walk.glance(folder, suffixes()) for folder in folders[:LOOKED_INTO]}
    if len(folders) == 1 and (not outer or inside[folders[0]].is_wrapper):
        _refuse_single(walk, outer, folders[0])
    if strange := [name for name in names if name.lower() in NO_CLASSES]:
        raise DsxError(
            f"{where}: folders called {named(strange)} are not taken for classes (allowed: a "
            f"folder of images for each class; found: {named(names)}; or {STATE})"
        )
    if _are_like_parts(names, alone=not outer):
        raise DsxError(f"{where}: are the folders {named(names)} parts or classes? ({STATE})")
    for folder, content in inside.items():
        if content.folders and (
            all(map(part_of, content.folders)) or _are_counterparts(content.folders)
        ):
            raise DsxError(
                f"{walk.root / folder}: has {named(content.folders)}, but parts inside of a class "
                f"are not read (allowed: train/{short(class_of(folder))} and so on; or parts: {{}} "
                "to draw the parts from all images of each class)"
            )
    _check_not_shared(walk, outer, names, list(inside.values()))


def _are_like_parts(names: Sequence[str], *, alone: bool) -> bool:
    """Check whether folders are named like parts, which they may be if there are no others."""
    if _are_counterparts(names):
        return True
    words = [parts_in(name) for name in names]
    if not set.union(*words) > {"train"} or not (alone or all(map(part_of, names))):
        return False
    return len(names) <= LOOKED_INTO or 2 * sum(map(bool, words)) >= len(names)


def _are_counterparts(names: Sequence[str]) -> bool:
    """Check whether some of a few folders, or most of many, differ in the word for a part only."""
    found = counterparts(names)
    return bool(found) and (len(names) <= LOOKED_INTO or 2 * len(found) >= len(names))


def _check_not_shared(
    walk: Walk, outer: str, names: Sequence[str], inside: Sequence[Glance]
) -> None:
    """Refuse folders without images that hold the same folders, as parts do."""
    if not all(content.is_wrapper for content in inside):
        return
    shared = reduce(set.intersection, (set(content.folders) for content in inside))
    if shared:
        raise DsxError(
            f"{walk.root / outer}: all of {named(names)} have the folders {named(sorted(shared))}: "
            f"are they parts or classes? ({STATE})"
        )


def _refuse_single(walk: Walk, outer: str, folder: str) -> None:
    """Refuse a folder that only holds another one, and name the one to be given instead."""
    inner = folder
    while (content := walk.glance(inner, suffixes())).is_wrapper and len(content.folders) == 1:
        inner = f"{inner}/{content.folders[0]}"
    has = f"{walk.root / outer}: has only the folder '{short(class_of(folder))}'"
    if not content.is_wrapper:
        raise DsxError(
            f"{has} (allowed: two or more classes, or train and test with classes in both)"
        )
    give = f"root: {printable(str(walk.root / inner))}"
    if outer:
        give = f"parts: {{train: {printable(inner)}, ...}}"
    raise DsxError(f"{has}; its content is {named(content.folders)} (to read these, give {give})")
