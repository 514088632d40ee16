"""Schema of a space file, with the checks that require only the file itself."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dsx.conv import ConvSpec, preset
from dsx.conv.spec import DENSITY
from dsx.errors import DsxError
from dsx.space.dials import DIALS, Value
from dsx.space.yaml.bound import Bound, parse_bound
from dsx.space.yaml.errors import to_space_error
from dsx.space.yaml.source import Path, Source


def _listed(value: Any) -> Any:
    """Convert a single option into a list."""
    return value if isinstance(value, list) else [value]


def _dial(name: str) -> Callable[[Any], Any]:
    """Return a validator for one option of a dial."""

    def check(value: Any) -> Any:
        if value is None:
            raise ValueError("has no value")
        if value == "keep":
            raise ValueError("'keep' is always among the options; leave it out")
        try:
            ConvSpec(**{name: value})
        except DsxError as error:
            raise ValueError(str(error).removeprefix(f"{name}: ")) from error
        return value

    return check


def _preset(value: Any) -> Any:
    """Convert `name` or `{name: {argument: value}}` into (label, spec)."""
    name: Any = value
    arguments: Any = {}
    if isinstance(value, dict) and len(value) == 1:
        ((name, arguments),) = value.items()
    if not isinstance(name, str) or not isinstance(arguments or {}, dict):
        raise ValueError("write a preset as 'depthwise' or as {scc: {groups: 2, overlap: 0.5}}")
    try:
        spec = preset(name, **(arguments or {}))
    except DsxError as error:
        raise ValueError(str(error)) from error
    # An argument called `name`, which `preset` itself has.
    except TypeError as error:
        raise ValueError(f"preset {name}: invalid arguments: {error}") from error
    given = ", ".join(f"{key}={item}" for key, item in (arguments or {}).items())
    return (f"{name}({given})" if given else name, spec)


class _Part(BaseModel):
    # The docstring of each key is its description in docs/spaces.md.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Augment(_Part):
    """Random augmentation of the training images, batch by batch."""

    crop: Annotated[int, Field(ge=0)] = 0
    """Largest random shift of an image, in pixels."""
    flip: bool = False
    """Whether images are mirrored horizontally at random."""
    cutout: Annotated[int, Field(ge=0)] = 0
    """Side of a square that is blanked at a random position, in pixels."""
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Parameter alpha of the Beta distribution of mixup; 0 disables it."""

    def size_errors(self, rows: int, columns: int) -> dict[str, str]:
        """Return the errors of the settings that do not suit the size of the images.

        Args:
            rows: Height of an image in pixels.
            columns: Width of an image in pixels.

        Returns:
            Error message by key; empty if all settings are valid.
        """
        least = min(rows, columns)
        limits = {"crop": least - 1, "cutout": least}
        return {
            key: f"{getattr(self, key)} is too large for images of {rows} x {columns} pixels "
            f"(allowed: 0 to {limit})"
            for key, limit in limits.items()
            if getattr(self, key) > limit
        }


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "adamw": {"learning_rate": 2e-3, "momentum": None, "weight_decay": 0.05},
    "cosine": {"warm_up": 0.05},
}
"""Defaults of an optimiser or a schedule that differ from the default of the key."""


class Train(_Part):
    """Training settings of a design."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 6
    """Number of passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Number of images per optimiser step."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Random seed of the initial weights, the order of the images and the augmentation."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Optimiser: `sgd` with Nesterov momentum, or `adamw`."""
    learning_rate: Positive = 0.2
    """Peak learning rate; see below for networks without batch norm."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = 0.9
    """Momentum of `sgd`."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-4
    """Weight decay of the weights; biases and batch norms have none."""
    schedule: Literal["one_cycle", "cosine"] = "one_cycle"
    """Learning-rate schedule: `one_cycle`, or `cosine` (linear warm-up followed by cosine
    annealing)."""
    warm_up: Share = 0.3
    """Fraction of the training in which the learning rate rises."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of each label that is distributed over all classes."""
    clip: Positive | None = None
    """Largest norm of the gradient."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Number of parts in which a batch is computed to save memory."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """`float32`; `bfloat16` for convolutions and matrix products, with weights in float32 (on a
    CPU, convolutions with fewer than 8 channels per group stay in float32); or `auto`, which
    selects `bfloat16` if the device computes it fast."""
    channels_last: bool = False
    """Memory layout of images and weights."""
    compile: bool = False
    """Whether torch.compile compiles the network first, which takes about half a minute per
    design."""
    augment: Augment = Augment()
    """Random augmentation of the training images: the keys of the next table."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Fill in the defaults of the optimiser and the schedule."""
        if isinstance(given, dict):
            for key in ("optimizer", "schedule"):
                name = given.get(key)
                given = {**(DEFAULTS.get(name, {}) if isinstance(name, str) else {}), **given}
        return given

    @field_validator("momentum")
    @classmethod
    def _check_momentum(cls, value: float | None, info: ValidationInfo) -> float | None:
        optimizer = info.data.get("optimizer")
        if optimizer == "sgd" and value is None:
            raise ValueError("has no value (allowed: 0 or more, less than 1)")
        if optimizer == "adamw" and value is not None:
            raise ValueError("has no effect with optimizer: adamw; leave it out")
        return value

    @field_validator("accumulate")
    @classmethod
    def _check_accumulate(cls, value: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_size")
        if batch is not None and value > batch:
            raise ValueError(f"{value} parts of {batch} images (allowed: 1 to {batch})")
        return value


class Measure(_Part):
    """Measurement settings: the conditions under which the network will be deployed."""

    batch: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Number of images per forward pass."""
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    """Data type of the network and its input: `float32`, `float64` or `bfloat16`."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of threads of a forward pass."""
    channels_last: bool = False
    """Memory layout of images and weights; rejected for a backend that chooses its own layout."""
    device: Literal["cpu", "cuda"] = "cpu"
    """`cpu` or `cuda`."""
    backend: str = "eager"
    """Runtime of the network: `eager`, `compile`, `onnxruntime` or `openvino`
    ([backends](latency.md#backends))."""
    deploy: Literal["auto", "portable", "native"] = "auto"
    """[Deployed forms](latency.md#native-and-portable-forms): `portable` for those that consist of
    operators of torch, `native` for those that call the compiled kernels of dsx as well, or `auto`,
    which is resolved when a study is created: `native` if the kernels can run the network, else
    `portable`."""
    cuda_graph: bool = False
    """Whether a GPU replays the forward pass as a CUDA graph."""
    target_width: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Relative width of the 95 % interval at which timing ends."""
    budget_seconds: Annotated[float, Field(gt=0, le=86_400)] = 2.0
    """Time budget of a timing, in seconds."""


OneOrMore = BeforeValidator(_listed)
ShapeOption = Annotated[str, BeforeValidator(_dial("kernel_shape"))]
GroupsOption = Annotated[int | str, BeforeValidator(_dial("groups"))]
StrideOption = Annotated[float | int | str, BeforeValidator(_dial("channel_stride"))]
BasisOption = Annotated[int, BeforeValidator(_dial("binary_basis"))]
SplitsOption = Annotated[int, BeforeValidator(_dial("splits"))]
DensityOption = Annotated[float | int, BeforeValidator(_dial("density"))]
BlockInOption = Annotated[int, BeforeValidator(_dial("block_in"))]
BlockOutOption = Annotated[int, BeforeValidator(_dial("block_out"))]
PresetOption = Annotated[tuple[str, ConvSpec], BeforeValidator(_preset)]


class Rule(_Part):
    """Options of the slots that a wildcard matches."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    match: str
    keep: bool = False
    share: Literal["none", "rule"] = "none"
    preset: Annotated[list[PresetOption], OneOrMore] = []
    separable: Annotated[list[bool], OneOrMore, Field(min_length=1)] = [False]
    kernel_shape: Annotated[list[ShapeOption], OneOrMore, Field(min_length=1)] = ["full"]
    groups: Annotated[list[GroupsOption], OneOrMore, Field(min_length=1)] = [1]
    channel_stride: Annotated[list[StrideOption], OneOrMore, Field(min_length=1)] = ["block"]
    binary_basis: Annotated[list[BasisOption], OneOrMore, Field(min_length=1)] = [0]
    splits: Annotated[list[SplitsOption], OneOrMore, Field(min_length=1)] = [1]
    # The default, a scale only for slots that require one, is not an option of this dial.
    scale: Annotated[list[bool], OneOrMore, Field(min_length=1)] = []
    density: Annotated[list[DensityOption], OneOrMore, Field(min_length=1)] = [DENSITY]
    rigid: Annotated[list[bool], OneOrMore, Field(min_length=1)] = [False]
    block_in: Annotated[list[BlockInOption], OneOrMore, Field(min_length=1)] = [32]
    block_out: Annotated[list[BlockOutOption], OneOrMore, Field(min_length=1)] = [16]

    @property
    def sets_dials(self) -> bool:
        """Whether the rule lists options of any dial, in addition to presets."""
        return bool(self.model_fields_set - {"match", "keep", "share", "preset"})

    @property
    def options(self) -> dict[str, tuple[Value, ...]]:
        """The options of each dial, without duplicates."""
        listed = {dial.name: tuple(dict.fromkeys(getattr(self, dial.name))) for dial in DIALS}
        return {name: options for name, options in listed.items() if options}


def _weights(value: Any) -> Any:
    """Convert the path of a weight file into a mapping."""
    return {"file": value} if isinstance(value, str) else value


class Weights(_Part):
    """Trained weights with which the network is initialised."""

    file: str
    """State dict, alone or in a checkpoint: `.safetensors`, or a file of `torch.save` (`.pt`,
    `.pth`, `.bin`, `.ckpt`, `.tar`). The content decides the format, and no code in the file is
    run."""
    key: Annotated[str, Field(min_length=1)] | None = None
    """Entry of the file that contains the state dict, such as `state_dict_ema`; keys of nested
    entries are joined by dots. By default, the only state dict of the file."""
    prefix: Annotated[str, Field(min_length=1)] | None = None
    """Prefix of the names of the weights to load, such as `module.encoder_q`; other names are
    ignored. By default, the common prefix of all names."""
    skip: Annotated[list[str], OneOrMore] = []
    """Wildcards of weights of the network that are initialised randomly, and of entries of the
    file that are ignored."""


Direction = Literal["minimize", "maximize"]
BoundText = Annotated[Bound, BeforeValidator(parse_bound)]


class SpaceFile(_Part):
    """Validated content of a space file."""

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    model: str
    model_args: dict[str, Any] = {}
    weights: Annotated[Weights | None, BeforeValidator(_weights)] = None
    data: str
    data_args: dict[str, Any] = {}
    train: Train = Train()
    measure: Measure = Measure()
    slots: Annotated[list[Rule], Field(min_length=1)]
    objectives: Annotated[dict[str, Direction], Field(min_length=1)]
    constraints: dict[str, BoundText] = {}
    max_loss: Annotated[float, Field(gt=0, le=1)] = 0.03


def parse_space(source: Source) -> SpaceFile:
    """Validate a space file against its schema.

    Args:
        source: Space file.

    Returns:
        The validated content.

    Raises:
        SpaceError: If the file is invalid; states file, line and key of the first error, and what
            is allowed.
    """
    if not isinstance(source.content, dict):
        raise source.error((), "not a search space: it has no keys (model, data, slots ...)")
    try:
        file = SpaceFile.model_validate(source.content)
    except ValidationError as error:
        raise to_space_error(error, source, SpaceFile) from error
    for number, rule in enumerate(file.slots):
        _check_dials(rule, ("slots", number), source)
        if rule.keep and (rule.preset or rule.sets_dials):
            problem = "cannot be combined with presets or dials"
            raise source.error(("slots", number, "keep"), problem)
    return file


def _check_dials(rule: Rule, path: Path, source: Source) -> None:
    """Raise an error if a dial has no effect for any options of the other dials."""
    for dial in DIALS:
        if dial.name in rule.model_fields_set and not dial.has_effect(rule.options):
            problem = f"has no effect in this rule: it requires {dial.requirement.description}"
            raise source.error((*path, dial.name), problem)
