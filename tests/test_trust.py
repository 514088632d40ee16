"""Import paths are followed where the user gave them, and nowhere else."""

import pytest

from dsx.errors import DsxError
from dsx.lookup import load
from dsx.trust import give, give_all, import_paths, restricted

PATH = "dsx.errors:unknown"


def test_a_program_that_imports_dsx_is_under_no_restriction() -> None:
    assert callable(load(PATH))


def test_what_was_not_given_is_refused_and_says_what_to_add() -> None:
    with restricted(()), pytest.raises(DsxError, match=r"'dsx\.errors:unknown' is not imported,"):
        load(PATH)
    with restricted(["dsx.errors:other"]), pytest.raises(DsxError, match="add space=FILE"):
        load(PATH)


def test_what_was_given_is_followed_until_the_restriction_ends() -> None:
    with restricted(()):
        with restricted(()):
            give([PATH])
            assert callable(load(PATH))
        with pytest.raises(DsxError, match="or trust=True"):
            load(PATH)
        give_all()
        assert callable(load(PATH))


def test_paths_are_found_wherever_they_stand() -> None:
    content = {"model": "a:B", "rules": [{"shape": ["full", "c:D"]}, 3, None], "e:F": "minimize"}
    assert import_paths(content) == {"a:B", "c:D", "e:F"}
