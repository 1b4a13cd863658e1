"""Runs a command on many hosts with the parallel-ssh library, as its documentation shows, and prints `HOST: LINE`.

It checks no host keys and offers no choice of key exchange: libssh2 takes curve25519.
"""

import sys

from pssh.clients import ParallelSSHClient


def main():
    args = arguments()
    client = ParallelSSHClient(
        args.hosts,
        user=args.user,
        port=int(args.port),
        pkey=args.key,
        pool_size=int(args.parallel),
        allow_agent=False,
        identity_auth=False,
    )
    for host in client.run_command(args.command, stop_on_errors=False):
        if host.exception is not None:
            print(f"{host.host}: {host.exception}", file=sys.stderr)
            continue
        for line in host.stdout:
            print(f"{host.host}: {line}")


main()
