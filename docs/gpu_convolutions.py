"""Compare sparse convolutions with those of cuDNN on an NVIDIA GPU, and print a table.

    python docs/gpu_convolutions.py --out gpu.json

Each output and gradient is checked before anything is timed. The contenders of a case are timed in
round-robin order, in blocks of calls between two events of the GPU; a figure is the median of the
ratios of all rounds. Every case is measured twice: with products in float32 and with products in
TF32, both in the kernels and in cuDNN.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build, preset
from dsx.conv.deploy import block_sparse
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.native.kernel import missing

Run = Callable[[], object]

LAYERS = ((64, 32), (128, 16), (256, 8), (512, 4), (64, 56), (256, 28))
"""Channels, and height and width in pixels."""
REDUCED = ((16, 8),)
TOLERANCE = 1e-4
"""Largest error relative to the largest expected value; sums of up to 4,608 products in float32."""
GRADIENT_TOLERANCE = 1e-3
"""The same for gradients, which are sums over all pixels of a batch."""
ROUNDS, BLOCK_SECONDS = 15, 0.005
KERNEL, MODULE, DENSE, GROUPED = "kernel", "module", "dense", "grouped"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operator on a layer.

    Args:
        operator: Name of the operator, a key of `operators()`.
        channels: Number of input and output channels.
        side: Height and width of the images in pixels.
        batch: Number of images.
        training: Whether forward and backward passes are timed, else deployed forward passes.
    """

    operator: str
    channels: int
    side: int
    batch: int
    training: bool


def operators() -> dict[str, ConvSpec]:
    """Return the dials of each operator by its name."""
    return {
        **{
            f"sliding window, {groups} groups": preset(
                "scc", groups=groups, overlap=0.33, separable=False
            )
            for groups in (2, 4, 8)
        },
        "corners": preset("ssc", kernel_shape="corners"),
        "cross": preset("ssc"),
        "hetconv": preset("hetconv"),
        "lhc, density .25": preset("lhc"),
    }


def cases(reduced: bool) -> Iterator[Case]:
    """Yield all cases, or a few small ones.

    Args:
        reduced: Whether to yield small ones.
    """
    sizes, batches = (REDUCED, (2,)) if reduced else (LAYERS, (1, 32))
    for name, (channels, side), batch in itertools.product(operators(), sizes, batches):
        yield Case(operator=name, channels=channels, side=side, batch=batch, training=False)
    for name, (channels, side) in itertools.product(operators(), sizes):
        yield Case(operator=name, channels=channels, side=side, batch=batches[-1], training=True)


def module_of(case: Case, device: torch.device) -> DsxConv:
    """Build the convolution of a case with initial weights.

    Args:
        case: The case.
        device: Device of the convolution.

    Returns:
        The convolution; sliding windows are those of a 1 x 1 convolution.
    """
    kernel = 1 if case.operator.startswith("sliding") else 3
    like = nn.Conv2d(case.channels, case.channels, kernel, padding=kernel // 2, bias=False)
    conv = build(operators()[case.operator].at(like), like)
    if isinstance(conv, LearnedConv2d):
        conv.project(torch.randn_like(like.weight), None)
        conv.freeze()
    return conv.to(device)


def dense_output(conv: DsxConv, x: Tensor) -> Tensor:
    """Compute the output of a convolution by a dense one, differentiable.

    Args:
        conv: The convolution.
        x: Batch of images.

    Returns:
        The output.
    """
    geometry = conv.geometry
    return geometry.convolve(x, conv.dense_weight(), conv.dense_bias(), geometry.whole, 1)


def check(case: Case, what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Stop if a tensor is wrong.

    Args:
        case: The case.
        what: Description of the tensor.
        found: The tensor.
        expected: Expected values.
        tolerance: Largest error relative to the largest expected value.

    Raises:
        SystemExit: If the tensor is wrong.
    """
    error = float((found - expected).abs().max())
    allowed = tolerance * float(expected.abs().max())
    if not error <= allowed:
        raise SystemExit(f"{case}: {what} is wrong (error {error:.1e}, allowed {allowed:.1e})")


def forwards(case: Case, device: torch.device) -> dict[str, Run]:
    """Return the checked forward passes of a case.

    Args:
        case: The case.
        device: Device of the tensors.

    Returns:
        The contenders by name.
    """
    conv = module_of(case, device).eval()
    x = torch.randn(case.batch, case.channels, case.side, case.side, device=device)
    kernel = block_sparse.build(conv)
    assert kernel is not None, case
    dense = conv.geometry.conv2d(conv.dense_weight(), None)
    with torch.no_grad():
        check(case, "the output", kernel(x), dense(x), TOLERANCE)
    modules = {KERNEL: kernel, DENSE: dense}
    if case.operator.startswith("sliding"):
        channels, groups = case.channels, int(conv.spec.groups)
        modules[GROUPED] = nn.Conv2d(
            channels, channels, 1, groups=int(groups), bias=False, device=device
        )
    return {name: functools.partial(module, x) for name, module in modules.items()}


def steps(case: Case, device: torch.device) -> dict[str, Run]:
    """Return the checked forward and backward passes of a case.

    Args:
        case: The case.
        device: Device of the tensors.

    Returns:
        The contenders by name.
    """
    conv = module_of(case, device)
    dense = nn.Conv2d(
        case.channels, case.channels, conv.geometry.kernel_size, bias=False, device=device,
        padding=conv.geometry.kernel_size[0] // 2,
    )  # fmt: skip
    x = torch.randn(
        case.batch, case.channels, case.side, case.side, device=device, requires_grad=True
    )
    gradient = torch.randn_like(x)

    def step(function: Callable[[Tensor], Tensor], module: nn.Module) -> tuple[Tensor, ...]:
        leaves = [x, *(each for each in module.parameters() if each.requires_grad)]
        return torch.autograd.grad(function(x), leaves, gradient)

    expected = step(functools.partial(dense_output, conv), conv)
    for number, found in enumerate(step(conv, conv)):
        check(case, f"gradient {number}", found, expected[number], GRADIENT_TOLERANCE)
    return {
        MODULE: functools.partial(step, conv, conv),
        DENSE: functools.partial(step, dense, dense),
    }


def block_seconds(run: Run, calls: int, device: torch.device) -> float:
    """Time a block of calls.

    Args:
        run: Function to be called.
        calls: Number of calls.
        device: Device of the calls.

    Returns:
        Mean seconds of a call.
    """
    if device.type == "cpu":
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - begin) / calls
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    first.record()
    for _ in range(calls):
        run()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / 1e3 / calls


def ratios(runs: Mapping[str, Run], device: torch.device) -> dict[str, float]:
    """Time the contenders of a case in round-robin order.

    Args:
        runs: The contenders; the first one is compared with the others.
        device: Device of the contenders.

    Returns:
        The median over all rounds of the time of the first contender over that of each other one.
    """
    calls = {}
    for name, run in runs.items():
        # The first calls compile the kernel, and select an algorithm.
        block_seconds(run, 3, device)
        calls[name] = max(1, round(BLOCK_SECONDS / block_seconds(run, 3, device)))
    samples = [
        {name: block_seconds(run, calls[name], device) for name, run in runs.items()}
        for _ in range(ROUNDS)
    ]
    own, *others = runs
    return {
        other: statistics.median(round_[own] / round_[other] for round_ in samples)
        for other in others
    }


def measure(case: Case, device: torch.device) -> list[dict[str, object]]:
    """Check and time a case in both precisions.

    Args:
        case: The case.
        device: Device of the tensors.

    Returns:
        The ratios with the facts of the case, one row for each precision.
    """
    rows = []
    for precision in ("ieee", "tf32"):
        torch.manual_seed(0)
        # TF32 has no bits for the check.
        use_precision("ieee")
        runs = steps(case, device) if case.training else forwards(case, device)
        use_precision(precision)
        with torch.inference_mode(not case.training):
            found = ratios(runs, device)
        rows.append({**dataclasses.asdict(case), "precision": precision, "over": found})
    return rows


def use_precision(precision: str) -> None:
    """Set the precision of products in float32, for matrices and for convolutions of cuDNN.

    Args:
        precision: "ieee" or "tf32".
    """
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Write the table of geometric means and worst cases.

    Args:
        rows: Rows of `measure`.

    Returns:
        The table in Markdown.
    """
    columns = list(dict.fromkeys((row["precision"], row["training"], row["batch"]) for row in rows))
    names = [
        f"{precision}, batch {batch}, {'forward + backward' if training else 'forward'}"
        for precision, training, batch in columns
    ]
    lines = [f"| operator, over | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for operator, other in itertools.product(operators(), (DENSE, GROUPED)):
        values: dict[object, list[float]] = {column: [] for column in columns}
        for row in rows:
            over = row["over"]
            assert isinstance(over, dict)
            if row["operator"] == operator and other in over:
                values[row["precision"], row["training"], row["batch"]].append(over[other])
        if any(values.values()):
            cells = [
                f"{statistics.geometric_mean(each):.2f} ({max(each):.2f})" if each else ""
                for each in values.values()
            ]
            lines.append(f"| {operator}, over {other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cases, write them as JSON, and print the table.

    Args:
        arguments: Command line without the program.

    Raises:
        SystemExit: If the kernels cannot run on the device, or a result is wrong.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="file for the results of all cases as JSON")
    parser.add_argument("--device", default="cuda", help="device of torch")
    parser.add_argument("--reduced", action="store_true", help="small cases, as a trial")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if (problem := missing(torch.float32, device)) is not None:
        raise SystemExit(f"the kernels cannot run on {device}: {problem.reason}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    rows = [row for case in cases(given.reduced) for row in measure(case, device)]
    if given.out is not None:
        facts = {"device": name, "torch": torch.__version__, "cases": rows}
        given.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"{name}, torch {torch.__version__}; geometric mean of time ratios (worst case)\n")
    print(table(rows))


if __name__ == "__main__":
    main()
