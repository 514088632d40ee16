"""Packing of a deployed network into the tensors of its design and code that unpacks them."""

import copy
import inspect
import io
import itertools
import math
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from dsx.conv import Deployed, DsxConv
from dsx.errors import printable
from dsx.export.packing import unpacking, unpacking_native
from dsx.export.packing.norms import Factors, Norm, find_norms
from dsx.export.packing.recipes import FORMS, STAGED, Recipe, build_recipe, literal, stored_item

WIDTH = 96
FUNCTIONS = {
    name: value
    for module in (unpacking, unpacking_native)
    for name, value in vars(module).items()
    if inspect.isfunction(value)
}
"""Functions that the code may call."""
ROUNDING = {
    torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03, torch.float16: 4e-3,
}  # fmt: skip
"""Largest difference of an unpacked number, relative to the largest number of its tensor."""

_FUSED = {"depthwise": "weight", "depthwise_bias": "bias"}
"""Names of the tensors of a fused depthwise convolution, with their own names."""
_Folded = Norm | Factors | None
"""Modules that may be folded into a convolution."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The stored form of a deployed network.

    Args:
        stored: Tensors of the file by name; tensors of the design have the same names there.
        lines: Lines of code that compute `state`, the tensors of the deployed network, from
            `stored`.
        functions: Names of the functions of `dsx.export.packing.unpacking` that the code calls.
    """

    stored: Mapping[str, Tensor]
    lines: Sequence[str]
    functions: Sequence[str]


def pack(
    deployed: Deployed, flat: fx.GraphModule, targets: Mapping[str, str], sample: Tensor
) -> Packed:
    """Pack a deployed network.

    Args:
        deployed: The deployed network, with the network of its design.
        flat: The deployed network with every part registered directly in the module.
        targets: Name in the deployed network of each part, by its name in `flat`.
        sample: Sample of the input, (N, C, H, W).

    Returns:
        The packed network. Tensors that cannot be computed from the design are stored unchanged.
    """
    packing = _Packing(deployed, flat, targets, sample)
    for name, module in packing.convolutions():
        packing.add_convolution(name, module)
    packing.add_rest()
    return packing.packed()


@dataclass(frozen=True)
class _Part:
    """Names and tensors of one convolution of the flat network, in the order of their use."""

    names: list[str] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    @property
    def plan(self) -> Tensor | None:
        """The table of the plan of a native form."""
        found = zip(self.names, self.tensors, strict=True)
        return next((tensor for name, tensor in found if name.endswith(".plan")), None)


class _Packing:
    """A packed network in progress.

    Args:
        deployed: The deployed network, with the network of its design.
        flat: The deployed network with every part registered directly in the module.
        targets: Name in the deployed network of each part, by its name in `flat`.
        sample: Sample of the input, (N, C, H, W).
    """

    def __init__(
        self,
        deployed: Deployed,
        flat: fx.GraphModule,
        targets: Mapping[str, str],
        sample: Tensor,
    ) -> None:
        self.choices, self.folds, self.fused = deployed.choices, deployed.folds, deployed.fused
        self.designed = _on_cpu(deployed.designed)
        self.targets = targets
        self.flat = {name: tensor.detach().cpu() for name, tensor in _used(flat, targets)}
        self.done: set[str] = set()
        self.stored: dict[str, Tensor] = {}
        self.lines: list[str] = []
        self.known = dict(_tensors(self.designed))
        self.norms = dict(self._folded_norms(sample.cpu()))
        reals = [t.dtype for t in self.flat.values() if t.is_floating_point()]
        # The coarsest dtype of a network that has several.
        self.dtype = max(reals, key=ROUNDING.__getitem__, default=torch.float64)

    def _target(self, name: str) -> str:
        """Map the name of a tensor in the flat network to its name in the deployed network."""
        if name in self.targets:
            return self.targets[name]
        part, _, own = name.partition(".")
        target = self.targets[part]
        # The tensors of a depthwise convolution that was fused are still its own.
        if own in _FUSED and target in self.fused:
            return f"{self.fused[target]}.{_FUSED[own]}"
        return f"{target}.{own}"

    def _folded_norms(self, images: Tensor) -> Iterator[tuple[str, Norm]]:
        """Iterate over the batch norms of the design that the deployed network does not contain."""
        left = set(map(self._target, self.flat))
        for name, norm in find_norms(self.designed, images).items():
            if left.isdisjoint(norm.names):
                yield name, norm

    def convolutions(self) -> Iterator[tuple[str, nn.Module]]:
        """Iterate over the convolutions that have a deployed form or may have a folded batch norm.

        Yields:
            The name and the module of each convolution.
        """
        inner = ""
        for name, module in self.designed.named_modules():
            if inner and name.startswith(inner):
                continue
            if isinstance(module, DsxConv):
                inner = f"{name}."
            if isinstance(module, nn.Conv2d | DsxConv):
                yield name, module

    def add_convolution(self, name: str, conv: nn.Module) -> None:
        """Store a convolution with the batch norm that is folded into it.

        Args:
            name: Name of the convolution in the network of the design.
            conv: The convolution.
        """
        part = self._part(name)
        if not part.names:
            return
        own_name = self._deployed_name(name)
        form = self.choices[own_name].form if own_name in self.choices else "conv"
        if form == f"{STAGED}block_sparse" and part.names[0].endswith(".plan"):
            form = "block_sparse"  # both stages were fused
        if form.removeprefix(STAGED) not in FORMS:
            # Tensors of a form that is not part of dsx are stored unchanged.
            return
        near = self._near(name, conv)
        found = self._best(name, conv, form, part, [*near[:1], None])
        found = found or self._best(name, conv, form, part, [*near[1:], *self._factors(name)])
        if found is not None:
            own, norm = found
            self.stored |= self._stored_of(norm)
            self._add(name, form, own, part)
            if isinstance(norm, Norm):
                del self.norms[norm.names[0]]

    def _deployed_name(self, name: str) -> str:
        """Return the name under which the form of a convolution was selected.

        A call of F.conv2d in a subclass is deployed as a part of the convolution.
        """
        inner = [other for other in self.choices if other.startswith(f"{name}.")]
        return inner[0] if name not in self.choices and len(inner) == 1 else name

    def _best(
        self, name: str, conv: nn.Module, form: str, part: _Part, tried: Sequence[_Folded]
    ) -> tuple[Recipe, _Folded] | None:
        """Find the batch norm with which the recipe reproduces the deployed tensors best."""
        best, least = None, ROUNDING[self.dtype]
        for norm in tried:
            own = build_recipe(name, conv, form, norm, part.plan)
            difference = _difference(
                _run(own, {**own.stored, **self._stored_of(norm)}), part.tensors
            )
            if difference <= least:
                best, least = (own, norm), difference
        return best

    def _factors(self, name: str) -> list[Factors]:
        """Return the factors that were folded into a convolution, if there are any."""
        folds = self.folds.get(self._deployed_name(name))
        if folds is None:
            return []
        own = zip(("factor", "shift"), folds, strict=True)
        return [Factors(stored={f"{name}.{part}": tensor.cpu() for part, tensor in own})]

    def _stored_of(self, norm: _Folded) -> dict[str, Tensor]:
        """Return the tensors of folded modules by name."""
        if isinstance(norm, Factors):
            return dict(norm.stored)
        names = [] if norm is None else norm.names
        return {name: self.known[name].detach() for name in names}

    def _part(self, name: str) -> _Part:
        part = _Part()
        for own, tensor in self.flat.items():
            target = self._target(own)
            if target == name or target.startswith(f"{name}."):
                part.names.append(own)
                part.tensors.append(tensor)
        return part

    def _near(self, name: str, conv: nn.Module) -> list[Norm]:
        """Return the batch norms that may follow a convolution, the most likely first."""
        order = {own: place for place, (own, _) in enumerate(self.designed.named_modules())}

        def rank(norm: str) -> tuple[bool, int]:
            after = order.get(norm.rpartition(".")[0], len(order)) - order[name]
            return after < 0, abs(after)

        fitting = [n for n, norm in self.norms.items() if norm.channels == conv.out_channels]
        return [self.norms[norm] for norm in sorted(fitting, key=rank)]

    def _add(self, name: str, form: str, found: Recipe, part: _Part) -> None:
        self.stored |= found.stored
        self.done |= set(part.names)
        self.lines.append(f"# {printable(name)}, deployed as {form}")
        self.lines += found.lines
        self.lines.append(f"names = [{', '.join(map(literal, part.names))}]")
        self.lines.append(f"tensors = {found.result}")
        self.lines.append("state.update(zip(names, tensors, strict=True))")

    def add_rest(self) -> None:
        """Store each remaining tensor once under its name in the design."""
        first: dict[int, str] = {}
        for name, tensor in self.flat.items():
            if name in self.done:
                continue
            own = self._target(name)
            original = self.known.get(own)
            if original is not None and torch.equal(original, tensor):
                own = first.setdefault(id(original), own)
            self.stored[own] = tensor
            self.lines.append(f"state[{literal(name)}] = {stored_item(own)}")

    def _without_tied(self) -> tuple[list[str], dict[str, Tensor]]:
        """Return code and tensors in which a parameter with several names is stored once."""
        lines, stored = list(self.lines), dict(self.stored)
        first: dict[int, str] = {}
        for name, parameter in self.designed.named_parameters(remove_duplicate=False):
            own = first.setdefault(id(parameter), name)
            tied = name != own and name in stored and own in stored
            # Folding may have changed one of them.
            if tied and torch.equal(stored[name], stored[own]):
                del stored[name]
                lines = [line.replace(stored_item(name), stored_item(own)) for line in lines]
        return lines, stored

    def packed(self) -> Packed:
        """Return the packed network, with real numbers in 32 bits if this is lossless."""
        reals = {name: t for name, t in self.stored.items() if t.is_floating_point()}
        dtypes = {tensor.dtype for tensor in reals.values()}
        lossless = all(torch.equal(t.float().to(t.dtype), t) for t in reals.values())
        lines, stored = self._without_tied()
        if len(dtypes) == 1 and dtypes != {torch.float32} and lossless:
            stored |= {name: tensor.float() for name, tensor in reals.items()}
            cast = f"tensor.to({dtypes.pop()}) if tensor.is_floating_point() else tensor"
            lines.insert(0, f"stored = {{name: {cast} for name, tensor in stored.items()}}")
        text = "\n".join(lines)
        called = [name for name in FUNCTIONS if re.search(rf"\b{name}\(", text)]
        inner = [
            name
            for name in FUNCTIONS
            for outer in called
            if name != outer and re.search(rf"\b{name}\(", inspect.getsource(FUNCTIONS[outer]))
        ]
        return Packed(
            stored={name: tensor.contiguous().clone() for name, tensor in stored.items()},
            lines=lines,
            functions=[name for name in FUNCTIONS if name in {*called, *inner}],
        )


def _on_cpu(network: nn.Module) -> nn.Module:
    if all(tensor.device.type == "cpu" for _, tensor in _tensors(network)):
        return network
    return copy.deepcopy(network).cpu()


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)


def _used(flat: fx.GraphModule, targets: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the tensors of a flat network in the order of their use."""
    state = flat.state_dict()
    seen = set()
    for node in flat.graph.nodes:
        part = str(node.target)
        if node.op not in ("call_module", "get_attr") or part in seen:
            continue
        seen.add(part)
        for name, tensor in state.items():
            if name == part or name.startswith(f"{part}."):
                yield name, tensor


def _run(found: Recipe, stored: Mapping[str, Tensor]) -> list[Tensor]:
    """Run a recipe as model.py does, and return the resulting tensors."""
    space = {**FUNCTIONS, "torch": torch, "stored": stored}
    exec("\n".join([*found.lines, f"result = {found.result}"]), space)
    result = space["result"]
    assert isinstance(result, list)
    return result


def _difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Compute the difference of tensors from those of the deployed network.

    Returns:
        The largest difference relative to the largest number of the tensor; infinite if number,
        shapes, dtypes or integer values of the tensors differ.
    """
    if len(found) != len(expected):
        return math.inf
    largest = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            return math.inf
        if torch.equal(one, other):
            continue
        if not one.is_floating_point() or bool((one.isnan() != other.isnan()).any()):
            return math.inf
        difference = (one - other).abs().nan_to_num(0.0).max() / other.abs().nan_to_num(0.0).max()
        largest = max(largest, float(difference))
    return largest if largest == largest else math.inf


def wrap_line(line: str, indent: str) -> str:
    """Wrap a line of Python code after commas.

    Args:
        line: Line of code.
        indent: Indentation of the first line; continuation lines are indented further.

    Returns:
        One or several lines.
    """
    if len(indent) + len(line) <= WIDTH or line.startswith("#"):
        return f"{indent}{line}"
    tokens = tokenize.generate_tokens(io.StringIO(line).readline)
    commas = [token.end[1] for token in tokens if token.string == ","]
    ends = [*commas, len(line)]
    pieces = [line[a:b].strip() for a, b in itertools.pairwise([0, *ends])]
    lines = [indent + pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"{indent}    {piece}")
    return "\n".join(lines)
