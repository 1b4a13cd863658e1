# Receives files into a folder of its own beside their targets, verifies them, and has them renamed over their targets.
#
# In:  standard input, a tar archive: "d", the copies; "s", what separates files in digests; "sums", "list" and "commit",
#      what is done with them; "end", the digest of these three. See copy_commit.sh.
#      $token; $folder, where the copies go, and $into and $as when a single one has a name of its own there: it is $as
#      in $folder, unless $into is a folder; $needed, in KiB, or empty; $mkdirs, $gzip and $backup, not empty for yes;
#      $flags, for tar; $owner, for chown, or empty.
# Out: status 0 and on standard error a line that says that it is done; or one that says why nothing was changed (or, of
#      half-done, how much was).

LC_ALL=C
export LC_ALL
unset CDPATH TAR_OPTIONS GZIP
exec 3<&0 </dev/null
here= staging= made= jobs= elsewhere=

# refuse KIND TEXT: leaves nothing behind and says why.
refuse() {
  trap '' HUP INT TERM
  undo
  case $1:$2 in no-room:) set -- "$1" "${needed:-0} $(cd "$here" && room)" ;; esac
  printf '\036fleet %s error %s %s\n' "$token" "$1" "$(printf %s "$2" | tr '\n' ' ')" >&2
  exit 1
}

undo() {
  # What has only just been started hears nothing else yet, and the last of it may not yet be in $jobs.
  { [ "$jobs" ] && kill -KILL $jobs $!; wait; } 2>/dev/null
  [ -z "$here" ] || {
    [ -z "$elsewhere" ] || forget
    cd "$here" && rm -rf "$staging"
  } 2>/dev/null
  [ -z "$made" ] || (cd "$base" && rmdir -p "./$made") 2>/dev/null
}

# blame TEXT: sets $kind to what a program means with it. (Each single quote travels as five bytes.)
blame() {
  case $1 in
    *"o space left"* | *"uota exceeded"* | *"rote only"*) kind=no-room ;;
    *"ead-only file system"*) kind=read-only ;;
    *"ermission denied"* | *"not permitted"*) kind=denied ;;
    *"xists"* | *"ot a directory"* | *"s a directory"*) kind=conflict ;;
    *"nexpected EOF"* | *"nexpected end"* | *"hort read"* | *runcated*) kind=cut ;;
    *"next header"* | *hecksum* | *"crc error"* | *"orrupt"* | *"nvalid "[chmt]* | *"ot in gzip"* | *amaged*) kind=damaged ;;
    *) kind=failed ;;
  esac
}

# attempt COMMAND...: refuses with what the command says when it fails. That is asked for only then: zsh does not wait for
# the end of $(...) when it is stopped, and would clean up before the last folder is made.
attempt() {
  "$@" 2>/dev/null && return
  said=$("$@" 2>&1) && return
  blame "$said"
  refuse "$kind" "$said"
}

# room: prints the KiB that are free here.
room() {
  df -P -k . 2>/dev/null | {
    read -r line && read -r line
    # The name of a file system may hold blanks.
    set -- ${line%%%*}
    [ $# -lt 5 ] || shift $(($# - 2))
    printf '%s\n' "$1"
  }
}

# leftovers FOLDER/: removes what copies left there that were killed. A folder says in its name who works in it; those
# that other hosts share with us, and those of other users, are not ours to judge.
leftovers() {
  for old in "$1".fleet-copy-*; do
    if [ -d "$old" ] && [ ! -L "$old" ] && [ -O "$old" ] && [ "${old##*@}" = "$node" ]; then
      birth=${old##*/}
      birth=${birth%@*}
      birth=${birth#.fleet-copy-*-}
      born "${birth%%-*}"
      [ "$born" ] && [ "$born" = "${birth#*-}" ] || rm -rf "$old"
    fi
  done 2>/dev/null
}

# same SHA256 CKSUM LENGTH FILE...: whether this is the digest of the files.
same() {
  case $digest in cksum) set -- "$2 $3" "$@" ;; *) set -- "$1" "$@" ;; esac
  sum=$1
  shift 4
  case " $(if [ $# -gt 1 ]; then cat "$@" | $digest; else $digest <"$1"; fi 2>/dev/null) " in
    *" $sum "*) ;;
    *) return 1 ;;
  esac
}

# make: makes $folder and what is missing above it: $made in $base.
make() {
  base=$folder
  until [ -d "$base" ]; do
    made=${base##*/}${made:+/$made}
    base=${base%/*}
    base=${base:-/}
  done
  base=$(cd "$base" && pwd -P && echo .)
  base=${base%?.}
  attempt mkdir -p "$base/$made"
}

trap 'refuse cut "the copy was interrupted"' HUP INT TERM
trap '' PIPE
if [ "$as" ] && [ -d "$into" ]; then
  folder=$into as=
fi
[ -z "$mkdirs" ] || [ -d "$folder" ] || make
cd "$folder" 2>/dev/null || {
  if [ -d "$folder" ]; then
    refuse denied "$folder cannot be entered"
  elif [ -e "$folder" ]; then
    refuse conflict "$folder is no folder"
  fi
  refuse no-folder "$folder is missing"
}
command -v tar >/dev/null 2>&1 || refuse no-tar 'there is no tar'
[ -z "$gzip" ] || command -v gzip >/dev/null 2>&1 || refuse no-tar 'there is no gzip'
find_digest
[ "$digest" ] || refuse no-digest
umask 077
{ read -r node </proc/sys/kernel/hostname || node=$(uname -n); } 2>/dev/null
leftovers ./
# The point keeps the line ends before it.
here=$(pwd -P && echo .)
here=${here%?.}
born "$$"
staging=.fleet-copy-$token-$$-$born@$node
free=$(room)
# Some shells count to 2^31.
case $needed:$free in
  :* | *: | *:*[!0-9]*) ;;
  *) [ "${#free}" -gt 9 ] || { [ "${#needed}" -lt 10 ] && [ "$free" -ge "$needed" ]; } || refuse no-room ;;
esac
attempt mkdir "$staging"
attempt mkdir "$staging/d"
# Not every file system has pipes: then all is waited for.
mkfifo "$staging/said" "$staging/plain" 2>/dev/null
# For both ways, as one alone is waited for until somebody has the other: some shells hear no signal meanwhile.
exec 5<>"$staging/said"

unpack() {
  # GNU tar reads 10 KiB at once unless told, which takes it twice as long. Others do not read this.
  export TAR_OPTIONS=-b512
  cd "$staging" && exec tar "x${flags}f" - 2>&5
}

# From here on $! is one of ours: before, it is 0 in some shells, which would be all of our group.
: &
jobs=$!
# What tar says is read at once: it would go on to the end of the stream on a full disk.
if [ -z "$gzip" ]; then
  unpack <&3 &
elif [ -p "$staging/plain" ]; then
  gzip -dc <&3 >"$staging/plain" 2>&5 &
  jobs=$!
  unpack <"$staging/plain" &
else
  gzip -dc <&3 2>&5 | unpack &
fi
tar=$!
jobs="$jobs $tar"
status=
[ -p "$staging/said" ] || {
  wait "$tar"
  status=$?
}
exec 4<"$staging/said" 5>&-
told= fault=failed
# Not with an empty IFS: some shells run the trap with that.
while read -r line <&4; do
  blame "$line"
  case $line:$kind in *"time stamp"*) continue ;; esac
  [ "$told" ] && { [ "$fault" != failed ] || [ "$kind" = failed ]; } || told=$line fault=$kind
  case $kind in
    no-room) refuse no-room ;;
    read-only) refuse read-only "$line" ;;
  esac
done
[ "$status" ] || {
  wait "$tar"
  status=$?
}
wait
jobs=
exec 3<&- 4<&-
case $fault in
  failed | conflict | cut) [ -f "$staging/end" ] || refuse cut "the stream ended too early: $told" ;;
esac
[ "$status" -eq 0 ] || refuse "$fault" "$told"
cd "$staging/d" || refuse failed "$staging cannot be entered"
# Nothing is in everything: a digest must be there.
len=
{ read -r sha crc len <../end; } 2>/dev/null
[ "$len" ] && same "$sha" "$crc" "$len" ../sums ../list ../commit ||
  refuse damaged 'the end of the stream is not what was sent'
. ../commit
