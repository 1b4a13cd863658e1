#!/bin/sh
# A load test in one file: a server, web hosts in front of it, hosts that drive load, and a table. README.md tells more.
#
#   ./run.sh [-n HOSTS | --hosts FILE | -g GROUP] [-d SECONDS]
#
# Without --hosts and -g the hosts are a sandbox on this machine. Results go to ./results/RUN/HOST/. The exit code is that
# of the first step that fails, 1 if requests fail, 130 after Ctrl-C. What was started is stopped in any case.
# DURATION is another -d, READY how long a server may take to answer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

sandbox=8 seconds=${DURATION:-5} variables= has_roles=
while [ $# -gt 1 ]; do
    case $1 in
        -n) sandbox=$2 ;;
        --hosts) FLEET_HOSTS=$2 group='@hosts:*' sandbox=; export FLEET_HOSTS ;;
        -g) group=$2 sandbox= ;;
        -d) seconds=$2 ;;
        *) break ;;
    esac
    shift 2
done
case $seconds in '' | 0* | *[!0-9]*) set -- -d "$seconds" ;; esac
[ $# = 0 ] || { echo "run.sh: expected -n HOSTS, --hosts FILE, -g GROUP or -d SECONDS, not: $*" >&2; exit 2; }

say() { echo "== $*" >&2; }
keep() { "$@" || { code=$?; [ "$failed" != 0 ] || failed=$code; }; } # goes on, and has the exit code for the end
failed=0

stop() {
    failed=$?
    trap '' HUP INT TERM
    say stop
    [ -z "$has_roles" ] || keep fleet svc stop --all -g server -g web -g loadgen
    [ -z "$variables" ] || keep fleet sandbox stop
    [ -z "$variables" ] || [ -z "$has_roles" ] || keep fleet partition --clear
    exit "$failed"
}
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap stop EXIT

if [ -n "$sandbox" ]; then
    variables=$(fleet sandbox start -n "$sandbox")
    eval "$variables"
    group=all
fi

say roles
fleet partition -g "$group" server=1 web=25% loadgen=rest
has_roles=yes
eval "$(fleet partition --show --format env)" # FLEET_RUN is the name of this run

say push
prsync -g server --mkpath "$here/site/" loadtest/site/
pcp -g loadgen --mkdirs "$here/report.lua" loadtest/
fleet template -g server -g web --mkdirs "$here/nginx.conf.j2" loadtest/nginx.conf

for place in server:8081 web:8080; do
    role=${place%:*} port=${place#*:}
    say "start $role"
    fleet svc start nginx -g "$role" --replace --cwd loadtest -- 'PATH=$PATH:/usr/sbin exec nginx -p . -c nginx.conf -e stderr'
    fleet wait -g "$role" --for "http://{addr}:$port/" --timeout "${READY:-30s}"
done

say "load for $seconds s"
keep psh -g loadgen --timeout "$((seconds + 30))s" --script "$here/load.sh" "$seconds"

say gather
keep pslurp -g loadgen "loadtest/$FLEET_RUN/" "results/$FLEET_RUN"
set -- $FLEET_HOSTS_LOADGEN
keep awk -v generators=$# -f "$here/table.awk" "results/$FLEET_RUN"/*/wrk.txt
exit "$failed"
