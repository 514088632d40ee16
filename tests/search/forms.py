"""Deployed forms that do not depend on the clock."""

from collections.abc import Mapping

import pytest
from torch import nn

from dsx.conv.deploy import Choice, _choose


def let_forms_be(own: bool, patch: pytest.MonkeyPatch) -> None:
    """Patch the selection of deployed forms: the dense form, or a form other than dense.

    With dense forms every redesigned network has the deployed network of the baseline.
    """

    def select(forms: Mapping[str, nn.Module], *_: object) -> Choice:
        others = [name for name in forms if name != _choose.DENSE]
        return Choice(form=min(others, default=_choose.DENSE) if own else _choose.DENSE, seconds={})

    patch.setattr(_choose, "fastest", select)
