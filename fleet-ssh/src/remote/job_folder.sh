# The jobs of a user: each a folder with "command", "title", "started" (seconds since 1970), "out" and "err"; "process",
# what watches over it ("PID BIRTH MARK"), and "pid", its command, once it runs; "status" once it has ended: the exit
# code, or nothing when it was only found to be gone.

jobs=${XDG_STATE_HOME:-$HOME/.local/state}/fleet/jobs

# look JOB: sets $state to "running PID BIRTH MARK", "exited CODE", "stopped SIGNAL", "died" (it ended and left no word)
# or "none".
look() {
  state=none
  [ -d "$jobs/$1" ] || return
  pid= birth= mark=
  read -r pid birth mark 2>/dev/null <"$jobs/$1/process"
  born "${pid:-0}"
  # Looked for after the process: it writes this last.
  if read -r code 2>/dev/null <"$jobs/$1/status"; then
    state="exited $code"
    # A shell tells of the end by a signal as 128 and the signal's number.
    if [ "$code" -gt 128 ]; then
      case $(kill -l "$((code - 128))" 2>/dev/null) in
        [A-Z]*) state="stopped $(kill -l "$((code - 128))")" ;;
      esac
    fi
  elif [ "$born" ] && [ "$born" = "$birth" ]; then
    state="running $pid $birth $mark"
  else
    state=died
  fi
}
