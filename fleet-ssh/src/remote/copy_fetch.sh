# Fetches what copy_in.sh receives, by a program of the host.
#
# In:  standard input, a line url = "URL", as a configuration of curl has it. The URL is a credential: it gets into no
#      argument, no variable and no file. $token.
# Out: functions. fetch prints the object, and says on standard error when that failed.

# not_fetched BY STATUS TEXT
not_fetched() {
  printf '\036fleet %s fetch %s %s %s\n' "$token" "$1" "$2" "$(printf %s "$3" | tr '\n' ' ')" >&2
}

fetch() {
  {
    case $by in
      curl) said=$(curl -qgfsS --connect-timeout 10 -Y 1 -y 30 --retry 2 -K - 2>&1 >&4) ;;
      wget) said=$(sed 's/^url = "\(.*\)"$/\1/' | wget --no-config -q -O - -T 30 -t 3 -i - 2>&1 >&4) ;;
    esac || not_fetched "$by" "$?" "$said"
  } 4>&1
}

by=
if command -v curl >/dev/null 2>&1; then
  by=curl
else
  # Others take a URL only as an argument.
  case $(wget --version 2>/dev/null) in 'GNU Wget'*) by=wget ;; esac
fi
[ "$by" ] || {
  not_fetched none 127
  exit 1
}
