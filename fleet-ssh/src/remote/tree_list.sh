# Says what there is at a destination. Calls of its functions follow it, "tree" as the last.
#
# In:  $token; $folder; $mkpath, not empty where more than the last folder may be missing.
# Out: on standard output a line with $token, "folder" or "nothing" (the folder is missing), the user's number,
#      its group's number and those of its other groups; then a line for each call, in their order: of "user" and "group" the
#      number, or nothing; of "tree" a mark, behind which all entries are, each as three texts that end in NUL: kind,
#      permissions, size, seconds of the last change, owner and group; name; target. Where find has no -printf the kind is "x",
#      and the mode in hexadecimal stands for the permissions. Or on standard error a line that says why not.

LC_ALL=C
export LC_ALL
unset CDPATH

# refuse KIND TEXT
refuse() {
  printf '\036fleet %s error %s %s\n' "$token" "$1" "$(printf %s "$2" | tr '\n' ' ')" >&2
  exit 1
}

user() {
  id -u "$1" 2>/dev/null || echo
}

group() {
  entry=$(getent group "$1" 2>/dev/null || grep "^$1:" /etc/group 2>/dev/null)
  entry=${entry#*:*:}
  printf '%s\n' "${entry%%:*}"
}

# Run by find for many names at once: stat has its format behind -c where it is GNU's or busybox's, behind -f where it is BSD's.
# A lone x is no entry: where something has gone meanwhile, the answer is not whole.
describe='case $0 in
  -c) facts=$(stat -c "%f %s %Y %u %g" "$@") ;;
  *) facts=$(stat -f "%Xp %z %m %u %g" "$@") ;;
esac || { printf x; exit 1; }
printf "%s\n" "$facts" | while read -r mode rest; do
  target=
  case $mode in
    [aA]???) target=$(readlink "$1" && echo .) && target=${target%??} || printf x ;;
  esac
  name=${1#.}
  printf "x %s %s\0%s\0%s\0" "$mode" "$rest" "${name#/}" "$target"
  shift
done'

list() {
  if [ "$style" ]; then
    find . -exec /bin/sh -c "$describe" "$style" {} +
  else
    find . -printf '%y %m %s %T@ %U %G\0%P\0%l\0'
  fi
}

tree() {
  printf '\036\n'
  [ "$there" = folder ] || exit 0
  said=$(list 2>&1 >&3) || refuse failed "not all of $folder can be looked at: $said"
  exit 0
}

exec 3>&1
if find / -prune -printf x >/dev/null 2>&1; then
  style=
elif stat -c %f / >/dev/null 2>&1; then
  style=-c
elif stat -f %Xp / >/dev/null 2>&1; then
  style=-f
else
  refuse failed 'there is neither rsync nor a find or stat that could tell what is there: rsync has to be installed'
fi
if cd "$folder" 2>/dev/null; then
  there=folder
elif [ -d "$folder" ]; then
  refuse denied "$folder cannot be entered"
elif [ -e "$folder" ] || [ -L "$folder" ]; then
  refuse conflict "$folder is no folder"
else
  there=nothing above=${folder%/*}
  case $folder in /*) above=${above:-/} ;; esac
  [ "$mkpath" ] || [ -d "$above" ] || refuse no-folder "$above is missing: --mkpath makes it"
fi
printf '\036fleet %s %s %s\n' "$token" "$there" "$(id -u) $(id -g) $(id -G)"
