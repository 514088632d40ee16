"""Writing and replacing of the page of a benchmark, and protection of other files."""

from pathlib import Path

import pytest

from dsx.bench._pages import check_page, write_page
from dsx.errors import DsxError


def test_a_page_is_written_with_its_folder_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "networks.md"
    for text in ("# One\n", "# Two\n"):
        check_page("networks", file)
        write_page("networks", file, text)
        assert file.read_text() == f"<!-- written by dsx bench networks -->\n{text}"


@pytest.mark.parametrize("content", ["", "# Mine\n", "<!-- written by dsx bench other -->\n"])
def test_another_file_is_not_replaced(content: str, tmp_path: Path) -> None:
    file = tmp_path / "networks.md"
    file.write_text(content)
    with pytest.raises(DsxError, match=r"^page: '.*networks\.md' exists"):
        check_page("networks", file)
    assert file.read_text() == content


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DsxError, match=r"^page: '.*' cannot be written: "):
        check_page("networks", tmp_path / "file" / "networks.md")
