"""Make every picture, table and sample output of the project anew.

    python docs/regenerate.py             # everything: about three minutes
    python docs/regenerate.py --outputs   # all but the reference study

Pictures of the dials, the reference study `studies/digits`, and the output of each command that
README.md and docs/ show behind a `<!-- run: COMMAND -->` mark.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "studies" / "digits"
DATABASE = ROOT / "studies" / "dsx.db"
BLOCK = re.compile(r"(<!-- run: (.+?) -->\n```text\n)(.*?)(```\n)", re.DOTALL)
WIDTH = 100


def pages() -> Iterator[Path]:
    """Give the pages that may show commands."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").glob("*.md"))


def run(command: str, folder: Path) -> str:
    """Run a command as a reader would, in a pipe of 100 columns.

    Args:
        command: As it stands on the page: `dsx ...`, or `python docs/...`.
        folder: Where to run dsx; a script is run from the root of the checkout.

    Returns:
        What it printed to stdout, without trailing blanks.
    """
    program, *arguments = shlex.split(command)
    if program == "python":
        folder, words = ROOT, [sys.executable, *arguments]
    else:
        assert program == "dsx", command
        words = [sys.executable, "-m", "dsx", *arguments]
    environment = {**os.environ, "COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def fill(page: Path, folder: Path) -> None:
    """Put the present output behind each mark of a page."""
    text = page.read_text(encoding="utf-8")
    filled = BLOCK.sub(lambda block: block[1] + run(block[2], folder) + block[4], text)
    page.write_text(filled, encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Make everything, or all but the study."""
    sys.path.insert(0, str(ROOT))
    from docs.pictures import main as draw

    draw()
    if "--outputs" in arguments:
        folder = ROOT
    else:
        folder = Path(tempfile.mkdtemp(prefix="dsx-"))
        run("dsx search digits", folder)
        run(f"dsx pareto digits --save {shlex.quote(str(RECORD))}", folder)
    for page in pages():
        fill(page, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
