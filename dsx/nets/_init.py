"""Fresh weights as torchvision's networks have them; its BNs start as torch's do."""

from torch import nn


def init_convolutions(network: nn.Module) -> None:
    """Draw the weights of all convolutions anew, so that gradients keep their variance.

    Args:
        network: Whose weights are set; biases become 0.

    Source:
        K. He et al., Delving Deep into Rectifiers (arXiv 1502.01852), equation 14.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_linears(network: nn.Module) -> None:
    """Draw the weights of all linear layers anew, with a deviation of 0.01.

    Args:
        network: Whose weights are set; biases become 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
