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
    """Put a prefix before all names."""
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
def test_the_only_state_dict_is_taken_and_named(key: str) -> None:
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
def test_of_several_none_is_taken_silently(plain: str, average: str) -> None:
    content = {plain: STATE, average: OTHER, "epoch": 3}
    problem = (
        f"holds 2 state dicts: {plain} (5 tensors), {average} (5 tensors): specify which (weights: "
        f"{{file: ..., key: {plain}}})"
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
        (STATE, "model", "the file is a state dict itself; leave out weights.key"),
        ({"model": STATE, "epoch": 3}, "epoch", "key: epoch holds no state dict, but a "
         "value of type int"),
        ({"epoch": 3, "args": {}}, None, "holds no state dict (a dict of plain tensors by name), "
         "but the entries epoch (int), args (dict)"),
        ([STATE], None, "holds no state dict, but a value of type list"),
        ({}, None, "holds no state dict (a dict of plain tensors by name), but nothing"),
    ],
)  # fmt: skip
def test_what_there_is_instead_is_named(content: object, key: str | None, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        state_dict_in(content, key)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "_orig_mod.", "net.", "module.encoder_q.", "a.b.c."],
)
def test_one_prefix_of_all_names_is_taken_off(prefix: str) -> None:
    named = match_names(STATE, under(prefix), None)
    assert named.state == STATE
    assert (named.prefix, named.ignored, named.wrapping) == (prefix, (), False)


def test_a_prefix_of_the_network_itself_stays() -> None:
    own = under("model.")
    assert match_names(own, under("module.model."), None).prefix == "module."
    assert match_names(own, own, None).prefix == ""


def test_counts_of_an_average_are_left_out() -> None:
    average = torch.optim.swa_utils.AveragedModel(Tiny())
    named = match_names(STATE, average.state_dict(), None)
    assert named.state.keys() == STATE.keys()
    assert (named.prefix, named.ignored) == ("module.", ("n_averaged",))


def test_wrappers_inside_names_are_taken_out() -> None:
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


def test_of_several_prefixes_none_is_taken_silently() -> None:
    problem = (
        "all weights of the network are there under module.encoder_q., module.encoder_k. alongside "
        "others: specify which to take (weights: {file: ..., prefix: module.encoder_q.})"
    )
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        load_weights(Tiny(), MOCO, [])


@pytest.mark.parametrize("prefix", ["module.encoder_k", "module.encoder_k."])
def test_a_prefix_that_is_given_says_which_weights_are_meant(prefix: str) -> None:
    network = Tiny()
    named = load_weights(network, MOCO, [], prefix)
    assert torch.equal(network.conv.weight, OTHER["conv.weight"])
    assert named.prefix == "module.encoder_k."
    assert len(named.ignored) == len(STATE) + 1


def test_a_prefix_that_no_name_has_is_refused() -> None:
    problem = (
        "prefix: no weight has a name under module.encoder_g (allowed: module). Did you "
        "mean 'module.encoder_q'?"
    )
    with pytest.raises(DsxError, match=f"^{re.escape(problem)}$"):
        load_weights(Tiny(), MOCO, [], "module.encoder_g")


def test_averages_of_weights_among_callbacks_are_named() -> None:
    state = {"conv.weight": torch.ones(2)}
    content = {"state_dict": state, "callbacks": {"EMA": {"ema_state_dict": state}}}
    problem = r"holds 2 state dicts: state_dict \(1 tensor\), callbacks\.EMA\.ema_state_dict"
    with pytest.raises(DsxError, match=problem):
        state_dict_in(content, None)


def test_what_may_be_bookkeeping_is_named_where_there_is_nothing_else() -> None:
    content = {"hypernet": {"conv.weight": torch.ones(2)}, "optimizer": {"exp": torch.ones(2)}}
    with pytest.raises(DsxError, match=r"hypernet \(1 tensor\).*specify which"):
        state_dict_in(content, None)
