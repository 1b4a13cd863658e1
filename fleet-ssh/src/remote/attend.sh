# attend: returns when standard input, the control line, ends; exits when that says before that the command has ended.
attend() {
  until while read -r line; do
    case $line in ended) exit ;; esac
  done && cat >/dev/null 2>&1; do
    sleep 1
  done
}
