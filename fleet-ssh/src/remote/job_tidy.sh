# Makes the folder of the jobs where it is missing, stays in it, and removes those that ended more than a week ago.
umask 077
mkdir -p "$jobs" && cd "$jobs" || exit
for job in *; do
  look "$job"
  # Nobody knows when it died: it counts as ended since it was found so. Never over what it has written itself meanwhile.
  [ "$state" = died ] && (set -C && : >"$job/status") 2>/dev/null
done
find . -name status -type f -mtime +7 | while read -r job; do
  job=${job%/status} job=${job#./}
  look "$job"
  case $state in running*) ;; *) rm -r "$job" ;; esac
done
