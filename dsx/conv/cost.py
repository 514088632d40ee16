"""What a convolution costs, by closed form."""

from dataclasses import dataclass

REAL_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a convolution, or a whole network, costs.

    Args:
        params: Live real numbers and basis entries.
        flops: Multiply-adds of one image, each counted once.
        bits: Storage of the params, payload only.
    """

    params: int
    flops: int
    bits: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            params=self.params + other.params,
            flops=self.flops + other.flops,
            bits=self.bits + other.bits,
        )


def real_cost(weights: int, biases: int, out_hw: tuple[int, int]) -> Cost:
    """Cost of a convolution with real weights.

    Args:
        weights: Live (output, channel, position) triples.
        biases: Numbers in the bias.
        out_hw: Rows and columns of the output.

    Returns:
        One multiply-add per live triple and output pixel; 32 bits per number.
    """
    params = weights + biases
    return Cost(params=params, flops=weights * out_hw[0] * out_hw[1], bits=REAL_BITS * params)
