# run: watches over a job, in a session of its own.
#
# In: $1, the job's folder; $2, the shell for its command; 3, where it says that it runs.
unset FLEET_PROGRAM
(
  born "$$"
  boot
  printf '%s %s %s %s\n' "$$" "$born" "$FLEET_JOB" "$boot" >"$1/process" && echo started >&3
)
exec 3>&-
[ -s "$1/process" ] || exit
# What ends the command must leave us to tell of it. The command itself has these signals as they were.
trap : HUP INT QUIT TERM
# The point keeps the line ends before it.
set -- "$1" "$2" "$(cat "$1/command" && echo .)"
(
  # $$ is not the number of a shell that was started as ( ... ).
  printf '%s\n' "$(exec sh -c 'echo "$PPID"')" >"$1/pid"
  become "$2" "${3%.}"
)
printf '%s\n' "$?" >"$1/status.new" && mv "$1/status.new" "$1/status"
