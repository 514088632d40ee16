"""Search spaces: validation before the first trial, their size, and the cost of designs."""

from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from dsx.conv import ConvSpec
from dsx.data import Dataset
from dsx.errors import SpaceError
from dsx.lookup import names
from dsx.nets import Net
from dsx.space import SearchSpace, load_space, redesign, shipped_spaces
from dsx.space.network.analysis import analyse_network
from tests.space.sampling import every_sample, sample_design
from tests.space.space_files import PLAIN, error_message, replaced, space, with_rules

NETWORKS = "tests.space.networks"
TINY = with_rules(
    "{match: '*', separable: [false, true], kernel_shape: [full, cross, corners], "
    "preset: [scc, {hetconv: {p: 2}}], groups: [1, 2, all], channel_stride: [block, 0.5]}",
    model=f"{NETWORKS}:Tiny",
)

EVERY = with_rules(
    "{match: conv, separable: [false, true], kernel_shape: [full, cross, learned], groups: [1, 2], "
    "binary_basis: [0, 1, 4, 9], splits: [1, 2, 3], scale: [false, true], density: [0.25, 0.5], "
    "rigid: [false, true], block_in: [2, 32]}",
    "{match: mix, preset: [slbf, {slbf: {k: 2, splits: 1}}], binary_basis: [2, 3]}",
    model=f"{NETWORKS}:Tiny",
)
"""Every dial; 9 binary filters for 4 outputs and 3 splits of 4 channels are unsupported."""


def of_model(model: str) -> str:
    """Return a space file for another model, which is built without arguments."""
    return with_rules("{match: '*', groups: [2]}", model=model).replace("{width: 8}", "{}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (replaced("data: digits", "data: digit"), "3: data: no dataset called 'digit' "
         f"(allowed: {', '.join(names(Dataset))}). Did you mean 'digits'?"),
        (replaced("data: digits", "data: torch.nn:Conv2d"), "3: data: torch.nn:Conv2d: the "
         "argument 'in_channels' is required"),
        (replaced("small_cnn", "smal_cnn"), "1: model: no net called 'smal_cnn' "
         f"(allowed: {', '.join(names(Net))}). Did you mean 'small_cnn'?"),
        (replaced("seed: 0", "augment: {crop: 8}"), "4: train.augment.crop: 8 is too large for "
         "images of 8 x 8 pixels (allowed: 0 to 7)"),
        (replaced("small_cnn", "nets.small"), "1: model: 'nets.small' is not an import path "
         "(write package.module:attribute)"),
        (replaced("small_cnn", "no.such:thing"), "1: model: cannot import 'no.such' of "
         "'no.such:thing': No module named 'no'"),
        (replaced("width: 8", "widht: 8"), "2: model_args: no argument of small_cnn called "
         "'widht' (allowed: classes, in_channels, stem_stride, width). Did you mean 'width'?"),
        (replaced("width: 8", "width: -8"), "2: model_args: width: -8 does not fit (allowed: an "
         "integer from 1 to 65,536)"),
        (replaced("width: 8", "width: 2024-12-05"), '2: model_args: width: "2024-12-05" does '
         'not fit (allowed: an integer from 1 to 65,536)'),
        (replaced("width: 8", "width: .nan"), "2: model_args: Out of range float values are not "
         "JSON compliant"),
        (replaced("width: 8", "width: 8, classes: 7"), "1: model: returns 7 numbers for an image, "
         "the data has 10 classes"),
        (of_model(f"{NETWORKS}:Tinny"), "1: model: no attribute of tests.space.networks called "
         "'Tinny' (allowed: "),
        (of_model(f"{NETWORKS}:NUMBER"), f"1: model: '{NETWORKS}:NUMBER' is a int, which is "
         "not callable"),
        (of_model(f"{NETWORKS}:no_module"), f"2: model_args: {NETWORKS}:no_module returns a str, "
         "not a nn.Module"),
        (of_model(f"{NETWORKS}:not_buildable"), f"2: model_args: {NETWORKS}:not_buildable cannot "
         "be built with these arguments: KeyError: 'no\\nsuch thing'"),
        (of_model(f"{NETWORKS}:Raises"), "1: model: the network does not run on an input of "
         "2 x 1 x 8 x 8: LookupError: first line second line"),
        (of_model(f"{NETWORKS}:WrongInput"), "1: model: the network does not run on an input of "
         "2 x 1 x 8 x 8: RuntimeError: Given groups=1"),
        (of_model(f"{NETWORKS}:TwoOutputs"), "1: model: the network returns a tuple, not one "
         "tensor"),
        (of_model(f"{NETWORKS}:Uncopyable"), "2: model_args: the network cannot be copied: Only "),
    ],
)  # fmt: skip
def test_inconsistent_keys_are_named(text: str, line: str) -> None:
    assert error_message(text).startswith(f"tested.yaml:{line}")


@pytest.mark.parametrize(
    ("code", "problem"), [("1 / 0", "ZeroDivisionError: division by zero"), ("def (", "SyntaxErr")]
)
def test_a_module_that_cannot_be_imported_is_named(
    code: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brokenmodule.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for key, word in (("model", "small_cnn"), ("data", "digits")):
        found = error_message(PLAIN.replace(word, "brokenmodule:thing"))
        assert f"{key}: importing " in found and f" fails: {problem}" in found


def test_missing_arguments_are_reported_at_the_model() -> None:
    text = replaced("model_args: {width: 8}\n", "").replace("small_cnn", "torch.nn:Conv2d")
    problem = error_message(text)
    assert problem.startswith(
        "tested.yaml:1: model: torch.nn:Conv2d cannot be built with these arguments: TypeError"
    )


def test_a_shipped_space_is_found_by_its_name() -> None:
    assert "digits" in shipped_spaces()
    loaded = load_space("digits")
    assert (loaded.name, loaded.source.file) == ("digits", "digits.yaml")
    assert loaded.source.text == shipped_spaces()["digits"].read_text()


def test_every_shipped_space_is_valid() -> None:
    for name in shipped_spaces():
        assert load_space(name).size > 1


def test_a_space_is_found_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "my.space.yaml"
    file.write_text(PLAIN)
    for given_path in (file, str(file)):
        loaded = load_space(given_path)
        assert (loaded.name, loaded.source.file) == ("my.space", str(file))
    file.write_text(replaced("epochs", "epoch"))
    with pytest.raises(SpaceError, match=rf"^{file}:4: train\.epoch: unknown key"):
        load_space(file)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("digit", r"^no search space called 'digit' \(allowed: .*digits.* or the path of a .yaml "
         r"file\)\. Did you mean 'digits'\?$"),
        ("", r"^no search space called ''"),
        ("xyz", r"^no search space called 'xyz' .*\)\.$"),
        ("no/such/digits.yaml", r"^no/such/digits\.yaml: there is no such file\. Did you mean"),
        ("xyz.yml", r"^xyz\.yml: there is no such file\.$"),
    ],
)  # fmt: skip
def test_an_unknown_space_has_a_near_match(name: str, problem: str) -> None:
    with pytest.raises(SpaceError, match=problem):
        load_space(name)


def test_a_binary_file_is_rejected_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match=r"a\.yaml: cannot be read: it is not UTF-8 text"):
        load_space(file)


def designs(loaded: SearchSpace) -> set[str]:
    """Return the ids of all designs that sampling reaches."""
    return {design.id for _, design in every_sample(loaded.sample)}


@pytest.mark.parametrize("text", [TINY, EVERY])
def test_the_size_is_the_number_of_designs_that_can_be_sampled(text: str) -> None:
    loaded = space(text)
    assert len(loaded.slot_options) == 2
    assert loaded.size == len(designs(loaded))
    assert loaded.baseline.id in designs(loaded)


@pytest.mark.parametrize("text", [TINY, EVERY])
def test_the_cost_range_is_attained_and_bounds_all(text: str) -> None:
    loaded = space(text)
    costs = [loaded.cost(design) for _, design in every_sample(loaded.sample)]
    least, most = loaded.cost_range()
    for name in ("params", "flops", "bits"):
        numbers = [getattr(cost, name) for cost in costs]
        assert (getattr(least, name), getattr(most, name)) == (min(numbers), max(numbers))
    assert least.flops < loaded.cost(loaded.baseline).flops
    assert least.expected == most.expected == any(cost.expected for cost in costs)


def test_a_space_may_contain_designs_more_expensive_than_the_baseline() -> None:
    loaded = space(with_rules("{match: '*', separable: true}", model=f"{NETWORKS}:Tiny"))
    original, largest = loaded.cost(loaded.baseline), loaded.cost_range()[1]
    # For 4 input and output channels, 36 + 16 weights and 4 biases instead of 144 weights.
    assert largest == original
    loaded = space(with_rules("{match: stem.0, separable: true}"))
    # For 1 input and 8 output channels, 9 + 8 weights and a bias instead of 72 weights.
    assert loaded.cost_range()[0].params == loaded.cost(loaded.baseline).params - 72 + 18


def live_params(network: nn.Module) -> int:
    """Count by brute force the parameters of a fresh network that are not masked."""
    total = 0
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            # Initial batch norm shifts and depthwise biases are zero, but not masked.
            sparse = name in ("weight", "basis_proxy") and parameter.dim() == 4
            total += int(parameter.count_nonzero()) if sparse else parameter.numel()
            # The filter selected by an output is not a parameter.
            total -= parameter.numel() if name == "select_proxy" else 0
    return total


SPACES = {text: space(text) for text in (TINY, EVERY)} | {"digits": load_space("digits")}


@given(st.sampled_from(sorted(SPACES)), st.data())
def test_costs_equal_those_of_the_built_network(name: str, data: st.DataObject) -> None:
    loaded = SPACES[name]
    design = sample_design(data, loaded)
    network = redesign(loaded.network(), design.changed)
    cost = loaded.cost(design)
    assert design.learned == cost.expected
    # The cost of learned shapes is an expectation before training has determined the shapes.
    assume(not design.learned)
    sample = torch.zeros(2, *loaded.data.image_shape)
    assert analyse_network(network, sample).cost({}) == cost == loaded.analysis.cost_of(network)
    assert cost.params == live_params(network)
    if not any(spec.binary_basis for spec in design.specs.values()):
        assert cost.bits == 32 * cost.params


def test_learned_is_true_for_spaces_and_designs_with_learned_shapes() -> None:
    loaded = space(EVERY)
    assert loaded.learned
    assert not space(TINY).learned
    assert not loaded.baseline.learned
    learned = {design.learned for _, design in every_sample(loaded.sample)}
    assert learned == {False, True}


def test_the_network_depends_on_the_seed() -> None:
    generator = torch.get_rng_state()
    states = [
        space(replaced("seed: 0", f"seed: {seed}")).network().state_dict() for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), generator)
    same, again, other = (state["stem.0.weight"] for state in states)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("Batched", "1: model: the network does not run on an input of 1 x 1 x 8 x 8: ValueError"),
        ("Squeezing", "1: model: returns 10 for a batch of 1 image, without the batch dimension"),
        ("Listed", "1: model: the network computes with weights that it does not register"),
        ("half_precision", "2: model_args: its weight mix.weight is bfloat16, but dsx trains in"),
    ],
)
def test_a_network_that_cannot_be_searched_is_rejected(model: str, problem: str) -> None:
    assert error_message(of_model(f"{NETWORKS}:{model}")).startswith(f"tested.yaml:{problem}")


def test_a_network_measured_in_batches_need_not_run_on_one_image() -> None:
    text = of_model(f"{NETWORKS}:Batched").replace("{batch: 1}", "{batch: 4}")
    text = text.replace("{match: '*'", "{match: conv")
    assert space(text).size > 1


def test_logits_are_unwrapped_in_the_network_of_a_space() -> None:
    text = of_model(f"{NETWORKS}:Wrapped").replace("{match: '*'", "{match: conv")
    network = space(text).network().eval()
    x = torch.zeros(3, 1, 8, 8)
    assert network(x).shape == (3, 10)
    small = redesign(network, {"conv": ConvSpec(kernel_shape="cross")})
    assert small(x).shape == (3, 10)


def test_kept_slots_have_no_options() -> None:
    keeping = with_rules("{match: 'stages.0.*', keep: true}", "{match: 'stages.*', groups: [1, 2]}")
    assert [slot.name for options in space(keeping).slot_options for slot in options.slots] == [
        "stages.1.conv1", "stages.1.conv2", "stages.2.conv1", "stages.2.conv2",
    ]  # fmt: skip


def test_equal_slots_have_equal_options_under_their_own_names() -> None:
    text = with_rules("{match: '*', kernel_shape: [full, cross], groups: [1, 3]}")
    found = {options.name: options for options in space(text).slot_options}
    first, second = found["stages.1.conv2"], found["stages.2.conv2"]
    assert first.slots[0].name == "stages.1.conv2"
    assert first.left_out == {
        "groups 3": "stages.1.conv2: groups = 3 does not divide the 16 input channels (allowed: "
        "1, 2, 4, 8, 16)"
    }
    assert second.left_out["groups 3"].startswith("stages.2.conv2: groups = 3 does not divide")
    # Both slots of the first stage have equal options.
    assert found["stages.0.conv1"].dials is found["stages.0.conv2"].dials
    assert list(found["stages.0.conv2"].settings()[0]) == ["stages.0.conv2"]


def test_a_wildcard_that_matches_only_excluded_convolutions_has_a_reason() -> None:
    text = of_model(f"{NETWORKS}:Hooked").replace("{match: '*'", "{match: conv")
    assert error_message(text) == (
        "tested.yaml:7: slots.0.match: 'conv' matches no slot: conv has hooks, which a redesign "
        "would lose"
    )


def test_a_wrong_number_of_classes_lists_the_classes_of_the_data() -> None:
    text = replaced("{width: 8}", "{width: 8, classes: 7}")
    assert error_message(text) == (
        "tested.yaml:1: model: returns 7 numbers for an image, the data has 10 classes (0, "
        "1, 2, 3, 4 and 5 more) (the largest label is 9)"
    )
