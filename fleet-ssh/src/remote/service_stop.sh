# alone WORK SERVICE: does the work while nobody else starts, stops or removes the service, if that comes soon enough.
alone() {
  [ -d "$jobs/$2" ] && lock "$2"
  "$@"
  unlock "$2"
}

# forget SERVICE: removes what is kept of one that does not run, and tells of it.
forget() {
  look "$1"
  case $state in
    running*) tell present "$1" ;;
    *) finish "$1" && [ ! "$tree" ] && rm -rf "$jobs/$1" ;;
  esac
}

# finish SERVICE: ends what runs of it, also what it has left behind, and tells of it: "gone" when something ran, "idle" when
# nothing did, "left:PID..." when something is left, "unknown" when the host does not show its processes.
#
# In: $grace.
finish() {
  look "$1"
  by= stopped= tree= sight=all keeper=- unit=
  read -r by 2>/dev/null <"$jobs/$1/by"
  # In its control group is also what has no mark any more.
  case $by in systemd*) lives "$by" "fleet-$1.service" && unit=fleet-$1.service ;; esac
  [ "$unit" ] && manage "$by" systemctl stop --no-block "$unit" 2>/dev/null
  # Nothing has outlived a start of the system.
  if [ "$mark" ] && [ "$since" = "$boot" ]; then
    hold "$1"
    token=$mark start=$birth$held
    stop
  fi
  if [ "$unit" ]; then
    stopped=$unit
    outlasts "$grace" && manage "$by" systemctl kill --signal=KILL "$unit" 2>/dev/null && outlasts 30 && tree=$unit
    manage "$by" systemctl reset-failed "$unit" 2>/dev/null
  fi
  if [ "$stopped" ] && [ ! "$tree" ] && [ ! -s "$jobs/$1/status" ]; then
    echo 137 >"$jobs/$1/status"
  fi
  case $sight:$tree in
    all:) word=${stopped:+gone} ;;
    all:* | own:?*)
      word=left
      for p in $tree; do word=$word:$p; done
      ;;
    *) word=unknown ;;
  esac
  tell "${word:-idle}" "$1"
}

# outlasts TENTHS: whether $unit is still there after that time.
outlasts() {
  waited=0
  while lives "$by" "$unit"; do
    [ "$waited" -lt "$1" ] || return 0
    pause
  done
  false
}

# hold SERVICE: sets $held to " PID/BIRTH ..." of the processes that have as 9 what the service has: also those that have
# cleared their environment, or written over it, as some do to say in it what they are.
hold() {
  held=
  for p in /proc/[0-9]*; do
    if [ "$p/fd/9" -ef "$jobs/$1/process" ]; then
      born "${p#/proc/}"
      held="$held ${p#/proc/}/$born"
    fi
  done
}
