"""Copies a file or folder to or from many hosts with the parallel-ssh library, as its documentation shows.

`--command` is `to SOURCE DESTINATION` or `from SOURCE DESTINATION`; what comes from a host gets its name behind `_`.
"""

import sys

from gevent import joinall
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
    direction, source, destination = args.command.split()
    copy = client.copy_file if direction == "to" else client.copy_remote_file
    copies = copy(source, destination, recurse=True)
    joinall(copies)
    for host, done in zip(args.hosts, copies):
        if not done.successful():
            print(f"{host}: {done.exception}", file=sys.stderr)


main()
