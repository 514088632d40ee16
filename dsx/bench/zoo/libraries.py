"""The networks of timm, torchvision and transformers, built with random weights.

This is the only place of dsx that imports these libraries, and only while the benchmark runs.
"""

import functools
import importlib.machinery
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dsx.bench.zoo.catalogue import SMALL_ZOO, ZOO, Architecture, Published
from dsx.data import Data, Splits
from dsx.errors import DsxError, unknown
from dsx.lookup import find
from dsx.nets import Net

PACKAGES = ("timm", "torchvision", "transformers")
INSTALL = "pip install 'dsx[zoo]'"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators for which torchvision registers a function when it is imported, whether or not its
compiled library, which defines them, could be loaded."""

_ARGUMENTS: Mapping[str, Mapping[str, bool]] = {
    # The published numbers refer to the network with its trained weights.
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"init_weights": False},
    "deeplabv3_mobilenet_v3_large": {"aux_loss": True},
}
"""The default weight initialisation of the first two takes half a minute."""


def missing_packages() -> Sequence[str]:
    """Return the packages of the extra `zoo` that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_installed(packages: Sequence[str]) -> None:
    """Check that packages of the extra `zoo` are installed.

    Args:
        packages: Names of the packages that are needed.

    Raises:
        DsxError: If one of them is not installed.
    """
    missing = [name for name in packages if name in missing_packages()]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise DsxError(f"{', '.join(missing)} {verb} not installed (needed: {INSTALL})")


@functools.cache
def import_torchvision() -> Any:
    """Import torchvision, also with a build of torch that cannot load its compiled operators.

    Returns:
        The module.
    """
    check_installed(["torchvision"])
    _define_missing_operators()
    import torchvision

    return torchvision


@functools.cache
def _define_missing_operators() -> torch.library.Library | None:
    """Define the schemas of the operators whose compiled library does not load.

    Without them `import torchvision` fails. The result is kept because a library removes its
    definitions when it is freed.
    """
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None and spec.submodule_search_locations is not None
    finder = importlib.machinery.FileFinder(
        spec.submodule_search_locations[0],
        (importlib.machinery.ExtensionFileLoader, [*importlib.machinery.EXTENSION_SUFFIXES, ".so"]),
    )
    compiled = finder.find_spec("_C")
    if compiled is not None and compiled.origin is not None:
        try:
            torch.ops.load_library(compiled.origin)  # type: ignore[no-untyped-call]
        except OSError:
            # Built for another torch: torchvision itself continues without it, too.
            compiled = None
    if compiled is not None:
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


def build(architecture: Architecture) -> nn.Module:
    """Build a network with random weights.

    Args:
        architecture: Architecture of the network.

    Returns:
        The network in eval mode. It returns one tensor for a batch of images, or an object with
        `logits`.

    Raises:
        DsxError: If the library is not installed.
    """
    if architecture.library != "dsx":
        # timm imports torchvision as well, and transformers does for some networks.
        check_installed([architecture.library, "torchvision"])
        import_torchvision()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if architecture.library == "dsx":
            network = find(Net, architecture.name).build()
        else:
            network = _BUILDERS[architecture.library](architecture)
    return network.eval()


def _build_timm(architecture: Architecture) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(architecture.name)
    return network


def _build_torchvision(architecture: Architecture) -> nn.Module:
    name, kind = architecture.name, _kind(architecture.name)
    arguments: dict[str, Any] = {"weights": None, **_ARGUMENTS.get(name, {})}
    if kind != "classification":
        arguments["weights_backbone"] = None
    network: nn.Module = import_torchvision().models.get_model(name, **arguments)
    return _Mask(network) if kind == "segmentation" else network


def _build_transformers(architecture: Architecture) -> nn.Module:
    import transformers

    prefix = architecture.name
    arguments = {"num_labels": architecture.classes, **architecture.arguments}
    config = getattr(transformers, f"{prefix}Config")(**arguments)
    network: nn.Module = getattr(transformers, f"{prefix}{architecture.task}")(config)
    return network


_BUILDERS = {
    "timm": _build_timm,
    "torchvision": _build_torchvision,
    "transformers": _build_transformers,
}


class _Mask(nn.Module):
    """A segmentation network of torchvision that returns its mask alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of each pixel."""
        mask: Tensor = self.network(images)["out"]
        return mask


def _kind(name: str) -> str:
    """Return the task of an architecture of torchvision, by the package of its builder."""
    builder = import_torchvision().models.get_model_builder(name)
    package = builder.__module__.split(".")[2]
    return package if package in ("segmentation", "detection") else "classification"


def published(architecture: Architecture) -> Published | None:
    """Return the published numbers of an architecture.

    Args:
        architecture: The architecture.

    Returns:
        The numbers; None if there are none.
    """
    if architecture.library == "torchvision":
        return _published_by_torchvision(architecture.name)
    return architecture.published


def _published_by_torchvision(name: str) -> Published | None:
    """Return the numbers that torchvision publishes with its trained weights."""
    weights = next(iter(import_torchvision().models.get_model_weights(name)))
    transforms = weights.transforms()
    # Detection accepts images of any size, and no numbers are published for a single size.
    side = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None)
    if side is None:
        return None
    flops = float(weights.meta["_ops"]) * 1e9
    return Published(params=weights.meta["num_params"], flops=flops, side=side[0])


def missing_operator(error: Exception) -> str | None:
    """Name the compiled operator of torchvision that a network calls and this machine lacks.

    Args:
        error: Error that the network raised.

    Returns:
        Name of the operator; None if the error is about something else.
    """
    trace, caller = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_name
        if name == "_assert_has_ops":
            return f"torchvision.ops.{caller}"
        caller, trace = name, trace.tb_next
    return None


def network(library: str, name: str) -> nn.Module:
    """Build a network by name, as the `model` of a space file.

    Args:
        library: Name of the library.
        name: Name of the architecture in the library.

    Returns:
        The network.

    Raises:
        DsxError: If the benchmark has no such architecture.
    """
    known = {each.label: each for each in (*SMALL_ZOO, *ZOO)}
    if (label := f"{library} {name}") not in known:
        raise DsxError(unknown("architecture", label, list(known)))
    return build(known[label])


def pixels(channels: int, side: int, classes: int) -> Data:
    """Return data whose images cannot be loaded, as the `data` of a space file without training.

    Args:
        channels: Number of channels of an image.
        side: Height and width of an image in pixels.
        classes: Number of classes.

    Returns:
        The data.
    """
    return Data(load=_no_images, image_shape=(channels, side, side), classes=classes)


def _no_images() -> Splits:
    raise DsxError("the benchmark has no images, since its searches do not train")
