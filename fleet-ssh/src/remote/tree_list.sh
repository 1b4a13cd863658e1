# Says what there is at a destination. Calls of its functions follow it, "tree" as the last.
#
# In:  $token; $folder; $mkpath, not empty where more than the last folder may be missing.
# Out: on standard output a line with $token, "folder" or "nothing" (the folder is missing), the user's number,
#      its group's number and those of its other groups; then a line for each call, in their order: of "user" and "group" the
#      number, or nothing; of "tree" a mark, behind which all entries are, each as three texts that end in NUL: kind,
#      permissions, size, seconds of the last change, owner and group; name; target. Or on standard error a line that says why not.

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

tree() {
  printf '\036\n'
  [ "$there" = folder ] || exit 0
  said=$(find . -printf '%y %m %s %T@ %U %G\0%P\0%l\0' 2>&1 >&3) || refuse failed "not all of $folder can be looked at: $said"
  exit 0
}

exec 3>&1
find / -prune -printf x >/dev/null 2>&1 || refuse failed 'there is neither rsync nor a find with -printf: rsync has to be installed'
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
