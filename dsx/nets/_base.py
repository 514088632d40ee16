"""What a network variant is, and how a space names one."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dsx.errors import DsxError
from dsx.lookup import find, load


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network.

    Args:
        build: From the arguments that a space gives it to the network, with fresh weights; all
            can be left out, and `classes` and `in_channels` are among them.
        image_shape: What the network takes where no argument is given: channels, rows, columns.
    """

    build: Callable[..., nn.Module]
    image_shape: tuple[int, int, int]


def network_builder(name: str) -> Callable[..., nn.Module]:
    """Find what builds a network.

    Args:
        name: A file in `dsx/nets`, or `package.module:callable` for any callable that returns a
            nn.Module.

    Returns:
        The callable.

    Raises:
        DsxError: If there is no such network.
    """
    if ":" not in name:
        return find(Net, name).build
    found = load(name)
    if isinstance(found, Net):
        return found.build
    if not callable(found):
        raise DsxError(f"'{name}' is a {type(found).__name__}, not something that can be called")
    return found


def image_shape(name: str) -> tuple[int, int, int] | None:
    """Say what images a network takes with its default arguments.

    Args:
        name: As `network_builder` takes it.

    Returns:
        Channels, rows, columns; None where nobody has said so.

    Raises:
        DsxError: If there is no such network.
    """
    found = load(name) if ":" in name else find(Net, name)
    return found.image_shape if isinstance(found, Net) else None
