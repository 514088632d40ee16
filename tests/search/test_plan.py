"""The metrics of a plan, their order, and constraints that no design can meet."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import ConvSpec
from dsx.errors import DsxError, SpaceError
from dsx.measure import this_device
from dsx.search.design.metrics_of_design import choose_metrics
from dsx.search.plan import Plan, find_metrics, make_plan, unmet_constraints
from dsx.space import Design, load_space
from dsx.space.yaml.bound import Bound
from dsx.store.database.engine import open_database
from dsx.store.measurements.measurements import MeasurementStore
from tests.search.spaces import LEARNED, STATIC, TIMED, TINY, varied

OBJECTIVES = "objectives: {accuracy: maximize, latency_ms: minimize}"


def plan_of(space: Path, storage: str) -> Plan:
    return make_plan(
        load_space(space), MeasurementStore(open_database(storage, create=True), this_device())
    )


def test_counted_metrics_are_always_measured_and_expensive_metrics_last(storage: str) -> None:
    plan = plan_of(TIMED, storage)
    stages = plan.stages(plan.space.baseline)
    assert [(stage, sorted(names)) for stage, names in stages] == [
        ("static", ["bits", "flops", "params"]),
        ("timed", ["latency_ms"]),
        ("projected", []),
        ("trained", ["accuracy"]),
    ]


def learned_design(plan: Plan) -> Design:
    specs = {"stages.0.conv1": ConvSpec(kernel_shape="learned", block_in=4, block_out=2)}
    return plan.space.design(specs)


def test_learned_shapes_are_trained_before_anything_is_counted(storage: str) -> None:
    plan = plan_of(LEARNED, storage)
    stages = [stage for stage, _ in plan.stages(learned_design(plan))]
    assert stages == ["trained", "static", "timed", "projected"]
    assert plan.stages(plan.space.baseline)[0][0] == "static"


def test_every_metric_of_learned_shapes_depends_on_their_training(
    storage: str, tmp_path: Path
) -> None:
    plan = plan_of(LEARNED, storage)
    longer = plan_of(varied(LEARNED, tmp_path, "epochs: 1", "epochs: 2"), storage)
    learned, plain = learned_design(plan), plan.space.baseline
    for name in ("params", "flops", "bits", "accuracy"):
        assert plan.protocol(name, learned) != longer.protocol(name, learned)
        assert plan.protocol(name, learned) != plan.protocol(name, plain)
    assert plan.protocol("params", plain) == longer.protocol("params", plain)
    assert not plan_of(TINY, storage).learned


def test_expensive_metrics_are_measured_only_if_requested(storage: str) -> None:
    assert sorted(plan_of(STATIC, storage).metrics) == ["bits", "flops", "params"]


def test_a_constraint_is_measured_even_if_it_is_no_objective(tmp_path: Path) -> None:
    space = varied(STATIC, tmp_path, 'flops: "<= 50%"', 'accuracy: ">= 0.5"')
    assert "accuracy" in find_metrics(load_space(space))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("flops: minimize", "latncy_ms: minimize", "objectives.latncy_ms"),
        ('flops: "<= 50%"', 'latncy_ms: "<= 50%"', "constraints.latncy_ms"),
    ],
)
def test_an_unknown_metric_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    space = varied(STATIC, tmp_path, old, new)
    line = next(n for n, text in enumerate(space.read_text().splitlines(), 1) if "latncy" in text)
    complaint = (
        rf"static\.yaml:{line}: {place}: no metric called 'latncy_ms' \(allowed: accuracy, .*\)\."
        r" Did you mean 'latency_ms'\?$"
    )
    with pytest.raises(SpaceError, match=complaint):
        find_metrics(load_space(space))


@pytest.mark.parametrize("key", ["objectives", "constraints"])
def test_an_unsupported_metric_is_rejected_with_its_line(tmp_path: Path, key: str) -> None:
    old, new = {
        "objectives": ("flops: minimize", "peak_memory_mb: minimize"),
        "constraints": ('flops: "<= 50%"', 'peak_memory_mb: "<= 50%"'),
    }[key]
    text = varied(STATIC, tmp_path, old, new).read_text()
    own = tmp_path / "own.yaml"
    own.write_text(f"{text}\nmeasure: {{backend: openvino}}\n")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "peak_memory_mb" in line)
    problem = "cannot be measured for the backend openvino"
    complaint = rf"own\.yaml:{line}: {key}\.peak_memory_mb: {problem}"
    with pytest.raises(SpaceError, match=complaint):
        find_metrics(load_space(own))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("unsupported_here", "needs the power meter$"),
        ("unsupported_text", r"unsupported\(\) returns a str, not an Unsupported or None$"),
        ("unsupported_exits", r"unsupported\(\) fails: SystemExit$"),
    ],
)
def test_a_foreign_metric_says_by_one_type_why_it_is_unsupported(
    tmp_path: Path, name: str, problem: str
) -> None:
    path = f"tests.search.metrics:{name}"
    space = varied(STATIC, tmp_path, "flops: minimize", f"'{path}': minimize")
    with pytest.raises(SpaceError, match=rf"static\.yaml:\d+: objectives\.{path}: .*{problem}"):
        find_metrics(load_space(space))
    with pytest.raises(DsxError, match=f"^metric: {path}.*{problem}"):
        choose_metrics(load_space(STATIC), [path], train=False)


@pytest.mark.parametrize(
    ("bound", "problem"),
    [
        (
            'flops: "<= 1"',
            "no design can meet this: the smallest has 5,024 (10.3% of the baseline)",
        ),
        (
            'params: "<= 1%"',
            "no design can meet this: the smallest has 582 (11.8% of the baseline)",
        ),
        ('flops: ">= 1G"', "no design can meet this: the largest has 48,544 (100.0% of the bas"),
    ],
)
def test_a_constraint_that_nothing_meets_is_found_before_the_first_trial(
    storage: str, tmp_path: Path, bound: str, problem: str
) -> None:
    space = varied(STATIC, tmp_path, 'flops: "<= 50%"', bound)
    name = bound.partition(":")[0]
    (found,) = unmet_constraints(load_space(space)).items()
    assert found[0] == name
    assert found[1].startswith(problem)
    with pytest.raises(SpaceError, match=rf"static\.yaml:\d+: constraints\.{name}: no design can"):
        plan_of(space, storage)


def test_bounds_at_the_ends_of_the_range_can_be_met(tmp_path: Path) -> None:
    least, most = load_space(STATIC).cost_range()
    for bound in (f"<= {least.flops}", f">= {most.flops}"):
        space = varied(STATIC, tmp_path, "<= 50%", bound)
        assert unmet_constraints(load_space(space)) == {}


def test_constraints_without_closed_form_are_not_checked_in_advance(tmp_path: Path) -> None:
    space = varied(TIMED, tmp_path, OBJECTIVES, f'{OBJECTIVES}\nconstraints: {{accuracy: ">= 2"}}')
    assert unmet_constraints(load_space(space)) == {}


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_violations_are_positive_for_violated_constraints(value: float, baseline: float) -> None:
    space = load_space(TINY)
    bounds = {
        "params": Bound(at_most=True, limit=0.5, relative=True),
        "accuracy": Bound(at_most=False, limit=0.9, relative=False),
        "latency_ms": Bound(at_most=True, limit=1.0, relative=False),
    }
    file = space.file.model_copy(update={"constraints": bounds})
    bounded = type(space)(**{**vars(space), "file": file})
    plan = Plan(space=bounded, metrics={}, settings={}, protocols={}, learned={})
    values = {"params": value, "accuracy": value}
    violations = plan.violations(values, {"params": baseline, "accuracy": baseline})
    assert violations.keys() == {"params", "accuracy"}
    assert (violations["params"] > 0) == (value > 0.5 * baseline)
    assert (violations["accuracy"] > 0) == (value < 0.9)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("backend: onnxruntme", r"measure\.backend: no backend called 'onnxruntme' \(allowed: "
         r"compile, eager, .*\)\. Did you mean 'onnxruntime'\?$"),
        ("backend: openvino, dtype: float64", r"measure\.dtype: the backend openvino computes in "),
        ("backend: openvino, device: cuda", r"measure\.device: the backend openvino runs on cpu "),
    ],
)  # fmt: skip
def test_unsupported_settings_of_a_backend_are_rejected_with_their_line(
    settings: str, problem: str, storage: str, tmp_path: Path
) -> None:
    lines = TIMED.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("train:"))
    changed = varied(TIMED, tmp_path, lines[place], f"{lines[place]}\nmeasure: {{{settings}}}")
    with pytest.raises(SpaceError, match=rf":{place + 2}: {problem}"):
        plan_of(changed, storage)


def test_protocols_depend_on_the_image_size(storage: str, tmp_path: Path) -> None:
    small = plan_of(STATIC, storage)
    old = "{width: 4}\ndata: digits"
    large = plan_of(
        varied(STATIC, tmp_path, old, "{width: 4, in_channels: 3}\ndata: cifar10"), storage
    )
    assert small.protocols.keys() == large.protocols.keys()
    assert set(small.protocols.values()).isdisjoint(large.protocols.values())
