"""Runs a command on many hosts with asyncssh, at most `--parallel` at once, and prints `HOST: LINE`."""

import argparse
import asyncio
import sys

import asyncssh


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("hosts", "user", "port", "key", "known-hosts", "parallel", "command"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kex")
    return parser.parse_args()


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
    with open(args.hosts) as lines:
        hosts = lines.read().split()
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
    await asyncio.gather(*(run(host, args, options, turns) for host in hosts))


asyncio.run(main())
