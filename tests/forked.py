"""Commands in processes of their own, forked from one that has imported everything already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from qcade.__main__ import main
from qcade.compute.compiler_on_demand import import_compiler_on_demand


class Forked:
    """A command in a process of its own, with what of `subprocess.Popen` the tests use.

    Where processes can fork, it forks from one that has imported everything and does nothing else,
    which saves the three seconds that imports take. It is as real as any other: `test_package.py`
    and the runs in the background start the interpreter anew.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        reading, writing = zip(os.pipe(), os.pipe(), strict=True)
        self.stdout, self.stderr = (os.fdopen(end, encoding="utf-8") for end in reading)
        out, err = (Connection(end, readable=False) for end in writing)
        self._process = _FORKING.Process(target=_run, args=(words, folder, out, err))
        self._process.start()
        out.close()
        err.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, "the process is still there"
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with ThreadPoolExecutor() as pool:
            said = [pool.submit(pipe.read) for pipe in (self.stdout, self.stderr)]
            self.wait(timeout)
            out, err = (reading.result() for reading in said)
        self.stdout.close()
        self.stderr.close()
        return out, err


def _run(words: list[str], folder: Path, out: Connection, err: Connection) -> None:
    os.chdir(folder)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    out.close()
    err.close()
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["qcade", *words]
    import_compiler_on_demand()
    main()


if hasattr(os, "fork"):
    _FORKING = multiprocessing.get_context("forkserver")
    # What takes long to import, before the first fork.
    _FORKING.set_forkserver_preload([f"qcade.cli.{n}" for n in ("training", "judging", "video")])
