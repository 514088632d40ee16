"""A short search on a network of the zoo with static and timed metrics, without training."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dsx.bench.zoo.catalogue import Architecture
from dsx.files import scratch

TRIALS = 4
"""Number of designs, including the baseline."""
MOST_SECONDS = 300.0
SHOWN = ("latency_ms", "flops", "params")


def run_search(
    architecture: Architecture, budget_seconds: float, most_seconds: float = MOST_SECONDS
) -> str:
    """Run `dsx search` on a network, in a database that is deleted afterwards.

    Args:
        architecture: A classifier.
        budget_seconds: Seconds for timing one design.
        most_seconds: Seconds after which the search is terminated.

    Returns:
        Description of the result, or the reason of a failure.
    """
    with scratch() as folder:
        file = folder / "zoo.yaml"
        file.write_text(_space(architecture, budget_seconds), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "dsx", "search", str(file), "--json", "--study", "zoo"),
            *("--trials", str(TRIALS), "--seed", "0", "--storage", f"sqlite:///{folder}/zoo.db"),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=most_seconds
            )
        except subprocess.TimeoutExpired:
            return f"took more than {most_seconds:.0f} s"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed without a message"])[-1]
        return describe_front(json.loads(done.stdout))


def _space(architecture: Architecture, budget_seconds: float) -> str:
    """Return the space file of a search as JSON, which is also YAML."""
    builders = "dsx.bench.zoo.libraries"
    side, channels, classes = architecture.side, architecture.channels, architecture.classes
    content = {
        "model": f"{builders}:network",
        "model_args": {"library": architecture.library, "name": architecture.name},
        "data": f"{builders}:pixels",
        "data_args": {"channels": channels, "side": side, "classes": classes},
        "measure": {"budget_seconds": budget_seconds},
        "slots": [{"match": "*", "kernel_shape": ["full", "cross"], "groups": [1, 2, 4]}],
        "objectives": {"latency_ms": "minimize", "flops": "minimize", "params": "minimize"},
    }
    return json.dumps(content, indent=2)


def describe_front(front: Mapping[str, Any]) -> str:
    """Describe the result of a search in one sentence.

    Args:
        front: The document that `dsx search --json` prints.

    Returns:
        The number of designs, and the smallest value of each metric relative to the baseline.
    """
    designs: Sequence[Mapping[str, Any]] = front["designs"]
    values = {each["id"]: each["metrics"] for each in designs}
    baseline = values[front["baseline"]]
    least = {
        name: min(metrics[name]["value"] for metrics in values.values()) / baseline[name]["value"]
        for name in SHOWN
    }
    shares = ", ".join(f"{name} {share:.0%}" for name, share in least.items())
    on_front = sum(bool(each["on_front"]) for each in designs)
    return f"{len(designs)} designs, {on_front} on the front; least: {shares} of the baseline"
