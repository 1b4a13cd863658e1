# Starts the keeper of process $$ and prints the announcement. Runs in a shell that ends at once, so that the keeper is no
# child of the command: a command that waits for all its children would wait for ever.
#
# In: what stop and watch need, but for $pid, $start and $keeper; $control, not empty when 3 is the control line.
pid=$$
born "$pid"
start=$born
keeper=-
if [ "$control" ]; then
  (
    exec <&3 3<&- >/dev/null 2>&1
    watch
    stop
  ) &
  keeper=$!
fi
printf '\036fleet %s %s %s %s\n' "$token" "$pid" "$start" "$keeper"
