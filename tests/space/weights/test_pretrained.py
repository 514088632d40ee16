"""Weights from files: any kind that is safe, and nothing that runs code."""

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
def test_what_training_scripts_save_is_read(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    network = Tiny()
    load_weights(network, read_weights(str(tmp_path / name)), [])
    assert all(torch.equal(t, STATE[key]) for key, t in network.state_dict().items())


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    marker, file = tmp_path / "ran", tmp_path / "w.pt"
    content = {"w": Attack(f"touch {marker}")}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DsxError, match=r"w\.pt: holds more than tensors, or is damaged"):
        read_weights(str(file))
    assert not marker.exists()
    torch.load(file, weights_only=False)  # what it would have done
    assert marker.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "w.pt")
    with pytest.raises(DsxError, match=r"save the network's state_dict\(\) alone") as caught:
        read_weights(str(tmp_path / "w.pt"))
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    """Leave half of a file."""
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
def test_a_damaged_file_gives_one_line_with_its_name(damage: str, tmp_path: Path) -> None:
    name, write = DAMAGED[damage]
    write(tmp_path / name)
    with pytest.raises(DsxError, match=rf"^{re.escape(str(tmp_path / name))}: ") as caught:
        read_weights(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("w.onnx", r"w\.onnx: not a kind of weight file .*allowed: \.safetensors, \.pt, \.pth"),
        ("none.pt", r"none\.pt: there is no such file \(looked for in /"),
    ],
)
def test_a_file_that_is_not_there_is_named(file: str, problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        read_weights(file)


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_file(STATE, tmp_path / "w.safetensors")
    assert read_weights("~/w.safetensors").keys() == STATE.keys()


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    """Give the state with some tensors exchanged, or left out."""
    exchanged = {key.replace("__", "."): tensor for key, tensor in tensors.items()}
    return {k: t for k, t in (STATE | exchanged).items() if t is not None}


def test_a_network_takes_the_weights() -> None:
    network = Tiny()
    load_weights(network, STATE, [])
    assert all(torch.equal(t, STATE[name]) for name, t in network.state_dict().items())


def test_half_precision_weights_are_taken_as_float32() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        network = Tiny()
        load_weights(network, {name: t.to(dtype) for name, t in STATE.items()}, [])
        assert network.conv.weight.dtype == torch.float32
        assert torch.equal(network.conv.weight, STATE["conv.weight"].to(dtype).float())


QUANTISED = [
    torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float8_e4m3fn,
]  # fmt: skip


@pytest.mark.parametrize("dtype", QUANTISED, ids=str)
def test_quantised_weights_without_their_scale_are_refused(dtype: torch.dtype) -> None:
    network, name = Tiny(), str(dtype).removeprefix("torch.")
    problem = f"head.bias holds {name} in the file and float32 in the network: numbers that are "
    state = changed(head__bias=torch.ones(10).to(dtype))
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
def test_whole_numbers_for_integer_buffers_are_taken(own: torch.dtype, given: Tensor) -> None:
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
def test_numbers_that_an_integer_buffer_cannot_hold_are_refused(
    own: torch.dtype, given: Tensor
) -> None:
    kinds = [str(dtype).removeprefix("torch.") for dtype in (given.dtype, own)]
    problem = f"counts holds {kinds[0]} in the file and {kinds[1]} in the network, which cannot"
    with pytest.raises(DsxError, match=f"^{problem}"):
        load_weights(counting(own), {**STATE, "counts": given}, [])


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (changed(head__bias=None), "head.bias is missing (to leave"),
        (changed(tail__bias=torch.zeros(1)), "tail.bias is unknown (to leave"),
        (changed(head__bias=torch.zeros(7)), "head.bias is 7, not 10 (to leave"),
        (changed(head__bias=torch.tensor(1.0)), "head.bias is one number, not 10"),
        (
            {f"{name}_": tensor for name, tensor in STATE.items()},
            "mix.weight is missing; mix.bias is missing; conv.weight is missing, and 7 more",
        ),
    ],
)
def test_another_architecture_is_refused(state: dict[str, Tensor], problem: str) -> None:
    network = Tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(DsxError, match=f"of another architecture: {re.escape(problem)}"):
        load_weights(network, state, [])
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_what_is_skipped_stays_fresh() -> None:
    network = Tiny()
    fresh = network.head.weight.detach().clone()
    load_weights(network, changed(head__bias=torch.zeros(7), head__weight=None), ["head.*"])
    assert torch.equal(network.head.weight, fresh)
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


@pytest.mark.parametrize("prefix", ["", "module.", "net.model."])
def test_entries_that_only_the_file_has_may_be_skipped(prefix: str) -> None:
    network = Tiny()
    state = {f"{prefix}{name}": t for name, t in changed(aux__weight=torch.ones(3)).items()}
    named = load_weights(network, state, ["aux.*"])
    assert torch.equal(network.conv.weight, STATE["conv.weight"])
    assert (named.prefix, named.ignored) == (prefix, ("aux.weight",))


def test_skipped_entries_of_the_file_hide_no_prefix() -> None:
    network = Tiny()
    state = {f"net.{name}": t for name, t in STATE.items()} | {"loss.weight": torch.ones(3)}
    named = load_weights(network, state, ["loss.*"])
    assert torch.equal(network.conv.weight, STATE["conv.weight"])
    assert (named.prefix, named.ignored) == ("net.", ("loss.weight",))
    # Left out already, because a prefix is given.
    assert load_weights(Tiny(), state, ["loss.*"], "net").ignored == ("loss.weight",)


NOT_FITTING: list[tuple[dict[str, Tensor], list[str], str]] = [
    (changed(aux__weight=torch.ones(3)), [], "'aux.weight'"),
    (changed(aux__a__weight=torch.ones(3), aux__b__bias=torch.ones(3)), [], "'aux.*'"),
    (changed(conv__extra=torch.ones(3)), [], "'conv.extra'"),
    (changed(extra=torch.ones(3)), [], "'extra'"),
    (changed(head__bias=None), [], "'head.bias'"),
    (changed(head__bias=torch.ones(7)), [], "'head.bias'"),
    (changed(head__bias=torch.ones(7), head__weight=torch.ones(7, 3)), [], "'head.*'"),
    (
        changed(head__bias=None, conv__weight=torch.ones(1), aux__weight=torch.ones(3)),
        [],
        "['head.bias', 'aux.weight', 'conv.weight']",
    ),
    (changed(head__bias=None, aux__weight=torch.ones(3)), ["aux.*"], "['aux.*', 'head.bias']"),
    ({**STATE, "it's [odd]: *.weight": torch.ones(3)}, [], "'it?s??odd????.weight'"),
]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("state", "skip", "advice"), NOT_FITTING)
def test_the_advice_of_what_to_skip_works(
    prefix: str, state: dict[str, Tensor], skip: list[str], advice: str
) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    told = f"(to leave out what does not fit: weights: {{file: ..., skip: {advice}}})"
    with pytest.raises(DsxError, match=f"{re.escape(told)}$"):
        load_weights(Tiny(), state, skip)
    followed = yaml.safe_load(advice)
    load_weights(Tiny(), state, [followed] if isinstance(followed, str) else followed)


def test_no_advice_is_given_where_nothing_would_be_left() -> None:
    problem = r"and 7 more \(0 of 5 weights of the network fit\)$"
    with pytest.raises(DsxError, match=problem):
        load_weights(Tiny(), {f"{name}_": tensor for name, tensor in STATE.items()}, [])


def test_a_count_of_batches_may_be_missing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    state = {name: t + 1 for name, t in network.state_dict().items() if "num_batches" not in name}
    load_weights(network, state, [])
    assert all(torch.equal(network.state_dict()[name], t) for name, t in state.items())


def test_a_digest_tells_weights_apart_and_not_files() -> None:
    same = {name: STATE[name].clone() for name in reversed(STATE)}
    assert digest(same) == digest(STATE)
    assert digest({"a": torch.tensor(1.0)}) != digest({"a": torch.tensor(2.0)})
    assert digest({"a": torch.zeros(2, 3)}) != digest({"a": torch.zeros(3, 2)})
    assert digest(changed(head__bias=STATE["head.bias"] + 1)) != digest(STATE)


def test_tied_weights_may_be_there_under_one_name() -> None:
    network = networks.Tied()
    state = {name: t for name, t in network.state_dict().items() if name != "twin.weight"}
    state["conv.weight"] = state["conv.weight"] + 1
    load_weights(network, state, [])
    assert torch.equal(network.twin.weight, state["conv.weight"])


def test_a_prefix_that_the_network_has_itself_stays() -> None:
    network = nn.Sequential()
    network.module = Tiny()
    load_weights(network, {f"module.{name}": t for name, t in STATE.items()}, [])
    assert torch.equal(network.module.conv.weight, STATE["conv.weight"])


def test_a_wildcard_that_skips_nothing_is_a_mistake() -> None:
    with pytest.raises(
        DsxError, match=r"^skip: 'haed\.\*' matches no weight of the network or the file$"
    ):
        load_weights(Tiny(), STATE, ["haed.*"])


def test_the_end_of_a_file_name_may_be_in_capitals(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "W.PT")
    assert read_weights(str(tmp_path / "W.PT")).keys() == STATE.keys()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_an_empty_file_is_called_empty(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DsxError, match=r": is empty \(0 bytes\)$"):
        read_weights(str(tmp_path / name))


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (float("nan"), "head.bias contains NaN"),
        (float("inf"), "head.bias contains infinite numbers"),
        (1e300, "head.bias contains infinite numbers"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused(number: float, problem: str) -> None:
    bias = STATE["head.bias"].double().index_fill(0, torch.tensor([3]), number)
    with pytest.raises(DsxError, match=f"^the weights are damaged: {problem}$"):
        load_weights(Tiny(), changed(head__bias=bias), [])


def test_infinite_numbers_of_the_network_itself_are_taken() -> None:
    network = Tiny()
    mask = torch.tensor([0.0, -torch.inf])
    network.register_buffer("mask", mask)
    load_weights(network, {**STATE, "mask": mask}, [])
    assert torch.equal(network.get_buffer("mask"), mask)


@pytest.mark.parametrize("name", ["last.ckpt", "model_best.pth.tar"])
def test_files_of_other_endings_are_read(name: str, tmp_path: Path) -> None:
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


def test_the_class_that_a_file_needs_is_named(tmp_path: Path) -> None:
    torch.save({"model": Tiny()}, tmp_path / "w.pt")
    problem = (
        r"w\.pt: holds more than tensors, or is damaged; it needs tests\.space\.networks\.Tiny"
    )
    with pytest.raises(DsxError, match=problem):
        read_weights(str(tmp_path / "w.pt"))


def test_values_beside_tensors_are_taken(tmp_path: Path) -> None:
    network, other = Extra(), Extra()
    network.steps = 7
    torch.save(network.state_dict(), tmp_path / "w.pt")
    load_weights(other, read_weights(str(tmp_path / "w.pt")), [])
    assert other.steps == 7
