"""Consoles and marks."""

import pytest

from dsx.report.front.roles import LOOKS
from dsx.report.text.console import console, spelled


def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("[bold]#12[/] :smile: 0.412", style="red")
    console(stderr=True).print("note")
    out = capsys.readouterr()
    assert (out.out, out.err) == ("[bold]#12[/] :smile: 0.412\n", "note\n")


def test_no_color_is_respected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console().print("x", style="red")
    assert capsys.readouterr().out == "\x1b[31mx\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    console().print("x", style="red")
    assert capsys.readouterr().out == "x\n"


def test_all_marks_can_be_spelled_in_ascii() -> None:
    glyphs = "".join(look.glyph for look in LOOKS.values())
    marks = glyphs + "".join(look.hollow_glyph for look in LOOKS.values()) + "±│─┤┴└"
    assert spelled(marks, False) == marks
    assert spelled(marks, True).isascii()
    assert len(set(spelled(glyphs, True))) == len(LOOKS)
