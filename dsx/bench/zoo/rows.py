"""Rows of the results, and their description in a sentence."""

from dsx.bench._base import Row
from dsx.bench._saved import Findings
from dsx.bench.zoo.catalogue import Architecture

TOLERANCE = 1e-3
"""Largest difference of an output of equal networks in float32, relative to the largest output.

Folding changes the last digits, and deep networks amplify that."""
ROUNDED = 0.01
"""Rounding of published numbers of parameters, in millions."""
COUNTS = (
    "counted_side", "params", "params_counted", "params_published",
    "flops", "flops_counted", "flops_published", "slots", "excluded",
)  # fmt: skip
DEPLOYED = ("norms", "norms_folded", "norms_left", "difference", "untraced", "model_py")
TIMED = ("eager_ms", "deployed_ms")


def row(architecture: Architecture, findings: Findings) -> Row:
    """Build the row of a network.

    Args:
        architecture: Architecture of the network.
        findings: Findings of its examination.

    Returns:
        The row; values that are not known are empty strings.
    """
    eager, deployed = (findings.get(name) for name in TIMED)
    known = {name: findings.get(name) for name in (*COUNTS, *DEPLOYED)}
    found = {
        "library": architecture.library,
        "network": architecture.name,
        "side": architecture.side,
        **known,
        "params_equal": _params_equal(findings),
        "flops_equal": _equal(findings, "flops", "flops_counted"),
        "outputs_equal": _outputs_equal(findings),
        "trace_agrees": _word(findings.get("trace_agrees")),
        "eager_ms": eager and round(eager, 4),
        "deployed_ms": deployed and round(deployed, 4),
        "speedup": eager and deployed and round(eager / deployed, 3),
        "flagged": _word(findings.get("flagged")),
        "search": findings.get("search"),
        "failed": findings.get("failed"),
        "seconds": findings.get("seconds"),
    }
    return {name: "" if value is None else value for name, value in found.items()}


def _word(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _equal(findings: Findings, name: str, other: str) -> str | None:
    return _word(findings[name] == findings[other]) if name in findings else None


def _params_equal(findings: Findings) -> str | None:
    """Compare the number of parameters with the counted and with the published one."""
    if "params" not in findings:
        return None
    published = findings["params_published"]
    near = published is None or abs(findings["params"] - published) <= ROUNDED * 1e6
    return _word(near and findings["params"] == findings["params_counted"])


def _outputs_equal(findings: Findings) -> str | None:
    """Compare the outputs of the deployed network with those of the network."""
    if "difference" not in findings:
        return None
    # Not `> TOLERANCE`, since a NaN must fail, too.
    return _word(findings["difference"] <= TOLERANCE)


def describe(row: Row) -> str:
    """Describe a row in one sentence.

    Args:
        row: A row of this benchmark.

    Returns:
        The sentence.
    """
    parts = []
    if row["params"] != "":
        parts += [
            f"{row['params']:,} params ({_verdict(row['params_equal'])})",
            f"{row['flops']:,} flops ({_verdict(row['flops_equal'])})",
            f"{row['slots']} slots",
        ]
    if row["norms"] != "":
        parts.append(f"{row['norms_folded']} of {row['norms']} batch norms folded")
    if row["difference"] != "":
        parts.append(f"outputs {_verdict(row['outputs_equal'])} ({row['difference']:.1g})")
    if row["model_py"] != "":
        parts.append(f"model.py {row['model_py']}")
    if row["speedup"] != "":
        parts.append(f"{row['deployed_ms']} ms, {row['speedup']} times as fast as in eager")
    if row["search"] != "":
        parts.append(f"search: {row['search']}")
    if row["failed"] != "":
        parts.append(str(row["failed"]))
    return f"{row['library']} {row['network']}: {'; '.join(parts)}"


def _verdict(equal: object) -> str:
    return "equal" if equal == "yes" else "different"
