"""The state dict of a file is selected, and its names are matched with those of a network."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.errors import DsxError
from dsx.space.weights.pretrained import load_weights
from dsx.space.weights.state_dicts import match_names, state_dict_in
from tests.space.networks import Tiny

STATE: dict[str, Tensor] = {name: tensor.detach() for name, tensor in Tiny().state_dict().items()}
OTHER = {name: tensor + 1 for name, tensor in STATE.items()}


def under(prefix: str, state: Mapping[str, Tensor] = STATE) -> dict[str, Tensor]:
    """Return a state dict with a prefix before all names."""
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


ALONE: dict[str, dict[str, Any]] = {
    "": STATE,
    "state_dict": {"state_dict": STATE, "epoch": 3, "best_acc1": torch.tensor(0.5)},
    "net": {"net": STATE, "acc": 90.1},
    "params": {"params": STATE},
    "params_ema": {"params_ema": STATE},
    "weights": {"weights": STATE, "meta": {"classes": ["a", "b"]}},
    "network": {"network": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
    "generator": {"generator": STATE, "optimizer_g": {"a": torch.ones(1)}},
    "model.state_dict": {"model": {"state_dict": STATE, "name": "tiny"}},
    "model": {
        "model": STATE,
        "loss": {"weight": torch.ones(3)},
        "lr_scheduler": {"last": torch.ones(1)},
        "rng_state": torch.zeros(5, dtype=torch.uint8),
    },
}


@pytest.mark.parametrize("key", ALONE)
def test_a_single_state_dict_needs_no_key(key: str) -> None:
    found = state_dict_in(ALONE[key], None)
    assert found == STATE
    assert found.key == key


@pytest.mark.parametrize(
    ("plain", "average"),
    [
        ("state_dict", "state_dict_ema"), ("model", "ema"), ("model", "model_ema"),
        ("state_dict", "ema_state_dict"), ("params", "params_ema"), ("student", "teacher"),
    ],
)  # fmt: skip
def test_several_state_dicts_require_a_key(plain: str, average: str) -> None:
    content = {plain: STATE, average: OTHER, "epoch": 3}
    problem = (
        f"contains 2 state dicts: {plain} (5 tensors), {average} (5 tensors): specify which "
        f"(weights: {{file: ..., key: {plain}}})"
    )
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        state_dict_in(content, None)
    for key, state in ((plain, STATE), (average, OTHER)):
        assert state_dict_in(content, key) == state


@pytest.mark.parametrize(
    ("content", "key", "problem"),
    [
        (
            {"model": STATE, "model_ema": OTHER},
            "model_emma",
            "key: no state dict called 'model_emma' (allowed: model, model_ema). Did you "
            "mean 'model_ema'?",
        ),
        (STATE, "model", "the file itself is a state dict; leave out weights.key"),
        ({"model": STATE, "epoch": 3}, "epoch", "key: epoch contains no state dict, but a "
         "value of type int"),
        ({"epoch": 3, "args": {}}, None, "contains no state dict (a dict of plain tensors by "
         "name), but the entries epoch (int), args (dict)"),
        ([STATE], None, "contains no state dict, but a value of type list"),
        ({}, None, "contains no state dict (a dict of plain tensors by name), since it is empty"),
    ],
)  # fmt: skip
def test_other_contents_are_named(content: object, key: str | None, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        state_dict_in(content, key)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "_orig_mod.", "net.", "module.encoder_q.", "a.b.c."],
)
def test_a_common_prefix_is_removed(prefix: str) -> None:
    named = match_names(STATE, under(prefix), None)
    assert named.state == STATE
    assert (named.prefix, named.ignored, named.wrapping) == (prefix, (), False)


def test_a_prefix_of_the_network_is_kept() -> None:
    own = under("model.")
    assert match_names(own, under("module.model."), None).prefix == "module."
    assert match_names(own, own, None).prefix == ""


def test_counters_of_an_average_are_ignored() -> None:
    average = torch.optim.swa_utils.AveragedModel(Tiny())
    named = match_names(STATE, average.state_dict(), None)
    assert named.state.keys() == STATE.keys()
    assert (named.prefix, named.ignored) == ("module.", ("n_averaged",))


def test_wrappers_inside_names_are_removed() -> None:
    network = nn.Sequential()
    network.features = Tiny()
    state = under("module.features.module.")
    named = match_names(network.state_dict(), state, None)
    assert named.state.keys() == network.state_dict().keys()
    assert named.wrapping
    load_weights(network, state, [])
    assert torch.equal(network.features.conv.weight, STATE["conv.weight"])


MOCO = {
    **under("module.encoder_q."),
    **under("module.encoder_k.", OTHER),
    "module.queue": STATE["head.bias"],
}


def test_several_prefixes_require_a_selection() -> None:
    problem = (
        "the file contains all weights of the network under module.encoder_q., module.encoder_k., "
        "and other tensors: specify the prefix (weights: {file: ..., prefix: module.encoder_q.})"
    )
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        load_weights(Tiny(), MOCO, [])


@pytest.mark.parametrize("prefix", ["module.encoder_k", "module.encoder_k."])
def test_a_given_prefix_selects_the_weights(prefix: str) -> None:
    network = Tiny()
    named = load_weights(network, MOCO, [], prefix)
    assert torch.equal(network.conv.weight, OTHER["conv.weight"])
    assert named.prefix == "module.encoder_k."
    assert len(named.ignored) == len(STATE) + 1


def test_an_unknown_prefix_is_rejected() -> None:
    problem = (
        "prefix: no weight has the prefix module.encoder_g (allowed: module). Did you "
        "mean 'module.encoder_q'?"
    )
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        load_weights(Tiny(), MOCO, [], "module.encoder_g")


def test_averaged_weights_among_callbacks_are_found() -> None:
    state = {"conv.weight": torch.ones(2)}
    content = {"state_dict": state, "callbacks": {"EMA": {"ema_state_dict": state}}}
    problem = r"contains 2 state dicts: state_dict \(1 tensor\), callbacks\.EMA\.ema_state_dict"
    with pytest.raises(DsxError, match=problem):
        state_dict_in(content, None)


def test_possible_bookkeeping_is_listed_if_there_is_no_other_state_dict() -> None:
    content = {"hypernet": {"conv.weight": torch.ones(2)}, "optimizer": {"exp": torch.ones(2)}}
    with pytest.raises(DsxError, match=r"hypernet \(1 tensor\).*specify which"):
        state_dict_in(content, None)
