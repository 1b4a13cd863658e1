# The jobs of a user: each a folder with "command", "title", "started" (seconds since 1970), "out" and "err"; "process" once
# it runs ("PID BIRTH MARK"); "status" once it has ended by itself.

jobs=${XDG_STATE_HOME:-$HOME/.local/state}/fleet/jobs

# look JOB: sets $state to "running PID BIRTH MARK", "exited CODE", "died" (it ended and left no word) or "none".
look() {
  state=none
  [ -d "$jobs/$1" ] || return
  pid= birth= mark=
  read -r pid birth mark 2>/dev/null <"$jobs/$1/process"
  born "${pid:-0}"
  # Looked for after the process: it writes this last.
  if read -r code 2>/dev/null <"$jobs/$1/status"; then
    state="exited $code"
  elif [ "$born" ] && [ "$born" = "$birth" ]; then
    state="running $pid $birth $mark"
  else
    state=died
  fi
}
