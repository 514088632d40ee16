"""Exchange modules inside a network, wherever they are held."""

from collections.abc import Mapping

from torch import nn

from dsx.torch_private import own_children


def swap(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> None:
    """Exchange modules in place; one that is held in several places is exchanged in each.

    Args:
        network: The network; its root itself is not exchanged.
        replacements: From the old module to the new one.
    """
    for parent in list(network.modules()):
        # Not named_children: it leaves out the second name of a child that is held twice.
        for name, child in list(own_children(parent).items()):
            if child is not None and child in replacements:
                setattr(parent, name, replacements[child])
