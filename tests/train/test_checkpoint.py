"""Checkpoints: an interrupted training ends with the same weights, or reports the problem."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from dsx.conv import ConvSpec, ShapeSchedule
from dsx.conv.modules.learned import LearnedConv2d
from dsx.data import Split
from dsx.errors import CheckpointError, DsxError, TrialFailed, WorkFailed
from dsx.space import redesign
from dsx.space.yaml.schema import Train
from dsx.train import loop, train
from dsx.train.checkpoint import is_checkpoint, read, write
from tests.train.cases import CASES, EPOCH_STEPS, IMAGES
from tests.train.networks import (
    LEARNED,
    SHORT,
    Double,
    digits,
    equal_states,
    fresh,
    with_decisions,
    with_dropout,
)


class Stopped(Exception):
    """Raised to interrupt a training."""


def stop_after(step: int, network: nn.Module, settings: Train, file: Path) -> None:
    """Train until a number of steps is saved."""
    done: list[float] = []

    def stop(progress: float, loss: float) -> None:
        done.append(progress)
        if len(done) > step:
            raise Stopped("stop")

    with pytest.raises(Stopped, match="stop"):
        train(network, digits(IMAGES), settings, checkpoint=file, save_seconds=0.0, report=stop)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kill all trainings in the middle of an epoch, and return the folder of their checkpoints."""
    folder = tmp_path_factory.mktemp("killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.train.killed", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        blocked = [process.stdout.readline().split() for _ in CASES]
        assert {name for name, _ in blocked} == set(CASES)
        for _, number in blocked:
            os.kill(int(number), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        assert out.split() == ["-9"] * len(CASES)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_killed_training_ends_with_the_same_weights(name: str, killed: Path) -> None:
    case, file = CASES[name], killed / f"{name}.pt"
    uninterrupted, resumed = case.build(), case.build()
    losses = train(uninterrupted, digits(IMAGES), case.settings)
    steps: list[float] = []
    resumed.register_forward_pre_hook(lambda module, inputs: steps.append(len(inputs[0])))
    torch.manual_seed(17)
    assert train(resumed, digits(IMAGES), case.settings, checkpoint=file) == losses
    assert equal_states(uninterrupted, resumed)
    # The saved steps are not repeated, only the step that was not saved.
    total = case.settings.epochs * EPOCH_STEPS
    extra = any(isinstance(module, LearnedConv2d) for module in resumed.modules())
    assert len(steps) == (total - case.stop + 1) * case.settings.accumulate + extra


@pytest.mark.parametrize("name", ["random", "warming"])
def test_a_training_can_be_interrupted_after_each_step(name: str, tmp_path: Path) -> None:
    case, file = CASES[name], tmp_path / "a.pt"
    settings = case.settings.model_copy(update={"epochs": 2})
    uninterrupted = case.build()
    losses = train(uninterrupted, digits(IMAGES), settings)
    network = case.build()
    for _ in range(2 * EPOCH_STEPS - 1):
        # A new network each time, as in a new process.
        network = case.build()
        stop_after(1, network, settings, file)
    network = case.build()
    assert train(network, digits(IMAGES), settings, checkpoint=file) == losses
    assert equal_states(uninterrupted, network)


def test_a_completed_training_is_not_repeated(tmp_path: Path) -> None:
    network, again = with_dropout(), with_dropout()
    losses = train(network, digits(100), SHORT, checkpoint=tmp_path / "a.pt")
    again.register_forward_pre_hook(lambda module, inputs: pytest.fail("trained again"))
    assert train(again, digits(100), SHORT, checkpoint=tmp_path / "a.pt") == losses
    assert equal_states(network, again) and not again.training


@pytest.mark.parametrize("name", ["random", "adamw", "learning", "binary"])
def test_a_longer_training_continues_a_shorter_one(name: str, tmp_path: Path) -> None:
    case, file = CASES[name], tmp_path / "a.pt"
    short = case.settings.model_copy(update={"epochs": 2})
    long = case.settings.model_copy(update={"epochs": 12})
    network = case.build()
    before = train(network, digits(IMAGES), short, checkpoint=file)
    frozen = {
        layer: (layer.shape_scores.detach().clone(), layer.live_weight() == 0)
        for layer in network.modules()
        if isinstance(layer, LearnedConv2d)
    }
    steps: list[int] = []
    network.register_forward_pre_hook(lambda module, inputs: steps.append(len(inputs[0])))
    losses = train(network, digits(IMAGES), long, checkpoint=file)
    assert losses[:2] == before and len(losses) == 12
    assert losses[-1] < before[-1]
    assert len(steps) == 10 * EPOCH_STEPS * case.settings.accumulate + bool(frozen)
    assert bool(frozen) == (name == "learning")
    for layer, (scores, dead) in frozen.items():
        assert torch.equal(layer.shape_scores, scores)
        assert bool(layer.frozen) and bool(layer.enabled.all())
        assert not layer.weight[dead].any()
    # The checkpoint now belongs to the longer training.
    assert train(case.build(), digits(IMAGES), long, checkpoint=file) == losses


def test_shapes_remain_enabled_during_a_longer_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, short = tmp_path / "a.pt", Train(epochs=1, batch_size=50)
    long = short.model_copy(update={"epochs": 20})
    network = with_decisions(LEARNED)
    train(network, digits(IMAGES), short, checkpoint=file)
    layers = [m for m in network.modules() if isinstance(m, LearnedConv2d)]
    advance = ShapeSchedule.advance

    def check(shape_schedule: ShapeSchedule, progress: float) -> None:
        advance(shape_schedule, progress)
        assert all(bool(layer.enabled.all()) and bool(layer.frozen) for layer in layers)
        assert shape_schedule.penalty(torch.tensor(1.0)) is None

    monkeypatch.setattr(ShapeSchedule, "advance", check)
    losses = train(network, digits(IMAGES), long, checkpoint=file)
    assert len(losses) == 20


def test_a_longer_training_can_be_interrupted(tmp_path: Path) -> None:
    file, other = tmp_path / "a.pt", tmp_path / "b.pt"
    short = Train(epochs=1, batch_size=50)
    long = short.model_copy(update={"epochs": 8})
    uninterrupted = with_decisions(LEARNED)
    train(uninterrupted, digits(IMAGES), short, checkpoint=file)
    other.write_bytes(file.read_bytes())
    losses = train(uninterrupted, digits(IMAGES), long, checkpoint=file)
    stop_after(5, with_decisions(LEARNED), long, other)
    resumed = with_decisions(LEARNED)
    assert train(resumed, digits(IMAGES), long, checkpoint=other) == losses
    assert equal_states(uninterrupted, resumed)


def test_a_longer_training_uses_its_own_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    def schedule(step: int, steps: int, warm_up: float) -> float:
        calls.append((step, steps))
        return 0.1

    monkeypatch.setattr("dsx.train.optimizers.SCHEDULES", {"one_cycle": schedule})
    network, file = with_dropout(), tmp_path / "a.pt"
    train(network, digits(IMAGES), Train(epochs=1, batch_size=50), checkpoint=file)
    train(network, digits(IMAGES), Train(epochs=3, batch_size=50), checkpoint=file)
    assert calls == [(step, 4) for step in range(4)] + [(step, 12) for step in range(4, 12)]


def rejection(file: Path, network: nn.Module, split: Split, settings: Train) -> str:
    """Return the problem in the one-line error about a checkpoint; nothing is modified."""
    before = file.read_bytes(), {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(DsxError, match=r"^[^\n]*$") as caught:
        train(network, split, settings, checkpoint=file)
    assert not isinstance(caught.value, WorkFailed)
    assert file.read_bytes() == before[0]
    assert all(torch.equal(v, before[1][k]) for k, v in network.state_dict().items())
    start, end = f"{file} belongs to another training: ", "; delete it, or name another file"
    message = str(caught.value)
    assert message.startswith(start) and message.endswith(end)
    return message.removeprefix(start).removesuffix(end)


def modified(**changes: object) -> Train:
    """Return the short settings with some values replaced."""
    return Train.model_validate({**SHORT.model_dump(), **changes})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (modified(seed=4), "train.seed: 3 in the checkpoint, 4 here"),
        (modified(learning_rate=0.3), "train.learning_rate: 0.1 in the checkpoint, 0.3 here"),
        (modified(epochs=1), "train.epochs: 2 in the checkpoint, 1 here"),
        (
            modified(augment={"flip": True}),
            "train.augment.flip: False in the checkpoint, True here",
        ),
        (
            modified(precision="bfloat16"),
            "train.precision: float32 in the checkpoint, bfloat16 here",
        ),
        (modified(epochs=3, clip=1.0), "train.clip: None in the checkpoint, 1.0 here"),
    ],
)
def test_a_checkpoint_with_other_settings_is_rejected(
    settings: Train, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.pt"
    train(fresh(), digits(100), SHORT, checkpoint=file)
    assert rejection(file, fresh(), digits(100), settings) == problem


def test_auto_is_stored_as_the_selected_precision(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    train(fresh(), digits(100), modified(precision="auto"), checkpoint=file)
    selected = torch.load(file, weights_only=True)["about"]["train"]["precision"]
    assert selected in ("float32", "bfloat16")
    train(fresh(), digits(100), modified(precision=selected), checkpoint=file)


def test_a_checkpoint_of_another_network_or_other_images_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    cross, saltire = (ConvSpec(kernel_shape=shape) for shape in ("cross", "saltire"))
    train(redesign(fresh(), {"stages.0.conv1": cross}), digits(100), SHORT, checkpoint=file)
    # Another network with the same tensors.
    other = redesign(fresh(), {"stages.0.conv1": saltire})
    problem = rejection(file, other, digits(100), SHORT)
    assert problem.startswith("network: (conv1): FixedConv2d(")
    assert "kernel_shape='cross'" in problem and "kernel_shape='saltire'" in problem
    wide = redesign(fresh(5), {"stages.0.conv1": cross})
    problem = rejection(file, wide, digits(100), SHORT)
    assert problem.startswith("network: (0): Conv2d(1, 4") and "here" in problem
    double = redesign(fresh(), {"stages.0.conv1": cross}).double()
    problem = rejection(file, double, Double(digits(100)), SHORT)
    assert (
        "torch.float32 in the checkpoint, stem.0.weight [4, 1, 3, 3] torch.float64 here" in problem
    )
    same = redesign(fresh(), {"stages.0.conv1": cross})
    assert rejection(file, same, digits(101), SHORT).startswith("images: ")


def test_a_longer_training_does_not_continue_an_incomplete_one(tmp_path: Path) -> None:
    file, settings = tmp_path / "a.pt", modified(epochs=2)
    stop_after(3, fresh(), settings, file)
    problem = rejection(file, fresh(), digits(IMAGES), modified(epochs=5))
    assert problem == "train.epochs: 2 in the checkpoint, 5 here"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a checkpoint."""
    file = tmp_path_factory.mktemp("whole") / "a.pt"
    train(with_dropout(), digits(100), SHORT, checkpoint=file)
    return file.read_bytes()


def assert_damaged(file: Path) -> None:
    """Check that a damaged file is rejected in one line that names it."""
    with pytest.raises(DsxError) as caught:
        train(with_dropout(), digits(100), SHORT, checkpoint=file)
    assert str(caught.value) == (
        f"{file} is damaged or not a checkpoint of this version of dsx; delete it, or name "
        "another file"
    )


@pytest.mark.parametrize("kept_fraction", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_rejected(kept_fraction: float, whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(whole[: int(kept_fraction * len(whole))])
    assert_damaged(file)


def test_a_flipped_bit_is_detected_or_has_no_effect(whole: bytes, tmp_path: Path) -> None:
    file, expected = tmp_path / "a.pt", with_dropout()
    losses = train(expected, digits(100), SHORT)
    found = 0
    for _ in range(40):
        content = bytearray(whole)
        content[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        file.write_bytes(bytes(content))
        network = with_dropout()
        try:
            assert train(network, digits(100), SHORT, checkpoint=file) == losses
        except DsxError as error:
            assert str(error).startswith(f"{file} is damaged")
            found += 1
        else:
            assert equal_states(network, expected)
    assert found > 20


def test_a_flipped_bit_in_any_offset_is_detected_or_has_no_effect(
    whole: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(whole)
    expected = torch.load(file, weights_only=True)
    # The offset of the first member in its directory entry, and the records behind the directory.
    first, end = whole.index(b"PK\x01\x02") + 42, whole.index(b"PK\x06\x06")
    bits = [8 * first + bit for bit in range(32)] + [8 * byte for byte in range(end, len(whole))]
    found = 0
    for bit in bits:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(content))
        try:
            state = read(file, expected["about"])
        except CheckpointError as error:
            assert "is damaged" in str(error), bit
            found += 1
        else:
            assert state is not None and state["losses"] == expected["losses"]
    assert found > 60


LIMITED = """
import resource, sys
from pathlib import Path
from dsx.train.checkpoint import is_checkpoint
(pages, *_) = Path("/proc/self/statm").read_text().split()
limit = int(pages) * resource.getpagesize() + 2**26
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    print(is_checkpoint(Path(sys.argv[1])))
except MemoryError as error:
    print(error)
"""


def test_a_checkpoint_that_does_not_fit_in_memory_is_not_damaged(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    write(file, {"about": {}, "weights": torch.zeros(2**26)})
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(file)], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("out of memory"), result


@pytest.mark.parametrize(
    "content", [{}, {"version": 0}, {"version": 1}, {"version": 99}, [1, 2], torch.zeros(3)]
)
def test_files_with_other_content_are_rejected(content: object, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save(content, file)
    assert_damaged(file)


class Code:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code was run')",)


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save({"version": 1, "about": Code()}, file)
    assert_damaged(file)


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(
            CheckpointError, match=r"^\S+ cannot be read: a (FIFO|folder), not a regular file; "
        ):
            read(path, {})
        with pytest.raises(OSError, match="not a regular file"):
            is_checkpoint(path)
    assert read(tmp_path / "none.pt", {}) is None


def test_a_checkpoint_is_recognised(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    for content, expected in [(whole, True), (whole[:-1], False), (b"", False), (b"PK", False)]:
        file.write_bytes(content)
        assert is_checkpoint(file) is expected
    torch.save({"version": 99}, file)
    assert not is_checkpoint(file)


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "made" / "a.pt"
    train(fresh(), digits(100), SHORT, checkpoint=file)
    assert [found.name for found in file.parent.iterdir()] == ["a.pt"]
    before = file.read_bytes()

    def fail(state: object, opened: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(WorkFailed, match=r"a.pt cannot be written: is the disk full\?$"):
        train(fresh(), digits(100), modified(epochs=3), checkpoint=file)
    assert file.read_bytes() == before
    assert [found.name for found in file.parent.iterdir()] == ["a.pt"]


def test_a_path_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkFailed, match=r"file/a.pt cannot be written: .*(exists|directory)"):
        write(tmp_path / "file" / "a.pt", {})


def test_a_checkpoint_is_synchronised_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def record_sync(number: int) -> None:
        order.append("sync")
        sync(number)

    def record_replace(source: Path, target: Path) -> Path:
        order.append("replace")
        return replace(source, target)

    monkeypatch.setattr("os.fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_replace)
    write(tmp_path / "a.pt", {"about": {}})
    assert order == ["sync", "replace", "sync"]


def test_a_checkpoint_is_written_regularly_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(loop, "write", lambda file, state: written.append(state["step"]))
    file = tmp_path / "a.pt"
    train(fresh(), digits(IMAGES), modified(batch_size=50, epochs=3), checkpoint=file)
    assert written == [12]
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    train(fresh(), digits(IMAGES), modified(batch_size=50, epochs=3), checkpoint=file)
    assert written[1:] == [3, 6, 9, 12]


def test_a_training_that_diverges_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    settings = Train(epochs=3, batch_size=50, learning_rate=1e30)
    for _ in range(2):
        with pytest.raises(TrialFailed, match="training diverged"):
            train(fresh(), digits(IMAGES), settings, checkpoint=file, save_seconds=0.0)
        saved = torch.load(file, weights_only=True)
        assert not saved["ended"] and saved["sum"] == saved["sum"]
