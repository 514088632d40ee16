"""The nearest binary basis to a trained weight, by alternating least squares."""

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A binary basis, and the numbers behind it.

    Args:
        centres: Their signs are the basis, (k, size); how sure each sign is says their size.
        likeness: Of each piece to each filter; the largest is chosen, (outputs, splits, k).
        scale: Of each output, (outputs,).
        error: Squared distance from the weight.
    """

    centres: Tensor
    likeness: Tensor
    scale: Tensor
    error: float


def nearest_basis(
    weight: Tensor, live: Tensor, k: int, scaled: bool, most_rounds: int = MOST_ROUNDS
) -> Fit:
    """Minimise || W - scale * B_idx . S ||^2 over basis, selection and scale, each in turn.

    No step makes the error larger, and none has to be guessed: each is the exact minimum for what
    the others are at. The whole problem is a k-means, whose best solution nobody can name.

    Args:
        weight: Pieces of the filters, zero where dead, (outputs, splits, size).
        live: Which entries count, boolean, of the same shape.
        k: Filters in the basis.
        scaled: Whether each output has a scale; else it is 1.
        most_rounds: Largest number of alternating updates.

    Returns:
        The fit.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778) for the form; the scale of an
        output as in Rastegari et al., XNOR-Net (arXiv 1603.05279).
    """
    pieces, counts = weight.flatten(0, 1), live.flatten(1).sum(1).to(weight.dtype)
    # Where a scale may turn the filters around, nobody can say which way to begin is better.
    starts = [_spread_out(pieces, k, either_way) for either_way in (False, True)]
    fits = (_alternate(weight, counts, pieces[start], scaled, most_rounds) for start in starts)
    return min(fits, key=lambda fit: fit.error)


def _alternate(
    weight: Tensor, counts: Tensor, centres: Tensor, scaled: bool, most_rounds: int
) -> Fit:
    """Take turns, beginning with these filters, until nothing gets better."""
    found: Fit | None = None
    for _ in range(most_rounds):
        likeness, scale = _choose(weight, _signs(centres), counts, scaled)
        reached = float((scale.square() * counts).sum() - 2 * _reached(likeness, scale))
        error = float(weight.square().sum()) + reached
        if found is not None and error >= found.error:
            break
        found = Fit(centres=centres, likeness=likeness, scale=scale, error=error)
        centres = _update(centres, weight, likeness.argmax(-1), scale)
    assert found is not None
    return found


def _signs(centres: Tensor) -> Tensor:
    return torch.where(centres >= 0, 1.0, -1.0).to(centres.dtype)


def _choose(weight: Tensor, basis: Tensor, counts: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    """For a given basis, find the best selection and scale of each output."""
    products = weight @ basis.T
    if not scaled:
        return products, torch.ones_like(counts)
    # A scale may be negative: then the filters that are least alike are the best.
    most, least = products.amax(-1).sum(1), products.amin(-1).sum(1)
    total = torch.where(most >= -least, most, least)
    turned = torch.where(total >= 0, 1.0, -1.0).to(weight.dtype)
    return products * turned[:, None, None], total / counts.clamp_min(1)


def _reached(likeness: Tensor, scale: Tensor) -> float:
    """Give the sum of scale * W * B_idx; likeness has turned around where the scale is negative."""
    return float((likeness.amax(-1).sum(1) * scale.abs()).sum())


def _update(centres: Tensor, weight: Tensor, chosen: Tensor, scale: Tensor) -> Tensor:
    """For a given selection and scale, find the best basis; unused filters stay."""
    pulled = (weight * scale[:, None, None]).flatten(0, 1)
    sums = torch.zeros_like(centres).index_add(0, chosen.flatten(), pulled)
    users = torch.bincount(chosen.flatten(), minlength=len(centres))[:, None]
    return torch.where(users > 0, sums / users.clamp_min(1), centres)


def _spread_out(pieces: Tensor, k: int, either_way: bool) -> Tensor:
    """Pick k pieces to begin with: each time the one that those picked describe worst.

    Args:
        pieces: To pick from, (n, size).
        k: How many.
        either_way: Whether a filter describes its negative too.

    Returns:
        Their numbers, (k,).
    """
    sizes = pieces.abs().sum(1)
    norms = pieces.square().sum(1)
    described = torch.full_like(norms, -torch.inf)
    picked = [int(norms.argmax())]
    while len(picked) < min(k, len(pieces)):
        likeness = (pieces @ _signs(pieces[picked[-1]])) / sizes.clamp_min(1e-300)
        described = torch.maximum(described, likeness.abs() if either_way else likeness)
        left = norms * (1 - described)
        left[picked] = -torch.inf
        picked.append(int(left.argmax()))
    return torch.tensor([picked[number % len(picked)] for number in range(k)])
