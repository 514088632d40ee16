"""Deploy a whole network."""

import functools
from collections.abc import Mapping, MutableMapping

import torch
from torch import Tensor, fx, nn

from dsx.activity import Kind, each
from dsx.conv.deploy._choose import EAGER, Choice, Runner, choose
from dsx.conv.deploy._fold import batch_norms, flatten, fold_batch_norms, normalise
from dsx.conv.graph.norms import bound
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import follow, writable
from dsx.conv.modules.base import ATTRIBUTES, DsxConv
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.network_calls import freeze
from dsx.conv.sparsity.attributes import correct
from dsx.conv.spec.spec import original_spec
from dsx.conv.timing import Timer, medians


class Deployed(nn.Module):
    """A network as it would run on the device: no dsx module is left in it.

    Attributes:
        network: A flat torch.fx.GraphModule where the network can be traced.
        choices: The chosen form of each dsx convolution, and of each grouped nn.Conv2d, by name.
        folded: BNs folded into the convolutions before them.
        unfolded: BNs that the network still computes.
        folds: Factor and shift, (Cout,) each, that each dsx convolution took over, by name.
        untraced: Why torch.fx cannot follow the network, so that no BN is folded; else None.
        sized: Whether it holds for images of the size of the sample only.
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
    ) -> None:
        super().__init__()
        self.network = network
        self.choices = dict(choices)
        self.folded = folded
        self.unfolded = batch_norms(network)
        self.untraced = untraced
        self.sized = sized
        # In a tuple, since it is no part of what runs.
        self._designed = (designed,)
        self.folds = dict(folds)

    @property
    def designed(self) -> nn.Module:
        """The network before deployment, whose tensors are those of the design."""
        return self._designed[0]

    def forward(self, x: Tensor) -> Tensor:
        """Run the deployed network."""
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
    """Replace each dsx or grouped convolution by the fastest of its equal forms; fold the BNs.

    Args:
        model: Any network; it is copied.
        sample: An input like those of the deployed network: batch, dtype, layout and device decide
            which form is the fastest.
        timer: Times callables in turn; by default the median of interleaved calls.
        known: Choices made before, by situation; new ones are added.
        native: Whether forms that need dsx's own kernels may be chosen.
        runner: Runs the forms that are timed; by default torch itself.

    Returns:
        The deployed network, in eval mode; its output equals that of `model.eval()`.
    """
    timer, form_cache = timer or medians, {} if form_cache is None else form_cache
    replacements: dict[nn.Module, nn.Module] = {}
    choices = {}
    folds: dict[str, tuple[Tensor, Tensor]] = {}
    # Tensors made in inference mode could never again be changed or trained through.
    with torch.inference_mode(False), torch.no_grad():
        traced = follow(model, sample)
        holder, graph = traced.holder, writable(traced.graph)
        untouched = bound(holder, graph)
        # A network may keep a part of it in train mode.
        staying = [module for module in holder.modules() if module.training]
        present = batch_norms(holder, graph)
        if not isinstance(graph, str):
            # From here on no code of the network reads them.
            for conv in holder.modules():
                if type(conv) is nn.Conv2d:
                    correct(conv)
            normalise(holder, graph, untouched)
            swap(holder, _grouped(holder, untouched))
            taken = fold_batch_norms(holder, graph, untouched)
            names = {conv: name.partition(".")[2] for name, conv in holder.named_modules()}
            folds = {names[conv]: factors for conv, factors in taken.items()}
        # The graph may call modules in which the network's own code calls functions.
        whole = holder if isinstance(graph, str) else fx.GraphModule(holder, graph)
        seen_by = list(_inputs(whole, sample, untouched).items())
        for conv, (name, seen) in each(seen_by, Kind.SELECTING_FORMS, "convolution"):
            form, choices[name] = choose(conv, seen, timer, form_cache, native, runner)
            replacements[conv] = _drop_in(form, conv) if isinstance(graph, str) else form
        swap(holder, replacements)
        network = holder[0] if isinstance(graph, str) else flatten(holder, graph)
    untraced = graph if isinstance(graph, str) else None
    folded = present - batch_norms(network)
    sized = traced.sized and untraced is None
    deployed = Deployed(freeze(network), choices, folded, untraced, model, folds, sized).eval()
    for module in staying:
        module.training = True
    return deployed


class _DropIn(nn.Sequential):
    """A form with the attributes of the convolution, which its own convolutions may not have."""


def _drop_in(form: nn.Module, conv: DsxConv) -> nn.Module:
    """Copy to a form the attributes of its convolution, for the code of a network to read."""
    own = {name: getattr(conv, name) for name in ATTRIBUTES}
    if any(getattr(form, name, value) != value for name, value in own.items()):
        form = _DropIn(form)
    vars(form).update(own)
    return form


def _grouped(holder: nn.Module, untouched: set[nn.Module]) -> dict[nn.Module, nn.Module]:
    """Write grouped convolutions as dsx ones, so that a network is not slow for having them.

    On some devices the dense form of a depthwise convolution is faster. Were it offered to
    redesigned slots alone, a redesign would get the credit.
    """
    stages = _stages(holder)
    found: dict[nn.Module, nn.Module] = {}
    with torch.random.fork_rng():
        for conv in holder.modules():
            if type(conv) is nn.Conv2d and conv.groups > 1 and conv not in stages | untouched:
                own = FixedConv2d(original_spec(conv), conv).eval()
                own.weight.copy_(conv.weight)
                if own.bias is not None and conv.bias is not None:
                    own.bias.copy_(conv.bias)
                found[conv] = own
    return found


def _stages(holder: nn.Module) -> set[nn.Module]:
    """List the modules inside dsx convolutions."""
    outer = [module for module in holder.modules() if isinstance(module, DsxConv)]
    return {part for conv in outer for part in conv.modules() if part is not conv}


def _inputs(
    whole: nn.Module, sample: Tensor, untouched: set[nn.Module]
) -> dict[DsxConv, tuple[str, Tensor]]:
    """Run once and note the name and the largest input of each dsx convolution to replace."""
    seen: dict[DsxConv, tuple[str, Tensor]] = {}
    hooks = []
    stages = _stages(whole)

    def note(conv: DsxConv, args: tuple[Tensor, ...], named: dict[str, Tensor], name: str) -> None:
        x = args[0] if args else named["input"]
        if conv not in seen or x.numel() > seen[conv][1].numel():
            seen[conv] = (name, x.detach().clone(memory_format=torch.preserve_format))

    for path, module in whole.named_modules():
        if isinstance(module, DsxConv) and module not in stages | untouched:
            name = path.partition(".")[2]
            noting = functools.partial(note, name=name)
            hooks.append(module.register_forward_pre_hook(noting, with_kwargs=True))
    whole(sample)
    for hook in hooks:
        hook.remove()
    return seen
