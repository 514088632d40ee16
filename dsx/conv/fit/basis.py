"""Fit of a binary basis to a trained weight by alternating least squares."""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A binary basis that approximates a weight.

    Args:
        centres: Cluster centres, (k, size); their signs are the basis, and their magnitudes the
            confidence in each sign.
        similarity: Similarity of each split of a filter to each basis filter,
            (outputs, splits, k); the most similar basis filter is selected.
        scale: Scale of each output, (outputs,).
        error: Squared distance between the approximation and the weight.
    """

    centres: Tensor
    similarity: Tensor
    scale: Tensor
    error: float


def nearest_basis(
    weight: Tensor, live: Tensor, k: int, scaled: bool, max_rounds: int = MAX_ROUNDS
) -> Fit:
    """Minimise || W - scale * B_idx . S ||^2 over basis, selection and scale, alternately.

    Each step is the exact minimum over one of the three for fixed values of the others, so that
    the error never increases. The result is a local minimum, as in k-means.

    Args:
        weight: Channel splits of the filters, zero at dead positions, (outputs, splits, size).
        live: Whether each entry is live, boolean, of the same shape.
        k: Number of filters in the basis.
        scaled: Whether each output has a scale; otherwise the scale is 1.
        max_rounds: Maximum number of alternating updates.

    Returns:
        The fit with the smaller error of two initialisations.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778) for the form of the basis;
        Rastegari et al., XNOR-Net (arXiv 1603.05279) for the scale of an output.
    """
    splits, counts = weight.flatten(0, 1), live.flatten(1).sum(1).to(weight.dtype)
    # A negative scale can flip the filters, so neither initialisation is better in general.
    starts = [_farthest_first(splits, k, up_to_sign) for up_to_sign in (False, True)]
    fits = (_alternate(weight, counts, splits[start], scaled, max_rounds) for start in starts)
    return min(fits, key=lambda fit: fit.error)


def _alternate(
    weight: Tensor, counts: Tensor, centres: Tensor, scaled: bool, max_rounds: int
) -> Fit:
    """Alternate from the given centres until the error no longer decreases."""
    best: Fit | None = None
    for _ in range(max_rounds):
        similarity, scale = _choose(weight, _signs(centres), counts, scaled)
        change = float((scale.square() * counts).sum() - 2 * _correlation(similarity, scale))
        error = float(weight.square().sum()) + change
        if best is not None and error >= best.error:
            break
        best = Fit(centres=centres, similarity=similarity, scale=scale, error=error)
        centres = _update(centres, weight, similarity.argmax(-1), scale)
    assert best is not None
    return best


def _signs(centres: Tensor) -> Tensor:
    return torch.where(centres >= 0, 1.0, -1.0).to(centres.dtype)


def _choose(weight: Tensor, basis: Tensor, counts: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    """Compute the optimal selection and scale of each output for a given basis."""
    products = weight @ basis.T
    if not scaled:
        return products, torch.ones_like(counts)
    # With a negative scale, the least similar filters are the best.
    most, least = products.amax(-1).sum(1), products.amin(-1).sum(1)
    total = torch.where(most >= -least, most, least)
    sign = torch.where(total >= 0, 1.0, -1.0).to(weight.dtype)
    return products * sign[:, None, None], total / counts.clamp_min(1)


def _correlation(similarity: Tensor, scale: Tensor) -> float:
    """Return the sum of scale * W * B_idx; similarities are negated for negative scales."""
    return float((similarity.amax(-1).sum(1) * scale.abs()).sum())


def _update(centres: Tensor, weight: Tensor, chosen: Tensor, scale: Tensor) -> Tensor:
    """Compute the optimal centres for a given selection and scale; unused ones are unchanged."""
    scaled = (weight * scale[:, None, None]).flatten(0, 1)
    sums = torch.zeros_like(centres).index_add(0, chosen.flatten(), scaled)
    users = torch.bincount(chosen.flatten(), minlength=len(centres))[:, None]
    return torch.where(users > 0, sums / users.clamp_min(1), centres)


def _farthest_first(splits: Tensor, k: int, up_to_sign: bool) -> Tensor:
    """Select k initial centres, each the split that the previous ones approximate worst.

    Args:
        splits: Channel splits to select from, (n, size).
        k: Number of centres.
        up_to_sign: Whether a centre also approximates its negative.

    Returns:
        The indices of the selected splits, (k,).
    """
    sizes = splits.abs().sum(1)
    norms = splits.square().sum(1)
    closest = torch.full_like(norms, -torch.inf)
    selected = [int(norms.argmax())]
    while len(selected) < min(k, len(splits)):
        similarity = (splits @ _signs(splits[selected[-1]])) / sizes.clamp_min(1e-300)
        closest = torch.maximum(closest, similarity.abs() if up_to_sign else similarity)
        distance = norms * (1 - closest)
        distance[selected] = -torch.inf
        selected.append(int(distance.argmax()))
    return torch.tensor([selected[index % len(selected)] for index in range(k)])
