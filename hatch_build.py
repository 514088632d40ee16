"""Build hook of hatch that compiles the kernels into the wheel if there is a C++ compiler.

The environment variable DSX_NATIVE=0 leaves them out, and DSX_NATIVE=1 requires them.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import mac_platforms, sys_tags

VARIABLE = "DSX_NATIVE"


class CompileKernels(BuildHookInterface[Any]):
    """The hook; hatch finds it because it is the only one in this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library next to its sources, and add it to a wheel.

        Args:
            version: Kind of the wheel, "standard" or "editable".
            build_data: Properties of the wheel.
        """
        wanted = os.environ.get(VARIABLE, "")
        if wanted not in ("", "0", "1"):
            self.app.abort(f"{VARIABLE}='{wanted}' is not possible (allowed: 0, 1, or unset)")
        if wanted == "0":
            self.app.display_warning(f"dsx is built without compiled kernels ({VARIABLE}=0)")
            return
        compiling = _compiling(Path(self.root))
        compiler = compiling.find_compiler()
        if compiler is not None:
            self._compile(compiling, compiler)
            self._describe(version, build_data, compiling.LIBRARY)
            return
        tried = os.environ.get("CXX") or ", ".join(compiling.CANDIDATES)
        none = f"no C++ compiler (tried: {tried})"
        if wanted == "1":
            self.app.abort(f"{VARIABLE}=1, and {none}")
        self.app.display_warning(f"dsx is built without compiled kernels: {none}")

    def _compile(self, compiling: ModuleType, compiler: object) -> None:
        try:
            compiling.compile_library(compiling.LIBRARY, compiler)
        except compiling.CompilationFailed as error:
            self.app.abort(
                f"{error}\nThe compilation of the kernels failed; set {VARIABLE}=0 to install dsx "
                "without compiled kernels, or CXX to another compiler"
            )

    def _describe(self, version: str, build_data: dict[str, Any], library: Path) -> None:
        # An editable installation holds no files of the package, and finds the library in place.
        if version == "standard":
            build_data["artifacts"].append(f"/{library.relative_to(self.root).as_posix()}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform()}"


def _compiling(root: Path) -> ModuleType:
    # dsx itself cannot be imported: torch is not part of the environment of the build.
    spec = importlib.util.spec_from_file_location(
        "compiling", root / "dsx" / "conv" / "native" / "compiling.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks up the module in which it is defined.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _platform() -> str:
    """Return the platform of the library, such as linux_x86_64 or macosx_11_0_arm64."""
    if sys.platform == "darwin":
        # The oldest macOS on which the library runs; compilers read the same variable.
        target = os.environ.get("MACOSX_DEPLOYMENT_TARGET")
        numbers = [int(number) for number in target.split(".")] if target else []
        return next(mac_platforms((numbers[0], [*numbers, 0][1]) if numbers else None))
    return next(tag.platform for tag in sys_tags() if tag.platform.startswith("linux_"))
