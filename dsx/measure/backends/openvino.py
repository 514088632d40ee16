"""OpenVINO: the network as an OpenVINO model on the CPU."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv import Run
from dsx.measure.backends._base import Backend
from dsx.measure.backends._export import exported, preparing
from dsx.process import without_module

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Convert the networks and compile each.

    Args:
        networks: Networks in eval mode.
        sample: Input of the networks in float32 or bfloat16.
        threads: Number of threads of each run; with one, the calling thread does the work.

    Returns:
        One run for each network, which copies neither input nor output.

    Raises:
        TrialFailed: If a network cannot be exported, or is not supported by OpenVINO.
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # By default, OpenVINO computes in bfloat16 if the processor supports it.
        "INFERENCE_PRECISION_HINT": PRECISIONS[sample.dtype],
        # Otherwise the calling thread would be bound to one core, even if that is in use.
        "ENABLE_CPU_PINNING": False,
    }
    # OpenVINO imports submodules, including its telemetry, when they are needed.
    with preparing("openvino"), without_module("openvino_telemetry"):
        openvino = _openvino()
        whole = openvino.convert_model(exported(networks, sample))
        # The converted model accepts inputs of any size, which is slower.
        whole.reshape(list(sample.shape))
        parts = [openvino.Model([out], whole.get_parameters(), "") for out in whole.outputs]
        return [_bound(part, settings, sample) for part in parts]


@functools.cache
def _openvino() -> Any:
    """Import OpenVINO in a context without its telemetry package."""
    import openvino

    return openvino


@functools.cache
def _core() -> Any:
    return _openvino().Core()


@dataclass(frozen=True)
class _Bound:
    """A request that reads and writes preallocated tensors without copying."""

    request: Any
    image: Tensor
    out: Tensor

    def __call__(self) -> Tensor:
        self.request.infer(share_outputs=True)
        return self.out


def _bound(model: Any, settings: Mapping[str, object], sample: Tensor) -> Run:
    request = _core().compile_model(model, "CPU", dict(settings)).create_infer_request()
    image = sample.contiguous()
    shape = tuple(request.model_outputs[0].shape)
    out = torch.empty(shape, dtype=sample.dtype)
    request.set_input_tensor(_shared(image))
    request.set_output_tensor(_shared(out))
    return _Bound(request, image, out)


def _shared(tensor: Tensor) -> Any:
    openvino = _openvino()
    if tensor.dtype == torch.bfloat16:
        # NumPy has no bfloat16, so that the bytes are passed together with their type.
        return openvino.Tensor(tensor.view(torch.int16).numpy(), tensor.shape, openvino.Type.bf16)
    return openvino.Tensor(tensor.numpy(), shared_memory=True)


BACKEND = Backend(
    prepare=prepare,
    needs={"openvino": "openvino"},
    dtypes=("float32", "bfloat16"),
    devices=("cpu",),
    own_layout=True,
    own_reference_workload=True,
)
