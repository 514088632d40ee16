"""The designs of a record: their weights, and their accuracy on images no search has seen."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from dsx.bench.searching.record import Found
from dsx.conv import ConvSpec
from dsx.measure import Candidate
from dsx.space import Design, SearchSpace
from dsx.space.weights import state_of
from dsx.train import predict


def design_of(space: SearchSpace, found: Found) -> Design:
    """Build the design of a record.

    Args:
        space: The search space.
        found: The design.

    Returns:
        The design.
    """
    return space.design({name: ConvSpec.from_json(dict(spec)) for name, spec in found.spec.items()})


def accuracy_on_test(candidate: Candidate) -> float:
    """Measure the accuracy of a trained candidate on the test split.

    Args:
        candidate: The candidate.

    Returns:
        Fraction of correct predictions.
    """
    split = candidate.splits.test
    correct = predict(candidate.trained(), split) == split.labels
    return float(correct.double().mean())


def keep_weights(candidate: Candidate, folder: Path) -> None:
    """Save the weights of a candidate with learned shapes, which its latency depends on.

    Args:
        candidate: The trained candidate.
        folder: Folder of the search.
    """
    if candidate.design.learned:
        state = {name: tensor.clone() for name, tensor in state_of(candidate.trained()).items()}
        save_file(state, folder / f"{candidate.design.id}.safetensors")


def restore_weights(candidate: Candidate, folder: Path) -> None:
    """Restore the weights that `keep_weights` saved, if the candidate has learned shapes.

    Args:
        candidate: The candidate.
        folder: Folder of the search.
    """
    if candidate.design.learned:
        candidate.restore(load_file(folder / f"{candidate.design.id}.safetensors"))
