"""Selection of the fastest deployed form of one convolution by timing."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.native import Kernels, kernels, versions
from dsx.conv.timing import Run, Timer
from dsx.lookup import find, names

DENSE = "dense"
STAGED = "depthwise + "
SCREEN_SECONDS = 0.02
FINAL_SECONDS = 0.04


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The selected deployed form, with the times of all forms that were compared.

    Args:
        form: Name of the selected form.
        seconds: Median time of one call of each timed form in seconds, by name; empty if only one
            form applies.
    """

    form: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The software that runs the deployed forms while they are timed.

    Args:
        name: Name and version of the software, on which the fastest form depends.
        prepare: Function from forms and a sample to callables that run each form once on the
            sample; None for a form that the software does not support.
    """

    name: str
    prepare: Callable[[Sequence[nn.Module], Tensor], Sequence[Run | None]]


def _call(forms: Sequence[nn.Module], sample: Tensor) -> list[Run | None]:
    return [functools.partial(form, sample) for form in forms]


EAGER = Runner(name="eager", prepare=_call)
"""Eager execution by torch."""


def candidates(conv: DsxConv, native: bool) -> dict[str, nn.Module]:
    """Build all deployed forms that apply to a convolution.

    Args:
        conv: Convolution to deploy.
        native: Whether to include forms that require native kernels of dsx.

    Returns:
        The module of each form by its name; a separable convolution also has forms in two stages,
        named "depthwise + <form of the pointwise stage>".
    """
    all_names = [*names(Form), *(f"{STAGED}{name}" for name in names(Form))]
    built = {name: _build(conv, name, native) for name in all_names}
    return {name: module for name, module in built.items() if module is not None}


def _build(conv: DsxConv, name: str, native: bool) -> nn.Module | None:
    """Build one form by name; None if it does not apply or does not exist (any more)."""
    if name.startswith(STAGED):
        if not isinstance(conv, SeparableConv2d):
            return None
        stage = _build(conv.pointwise, name.removeprefix(STAGED), native)
        return None if stage is None else nn.Sequential(conv.depthwise, stage)
    form = find(Form, name) if name in names(Form) else None
    return None if form is None or (form.native and not native) else form.build(conv)


def choose(
    conv: DsxConv,
    sample: Tensor,
    timer: Timer,
    form_cache: MutableMapping[str, Choice],
    native: bool,
    runner: Runner = EAGER,
) -> tuple[nn.Module, Choice]:
    """Select the fastest form: from the form cache, else by timing all forms and then the best.

    Args:
        conv: Convolution to deploy, in eval mode.
        sample: Example input of the convolution.
        timer: Function that measures the median times of callables.
        form_cache: Selected forms by situation; a new selection is added.
        native: Whether to include forms that require native kernels of dsx.
        runner: Software that runs the forms.

    Returns:
        The module of the selected form, and the choice.
    """
    key = situation(conv, sample, native, runner.name)
    choice = form_cache.get(key)
    module = None if choice is None else _build(conv, choice.form, native)
    # The form may have been removed since the choice was stored.
    if choice is None or module is None:
        forms = {n: _match_layout(form, sample) for n, form in candidates(conv, native).items()}
        choice = fastest(forms, sample, timer, runner)
        module = forms[choice.form]
        form_cache[key] = choice
    return _match_layout(module, sample), choice


def is_channels_last(sample: Tensor) -> bool:
    """Check whether images have the memory layout channels_last, and not the contiguous one.

    Args:
        sample: Batch of images, (B, C, H, W).
    """
    return sample.is_contiguous(memory_format=torch.channels_last) and not sample.is_contiguous()


def _match_layout(module: nn.Module, sample: Tensor) -> nn.Module:
    """Convert the weights of ordinary convolutions to the memory layout of the input."""
    for part in module.modules() if is_channels_last(sample) else ():
        if isinstance(part, nn.Conv2d):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def fastest(forms: Mapping[str, nn.Module], sample: Tensor, timer: Timer, runner: Runner) -> Choice:
    """Select the fastest of several forms by timing all of them and then the best.

    Args:
        forms: Module of each form by its name.
        sample: Example input of the forms.
        timer: Function that measures the median times of callables.
        runner: Software that runs the forms.

    Returns:
        The choice; without times if there is one form only.
    """
    if len(forms) == 1:
        return Choice(form=next(iter(forms)), seconds={})
    prepared = zip(forms, runner.prepare(list(forms.values()), sample), strict=True)
    runs = {name: run for name, run in prepared if run is not None}
    screened = timer(list(runs.values()), SCREEN_SECONDS)
    seconds = dict(zip(runs, screened, strict=True))
    # The dense form is always timed again, so that no form is selected that is slower than it.
    best = sorted(seconds, key=seconds.__getitem__)[:2]
    best += [DENSE] if DENSE in seconds and DENSE not in best else []
    final = timer([runs[name] for name in best], FINAL_SECONDS)
    seconds.update(zip(best, final, strict=True))
    return Choice(form=min(best, key=seconds.__getitem__), seconds=seconds)


def situation(conv: DsxConv, sample: Tensor, native: bool, runner: str = EAGER.name) -> str:
    """Return everything that the fastest form depends on: dials, geometry, input, settings.

    Args:
        conv: Convolution to deploy.
        sample: Example input of the convolution.
        native: Whether forms that require native kernels of dsx are included.
        runner: Name of the software that runs the forms.

    Returns:
        Canonical JSON, the key of the form cache.
    """
    geometry = conv.geometry
    facts = {
        "spec": conv.spec.to_json(),
        "channels": [geometry.in_channels, geometry.out_channels],
        "kernel": [geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation],
        "padding_mode": geometry.padding_mode,
        "shapes": _shapes(conv),
        # The presence of a bias or a scale, which folding a BN may have added.
        "parameters": sorted(name for name, _ in conv.named_parameters()),
        "input": list(sample.shape),
        "dtype": str(sample.dtype),
        "channels_last": is_channels_last(sample),
        "device": sample.device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "native": native and kernels_in_use(sample),
        "runner": runner,
    }
    return json.dumps(facts, sort_keys=True)


def kernels_in_use(sample: Tensor) -> str | None:
    """Return what identifies the native kernels for an input.

    Args:
        sample: Input, or another tensor with its device and number format.

    Returns:
        On a CPU, version and instruction set of the kernels; on a GPU, their version and that of
        Triton; None if there are no kernels.
    """
    if sample.is_cuda:
        return " ".join(versions(sample.dtype, sample.device).values()) or None
    found = kernels()
    return found.identity if isinstance(found, Kernels) else None


def _shapes(conv: DsxConv) -> str | None:
    """Return the hash of the learned shapes, which the spec does not determine."""
    if not isinstance(conv, LearnedConv2d):
        return None
    layout = conv.layout
    content = layout.supports.numpy().tobytes() + layout.which.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()
