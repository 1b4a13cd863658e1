# Starts a job and says its name.
#
# In: $1, its name; $2, how it is shown; $3, the command for the user's shell; $FLEET_PROGRAM, which has run, what watches
# over it; tidy, which prints the folder of all jobs; input, which makes 9 its input.

# Work is done in shells that end: a variable of ours could hide one of the user's environment.
folder() (
  umask 077
  cd "$4" && mkdir "$1" && cd "$1" || exit
  printf '%s\n' "$2" >title && printf %s "$3" >command && date +%s >started && : >out && : >err && pwd
)

# Returns what the job says on 3, once that is closed there. The job is no child of anybody then. It becomes another shell for
# that: mksh and ksh93 keep a copy of what "exec 3>&-" closes, and we would wait for its end.
launch() {
  "$1" /bin/sh -c 'eval "$FLEET_PROGRAM"; enter "$1" && exec /bin/sh -c "$2" "$0" "$1" 3>&-' \
    fleet-job "$2" 'eval "$FLEET_PROGRAM"; run "$1"' 3>&1 <&9 9<&- >"$2/out" 2>"$2/err" &
}

refuse() {
  printf 'fleet: %s\n' "$1" >&2
  exit 1
}

set -- "$1" "$2" "$3" "$(tidy)"
[ "$4" ] && input "$4/.$1" && set -- "$1" "$(folder "$@")" && [ "$2" ] || refuse 'the job cannot be kept here'
if command -v setsid >/dev/null 2>&1; then
  set -- "$1" "$(launch setsid "$2")"
else
  set -- "$1" "$(launch nohup "$2")"
fi
[ "$2" ] || refuse 'the job cannot be started'
printf 'job %s\n' "$1"
