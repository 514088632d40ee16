"""Make every picture, table and sample output of the project anew.

    python docs/regenerate.py             # everything: about fifteen minutes
    python docs/regenerate.py --study     # all but what takes long: about four minutes
    python docs/regenerate.py --outputs   # all but the reference study, too

Pictures of the dials, the reference study `studies/digits`, and the output of each command that
README.md and docs/ show behind a `<!-- run: COMMAND -->` mark, or, where it takes long,
`<!-- measured: COMMAND -->`.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "studies" / "digits"
DATABASE = ROOT / "studies" / "dsx.db"
BLOCK = re.compile(r"(<!-- (run|measured): (.+?) -->\n```text\n)(.*?)(```\n)", re.DOTALL)
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
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


def written(page: Path, folder: Path) -> Path:
    """Write the files that a page shows, as a reader would.

    Args:
        page: Their content stands behind `<!-- file: PATH -->` marks.
        folder: Where to write.

    Returns:
        The folder.
    """
    for name, content in FILE.findall(page.read_text(encoding="utf-8")):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def fill(page: Path, folder: Path, marks: Sequence[str]) -> None:
    """Put the present output behind each of these marks of a page."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="dsx-") as temporary:
        # A page that shows files is about these, not about the reference study.
        own = written(page, Path(temporary)) if FILE.search(text) else folder

        def present(block: re.Match[str]) -> str:
            return block[1] + run(block[3], own) + block[5] if block[2] in marks else block[0]

        page.write_text(BLOCK.sub(present, text), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Make everything, or all but what takes long, or all but the study too."""
    if set(arguments) - {"--study", "--outputs"}:
        sys.exit(__doc__)
    sys.path.insert(0, str(ROOT))
    from docs.pictures import main as draw

    draw()
    if "--outputs" in arguments:
        folder = ROOT
    else:
        folder = Path(tempfile.mkdtemp(prefix="dsx-"))
        run("dsx search digits", folder)
        run(f"dsx archive digits --out {shlex.quote(str(RECORD))}", folder)
    marks = ("run",) if {"--outputs", "--study"} & set(arguments) else ("run", "measured")
    for page in pages():
        fill(page, folder, marks)


if __name__ == "__main__":
    main(sys.argv[1:])
