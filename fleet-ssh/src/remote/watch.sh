# watch: returns when standard input, the control line, ends while process $pid runs; exits when $pid has ended.
watch() {
  # read also fails when somebody made the line non-blocking; cat tells that from the line's end.
  until while read -r line; do :; done && cat >/dev/null 2>&1; do
    if ended; then exit; fi
    sleep 1
  done
  if ended; then exit; fi
}

# ended: whether process $pid, born at $start, has ended.
ended() {
  born "$pid"
  [ "$born" != "$start" ]
}
