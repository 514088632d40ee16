"""Weight initialisation as in torchvision, which keeps the defaults of torch for BNs."""

from torch import nn


def init_convolutions(network: nn.Module) -> None:
    """Initialise all convolutions so that the variance of gradients is preserved, in place.

    Args:
        network: Network to initialise; biases are set to 0.

    Source:
        K. He et al., Delving Deep into Rectifiers (arXiv 1502.01852), equation 14.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_linears(network: nn.Module) -> None:
    """Initialise all linear layers with a standard deviation of 0.01, in place.

    Args:
        network: Network to initialise; biases are set to 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
