#!/bin/sh
# Drives load from one generator: the web hosts are dealt out to the generators in turn.
#
#   psh -g loadgen --script load.sh SECONDS
#
# FLEET_RUN, FLEET_HOSTS_WEB and FLEET_ROLE_INDEX come with the roles of `fleet partition`.
set -eu
seconds=$1
set -- $FLEET_HOSTS_WEB
shift $((FLEET_ROLE_INDEX % $#))
mkdir -p "loadtest/$FLEET_RUN"
exec wrk --threads 1 --connections 4 --duration "${seconds}s" --script loadtest/report.lua "http://$1:8080/" \
    >"loadtest/$FLEET_RUN/wrk.txt"
