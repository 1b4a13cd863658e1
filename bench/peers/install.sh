#!/bin/sh
# Installs the peers that are not in the system's packages: the Python libraries into a virtual environment, bssh from
# crates.io (it needs a newer Rust than fleet's; give one with RUSTUP_TOOLCHAIN). Where: the first argument, by default
# target/bench-peers, which is where fleet-bench looks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
peers=${1:-$here/../../target/bench-peers}
python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
cargo install --quiet --locked --root "$peers" --bin bssh bssh || echo "bssh was not installed: the benchmark leaves it out" >&2
