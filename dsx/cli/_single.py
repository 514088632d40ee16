"""Bring together what `dsx measure` needs: the space, the design, and how it is measured."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dsx.errors import DsxError, quoted
from dsx.measure import this_device
from dsx.measure.backends import refusal
from dsx.measure.device import crowded
from dsx.space import Design, SearchSpace, load_space
from dsx.space.remeasured import remeasured
from dsx.space.settings import outside, read_settings
from dsx.study.choice import load_choice
from dsx.study.single import Single
from dsx.trust import give


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured.

    Args:
        space: With the `measure` that was asked for.
        design: Of its network.
        about: Where the design is from, as plain JSON values.
        notes: What the user should know of it.
        weights: Its trained weights, where a study keeps them.
    """

    space: SearchSpace
    design: Design
    about: Mapping[str, object]
    notes: Sequence[str]
    weights: Mapping[str, Tensor] | None

    def single(
        self,
        storage: str,
        train: bool,
        fresh: bool,
        patience: float,
        doing: Callable[[str], None],
    ) -> Single:
        """Open the database for it."""
        return Single(
            self.space,
            self.design,
            storage,
            train=train,
            fresh=fresh,
            weights=self.weights,
            storage_timeout=patience,
            doing=doing,
        )


def asked(
    words: Sequence[str],
    study: str | None,
    pick: str | None,
    storage: str,
    settings: Mapping[str, Any],
    own: SearchSpace | None = None,
    trust: bool = False,
) -> Asked:
    """Read what is to be measured.

    Args:
        words: A space, and settings of dials.
        study: Name of the study that the design is from; None for the newest, if there is a pick.
        pick: Which design of it; None for its knee, if there is a study.
        storage: Database of the study.
        settings: Keys of `measure` and what they shall be; None as the space says.
        own: The user's own space file of the study, if it was given.
        trust: Whether code that only the database names may run.

    Returns:
        The design.

    Raises:
        DsxError: If a space, a study, a design, a setting of dials or of `measure` cannot be.
    """
    name = words[0] if words and "=" not in words[0] else None
    dials = words if name is None else words[1:]
    # The import path of a shape follows its dial: kernel_shape:package.module:attribute.
    settings_words = [item.strip() for word in dials for item in re.split("[=,()]", word)]
    give([*settings_words, *(item.partition(":")[2] for item in settings_words)])
    if study is None and pick is None:
        if own is not None or trust:
            raise DsxError("--space and --trust: are about a design of a study: name it by --study")
        loaded = load_space(name or "digits")
        about, weights, base = {}, None, loaded.baseline
    else:
        if name is not None:
            raise DsxError(
                f"--study and --pick: have a space of their own; leave out {quoted(name)}"
            )
        choice = load_choice(storage, study, pick or "knee", this_device(), own, trust)
        loaded, base = choice.space, choice.design
        about, weights = {"study": choice.study, "trial": choice.trial}, choice.weights
    design = read_settings(loaded, dials, base.specs)
    space = remeasured(loaded, **settings)
    if any(value is not None for value in settings.values()):
        _check(space)
    if design.id != base.id or settings.get("threads") is not None:
        # They are of another design, or sums in another order could have led elsewhere.
        weights = None
    return Asked(
        space=space,
        design=design,
        about={**about, "outside": outside(loaded, design)},
        notes=_notes(space, design),
        weights=weights,
    )


def _check(space: SearchSpace) -> None:
    problem = refusal(space.file.measure)
    if problem is not None:
        key, words = problem
        raise DsxError(f"--{key.replace('_', '-')}: {words}")


def _notes(space: SearchSpace, design: Design) -> list[str]:
    crowd = [note] if (note := crowded(space.file.measure.threads)) else []
    slots = outside(space, design)
    if not slots:
        return crowd
    more = f" and {len(slots) - 3} more" if len(slots) > 3 else ""
    named = ", ".join(slots[:3])
    return [*crowd, f"note: outside of the space, which does not offer this for {named}{more}"]
