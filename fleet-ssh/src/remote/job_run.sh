# run: watches over a job, in a session of its own.
#
# In: $1, the job's folder; $2, the shell for its command.
unset FLEET_PROGRAM
# What ends the command must leave us to tell of it. The command itself has these signals as they were.
trap : HUP INT QUIT TERM
# The point keeps the line ends before it.
set -- "$1" "$2" "$(cat "$1/command" && echo .)"
(
  # $$ is not the number of a shell that was started as ( ... ).
  printf '%s\n' "$(exec sh -c 'echo "$PPID"')" >"$1/pid"
  become "$2" "${3%.}"
)
echo "$?" >"$1/status.new" && mv "$1/status.new" "$1/status"
