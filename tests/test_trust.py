"""Import paths are imported only if the user has given them."""

import pytest

from dsx.errors import DsxError
from dsx.lookup import load
from dsx.trust import import_paths, restricted, trust_all_paths, trust_paths

PATH = "dsx.errors:unknown"


def test_a_program_that_imports_dsx_is_not_restricted() -> None:
    assert callable(load(PATH))


def test_untrusted_paths_are_rejected_with_advice() -> None:
    with restricted(()), pytest.raises(DsxError, match=r"'dsx\.errors:unknown' is not imported,"):
        load(PATH)
    with restricted(["dsx.errors:other"]), pytest.raises(DsxError, match="add space=FILE"):
        load(PATH)


def test_trusted_paths_are_imported_until_the_restriction_ends() -> None:
    with restricted(()):
        with restricted(()):
            trust_paths([PATH])
            assert callable(load(PATH))
        with pytest.raises(DsxError, match="or trust=True"):
            load(PATH)
        trust_all_paths()
        assert callable(load(PATH))


def test_paths_are_found_in_nested_values() -> None:
    content = {"model": "a:B", "rules": [{"shape": ["full", "c:D"]}, 3, None], "e:F": "minimize"}
    assert import_paths(content) == {"a:B", "c:D", "e:F"}
