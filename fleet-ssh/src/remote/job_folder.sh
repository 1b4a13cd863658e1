# The jobs of a user, or the services, in $jobs: each a folder with "command", "title", "started" (seconds since 1970) and its
# outputs; "process", what watches over it ("PID BIRTH MARK BOOT"), and "pid", its command, once it runs; "status" once it has
# ended: the exit code, or nothing when it was only found to be gone.

# look JOB: sets $state to "running PID BIRTH MARK", "exited CODE", "stopped SIGNAL", "died" (it ended and left no word)
# or "none".
look() {
  state=none
  [ -d "$jobs/$1" ] || return
  pid= birth= mark= since=
  read -r pid birth mark since 2>/dev/null <"$jobs/$1/process"
  born "${pid:-0}"
  boot
  # Looked for after the process: it writes this last.
  if read -r code 2>/dev/null <"$jobs/$1/status"; then
    state="exited $code"
    # A shell tells of the end by a signal as 128 and the signal's number.
    if [ "$code" -gt 128 ]; then
      case $(kill -l "$((code - 128))" 2>/dev/null) in
        [A-Z]*) state="stopped $(kill -l "$((code - 128))")" ;;
      esac
    fi
  elif [ "$born" ] && [ "$born/$boot" = "$birth/$since" ]; then
    state="running $pid $birth $mark"
  else
    state=died
  fi
}
