"""Contents of the weight file of an export: tensors of the design, and overhead of the format.

The payload of a tensor of the design is its share of `bits`, rounded up to whole bytes. Everything
else in the file is overhead, listed by name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dsx.conv import REAL_BITS, DsxConv
from dsx.conv.modules import BinaryConv2d, LearnedConv2d, SeparableConv2d, WindowedConv2d

NOT_NEEDED = "not part of the deployed network, since it is unused or folded into other tensors"
AS_DEPLOYED = "stored as the tensors of its deployed form"


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share of one tensor in the cost of a design.

    Args:
        params: Number of real numbers and basis entries.
        bits: Number of bits.
    """

    params: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Contents of a weight file.

    Args:
        payload: Share and number of bytes in the file of each tensor of the design.
        missing: Reason by name for each tensor of the design that is not in the file.
        overhead: Number of bytes of everything else in the file, by name.
    """

    payload: Mapping[str, tuple[Share, int]]
    missing: Mapping[str, str]
    overhead: Mapping[str, int]

    @property
    def params(self) -> int:
        """Number of params of the design in the file."""
        return sum(share.params for share, _ in self.payload.values())

    @property
    def bits(self) -> int:
        """Number of bits of the design in the file, without padding."""
        return sum(share.bits for share, _ in self.payload.values())

    def to_json(self) -> dict[str, Any]:
        """Return the contents as plain JSON values."""
        payload = [
            {"tensor": name, **asdict(share), "bytes": size}
            for name, (share, size) in self.payload.items()
        ]
        sizes = [size for _, size in self.payload.values()]
        return {
            "payload": payload,
            "not_stored": [{"tensor": n, "reason": why} for n, why in self.missing.items()],
            "overhead": [{"name": name, "bytes": size} for name, size in self.overhead.items()],
            "payload_bits": self.bits,
            "payload_bytes": sum(sizes),
            "overhead_bytes": sum(self.overhead.values()),
        }


def tensor_shares(network: nn.Module) -> dict[str, Share]:
    """Divide the cost of a network among its tensors.

    Args:
        network: Network of a design before deployment.

    Returns:
        The share of each tensor by its name in an export; the shares add up to `params` and `bits`
        of the network.
    """
    found: dict[str, Share] = {}
    inside = ""
    for name, module in network.named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, DsxConv):
            inside = f"{name}." if name else "."
            found |= _of_conv(name, module)
    own = {id(p) for m in network.modules() if isinstance(m, DsxConv) for p in m.parameters()}
    # A parameter with several names is counted once.
    for name, parameter in network.named_parameters():
        if id(parameter) not in own:
            found[name] = _reals(parameter.numel())
    return found


def _reals(numbers: int) -> Share:
    return Share(params=numbers, bits=REAL_BITS * numbers)


def _of_conv(name: str, conv: DsxConv) -> dict[str, Share]:
    if isinstance(conv, SeparableConv2d):
        stage = {
            f"{name}.depthwise.{n}": _reals(p.numel()) for n, p in conv.depthwise.named_parameters()
        }
        return stage | _of_conv(f"{name}.pointwise", conv.pointwise)
    assert isinstance(conv, WindowedConv2d)
    # Params and bits do not depend on the size of the output.
    cost = conv.cost((1, 1))
    outputs = conv.out_channels
    found = {f"{name}.bias": _reals(outputs)} if conv.bias is not None else {}
    if isinstance(conv, BinaryConv2d):
        if conv.scale is not None:
            found[f"{name}.scale"] = _reals(outputs)
        entries = conv.spec.binary_basis * conv.frame.channels.shape[1] // conv.spec.splits
        entries *= int(conv.frame.positions.sum())
        rest = cost.bits - sum(share.bits for share in found.values())
        found[f"{name}.basis"] = Share(params=entries, bits=entries)
        found[f"{name}.selection"] = Share(params=0, bits=rest - entries)
        return found
    weights = _reals(conv.layout.live_count)
    found[f"{name}.weight"] = weights
    if isinstance(conv, LearnedConv2d):
        rest = cost.bits - sum(share.bits for share in found.values())
        found[f"{name}.shapes"] = Share(params=0, bits=rest)
    return found


def read_contents(network: nn.Module, weights: Path) -> Contents:
    """Compare a weight file with its design.

    Args:
        network: Network of the design before deployment.
        weights: Path of a safetensors file.

    Returns:
        The contents of the file.
    """
    designed = tensor_shares(network)
    stored = dict(_sizes(weights))
    overhead = {"header of the file": stored.pop("")}
    payload, missing = {}, {}
    for name, share in designed.items():
        if name not in stored:
            # The selection of a single filter, or a convolution without live weights.
            if share.bits == 0:
                payload[name] = (share, 0)
                continue
            conv = name.rpartition(".")[0]
            other = any(own.startswith(f"{conv}.") for own in stored)
            missing[name] = AS_DEPLOYED if other else NOT_NEEDED
            continue
        size, least = stored.pop(name), -(-share.bits // 8)
        payload[name] = (share, min(size, least))
        if size > least:
            overhead[f"{name}, beyond its share"] = size - least
    return Contents(payload=payload, missing=missing, overhead=overhead | stored)


def _sizes(weights: Path) -> Iterator[tuple[str, int]]:
    """Iterate over the bytes of each tensor of a safetensors file; the header has the name ""."""
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    yield "", 8 + length
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, end - begin
