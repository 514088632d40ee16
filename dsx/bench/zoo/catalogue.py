"""The public architectures that are examined, and the published numbers of those of timm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Library = Literal["timm", "torchvision", "transformers", "dsx"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A public architecture.

    Args:
        library: Library that builds the network.
        name: Name of the architecture in that library; for transformers, the prefix of its classes.
        side: Height and width in pixels of the images on which the network is deployed and timed.
        channels: Number of channels of an image.
        classes: Number of classes.
        published: Published numbers; None if there are none, or the library stores them with
            its weights.
        task: Class of transformers for a task, without its prefix.
        arguments: Arguments of the configuration, of transformers alone.
        search: Whether a short search is run on the network.
    """

    library: Library
    name: str
    side: int
    channels: int = 3
    classes: int = 1000
    published: "Published | None" = None
    task: str = "ForImageClassification"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    search: bool = False

    @property
    def label(self) -> str:
        """The library and the name, which are unique together."""
        return f"{self.library} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published numbers of an architecture.

    Args:
        params: Number of parameters.
        flops: Number of multiply-adds of one image.
        side: Height and width of that image in pixels.
    """

    params: float
    flops: float
    side: int


_TIMM: Sequence[tuple[str, int, int, float, float]] = (
    # Name, side on which it is timed here; published: side, millions of parameters, billions of
    # multiply-adds.
    # Source: results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv and, for starnet_s1,
    # results/benchmark-infer-amp-nchw-pt291-cu128-4090.csv, of
    # https://github.com/huggingface/pytorch-image-models (columns infer_img_size, param_count,
    # infer_gmacs). Their counts come from fvcore and include norms and pooling.
    ("resnet18", 64, 160, 11.69, 0.93),
    ("resnet50", 64, 160, 25.56, 2.1),
    ("resnext50_32x4d", 64, 160, 25.03, 2.17),
    ("seresnet50", 64, 160, 28.09, 2.1),
    ("skresnet18", 64, 224, 11.96, 1.82),
    ("res2net50_26w_4s", 64, 224, 25.7, 4.28),
    ("resnest14d", 64, 224, 10.61, 2.76),
    ("resnetv2_50", 64, 224, 25.55, 4.11),
    ("nf_resnet50", 64, 256, 25.56, 5.46),
    ("gernet_s", 64, 224, 8.17, 0.75),
    ("regnetx_002", 64, 224, 2.68, 0.2),
    ("regnety_002", 64, 224, 3.16, 0.2),
    ("regnetz_c16", 64, 256, 13.46, 2.51),
    ("mobilenetv1_100", 64, 224, 4.23, 0.58),
    ("mobilenetv2_100", 64, 224, 3.5, 0.31),
    ("mobilenetv3_small_100", 64, 224, 2.54, 0.06),
    ("mobilenetv3_large_100", 64, 224, 5.48, 0.23),
    ("mobilenetv4_conv_small", 64, 224, 3.77, 0.19),
    ("efficientnet_b0", 64, 224, 5.29, 0.4),
    ("efficientnet_lite0", 64, 224, 4.65, 0.4),
    ("tf_efficientnetv2_b0", 64, 192, 7.14, 0.54),
    ("mnasnet_100", 64, 224, 4.38, 0.33),
    ("mixnet_s", 64, 224, 4.13, 0.25),
    ("fbnetc_100", 64, 224, 5.57, 0.4),
    ("fbnetv3_b", 64, 224, 8.6, 0.42),
    ("tinynet_e", 64, 106, 2.04, 0.03),
    ("lcnet_100", 64, 224, 2.95, 0.16),
    ("ghostnet_100", 64, 224, 5.18, 0.15),
    ("ghostnetv2_100", 64, 224, 6.16, 0.18),
    ("repghostnet_050", 64, 224, 2.31, 0.05),
    ("rexnet_100", 64, 224, 4.8, 0.41),
    ("densenet121", 64, 224, 7.98, 2.87),
    ("dla34", 64, 224, 15.74, 3.07),
    ("dpn68", 64, 224, 12.61, 2.35),
    ("darknet53", 64, 256, 41.61, 9.31),
    ("cspresnet50", 64, 256, 21.62, 4.54),
    ("hrnet_w18_small", 64, 224, 13.19, 1.61),
    ("selecsls42b", 64, 224, 32.46, 2.98),
    ("ese_vovnet19b_dw", 64, 224, 6.54, 1.34),
    ("hgnetv2_b0", 64, 224, 6.0, 0.33),
    ("xception41", 96, 299, 26.97, 9.28),
    ("repvgg_a0", 64, 224, 9.11, 1.52),
    ("mobileone_s0", 64, 224, 5.29, 1.09),
    ("fastvit_t8", 64, 256, 4.03, 0.7),
    ("repvit_m0_9", 64, 224, 5.49, 0.83),
    ("starnet_s1", 64, 224, 2.87, 0.42),
    ("convnext_atto", 64, 224, 3.7, 0.55),
    ("convnextv2_atto", 64, 224, 3.71, 0.55),
    ("convmixer_1024_20_ks9_p14", 56, 224, 24.38, 5.55),
    ("poolformer_s12", 64, 224, 11.92, 1.82),
    ("efficientformer_l1", 224, 224, 12.29, 1.3),
    ("efficientvit_b0", 64, 224, 3.41, 0.1),
    ("efficientvit_m0", 224, 224, 2.35, 0.08),
    ("edgenext_xx_small", 64, 256, 1.33, 0.26),
    ("mobilevit_xxs", 64, 256, 1.27, 0.42),
    ("mobilevitv2_050", 64, 256, 1.37, 0.48),
    ("levit_128s", 224, 224, 7.78, 0.31),
    ("pvt_v2_b0", 64, 224, 3.67, 0.57),
    ("coat_lite_tiny", 224, 224, 5.72, 1.6),
    ("tiny_vit_5m_224", 224, 224, 12.08, 1.28),
    ("vit_tiny_patch16_224", 224, 224, 5.72, 1.26),
)
_TORCHVISION = {
    "alexnet": 64, "vgg11_bn": 64, "squeezenet1_1": 64, "googlenet": 64, "inception_v3": 96,
    "resnet18": 64, "wide_resnet50_2": 64, "densenet121": 64, "mobilenet_v2": 64,
    "mobilenet_v3_small": 64, "mnasnet0_5": 64, "shufflenet_v2_x1_0": 64, "efficientnet_b0": 64,
    "efficientnet_v2_s": 64, "regnet_x_400mf": 64, "regnet_y_400mf": 64, "convnext_tiny": 64,
    "swin_t": 64, "vit_b_16": 224, "lraspp_mobilenet_v3_large": 64,
    "deeplabv3_mobilenet_v3_large": 64, "ssdlite320_mobilenet_v3_large": 320,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320,
}  # fmt: skip
_TRANSFORMERS: Mapping[str, Mapping[str, Any]] = {
    "ResNet": {"side": 64},
    "RegNet": {"side": 64, "arguments": {"hidden_sizes": [32, 64, 160, 384], "groups_width": 16}},
    "MobileNetV1": {"side": 64},
    "MobileNetV2": {"side": 64},
    "EfficientNet": {
        "side": 64,
        "arguments": {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280},
    },
    "ConvNext": {"side": 64},
    "ConvNextV2": {"side": 64},
    "PoolFormer": {"side": 64},
    "MobileViT": {"side": 64},
    "Levit": {"side": 224},
    "Segformer": {"side": 64, "task": "ForSemanticSegmentation"},
    "PvtV2": {"side": 64},
    "SwiftFormer": {"side": 224},
    "HGNetV2": {"side": 64},
    "ViT": {"side": 224, "arguments": {"hidden_size": 192, "num_attention_heads": 3}},
}
_SEARCHED = {
    "timm resnet18", "timm dla34", "torchvision resnet18", "torchvision googlenet",
    "transformers ResNet",
}  # fmt: skip
"""Networks of dense convolutions: the options of the searches leave none of them larger."""


def _architecture(library: Library, name: str, side: int, **other: Any) -> Architecture:
    search = f"{library} {name}" in _SEARCHED
    return Architecture(library=library, name=name, side=side, search=search, **other)


def _timm(name: str, side: int, at: int, millions: float, billions: float) -> Architecture:
    published = Published(params=millions * 1e6, flops=billions * 1e9, side=at)
    return _architecture("timm", name, side, published=published)


ZOO: Sequence[Architecture] = (
    *(_timm(*row) for row in _TIMM),
    *(_architecture("torchvision", name, side) for name, side in _TORCHVISION.items()),
    *(_architecture("transformers", name, **other) for name, other in _TRANSFORMERS.items()),
)
SMALL_ZOO: Sequence[Architecture] = (
    Architecture(library="dsx", name="small_cnn", side=8, channels=1, classes=10, search=True),
    Architecture(library="timm", name="tinynet_e", side=32),
    Architecture(library="torchvision", name="squeezenet1_1", side=32),
    Architecture(library="transformers", name="MobileNetV1", side=32),
)
"""For a try: one of each library; that of dsx needs no other package."""
