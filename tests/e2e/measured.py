"""A command with its peak of memory: what an input that anybody may have written must not decide."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    code: int
    stdout: str
    stderr: str
    megabytes: float  # the largest resident size


# What a process was before it became another program counts as its own memory, and a test suite grows
# large. So the command is begun by a small process, which tells the status and the size.
BEGIN = """
import os, sys
_, status, usage = os.wait4(os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:]), 0)
os.write(int(sys.argv[1]), f"{status} {usage.ru_maxrss}".encode())
"""


def run_measured(command, stdin=None, seconds=120):
    """Fails where the command is still running after `seconds`."""
    told, tell = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", BEGIN, str(tell), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            pass_fds=[tell],
            start_new_session=True,
        )
        os.close(tell)
        watch = subprocess.Popen(
            ["sh", "-c", f"sleep {seconds}; kill -9 -{process.pid}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.stdin.write(stdin or b"")
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.wait()
        os.killpg(watch.pid, 9)
        watch.wait()
        with open(told, "rb") as pipe:
            status, kilobytes = map(int, (pipe.read() or b"9 0").split())  # 9: killed
        out.seek(0)
        err.seek(0)
        return Measured(
            os.waitstatus_to_exitcode(status),
            out.read().decode(errors="replace"),
            err.read().decode(errors="replace"),
            kilobytes / 1024,
        )


def sparse_file(path, size):
    with Path(path).open("wb") as file:
        file.truncate(size)
