# Ends all processes of a command.
#
# In:  $pid and $start, its main process, and perhaps others of it behind that, as " PID/BIRTH"; $keeper, the keeper beside it,
#      or "-"; $token, its mark; $grace, in tenths of a second.
# Out: $stopped, the processes that were there; $tree, those that are still there; $sight, "all" when all processes of the
#      host could be looked at, "own" when the host hides those of other users, empty when none could be listed.

# Signals to the command's process group are for the command; a lost connection must not end the work half-way.
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE TSTP TTIN TTOU

# survey: looks for the processes of the command, into $tree. They are those in $known ("PID/START ..."); those that carry
# the mark in their environment; and all that descend from one of them, or are in a process group or session led by
# one, dead or alive. A group or session that is led by any other process, the server's above all, is never touched.
# $known grows, so that the children of a process that is gone are still known as its children.
survey() {
  sight= tree=
  marked=$(echo $(exec grep -lsF -e "FLEET_JOB=$token" /proc/[0-9]*/environ))
  eval "$(processes 2>/dev/null | awk -v known="$known" -v marked="$marked" -v keeper="$keeper" '
    $2 ~ /^\(/ {
      pid = $1
      sub(/^.*\) /, "")
      if ($1 ~ /[ZX]/ && $18 < 2) next
      parent[pid] = $2; group[pid] = $3; session[pid] = $4; birth[pid] = $20
      next
    }
    $1 !~ /^Z/ { parent[$2] = $3; group[$2] = $4; birth[$2] = $5 "_" $6 "_" $7 "_" $8 "_" $9 }
    function add(pid, start) {
      if (pid in aside) return
      if (!(pid in mine)) order[++count] = pid
      mine[pid] = start
    }
    END {
      if (!NR) exit
      # The keeper and its helpers are no part of the command, though they are in its process group.
      aside[keeper]
      do {
        more = 0
        for (p in birth) if (!(p in aside) && parent[p] in aside) { aside[p]; more = 1 }
      } while (more)
      n = split(known, word)
      for (i = 1; i <= n; i++) {
        split(word[i], part, "/")
        if (!(part[1] in birth) || birth[part[1]] "" == part[2] "") add(part[1], part[2])
      }
      n = split(marked, word)
      for (i = 1; i <= n; i++) {
        gsub(/[^0-9]/, "", word[i])
        if (word[i] in birth) add(word[i], birth[word[i]])
      }
      do {
        more = 0
        for (p in birth)
          if (!(p in mine) && !(p in aside) && (parent[p] in mine || group[p] in mine || session[p] in mine)) {
            add(p, birth[p])
            more = 1
          }
      } while (more)
      for (i = 1; i <= count; i++) {
        known_now = known_now " " order[i] "/" mine[order[i]]
        if (order[i] in birth) alive = alive " " order[i]
      }
      printf "known=\"%s\" tree=\"%s\" sight=%s\n", known_now, alive, 1 in birth ? "all" : "own"
    }')"
  [ "$sight" ] && return
  # Without awk, or processes to look at: what one shell can tell by itself.
  kill -0 "$pid" 2>/dev/null && tree=$pid
  kill -0 "-$pid" 2>/dev/null && tree="$tree -$pid"
}

processes() {
  if [ -r /proc/self/stat ]; then
    exec cat /proc/[0-9]*/stat
  fi
  exec ps -A -o stat= -o pid= -o ppid= -o pgid= -o lstart=
}

# signal NAME: sends it to all of $tree; where that is not allowed, as root if sudo asks for no password.
signal() {
  kill -"$1" $tree 2>/dev/null && return
  refused=
  for p in $tree; do
    if ! kill -0 "$p" 2>/dev/null && { [ -d "/proc/$p" ] || ps -p "$p"; } >/dev/null 2>&1; then
      refused="$refused $p"
    fi
  done
  [ "$refused" ] && sudo -n kill -"$1" $refused </dev/null >/dev/null 2>&1
}

# pause: sleeps for a while and adds it to $waited: tenths of a second in the first second, then seconds. The empty line
# tells that a slow host is at work.
pause() {
  echo 2>/dev/null
  if [ "$waited" -lt 10 ] && sleep 0.1 2>/dev/null; then
    waited=$((waited + 1))
  else
    sleep 1
    waited=$((waited + 10))
  fi
}

stop() {
  LC_ALL=C
  export LC_ALL
  # $$ is not the number of a shell that was started as ( ... ) &.
  [ "$keeper" = - ] && keeper=$(exec sh -c 'echo $PPID')
  known=$pid/$start waited=0
  survey
  stopped=$tree
  if [ "$tree" ]; then
    signal TERM
    signal CONT
  fi
  while [ "$tree" ] && [ "$waited" -lt "$grace" ]; do
    pause
    survey
  done
  waited=0
  while [ "$tree" ] && [ "$waited" -lt 30 ]; do
    signal KILL
    pause
    survey
  done
}

# verdict: says on standard output how it went.
verdict() {
  case $sight:$tree in
    all:) set -- gone ;;
    all:* | own:?*) set -- left $tree ;;
    *) set -- unknown ;;
  esac
  printf '\036fleet %s %s\n' "$token" "$*"
}
