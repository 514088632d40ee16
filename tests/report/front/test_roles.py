"""Roles of designs relative to the front, and their looks."""

from dsx.analysis.front import Front
from dsx.report.front.roles import LOOKS, Role, glyph, hollow, legend, role, status


def test_roles_and_status(two: Front, baseline_only: Front, infeasible: Front) -> None:
    roles = {entry.trial: role(two, entry) for entry in two.entries}
    assert roles.pop(0) == "baseline"
    assert roles.pop(3) == "knee"
    assert roles.pop(8) == "infeasible"
    assert roles.pop(5) == roles.pop(6) == "dominated"
    assert roles == {1: "front", 4: "front", 2: "uncertain", 7: "uncertain"}
    states = [status(two, entry) for entry in two.entries if entry.trial in (0, 1, 2, 5, 8)]
    assert states == [
        "dominated (uncertain)",
        "on the front",
        "on the front (uncertain)",
        "dominated",
        "infeasible",
    ]
    assert role(baseline_only, baseline_only.entries[0]) == "knee"
    assert legend(baseline_only, Role.KNEE) == "knee, the baseline"
    assert legend(two, Role.KNEE) == legend(infeasible, Role.KNEE) == "knee"
    assert role(infeasible, infeasible.entries[0]) == "infeasible"


def test_uncertain_membership_is_hollow(
    two: Front, one: Front, baseline_only: Front, incomplete: Front
) -> None:
    assert [kind for kind in Role if hollow(two, kind)] == ["possible", "uncertain", "baseline"]
    assert not any(hollow(baseline_only, kind) for kind in (Role.KNEE, Role.BASELINE))
    assert not hollow(incomplete, Role.BASELINE)
    assert hollow(one, Role.KNEE) and legend(one, Role.KNEE) == "knee (uncertain)"
    kinds = (Role.KNEE, Role.BASELINE, Role.FRONT)
    assert [glyph(one, kind) for kind in kinds] == ["☆", "◇", "●"]
    assert glyph(two, Role.KNEE) == "★"
    assert legend(two, Role.POSSIBLE) == "dominated (uncertain)"


def test_every_role_has_a_different_glyph() -> None:
    assert list(LOOKS) == list(Role)
    assert len({look.glyph for look in LOOKS.values()}) == len(Role)
    layers = [look.layer for look in LOOKS.values()]
    assert layers == sorted(layers)
