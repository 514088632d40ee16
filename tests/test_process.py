"""A public function leaves the process as its caller set it up, also after an exception."""

import importlib.util
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import setuptools  # type: ignore[import-untyped]  # noqa: F401
import torch

import dsx
from dsx.allocator import keep_freed_memory
from dsx.conv import ConvSpec, deploy, from_conv2d
from dsx.export import export
from dsx.lookup import load
from dsx.nets.small_cnn import SmallCnn
from dsx.own_modules import _FINDER
from dsx.process import default_environment, torch_threads, without_module
from dsx.report.plots import plot
from dsx.search.design.compare_backends import compare_backends
from dsx.search.design.measure_design import DesignMeasurement
from dsx.search.design.selection import load_selected
from dsx.search.doctor import examine
from dsx.search.refining.refine import refine_study
from dsx.space import draft_space, redesign, slots
from dsx.space.probe.probe import fingerprint, probe
from dsx.store.measurements.measurements import open_measurements
from dsx.store.studies.proxies import load_proxies
from dsx.store.studies.study import Study
from dsx.train import train
from tests.search.again import change, copy_to, leave_open, searched
from tests.search.spaces import QUICK

CROSS = ConvSpec(kernel_shape="cross", groups=2)
THREADS = 2
"""Another number than the one of the spaces, which is 1."""


@dataclass(frozen=True)
class Case:
    """The inputs of a call: a study that was searched, its database and an empty folder."""

    storage: str
    folder: Path

    @property
    def single(self) -> DesignMeasurement:
        space = dsx.load_space(QUICK)
        return DesignMeasurement(space, space.baseline, open_measurements(self.storage), fresh=True)


def _export(case: Case) -> object:
    choice = load_selected(Study.open(case.storage, "quick"), "baseline")
    return export(choice, case.folder / "out")


def _deploy() -> object:
    network = redesign(SmallCnn(4), {"stages.1.conv1": CROSS}).eval()
    return deploy(network, torch.zeros(1, 1, 8, 8))


def _train() -> object:
    space = dsx.load_space(QUICK)
    return train(space.network(fresh=True), space.splits.train, space.file.train)


CALLS: dict[str, Callable[[Case], object]] = {
    "DsxError": lambda case: dsx.DsxError("reason"),
    "__version__": lambda case: dsx.__version__,
    "front": lambda case: dsx.front("quick", storage=case.storage),
    "load_space": lambda case: dsx.load_space("digits"),
    "search": lambda case: dsx.search(QUICK, trials=2, storage=f"sqlite:///{case.folder}/new.db"),
    "refine": lambda case: refine_study("quick", 0.5, storage=case.storage),
    "measure": lambda case: case.single.measure(["latency_ms", "flops", "peak_memory_mb"]),
    "layers": lambda case: case.single.layers(),
    "onnxruntime": lambda case: compare_backends(case.single, ["onnxruntime"]),
    "openvino": lambda case: compare_backends(case.single, ["openvino"]),
    "compile": lambda case: compare_backends(case.single, ["compile"]),
    "export": _export,
    "examine": lambda case: examine(case.storage),
    "load_proxies": lambda case: load_proxies(Study.open(case.storage, "quick")),
    "plot": lambda case: plot(dsx.front("quick", storage=case.storage), case.folder / "a.svg"),
    "probe": lambda case: probe(dsx.load_space(QUICK)),
    "fingerprint": lambda case: fingerprint(dsx.load_space(QUICK)),
    "draft_space": lambda case: draft_space("small_cnn", {"width": 4}, (1, 8, 8)),
    "slots": lambda case: slots(SmallCnn(4), torch.zeros(1, 1, 8, 8)),
    "deploy": lambda case: _deploy(),
    "from_conv2d": lambda case: from_conv2d(torch.nn.Conv2d(4, 4, 3), CROSS),
    "train": lambda case: _train(),
}
DRAWS = {"slots", "deploy", "from_conv2d"}
"""Calls for which the caller builds a module, and so draws from its own generator."""


@pytest.fixture(scope="module")
def open_quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study with contested designs; only read it."""
    storage = searched(QUICK, tmp_path_factory.mktemp("open"))
    change(storage, leave_open)
    return storage


@pytest.fixture
def case(open_quick: str, tmp_path: Path) -> Case:
    return Case(copy_to(open_quick, tmp_path), tmp_path)


@pytest.fixture(autouse=True)
def other_settings() -> Iterator[None]:
    """Settings that differ from the defaults of torch and Python, and from those of dsx."""
    level, disabled = logging.root.level, logging.root.manager.disable
    logging.root.setLevel(logging.ERROR)
    logging.disable(logging.DEBUG)
    with torch_threads(THREADS):
        yield
    logging.root.setLevel(level)
    logging.disable(disabled)


def loggers() -> dict[str, tuple[object, ...]]:
    named = {n: x for n, x in logging.root.manager.loggerDict.items() if hasattr(x, "level")}
    return {
        name: (log.level, log.propagate, log.disabled, tuple(log.handlers), tuple(log.filters))
        for name, log in [("root", logging.root), *named.items()]
        # torch drops a handler of its own logger when it finds that it has nothing to trace.
        if isinstance(log, logging.Logger) and name != "torch.__trace"
    }


def settings() -> dict[str, Any]:
    """The settings of this process."""
    cudnn = torch.backends.cudnn
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "random state of torch": torch.get_rng_state().tolist(),
        "random state of Python": random.getstate(),
        "random state of numpy": str(np.random.get_state(legacy=False)),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "dtype and device": (torch.get_default_dtype(), torch.get_default_device()),
        "determinism": (
            torch.are_deterministic_algorithms_enabled(),
            torch.get_deterministic_debug_mode(),
            (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        ),
        "precision": torch.get_float32_matmul_precision(),
        "logging": logging.root.manager.disable,
        "loggers": loggers(),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        # setuptools, which the compiler of torch imports, extends it: so it is imported above.
        "module search": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "fake modules": {name for name, module in sys.modules.items() if module is None},
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "hooks": (sys.excepthook, sys.unraisablehook, sys.stdout, sys.stderr),
        "plots": (dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)),
    }


def changed(before: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """List what differs now from settings of before; loggers that are new do not count."""
    now = settings()
    now["loggers"] = {name: now["loggers"].get(name) for name in before["loggers"]}
    return {name: (old, now[name]) for name, old in before.items() if now[name] != old}


def test_every_public_name_is_checked() -> None:
    assert set(dsx.__all__) <= CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_process_unchanged(name: str, case: Case) -> None:
    before = settings()
    CALLS[name](case)
    assert changed(before).keys() <= ({"random state of torch"} if name in DRAWS else set())


def test_an_import_path_leaves_one_finder_that_finds_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named_by_user.py").write_text("NUMBER = 1\n")
    (tmp_path / "not_named.py").touch()
    before = [finder for finder in sys.meta_path if finder is not _FINDER]
    for _ in range(2):
        assert load("named_by_user:NUMBER") == 1
    assert sys.meta_path == [*before, _FINDER]
    assert importlib.util.find_spec("not_named") is None
    del sys.modules["named_by_user"]


def test_what_the_caller_compiled_still_runs_after_dsx_has_compiled(case: Case) -> None:
    double = torch.compile(lambda x: 2 * x, backend="eager")
    x = torch.ones(3)
    assert torch.equal(double(x), 2 * x)
    compare_backends(case.single, ["compile"])
    assert torch.equal(double(x), 2 * x)


def test_a_training_leaves_the_allocator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_: pytest.fail("the allocator is set up"))
    keep_freed_memory.cache_clear()
    _train()


class Interrupted(Exception):
    """Raised in the middle of the work."""


def interrupt(*_: object) -> None:
    raise Interrupted


def _interrupted_search(case: Case) -> None:
    dsx.search(QUICK, trials=9, storage=case.storage, report=interrupt)


def _interrupted_refinement(case: Case) -> None:
    refine_study("quick", 9.0, storage=case.storage, on_status=interrupt)


def _interrupted_measure(case: Case) -> None:
    single = case.single
    single.on_status = interrupt
    single.measure(["latency_ms"])


def _interrupted_comparison(case: Case) -> None:
    single = case.single
    single.on_status = interrupt
    compare_backends(single, ["openvino"])


@pytest.mark.parametrize(
    "call",
    [_interrupted_search, _interrupted_refinement, _interrupted_measure, _interrupted_comparison],
)
def test_an_exception_leaves_the_process_unchanged(
    call: Callable[[Case], None], case: Case
) -> None:
    before = settings()
    with pytest.raises(Interrupted):
        call(case)
    assert changed(before) == {}


def test_a_setting_of_the_user_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSX_SET", "mine")
    monkeypatch.delenv("DSX_UNSET", raising=False)
    with default_environment("DSX_SET", "1"), default_environment("DSX_UNSET", "1"):
        assert (os.environ["DSX_SET"], os.environ["DSX_UNSET"]) == ("mine", "1")
    assert (os.environ["DSX_SET"], os.environ.get("DSX_UNSET")) == ("mine", None)


def test_a_module_is_missing_only_inside_the_context() -> None:
    name = "this"  # a module of Python's that nothing imports
    assert name not in sys.modules
    with without_module(name), pytest.raises(ImportError, match="import of this halted"):
        __import__(name)
    assert name not in sys.modules
    with without_module("logging"):
        assert sys.modules["logging"] is logging
    assert sys.modules["logging"] is logging
