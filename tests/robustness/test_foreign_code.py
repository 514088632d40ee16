"""Code that a database names, or that is only in the working directory, is not run."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.running import dsx, fresh, one_line
from tests.robustness.conftest import Tally, check_case
from tests.search.spaces import STATIC, varied

KIND = "hostile names and code"
CANARY = "from pathlib import Path\nPath('CANARY').touch()\n"
NETWORK = CANARY + "from dsx.nets.small_cnn import SmallCnn as Net\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of a network in `canary.py`, which creates CANARY when it is run."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "canary.py").write_text(NETWORK)
    space = varied(STATIC, folder, "small_cnn", "canary:Net")
    ended = dsx("search", space.name, "--trials", 3, folder=folder)
    assert ended.code == 0 and (folder / "CANARY").exists(), ended
    assert f"dsx export static --space {space.name} --pick knee" in ended.err
    (folder / "CANARY").unlink()
    return folder


@pytest.fixture
def folder(own: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own, tmp_path / "folder"))


RUNNING = (
    ["export", "--out", "chosen"],
    ["measure", "--study", "static", "--metric", "params"],
    ["refine", "--for", "1s"],
)


@pytest.mark.parametrize(
    "arguments",
    # An export takes a quarter of a minute.
    [pytest.param(each, marks=[pytest.mark.long] * (each[0] == "export")) for each in RUNNING],
    ids=lambda arguments: arguments[0],
)
def test_code_of_a_stored_study_is_run_only_with_permission(
    folder: Path, tally: Tally, arguments: list[str]
) -> None:
    refusal = one_line(dsx(*arguments, folder=folder), 2)
    right = refusal.startswith("static (of study 'static'):2: model: 'canary:Net' is not ")
    right = right and "add --space FILE" in refusal and "or --trust" in refusal
    check_case(tally, KIND, right and not (folder / "CANARY").exists(), refusal)
    for more in (["--space", "static.yaml"], ["--trust"]):
        (folder / "CANARY").unlink(missing_ok=True)
        ended = dsx(*arguments, *more, folder=folder)
        check_case(tally, KIND, ended.code == 0 and (folder / "CANARY").exists(), ended)
        shutil.rmtree(folder / "chosen", ignore_errors=True)


def test_a_space_file_permits_only_its_own_code(folder: Path, tally: Tally) -> None:
    varied(folder / "static.yaml", folder, "width: 4", "width: 5")
    for arguments in RUNNING:
        refusal = one_line(dsx(*arguments, "--space", "static.yaml", folder=folder), 2)
        expected = (
            "--space: static.yaml is not the space of study 'static': model_args.width was 4, is 5"
        )
        check_case(tally, KIND, refusal == expected, refusal)
    (folder / "CANARY").unlink()
    refusal = one_line(dsx("export", "--space", "digits", folder=folder), 2)
    check_case(tally, KIND, not (folder / "CANARY").exists(), refusal)


def test_commands_that_only_show_run_no_code(folder: Path, tally: Tally) -> None:
    for arguments in (
        ["ls"], ["pareto"], ["pareto", "--json"], ["archive", "--out", "kept"], ["doctor"],
        ["pareto", "--plot", "front.svg"], ["pareto", "--proxies"], ["search", "no"],
        ["show"],
    ):  # fmt: skip
        ended = dsx(*arguments, folder=folder)
        right = "Traceback" not in ended.err and not (folder / "CANARY").exists()
        check_case(tally, KIND, right, ended)


PLANTED = {
    "data": ("data: digits", "data: 'canary:Net'"),
    "metric": ("{params: minimize", "{'canary:Net': minimize, params: minimize"),
    "shape": ("[full, cross, point]", "[full, 'canary:Net', point]"),
    "backend": ("slots:", "measure: {backend: 'canary:Net'}\nslots:"),
    "inside dsx": ("model: small_cnn", "model: 'dsx.lookup:load'"),
    "standard library": ("model: small_cnn", "model: 'os:system'"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    assert dsx("search", STATIC, "--trials", 3, folder=folder).code == 0
    (folder / "canary.py").write_text(NETWORK)
    return folder


@pytest.mark.parametrize("where", PLANTED)
def test_imports_of_a_stored_space_are_rejected(
    plain: Path, tmp_path: Path, tally: Tally, where: str
) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "folder"))
    with sqlite3.connect(folder / "studies" / "dsx.db") as connection:
        (text,) = connection.execute("SELECT space_text FROM dsx_studies").fetchone()
        old, new = PLANTED[where]
        assert text.count(old) == 1
        connection.execute("UPDATE dsx_studies SET space_text = ?", [text.replace(old, new)])
    for arguments in RUNNING[1:] if where == "metric" else RUNNING:
        ended = dsx(*arguments, folder=folder)
        right = not (folder / "CANARY").exists() and "Traceback" not in ended.err
        # To count parameters, neither the metrics of the space nor its backend are looked up.
        needed = where not in ("metric", "backend") or arguments[0] != "measure"
        right = right and (ended.code == 2 or not needed)
        check_case(tally, KIND, right, ended)


def test_a_shape_that_only_a_stored_design_names_is_rejected(
    plain: Path, tmp_path: Path, tally: Tally
) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "folder"))
    with sqlite3.connect(folder / "studies" / "dsx.db") as connection:
        for shape in ("full", "cross", "point"):
            connection.execute(
                "UPDATE dsx_designs SET spec = replace(spec, ?, ?)",
                [f'"kernel_shape": "{shape}"', '"kernel_shape": "canary:Net"'],
            )
    for arguments in (*RUNNING[:2], ["archive", "--out", "kept"]):
        ended = dsx(*arguments, folder=folder)
        shown = arguments[0] == "archive"
        right = ended.code == (0 if shown else 2) and not (folder / "CANARY").exists()
        check_case(tally, KIND, right, ended)


def test_no_file_in_the_working_directory_replaces_a_package(tmp_path: Path, tally: Tally) -> None:
    for name in ("redis", "plotly", "pandas", "select", "yaml", "torchvision", "cupy", "numba"):
        (tmp_path / f"{name}.py").write_text(CANARY)
    (tmp_path / "triton").mkdir()
    (tmp_path / "own.py").write_text(
        "import helper\nfrom dsx.nets.small_cnn import SmallCnn\n\n"
        "def net(**arguments):\n"
        "    import late\n"
        "    return SmallCnn(**arguments)\n"
    )
    (tmp_path / "helper.py").write_text("from deeper import inside\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "inside.py").touch()
    (tmp_path / "late.py").touch()
    space = varied(STATIC, tmp_path, "small_cnn", "own:net")
    # As `python -m dsx` is without the care that tests take.
    process = fresh(
        *("search", space.name, "--trials", "2"),
        folder=tmp_path,
        environment={"PYTHONSAFEPATH": ""},
    )
    _, err = process.communicate()
    right = process.returncode == 0 and not (tmp_path / "CANARY").exists()
    check_case(tally, KIND, right, err)


def test_a_model_path_does_not_become_code_of_the_export(tmp_path: Path, tally: Tally) -> None:
    # Text that ends a docstring, and does something.
    module = 'm"""|open("CANARY","w")|"""n'
    (tmp_path / f"{module}.py").write_text("from dsx.nets.small_cnn import SmallCnn as Net\n")
    space = varied(STATIC, tmp_path, "small_cnn", f"'{module}:Net'")
    assert dsx("search", space.name, "--trials", 2, folder=tmp_path).code == 0
    ended = dsx("export", "--space", space.name, "--out", "chosen", folder=tmp_path)
    right = ended.code == 0 and not list(tmp_path.rglob("CANARY"))
    check_case(tally, KIND, right, ended)
