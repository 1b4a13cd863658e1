# Watches over a job, in a session of its own.
#
# In: $1, the job's folder; $2, the shell for its command; 3, where it says that it runs.
unset FLEET_PROGRAM
(
  born "$$"
  printf '%s %s %s\n' "$$" "$born" "$FLEET_JOB" >"$1/process" && echo started >&3
)
exec 3>&-
[ -s "$1/process" ] || exit
# The point keeps the line ends before it.
set -- "$1" "$2" "$(cat "$1/command" && echo .)"
(become "$2" "${3%.}")
printf '%s\n' "$?" >"$1/status.new" && mv "$1/status.new" "$1/status"
