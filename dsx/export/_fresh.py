"""Run an exported model.py in a process of its own, without dsx.

    python -I _fresh.py FOLDER INPUTS OUTPUTS

INPUTS is a safetensors file of image batches; OUTPUTS gets the logits under the same names.
"""

import importlib.util
import sys
from pathlib import Path

BATCH = 64


class _NoDsx:
    """Makes any import of dsx an error: the files have to stand on their own."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "dsx":
            raise ImportError("an exported model must not need dsx")


def main(folder: str, inputs: str, outputs: str) -> None:
    """Load the model, classify the inputs, write the logits."""
    sys.meta_path.insert(0, _NoDsx())
    spec = importlib.util.spec_from_file_location("model", Path(folder) / "model.py")
    assert spec is not None and spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.load()

    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)
    with torch.inference_mode():
        # In parts: all images of a split at once may not fit into memory.
        logits = {
            name: torch.cat([network(part) for part in torch.split(images, BATCH)])
            for name, images in load_file(inputs).items()
        }
    save_file(logits, outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
