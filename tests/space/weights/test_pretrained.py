"""Weights from files of all safe formats, without running code."""

import argparse
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from dsx.errors import DsxError
from dsx.space.weights.pretrained import digest, load_weights, read_weights
from tests.space import networks
from tests.space.networks import Tiny
from tests.space.odd_networks import Extra

STATE = {name: tensor.detach() for name, tensor in Tiny().state_dict().items()}
WRITERS: dict[str, Callable[[Path], None]] = {
    "w.safetensors": lambda path: save_file(STATE, path),
    "w.pt": lambda path: torch.save(STATE, path),
    "w.pth": lambda path: torch.save({"epoch": 3, "state_dict": STATE}, path),
    "w.bin": lambda path: torch.save({"model": {f"module.{n}": t for n, t in STATE.items()}}, path),
    "old.pt": lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False),
    "both.pt": lambda path: torch.save(
        {f"_orig_mod.module.{n}": t for n, t in STATE.items()}, path
    ),
    "compiled.pt": lambda path: torch.save(
        {"model_state_dict": {f"_orig_mod.{n}": t for n, t in STATE.items()}}, path
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_checkpoints_of_training_scripts_are_read(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    network = Tiny()
    load_weights(network, read_weights(str(tmp_path / name)), [])
    assert all(torch.equal(t, STATE[key]) for key, t in network.state_dict().items())


class Attack:
    """Object that runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    marker, file = tmp_path / "ran", tmp_path / "w.pt"
    content = {"w": Attack(f"touch {marker}")}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DsxError, match=r"w\.pt: contains more than tensors, or is damaged"):
        read_weights(str(file))
    assert not marker.exists()
    torch.load(file, weights_only=False)  # the attack itself works
    assert marker.exists()


def test_a_pickled_network_is_rejected(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "w.pt")
    with pytest.raises(DsxError, match=r"save only the state_dict\(\) of the network") as caught:
        read_weights(str(tmp_path / "w.pt"))
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    """Write the first half of a weight file."""
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "nothing": ("w.pt", lambda path: path.write_bytes(b"")),
    "half": ("w.pt", cut),
    "text": ("w.pt", lambda path: path.write_text("weights")),
    "safe nothing": ("w.safetensors", lambda path: path.write_bytes(b"")),
    "safe text": ("w.safetensors", lambda path: path.write_text("weights, weights, weights")),
    "pickle": ("w.pt", lambda path: path.write_bytes(pickle.dumps({"a": 1}))),
    "no tensors": ("w.pt", lambda path: torch.save({"state_dict": {"a": 1}}, path)),
    "numbered": ("w.pt", lambda path: torch.save({0: torch.zeros(1)}, path)),
    "sparse": ("w.pt", lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path)),
    "complex": ("w.pt", lambda path: torch.save({"a": torch.zeros(2) * 1j}, path)),
    "a list": ("w.pt", lambda path: torch.save([torch.zeros(1)], path)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_causes_a_one_line_error_with_its_name(damage: str, tmp_path: Path) -> None:
    name, write = DAMAGED[damage]
    write(tmp_path / name)
    with pytest.raises(DsxError, match=rf"^{re.escape(str(tmp_path / name))}: ") as caught:
        read_weights(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (
            "w.onnx",
            r"w\.onnx: unknown extension of a weight file .*allowed: \.safetensors, \.pt, \.pth",
        ),
        ("none.pt", r"none\.pt: there is no such file \(in /"),
    ],
)
def test_a_missing_file_is_named(file: str, problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        read_weights(file)


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_file(STATE, tmp_path / "w.safetensors")
    assert read_weights("~/w.safetensors").keys() == STATE.keys()


def replaced(**tensors: Tensor | None) -> dict[str, Tensor]:
    """Return the state with some tensors replaced or removed."""
    exchanged = {key.replace("__", "."): tensor for key, tensor in tensors.items()}
    return {k: t for k, t in (STATE | exchanged).items() if t is not None}


def test_weights_are_loaded_into_a_network() -> None:
    network = Tiny()
    load_weights(network, STATE, [])
    assert all(torch.equal(t, STATE[name]) for name, t in network.state_dict().items())


def test_half_precision_weights_are_loaded_as_float32() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        network = Tiny()
        load_weights(network, {name: t.to(dtype) for name, t in STATE.items()}, [])
        assert network.conv.weight.dtype == torch.float32
        assert torch.equal(network.conv.weight, STATE["conv.weight"].to(dtype).float())


QUANTISED = [
    torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float8_e4m3fn,
]  # fmt: skip


@pytest.mark.parametrize("dtype", QUANTISED, ids=str)
def test_quantised_weights_without_a_scale_are_rejected(dtype: torch.dtype) -> None:
    network, name = Tiny(), str(dtype).removeprefix("torch.")
    problem = f"head.bias is {name} in the file and float32 in the network: quantised values"
    state = replaced(head__bias=torch.ones(10).to(dtype))
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}") as caught:
        load_weights(network, state, [])
    assert "\n" not in str(caught.value)
    assert not torch.equal(network.conv.weight, STATE["conv.weight"])
    load_weights(network, state, ["head.bias"])
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


def counting(dtype: torch.dtype) -> nn.Module:
    """Build a network with an integer or boolean buffer."""
    network = Tiny()
    network.register_buffer("counts", torch.zeros(2).to(dtype))
    return network


@pytest.mark.parametrize(
    ("own", "given"),
    [
        (torch.int64, torch.tensor([3, 4], dtype=torch.int64)),
        (torch.int64, torch.tensor([3, 4], dtype=torch.int32)),
        (torch.int64, torch.tensor([3.0, 4.0])),
        (torch.int64, torch.tensor([3.0, 4.0], dtype=torch.bfloat16)),
        (torch.int64, torch.tensor([3.0, 4.0]).to(torch.float8_e4m3fn)),
        (torch.int8, torch.tensor([3, 4])),
        (torch.bool, torch.tensor([0, 1], dtype=torch.uint8)),
    ],
)
def test_integers_are_loaded_into_integer_buffers(own: torch.dtype, given: Tensor) -> None:
    network = counting(own)
    load_weights(network, {**STATE, "counts": given}, [])
    assert torch.equal(network.get_buffer("counts"), given.to(own))


@pytest.mark.parametrize(
    ("own", "given"),
    [
        (torch.int64, torch.tensor([3.5, 4.0])),
        (torch.int64, torch.tensor([torch.nan, 4.0])),
        (torch.int64, torch.tensor([torch.inf, 4.0], dtype=torch.float16)),
        (torch.int8, torch.tensor([3, 400])),
        (torch.bool, torch.tensor([0.0, 0.5])),
    ],
)
def test_values_that_an_integer_buffer_cannot_represent_are_rejected(
    own: torch.dtype, given: Tensor
) -> None:
    dtypes = [str(dtype).removeprefix("torch.") for dtype in (given.dtype, own)]
    problem = f"counts is {dtypes[0]} in the file and {dtypes[1]} in the network, which cannot"
    with pytest.raises(DsxError, match=f"^{problem}"):
        load_weights(counting(own), {**STATE, "counts": given}, [])


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (replaced(head__bias=None), "head.bias is missing (to skip"),
        (replaced(tail__bias=torch.zeros(1)), "tail.bias is unknown (to skip"),
        (replaced(head__bias=torch.zeros(7)), "head.bias is 7, not 10 (to skip"),
        (replaced(head__bias=torch.tensor(1.0)), "head.bias is one number, not 10"),
        (
            {f"{name}_": tensor for name, tensor in STATE.items()},
            "mix.weight is missing; mix.bias is missing; conv.weight is missing, and 7 more",
        ),
    ],
)
def test_weights_of_another_architecture_are_rejected(
    state: dict[str, Tensor], problem: str
) -> None:
    network = Tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(DsxError, match=f"of another architecture: {re.escape(problem)}"):
        load_weights(network, state, [])
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_skipped_weights_keep_their_initial_values() -> None:
    network = Tiny()
    fresh = network.head.weight.detach().clone()
    load_weights(network, replaced(head__bias=torch.zeros(7), head__weight=None), ["head.*"])
    assert torch.equal(network.head.weight, fresh)
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


@pytest.mark.parametrize("prefix", ["", "module.", "net.model."])
def test_entries_that_only_the_file_has_may_be_skipped(prefix: str) -> None:
    network = Tiny()
    state = {f"{prefix}{name}": t for name, t in replaced(aux__weight=torch.ones(3)).items()}
    named = load_weights(network, state, ["aux.*"])
    assert torch.equal(network.conv.weight, STATE["conv.weight"])
    assert (named.prefix, named.ignored) == (prefix, ("aux.weight",))


def test_skipped_entries_do_not_hide_the_prefix() -> None:
    network = Tiny()
    state = {f"net.{name}": t for name, t in STATE.items()} | {"loss.weight": torch.ones(3)}
    named = load_weights(network, state, ["loss.*"])
    assert torch.equal(network.conv.weight, STATE["conv.weight"])
    assert (named.prefix, named.ignored) == ("net.", ("loss.weight",))
    # Already ignored because it does not have the given prefix.
    assert load_weights(Tiny(), state, ["loss.*"], "net").ignored == ("loss.weight",)


NOT_FITTING: list[tuple[dict[str, Tensor], list[str], str]] = [
    (replaced(aux__weight=torch.ones(3)), [], "'aux.weight'"),
    (replaced(aux__a__weight=torch.ones(3), aux__b__bias=torch.ones(3)), [], "'aux.*'"),
    (replaced(conv__extra=torch.ones(3)), [], "'conv.extra'"),
    (replaced(extra=torch.ones(3)), [], "'extra'"),
    (replaced(head__bias=None), [], "'head.bias'"),
    (replaced(head__bias=torch.ones(7)), [], "'head.bias'"),
    (replaced(head__bias=torch.ones(7), head__weight=torch.ones(7, 3)), [], "'head.*'"),
    (
        replaced(head__bias=None, conv__weight=torch.ones(1), aux__weight=torch.ones(3)),
        [],
        "['head.bias', 'aux.weight', 'conv.weight']",
    ),
    (replaced(head__bias=None, aux__weight=torch.ones(3)), ["aux.*"], "['aux.*', 'head.bias']"),
    ({**STATE, "it's [odd]: *.weight": torch.ones(3)}, [], "'it?s??odd????.weight'"),
]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("state", "skip", "advice"), NOT_FITTING)
def test_the_suggested_skip_pattern_works(
    prefix: str, state: dict[str, Tensor], skip: list[str], advice: str
) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    expected = f"(to skip these weights: weights: {{file: ..., skip: {advice}}})"
    with pytest.raises(DsxError, match=f"{re.escape(expected)}$"):
        load_weights(Tiny(), state, skip)
    followed = yaml.safe_load(advice)
    load_weights(Tiny(), state, [followed] if isinstance(followed, str) else followed)


def test_no_advice_is_given_if_no_weight_would_be_loaded() -> None:
    problem = r"and 7 more \(0 of 5 weights of the network match\)$"
    with pytest.raises(DsxError, match=problem):
        load_weights(Tiny(), {f"{name}_": tensor for name, tensor in STATE.items()}, [])


def test_a_batch_counter_may_be_missing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    state = {name: t + 1 for name, t in network.state_dict().items() if "num_batches" not in name}
    load_weights(network, state, [])
    assert all(torch.equal(network.state_dict()[name], t) for name, t in state.items())


def test_a_digest_depends_on_weights_not_on_files() -> None:
    same = {name: STATE[name].clone() for name in reversed(STATE)}
    assert digest(same) == digest(STATE)
    assert digest({"a": torch.tensor(1.0)}) != digest({"a": torch.tensor(2.0)})
    assert digest({"a": torch.zeros(2, 3)}) != digest({"a": torch.zeros(3, 2)})
    assert digest(replaced(head__bias=STATE["head.bias"] + 1)) != digest(STATE)


def test_tied_weights_may_be_stored_under_one_name() -> None:
    network = networks.Tied()
    state = {name: t for name, t in network.state_dict().items() if name != "twin.weight"}
    state["conv.weight"] = state["conv.weight"] + 1
    load_weights(network, state, [])
    assert torch.equal(network.twin.weight, state["conv.weight"])


def test_a_prefix_that_the_network_has_is_kept() -> None:
    network = nn.Sequential()
    network.module = Tiny()
    load_weights(network, {f"module.{name}": t for name, t in STATE.items()}, [])
    assert torch.equal(network.module.conv.weight, STATE["conv.weight"])


def test_a_wildcard_that_skips_no_weight_is_rejected() -> None:
    with pytest.raises(
        DsxError, match=r"^skip: 'haed\.\*' matches no weight of the network or the file$"
    ):
        load_weights(Tiny(), STATE, ["haed.*"])


def test_extensions_may_be_in_capitals(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "W.PT")
    assert read_weights(str(tmp_path / "W.PT")).keys() == STATE.keys()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_an_empty_file_is_reported_as_empty(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DsxError, match=r": is empty \(0 bytes\)$"):
        read_weights(str(tmp_path / name))


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (float("nan"), "head.bias contains NaN"),
        (float("inf"), "head.bias contains infinite values"),
        (1e300, "head.bias contains infinite values"),
    ],
)
def test_weights_that_are_not_finite_are_rejected(number: float, problem: str) -> None:
    bias = STATE["head.bias"].double().index_fill(0, torch.tensor([3]), number)
    with pytest.raises(DsxError, match=f"^the weights are damaged: {problem}$"):
        load_weights(Tiny(), replaced(head__bias=bias), [])


def test_infinite_values_of_the_network_are_accepted() -> None:
    network = Tiny()
    mask = torch.tensor([0.0, -torch.inf])
    network.register_buffer("mask", mask)
    load_weights(network, {**STATE, "mask": mask}, [])
    assert torch.equal(network.get_buffer("mask"), mask)


@pytest.mark.parametrize("name", ["last.ckpt", "model_best.pth.tar"])
def test_files_with_other_extensions_are_read(name: str, tmp_path: Path) -> None:
    content = {
        "state_dict": {f"model.{key}": tensor for key, tensor in STATE.items()},
        "optimizer_states": [{"state": {0: {"step": torch.ones(1)}}}],
        "args": argparse.Namespace(lr=0.1),
    }
    torch.save(content, tmp_path / name)
    state = read_weights(str(tmp_path / name))
    assert state.key == "state_dict"
    network = Tiny()
    assert load_weights(network, state, []).prefix == "model."
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


def test_the_class_that_a_file_requires_is_named(tmp_path: Path) -> None:
    torch.save({"model": Tiny()}, tmp_path / "w.pt")
    problem = r"w\.pt: contains more than tensors, .* it requires tests\.space\.networks\.Tiny"
    with pytest.raises(DsxError, match=problem):
        read_weights(str(tmp_path / "w.pt"))


def test_values_next_to_tensors_are_loaded(tmp_path: Path) -> None:
    network, other = Extra(), Extra()
    network.steps = 7
    torch.save(network.state_dict(), tmp_path / "w.pt")
    load_weights(other, read_weights(str(tmp_path / "w.pt")), [])
    assert other.steps == 7
