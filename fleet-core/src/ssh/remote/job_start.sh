# Starts a job and says its name.
#
# In: $1, its name; $2, how it is shown; $3, the command for the user's shell; $FLEET_PROGRAM, what watches over it.

# In a shell of its own: a variable of ours could hide one of the user's environment.
folder() (
  umask 077
  jobs=${XDG_STATE_HOME:-$HOME/.local/state}/fleet/jobs
  mkdir -p "$jobs" && cd "$jobs" || exit
  find . -name status -mtime +7 -exec sh -c 'rm -r "${1%/*}"' - {} \;
  mkdir "$1" && cd "$1" || exit
  printf '%s\n' "$2" >title && printf %s "$3" >command && date +%s >started && : >out && : >err && pwd
)

# Returns what the job says on 3, once that is closed there. The job is no child of anybody then.
launch() {
  "$1" /bin/sh -c 'eval "$FLEET_PROGRAM"' fleet-job "$2" 3>&1 </dev/null >"$2/out" 2>"$2/err" &
}

set -- "$1" "$(folder "$@")"
[ "$2" ] || {
  echo 'fleet: the job cannot be kept in a folder here' >&2
  exit 1
}
if command -v setsid >/dev/null 2>&1; then
  set -- "$1" "$(launch setsid "$2")"
else
  set -- "$1" "$(launch nohup "$2")"
fi
[ "$2" ] || {
  echo 'fleet: the job cannot be started' >&2
  exit 1
}
printf 'job %s\n' "$1"
