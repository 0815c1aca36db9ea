"""relay: ExaBGP's helper process; joins ExaBGP's pipes to the agent's socket.

Run by ExaBGP as `python3 -I -S relay.py SOCKET`. The bulk, from ExaBGP to the agent, goes through
the kernel (splice(2)), never through this process. It is also the speaker's dead man's switch:
when the agent's end closes, for whatever reason, ExaBGP is killed at once, without a chance to
say goodbye, so that the peers apply graceful restart. PR_SET_PDEATHSIG alone would miss an agent
that dies before ExaBGP has set it.

Standard library only, and little of it: this file is copied and run on its own.
"""

import _thread
import os
import signal
import socket
import sys

CHUNK_BYTES = 1 << 16


def main() -> None:
    """Carry both directions until one side ends; kill ExaBGP if the agent's side did."""
    speaker = os.getppid()
    try:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        agent.connect(sys.argv[1])
    except OSError:
        kill(speaker)
        return
    _thread.start_new_thread(carry_commands, (agent, speaker))
    try:
        while os.splice(0, agent.fileno(), CHUNK_BYTES):
            pass
    except OSError:
        pass
    # ExaBGP is gone or has closed our input; or the agent closed its end while we wrote.
    kill(speaker)


def carry_commands(agent: socket.socket, speaker: int) -> None:
    """Carry the agent's commands; its end of file is the end of the speaker.

    No splice here: it holds the lock of the pipe it writes to while it waits for the socket
    (fs/splice.c, splice_file_to_pipe), so ExaBGP, told by poll(2) that there is something to
    read, would hang in read(2) until the next command.
    """
    try:
        while data := agent.recv(CHUNK_BYTES):
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        pass
    kill(speaker)
    os._exit(0)


def kill(speaker: int) -> None:
    """Kill our parent if it still is the one that started us, not whoever adopted us."""
    if speaker > 1 and os.getppid() == speaker:
        try:  # noqa: SIM105  contextlib would be one import more
            os.kill(speaker, signal.SIGKILL)
        except OSError:
            pass


if __name__ == "__main__":
    main()
