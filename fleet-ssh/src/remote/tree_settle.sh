# Does what a stream of files cannot: removes, and sets what is known of entries. Calls of its functions follow it, "settled"
# as the last. A call that fails keeps none behind it from being done.
#
# In:  $token; $folder.
# Out: status 0 and on standard error a line that says that it is done, or one that says what failed first.

LC_ALL=C
export LC_ALL
unset CDPATH
failed=

refuse() {
  printf '\036fleet %s error %s %s\n' "$token" "$1" "$(printf %s "$2" | tr '\n' ' ')" >&2
  exit 1
}

attempt() {
  said=$("$@" 2>&1) || failed=${failed:-$said}
}

# gone NAME...: all but folders.
gone() {
  attempt rm -f "$@"
}

# emptied FOLDER...
emptied() {
  attempt rmdir "$@"
}

# owner USER:GROUP NAME...
owner() {
  attempt chown -h "$@"
}

# mode MODE NAME...
mode() {
  attempt chmod "$@"
}

# stamp TIME NAME...: in UTC, as touch has it.
stamp() {
  attempt env TZ=UTC0 touch -c -t "$@"
}

settled() {
  case $failed in
    '')
      printf '\036fleet %s done\n' "$token" >&2
      exit 0
      ;;
    *'ermission denied'* | *'not permitted'*) refuse denied "$failed" ;;
    *'ead-only file system'*) refuse read-only "$failed" ;;
    *) refuse failed "$failed" ;;
  esac
}

cd "$folder" 2>/dev/null || refuse failed "$folder cannot be entered"
