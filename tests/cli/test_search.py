"""dsx search: from an empty folder to a front and the next commands, and invalid input."""

import shlex
from pathlib import Path

import pytest

from dsx.cli.search import Sampler
from dsx.search.loop import SAMPLER_NAMES
from dsx.space import shipped_spaces
from tests.cli.running import dsx, one_line
from tests.search.looking import states
from tests.search.spaces import STATIC, THREE, TINY, varied

MODELS = """
import torch

def tiny(classes=10):
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, padding=1),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, classes),
    )
"""
OWN = """
model: mypkg.models:tiny
data: digits
slots: [{match: "*", kernel_shape: [cross, point]}]
objectives: {params: minimize}
"""


def test_from_an_empty_folder_to_the_next_command(tmp_path: Path) -> None:
    ended = dsx("search", TINY, "--trials", 3, folder=tmp_path)
    assert ended.code == 0
    title, *_ = ended.out.splitlines()
    assert title.startswith("tiny: ")
    assert "best accuracy" in ended.out and " designs on the front (" in ended.out
    assert "\n  dsx pareto tiny --all\n  dsx show tiny --pick knee\n" in ended.out
    assert " 0/3 designs, 0 on the front\n" in ended.progress
    assert " 1/3 designs, 1 on the front\n" in ended.progress
    assert "finished: 3 completed" in ended.err
    *_, pareto, export = ended.err.splitlines()
    for line in (pareto.removeprefix("Next: "), export.strip()):
        _, *arguments = shlex.split(line)
        following = dsx(*arguments, folder=tmp_path)
        assert following.code == 0, following
    assert (tmp_path / "front.html").is_file()
    assert (tmp_path / "chosen" / "model.py").is_file()
    assert "Traceback" not in ended.err


def test_the_same_command_again_shows_the_front(tmp_path: Path) -> None:
    first = dsx("search", STATIC, "--trials", 3, folder=tmp_path)
    again = dsx("search", STATIC, "--trials", 3, folder=tmp_path)
    assert (again.code, again.out) == (0, first.out)
    assert "finished: 3 completed" in again.err


@pytest.mark.parametrize("name", ["json", "csv"])
def test_results_go_to_stdout_and_messages_to_stderr(tmp_path: Path, name: str) -> None:
    ended = dsx("search", STATIC, "--trials", 3, "--format", name, folder=tmp_path)
    assert ended.code == 0
    assert ended.out == dsx("pareto", "--format", name, folder=tmp_path).out
    assert "designs, " in ended.progress and "Next: dsx pareto static" in ended.err


def test_options_override_the_environment(tmp_path: Path) -> None:
    environment = {"DSX_STORAGE": "sqlite:///from/environment.db", "DSX_TRIALS": "2"}
    ended = dsx("search", STATIC, folder=tmp_path, environment=environment)
    assert "finished: 2 completed" in ended.err
    assert (tmp_path / "from" / "environment.db").is_file()
    options = ("--trials", 1, "--storage", "sqlite:///from/option.db")
    ended = dsx("search", STATIC, *options, folder=tmp_path, environment=environment)
    assert "finished: 1 completed" in ended.err
    assert (tmp_path / "from" / "option.db").is_file()
    assert not (tmp_path / "studies").exists()


def test_a_study_has_the_given_name(tmp_path: Path) -> None:
    options = ("--study", "mine", "--storage", "sqlite:///my db.db")
    ended = dsx("search", STATIC, "--trials", 3, *options, folder=tmp_path)
    assert "Next: dsx pareto mine --storage 'sqlite:///my db.db' --plot front.html" in ended.err
    assert states(f"sqlite:///{tmp_path}/my db.db", "mine")["complete"] == 3


def test_a_network_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "models.py").write_text(MODELS)
    (tmp_path / "own.yaml").write_text(OWN)
    ended = dsx("search", "own.yaml", "--trials", 3, folder=tmp_path)
    assert (ended.code, ended.out[:4]) == (0, "own:"), ended


def test_a_front_without_feasible_designs_is_reported(tmp_path: Path) -> None:
    ended = dsx("search", STATIC, "--trials", 1, folder=tmp_path)
    assert ended.code == 1
    assert "No design meets the constraints." in ended.out
    assert ended.err.endswith(
        "No design meets the constraints: increase --trials, or relax a constraint.\n"
    )


def test_the_reason_of_an_early_end_is_reported(tmp_path: Path) -> None:
    ended = dsx("search", THREE, "--trials", 9, folder=tmp_path)
    assert ended.code == 0
    assert "search space exhausted: all designs evaluated: 3 completed" in ended.err
    ended = dsx("search", STATIC, "--trials", 9, "--timeout", "0s", folder=tmp_path)
    assert "time budget exhausted: " in ended.err


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("width: 4}", "width: 4", "static.yaml:4:5: not YAML: "),
        ("data: digits", "daat: digits", "static.yaml:4: daat: unknown key (allowed: model, "),
        ("data: digits", "data: digts", "static.yaml:4: data: no dataset called 'digts'"),
        ("groups: [1, 2]", "groups: [[1]]", "static.yaml:6: slots.0.groups.0: "),
        ('"stages.*"', '"stage.*"', "static.yaml:6: slots.0.match: 'stage.*' matches no slot"),
        ('"<= 50%"', '"<= 1%"', "static.yaml:8: constraints.flops: no design can meet this"),
        ('"<= 50%"', '"< 50%"', "static.yaml:8: constraints.flops: '< 50%' is not a bound"),
        ("minimize,", "minimise,", "static.yaml:7: objectives.params: 'minimise' is not allowed"),
        ("small_cnn", "small_cn", "static.yaml:2: model: no net called 'small_cn'"),
        ("small_cnn", "mypkg.models:tiny", "static.yaml:2: model: cannot import 'mypkg.models'"),
    ],
)
def test_an_invalid_space_is_one_line_with_its_position(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    space = varied(STATIC, tmp_path, old, new)
    for command in (("search", "--trials", 1), ("space",)):
        ended = dsx(*command, space, folder=tmp_path)
        if command == ("space",) and "no design can" in problem:
            assert (ended.code, ended.err) == (1, "")
            continue
        assert one_line(ended, 2).startswith(f"{tmp_path}/{problem}")


def test_an_unknown_space_names_the_nearest_match(tmp_path: Path) -> None:
    for command in ("search", "space"):
        assert one_line(dsx(command, "digit", folder=tmp_path), 2) == (
            f"no search space called 'digit' (allowed: {', '.join(shipped_spaces())}, or the path "
            "of a .yaml file). Did you mean 'digits'?"
        )
        assert one_line(dsx(command, "digit.yaml", folder=tmp_path), 2) == (
            "digit.yaml: there is no such file. Did you mean 'digits'?"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("storage", "problem"),
    [
        ("nothing", "--storage: 'nothing' is not a database URL"),
        (
            "postgresql://u:s3cret@127.0.0.1:1/x",
            "postgresql://u:***@127.0.0.1:1/x cannot be opened",
        ),
        ("sqlite:///file/dsx.db", "sqlite:///file/dsx.db cannot be opened: "),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line(
    tmp_path: Path, storage: str, problem: str
) -> None:
    (tmp_path / "file").touch()
    ended = dsx("search", STATIC, "--storage", storage, folder=tmp_path)
    assert one_line(ended, 2).startswith(problem)
    assert "s3cret" not in ended.err


def test_a_failing_baseline_is_one_line(tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "learning_rate: 0.2", "learning_rate: 1.0e+30")
    ended = dsx("search", space, "--trials", 2, folder=tmp_path)
    *_, line = ended.err.splitlines()
    assert (ended.code, ended.out) == (1, "")
    assert line == (
        "dsx: the baseline cannot be measured: training diverged: the loss is nan in epoch 1"
    )


FAILING = """
from dsx.conv import DsxConv
from dsx.nets.small_cnn import SmallCnn

class Net(SmallCnn):
    def __init__(self):
        super().__init__(width=4)

    def forward(self, x):
        slots = [module for module in self.modules() if isinstance(module, DsxConv)]
        if self.training and slots and %s:
            raise KeyError(f"no shape of {len(slots)} slots")
        return super().forward(x)
"""


def failing(folder: Path, fails: str) -> Path:
    """Write a space whose redesigned networks fail in training if a condition holds."""
    (folder / "failing.py").write_text(FAILING % fails)
    model = "model: small_cnn\nmodel_args: {width: 4}"
    return varied(TINY, folder, model, "model: 'failing:Net'")


def test_if_every_candidate_fails_the_reason_is_shown_and_the_exit_code_is_1(
    tmp_path: Path,
) -> None:
    note = "All 11 candidates failed: 11 x KeyError: 'no shape of 6 slots' (first: #1)"
    space = failing(tmp_path, "True")
    ended = dsx("search", space.name, "--trials", 4, folder=tmp_path)
    assert (ended.code, ended.out.count(note)) == (1, 1), ended
    assert ended.err.endswith(f"{note}\nTracebacks: dsx ls tiny --failed\n"), ended
    assert "1/4 designs, 1 on the front, 8 failed\n" in ended.progress
    again = dsx("search", space.name, "--trials", 4, "--json", folder=tmp_path)
    assert again.code == 1 and note in again.err
    (failure,) = again.json["failures"]
    assert (failure["reason"], failure["count"]) == ("KeyError: 'no shape of 6 slots'", 11)
    assert again.json["candidates"]["complete"] == 0
    for arguments in ([], ["--json"], ["--format", "csv"], ["--plot", "front.html"]):
        ended = dsx("pareto", *arguments, folder=tmp_path)
        assert (ended.code, ended.err.count(note)) == (1, 1), ended
        assert ended.out.count(note) == ("--format" not in arguments)
    assert "KeyError: &#x27;no shape" in (tmp_path / "front.html").read_text()
    assert note in dsx("ls", folder=tmp_path).out
    listed = dsx("ls", "tiny", "--failed", folder=tmp_path)
    assert listed.code == 0 and "failing.py" in listed.out, listed
    failed = dsx("ls", "--failed", "--json", folder=tmp_path).json["failed"]
    assert len(failed) == 11 and all("failing.py" in row["traceback"] for row in failed)


def test_if_some_candidates_fail_the_search_succeeds(tmp_path: Path) -> None:
    space = failing(tmp_path, "slots[0].spec.groups == 2")
    ended = dsx("search", space.name, "--trials", 12, folder=tmp_path)
    assert ended.code == 0, ended
    assert " candidates failed: " in ended.out and "x KeyError: 'no shape of 6 sl" in ended.out
    assert "Tracebacks: dsx ls tiny --failed\nNext: dsx pareto tiny" in ended.err


def test_the_constraint_that_most_candidates_violate_is_shown(tmp_path: Path) -> None:
    space = varied(STATIC, tmp_path, '{flops: "<= 50%"}', '{flops: "<= 50%", params: "<= 42%"}')
    ended = dsx("search", space, "--trials", 3, "--sampler", "random", folder=tmp_path)
    notes = [line for line in ended.err.splitlines() if "candidates violate a constraint" in line]
    assert len(notes) == 1 and " x params (first: #" in notes[0], ended
    assert notes[0] in " ".join(ended.out.split())


def test_the_samplers_are_those_of_the_search() -> None:
    assert tuple(Sampler) == SAMPLER_NAMES


def test_an_unknown_sampler_is_named(tmp_path: Path) -> None:
    line = one_line(dsx("search", STATIC, "--sampler", "tpes", folder=tmp_path), 2)
    assert "'tpes' is not one of 'screening', 'tpe', 'nsga2', 'random'" in line


def test_omitted_options_are_counted_before_the_search(tmp_path: Path) -> None:
    space = varied(STATIC, tmp_path, "groups: [1, 2]", "groups: [1, 2, 3]")
    ended = dsx("search", space, "--trials", 2, folder=tmp_path)
    assert ended.err.startswith("note: 1 option is not supported by some slots, the ")
