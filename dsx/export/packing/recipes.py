"""Recipes: stored tensors of a convolution, and code that unpacks them into a deployed form.

The code calls the functions of `dsx.export.packing.unpacking` and computes the tensors of the form
in the order in which the deployed network uses them.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv import RIGID_BITS, DsxConv
from dsx.conv.modules import (
    BinaryConv2d,
    FixedConv2d,
    Layout,
    LearnedConv2d,
    SeparableConv2d,
    WindowedConv2d,
)
from dsx.conv.sparsity import Box, rigid_shapes, sync_attributes
from dsx.conv.sparsity.shapes import shape_and_number
from dsx.conv.spec import original_spec
from dsx.export.packing.norms import Factors, Norm

STAGED = "depthwise + "
FORMS = (
    "conv", "dense", "box", "grouped", "split", "shifted", "window_gemm", "maps_merge", "rebuilt",
    "block_sparse", "block_sparse_maps",
)  # fmt: skip
"""Deployed forms with a recipe; `conv` is an nn.Conv2d that is deployed unchanged."""
PER_OUTPUT = " * factor[:, None, None, None]"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The stored tensors of a convolution and the code that unpacks them.

    Args:
        stored: Tensors in the file by name.
        lines: Lines of code that read the tensors from `stored`.
        result: Expression for the list of tensors of the deployed form.
    """

    stored: Mapping[str, Tensor]
    lines: tuple[str, ...]
    result: str


def pack_bits(numbers: Tensor, width: int) -> Tensor:
    """Pack integers consecutively with the most significant bit first.

    Args:
        numbers: Integers from 0 to 2**width - 1, of any shape.
        width: Number of bits of each integer.

    Returns:
        Bytes, (ceil(n * width / 8),) uint8, padded with zeros.
    """
    bits = (numbers.flatten()[:, None] >> torch.arange(width - 1, -1, -1)) & 1
    bits = nn.functional.pad(bits.flatten(), (0, -bits.numel() % 8)).reshape(-1, 8)
    return (bits << torch.arange(7, -1, -1)).sum(1).to(torch.uint8)


def stored_item(name: str) -> str:
    """Return the expression that reads a stored tensor.

    Args:
        name: Name of the tensor, with any characters.

    Returns:
        Python code.
    """
    return f"stored[{literal(name)}]"


def literal(text: str) -> str:
    """Return a string literal in ASCII, in double quotes if the string contains no quotes.

    Args:
        text: The string.

    Returns:
        Python code.
    """
    plain = ascii(text)[1:-1]
    return ascii(text) if "'" in plain or '"' in plain else f'"{plain}"'


def factors_line(norm: Norm | Factors) -> str:
    """Return the line of code that computes `factor` and `shift` of a folded batch norm.

    Args:
        norm: The folded batch norm or factors.

    Returns:
        Python code.
    """
    if isinstance(norm, Factors):
        return f"factor, shift = {', '.join(map(stored_item, norm.stored))}"
    if norm.module is not None:
        return f"factor, shift = batch_norm(stored, {literal(norm.module)}, {float(norm.eps)!r})"
    parts = ("None" if name is None else stored_item(name) for name in norm.tensors.values())
    return f"factor, shift = factor_and_shift({float(norm.eps)!r}, {', '.join(parts)})"


def build_recipe(
    name: str,
    conv: nn.Module,
    form: str,
    norm: Norm | Factors | None,
    plan: Tensor | None = None,
) -> Recipe:
    """Build the recipe of a convolution.

    Args:
        name: Name of the convolution in the network.
        conv: The trained convolution, of dsx or an nn.Conv2d.
        form: One of `FORMS`, or `depthwise + <form>` of a separable convolution.
        norm: Folded batch norm or factors, whose tensors are stored as well; None without one.
        plan: Table of the plan of a native form; None for the other forms.

    Returns:
        The recipe.
    """
    writer = _Writer(form)
    if plan is not None:
        writer.lines.append(f"plan = {writer.keep(f'{name}.plan', plan)}")
    if norm is not None:
        writer.lines.append(factors_line(norm))
    result = writer.convolution(name, conv, folded=norm is not None)
    return Recipe(stored=writer.stored, lines=tuple(writer.lines), result=result)


class _Writer:
    """A recipe in progress.

    Args:
        form: Name of the deployed form.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self.lines: list[str] = []
        self.stored: dict[str, Tensor] = {}

    def convolution(self, name: str, conv: nn.Module, folded: bool) -> str:
        """Write the lines of a convolution, and return the expression of its result.

        Args:
            name: Name of the convolution in the network.
            conv: The trained convolution.
            folded: Whether `factor` and `shift` are folded into it.

        Returns:
            Python code.
        """
        if isinstance(conv, SeparableConv2d):
            return self._separable(name, conv, folded)
        if isinstance(conv, WindowedConv2d):
            return self._windowed(name, conv, folded)
        assert isinstance(conv, nn.Conv2d)
        if self.form != "conv":
            return self._windowed(name, _as_fixed(conv), folded)
        weight = self.keep(f"{name}.weight", conv.weight)
        self.lines.append(f"weight = {weight}{PER_OUTPUT if folded else ''}")
        return _list("weight", self._bias(f"{name}.bias", conv.bias, folded))

    def keep(self, name: str, tensor: Tensor) -> str:
        """Store a tensor, and return the expression that reads it.

        Args:
            name: Name of the tensor.
            tensor: The tensor.

        Returns:
            Python code.
        """
        self.stored[name] = tensor.detach()
        return stored_item(name)

    def _bias(self, name: str, bias: Tensor | None, folded: bool) -> str | None:
        """Write the line of the bias after folding, and return its name if there is a bias."""
        if bias is None:
            self.lines += ["bias = shift"] if folded else []
            return "bias" if folded else None
        shifted = " * factor + shift" if folded else ""
        self.lines.append(f"bias = {self.keep(name, bias)}{shifted}")
        return "bias"

    def _separable(self, name: str, conv: SeparableConv2d, folded: bool) -> str:
        stage = conv.depthwise
        assert stage.bias is not None
        weight = self.keep(f"{name}.depthwise.weight", stage.weight)
        shift = self.keep(f"{name}.depthwise.bias", stage.bias)
        inner = self.form.removeprefix(STAGED)
        if inner != self.form:
            self.form = inner
            points = self._windowed(f"{name}.pointwise", conv.pointwise, folded)
            return f"[{weight}, {shift}, *{points}]"
        points = self._windowed(f"{name}.pointwise", conv.pointwise, folded)
        if self.form == "block_sparse":
            return f"[*{points}, {weight}, {shift}]"
        self.lines.append(f"weight, *bias = {points}")
        self.lines.append(f"weight, more = merged(weight, {weight}, {shift})")
        return "[weight, sum(bias, more)]"

    def _windowed(self, name: str, conv: WindowedConv2d, folded: bool) -> str:
        """Write the lines of weight or basis and of the bias, and return the result."""
        self._channels(conv)
        if isinstance(conv, BinaryConv2d):
            self._basis(name, conv, folded)
        else:
            self._weight(name, conv, folded)
        return self._arranged(conv, self._bias(f"{name}.bias", conv.bias, folded))

    def _channels(self, conv: WindowedConv2d) -> None:
        outputs, inputs = conv.out_channels, conv.in_channels
        groups, step = conv.frame.groups, conv.frame.step
        if step is None:
            line = f"channels = block_windows({outputs}, {inputs}, {groups})"
        else:
            line = f"channels = sliding_windows({outputs}, {inputs}, {groups}, {step})"
        self.lines.append(line)

    def _supports(self, name: str, conv: WindowedConv2d) -> None:
        """Write the lines of the kernel shapes and of the shape number of each weight."""
        layout, drawings = conv.frame, ", ".join(map(_drawing, conv.frame.supports))
        self.lines.append(f"shapes = kernel_shapes({drawings})")
        rule = _rule(conv, layout)
        if rule is None:
            table = self.keep(f"{name}.which", layout.which.to(torch.int32))
            rule = f"{table}.long()"
        self.lines.append(f"which = {rule}")

    def _weight(self, name: str, conv: WindowedConv2d, folded: bool) -> None:
        if isinstance(conv, LearnedConv2d):
            live = self._learned(name, conv)
            numbers = conv.weight[live]
        else:
            assert isinstance(conv, FixedConv2d)
            self._supports(name, conv)
            numbers = conv.weight[conv.frame.live]
        stored = self.keep(f"{name}.weight", numbers)
        factor = PER_OUTPUT if folded else ""
        self.lines.append(f"weight = place({stored}, shapes[which]){factor}")

    def _learned(self, name: str, conv: LearnedConv2d) -> Tensor:
        """Write the lines of learned shapes, and return the live weights, (Cout, Cin, K, K)."""
        rows, columns = conv.kernel_size
        inputs, outputs = (len(sizes) for sizes in conv.block_sizes)
        scores, packed_name = conv.shape_scores.detach(), stored_item(f"{name}.shapes")
        if conv.spec.rigid:
            packed = pack_bits(scores.argmax(0).T, RIGID_BITS)
            drawings = ", ".join(map(_drawing, rigid_shapes()))
            self.lines.append(f"rigid = kernel_shapes({drawings})")
            numbers = f"unpack_bits({packed_name}, {RIGID_BITS}, {outputs * inputs})"
            blocks = f"rigid[{numbers}].reshape({outputs}, {inputs}, {rows}, {columns})"
        else:
            packed = pack_bits((scores > 0).permute(3, 2, 0, 1).long(), 1)
            numbers = f"unpack_bits({packed_name}, 1, {outputs * inputs * rows * columns})"
            blocks = f"{numbers}.bool().reshape({outputs}, {inputs}, {rows}, {columns})"
        self.keep(f"{name}.shapes", packed)
        enabled = f"torch.ones({conv.out_channels}, dtype=torch.bool)"
        if not conv.enabled.all():
            enabled = self.keep(f"{name}.enabled", conv.enabled)
        sizes = f"{conv.spec.block_in}, {enabled}, {conv.spec.block_out}, {conv.in_channels}"
        self.lines.append(f"blocks = {blocks}")
        self.lines.append(f"shapes, which = learned_shapes(blocks, {sizes})")
        return conv.layout.live

    def _basis(self, name: str, conv: BinaryConv2d, folded: bool) -> None:
        self._supports(name, conv)
        k, splits, outputs = conv.spec.binary_basis, conv.spec.splits, conv.out_channels
        signs = conv.basis.detach()[:, :, conv.frame.positions] > 0
        packed = self.keep(f"{name}.basis", pack_bits(signs.long(), 1))
        width = (k - 1).bit_length()
        numbers = self.keep(f"{name}.selection", pack_bits(conv.chosen, width))
        self.lines += [
            f"basis = place_signs({packed}, {k}, {signs.shape[1]}, shapes.any(0))",
            f"chosen = unpack_bits({numbers}, {width}, {outputs * splits})"
            f".reshape({outputs}, {splits})",
        ]
        factors = [] if conv.scale is None else [self.keep(f"{name}.scale", conv.scale)]
        factors += ["factor"] if folded else []
        self.lines += [f"scale = {' * '.join(factors)}"] if factors else []
        self.scale, self.dtype = "scale" if factors else None, conv.basis_proxy.dtype

    def _arranged(self, conv: WindowedConv2d, bias: str | None) -> str:
        """Return the expression for the list of tensors of the form."""
        box = _crop(conv.frame.box, conv)
        binary = isinstance(conv, BinaryConv2d)
        if binary and self.form == "maps_merge":
            return self._maps(conv, box, bias)
        if binary and self.form == "rebuilt":
            return self._rebuilt(conv, box, bias)
        if self.form == "block_sparse_maps":
            arguments = f"basis.to({self.dtype}), chosen, channels, shapes, which"
            packed = f"block_sparse_maps({arguments}, {conv.in_channels}, plan)"
            self.lines.append(f"packed, merge = {packed}")
            return _list("plan", "packed", bias, "merge", self.scale)
        if binary:
            self.lines.append(f"weight = stack(basis, chosen, shapes[which]).to({self.dtype})")
            if self.scale is not None:
                self.lines.append("weight = weight * scale[:, None, None, None]")
        inputs, plane = conv.in_channels, bias and "bias[:, None, None]"
        step, groups = conv.frame.step, conv.frame.groups
        if self.form == "grouped" and step is not None:
            bias = bias and f"by_group(bias, {groups})"
            return _list(f"by_group(weight{box}, {groups})", bias)
        if self.form == "window_gemm":
            matrices = f"*window_gemm(weight{box}, channels, {inputs}, {step})"
            return _list(matrices, bias and "bias[:, None]")
        return {
            "block_sparse": _list(
                "plan", f"block_sparse(spread(weight, channels, {inputs}), plan)", bias
            ),
            "dense": _list(f"spread(weight, channels, {inputs})", bias),
            "box": _list(f"spread(weight{box}, channels, {inputs})", bias),
            "grouped": _list(f"weight{box}", bias),
            "split": _list(f"*split(weight, channels, shapes, which, {inputs})", plane),
            "shifted": _list(f"*shifted(weight, shapes, which, {groups})", plane),
        }[self.form]

    def _maps(self, conv: WindowedConv2d, box: str, bias: str | None) -> str:
        ones = f"torch.ones({conv.out_channels}, dtype={self.dtype})"
        cropped = f"shapes{box.replace('[:, :, ', '[:, ', 1)}"
        arguments = f"basis{box}.to({self.dtype}), chosen, channels, {cropped}, which"
        found = f"*maps_merge({arguments}, {conv.in_channels})"
        self.lines += [] if bias else [f"bias = 0 * {ones}"]
        self.lines += [] if self.scale else [f"scale = {ones}"]
        return f"[{found}, bias[:, None, None], scale[:, None, None]]"

    def _rebuilt(self, conv: WindowedConv2d, box: str, bias: str | None) -> str:
        factor = None if self.scale is None else "scale[:, None, None, None]"
        if conv.mask is not None:
            mask = f"shapes[which]{box}.to({self.dtype})"
            factor = mask if factor is None else f"{factor} * {mask}"
        columns = None if conv.columns is None else "channels[:, :, None, None]"
        return _list(f"basis{box}, chosen.flatten()", factor, columns, bias)


def _as_fixed(conv: nn.Conv2d) -> FixedConv2d:
    """Convert a grouped nn.Conv2d as `deploy` does."""
    conv = copy.copy(conv)
    sync_attributes(conv)
    with torch.random.fork_rng(), torch.no_grad():
        own = FixedConv2d(original_spec(conv), conv)
        own.weight.copy_(conv.weight)
        if own.bias is not None and conv.bias is not None:
            own.bias.copy_(conv.bias)
    return own


def _list(*parts: str | None) -> str:
    return f"[{', '.join(part for part in parts if part is not None)}]"


def _drawing(shape: Tensor) -> str:
    """Return the argument of `kernel_shapes` for a kernel shape."""
    rows = ("".join("x" if live else "." for live in row) for row in shape.tolist())
    return f'"{" ".join(rows)}"'


def _crop(box: Box, conv: DsxConv) -> str:
    """Return the index of the kernel positions in a box; empty for the whole kernel."""
    if box == conv.geometry.whole:
        return ""
    bottom, right = box.top + box.height, box.left + box.width
    return f"[:, :, {box.top}:{bottom}, {box.left}:{right}]"


def _rule(conv: WindowedConv2d, layout: Layout) -> str | None:
    """Return the expression for the shape number of each weight; None if there is no formula."""
    outputs = torch.arange(conv.out_channels)[:, None]
    shapes = len(layout.supports)
    if torch.equal(layout.which, (outputs % shapes).expand_as(layout.which)):
        return f"cyclic(channels, {shapes})"
    period = shape_and_number(conv.spec.kernel_shape)[1]
    if period and torch.equal(layout.which, ((layout.channels - outputs) % period != 0).long()):
        return f"heterogeneous(channels, {period})"
    return None
