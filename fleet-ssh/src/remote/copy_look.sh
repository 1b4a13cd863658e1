# Says what a host has of what is to be copied there. Calls of its functions follow it.
#
# In:  $token; $folder, $into, $as and $mkdirs, as copy_in.sh has them.
# Out: on standard output a line with $token and where the copies go: "folder", "name" ($as in $folder) or "nothing" (the
#      folder is missing); then a line for each call, in which a letter stands for each name: f a file, l a symlink, d a folder,
#      o something else, - nothing; s the same symlink. Behind the line of "files" come the digests of those with an f, as
#      their program prints them, and a line with a mark.

LC_ALL=C
export LC_ALL
unset CDPATH
needed=

say() {
  printf '\036fleet %s %s\n' "$token" "$1"
}

files() {
  [ ! "$as" ] || set -- "$as"
  letters=
  for entry; do
    shift
    if [ -L "$entry" ]; then
      letters=${letters}l
    elif [ -d "$entry" ]; then
      letters=${letters}d
    elif [ -f "$entry" ] && [ -r "$entry" ]; then
      letters=${letters}f
      set -- "$@" "$entry"
    elif [ -e "$entry" ]; then
      letters=${letters}o
    else
      letters=$letters-
    fi
  done
  printf '%s\n' "$letters"
  [ $# -eq 0 ] || [ ! "$digest" ] || $digest "$@" 2>/dev/null </dev/null
  printf '\036\n'
}

folders() {
  letters=
  for entry; do
    if [ -d "$entry" ]; then
      letters=${letters}d
    elif [ -e "$entry" ] || [ -L "$entry" ]; then
      letters=${letters}o
    else
      letters=$letters-
    fi
  done
  printf '%s\n' "$letters"
}

# symlink NAME TARGET
symlink() {
  [ ! "$as" ] || set -- "$as" "$2"
  letter=-
  if [ -L "$1" ]; then
    letter=l
    case $(readlink "$1" 2>/dev/null && echo .) in "$2
.") letter=s ;; esac
  elif [ -d "$1" ]; then
    letter=d
  elif [ -e "$1" ]; then
    letter=o
  fi
  printf '%s\n' "$letter"
}

if [ "$as" ] && [ -d "$into" ]; then
  folder=$into as=
fi
if cd "$folder" 2>/dev/null; then
  find_digest
  case $as in ?*) say name ;; *) say folder ;; esac
elif [ "$mkdirs" ] && [ ! -e "$folder" ]; then
  say nothing
  exit 0
else
  kind=denied reason='cannot be entered'
  [ -d "$folder" ] || kind=no-folder reason='is missing'
  printf '\036fleet %s error %s %s %s\n' "$token" "$kind" "$folder" "$reason" >&2
  exit 1
fi
