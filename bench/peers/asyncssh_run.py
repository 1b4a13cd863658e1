"""Runs a command on many hosts with asyncssh, at most `--parallel` at once, and prints `HOST: LINE`."""

import asyncio
import sys

import asyncssh


async def run(host, args, options, turns):
    async with turns:
        try:
            async with asyncssh.connect(host, options=options) as connection:
                result = await connection.run(args.command, encoding=None)
        except (OSError, asyncssh.Error) as error:
            print(f"{host}: {error}", file=sys.stderr)
            return
    name = f"{host}: ".encode()
    for line in result.stdout.splitlines(keepends=True):
        sys.stdout.buffer.write(name + line)


async def main():
    args = arguments()
    # Read once for all hosts.
    options = asyncssh.SSHClientConnectionOptions(
        config=None,
        username=args.user,
        port=int(args.port),
        client_keys=[args.key],
        known_hosts=asyncssh.read_known_hosts(args.known_hosts),
        agent_path=None,
        kex_algs=[args.kex] if args.kex else (),
    )
    turns = asyncio.Semaphore(int(args.parallel))
    await asyncio.gather(*(run(host, args, options, turns) for host in args.hosts))


asyncio.run(main())
