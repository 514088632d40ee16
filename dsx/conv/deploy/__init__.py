"""Deployment of a network: each dsx convolution in the fastest of its deployed forms.

Each deployed form has its own file. `_base.py` defines what a form is, `_choose.py` how the fastest
one is selected, and `_deploy.py` deploys a whole network.
"""

from dsx.conv.deploy._base import Form
from dsx.conv.deploy._choose import (
    DENSE,
    EAGER,
    SCREEN_SECONDS,
    Choice,
    Runner,
    candidates,
    choose,
)
from dsx.conv.deploy._deploy import Deployed, deploy
from dsx.conv.deploy._structure import Structure, structure, tensor_facts

__all__ = [
    "DENSE",
    "EAGER",
    "SCREEN_SECONDS",
    "Choice",
    "Deployed",
    "Form",
    "Runner",
    "Structure",
    "candidates",
    "choose",
    "deploy",
    "structure",
    "tensor_facts",
]
