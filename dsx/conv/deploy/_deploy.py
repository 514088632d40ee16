"""Deployment of a whole network."""

import functools
from collections.abc import Mapping, MutableMapping

import torch
from torch import Tensor, fx, nn

from dsx.activity import Kind, each
from dsx.conv.deploy._choose import EAGER, Choice, Runner, choose, kernels_in_use
from dsx.conv.deploy._fold import batch_norms, flatten, fold_batch_norms, normalise
from dsx.conv.deploy._fuse import fuse
from dsx.conv.graph.norms import find_protected
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import follow, writable
from dsx.conv.modules.base import ATTRIBUTES, DsxConv
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.network_calls import freeze
from dsx.conv.sparsity.attributes import sync_attributes
from dsx.conv.spec.spec import original_spec
from dsx.conv.timing import Timer, medians
from dsx.errors import Unsupported


class Deployed(nn.Module):
    """A network as it runs on the device, without dsx modules.

    Attributes:
        network: The deployed network; a flat torch.fx.GraphModule if it can be traced.
        choices: Selected form of each dsx convolution and each grouped nn.Conv2d, by name.
        folded: Number of BNs folded into the convolutions before them.
        unfolded: Number of BNs that the network still computes.
        fused: Name of each convolution of the network into which a depthwise one is fused, and the
            name of that.
        folds: Factor and shift, (Cout,) each, folded into each dsx convolution, by name.
        untraced: Reason why torch.fx cannot trace the network, so that no BN is folded; else None.
        sized: Whether the network accepts only images of the size of the sample.
        kernels: Versions of the native kernels that the network calls, with the instruction set on
            a CPU; None if it calls none.
    """

    def __init__(
        self,
        network: nn.Module,
        choices: Mapping[str, Choice],
        folded: int,
        untraced: str | None,
        designed: nn.Module,
        folds: Mapping[str, tuple[Tensor, Tensor]],
        sized: bool = False,
        fused: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.choices = dict(choices)
        self.folded = folded
        self.unfolded = batch_norms(network)
        self.untraced = untraced
        self.sized = sized
        native = [part for part in network.modules() if isinstance(part, BlockSparseConv2d)]
        self.kernels = kernels_in_use(native[0].weights) if native else None
        # In a tuple, so that it is not registered as a submodule.
        self._designed = (designed,)
        self.folds, self.fused = dict(folds), dict(fused or {})

    @property
    def designed(self) -> nn.Module:
        """The network before deployment, whose tensors are those of the design."""
        return self._designed[0]

    def forward(self, x: Tensor) -> Tensor:
        """Run the deployed network.

        Args:
            x: Batch of images, (B, C, H, W).

        Returns:
            The output of the network.
        """
        out: Tensor = self.network(x)
        return out


def deploy(
    model: nn.Module,
    sample: Tensor,
    timer: Timer | None = None,
    form_cache: MutableMapping[str, Choice] | None = None,
    native: bool = False,
    runner: Runner = EAGER,
) -> Deployed:
    """Fold BNs and replace each dsx or grouped convolution by its fastest deployed form.

    Args:
        model: Network to deploy; it is copied, not modified.
        sample: Example input, whose batch size, dtype, memory layout and device determine which
            form is the fastest.
        timer: Function that measures the median times of callables; by default `medians`.
        form_cache: Forms selected earlier, by situation; new selections are added.
        native: Whether to include forms that require native kernels of dsx.
        runner: Software that runs the forms that are timed; by default eager torch.

    Returns:
        The deployed network in eval mode, whose output equals that of `model.eval()`.
    """
    timer, form_cache = timer or medians, {} if form_cache is None else form_cache
    replacements: dict[nn.Module, nn.Module] = {}
    choices = {}
    folds: dict[str, tuple[Tensor, Tensor]] = {}
    # Tensors created in inference mode could not be modified or trained later.
    with torch.inference_mode(False), torch.no_grad():
        traced = follow(model, sample)
        holder, graph = traced.holder, writable(traced.graph)
        protected = find_protected(holder, graph)
        # A network may keep some of its modules in train mode.
        in_train_mode = [module for module in holder.modules() if module.training]
        present = batch_norms(holder, graph)
        if not isinstance(graph, Unsupported):
            # The graph replaces the code of the network, which could have read these attributes.
            for conv in holder.modules():
                if type(conv) is nn.Conv2d:
                    sync_attributes(conv)
            normalise(holder, graph, protected)
            swap(holder, _grouped(holder, protected))
            folded_into = fold_batch_norms(holder, graph, protected)
            names = {conv: name.partition(".")[2] for name, conv in holder.named_modules()}
            folds = {names[conv]: factors for conv, factors in folded_into.items()}
        # The graph may call modules where the code of the network calls functions.
        whole = holder if isinstance(graph, Unsupported) else fx.GraphModule(holder, graph)
        inputs = list(_inputs(whole, sample, protected).items())
        for conv, (name, x) in each(inputs, Kind.SELECTING_FORMS, "convolution"):
            form, choices[name] = choose(conv, x, timer, form_cache, native, runner)
            replacements[conv] = _drop_in(form, conv) if isinstance(graph, Unsupported) else form
        swap(holder, replacements)
        network = holder[0] if isinstance(graph, Unsupported) else flatten(holder, graph)
        flat = network if isinstance(network, fx.GraphModule) else None
        fused = {} if flat is None else fuse(flat, sample, timer, form_cache, runner)
    untraced = graph.reason if isinstance(graph, Unsupported) else None
    folded = present - batch_norms(network)
    sized = traced.sized and untraced is None
    deployed = Deployed(freeze(network), choices, folded, untraced, model, folds, sized, fused)
    deployed.eval()
    for module in in_train_mode:
        module.training = True
    return deployed


class _DropIn(nn.Sequential):
    """A form with attributes that differ from those of the convolutions it consists of."""


def _drop_in(form: nn.Module, conv: DsxConv) -> nn.Module:
    """Copy the attributes of a convolution to its form; code of the network may read them."""
    attributes = {name: getattr(conv, name) for name in ATTRIBUTES}
    if any(getattr(form, name, value) != value for name, value in attributes.items()):
        form = _DropIn(form)
    vars(form).update(attributes)
    return form


def _grouped(holder: nn.Module, protected: set[nn.Module]) -> dict[nn.Module, nn.Module]:
    """Build dsx convolutions for grouped nn.Conv2d, so that these have deployed forms, too.

    On some devices the dense form of a depthwise convolution is faster. If only redesigned slots
    had deployed forms, the speed-up would be attributed to the redesign.
    """
    stages = _stages(holder)
    found: dict[nn.Module, nn.Module] = {}
    with torch.random.fork_rng():
        for conv in holder.modules():
            if type(conv) is nn.Conv2d and conv.groups > 1 and conv not in stages | protected:
                replacement = FixedConv2d(original_spec(conv), conv).eval()
                replacement.weight.copy_(conv.weight)
                if replacement.bias is not None and conv.bias is not None:
                    replacement.bias.copy_(conv.bias)
                found[conv] = replacement
    return found


def _stages(holder: nn.Module) -> set[nn.Module]:
    """Return the submodules of all dsx convolutions."""
    outer = [module for module in holder.modules() if isinstance(module, DsxConv)]
    return {part for conv in outer for part in conv.modules() if part is not conv}


def _inputs(
    whole: nn.Module, sample: Tensor, protected: set[nn.Module]
) -> dict[DsxConv, tuple[str, Tensor]]:
    """Run once and return the name and the largest input of each dsx convolution to replace."""
    inputs: dict[DsxConv, tuple[str, Tensor]] = {}
    handles = []
    stages = _stages(whole)

    def record(
        conv: DsxConv, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], name: str
    ) -> None:
        x = args[0] if args else kwargs["input"]
        if conv not in inputs or x.numel() > inputs[conv][1].numel():
            inputs[conv] = (name, x.detach().clone(memory_format=torch.preserve_format))

    for path, module in whole.named_modules():
        if isinstance(module, DsxConv) and module not in stages | protected:
            name = path.partition(".")[2]
            hook = functools.partial(record, name=name)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    whole(sample)
    for handle in handles:
        handle.remove()
    return inputs
