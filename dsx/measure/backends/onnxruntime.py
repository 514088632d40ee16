"""ONNX Runtime: the network as an ONNX graph on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv import Run
from dsx.measure.backends._base import Backend
from dsx.measure.backends._export import exported, preparing
from dsx.process import default_environment

ERRORS_ONLY = 3


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Export the networks and open a session for each.

    Args:
        networks: Networks in eval mode.
        sample: Input of the networks in float32.
        threads: Number of threads of each session.

    Returns:
        One run for each network, which copies neither input nor output.

    Raises:
        TrialFailed: If a network cannot be exported, or is not supported by ONNX Runtime.
    """
    with preparing("onnxruntime"):
        program = torch.onnx.export(exported(networks, sample), dynamo=True, verbose=False)
        assert program is not None
        sessions = [_session(graph, threads) for graph in _graphs(program.model_proto)]
        return [_bound(session, sample) for session in sessions]


def _graphs(model: Any) -> list[bytes]:
    """Split a model into one model for each output."""
    from onnxscript.optimizer import remove_unused_nodes

    graphs = []
    for output in model.graph.output:
        part = type(model)()
        part.CopyFrom(model)
        del part.graph.output[:]
        part.graph.output.append(output)
        remove_unused_nodes(part)
        graphs.append(part.SerializeToString())
    return graphs


def _session(graph: bytes, threads: int) -> Any:
    # The package reads this variable when it is imported; without it, it sends telemetry.
    with default_environment("ORT_DISABLE_TELEMETRY", "1"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERRORS_ONLY
    # Threads that spin until the next run would slow down what is timed in between.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class _Bound:
    """A session that reads and writes preallocated tensors without copying."""

    session: Any
    binding: Any
    image: Tensor
    out: Tensor

    def __call__(self) -> Tensor:
        self.session.run_with_iobinding(self.binding)
        return self.out


def _bound(session: Any, sample: Tensor) -> Run:
    (input_info,), (output_info,) = session.get_inputs(), session.get_outputs()
    image, out = sample.contiguous(), torch.empty(output_info.shape)
    binding = session.io_binding()
    for bind, name, tensor in (
        (binding.bind_input, input_info.name, image),
        (binding.bind_output, output_info.name, out),
    ):
        bind(name, "cpu", 0, tensor.numpy().dtype, tuple(tensor.shape), tensor.data_ptr())
    return _Bound(session, binding, image, out)


BACKEND = Backend(
    prepare=prepare,
    needs=dict.fromkeys(("onnxruntime", "onnx", "onnxscript"), "onnxruntime"),
    dtypes=("float32",),
    devices=("cpu",),
    own_layout=True,
    own_reference_workload=True,
)
