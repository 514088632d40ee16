"""The page docs/networks.md with the results of the benchmark as tables."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from dsx.bench._base import Row
from dsx.bench._saved import versions
from dsx.bench.zoo.libraries import PACKAGES
from dsx.bench.zoo.rows import TOLERANCE
from dsx.measure import this_device

_TEXT = """# Public networks

{count} public architectures, built with random weights; {examined} of them run here. This page is
written by `dsx bench networks` (extra `zoo`); this one on {versions},
on {device}.

| what was compared | networks |
| --- | --- |
{summary}

## Counts

*params* and *flops* are those of dsx (one multiply-add counts once), for one image of the size in
the column *counted at*. Each is compared with an independent count: *params* with the sum over the
parameters of the network, *flops* with half of what torch's own counter
(`torch.utils.flop_counter`) reports. Published numbers are those that torchvision keeps with its
trained weights, and those of timm's repository
(`results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv`; starnet: the file of `pt291-cu128`),
which are rounded to hundredths of a million and of a billion. timm's count of FLOPs includes norms
and pooling and is therefore higher. transformers publishes none. *Slots* are the convolutions that
may be redesigned, and *others* those that may not.

{counts}

## Deployment

Each batch norm has a random mean, variance (0.5 to 2), weight and bias, and activations are checked
to be neither constant nor infinite. *Norms* are the batch norms that run in one forward pass,
counted by operator, and *left* those that still run in the deployed network. *Difference* is the
largest difference of an output of the deployed network on four images, as a part of the largest
output. *model.py*: whether it was written and gives the same outputs (up to {tolerance}) in a fresh
process without dsx; the reasons are listed below. *Eager* is the latency of the network itself and
*deployed* that of the deployed network (batch 1, float32, one thread, interleaved); *speedup* is
the first over the second. A latency with ~ is flagged as noisy or unconverged.

{deployed}
{reasons}{searches}"""
_SEARCHES = """
## Searches

A search of four designs without training: the baseline, and three designs in which each convolution
has a kernel shape (full or cross) and a number of groups (1, 2 or 4) that are chosen at random.

{table}
"""


def page(rows: Sequence[Row]) -> str:
    """Write the page.

    Args:
        rows: The rows of the benchmark.

    Returns:
        The page in Markdown.
    """
    known = ", ".join(f"{name} {number}" for name, number in versions(PACKAGES).items() if number)
    device = this_device()
    searched = [row for row in rows if row["search"] != ""]
    return _TEXT.format(
        count=len(rows),
        examined=sum(row["failed"] == "" for row in rows),
        versions=f"{datetime.now(UTC):%Y-%m-%d} with {known}",
        device=f"{device.processor} ({device.cores} cores)",
        summary=_summary(rows),
        counts=_counts([row for row in rows if row["params"] != ""]),
        tolerance=TOLERANCE,
        deployed=_deployed([row for row in rows if row["norms"] != ""]),
        reasons=_reasons(rows),
        searches=_SEARCHES.format(table=_searches(searched)) if searched else "",
    )


def _summary(rows: Sequence[Row]) -> str:
    norms = [row for row in rows if row["norms"] != ""]
    all_norms = sum(int(str(row["norms"])) for row in norms)
    folded = sum(int(str(row["norms_folded"])) for row in norms)
    with_norms = [row for row in norms if row["norms"] != 0]
    clean = sum(row["norms_left"] == 0 for row in with_norms)
    lines = [
        (
            "params equal the independent count, and the published number",
            _share(rows, "params_equal"),
        ),
        ("flops equal the independent count", _share(rows, "flops_equal")),
        (
            f"batch norms folded ({folded:,} of {all_norms:,}): none is left",
            f"{clean} of {len(with_norms)}",
        ),
        ("outputs of the deployed network are equal", _share(rows, "outputs_equal")),
        ("model.py written", _share(rows, "model_py", "written")),
    ]
    return "\n".join(f"| {name} | {share} |" for name, share in lines)


def _share(rows: Sequence[Row], name: str, good: str = "yes") -> str:
    known = [row for row in rows if row[name] != ""]
    return f"{sum(row[name] == good for row in known)} of {len(known)}"


def _counts(rows: Sequence[Row]) -> str:
    def flops(row: Row) -> str:
        equal = row["flops_equal"] == "yes"
        return _thousands(row["flops"]) + ("" if equal else f" (counted: {row['flops_counted']:,})")

    def params(row: Row) -> str:
        equal = row["params_equal"] == "yes"
        return _thousands(row["params"]) + ("" if equal else " (different)")

    return _table(
        rows,
        {
            "network": _name,
            "counted at": lambda row: f"{row['counted_side']} px",
            "params": params,
            "published": lambda row: _millions(row["params_published"], 1e6, "M"),
            "flops": flops,
            "published ": lambda row: _millions(row["flops_published"], 1e9, "G"),
            "slots": lambda row: str(row["slots"]),
            "others": lambda row: str(row["excluded"]),
        },
    )


def _deployed(rows: Sequence[Row]) -> str:
    def milliseconds(name: str) -> Callable[[Row], str]:
        mark = {"yes": "~"}
        return lambda row: (
            f"{row[name]:.3g} ms{mark.get(str(row['flagged']), '')}" if row[name] else ""
        )

    def difference(row: Row) -> str:
        if row["difference"] == "":
            return ""
        wrong = "" if row["outputs_equal"] == "yes" else " (different)"
        return f"{row['difference']:.1g}{wrong}"

    def written(row: Row) -> str:
        return "" if row["model_py"] == "" else "yes" if row["model_py"] == "written" else "no"

    return _table(
        rows,
        {
            "network": _name,
            "at": lambda row: f"{row['side']} px",
            "norms": lambda row: str(row["norms"]),
            "folded": lambda row: str(row["norms_folded"]),
            "left": lambda row: str(row["norms_left"]),
            "difference": difference,
            "model.py": written,
            "eager": milliseconds("eager_ms"),
            "deployed": milliseconds("deployed_ms"),
            "speedup": lambda row: f"{row['speedup']:.2f}" if row["speedup"] else "",
        },
    )


def _reasons(rows: Sequence[Row]) -> str:
    """List what failed, or was not written, and why."""
    found: list[tuple[str, str]] = []
    for row in rows:
        if row["failed"] != "":
            found.append((_name(row), str(row["failed"])))
        if row["trace_agrees"] == "no":
            words = "the analysis and the deployment disagree whether torch.fx follows the network"
            found.append((_name(row), words))
        if row["untraced"] != "":
            words = f"torch.fx cannot follow it (no fold, no model.py): {row['untraced']}"
            found.append((_name(row), words))
        elif row["model_py"] not in ("", "written"):
            found.append((_name(row), f"no model.py: {row['model_py']}"))
    if not found:
        return ""
    lines = "\n".join(f"| {name} | {_cell(reason)} |" for name, reason in found)
    return f"\n| network | what failed, and why |\n| --- | --- |\n{lines}\n"


def _searches(rows: Sequence[Row]) -> str:
    columns = {
        "network": _name,
        "at": lambda row: f"{row['side']} px",
        "result": lambda row: _cell(str(row["search"])),
    }
    return _table(rows, columns)


def _table(rows: Sequence[Row], columns: dict[str, Callable[[Row], str]]) -> str:
    lines = [f"| {' | '.join(name.strip() for name in columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(write(row) for write in columns.values())} |" for row in rows]
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row['library']} {row['network']}"


def _cell(text: str) -> str:
    """Escape a text for a cell of a table."""
    return text.replace("|", "\\|")


def _thousands(value: object) -> str:
    return f"{value:,}"


def _millions(value: object, unit: float, letter: str) -> str:
    return f"{float(str(value)) / unit:.3f}".rstrip("0").rstrip(".") + f" {letter}" if value else ""
