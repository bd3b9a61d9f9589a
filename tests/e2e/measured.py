"""A command with its peak of memory: what an input that anybody may have written must not decide."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    code: int
    stdout: str
    stderr: str
    megabytes: float  # the largest resident size


def run_measured(command, stdin=None, env=None, seconds=120):
    """Fails where the command is still running after `seconds`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env={**os.environ, **(env or {})},
        )
        watch = subprocess.Popen(
            ["sh", "-c", f"sleep {seconds}; kill -9 {process.pid}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.stdin.write(stdin or b"")
            process.stdin.close()
        except BrokenPipeError:
            pass
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        os.killpg(watch.pid, 9)
        watch.wait()
        out.seek(0)
        err.seek(0)
        return Measured(
            process.returncode,
            out.read().decode(errors="replace"),
            err.read().decode(errors="replace"),
            usage.ru_maxrss / 1024,
        )


def sparse_file(path, size):
    with Path(path).open("wb") as file:
        file.truncate(size)
