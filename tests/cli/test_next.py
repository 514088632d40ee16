"""Commands that are printed after a search can be run unchanged."""

from dataclasses import replace

import pytest

from dsx.cli._next import NextCommands
from tests.analysis.test_front import entry, front

DEFAULT = "sqlite:///studies/dsx.db"
SERVER = "postgresql://u:s3cret@h/d"


def command(storage: str, *own: str, mix_devices: bool = False) -> str:
    return NextCommands("s", storage, own, mix_devices).command("pareto", "--plot", "a.png")


@pytest.mark.parametrize(
    ("variable", "storage", "place"),
    [
        (None, DEFAULT, ""),
        (None, "sqlite:///a b.db", " --storage 'sqlite:///a b.db'"),
        (None, SERVER, ""),
        (SERVER, SERVER, ""),
        ("sqlite:///a.db", "sqlite:///a.db", ""),
        # The default must be named if a variable names another database.
        ("sqlite:///a.db", DEFAULT, f" --storage {DEFAULT}"),
    ],
)
def test_the_database_is_named_unless_a_variable_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, storage: str, place: str
) -> None:
    if variable is not None:
        monkeypatch.setenv("DSX_STORAGE", variable)
    assert command(storage) == f"dsx pareto s{place} --plot a.png"


@pytest.mark.parametrize(("variable", "printed"), [(None, True), (SERVER, False)])
def test_a_password_is_not_printed_but_mentioned(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str | None,
    printed: bool,
) -> None:
    if variable is not None:
        monkeypatch.setenv("DSX_STORAGE", variable)
    NextCommands("s", SERVER, [], False).print_password_note()
    out, err = capsys.readouterr()
    assert out == ""
    assert ("DSX_STORAGE" in err and "password" in err) == printed
    assert "s3cret" not in err
    assert err.count("\n") == printed


def test_flagged_latencies_are_measured_again_in_the_same_database_with_the_same_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    following = NextCommands("s", "sqlite:///a.db", ["--space", "my.yaml"], True)
    following.print_flagged(0)
    following.print_flagged(1)
    err = capsys.readouterr().err
    assert err.startswith("1 Pareto-relevant latency is flagged")
    assert err.endswith(": dsx refine s --storage sqlite:///a.db --for 2m --space my.yaml\n")


def test_hints_name_the_study_and_its_database() -> None:
    found = front(entry(3, accuracy=0.9), accuracy="maximize")
    hints = NextCommands("s", "sqlite:///a.db").hints(found)
    assert hints.everything == "dsx pareto s --storage sqlite:///a.db --all"
    assert hints.design == "dsx show s --storage sqlite:///a.db --pick knee"
    mixed = replace(found, devices={"x": 1, "y": 2})
    assert NextCommands("s", DEFAULT).hints(mixed).design == "dsx show s --pick '#3'"
    assert NextCommands("s", DEFAULT).hints(replace(found, entries=())).design.endswith("baseline")
