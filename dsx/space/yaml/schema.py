"""The space file: its keys, and the checks that need nothing but the file."""

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
from dsx.space.yaml.errors import complaint
from dsx.space.yaml.source import Path, Source


def _listed(value: Any) -> Any:
    """Let one option stand without brackets."""
    return value if isinstance(value, list) else [value]


def _dial(name: str) -> Callable[[Any], Any]:
    """Check one option of a dial as ConvSpec does."""

    def check(value: Any) -> Any:
        if value is None:
            raise ValueError("has no value")
        if value == "keep":
            raise ValueError("'keep' is always among the choices; leave it out")
        try:
            ConvSpec(**{name: value})
        except DsxError as error:
            raise ValueError(str(error).removeprefix(f"{name}: ")) from error
        return value

    return check


def _preset(value: Any) -> Any:
    """Turn `name` or `{name: {argument: value}}` into (words, spec)."""
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
    # An argument called `name`, that `preset` itself takes.
    except TypeError as error:
        raise ValueError(f"preset {name}: takes no such arguments: {error}") from error
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
    """How training images are changed at random, batch by batch."""

    crop: Annotated[int, Field(ge=0)] = 0
    """Largest random shift of an image, in pixels."""
    flip: bool = False
    """Whether images are mirrored horizontally at random."""
    cutout: Annotated[int, Field(ge=0)] = 0
    """Side of a square that is blanked at a random position, in pixels."""
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Parameter alpha of the Beta distribution of mixup; 0 disables it."""

    def misfits(self, rows: int, columns: int) -> dict[str, str]:
        """Say what does not fit images of a size, by key; nothing if all does."""
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
    """How a candidate is trained."""

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
        """Write down what the optimiser and the schedule have by default."""
        if isinstance(given, dict):
            for key in ("optimizer", "schedule"):
                word = given.get(key)
                given = {**(DEFAULTS.get(word, {}) if isinstance(word, str) else {}), **given}
        return given

    @field_validator("momentum")
    @classmethod
    def _check_momentum(cls, value: float | None, known: ValidationInfo) -> float | None:
        optimizer = known.data.get("optimizer")
        if optimizer == "sgd" and value is None:
            raise ValueError("has no value (allowed: 0 or more, less than 1)")
        if optimizer == "adamw" and value is not None:
            raise ValueError("does nothing with optimizer: adamw; leave it out")
        return value

    @field_validator("accumulate")
    @classmethod
    def _check_accumulate(cls, value: int, known: ValidationInfo) -> int:
        batch = known.data.get("batch_size")
        if batch is not None and value > batch:
            raise ValueError(f"{value} parts of {batch} images (allowed: 1 to {batch})")
        return value


class Measure(_Part):
    """How latency is measured: as the network will be deployed."""

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
    deploy: Literal["portable", "native"] = "portable"
    """`portable` for deployed forms of operators of torch, or `native` for kernels of dsx as well,
    where available."""
    cuda_graph: bool = False
    """Whether a GPU replays the forward pass as a CUDA graph."""
    target_width: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Relative width of the 95 % interval at which timing ends."""
    budget_seconds: Annotated[float, Field(gt=0, le=86_400)] = 2.0
    """Time budget of a timing, in seconds."""


Options = BeforeValidator(_listed)
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
    """What the slots that a wildcard matches may become."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    match: str
    keep: bool = False
    share: Literal["none", "rule"] = "none"
    preset: Annotated[list[PresetOption], Options] = []
    separable: Annotated[list[bool], Options, Field(min_length=1)] = [False]
    kernel_shape: Annotated[list[ShapeOption], Options, Field(min_length=1)] = ["full"]
    groups: Annotated[list[GroupsOption], Options, Field(min_length=1)] = [1]
    channel_stride: Annotated[list[StrideOption], Options, Field(min_length=1)] = ["block"]
    binary_basis: Annotated[list[BasisOption], Options, Field(min_length=1)] = [0]
    splits: Annotated[list[SplitsOption], Options, Field(min_length=1)] = [1]
    # No option of it means what leaving it out does: that each slot has a scale if it needs one.
    scale: Annotated[list[bool], Options, Field(min_length=1)] = []
    density: Annotated[list[DensityOption], Options, Field(min_length=1)] = [DENSITY]
    rigid: Annotated[list[bool], Options, Field(min_length=1)] = [False]
    block_in: Annotated[list[BlockInOption], Options, Field(min_length=1)] = [32]
    block_out: Annotated[list[BlockOutOption], Options, Field(min_length=1)] = [16]

    @property
    def turns_dials(self) -> bool:
        """Whether the rule lists options of any dial, beside whole presets."""
        return bool(self.model_fields_set - {"match", "keep", "share", "preset"})

    @property
    def options(self) -> dict[str, tuple[Value, ...]]:
        """The options of each dial, each once."""
        listed = {dial.name: tuple(dict.fromkeys(getattr(self, dial.name))) for dial in DIALS}
        return {name: options for name, options in listed.items() if options}


def _weights(value: Any) -> Any:
    """Let a file stand for itself."""
    return {"file": value} if isinstance(value, str) else value


class Weights(_Part):
    """Trained weights to begin with."""

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
    skip: Annotated[list[str], Options] = []
    """Wildcards of weights of the network that are initialised randomly, and of entries of the
    file that are ignored."""


Direction = Literal["minimize", "maximize"]
BoundText = Annotated[Bound, BeforeValidator(parse_bound)]


class SpaceFile(_Part):
    """A search space as its file says it."""

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


def parse_space(source: Source) -> SpaceFile:
    """Check a space file against its schema.

    Args:
        source: The file.

    Returns:
        Its typed content.

    Raises:
        SpaceError: At the first thing that is wrong: file, line, key, what is allowed.
    """
    if not isinstance(source.content, dict):
        raise source.error((), "not a search space: it has no keys (model, data, slots ...)")
    try:
        file = SpaceFile.model_validate(source.content)
    except ValidationError as error:
        raise complaint(error, source, SpaceFile) from error
    for number, rule in enumerate(file.slots):
        _check_dials(rule, ("slots", number), source)
        if rule.keep and (rule.preset or rule.turns_dials):
            problem = "slots that are kept take no preset and no dials"
            raise source.error(("slots", number, "keep"), problem)
    return file


def _check_dials(rule: Rule, path: Path, source: Source) -> None:
    """Refuse a dial that could do nothing, whatever the others say."""
    for dial in DIALS:
        if dial.name in rule.model_fields_set and not dial.matters(rule.options):
            problem = f"does nothing in this rule: it needs {dial.need.words}"
            raise source.error((*path, dial.name), problem)
