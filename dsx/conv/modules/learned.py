"""Convolution with kernel shapes that are learned together with its weights."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.cost import Cost, learned_cost
from dsx.conv.fit.init import fill_like, fresh_decision_, kept_decision_
from dsx.conv.fit.shape import block_means, free_scores, rigid_scores
from dsx.conv.modules.straight_through import straight_through, surrogate
from dsx.conv.modules.subconvolutions import counting_form
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.native.operators import TrainingPlans
from dsx.conv.native.training import plans_of
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout
from dsx.conv.sparsity.rigid import COUNT, rigid_shapes
from dsx.conv.spec.spec import ConvSpec

FROZEN_FROM = 0.5
"""Fraction of training after which shapes are final."""


class LearnedConv2d(WindowedConv2d):
    """A convolution whose blocks of input and output channels have learned kernel shapes.

    Scores decide the shape of each block: a position of a free shape is live if its score is
    positive, and a rigid shape is the one with the largest score. A trainer may let some outputs
    run dense for some time (`enable`), and ends the learning of shapes (`freeze`). By default the
    shapes are enabled for all outputs.

    Args:
        spec: Canonical spec with learned shapes.
        like: Convolution that is replaced; initial weights preserve its output variance.

    Attributes:
        weight: Weight, (Cout, Cin, K, K); dead positions are zero once the shapes are frozen.
        shape_scores: Scores of free shapes, (K, K, input blocks, output blocks), or of rigid
            shapes, (15, input blocks, output blocks).
        enabled: Mask of outputs whose shapes are enabled; the others are dense, (Cout,) boolean.
        frozen: Whether the shapes are final, () boolean.
        bias: Bias, (Cout,), or None.

    Source:
        Learnable Heterogeneous Convolution (LHC, arXiv 2301.05440); design.md, section 3.
    """

    DECISIONS: ClassVar[Mapping[str, float]] = {"shape_scores": FROZEN_FROM}

    enabled: Tensor
    frozen: Tensor
    patterns: Tensor | None

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        geometry = Geometry.of(like)
        super().__init__(spec, like, layout(ConvSpec(), geometry))
        blocks = tuple(len(sizes) for sizes in self.block_sizes)
        new = like.weight.detach().new_empty
        self.weight = nn.Parameter(
            new(geometry.out_channels, geometry.in_channels, *geometry.kernel_size)
        )
        self.shape_scores = nn.Parameter(
            new(*((COUNT,) if spec.rigid else geometry.kernel_size), *blocks)
        )
        self.register_buffer("enabled", torch.ones(geometry.out_channels, dtype=torch.bool))
        self.register_buffer("frozen", torch.tensor(False))
        patterns = rigid_shapes().flatten(1).T.to(like.weight.dtype) if spec.rigid else None
        self.register_buffer("patterns", patterns, persistent=False)
        self._planned: tuple[object, TrainingPlans | None] | None = None
        self.to(like.weight.device)
        fresh_decision_(self.shape_scores)
        with torch.no_grad():
            live = self._mask().flatten(1).sum(1)
        fill_like(self.weight, self.bias, like, live)

    @property
    def block_sizes(self) -> tuple[Tensor, Tensor]:
        """Numbers of channels in the input blocks and output blocks; the last may be smaller."""
        return (
            _sizes(self.in_channels, self.spec.block_in),
            _sizes(self.out_channels, self.spec.block_out),
        )

    def _decisions(self) -> Tensor:
        """Return 1 for live positions, or for the selected rigid shape, and 0 for the others."""
        scores = self.shape_scores.detach()
        if self.patterns is None:
            return (scores > 0).to(scores.dtype)
        return torch.zeros_like(scores).scatter(0, scores.argmax(0, keepdim=True), 1.0)

    def _block_mask(self) -> Tensor:
        """Return the mask of each block: 1 or 0, (K, K, input blocks, output blocks)."""
        scores = torch.where(self.frozen, self.shape_scores.detach(), self.shape_scores)
        hard = self._decisions()
        if self.patterns is None:
            return straight_through(hard, surrogate(scores, scores))
        soft = surrogate(scores, scores - scores.mean(0))
        shape = (*self.kernel_size, *scores.shape[1:])
        chosen = straight_through(hard, soft).flatten(1)
        return (self.patterns.to(chosen.dtype) @ chosen).reshape(shape)

    def _mask(self) -> Tensor:
        """Return the mask of live weights: 1 or 0, (Cout, Cin, K, K)."""
        blocks = self._block_mask().permute(3, 2, 0, 1)
        outputs, inputs = blocks.shape[:2]
        ci, co = self.spec.block_in, self.spec.block_out
        whole = blocks[:, None, :, None].expand(-1, co, -1, ci, -1, -1)
        mask = whole.reshape(outputs * co, inputs * ci, *self.kernel_size)
        return mask[: self.out_channels, : self.in_channels]

    def _active_mask(self) -> Tensor:
        """Return the mask of live weights, in which outputs that are not enabled are dense."""
        return torch.where(self.enabled[:, None, None, None], self._mask(), 1.0)

    def live_weight(self) -> Tensor:
        """Return the masked weight, (Cout, Cin, K, K)."""
        return self.weight * self._active_mask()

    @property
    def layout(self) -> Layout:
        """The layout of the current shapes."""
        blocks = self._block_mask().detach().cpu().bool().permute(3, 2, 0, 1)
        # Unique over blocks, which are fewer than weights; the last one is the dense shape.
        shapes = torch.cat([blocks.flatten(0, 1), torch.ones(1, *self.kernel_size).bool()])
        supports, number = torch.unique(shapes, dim=0, return_inverse=True)
        outputs, inputs = torch.arange(self.out_channels), torch.arange(self.in_channels)
        number, dense = number[:-1].reshape(blocks.shape[:2]), number[-1]
        which = number[outputs // self.spec.block_out][:, inputs // self.spec.block_in]
        which = torch.where(self.enabled.cpu()[:, None], which, dense)
        used, which = torch.unique(which, return_inverse=True)
        return Layout(
            groups=1,
            step=None,
            channels=self.frame.channels,
            supports=supports[used],
            which=which,
            box=self.frame.box,
        )

    def kernel_plans(self) -> TrainingPlans | None:
        """Return the plans for the final shapes; None before, or if they would not be faster."""
        if not self.frozen:
            return None
        # By value: there is no other way to see every change of a tensor.
        deciding = (self._decisions().bool(), self.enabled)
        state = [tensor.cpu().numpy().tobytes() for tensor in deciding]
        if self._planned is None or self._planned[0] != state:
            self._planned = (state, plans_of(self.layout, self.geometry))
        return self._planned[1]

    @property
    def total(self) -> int:
        """The number of weights, dead or live."""
        return self.weight.numel()

    def live(self) -> Tensor:
        """Return the differentiable number of live weights, (); outputs not enabled are dense."""
        # bfloat16 cannot represent all integers above 256.
        wide = torch.promote_types(self.shape_scores.dtype, torch.float32)
        inputs, outputs = (sizes.to(self.weight.device, wide) for sizes in self.block_sizes)
        rest = len(outputs) * self.spec.block_out - self.out_channels
        enabled = F.pad(self.enabled, (0, rest)).reshape(len(outputs), -1).sum(1).to(inputs)
        dense = (self.out_channels - enabled.sum()) * self.weight[0].numel()
        # Not a matrix product, which autocast would compute in bfloat16.
        positions = self._block_mask().to(wide).sum((0, 1))
        return (positions * torch.outer(inputs, enabled)).sum() + dense

    def enable(self, outputs: Tensor) -> None:
        """Enable the shapes of some outputs; the others run dense.

        Args:
            outputs: Mask of the outputs to enable, (Cout,) boolean.
        """
        self.enabled.copy_(outputs)

    def freeze(self) -> None:
        """Make the shapes final, and set dead weights to zero.

        From then on the gradient of the scores is zero. An optimiser that would still change them,
        for example by momentum, must exclude them after the time given by `decisions`.
        """
        with torch.no_grad():
            self.frozen.fill_(True)
            self.weight.copy_(self.live_weight())

    def finalize(self) -> None:
        """Replace the scores by the shapes that they decide."""
        with torch.no_grad():
            self.shape_scores.copy_(self._decisions())

    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Compute the cost of the current shapes in closed form.

        Args:
            out_hw: Height and width of the output.

        Returns:
            The params, flops and bits.
        """
        biases = self.out_channels if self.has_bias else 0
        live = self.layout.live_count
        return learned_cost(self.spec, self.geometry, live, biases, out_hw)

    def counting_form(self) -> nn.Module:
        """Return ordinary convolutions over live positions only."""
        return counting_form(self.geometry, self.layout, self.live_weight(), self.bias)

    def _scale_weight(self, scale: Tensor) -> None:
        self.weight = nn.Parameter(self.weight * scale.to(self.weight)[:, None, None, None])

    def _project_weight(self, weight: Tensor) -> None:
        """Adopt the weight, with scores for the shapes that preserve most of its energy."""
        assert self.spec.density is not None
        fit = rigid_scores if self.spec.rigid else free_scores
        energy = block_means(weight.double().square(), self.spec.block_in, self.spec.block_out)
        inputs, outputs = (sizes.to(energy) for sizes in self.block_sizes)
        self.weight.copy_(weight)
        scores = fit(energy, torch.outer(inputs, outputs), self.spec.density)
        kept_decision_(self.shape_scores, scores)


def _sizes(channels: int, block: int) -> Tensor:
    """Return the number of channels in each block; the last one may be smaller."""
    starts = torch.arange(0, channels, block)
    return (channels - starts).clamp_max(block)
