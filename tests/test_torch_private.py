"""Each private part of torch that dsx uses does what dsx expects of it.

A release of torch that changes one of them fails here. Each test names the user-visible behaviour
of torch, not only the presence of a name.
"""

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from dsx import torch_private as private

aten = torch.ops.aten

LOADS_THE_COMPILER = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
"""The compiler warns about parts of torch itself when it is imported."""


@pytest.mark.parametrize(
    ("base", "kinds", "other"),
    [
        (private.BatchNorm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm), nn.InstanceNorm2d),
        (private.NormBase, (nn.BatchNorm3d, nn.InstanceNorm2d), nn.GroupNorm),
        (private.ConvNd, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d), nn.Linear),
        (private.ConvTransposeNd, (nn.ConvTranspose1d, nn.ConvTranspose2d), nn.Conv2d),
        (private.DropoutNd, (nn.Dropout, nn.Dropout2d, nn.AlphaDropout), nn.Identity),
    ],
)
def test_base_classes_have_the_expected_subclasses(
    base: type[nn.Module], kinds: tuple[type[nn.Module], ...], other: type[nn.Module]
) -> None:
    assert all(issubclass(kind, base) for kind in kinds)
    assert not issubclass(other, base)


class Asserting(nn.Module):
    """A forward that asserts something about its input."""

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.dim() == 4, "not an image")  # type: ignore[no-untyped-call]
        return x


def test_an_assertion_is_a_node_of_a_trace() -> None:
    targets = [node.target for node in fx.symbolic_trace(Asserting()).graph.nodes]
    assert private.ASSERT in targets


def observed_while(run: Callable[[Callable[[Tensor], Tensor]], object]) -> bool:
    """Check whether a function that torch runs in some way finds that it is observed."""
    found = []

    def ask(x: Tensor) -> Tensor:
        found.append(private.is_observed(x))
        return x * 2

    run(ask)
    return any(found)


@pytest.mark.parametrize(
    ("run", "observed"),
    [
        (lambda f: f(torch.ones(2)), False),
        (lambda f: f(torch.ones(2, requires_grad=True)), False),
        (lambda f: f(nn.Parameter(torch.ones(2))), True),
        (lambda f: torch.jit.trace(f, torch.ones(2)), True),  # type: ignore[no-untyped-call]
        (lambda f: make_fx(f)(torch.ones(2)), True),
        (lambda f: torch.vmap(f)(torch.ones(2, 2)), True),
        (lambda f: torch.func.jvp(f, (torch.ones(2),), (torch.ones(2),)), True),
        (lambda f: fx.symbolic_trace(f), True),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_calls_that_torch_observes(
    run: Callable[[Callable[[Tensor], Tensor]], object], observed: bool
) -> None:
    assert observed_while(run) == observed


def test_calls_under_a_mode_are_observed() -> None:
    def call(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return operator(*args, **kwargs)

    with private.intercept_operators(call):
        assert private.is_observed(torch.ones(2))
    with torch.autograd.forward_ad.dual_level():
        assert private.is_observed(torch.ones(2))
    assert not private.is_observed(torch.ones(2))


def recorded(run: Callable[[], object]) -> list[Any]:
    """Return the operators that a call runs."""
    operators = []

    def call(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operators.append(operator)
        return operator(*args, **kwargs)

    with torch.no_grad(), private.intercept_operators(call):
        run()
    return operators


IMAGES = torch.ones(1, 2, 64, 16)


@pytest.mark.parametrize(
    ("packet", "run"),
    [
        (private.INT_MM, lambda: torch._int_mm(*2 * [torch.ones(32, 32, dtype=torch.int8)])),
        (
            private.ADDMM_ACTIVATION,
            lambda: torch._addmm_activation(torch.ones(3), torch.ones(2, 4), torch.ones(4, 3)),
        ),
        (private.TRILINEAR, lambda: nn.Bilinear(3, 4, 5)(torch.ones(2, 3), torch.ones(2, 4))),
        (
            private.FLASH_ATTENTION_CPU,
            lambda: F.scaled_dot_product_attention(IMAGES, IMAGES, IMAGES),
        ),
    ],
)
def test_private_operators_are_the_ones_that_run(packet: Any, run: Callable[[], object]) -> None:
    assert packet in [operator.overloadpacket for operator in recorded(run)]


def test_registries_hold_what_a_module_registers() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(shared, shared)
    network.register_parameter("bias", None)
    network.register_buffer("count", torch.zeros(1))
    assert private.own_children(network) == {"0": shared, "1": shared}
    assert private.own_parameters(network) == {"bias": None}
    assert private.own_buffers(network) == {"count": network.count}
    for name, held in zip(
        private.REGISTRIES,
        (private.own_children, private.own_parameters, private.own_buffers),
        strict=True,
    ):
        assert vars(network)[name] is held(network)


def test_a_change_of_the_parameters_changes_the_module() -> None:
    conv = nn.Conv2d(1, 1, 1)
    private.own_parameters(conv)["bias"] = None
    assert conv.bias is None
    private.own_parameters(conv).clear()
    assert list(conv.parameters()) == [] and not hasattr(conv, "weight")


def test_a_convolution_computes_by_the_method_of_that_name() -> None:
    conv = nn.Conv2d(1, 1, 1)
    setattr(conv, private.CONV_FORWARD, lambda *_: "replaced")
    assert conv(torch.ones(1, 1, 2, 2)) == "replaced"


def test_hooks_are_found() -> None:
    def hook(*_: object) -> None: ...

    assert not private.has_forward_hooks(nn.ReLU())
    assert not private.has_backward_hooks(nn.Conv2d(1, 1, 1))
    for forward in ("register_forward_hook", "register_forward_pre_hook"):
        conv = nn.Conv2d(1, 1, 1)
        handle = getattr(conv, forward)(hook)
        assert private.has_forward_hooks(conv) and not private.has_backward_hooks(conv)
        handle.remove()
        assert not private.has_forward_hooks(conv)
    for backward in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        conv = nn.Conv2d(1, 1, 1)
        getattr(conv, backward)(hook)
        assert private.has_backward_hooks(conv) and not private.has_forward_hooks(conv)
    conv = nn.Conv2d(1, 1, 1)
    conv.weight.register_hook(hook)  # type: ignore[no-untyped-call]
    assert private.has_backward_hooks(conv)


def test_the_padding_was_computed_when_the_convolution_was_built() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=(1, 2), padding_mode="reflect")
    conv.padding = (0, 0)
    assert private.computed_padding(conv) == (2, 2, 1, 1)
    # torch pads with this number, regardless of the attribute.
    assert conv(torch.ones(1, 1, 8, 8)).shape == (1, 1, 8, 10)


@LOADS_THE_COMPILER
def test_the_compiled_module_holds_the_original() -> None:
    network = nn.ReLU()
    assert private.without_compiler(torch.compile(network)) is network  # type: ignore[arg-type]
    assert private.without_compiler(network) is None
    assert private.is_compiler_loaded()


def test_operators_have_names_arguments_and_kinds() -> None:
    add, mm, cond = aten.add.Tensor, aten.mm.default, torch.ops.higher_order.cond
    assert private.is_overload(add) and not private.is_overload(cond)
    assert private.operator_name(add) == "aten::add"
    assert private.operator_name(cond) == "cond"
    x = torch.ones(1)
    named = private.named_arguments(add, [x, x], {"alpha": 2})
    assert list(named) == ["self", "other", "alpha"]
    assert private.is_implicit_composite(aten.linear.default)
    assert not private.is_implicit_composite(mm)
    assert not private.is_implicit_composite(cond)


@LOADS_THE_COMPILER
def test_each_operator_is_intercepted_also_of_higher_order() -> None:
    x = torch.ones(2)
    assert recorded(lambda: x + x) == [aten.add.Tensor]
    flag = torch.tensor(True)
    with torch.compiler.set_stance("force_eager"):
        operators = recorded(lambda: torch.cond(flag, torch.sin, torch.cos, (x,)))
    assert torch.ops.higher_order.cond in operators


def test_tensors_are_found_in_nested_containers() -> None:
    one, other = torch.ones(1), torch.zeros(1)
    found = private.tensors_in([1, (one, None), {"a": [other, "text"]}])
    assert found[0] is one and found[1] is other and len(found) == 2


def test_allocations_are_recorded_with_their_releases() -> None:
    def run() -> None:
        first = torch.ones(100, dtype=torch.float64)
        del first
        torch.ones(10, dtype=torch.float64)

    sizes = [size for size in private.allocation_sizes(run) if size]
    assert sizes == [800, -800, 80, -80]


def test_torch_itself_does_not_load_the_compiler() -> None:
    code = "import torch, dsx.torch_private as p; assert not p.is_compiler_loaded()"
    subprocess.run([sys.executable, "-c", code], check=True)


def compiled(network: nn.Module, x: Tensor, graphs: list[fx.GraphModule]) -> Any:
    """Compile a network by the functions under test, and run it once."""

    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(graph)
        return private.compile_graph(graph, inputs)

    run = functools.partial(torch.compile(network, backend=backend, dynamic=False), x)
    with private.compiler_settings(freezing=True, most=100), torch.inference_mode():
        run()
    return run


@LOADS_THE_COMPILER
def test_more_networks_are_compiled_than_torch_allows_by_default() -> None:
    private.forget_compiled()
    graphs: list[fx.GraphModule] = []
    x = torch.ones(2, 3)
    runs = [compiled(nn.ReLU().eval(), x + number, graphs) for number in range(10)]
    assert len(graphs) == 10
    with torch.inference_mode():
        assert torch.equal(runs[9](), x + 9)


@LOADS_THE_COMPILER
def test_frozen_weights_are_constants_until_they_are_forgotten() -> None:
    from torch._inductor.codecache import PyCodeCache

    private.forget_compiled()
    compiled(nn.Linear(3, 2).eval(), torch.ones(2, 3), [])
    assert any(name.startswith("_frozen_param") for name in vars(PyCodeCache.modules[-1]))
    names = [module.__name__ for module in PyCodeCache.modules]
    assert set(names) <= sys.modules.keys()
    private.forget_compiled()
    assert PyCodeCache.modules == [] and not set(names) & sys.modules.keys()


@LOADS_THE_COMPILER
def test_an_error_of_the_compiler_comes_without_its_wrapper() -> None:
    def fail(graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
        raise ArithmeticError("cannot compile")

    with (
        pytest.raises(ArithmeticError, match="cannot compile"),
        private.compiler_settings(freezing=False, most=8),
    ):
        torch.compile(nn.ReLU(), backend=fail)(torch.ones(1))


@LOADS_THE_COMPILER
def test_a_missing_cpp_compiler_is_noticed() -> None:
    import torch._inductor.config

    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        assert not private.has_cpp_compiler()
    with torch._inductor.config.patch({"cpp.cxx": ("g++",)}):
        assert private.has_cpp_compiler()


def test_changes_in_place_are_counted() -> None:
    x = torch.zeros(3)
    before = private.version_of(x)
    x.add_(1)
    assert before is not None and private.version_of(x) == before + 1
    with torch.inference_mode():
        assert private.version_of(torch.zeros(3)) is None
