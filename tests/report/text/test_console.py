"""Consoles and glyphs."""

import pytest

from dsx.report.front.roles import LOOKS
from dsx.report.text.console import console, transliterate


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


def test_all_glyphs_have_an_ascii_replacement() -> None:
    glyphs = "".join(look.glyph for look in LOOKS.values())
    marks = glyphs + "".join(look.hollow_glyph for look in LOOKS.values()) + "±│─┤┴└"
    assert transliterate(marks, False) == marks
    assert transliterate(marks, True).isascii()
    assert len(set(transliterate(glyphs, True))) == len(LOOKS)
