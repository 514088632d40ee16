"""The tables of the page, and the reasons below them."""

from dsx.bench.zoo.page import page
from dsx.bench.zoo.rows import row
from tests.bench.zoo.test_rows import FINDINGS, NETWORK

WRONG = {
    **FINDINGS, "flops_counted": 1, "norms_left": 3, "norms_folded": 17, "difference": 0.5,
    "model_py": "needs a | b", "flagged": True, "search": "4 designs",
    "trace_agrees": False,
}  # fmt: skip

UNTRACED = {"untraced": "TraceError: a | b"}


def test_a_network_has_a_row_in_both_tables() -> None:
    lines = page([row(NETWORK, FINDINGS)]).splitlines()
    counts, deployed = (line for line in lines if line.startswith("| timm resnet18 |"))
    assert counts == (
        "| timm resnet18 | 160 px | 11,689,512 | 11.69 M | 925,798,400 | 0.93 G | 20 | 0 |"
    )
    assert deployed == (
        "| timm resnet18 | 64 px | 20 | 20 | 0 | 5e-07 | yes | 6 ms | 5 ms | 1.20 |"
    )
    assert "| batch norms folded (20 of 20): none is left | 1 of 1 |" in lines


def test_deviations_are_shown() -> None:
    text = page([row(NETWORK, WRONG)])
    assert "925,798,400 (counted: 1)" in text
    assert "| 20 | 17 | 3 | 0.5 (different) | no | 6 ms~ | 5 ms~ |" in text
    assert "| timm resnet18 | no model.py: needs a \\| b |" in text
    traced = "torch.fx cannot follow it (no fold, no model.py): TraceError: a \\| b"
    assert f"| timm resnet18 | {traced} |" in page([row(NETWORK, {**WRONG, **UNTRACED})])
    assert "| timm resnet18 | the analysis and the deployment disagree whether" in text
    assert "| flops equal the independent count | 0 of 1 |" in text
    assert "| timm resnet18 | 64 px | 4 designs |" in text


def test_a_network_that_failed_is_listed_with_its_reason_alone() -> None:
    text = page([row(NETWORK, FINDINGS), row(NETWORK, {"failed": "building: no"})])
    assert "2 public architectures, built with random weights; 1 of them run here." in text
    assert "| timm resnet18 | building: no |" in text
    assert "| params equal the independent count, and the published number | 1 of 1 |" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    lines = [line for line in page([row(NETWORK, WRONG)]).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {3, 4, 9, 11}
