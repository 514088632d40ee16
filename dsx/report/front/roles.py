"""Roles of designs relative to the front, and how each of them looks in every view."""

from dataclasses import dataclass
from enum import StrEnum

from dsx.analysis import Entry, Front, Membership


class Role(StrEnum):
    """The role of a design relative to the front of its study."""

    INFEASIBLE = "infeasible"
    LEFT_OUT = "left out"
    DOMINATED = "dominated"
    POSSIBLE = "possible"
    UNCERTAIN = "uncertain"
    FRONT = "front"
    BASELINE = "baseline"
    KNEE = "knee"


@dataclass(frozen=True, kw_only=True)
class Look:
    """The look of a role.

    Args:
        legend: Name of the role in a legend.
        glyph: Character in tables and in the plot of the terminal.
        hollow_glyph: Character if membership of the front is uncertain.
        style: Style of rich in the plot of the terminal.
        colour: Colour of figures and pages (Okabe and Ito, distinct with any colour vision).
        marker: Marker of Matplotlib.
        area: Area of the marker in square points.
        layer: Order of drawing; a higher layer covers the lower ones.
        symbol: Symbol of Plotly.
        size: Size of the symbol in pixels.
        edge: Colour of the edge; empty for roles without trial number and error bars.
    """

    legend: str
    glyph: str
    hollow_glyph: str
    style: str
    colour: str
    marker: str
    area: float
    layer: int
    symbol: str
    size: int
    edge: str = ""

    @property
    def named(self) -> bool:
        """Whether the trial number and the error bars of the role are shown."""
        return bool(self.edge)


LOOKS: dict[Role, Look] = {
    Role.INFEASIBLE: Look(
        legend="infeasible", glyph="x", hollow_glyph="x", style="dim red", colour="#bdbdbd",
        marker="X", area=22, layer=2, symbol="x", size=7,
    ),
    Role.LEFT_OUT: Look(
        legend="not on the front (predicted)", glyph="-", hollow_glyph="-", style="dim",
        colour="#d9d9d9", marker="v", area=16, layer=2, symbol="triangle-down", size=7,
    ),
    Role.DOMINATED: Look(
        legend="dominated", glyph="·", hollow_glyph="·", style="dim", colour="#a6a6a6",
        marker="o", area=16, layer=2, symbol="circle", size=7,
    ),
    Role.POSSIBLE: Look(
        legend="dominated", glyph="◦", hollow_glyph="◦", style="cyan", colour="#cc79a7",
        marker="o", area=18, layer=3, symbol="circle", size=7,
    ),
    Role.UNCERTAIN: Look(
        legend="front", glyph="○", hollow_glyph="○", style="blue", colour="#0072b2",
        marker="o", area=42, layer=4, symbol="circle", size=11, edge="white",
    ),
    Role.FRONT: Look(
        legend="front", glyph="●", hollow_glyph="●", style="blue", colour="#0072b2",
        marker="o", area=42, layer=4, symbol="circle", size=11, edge="white",
    ),
    Role.BASELINE: Look(
        legend="baseline", glyph="◆", hollow_glyph="◇", style="bold yellow", colour="#d55e00",
        marker="D", area=46, layer=5, symbol="diamond", size=12, edge="black",
    ),
    Role.KNEE: Look(
        legend="knee", glyph="★", hollow_glyph="☆", style="bold cyan", colour="#e69f00",
        marker="*", area=190, layer=6, symbol="star", size=17, edge="black",
    ),
}  # fmt: skip
"""Look of each role, in the order of drawing."""


def role(front: Front, entry: Entry) -> Role:
    """Determine the role of a design; a baseline that is the knee has the role of the knee.

    Args:
        front: Front of a study.
        entry: One of its designs.

    Returns:
        The role.
    """
    if front.has_knee and entry.id == front.knee.id:
        return Role.KNEE
    if entry.id == front.baseline:
        return Role.BASELINE
    if entry.id in front.front_ids:
        certain = front.membership[entry.id] == Membership.CERTAIN
        return Role.FRONT if certain else Role.UNCERTAIN
    if front.membership[entry.id] == Membership.POSSIBLE:
        return Role.POSSIBLE
    if entry.missing:
        return Role.LEFT_OUT
    return Role.DOMINATED if entry.feasible else Role.INFEASIBLE


def hollow(front: Front, kind: Role) -> bool:
    """Check whether a role has a hollow mark, because its membership of the front is uncertain.

    Args:
        front: Front of a study.
        kind: A role; for the knee and the baseline the membership of that design decides.

    Returns:
        Whether the mark is hollow.
    """
    if kind == Role.KNEE:
        return front.has_knee and front.membership[front.knee.id] == Membership.POSSIBLE
    if kind == Role.BASELINE:
        return front.membership.get(front.baseline) == Membership.POSSIBLE
    return kind in (Role.UNCERTAIN, Role.POSSIBLE)


def legend(front: Front, kind: Role) -> str:
    """Name a role for a legend.

    Args:
        front: Front of a study.
        kind: A role.

    Returns:
        Such as "knee", "knee, the baseline" if they are the same design, or "front (uncertain)".
    """
    both = kind == Role.KNEE and front.has_knee and front.knee.id == front.baseline
    name = "knee, the baseline" if both else LOOKS[kind].legend
    return f"{name} (uncertain)" if hollow(front, kind) else name


def glyph(front: Front, kind: Role) -> str:
    """Return the character that marks a role in tables and in the plot of the terminal.

    Args:
        front: Front of a study.
        kind: A role.

    Returns:
        One character.
    """
    look = LOOKS[kind]
    return look.hollow_glyph if hollow(front, kind) else look.glyph


def status(front: Front, entry: Entry) -> str:
    """Describe the position of a design, whether or not it is the knee or the baseline.

    Args:
        front: Front of a study.
        entry: One of its designs.

    Returns:
        Such as "on the front", "dominated (uncertain)", "infeasible", or the reason for which an
        objective was not measured.
    """
    if entry.missing:
        return next(iter(entry.missing.values()))
    if not entry.feasible:
        return "infeasible"
    position = "on the front" if entry.id in front.front_ids else "dominated"
    return (
        f"{position} (uncertain)" if front.membership[entry.id] == Membership.POSSIBLE else position
    )
