"""The note about deployed networks whose counts differ from those of their designs."""

from dataclasses import replace

from dsx.analysis.front import Front
from dsx.report.front.deployed import deployed_notes
from dsx.report.front.rows import document
from tests.report.front.test_table import shown


def with_counts(front: Front, **more: int) -> Front:
    """Increase the counts of all deployed networks by some numbers."""
    return replace(
        front,
        entries=tuple(
            replace(
                entry,
                deployed_counts={
                    name: int(entry.metrics[name].value) + extra for name, extra in more.items()
                },
            )
            for entry in front.entries
        ),
    )


def test_equal_or_unknown_counts_have_no_note(two: Front) -> None:
    assert list(deployed_notes(two)) == []
    assert list(deployed_notes(with_counts(two, flops=0, params=0))) == []


def test_designs_whose_counts_differ_are_named_under_the_table(two: Front) -> None:
    some = with_counts(two, flops=10_000_000, params=0)
    (note,) = deployed_notes(some)
    assert note.startswith("deployed (batch norms folded, dense forms with their zeros): #")
    entry = some.on_front[0]
    designed, deployed = entry.metrics["flops"].value / 1e6, entry.deployed_counts["flops"] / 1e6
    assert f"#{entry.trial}: {deployed:.1f} M flops (designed {designed:.1f} M)" in note
    assert "params" not in note
    assert "deployed (batch norms folded" in shown(some, 100, complete=True)


def test_the_document_has_the_counts(two: Front) -> None:
    some = with_counts(two, flops=5, params=7)
    designs = document(some)["designs"]
    assert isinstance(designs, list)
    assert [one["deployed_counts"] for one in designs] == [
        dict(entry.deployed_counts) for entry in some.entries
    ]
