"""Replacement of modules inside a network."""

from collections.abc import Mapping

from torch import nn

from dsx.torch_private import own_children


def swap(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> None:
    """Replace modules at all their occurrences in a network, in place.

    Args:
        network: Network to modify; its root module itself cannot be replaced.
        replacements: New module for each old module.
    """
    for parent in list(network.modules()):
        # Not `named_children`, which omits the second name of a child that has two.
        for name, child in list(own_children(parent).items()):
            if child is not None and child in replacements:
                setattr(parent, name, replacements[child])
