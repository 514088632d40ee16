"""Deploy a network: each dsx convolution in the fastest of several equal forms.

One file per form; see `_base.py` for what a form is and `_deploy.py` for how they are chosen.
"""

from dsx.conv.deploy._base import Form
from dsx.conv.deploy._choose import EAGER, SCREEN_SECONDS, Choice, Runner
from dsx.conv.deploy._deploy import Deployed, deploy
from dsx.conv.deploy._structure import Structure, structure, tensor_facts

__all__ = [
    "EAGER",
    "SCREEN_SECONDS",
    "Choice",
    "Deployed",
    "Form",
    "Runner",
    "Structure",
    "deploy",
    "structure",
    "tensor_facts",
]
