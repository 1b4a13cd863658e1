#!/usr/bin/env bash
# Runs every test of fleet, and installs what they need where it is missing (it says what).
#
#   ./test.sh          format, lints, all tests (also on real SSH servers), documentation, the size of psh
#   ./test.sh --quick  unit tests only; installs nothing
#
# Plain cargo commands leave fleet-ec2 out, which compiles the AWS SDK: that takes 8 GB of memory and ten minutes, once.
#
# FLEET_TEST_VENV is the folder of the Python environment; target/venv by default.
set -euo pipefail

# A shell that starts a job behind & has it ignore SIGINT, and so would every program below it: tests that press Ctrl-C would
# wait for ever. Whoever ignores it cannot take it back, but env can for the next one.
if [ -n "$(trap -p INT)" ]; then
    echo '== SIGINT is ignored here, as behind & in a script: the tests get it back'
    exec env --default-signal=INT bash "$0" "$@"
fi
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
    need c++ build-essential
    need strip binutils
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
    need nodeattr genders
    need bsdtar libarchive-tools
    need curl curl
    need wget wget
    need rsync rsync
    need nginx nginx-light
    need wrk wrk
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

# Runs cargo on fleet-ec2, with the lints while it is built: `cargo clippy` would compile the AWS SDK a second time, to
# check it. Always the same packages, so that the SDK is compiled once: others would bring other features of what is
# below it.
cargo_ec2() {
    CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__" RUSTC_WORKSPACE_WRAPPER=clippy-driver \
        cargo "$@" -p fleet-ec2
}

# Who builds the tools is not to compile the AWS SDK for that.
find_no_aws() {
    if cargo tree --edges normal,build,dev --prefix none | grep '^aws-'; then
        fail "plain cargo commands compile the AWS SDK; only fleet-ec2 may depend on it"
    fi
}

# Builds psh as its users do, and looks at its size. How long that takes depends on what is built already and on what else
# this machine does, so it is only told.
check_release() {
    local start=$SECONDS stripped size
    cargo build -p psh --release
    stripped=$(mktemp)
    strip -o "$stripped" "${CARGO_TARGET_DIR:-target}/release/psh"
    size=$(wc -c <"$stripped")
    rm -f "$stripped"
    say "psh: $((SECONDS - start)) s to build, $size bytes when stripped"
    [ "$size" -lt 12000000 ] || fail "psh has $size bytes when stripped; expected less than 12 MB"
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
cargo clippy --all-targets --features fleet-tests/ec2 -- -D warnings
find_no_aws
cargo_ec2 build --all-targets
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
say "release"
check_release
say "fuzzing"
fleet-rsync/fuzz/run.sh 20
say "tests"
run_tests_as_root
cargo test --no-fail-fast --features fleet-tests/ec2
cargo_ec2 test --no-fail-fast
say "all passed"
