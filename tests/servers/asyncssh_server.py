"""An SSH server for the end-to-end tests of fleet, on asyncssh: runs commands with /bin/sh as the current user.

Usage: asyncssh_server.py ADDRESS HOST_KEY AUTHORIZED_KEYS
Prints its port on one line, and serves until its stdin ends.
"""

import asyncio
import contextlib
import os
import signal
import sys

import asyncssh


class Server(asyncssh.SSHServer):
    """Accepts the keys of the authorized_keys file for any user name."""


async def copy(reader, writer):
    """Copies one output of the command to its end, and says no end of file: the channel has one for both outputs, and
    asyncssh breaks the whole connection off when anything is written behind it, as its own redirection may do."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def run_command(process):
    """Runs the command in a process group of its own, and ends the group with the channel."""
    connection = " ".join(str(part) for part in (
        *process.get_extra_info("peername")[:2], *process.get_extra_info("sockname")[:2]))
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", process.command,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "SSH_CONNECTION": connection},
        start_new_session=True)
    try:
        await process.redirect_stdin(child.stdin)
        await asyncio.gather(copy(child.stdout, process.stdout), copy(child.stderr, process.stderr))
        code = await child.wait()
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)
    except (asyncssh.BreakReceived, asyncssh.SignalReceived, asyncssh.TerminalSizeChanged, OSError):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        await child.wait()


async def serve(address, host_key, authorized_keys):
    """Listens on a port that the system chooses until stdin ends."""
    acceptor = await asyncssh.listen(
        address, 0, server_factory=Server, server_host_keys=[host_key],
        authorized_client_keys=authorized_keys, process_factory=run_command, encoding=None)
    print(acceptor.get_port(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    acceptor.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
