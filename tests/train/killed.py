"""Trainings that stand still at a step, each in a process of its own, to be killed there.

    python -m tests.train.killed FOLDER

Says "CASE PID" when a training stands still, and how its process ended when it has. Not a test.
"""

import os
import sys
import time
from pathlib import Path

import torch

from dsx.space.yaml.schema import Train
from dsx.train import loop, train
from tests.train.cases import CASES, IMAGES
from tests.train.networks import dropping, part


def main(folder: Path) -> None:
    """Start all trainings, and wait until all are dead."""
    # Threads do not survive a fork; with one thread there are none.
    torch.set_num_threads(1)
    loop.LOOK_SECONDS = 0.0
    # What torch imports for its first training, it imports once and not in each process.
    train(dropping(), part(IMAGES), Train(epochs=1))
    for name in CASES:
        if not os.fork():
            run(name, folder)
    for _ in CASES:
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(name: str, folder: Path) -> None:
    """Train until a step is done, but not written."""
    case = CASES[name]
    done: list[float] = []

    def stand_still(share: float, loss: float) -> None:
        done.append(share)
        if len(done) == case.stop:
            # At once, so that the lines of several processes do not mix.
            os.write(1, f"{name} {os.getpid()}\n".encode())
            time.sleep(600)

    file = folder / f"{name}.pt"
    train(
        case.build(),
        part(IMAGES),
        case.settings,
        checkpoint=file,
        save_seconds=0.0,
        report=stand_still,
    )
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
