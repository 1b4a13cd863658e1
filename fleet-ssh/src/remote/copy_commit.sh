# Verifies what copy_in.sh has received and renames it over its targets.
#
# In: the folder of the copies as the current one; what copy_in.sh has; ../sums and ../list, read once for each phase.
#     Lists call these, folders before what is in them, with names in the current folder:
#       batch SHA256 CKSUM LENGTH FILE [$s FILE]...  the digest of the files, with what separates them; SHA256 may be -
#       drop NAME...                            not to be kept
#       folders PARENT NAME...                  PARENT is empty or ends in a slash, as in these two:
#       files PARENT NAME...                    files and symlinks
#       keep MODE TIME OWNER NAME...            files that are not sent, as the host has the same: they get the mode, the
#                                               time, as touch has it in UTC, and for root the owner; - is none
#       restrict NUMBER MODE NAME               the mode of a folder that its owner cannot work in, the deepest first
#
# A folder that is missing on the host is renamed whole, and what is below it went with it. One that is there keeps its
# mode. Where it is on another file system ("elsewhere"), or behind a symlink, its files go into a folder of ours in it
# first: only then are they beside their targets.

up=../../ s=../s bracket=' ('

batch() {
  same "$@" && return
  shift 3
  [ $# -gt 1 ] || refuse damaged "$1 is not what was sent"
  refuse damaged "one of $((($# + 1) / 2)) files, $1 and what follows it, is not what was sent"
}

drop() {
  [ "$phase" != drop ] || attempt rm -f "$@"
}

restrict() {
  case $phase in
    check)
      eval "new_$1="
      [ -d "$up$3" ] || eval "new_$1=yes"
      ;;
    finish) eval "[ -z \"\$new_$1\" ]" || attempt chmod "$2" "$up$3" ;;
  esac
}

keep() {
  [ "$phase" = finish ] || return 0
  mode=$1 time=$2 whose=$3
  shift 3
  [ ! "$as" ] || set -- "$as"
  for entry; do
    shift
    set -- "$@" "$up$entry"
  done
  case $owner:$whose in
    :-) ;;
    :*) [ "$(id -u)" != 0 ] || attempt chown -h "$whose" "$@" ;;
    *) attempt chown -h "$owner" "$@" ;;
  esac
  # Behind chown, which takes special bits away.
  [ -z "$(find "$@" -prune ! -perm "$mode" -print)" ] || attempt chmod "$mode" "$@"
  [ "$time" = - ] || attempt env TZ=UTC0 touch -c -t "$time" "$@"
}

# lies PARENT: whether it is elsewhere.
lies() {
  case $1:$elsewhere in ?*:*"//$1/"*) ;; *) return 1 ;; esac
}

# writable PARENT: refuses when it is there and cannot be written to.
writable() {
  [ ! -d "$up$1" ] || [ -w "$up$1" ] || refuse denied "${1%/} cannot be written to"
}

# survey FOLDER...: looks at what is there.
survey() {
  for entry; do
    if [ -d "$up$entry" ]; then
      leftovers "$up$entry/"
      case $mounts in *"//$entry//"*) elsewhere="$elsewhere//$entry//" ;; esac
      if [ -L "$up$entry" ] || lies "$at"; then
        elsewhere="$elsewhere//$entry//"
      fi
    elif [ -e "$up$entry" ] || [ -L "$up$entry" ]; then
      refuse conflict "$entry is no folder on the host, and a folder would take its place"
    fi
  done
}

folders() {
  at=$1
  shift
  case $phase in
    check)
      writable "$at"
      survey "$@"
      ;;
    near | move)
      # Went with its parent.
      [ -d "./$at" ] || return 0
      for entry; do
        shift
        [ -d "$up$entry" ] || set -- "$@" "$entry"
      done
      [ $# -eq 0 ] || "$phase" "$@"
      ;;
    forget) forget_in ;;
  esac
}

files() {
  at=$1
  shift
  if [ "$as" ]; then
    [ "$phase" != land ] || [ "$1" = "$as" ] || attempt mv "$1" "$as"
    set -- "$as"
  fi
  case $phase in
    check)
      writable "$at"
      for entry; do
        for target in "$up$entry" ${backup:+"$up$entry~"}; do
          [ ! -d "$target" ] || [ -L "$target" ] ||
            refuse conflict "${target#"$up"} is a folder on the host, and a file would take its place"
        done
      done
      ;;
    backup) for entry; do back_up "$up$entry"; done ;;
    near | move) [ ! -d "./$at" ] || "$phase" "$@" ;;
    count) for entry; do count "$entry"; done ;;
    forget) forget_in ;;
  esac
}

back_up() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  attempt rm -f "$1~"
  # Not every ln makes a link to a symlink itself.
  { [ ! -L "$1" ] && ln "$1" "$1~" 2>/dev/null; } || attempt cp -Pp "$1" "$1~"
}

# near NAME...: takes what belongs elsewhere into a folder of ours there.
near() {
  lies "$at" || return 0
  [ -d "$up$at$staging" ] || attempt mkdir "$up$at$staging"
  attempt mv -f "$@" "$up$at$staging/"
}

move() {
  if lies "$at"; then
    for entry; do
      shift
      set -- "$@" "$up$at$staging/${entry##*/}"
    done
  fi
  said=$(mv -f "$@" "$up$at" 2>&1) || broken
}

# broken: says how far the renames have come.
broken() {
  phase=count total=0 left=0 names=
  . ../list
  blame "$said"
  [ "$left" -lt "$total" ] || refuse "$kind" "$said"
  [ "$left" -le 3 ] || names="$names and $((left - 3)) more"
  refuse half-done "$((total - left)) of $total files are in place, but not$names: $said"
}

count() {
  total=$((total + 1))
  for entry in "$1" "$up$at$staging/${1##*/}"; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then
      left=$((left + 1))
      [ "$left" -gt 3 ] || names="$names $1"
    fi
  done
}

forget_in() {
  ! lies "$at" || rm -rf "$up$at$staging"
}

# forget: removes our folders elsewhere.
forget() {
  phase=forget
  cd "$here/$staging/d" && . ../list
}

# mounted: prints the file systems below the folder where the copies go, as "//NAME//".
mounted() {
  if [ -r /proc/self/mountinfo ]; then
    while read -r line line line line line rest; do printf '%b\n' "$line"; done </proc/self/mountinfo
  else
    # DEVICE on FOLDER (OPTIONS)
    mount | while IFS= read -r line; do
      line=${line#* on }
      printf '%s\n' "${line%"$bracket"*}"
    done
  fi | while IFS= read -r line; do
    case $line in "${here%/}"/?*) printf '//%s//' "${line#"${here%/}"/}" ;; esac
  done
}

mounts=$(mounted)
. ../sums
for phase in drop land check; do . ../list; done
[ -z "$owner" ] || attempt chown -hR "$owner" .
if [ "$backup" ]; then
  phase=backup
  . ../list
fi
if [ "$elsewhere" ]; then
  phase=near
  . ../list
fi
# From here on it is done whole.
trap '' HUP INT TERM
for phase in move finish; do . ../list; done
made=
undo
printf '\036fleet %s done\n' "$token" >&2
exit 0
