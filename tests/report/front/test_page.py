"""The page of a front: its content, and that it works offline."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dsx.analysis import TrialState
from dsx.analysis.front import Front
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.front.page import page
from dsx.report.front.view import axes


def written(front: Front) -> str:
    return page(front, *axes(front))


def data(text: str) -> dict[str, object]:
    (found,) = re.findall(r"^const data = (.*);$", text, flags=re.MULTILINE)
    read = json.loads(found)
    assert isinstance(read, dict)
    return read


class Tags(HTMLParser):
    """Collect the tags, their attributes and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: dict[int, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            at = len(self.tags)
            self.scripts[at] = self.scripts.get(at, "") + data
        else:
            self.text.append(data)

    @property
    def visible(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.mark.parametrize(
    "name", ["two", "three", "one", "baseline_only", "infeasible", "incomplete"]
)
def test_no_external_resource_is_loaded(name: str, request: pytest.FixtureRequest) -> None:
    tags = Tags(written(request.getfixturevalue(name)))
    assert {tag for tag, _ in tags.tags}.isdisjoint({"link", "img", "iframe", "base", "object"})
    for _, attributes in tags.tags:
        assert attributes.keys().isdisjoint({"src", "href", "srcset", "data", "action"})
    assert "url(" not in tags.visible and "@import" not in tags.visible
    library, ours = tags.scripts.values()
    assert len(library) > 1_000_000
    assert "http" not in ours and "//" not in re.sub(r"^\s*//.*$", "", ours, flags=re.MULTILINE)


def test_the_plot_sends_no_data(two: Front) -> None:
    assert 'modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]' in written(two)


def test_the_visible_text(three: Front) -> None:
    visible = Tags(written(three)).visible
    assert visible.count("vgg16-3") == 2
    assert "Space vgg16: 5 of 9 designs on the front (3 certain), 2 more possible." in visible
    assert "knee #4 against the baseline: flops 89 % lower" in visible
    assert "device Xeon, 1 thread, float32, batch 1" in visible
    assert "flops multiply-adds latency accuracy params bits peak memory" in visible
    assert "#4 477895 35.2 M 11% 0.159 ±0.005 ms 39% 92.1 ±0.4 % -1.3 pt" in visible
    assert visible.index("#1 419d76") < visible.index("#4 477895 35") < visible.index("#0 3fa9c1")
    assert "6x keep baseline, dominated (uncertain)" in visible
    assert "P(front) probability that the design is on the front" in visible
    assert "uncertain this probability is between 5 and 95 %, or a flagged value" in visible
    assert "P(front) dense design" in visible and "> 99 % 1/4 6x learned d0.25" in visible


def test_rows_have_the_class_of_their_role(three: Front) -> None:
    rows = {a["id"]: a["class"] for tag, a in Tags(written(three)).tags if tag == "tr" and a}
    assert rows["477895000004"] == "knee"
    assert rows["3fa9c1000000"] == "baseline"
    assert rows["43912b000002"] == "uncertain"
    assert rows["496c4a000005"] == "possible"
    assert len(rows) == 7


def test_data_of_the_plot(three: Front) -> None:
    read = data(written(three))
    assert read["chosen"] == {"x": "flops", "y": "accuracy", "colour": "latency_ms"}
    designs = {design["trial"]: design for design in read["designs"]}  # type: ignore[attr-defined]
    assert len(designs) == 9
    assert designs[4]["role"] == "knee"
    assert designs[4]["metrics"]["flops"] == [35_250_000] * 3
    assert designs[4]["metrics"]["accuracy"] == pytest.approx([0.9209, 0.9169, 0.9249])
    assert designs[4]["hover"].startswith("<b>#4</b> 477895000004, knee<br>flops: 35.2 M (11%)<br>")
    assert designs[4]["hover"].endswith("<br>6x learned d0.25 [rigid]")
    metrics = read["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["accuracy"]["format"] == ".4~%" and metrics["flops"]["format"] == ".4~s"
    assert metrics["latency_ms"]["heading"] == "latency (ms), lower is better"


def test_infinite_numbers_are_left_out(incomplete: Front) -> None:
    read = data(written(incomplete))
    first = next(d for d in read["designs"] if d["trial"] == 1)  # type: ignore[attr-defined]
    assert "latency_ms" not in first["metrics"]
    assert "latency: inf ms" in first["hover"]
    metrics = read["metrics"]
    assert isinstance(metrics, dict) and metrics["flops"]["log"]


def test_descriptions_cannot_break_out(two: Front) -> None:
    evil = "</script><script>alert(1)</script> & @PLOTLY@"
    entries = tuple(replace(entry, description=evil) for entry in two.entries)
    units = {"flops": evil, "accuracy": "fraction"}
    odd = replace(two, entries=entries, units=units, study=evil, conditions={evil: evil})
    text = written(odd)
    tags = Tags(text)
    assert [tag for tag, _ in tags.tags].count("script") == 2
    assert tags.visible.count("alert(1)") >= 8
    assert "@PLOTLY@" in tags.visible


def test_the_same_front_gives_the_same_page(three: Front) -> None:
    assert written(three) == written(three)


def test_uncertain_membership_is_hollow(three: Front) -> None:
    roles = {role["name"]: role for role in data(written(three))["roles"]}  # type: ignore[attr-defined]
    symbols = {name: (role["symbol"], role["legend"]) for name, role in roles.items()}
    assert symbols["knee"] == ("star", "knee")
    assert symbols["baseline"] == ("diamond-open", "baseline (uncertain)")
    assert symbols["front"] == ("circle", "front")
    assert symbols["uncertain"] == ("circle-open", "front (uncertain)")
    assert symbols["possible"] == ("circle-open", "dominated (uncertain)")
    assert [name for name, role in roles.items() if role["open"]] == [
        *("possible", "uncertain", "baseline")
    ]


def test_flags_seeds_and_devices_are_visible(flagged_front: Front, crowded: Front) -> None:
    visible = Tags(written(flagged_front)).visible
    assert "0.131 ±0.004 ms~! 32%" in visible
    assert "92.1 ±0.4 % of 3 seeds" in visible
    assert "~ time budget exhausted" in visible
    assert "! measured while other processes" in visible
    assert "knee, device 2" in visible and "front (uncertain), device 1" in visible
    assert "device 2 EPYC" in visible
    designs = data(written(flagged_front))["designs"]
    assert "<br>measured on device 2<br>" in designs[4]["hover"]  # type: ignore[index]
    assert "not in the table 4 more possible members" in Tags(written(crowded)).visible


def test_why_candidates_failed_is_below_the_table(two: Front) -> None:
    outcomes = Outcomes(
        counts={TrialState.COMPLETE: 9, TrialState.FAILED: 2},
        complete=8,
        failed=2,
        failures=(Reason(text="KeyError: <script>", trials=(3, 11)),),
    )
    text = page(replace(two, outcomes=outcomes), *axes(two))
    assert "<dd>2 candidates failed: 2 x KeyError: &lt;script&gt; (first: #3)</dd>" in text
    assert "<dt>trials</dt><dd>9 completed, 2 failed</dd>" in text
