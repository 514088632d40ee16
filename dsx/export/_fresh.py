"""Script that runs an exported model.py in a fresh process, without dsx.

    python -I _fresh.py FOLDER INPUTS OUTPUTS

INPUTS is a safetensors file of image batches. The logits are written to OUTPUTS under the same
names.
"""

import builtins
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

BATCH = 64


def _allow_torch_only() -> None:
    """Refuse every import by an export except of torch and of Python's standard library.

    Imports by torch itself are not restricted, and their modules may be loaded already. Therefore
    the importing module is checked.
    """
    import_anything = builtins.__import__

    def import_checked(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        root, by = name.partition(".")[0], str((globals or {}).get("__name__"))
        own = by == "model" or by.startswith("kernels_of_model")
        # A relative import is one of a file of the export.
        if own and level == 0 and root != "torch" and root not in sys.stdlib_module_names:
            raise ImportError(f"an exported model must require torch only, but it imports {name}")
        return import_anything(name, globals, locals, fromlist, level)

    builtins.__import__ = import_checked


def main(folder: str, inputs: str, outputs: str) -> None:
    """Load the model, classify the inputs, and write the logits.

    Args:
        folder: Folder of model.py and its weights.
        inputs: Path of a safetensors file with image batches.
        outputs: Path of the safetensors file of the logits.
    """
    _allow_torch_only()
    spec = importlib.util.spec_from_file_location("model", Path(folder) / "model.py")
    assert spec is not None and spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.load()

    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)
    with torch.inference_mode():
        # In batches, since all images of a split may not fit into memory.
        logits = {
            # The result of a single batch may not be contiguous, as the file requires.
            name: torch.cat([network(part) for part in torch.split(images, BATCH)]).contiguous()
            for name, images in load_file(inputs).items()
        }
    save_file(logits, outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
