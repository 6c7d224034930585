"""Run a command without its imports where an earlier job of the same run has made them.

`python scripts/warm.py scripts/train_trial.py OPTIONS` does what `python scripts/train_trial.py
OPTIONS` does. Importing torch takes seconds, twice an iteration. So a run's first job of a command
leaves a copy of itself behind, forked right after its imports, that forks a child for each later
job of this command. The child takes over that job's arguments, environment, folder, output and
signals; the job's own process, which Snakemake sees and times, only waits for it.

The environment variable ZBO_WARM names the run, process id of Snakemake and a random word; the
Snakefile sets it where jobs run beside Snakemake. The copy ends with that process, however it ends.
Without the variable (a Slurm job a training, a command by hand), with ZBO_WARM=off, off Linux, and
where anything fails before the work begins, a command starts as ever.

A container takes its libraries along when it ends. So where each job has a container of its own the
Snakefile keeps one as long as it runs, in which `python scripts/warm.py --keep` takes the first job
of a command over.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import zlib
from importlib import import_module
from pathlib import Path

PASSED_ON = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
BEGIN = b"\0"  # no signal's number


def main(argv: list[str] | None = None) -> None:
    """Run the command named first, warm where it can be."""
    words = sys.argv[1:] if argv is None else argv
    lasting = "APPTAINER_CONTAINER" not in os.environ
    if words == ["--keep"]:
        words, lasting = _keep(), True
    if not words or words[0].startswith("-"):
        print("usage: warm.py scripts/NAME.py [OPTIONS]\n\n" + __doc__)
        sys.exit(0)
    place = _place(words[0])
    keeper = None if lasting else _place("--keep")
    for other in (place, keeper):
        if other and (code := _hand_over(other, words)) is not None:
            sys.exit(code)
    sys.argv = words
    gc.disable()  # nothing that an import makes is garbage
    script = import_module(Path(words[0]).stem)
    from zbo.base import command

    gc.freeze()
    gc.enable()
    if place and lasting:
        _leave_copy(place)
    command.run(script.main)


def _place(script: str) -> bytes | None:
    """Name the socket of this run's copy: of the same command, code, Python, image, threads."""
    run = os.environ.get("ZBO_WARM", "")
    if run in ("", "off") or not hasattr(os, "pidfd_open"):
        return None
    if script == "--keep":
        return f"\0zbo-{run}-keep".encode()
    code = sorted(Path(__file__).resolve().parent.rglob("*.py"))
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "APPTAINER_CONTAINER"
    here = [os.environ.get(name) for name in names]
    key = script, sys.executable, here, [(path, path.stat().st_mtime_ns) for path in code]
    return f"\0zbo-{run}-{zlib.crc32(repr(key).encode())}".encode()


def _hand_over(place: bytes, words: list[str]) -> int | None:
    """Let the copy do the job; give its exit code, or None if there is none that begins with it."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(place)
            job = json.dumps([words, dict(os.environ), os.getcwd()]).encode()
            if not _ours(line):
                return None
            socket.send_fds(line, [struct.pack("Q", len(job))], [0, 1, 2])
            line.sendall(job)
            if not line.recv(1):
                return None
        except OSError:
            return None
        for passed_on in PASSED_ON:
            signal.signal(passed_on, lambda number, _: line.send(bytes([number])))
        try:
            line.sendall(BEGIN)
            code = line.recv(1)
        except OSError:  # a signal came first
            code = b""
        return code[0] if code else 1


def _keep() -> list[str]:
    """Serve every first job and return in it, with its words; stay as long as they work."""
    place = _place("--keep")
    waiting = place and _listen(place)
    if not waiting:
        sys.exit(1)
    # Copies, and what they have begun, lose their own parents and end before the container may.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    if _serve(*waiting):
        return sys.argv
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


def _leave_copy(place: bytes) -> None:
    """Leave a copy of this process; return in it, too, once for each later job, as that job."""
    waiting = _listen(place)
    if not waiting or os.fork():
        return
    os.setsid()
    os.chdir("/")
    for stream in range(3):  # else whoever reads this job's output would wait for the copy's end
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    if not _serve(*waiting):
        os._exit(0)


def _listen(place: bytes) -> tuple[socket.socket, int] | None:
    """Take a place, and hold on to the run that it serves, a pidfd."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(place)
        run = os.pidfd_open(int(os.environ["ZBO_WARM"].partition("-")[0]))
    except (OSError, ValueError):  # another job was faster, or the run is over
        return None
    listener.listen(128)
    return listener, run


def _serve(listener: socket.socket, run: int) -> bool:
    """Fork a process for each job: true in it, false once the run is over."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while run not in select.select([listener, run], [], [])[0]:
        line, _ = listener.accept()
        if _ours(line) and os.fork() == 0:
            listener.close()
            os.close(run)
            _attend(line)
            return True
        line.close()
    return False


def _attend(line: socket.socket) -> None:
    """Fork the job's process and return in it; meanwhile pass signals on, at its end its code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, *_ = socket.recv_fds(line, 8, 3)
    with line.makefile("rb") as sent:
        words, environment, folder = json.loads(sent.read(*struct.unpack("Q", size)))
    line.sendall(b"+")  # the other end takes signals over before it lets the work begin
    if line.recv(1) != BEGIN:
        os._exit(1)
    # Python forgets a signal that comes between a fork and the child's first step.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    worker = os.fork()
    if worker == 0:
        line.close()
        for stream, given in enumerate(streams):
            os.dup2(given, stream)
            os.close(given)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    for given in streams:
        os.close(given)
    ended = os.pidfd_open(worker)
    while ended not in select.select([line, ended], [], [])[0]:
        number = line.recv(1)  # a signal; nothing if the job's own process was killed
        os.kill(worker, number[0] if number else signal.SIGKILL)
        if not number:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    line.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _ours(line: socket.socket) -> bool:
    # A socket without a file has no permissions of its own.
    return struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1] == (
        os.getuid()
    )


if __name__ == "__main__":
    main()
