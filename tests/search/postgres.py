"""A PostgreSQL server for tests, in a temporary folder and without network access."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PROGRAMS = Path("/usr/lib/postgresql")
USER = "postgres"
"""PostgreSQL refuses to run as root; this is the user of Debian's package."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
}


class Server:
    """A server that can be stopped and started again.

    Args:
        programs: Folder of `initdb` and `pg_ctl`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not the folder of pytest, which other users cannot open.
        self.folder = Path(tempfile.mkdtemp(prefix="dsx-postgres-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
        self._run("initdb", "-A", "trust", "-N", "-U", USER, "-E", "UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it responds."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._run("pg_ctl", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, which breaks all connections, in mode `immediate` without notice."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def create_database(self) -> str:
        """Create an empty database.

        Returns:
            Its URL.
        """
        import psycopg

        name = f"d{secrets.token_hex(8)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._address(name)

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def _address(self, name: str) -> str:
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        become = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*become, str(self._programs / program), "-D", f"{self.folder}/data", *arguments]
        # The output goes to a file, because the server would keep a pipe open.
        with (self.folder / "output").open("ab") as output:
            ended = subprocess.run(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        assert ended.returncode == 0, (self.folder / "output").read_text()


def start_server() -> Server:
    """Start a server, or skip the test if PostgreSQL is not installed."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    installed = shutil.which("initdb")
    if not found and installed is None:
        pytest.skip("PostgreSQL (initdb, pg_ctl) is not installed")
    return Server(found[-1].parent if found else Path(str(installed)).parent)
