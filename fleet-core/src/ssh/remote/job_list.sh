# Lists the jobs: name, state, age, and how each is shown.
cd "$jobs" 2>/dev/null || exit 0
now=$(date +%s)
for job in [0-9]*; do
  look "$job"
  case $state in
    none) continue ;;
    running*) state="running, pid $pid" ;;
  esac
  started=$now title=
  read -r started 2>/dev/null <"$job/started"
  read -r title 2>/dev/null <"$job/title"
  age=$((now - started))
  if [ "$age" -lt 120 ]; then
    age=${age}s
  elif [ "$age" -lt 7200 ]; then
    age=$((age / 60))m
  elif [ "$age" -lt 172800 ]; then
    age=$((age / 3600))h
  else
    age=$((age / 86400))d
  fi
  printf '%s  %-20s %4s  %s\n' "$job" "$state" "$age" "$title"
done
