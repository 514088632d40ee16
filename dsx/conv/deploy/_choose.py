"""Choose the fastest form of one convolution by timing."""

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
from dsx.conv.timing import Run, Timer
from dsx.lookup import find, names

DENSE = "dense"
STAGED = "depthwise + "
SCREEN_SECONDS = 0.02
FINAL_SECONDS = 0.04


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The form that was fastest, and how fast the others were.

    Args:
        form: Its name.
        seconds: Median of one call for each form that was timed; empty where there was no other.
    """

    form: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What runs the forms of a convolution that are timed.

    Args:
        name: Of the software, with its version; which form is fastest depends on it.
        prepare: From forms and a sample to what runs each once on it; None for a form that the
            software cannot run.
    """

    name: str
    prepare: Callable[[Sequence[nn.Module], Tensor], Sequence[Run | None]]


def _call(forms: Sequence[nn.Module], sample: Tensor) -> list[Run | None]:
    return [functools.partial(form, sample) for form in forms]


EAGER = Runner(name="eager", prepare=_call)
"""Torch itself, operator after operator."""


def candidates(conv: DsxConv, native: bool) -> dict[str, nn.Module]:
    """Build every form that applies.

    Args:
        conv: The convolution.
        native: Whether forms that need dsx's own kernels count.

    Returns:
        From the form's name to the module; the stages of a separable convolution are joined as
        "depthwise + <form of the pointwise stage>".
    """
    asked = [*names(Form), *(f"{STAGED}{name}" for name in names(Form))]
    built = {name: _build(conv, name, native) for name in asked}
    return {name: module for name, module in built.items() if module is not None}


def _build(conv: DsxConv, name: str, native: bool) -> nn.Module | None:
    """Build one form by its name; None where it does not apply, or is no longer there."""
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
    """Take the fastest form: from what is known, else by a screen and a final.

    Args:
        conv: The convolution, in eval mode.
        sample: Its input.
        timer: Times callables in turn.
        known: Choices by situation; read, and added to.
        native: Whether forms that need dsx's own kernels count.
        runner: Runs them.

    Returns:
        The module and the choice.
    """
    key = situation(conv, sample, native, runner.name)
    choice = form_cache.get(key)
    module = None if choice is None else _build(conv, choice.form, native)
    # A form may have gone since the choice was stored.
    if choice is None or module is None:
        forms = {n: _laid_out(form, sample) for n, form in candidates(conv, native).items()}
        choice = _race(forms, sample, timer, runner)
        module = forms[choice.form]
        form_cache[key] = choice
    return _laid_out(module, sample), choice


def _channels_last(sample: Tensor) -> bool:
    return sample.is_contiguous(memory_format=torch.channels_last) and not sample.is_contiguous()


def _laid_out(module: nn.Module, sample: Tensor) -> nn.Module:
    """Lay the weights of ordinary convolutions out as their input, as those of the baseline are."""
    for part in module.modules() if _channels_last(sample) else ():
        if isinstance(part, nn.Conv2d):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _race(forms: Mapping[str, nn.Module], sample: Tensor, timer: Timer, runner: Runner) -> Choice:
    if len(forms) == 1:
        return Choice(form=next(iter(forms)), seconds={})
    prepared = zip(forms, runner.prepare(list(forms.values()), sample), strict=True)
    runs = {name: run for name, run in prepared if run is not None}
    screened = timer(list(runs.values()), SCREEN_SECONDS)
    seconds = dict(zip(runs, screened, strict=True))
    # The dense form is in every final, so that nothing is chosen that is slower there.
    best = sorted(seconds, key=seconds.__getitem__)[:2]
    best += [DENSE] if DENSE in seconds and DENSE not in best else []
    final = timer([runs[name] for name in best], FINAL_SECONDS)
    seconds.update(zip(best, final, strict=True))
    return Choice(form=min(best, key=seconds.__getitem__), seconds=seconds)


def situation(conv: DsxConv, sample: Tensor, native: bool, runner: str = EAGER.name) -> str:
    """Name what the fastest form depends on: dials, geometry, input, machine settings.

    Args:
        conv: The convolution.
        sample: Its input.
        native: Whether forms that need dsx's own kernels count.
        runner: Name of what runs the forms.

    Returns:
        Canonical JSON.
    """
    geometry = conv.geometry
    facts = {
        "spec": conv.spec.to_json(),
        "channels": [geometry.in_channels, geometry.out_channels],
        "kernel": [geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation],
        "padding_mode": geometry.padding_mode,
        "shapes": _shapes(conv),
        # A bias, or a scale, that may have come with a BN.
        "parameters": sorted(name for name, _ in conv.named_parameters()),
        "input": list(sample.shape),
        "dtype": str(sample.dtype),
        "channels_last": _channels_last(sample),
        "device": sample.device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "native": native,
        "runner": runner,
    }
    return json.dumps(facts, sort_keys=True)


def _shapes(conv: DsxConv) -> str | None:
    """Hash the shapes that were learned, which no spec tells."""
    if not isinstance(conv, LearnedConv2d):
        return None
    layout = conv.layout
    content = layout.supports.numpy().tobytes() + layout.which.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()
