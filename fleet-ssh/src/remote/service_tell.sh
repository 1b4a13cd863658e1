# tell WORD SERVICE: says the word, and what is known of the service: "WORD NAME PID STARTED BY STATE DETAIL TITLE". "BY" is
# what started it: "systemd", "systemd-user" (the user's own), "setsid" or "nohup".
tell() {
  look "$2"
  number= started= by= title=
  read -r number 2>/dev/null <"$jobs/$2/pid"
  read -r started 2>/dev/null <"$jobs/$2/started"
  read -r by 2>/dev/null <"$jobs/$2/by"
  read -r title 2>/dev/null <"$jobs/$2/title"
  set -- "$1" "$2" $state
  printf '\036fleet-service %s %s %s %s %s %s %s %s\n' \
    "$1" "$2" "${number:--}" "${started:-0}" "${by:--}" "$3" "${4:--}" "$title"
}
