"""The wheel: what it holds, what it does not, and with and without a compiler."""

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from dsx.conv.native.compiling import find_compiler

ROOT = Path(__file__).parent.parent
LIBRARY = "dsx/conv/native/libdsx.so"
BUILD = "import sys, hatchling.build; getattr(hatchling.build, sys.argv[1])(sys.argv[2])"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("dsx-*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy of the files of this checkout that a wheel needs, without a library."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    unneeded = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("dsx", "search_spaces"):
        shutil.copytree(ROOT / name, folder / name, ignore=unneeded)
    for name in (".gitignore", "LICENSE", "README.md", "hatch_build.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(
    checkout: Path, environment: Mapping[str, str], function: str = "build_wheel"
) -> subprocess.CompletedProcess[str]:
    """Build a wheel or source distribution, without pip, into the folder `dist` of a checkout."""
    (checkout / "dist").mkdir(exist_ok=True)
    inherited = {name: v for name, v in os.environ.items() if name not in ("CXX", "DSX_NATIVE")}
    return subprocess.run(
        [sys.executable, "-c", BUILD, function, "dist"],
        cwd=checkout,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def built(checkout: Path) -> tuple[str, zipfile.ZipFile]:
    """Return the tag of the wheel that was built, and the wheel."""
    (wheel,) = (checkout / "dist").glob("*.whl")
    return wheel.stem.removeprefix("dsx-0.1.0-"), zipfile.ZipFile(wheel)


@pytest.mark.slow
def test_the_wheel_ships_the_spaces_and_the_page(names: list[str]) -> None:
    spaces = {f"dsx/search_spaces/{file.name}" for file in (ROOT / "search_spaces").glob("*.yaml")}
    assert spaces
    assert spaces | {"dsx/report/page.html"} <= set(names)


@pytest.mark.slow
def test_the_wheel_holds_every_module(names: list[str]) -> None:
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "dsx").rglob("*.py")}
    assert modules <= set(names)


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_its_sources(names: list[str]) -> None:
    sources = ROOT.glob("dsx/conv/native/source/*")
    expected = {str(file.relative_to(ROOT)) for file in sources}
    assert expected <= set(names)
    assert (LIBRARY in names) == (find_compiler() is not None)


@pytest.mark.slow
def test_the_wheel_holds_no_tests_and_no_database(names: list[str]) -> None:
    folders = {name.partition("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"dsx"}
    assert not [name for name in names if name.endswith((".db", ".safetensors", ".lock"))]


@pytest.fixture
def compiler(tmp_path: Path) -> str:
    """Path of a C++ compiler that does not optimize, which takes less time."""
    found = find_compiler()
    if found is None:
        pytest.skip("needs a C++ compiler")
    return program(tmp_path / "quick", f'exec {shlex.join(found.command)} "$@" -O0')


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_wheel_with_the_library_is_for_this_platform(compiler: str, checkout: Path) -> None:
    done = build(checkout, {"CXX": compiler, "DSX_NATIVE": "1"})
    assert done.returncode == 0, done.stderr
    tag, wheel = built(checkout)
    platform = "macosx_" if sys.platform == "darwin" else "linux_"
    assert tag.startswith(f"py3-none-{platform}")
    (about,) = (name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL"))
    assert f"Root-Is-Purelib: false\nTag: {tag}\n" in wheel.read(about).decode()
    # It can also be loaded without torch.
    wheel.extract(LIBRARY, checkout)
    load = f"import ctypes; ctypes.CDLL('{checkout / LIBRARY}').dsx_version()"
    subprocess.run([sys.executable, "-c", load], check=True)


NONE = "dsx is built without compiled kernels"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PATH": "/missing"}, f"{NONE}: no C++ compiler (tried: c++, g++, clang++)\n"),
        ({"CXX": "/missing/c++"}, f"{NONE}: no C++ compiler (tried: /missing/c++)\n"),
        ({"DSX_NATIVE": "0"}, f"{NONE} (DSX_NATIVE=0)\n"),
    ],
    ids=["PATH", "CXX", "DSX_NATIVE"],
)
def test_a_wheel_without_a_compiler_is_for_any_platform(
    environment: dict[str, str], said: str, checkout: Path
) -> None:
    # A library of an earlier installation is not shipped: it may be of other sources.
    (checkout / LIBRARY).write_text("old")
    done = build(checkout, environment)
    assert (done.returncode, done.stdout + done.stderr) == (0, said)
    tag, wheel = built(checkout)
    assert tag == "py3-none-any"
    assert LIBRARY not in wheel.namelist()
    assert "dsx/conv/native/source/library.cpp" in wheel.namelist()
    wheel.extractall(checkout / "installed")
    describe = "from dsx.conv.native import kernels; print(kernels().reason)"
    shown = subprocess.run(
        [sys.executable, "-c", describe],
        cwd=checkout / "installed",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == (
        "dsx was installed without them (no C++ compiler, or DSX_NATIVE=0); install a compiler, "
        "then dsx again\n"
    )


@pytest.mark.parametrize("native", ["", "1"])
def test_a_compiler_that_fails_fails_the_build(
    native: str, compiler: str, checkout: Path, tmp_path: Path
) -> None:
    # It answers questions about its target, and compiles nothing.
    answers = f'case " $* " in *" -E "*) exec {compiler} "$@";; esac'
    fails = program(tmp_path / "fails", f"{answers}\necho cannot compile >&2\nexit 1")
    done = build(checkout, {"CXX": fails, "DSX_NATIVE": native})
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "cannot compile\n" in said and "Traceback" not in said
    assert said.endswith(
        "The compilation of the kernels failed; set DSX_NATIVE=0 to install dsx without compiled "
        "kernels, or CXX to another compiler\n"
    )
    assert list((checkout / "dist").iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"DSX_NATIVE": "1", "CXX": "missing"},
            "DSX_NATIVE=1, and no C++ compiler (tried: missing)",
        ),
        ({"DSX_NATIVE": "yes"}, "DSX_NATIVE='yes' is not possible (allowed: 0, 1, or unset)"),
    ],
)
def test_what_cannot_be_built_is_refused(
    environment: dict[str, str], said: str, checkout: Path
) -> None:
    done = build(checkout, environment)
    assert (done.returncode, done.stdout + done.stderr) == (1, f"{said}\n")


@pytest.mark.slow
def test_an_editable_installation_finds_the_library_beside_its_sources(
    compiler: str, checkout: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--python", python, "install", "--no-deps", "-e", str(checkout)]
    subprocess.run(command, env={**os.environ, "CXX": compiler}, check=True)
    find = "import importlib.util; print(importlib.util.find_spec('dsx').origin)"
    shown = subprocess.run([python, "-I", "-c", find], capture_output=True, text=True, check=True)
    assert shown.stdout == f"{checkout / 'dsx' / '__init__.py'}\n"
    assert (checkout / LIBRARY).is_file()
    assert list((tmp_path / "venv").rglob("libdsx*")) == []


def test_a_source_distribution_compiles_where_it_is_installed(
    compiler: str, checkout: Path
) -> None:
    (checkout / LIBRARY).write_text("old")
    assert build(checkout, {}, "build_sdist").returncode == 0
    (archive,) = (checkout / "dist").iterdir()
    shutil.unpack_archive(archive, checkout / "unpacked", filter="data")
    (unpacked,) = (checkout / "unpacked").iterdir()
    assert not (unpacked / LIBRARY).exists()
    assert build(unpacked, {"CXX": compiler, "DSX_NATIVE": "1"}).returncode == 0
    assert LIBRARY in built(unpacked)[1].namelist()


@pytest.mark.parametrize("words", [["--lonng"], ["--long", "x"], [""]])
def test_what_the_check_does_not_know_is_refused(words: list[str]) -> None:
    script = ROOT / ".ci" / "run"
    done = subprocess.run([script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f".ci/run: '{' '.join(words)}' is not known (allowed: nothing, or --long)\n"
    )
