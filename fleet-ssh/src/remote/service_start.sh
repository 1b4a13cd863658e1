# Starts a service, sees whether it stays, and tells of it: "present" when there is one of that name already, else "started",
# and the end of its log when it has ended.
#
# In: $1, its name; $2, how it is shown; $3, the command for the user's shell; $4, what is to start it: "auto", "setsid" or
# "systemd"; $5, the tenths of a second in which it may not end; $6, "over" when one that has ended may be replaced;
# $FLEET_PROGRAM, which has run, what watches over it; kept, which brings look and tell; refuse, which ends it all for a
# reason; the current folder, its own. What the command alone is told is in
# $FLEET_VARIABLES, as text that exports it.

# Work is done in shells that end: a variable of ours could hide one of the user's environment.
within() (
  kept
  "$@"
)

# claim NAME: makes the folder of all services, and has the name for itself.
claim() {
  (tidy) >&2
  cd "$jobs" && lock "$1"
}

present() {
  look "$1"
  [ "$state" != none ] && tell present "$1"
}

runs() {
  look "$1"
  case $state in running*) ;; *) false ;; esac
}

# leave NAME REASON: refuses, and lets others have the name.
leave() {
  within unlock "$1"
  refuse "$2"
}

# Prints what starts it, or nothing when there is no systemd as it is wanted. A user's own systemd ends with the last login,
# unless the user lingers: loginctl(1).
launcher() (
  if [ "$1" != setsid ] && command -v systemd-run >/dev/null; then
    by=systemd
    if [ "$(id -u)" -ne 0 ]; then
      by=systemd-user
      case $(loginctl show-user "$(id -un)" --property=Linger 2>/dev/null) in *=yes) ;; *) by= ;; esac
    fi
    case ${by:+$(manage "$by" systemctl is-system-running 2>/dev/null)} in
      running | degraded | starting)
        echo "$by"
        exit
        ;;
    esac
  fi
  [ "$1" = systemd ] && exit
  if command -v setsid >/dev/null; then echo setsid; else echo nohup; fi
)

# Prints the folder of the service. Until it runs, it is we who watch over it.
folder() (
  cd "$jobs" && rm -rf "$1" || exit
  umask 077
  born "$$"
  boot
  mkdir "$1" && cd "$1" || exit
  if printf '%s %s %s %s\n' "$$" "$born" "$FLEET_JOB" "$boot" >process && printf '%s\n' "$2" >title \
    && printf %s "$3" >command && date +%s >started && printf '%s\n' "$4" >by && : >log && : >environment; then
    pwd
  else
    rm -rf "$jobs/$1"
  fi
)

# Returns what the service says on 3, once that is closed there. It is no child of anybody then. It becomes another shell for
# that: mksh and ksh93 keep a copy of what "exec 3>&-" closes, and we would wait for its end. What it has as 9, and never looks
# at, tells its processes from others, as the mark in their environment does.
launch() {
  "$4" /bin/sh -c 'eval "$FLEET_PROGRAM"; enter "$1" && exec /bin/sh -c "$2" "$0" "$1" 3>&-' \
    fleet-service "$7" 'eval "$FLEET_PROGRAM"; run "$1"' 3>&1 </dev/null >>"$7/log" 2>&1 9<"$7/process" &
}

# systemd passes on neither variables, umask nor folder. What it would read in an argument is a dollar sign before a brace.
# No property is set: which ones can be differs from version to version, and the default is to kill all of the control group.
launch_by_systemd() (
  { export -p && printf 'umask %s\n' "$(umask)"; } >"$7/environment" && pwd >"$7/place" || exit
  manage "$4" systemctl reset-failed "fleet-$1.service" 2>/dev/null
  manage "$4" systemd-run --quiet --unit="fleet-$1" \
    /bin/sh -c '. "$1/environment"; cd "$(cat "$1/place")"; rm "$1/environment" "$1/place"; exec >>"$1/log" 2>&1 9<"$1/process"; eval "$FLEET_PROGRAM"; enter "$1" 3>/dev/null && run "$1"' \
    fleet-service "$7" >&2 || exit
  left=100
  while [ ! -s "$7/pid" ] && [ "$left" -gt 0 ]; do
    left=$((left - 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  if [ -s "$7/pid" ]; then
    echo started
  else
    manage "$4" systemctl stop "fleet-$1.service" 2>/dev/null
  fi
)

# see NAME TENTHS: tells of the service when it has ended, or that time has passed.
see() {
  left=$2
  look "$1"
  while [ "${state%% *}:$((left > 0))" = running:1 ]; do
    if sleep 0.1 2>/dev/null; then
      left=$((left - 1))
    else
      sleep 1
      left=$((left - 10))
    fi
    look "$1"
  done
  tell started "$1"
  case $state in running*) ;; *) tail -n 20 "$jobs/$1/log" ;; esac
}

within claim "$1" || refuse 'the service cannot be kept in a folder here, or somebody else is at work on one of that name'
if [ ! "$6" ] && within present "$1"; then
  within unlock "$1"
  exit
fi
if within runs "$1"; then leave "$1" 'somebody else has started one of that name meanwhile'; fi
set -- "$1" "$2" "$3" "$(launcher "$4")" "$5" "$6"
[ "$4" ] || leave "$1" 'there is no systemd here that can be used: it does not run, or this user does not linger (loginctl enable-linger)'
set -- "$@" "$(within folder "$@")"
[ "$7" ] || leave "$1" 'the service cannot be kept in a folder here'
case $4 in
  systemd*) set -- "$@" "$(launch_by_systemd "$@")" ;;
  *) set -- "$@" "$(launch "$@")" ;;
esac
if [ ! "$8" ]; then
  rm -rf "$7"
  leave "$1" 'the service cannot be started'
fi
within unlock "$1"
within see "$1" "$5"
