#!/usr/bin/env bash
# Runs every test of fleet, and installs what they need where it is missing (it says what).
#
#   ./test.sh          format, lints, all tests (also on real SSH servers), documentation
#   ./test.sh --quick  unit tests only; installs nothing
#
# Plain cargo commands leave fleet-ec2 out, which compiles the AWS SDK: that takes 8 GB of memory and ten minutes, once.
#
# FLEET_TEST_VENV is the folder of the Python environment; target/venv by default.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '== %s\n' "$*"; }
fail() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "not root, and there is no sudo: run this as root: $*"
    fi
}

# Adds the Debian package $2 to the missing ones unless the program $1 is there.
need() {
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; then
        missing+=("$2")
    fi
}

find_missing_packages() {
    missing=()
    need cc build-essential
    need sshd openssh-server
    need ssh openssh-client
    need dropbear dropbear-bin
    need dropbearkey dropbear-bin
    need useradd passwd
    need openssl openssl
    need sudo sudo
    need prlimit util-linux
    need setsid util-linux
    need mount mount
    need ps procps
    need python3 python3
    need nodeset clustershell
    need bsdtar libarchive-tools
    for shell in dash bash zsh mksh tcsh fish busybox; do
        need "$shell" "$shell"
    done
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    # The loader only grumbles about a library that it cannot find.
    [ -z "$(LD_PRELOAD=libnss_wrapper.so /bin/true 2>&1)" ] || missing+=(libnss-wrapper)
}

install_packages() {
    find_missing_packages
    [ ${#missing[@]} = 0 ] && return
    say "installing with apt-get: ${missing[*]}"
    command -v apt-get >/dev/null || fail "there is no apt-get here: install these Debian packages' programs yourself"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    find_missing_packages
    [ ${#missing[@]} = 0 ] || fail "still missing after apt-get: ${missing[*]}"
}

make_venv() {
    FLEET_TEST_VENV=${FLEET_TEST_VENV:-${CARGO_TARGET_DIR:-$PWD/target}/venv}
    export FLEET_TEST_VENV
    local requirements=tests/servers/requirements.txt
    if cmp -s "$requirements" "$FLEET_TEST_VENV/installed.txt"; then
        return
    fi
    say "installing with pip into $FLEET_TEST_VENV: $(xargs <"$requirements")"
    python3 -m venv --clear "$FLEET_TEST_VENV"
    "$FLEET_TEST_VENV/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$FLEET_TEST_VENV/installed.txt"
}

# The servers of the end-to-end tests log other accounts in, which only root can: cargo builds as the user, and starts
# the tests through sudo.
run_tests_as_root() {
    [ "$(id -u)" = 0 ] && return
    local host
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env"
    as_root true
}

# The lints of fleet-ec2 while it is built: `cargo clippy` would compile the AWS SDK a second time, to check it.
lint_ec2() {
    CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__" RUSTC_WORKSPACE_WRAPPER=clippy-driver \
        cargo build -p fleet-ec2 --all-targets
}

command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs; rust-toolchain.toml names the version"

case ${1-} in
--quick)
    exec cargo test --lib
    ;;
'') ;;
*) fail "unknown argument $1; usage: ./test.sh [--quick]" ;;
esac

cargo fmt --version >/dev/null 2>&1 || fail "rustfmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || fail "clippy is missing: rustup component add clippy"
install_packages
make_venv

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --all-targets -- -D warnings
lint_ec2
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
say "tests"
run_tests_as_root
cargo test --no-fail-fast
cargo test -p fleet-ec2 --no-fail-fast
say "all passed"
