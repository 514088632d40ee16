"""A search that starts with trained weights."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dsx import search
from dsx.analysis import TrialState
from dsx.conv import ConvSpec
from dsx.errors import SpaceError
from dsx.measure import Candidate
from dsx.space import load_space
from dsx.store.studies.read import front
from dsx.train import predict
from tests.search.looking import measured, trials
from tests.search.spaces import LEARNED, TINY, varied


@dataclass(frozen=True)
class Trained:
    """Trained weights of the tiny network and their validation accuracy."""

    file: Path
    accuracy: float


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    space = load_space(varied(TINY, folder, "epochs: 1", "epochs: 6"))
    candidate = Candidate(space, space.baseline)
    network = candidate.trained()
    validation = space.splits.validation
    hits = (predict(network, validation) == validation.labels).double().mean()
    save_file(network.state_dict(), folder / "tiny.safetensors")
    return Trained(folder / "tiny.safetensors", float(hits))


def begun_with(space: Path, weights: str, folder: Path) -> Path:
    """Write a space with initial weights."""
    return varied(space, folder, "data: digits", f"weights: {weights}\ndata: digits")


def test_accuracy_is_known_before_training_and_after(
    trained: Trained, storage: str, tmp_path: Path
) -> None:
    space = begun_with(TINY, str(trained.file), tmp_path)
    found = search(space, trials=3, storage=storage)
    baseline = found.baseline_entry
    assert baseline is not None
    # The baseline is unchanged, including its batch norms.
    assert baseline.metrics["projected_accuracy"].value == trained.accuracy
    # One epoch from scratch reaches 0.25 to 0.55.
    assert baseline.metrics["accuracy"].value > 0.7
    assert all(0 < entry.metrics["projected_accuracy"].value < 1 for entry in found.entries)
    assert front(found.study, storage=storage).entries == found.entries


def test_redesigned_slots_start_with_the_weights_that_can_be_kept(
    trained: Trained, tmp_path: Path
) -> None:
    space = load_space(begun_with(TINY, str(trained.file), tmp_path))
    specs = {"stages.0.conv1": ConvSpec(kernel_shape="cross")}
    network = Candidate(space, space.design(specs)).network
    weight = load_file(trained.file)["stages.0.conv1.weight"]
    kept = network.get_submodule("stages.0.conv1").dense_weight()  # type: ignore[operator]
    live = kept != 0
    assert int(live.sum()) == 5 * weight[..., 0, 0].numel()
    assert torch.equal(kept[live], weight[live])
    assert torch.equal(network.get_parameter("head.weight"), load_file(trained.file)["head.weight"])


def test_a_binary_basis_of_kept_weights_has_a_scale(trained: Trained, tmp_path: Path) -> None:
    space = load_space(begun_with(TINY, str(trained.file), tmp_path))
    design = space.design({"stages.0.conv1": ConvSpec(binary_basis=2)})
    assert design.specs["stages.0.conv1"].scale is True
    candidate = Candidate(space, design)
    assert candidate.cost == space.analysis.cost_of(candidate.network)


def test_learned_shapes_start_with_kept_weights(
    trained: Trained, storage: str, tmp_path: Path
) -> None:
    space = begun_with(LEARNED, str(trained.file), tmp_path)
    found = search(space, trials=3, storage=storage)
    assert all("projected_accuracy" in entry.metrics for entry in found.entries)
    assert any("learned" in entry.description for entry in found.entries)


def test_other_initial_weights_are_another_protocol(
    trained: Trained, storage: str, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.safetensors"
    state = load_file(trained.file)
    save_file(state, file)
    space = begun_with(TINY, str(file), tmp_path)
    search(space, trials=1, storage=storage, study="first")
    before = sum(measured(storage).values())
    search(space, trials=1, storage=storage, study="again")
    assert sum(measured(storage).values()) == before
    state["head.bias"] += 1
    save_file(state, file)
    search(space, trials=1, storage=storage, study="other")
    # Both accuracies, because counts do not depend on weights.
    assert sum(measured(storage).values()) == before + 2


def test_a_head_of_other_classes_stays_fresh(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    state = load_file(trained.file)
    state["head.bias"] = torch.zeros(3)
    save_file(state, file)
    with pytest.raises(SpaceError, match=re.escape("head.bias is 3, not 10 (to skip")):
        load_space(begun_with(TINY, str(file), tmp_path))
    space = load_space(begun_with(TINY, f"{{file: {file}, skip: head.*}}", tmp_path))
    assert torch.equal(space.network().get_parameter("stem.0.weight"), state["stem.0.weight"])
    assert space.training["weights"][1:] == ["head.*"]


def test_weights_that_are_missing_are_named_with_their_line(storage: str, tmp_path: Path) -> None:
    space = begun_with(TINY, "none.pt", tmp_path)
    # The space can be loaded without them.
    assert load_space(space).missing == "none.pt"
    problem = r"tiny\.yaml:4: weights: none\.pt: there is no such file"
    with pytest.raises(SpaceError, match=problem):
        search(space, trials=1, storage=storage)


@pytest.mark.parametrize("key", ["objectives", "constraints"])
def test_projected_accuracy_needs_weights(key: str, storage: str, tmp_path: Path) -> None:
    text = "objectives: {accuracy: maximize, params: minimize}"
    new = {
        "objectives": "objectives: {projected_accuracy: maximize, params: minimize}",
        "constraints": text + '\nconstraints: {projected_accuracy: ">= 0.5"}',
    }
    with pytest.raises(SpaceError, match=f"{key}.projected_accuracy: needs pretrained weights"):
        search(varied(TINY, tmp_path, text, new[key]), trials=1, storage=storage)


def test_a_design_with_low_projected_accuracy_is_not_trained(
    trained: Trained, storage: str, tmp_path: Path
) -> None:
    begun = begun_with(TINY, str(trained.file), tmp_path)
    (folder := tmp_path / "bound").mkdir()
    text = "objectives: {accuracy: maximize, params: minimize}"
    bound = text + '\nconstraints: {projected_accuracy: ">= 99%"}'
    search(varied(begun, folder, text, bound), trials=2, storage=storage)
    reasons = [row.reason for row in trials(storage, "tiny") if row.state == TrialState.REJECTED]
    assert reasons and set(reasons) == {"violates the constraint on projected_accuracy"}
