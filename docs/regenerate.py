"""Regenerate every figure, table and sample output of the project.

    python docs/regenerate.py             # everything: about half an hour
    python docs/regenerate.py --study     # except slow measurements: about four minutes
    python docs/regenerate.py --outputs   # also except the reference study

Generated are the figures of the dials, the reference study `studies/digits`, and in README.md and
docs/ the output of each command after a mark: `<!-- run: COMMAND -->` for text,
`<!-- table: COMMAND -->` for a Markdown table, `<!-- measured: COMMAND -->` for text that takes
minutes.
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
TABLE = re.compile(r"(<!-- table: (.+?) -->\n)((?:\|.*\n)*)")
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
WIDTH = 100


def pages() -> Iterator[Path]:
    """Yield the pages that may contain outputs of commands."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").glob("*.md"))


def run(command: str, folder: Path) -> str:
    """Run a command of a page in a pipe with 100 columns.

    Args:
        command: Command line of the page: `dsx ...` or `python docs/...`.
        folder: Working directory of dsx; a script is run in the root of the checkout.

    Returns:
        Its standard output without trailing blanks.
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
    return stripped(done.stdout)


def stripped(output: str) -> str:
    """Remove trailing blanks from the lines of an output.

    Args:
        output: Standard output of a command.

    Returns:
        The output as it is shown on a page.
    """
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines())


def written(page: Path, folder: Path) -> Path:
    """Write the files that a page contains.

    Args:
        page: Page with the content of files after `<!-- file: PATH -->` marks.
        folder: Folder to write to.

    Returns:
        The folder.
    """
    for name, content in FILE.findall(page.read_text(encoding="utf-8")):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def fill(page: Path, folder: Path, marks: Sequence[str]) -> None:
    """Update the outputs of a page.

    Args:
        page: Page to update; its tables are always updated.
        folder: Folder with the reference study.
        marks: Kinds of text blocks to update: "run", "measured".
    """
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="dsx-") as temporary:
        # The commands of a page with files refer to these files.
        own = written(page, Path(temporary)) if FILE.search(text) else folder

        def present(block: re.Match[str]) -> str:
            return block[1] + run(block[3], own) + block[5] if block[2] in marks else block[0]

        text = TABLE.sub(lambda table: table[1] + run(table[2], own), BLOCK.sub(present, text))
        page.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Regenerate everything that the options do not exclude.

    Args:
        arguments: Command line without the name of the program.
    """
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
