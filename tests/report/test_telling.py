"""What is being done, told on stderr."""

import pytest

from dsx.report.telling import telling


def test_without_a_terminal_only_news_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with telling() as tell:
        for words in ("timing", "training, 1% done", "training, 2% done", "timing"):
            tell(words)
    assert capsys.readouterr() == ("", "timing\ntraining\ntiming\n")


def test_on_a_terminal_a_line_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with telling() as tell:
        tell("training, 1% done")
    out, err = capsys.readouterr()
    assert (out, err.endswith("training\n")) == ("", False)
