"""Trainings that block after a step, each in a separate process, in order to be killed.

    python -m tests.train.killed FOLDER

Prints "CASE PID" when a training blocks, and the exit code when its process has ended. Not a test.
"""

import os
import sys
import time
from pathlib import Path

import torch

from dsx.space.yaml.schema import Train
from dsx.train import train
from tests.train.cases import CASES, IMAGES
from tests.train.networks import digits, with_dropout


def main(folder: Path) -> None:
    """Start all trainings, and wait until all processes have ended."""
    # Threads do not survive a fork, so torch uses only the main thread.
    torch.set_num_threads(1)
    # The imports of torch for a first training then happen once, not in each process.
    train(with_dropout(), digits(IMAGES), Train(epochs=1))
    for name in CASES:
        if not os.fork():
            run(name, folder)
    for _ in CASES:
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(name: str, folder: Path) -> None:
    """Train until a step is completed, but not saved."""
    case = CASES[name]
    done: list[float] = []

    def block(progress: float, loss: float) -> None:
        done.append(progress)
        if len(done) == case.stop:
            # In one write, so that the lines of several processes are not interleaved.
            os.write(1, f"{name} {os.getpid()}\n".encode())
            time.sleep(600)

    file = folder / f"{name}.pt"
    train(
        case.build(),
        digits(IMAGES),
        case.settings,
        checkpoint=file,
        save_seconds=0.0,
        report=block,
    )
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
