"""Pretrained: weights from a file, loaded without running any code that it may hold."""

import fnmatch
import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dsx.errors import DsxError, raise_out_of_memory, short
from dsx.files import open_regular
from dsx.space.source import one_line

SAFE, PICKLED = (".safetensors",), (".pt", ".pth", ".bin")
_WRAPPINGS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
"""What torch's wrappers for several devices and for compiled networks put before each name."""
SHOWN = 3


def read_weights(file: str) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        file: A .safetensors file, or one that torch.save wrote of a state dict, by itself or
            under the key `state_dict`, `model_state_dict` or `model`.

    Returns:
        Tensors by name.

    Raises:
        DsxError: If there is no such file, or it holds something else.
    """
    path = weights_path(file)
    kind = path.suffix.lower()
    if kind not in SAFE + PICKLED:
        allowed = ", ".join(SAFE + PICKLED)
        raise DsxError(f"{file}: not a kind of weight file that is known (allowed: {allowed})")
    try:
        with open_regular(path) as opened:
            if not opened.read(1):
                raise DsxError(f"{file}: is empty (0 bytes)")
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"there is no such file (looked for in {Path.cwd()})"
        raise DsxError(f"{file}: {problem}") from error
    # A ValueError where the name holds a null character.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DsxError(f"{file}: cannot be read: {reason}") from error
    return _read_safe(path) if kind in SAFE else _unwrapped(file, _read_pickled(path))


def weights_path(file: str) -> Path:
    """Expand `~` in the path of a weight file.

    Args:
        file: Path as the space file gives it.

    Returns:
        The path; the file may be missing.

    Raises:
        DsxError: If no file could have this path.
    """
    try:
        path = Path(file).expanduser()
        path.exists()
    # A user that does not exist; a name that is too long.
    except (RuntimeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DsxError(f"{short(file)}: cannot be read: {reason}") from error
    return path


def _read_safe(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DsxError(f"{path}: cannot be read: {one_line(error)}") from error


def _read_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # About how the file is pickled; what is wrong with it is an error.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DsxError(
            f"{path}: holds more than tensors, or is damaged; unpickling it could run any code "
            "(save the network's state_dict() alone, best as .safetensors)"
        ) from error
    # A damaged file can make torch fail in many ways; all of them are about the file.
    except Exception as error:
        raise_out_of_memory(error)
        # The first sentence; the next ones are about the source code of torch.
        reason = one_line(error).partition(". ")[0] or type(error).__name__
        raise DsxError(f"{path}: is damaged, or was not written by torch.save: {reason}") from error


def _unwrapped(file: str, content: Any) -> dict[str, Tensor]:
    """Find the state dict in what a training script saved."""
    for key in _WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(map(_is_plain, content, content.values())):
        raise DsxError(f"{file}: holds no state dict (a dict of plain tensors by name)")
    return dict(content)


def _is_plain(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_meta or value.is_complex())
    )


def take_weights(network: nn.Module, state: Mapping[str, Tensor], skip: Sequence[str]) -> None:
    """Give a network the weights of a state dict, in place.

    Args:
        network: The network; all of it has to be there, but for what is skipped.
        state: Tensors by name.
        skip: Wildcards of names that keep their fresh weights.

    Raises:
        DsxError: If the state dict is that of another architecture, or contains NaN; names the
            weights.
    """
    own = network.state_dict()
    state = _without_wrappers(state, own)
    for wildcard in skip:
        if not fnmatch.filter(own, wildcard):
            raise DsxError(f"skip: '{wildcard}' matches no weight of the network")

    def kept(name: str) -> bool:
        return not any(fnmatch.fnmatchcase(name, wildcard) for wildcard in skip)

    given = {name: tensor for name, tensor in state.items() if kept(name)}
    # Tied weights may be there under one of their names only.
    there = {own[name].data_ptr() for name in given if name in own}
    # Counts batches, weighs nothing; old files do not have it.
    wanted = [n for n in own if kept(n) and not n.endswith("num_batches_tracked")]
    problems = [
        f"{name} is missing"
        for name in wanted
        if name not in given and own[name].data_ptr() not in there
    ]
    problems += [f"{name} is unknown" for name in given if name not in own]
    problems += [
        f"{name} is {_shape(tensor)}, not {_shape(own[name])}"
        for name, tensor in given.items()
        if name in own and tensor.shape != own[name].shape
    ]
    if problems:
        more = f", and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DsxError(
            f"the weights are of another architecture: {'; '.join(problems[:SHOWN])}{more} "
            "(to leave some weights fresh: weights: {file: ..., skip: 'fc.*'})"
        )
    for name, tensor in given.items():
        if tensor.to(own[name].dtype).isnan().any():
            raise DsxError(f"the weights are damaged: {name} contains NaN")
    network.load_state_dict(given, strict=False)


def _without_wrappers(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what torch's wrappers put before all names, unless the network has it too."""
    found = dict(state)
    while found and not own.keys() & found.keys():
        prefix = next((p for p in _PREFIXES if all(n.startswith(p) for n in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def digest(state: Mapping[str, Tensor]) -> str:
    """Hash a state dict to twelve hexadecimal digits, blind to the kind of its file."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        found.update(state[name].reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()[:12]
