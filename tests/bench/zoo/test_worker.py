"""The process of a network, and failures that do not affect the others."""

import pytest

from dsx.bench.zoo.catalogue import SMALL_ZOO, Architecture
from dsx.bench.zoo.examine import STEPS
from dsx.bench.zoo.worker import examine_in_process

SMALL = next(each for each in SMALL_ZOO if each.library == "dsx")


@pytest.mark.slow
def test_steps_and_findings_arrive() -> None:
    steps: list[str] = []
    findings = examine_in_process(SMALL, 0.02, steps.append)
    assert steps == list(STEPS)
    assert "failed" not in findings
    assert findings["model_py"] == "written"
    assert findings["deployed_ms"] > 0


@pytest.mark.slow
def test_a_process_that_dies_is_a_reason() -> None:
    # What is built is checked inside the examination; what is sent is not.
    broken = Architecture(library="dsx", name="small_cnn", side="eight")  # type: ignore[arg-type]
    findings = examine_in_process(broken, -1.0, lambda step: None)
    assert findings["failed"].startswith("its process has ended: ")


def test_a_network_that_takes_too_long_is_given_up() -> None:
    findings = examine_in_process(SMALL, 0.02, lambda step: None, most_seconds=0.0)
    assert findings == {"failed": "took more than 0 s"}
