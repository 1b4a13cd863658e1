# Lists the jobs: name, state, age, and how each is shown.
cd "$jobs" 2>/dev/null || exit 0
now=$(date +%s)
for job in [0-9]*; do
  look "$job"
  case $state in
    none) continue ;;
    running*)
      read -r pid 2>/dev/null <"$job/pid"
      state="running, pid $pid"
      ;;
    stopped*) state="stopped (signal ${state#* })" ;;
    died) state="died without a word" ;;
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
  printf '%s  %-21s %4s  %s\n' "$job" "$state" "$age" "$title"
done
