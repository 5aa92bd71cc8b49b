"""kill -9 under load: `python benchmarks/serving/kill.py [--rounds 50] [--what worker server database]`.

Clients ask a server of two workers without a pause. Again and again its workers, the whole server, or the PostgreSQL
server that its log is kept in is killed. At the end every prediction that was acknowledged has to be in the log, once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests' own server and models

from tests.servers import PostgresServer, find_postgresql
from tests.serving.browsing import Server
from tests.serving.killing import BIRTH_SECONDS, Load, check, kill_workers, rounds
from tests.serving.models import NAME, make_project

from rowsmith.workflows.project import open_project

WHAT = ("worker", "server", "database")


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    binaries = find_postgresql()
    if binaries is None:
        raise SystemExit("no PostgreSQL server is installed")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


def measure(what: str, number: int, database: PostgresServer | None) -> str:
    root = Path(tempfile.mkdtemp(prefix="rowsmith-kill-"))
    url = database.new_database() if database is not None else ""
    make_project(root, "default", database_url=url)
    servers = [Server(root, database_url=url)]

    def kill() -> None:
        if what == "worker":
            kill_workers(servers[-1])
        elif database is not None:
            database.kill()
            database.start()
        else:
            servers[-1].process.kill()
            servers[-1].process.communicate()
            servers.append(Server(root, port=servers[-1].port))

    try:
        with Load(servers[0].address) as load:
            rounds(load, number, kill, pause=BIRTH_SECONDS if what == "worker" else 0.0, seed=number)
    finally:
        servers[-1].stop()
    project = open_project(root, database_url=url)
    window = project.log.window(NAME, columns=["income"])
    said = check(load.acknowledged, list(zip(window.entries["id"], window.inputs["income"], strict=True)))
    project.log.close()
    project.database.close()
    return f"{said}, {load.refused} refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--what", nargs="+", choices=WHAT, default=list(WHAT))
    options = parser.parse_args()
    for what in options.what:
        begin = time.monotonic()
        if what == "database":
            with postgresql() as server:
                said = measure(what, options.rounds, server)
        else:
            said = measure(what, options.rounds, None)
        print(f"{what}: killed {options.rounds} times: {said}; {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
