"""The format model.py: the deployed network as Python that requires torch only, and weights."""

import inspect
import keyword
import operator
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, fx, nn

from dsx.conv import Deployed, deploy
from dsx.conv.native import BlockSparseConv2d
from dsx.errors import WorkFailed, printable
from dsx.export._base import Exporter
from dsx.export.kernels import FOLDER, native_call, write_kernels
from dsx.export.packing.constructor import constructor_call
from dsx.export.packing.pack import FUNCTIONS, Packed, pack, wrap_line

MODEL, WEIGHTS = "model.py", "weights.safetensors"

_TEMPLATE = '''"""{headline}

Requires torch only{compiler}:

    from model import load
    network = load()          # with the weights of {weights}, in eval mode
    logits = network(images)  # {shape}{only}
"""

{standard}
from pathlib import Path

import torch
from torch import nn
{imports}
{kernels}
class Model(nn.Module):
    """The deployed network with folded batch norms and the fastest form of each convolution."""

    def __init__(self) -> None:
        super().__init__()
{init}

{forward}

def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file: length of the header, JSON header, values."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + length]))
    header.pop("__metadata__", None)
    dtypes = {{"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16,
              "F16": torch.float16, "I64": torch.int64, "I32": torch.int32, "I8": torch.int8,
              "U8": torch.uint8, "BOOL": torch.bool}}
    tensors = {{}}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = dtypes[entry["dtype"]]
        numbers = torch.frombuffer(data[begin:end] or bytearray(8), dtype=dtype)
        tensors[name] = numbers[: math.prod(entry["shape"])].reshape(entry["shape"])
    return tensors


{functions}def unpack(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Compute the tensors of the deployed network from the stored tensors of the design."""
    state = {{}}
{unpack}
    return {{name: tensor.contiguous() for name, tensor in state.items()}}


def load(weights: Path | str = Path(__file__).with_name("{weights}")) -> Model:
    """Build the network and load its weights."""
    model = Model()
    try:
        model.load_state_dict(unpack(read_safetensors(Path(weights))), assign=True)
    except KeyError as error:
        raise RuntimeError(f"Missing key {{error}} in {{weights}}") from error
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    network = load()
    with torch.inference_mode():
        print(network(torch.zeros({shape}, dtype={dtype})).shape)
'''

_NEEDED = ("hashlib", "importlib.util", "sys", "types")
_KERNELS = '''
def _load_kernels() -> types.ModuleType:
    """Import the folder of the kernels next to this file."""
    folder = Path(__file__).resolve().with_name("{folder}")
    name = "kernels_of_model_" + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


kernels = _load_kernels()

'''


def write(deployed: Deployed, sample: Tensor, headline: str, folder: Path) -> Sequence[Path]:
    """Write model.py and weights.safetensors, and the kernels that native forms call.

    Args:
        deployed: The deployed network.
        sample: Sample of the input, (N, C, H, W).
        headline: First line of the docstring of model.py.
        folder: Existing folder.

    Returns:
        The paths of the files.

    Raises:
        WorkFailed: If torch.fx cannot trace the network, or it contains a module that is not part
            of torch, or native forms on a GPU.
    """
    if not isinstance(deployed.network, fx.GraphModule):
        raise WorkFailed(
            f"model.py cannot be written, since torch.fx cannot trace the network: "
            f"{deployed.untraced}"
        )
    flat, targets = _flat(deployed.network)
    native = _is_native(flat)
    if native and not sample.is_cpu:
        raise WorkFailed(
            "model.py cannot contain native forms for a GPU, since the kernels of an export run on "
            "the CPU only (allowed: measure.deploy: portable)"
        )
    packed = pack(deployed, flat, targets, sample)
    # Not save_file, whose files only their owner can read.
    (folder / WEIGHTS).write_bytes(save(dict(packed.stored)))
    (folder / MODEL).write_text(
        model_source(flat, packed, sample, headline, deployed.sized), encoding="utf-8"
    )
    return [folder / MODEL, folder / WEIGHTS, *(write_kernels(folder) if native else [])]


def _is_native(network: nn.Module) -> bool:
    return any(isinstance(module, BlockSparseConv2d) for module in network.modules())


def writing_notes(network: nn.Module, image_shape: Sequence[int]) -> tuple[str, ...]:
    """Check before a search whether a model.py of a network can be written.

    Args:
        network: The network of the search space, which is unchanged.
        image_shape: Channels, rows and columns of one image.

    Returns:
        The reason why it cannot be written, as a sentence; empty if it can be written, or if
        torch.fx cannot trace the network, which is reported separately.

    Raises:
        DsxError: If the network does not run on such images.
    """
    sample = torch.zeros(1, *image_shape)
    # Any selection of forms is sufficient, so none is timed.
    deployed = deploy(network, sample, timer=lambda runs, _: [*map(float, range(len(runs)))])
    if not isinstance(deployed.network, fx.GraphModule):
        return ()
    flat, _ = _flat(deployed.network)
    try:
        model_source(flat, Packed(stored={}, lines=(), functions=()), sample, "")
    except WorkFailed as error:
        return (f"`dsx export` cannot write a model.py of the network: {error}",)
    return ()


def _flat(network: fx.GraphModule) -> tuple[fx.GraphModule, dict[str, str]]:
    """Register every part directly under a name that is a valid attribute; name the input x.

    Returns:
        The flat network, and the original name of each part by its name in the flat network.
    """
    graph, root = fx.Graph(), nn.Module()
    values: dict[fx.Node, fx.Node] = {}
    names: dict[str, str] = {}
    for node in network.graph.nodes:
        target, name = node.target, node.name.removeprefix("_0_")
        if node.op == "placeholder" and not values:
            target = name = "x"
        if node.op in ("call_module", "get_attr"):
            if target not in names:
                names[target] = _register(root, target, operator.attrgetter(target)(network))
            target = names[target]
        args = fx.node.map_arg(node.args, values.__getitem__)
        kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
        values[node] = graph.create_node(node.op, target, args, kwargs, name)
    return fx.GraphModule(root, graph), {own: target for target, own in names.items()}


def _register(root: nn.Module, target: str, part: nn.Module | Tensor) -> str:
    """Register a part under a unique name, since two dotted names may differ in a dot only."""
    # ASCII only, since Python normalises some other letters. Names with two leading underscores
    # are mangled inside a class.
    name = re.sub(r"\W", "_", target, flags=re.ASCII)
    while (
        hasattr(root, name)
        or keyword.iskeyword(name)
        or not name.isidentifier()
        or name.startswith("__")
    ):
        name = f"part_{name}"
    if isinstance(part, nn.Module):
        root.add_module(name, part)
    else:
        root.register_buffer(name, part.detach())
    return name


def model_source(
    flat: fx.GraphModule, packed: Packed, sample: Tensor, headline: str, sized: bool = False
) -> str:
    """Return the source code of a flat network.

    Args:
        flat: Network whose parts are registered directly in the module.
        packed: Stored tensors of the network and the code that unpacks them.
        sample: Sample of the input, (N, C, H, W).
        headline: First line of the docstring of the file.
        sized: Whether the network is valid for images of the size of the sample only.

    Returns:
        The text of the file.

    Raises:
        WorkFailed: If the network contains a module that is not part of torch.
    """
    init = [_assignment(name, part) for name, part in flat.named_children()]
    init += [
        f'self.register_buffer("{name}", torch.empty({tuple(part.shape)}, dtype={part.dtype}))'
        for name, part in flat.named_buffers(recurse=False)
    ]
    code = flat.graph.python_code("self")
    # fx deletes each value after its last use, which makes the code harder to read.
    forward = re.sub(r";  (?:\w+ = )+None", "", code.src.strip())
    typed = r"\1: torch.Tensor) -> torch.Tensor:"
    forward = re.sub(r"(?m)^(def forward\(self, x)[^,\n]*:$", typed, forward)
    if sized:
        forward = re.sub(r"(?m)^(def forward\(.*)$", rf"\1\n{_check_size(sample)}", forward)
    native = _is_native(flat)
    standard = {"json", "math", *(_NEEDED if native else ())}
    return _TEMPLATE.format(
        compiler=", and a C++ compiler on first use" if native else "",
        standard="\n".join(f"import {name}" for name in sorted(standard)),
        kernels=_KERNELS.format(folder=FOLDER) if native else "",
        headline="\n".join(map(_in_docstring, textwrap.wrap(headline, 96))),
        weights=WEIGHTS,
        shape=", ".join(str(side) for side in sample.shape),
        only=", for images of this size only" if sized else "",
        dtype=sample.dtype,
        imports="".join(f"{line}\n" for line in _imports(code)),
        init="\n".join(textwrap.indent(line, "        ") for line in init),
        functions="".join(f"{inspect.getsource(FUNCTIONS[name])}\n\n" for name in packed.functions),
        unpack="\n".join(wrap_line(line, "    ") for line in packed.lines),
        forward="\n".join(f"    {line}" if line else "" for line in forward.splitlines()) + "\n",
    )


def _check_size(sample: Tensor) -> str:
    """Return code that refuses images of another size than that of the sample."""
    sides = tuple(sample.shape[1:])
    message = f"each image must have the shape {sides}, not "
    return (
        f"    if tuple(x.shape[1:]) != {sides}:\n"
        f'        raise ValueError(f"{message}{{tuple(x.shape[1:])}}")'
    )


def _in_docstring(line: str) -> str:
    """Escape a line for a docstring."""
    return printable(line).replace("\\", "\\\\").replace('"', '\\"')


def _assignment(name: str, part: nn.Module) -> str:
    """Return the code that builds a part of the network."""
    if isinstance(part, BlockSparseConv2d):
        return wrap_line(f"self.{name} = {native_call(part)}", "")
    return f"self.{name} = {constructor_call(part)}"


def _imports(code: fx.graph.PythonCode) -> Iterator[str]:
    """Return the imports of the traced code, except that of torch."""
    for name, value in code.globals.items():
        if name == "torch" or not re.search(rf"\b{name}\b", code.src):
            continue
        if name in ("inf", "nan"):
            yield f"from math import {name}"
        elif inspect.ismodule(value):
            yield f"import {_known(value.__name__, name)} as {name}"
        else:
            module, own = _known(value.__module__, value.__name__), _dotted(value.__name__)
            yield f"from {module} import {own} as {name}"


def _dotted(path: str) -> str:
    """Check that a dotted name is valid in an import, and return it."""
    if not all(part.isidentifier() for part in path.split(".")):
        raise WorkFailed(f"model.py cannot import {path!r}")
    return path


def _known(module: str, name: str) -> str:
    """Check that a module is part of torch or of the standard library, and return its name."""
    root = module.partition(".")[0]
    if root != "torch" and root not in sys.stdlib_module_names:
        raise WorkFailed(
            f"model.py may require torch only, but the network calls {module}.{name}, which "
            "torch.fx does not trace (torch.fx.wrap)"
        )
    return _dotted(module)


EXPORTER = Exporter(write=write)
