"""Damaged files: recreated where that is possible, else named in one line; never deleted."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dsx import search
from dsx.activity import ignore_status
from dsx.analysis import TrialState
from dsx.errors import DsxError, WorkFailed, short
from dsx.measure import Candidate, this_device
from dsx.search.design.selection import load_selected
from dsx.search.evaluator import Evaluator
from dsx.search.plan import Plan, make_plan
from dsx.space import load_space
from dsx.space.weights.pretrained import load_weights, read_weights
from dsx.store.database.engine import open_database
from dsx.store.measurements.calibration import MachineReferenceTimes
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.study import Study
from dsx.store.weights.weights import Weights
from tests.cli.running import Ended, dsx, one_line
from tests.robustness.conftest import Tally
from tests.robustness.damage import ANY, HEADER, UNSEEN, Damage, seen
from tests.search.looking import trained, weight_files
from tests.search.opening import planned
from tests.search.spaces import TINY, varied

KIND = "damaged files"
STORED = ANY | HEADER | UNSEEN
ABSENT = ANY["dangling link"]
"""Damages that are equal to a missing file, which is not an error."""
SHORT = ["cut in the middle"]


def cases(damages: dict[str, Damage]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return pytest.mark.parametrize("damage", damages.values(), ids=damages.keys())


def check(tally: Tally, right: bool, *shown: object) -> None:
    tally(KIND, right)
    assert right, shown


@dataclass(frozen=True)
class Stored:
    """A study whose baseline's weights can be damaged.

    Args:
        storage: URL of the database.
        baseline: Id of the baseline.
    """

    storage: str
    baseline: str

    @property
    def file(self) -> Path:
        return weight_files(self.storage, "tiny")[self.baseline]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    storage = f"sqlite:///{tmp_path_factory.mktemp('whole')}/studies/dsx.db"
    return Stored(storage, search(TINY, trials=2, storage=storage).baseline)


@pytest.fixture
def stored(whole: Stored, tmp_path: Path) -> Stored:
    """A copy of the study, whose folder is `tmp_path`."""
    shutil.copytree(Path(whole.storage.removeprefix("sqlite:///")).parent, tmp_path / "studies")
    return Stored(f"sqlite:///{tmp_path}/studies/dsx.db", whole.baseline)


@cases(STORED)
def test_stored_weights_are_absent_until_they_are_recreated(
    damage: Damage, stored: Stored, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    file = stored.file
    damage(file)
    before = seen(file)
    choice = load_selected(Study.open(stored.storage, "tiny"), "baseline")
    absent, told = choice.weights is None, caplog.messages
    weights = Weights(open_database(stored.storage, create=True), stored.storage, "tiny", "p")
    weights.save(stored.baseline, choice.space.network())
    recreated = weights.load(stored.baseline) is not None
    weights.prune(set())
    named = [line.startswith(f"{file} ") and "\n" not in line for line in told]
    right = absent and recreated and named == [True] * (damage is not ABSENT)
    check(tally, right and seen(file) == before, told)


def unreadable(path: Path) -> None:
    path.chmod(0)


COMMANDS = {
    "search": ("search", TINY, "--trials", 3),
    "export": ("export", "tiny", "--pick", "baseline", "--out", "chosen"),
    "measure": ("measure", "--study", "tiny", "--pick", "baseline", "--metric", "accuracy"),
    "pareto": ("pareto", "tiny"),
}


def check_command(
    command: str, damage: Damage, stored: Stored, tmp_path: Path, tally: Tally
) -> None:
    file = stored.file
    damage(file)
    before = seen(file)
    ended = dsx(*COMMANDS[command], folder=tmp_path, heed_permissions=True)
    told = [line for line in ended.err.splitlines() if file.name in line]
    right = ended.code == 0 and "Traceback" not in ended.err and len(told) <= 1
    if command == "export":
        right = right and len(list((tmp_path / "chosen").iterdir())) == 4
    if command in ("search", "export"):
        right = right and len(told) == (damage is not ABSENT)
    check(tally, right and seen(file) == before, ended)


@cases({name: ANY[name] for name in SHORT})
def test_a_search_continues(damage: Damage, stored: Stored, tmp_path: Path, tally: Tally) -> None:
    check_command("search", damage, stored, tmp_path, tally)


def test_a_file_that_cannot_be_read_stops_nothing(
    stored: Stored, tmp_path: Path, tally: Tally
) -> None:
    check_command("search", unreadable, stored, tmp_path, tally)


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
@cases(STORED | {"unreadable": unreadable})
def test_no_command_is_stopped(
    damage: Damage, command: str, stored: Stored, tmp_path: Path, tally: Tally
) -> None:
    check_command(command, damage, stored, tmp_path, tally)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    storage = f"sqlite:///{tmp_path_factory.mktemp('plan')}/dsx.db"
    return make_plan(
        load_space(TINY), MeasurementStore(open_database(storage, create=True), this_device())
    )


@pytest.fixture(scope="module")
def checkpoint(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("checkpoint") / "a.training"
    Candidate(plan.space, plan.space.baseline, checkpoint=file).trained()
    return file.read_bytes()


def evaluator_of(plan: Plan, folder: Path) -> Evaluator:
    """Prepare the evaluation of the baseline in a new database."""
    storage = f"sqlite:///{folder}/dsx.db"
    memory = MeasurementStore(open_database(storage, create=True), this_device())
    memory.add_design(plan.space.baseline, "unchanged")
    for name, settings in plan.settings.items():
        memory.add_protocol(name, settings)
    return Evaluator(plan, planned(plan, storage, memory), ignore_status)


@cases(ANY)
def test_a_training_with_a_damaged_checkpoint_starts_again(
    damage: Damage,
    plan: Plan,
    checkpoint: bytes,
    tmp_path: Path,
    tally: Tally,
    caplog: pytest.LogCaptureFixture,
) -> None:
    evaluator = evaluator_of(plan, tmp_path)
    baseline = plan.space.baseline
    file = evaluator.weights.checkpoint(baseline.id)
    file.parent.mkdir(parents=True)
    file.write_bytes(checkpoint)
    damage(file)
    before = seen(file)
    outcome = evaluator.evaluate(baseline)
    told = [line.endswith("the training starts again") for line in caplog.messages]
    right = outcome.state == TrialState.COMPLETE and evaluator.weights.load(baseline.id) is not None
    check(tally, right and told == [True] and seen(file) == before, caplog.messages)


def test_an_undamaged_checkpoint_is_used_and_deleted(
    plan: Plan, checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = evaluator_of(plan, tmp_path)
    file = evaluator.weights.checkpoint(plan.space.baseline.id)
    file.parent.mkdir(parents=True)
    file.write_bytes(checkpoint)
    steps = trained(monkeypatch)
    assert evaluator.evaluate(plan.space.baseline).state == TrialState.COMPLETE
    assert [step.done for step in steps] == [plan.space.file.train.epochs]
    assert not file.exists()


def test_a_checkpoint_of_another_training_is_not_used(
    plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = evaluator_of(plan, tmp_path)
    baseline = plan.space.baseline
    file = evaluator.weights.checkpoint(baseline.id)
    other = load_space(varied(TINY, tmp_path, "epochs: 1", "epochs: 2"))
    Candidate(other, other.baseline, checkpoint=file).trained()
    assert evaluator.evaluate(baseline).state == TrialState.COMPLETE
    (told,) = caplog.messages
    assert told == (
        f"{file} belongs to another training: train.epochs: 2 in the checkpoint, 1 here; "
        "the training starts again"
    )
    assert not file.exists()


@pytest.fixture(scope="module")
def users(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of the tiny network, in both formats."""
    folder = tmp_path_factory.mktemp("users")
    state = plan.space.network().state_dict()
    save_file(state, folder / "tiny.safetensors")
    torch.save(state, folder / "tiny.pt")
    return folder


def nan(path: Path) -> None:
    state = {**read_weights(str(path)), "head.bias": torch.full((10,), torch.nan)}
    path.unlink()
    save = save_file if path.suffix == ".safetensors" else torch.save
    save(state, path)


def renamed(path: Path) -> None:
    state = {name.upper(): tensor for name, tensor in read_weights(str(path)).items()}
    path.unlink()
    save = save_file if path.suffix == ".safetensors" else torch.save
    save(state, path)


USERS = [
    *(("tiny.safetensors", name, damage) for name, damage in (ANY | HEADER).items()),
    *(("tiny.pt", name, damage) for name, damage in ANY.items()),
    *((f"tiny.{end}", "NaN", nan) for end in ("safetensors", "pt")),
    *((f"tiny.{end}", "other names", renamed) for end in ("safetensors", "pt")),
]


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name, _, damage in USERS],
    ids=[f"{kind}-{name}" for name, kind, _ in USERS],
)
def test_weights_of_a_user_are_refused_in_one_line(
    name: str, damage: Damage, plan: Plan, users: Path, tmp_path: Path, tally: Tally
) -> None:
    file = tmp_path / name
    shutil.copy(users / name, file)
    damage(file)
    before = seen(file)
    with pytest.raises(DsxError, match=r"^[^\n]{10,300}$") as caught:
        load_weights(plan.space.network(), read_weights(str(file)), ())
    # What `take_weights` finds is named with the file's line in the space.
    named = str(caught.value).startswith((f"{file}: ", "the weights are "))
    check(tally, named and seen(file) == before, caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 300 + ".pt", "cannot be read: File name too long"),
        ("~nobody-of-this-name/x.pt", "cannot be read: Could not determine home directory"),
        ("a\0b.pt", "cannot be read: embedded null byte"),
        ("/etc/hostname/x.pt", "there is no such file (in "),
    ],
)
def test_an_invalid_name_is_one_line(name: str, problem: str, tally: Tally) -> None:
    with pytest.raises(DsxError, match=r"^[^\n]+$") as caught:
        read_weights(name)
    check(
        tally,
        str(caught.value).startswith((f"{name}: {problem}", f"{short(name)}: {problem}")),
        caught.value,
    )


def refused(ended: Ended, code: int, start: str) -> bool:
    line = one_line(ended, code)
    return line.startswith(start)


@cases({name: ANY[name] for name in SHORT})
def test_a_search_with_damaged_weights_of_a_user_is_refused(
    damage: Damage, users: Path, tmp_path: Path, tally: Tally
) -> None:
    file = tmp_path / "tiny.safetensors"
    shutil.copy(users / file.name, file)
    damage(file)
    space = varied(TINY, tmp_path, "data: digits", f"data: digits\nweights: {file}")
    ended = dsx("search", space, "--trials", 1, folder=tmp_path)
    check(tally, refused(ended, 2, f"{space}:5: weights: {file}: cannot be read: "), ended)


def test_unreadable_weights_of_a_user_are_refused(
    users: Path, tmp_path: Path, tally: Tally
) -> None:
    (folder := tmp_path / "closed").mkdir()
    file = folder / "tiny.safetensors"
    shutil.copy(users / file.name, file)
    space = varied(TINY, tmp_path, "data: digits", f"data: digits\nweights: {file}")
    start = f"{space}:5: weights: "
    for closed in (file, folder):
        closed.chmod(0)
        ended = dsx("search", space, "--trials", 1, folder=tmp_path, heed_permissions=True)
        closed.chmod(0o700)
        check(tally, refused(ended, 2, start) and "cannot be read: Permission" in ended.err, ended)


@cases(ANY)
def test_damaged_references_of_this_machine_are_named(
    damage: Damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reference_times = MachineReferenceTimes("device")
    reference_times["situation"] = 0.25
    file = tmp_path / "dsx" / "reference_times.json"
    damage(file)
    before = seen(file)
    if damage is ABSENT:
        reference_times["situation"] = 0.5
        check(tally, dict(reference_times) == {"situation": 0.5})
        return
    for use in (lambda: dict(reference_times), lambda: reference_times.update(situation=0.5)):
        with pytest.raises(
            WorkFailed, match=r"^[^\n]+ (is damaged|cannot be read)[^\n]*$"
        ) as caught:
            use()
        assert str(caught.value).startswith(f"{file} ")
    check(tally, seen(file) == before)
