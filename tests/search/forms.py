"""Deployed forms that do not depend on the clock."""

from collections.abc import Mapping

import pytest
from torch import nn

from dsx.conv.deploy import Choice, _choose


def let_forms_be(own: bool, patch: pytest.MonkeyPatch) -> None:
    """Let the dense form of each convolution be the fastest, or one of its own forms.

    With the dense form every redesigned network runs as the baseline; with own forms it does not.
    """

    def race(forms: Mapping[str, nn.Module], *_: object) -> Choice:
        others = [name for name in forms if name != _choose.DENSE]
        return Choice(form=min(others, default=_choose.DENSE) if own else _choose.DENSE, seconds={})

    patch.setattr(_choose, "_select", race)
