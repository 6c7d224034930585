"""Run a step without the seconds that its libraries take to import.

`python -m zbo.base.warm SCRIPT OPTIONS` does what `python SCRIPT OPTIONS` does. Importing torch
and the like takes some 3 s, a digits training 8. So the first job of a run leaves a copy of
itself behind that has imported the libraries, none of zBO's own code, and forks a child for each
later job. The child takes over that job's arguments, environment, folder, output and signals; the
job's own process, which Snakemake sees, waits for it.

The environment variable ZBO_WARM names the run: process id of Snakemake and a random word. The copy
ends with that process, however it ends. Without the variable (in a Slurm job or a container, or by
hand), on another system than Linux, and where anything fails before the work begins, a step starts
as ever.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
from importlib import import_module

LIBRARIES = (
    *("torch", "torch.fx.experimental.symbolic_shapes", "pyro", "botorch.fit", "botorch.models"),
    *("scipy.special", "scipy.optimize", "h5py", "pydantic", "yaml", "tqdm", "sklearn.cluster"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
)
PASSED_ON = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
BEGIN = b"\0"  # no signal's number


def main() -> None:
    """Run the script named first, warm where it can be."""
    words = sys.argv[1:]
    if place := _place():
        if (code := _hand_over(place, words)) is not None:
            sys.exit(code)
        words = _leave_copy(place) or words
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
    runpy.run_path(words[0], run_name="__main__")


def _place() -> str | None:
    """Name the socket of this run's copy; libraries read their threads' number as imported."""
    run = os.environ.get("ZBO_WARM")
    if not run or not hasattr(os, "pidfd_open"):
        return None
    threads = (os.environ.get(f"{library}_NUM_THREADS") for library in ("OMP", "OPENBLAS", "MKL"))
    return "\0zbo-" + "-".join([run, *(count or "" for count in threads)])


def _hand_over(place: str, words: list[str]) -> int | None:
    """Let the copy do the job; give its exit code, or None if there is none that begins with it."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(place)
            if not _is_ours(line):
                return None
            job = json.dumps([words, dict(os.environ), os.getcwd()]).encode()
            socket.send_fds(line, [struct.pack("Q", len(job))], [0, 1, 2])
            line.sendall(job)
            if not line.recv(1):
                return None
        except OSError:
            return None
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: line.send(bytes([number])))
        try:
            line.sendall(BEGIN)
            code = line.recv(1)
        except OSError:  # a signal came first
            code = b""
        return code[0] if code else 1


def _leave_copy(place: str) -> list[str] | None:
    """Leave a copy of this process; return in it, too, once for each later job, with its words."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        run = os.pidfd_open(int(os.environ["ZBO_WARM"].partition("-")[0]))
        listener.bind(place)
    except (OSError, ValueError):  # another job was faster, or the run is over
        return None
    listener.listen(128)
    if os.fork():
        listener.close()
        os.close(run)
        return None
    os.setsid()
    os.chdir("/")
    for stream in range(3):  # else whoever reads this job's output would wait for the copy's end
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    gc.disable()  # nothing that an import makes is garbage
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # the job that misses it says so
            import_module(name)
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while run not in select.select([listener.fileno(), run], [], [])[0]:
        line, _ = listener.accept()
        if _is_ours(line) and os.fork() == 0:
            listener.close()
            os.close(run)
            return _attend(line)
        line.close()
    os._exit(0)


def _attend(line: socket.socket) -> list[str]:
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
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return words
    for given in streams:
        os.close(given)
    ended = os.pidfd_open(worker)
    while ended not in select.select([line.fileno(), ended], [], [])[0]:
        number = line.recv(1)  # a signal; nothing if the job's own process was killed
        os.kill(worker, number[0] if number else signal.SIGKILL)
        if not number:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    line.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _is_ours(line: socket.socket) -> bool:
    # A socket without a file has no permissions of its own.
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user == os.getuid()


if __name__ == "__main__":
    main()
