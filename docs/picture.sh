#!/bin/sh
# Draws docs/psh.svg: a real run of psh on an embedded fleet, as a terminal shows it.
# Needs python3 with venv; the terminal emulator pyte comes from PyPI into target/.
set -eu
cd "$(dirname "$0")/.."

cargo build --release -p fleet
venv=target/picture-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import pyte' 2>/dev/null || "$venv/bin/pip" install --quiet pyte==0.8.2

work=$(mktemp -d)
trap '"$work/bin/fleet" sandbox stop --dir "$work/fleet" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/bin"
for name in fleet psh; do ln -s "$PWD/target/release/fleet" "$work/bin/$name"; done
"$work/bin/fleet" sandbox start --dir "$work/fleet" -n 12 --roles server=1,web=4,loadgen=rest \
    --fault loadgen05:refuse --fault loadgen06:garbage-banner 2>/dev/null

PATH="$work/bin:$PATH" FLEET_CONFIG="$work/fleet/fleet.toml" "$venv/bin/python" docs/picture.py docs/psh.svg \
    "psh -g loadgen 'echo \"ready, \$FLEET_INDEX of \$FLEET_COUNT\"'" \
    "psh -g web -t 1 'echo starting; sleep \$((FLEET_INDEX / 2 * 60))'"
