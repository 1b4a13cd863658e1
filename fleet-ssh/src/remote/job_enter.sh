# enter: says that the job runs; false when it cannot.
#
# In: $1, the job's folder; 3, where it says so.
(
  born "$$"
  boot
  echo "$$ $born $FLEET_JOB $boot" >"$1/process" && echo started >&3
)
[ -s "$1/process" ]
