"""ONNX Runtime: the network as an ONNX graph, on the CPU."""

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
    """Export the networks, and open a session for each.

    Args:
        networks: In eval mode.
        sample: Their input, float32.
        threads: Of each session.

    Returns:
        What runs each once; nothing is copied in or out.

    Raises:
        TrialFailed: If a network cannot be exported, or holds what ONNX Runtime cannot do.
    """
    with preparing("onnxruntime"):
        program = torch.onnx.export(exported(networks, sample), dynamo=True, verbose=False)
        assert program is not None
        sessions = [_session(graph, threads) for graph in _graphs(program.model_proto)]
        return [_bound(session, sample) for session in sessions]


def _graphs(model: Any) -> list[bytes]:
    """Take a model apart by its outputs."""
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
    # The package reads it when it is imported, and sends telemetry where it is not set.
    with default_environment("ORT_DISABLE_TELEMETRY", "1"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERRORS_ONLY
    # Threads that wait for the next run would disturb what is timed in between.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class _Bound:
    """A session that reads and writes tensors of our own, so that nothing is copied."""

    session: Any
    binding: Any
    image: Tensor
    out: Tensor

    def __call__(self) -> Tensor:
        self.session.run_with_iobinding(self.binding)
        return self.out


def _bound(session: Any, sample: Tensor) -> Run:
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    image, out = sample.contiguous(), torch.empty(given.shape)
    binding = session.io_binding()
    for bind, name, tensor in (
        (binding.bind_input, taken.name, image),
        (binding.bind_output, given.name, out),
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
