"""What every driver of a library is given. Each is run as one text, with this file as its first part."""

import argparse


def arguments():
    """The arguments, with `hosts` read from the file that is named."""
    parser = argparse.ArgumentParser()
    for name in ("hosts", "user", "port", "key", "known-hosts", "parallel", "command"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kex")
    args = parser.parse_args()
    with open(args.hosts) as lines:
        args.hosts = lines.read().split()
    return args


