# Receives the input of a job into a file that has lost its name.
#
# In:  $1, a name that no other file has; $2, the mark behind the last byte, which tells that end from the connection's.
# Out: 9, the file.

receive() (
  cat >&8 || exit
  size=$(($(wc -c <&6) - ${#1}))
  [ "$size" -ge 0 ] && [ "$(tail -c "${#1}" <&7)" = "$1" ] || exit
  # Some shells let a command inherit only what is its input or output.
  set -- /dev/fd/1
  [ -e "$1" ] || set -- /proc/self/fd/1
  dd of="$1" bs=1 seek="$size" count=0 </dev/null >&8
) 2>/dev/null

(umask 077 && : >"$1") && exec 6<"$1" 7<"$1" 8>>"$1" 9<"$1" && rm -f "$1" || return
receive "$2" || refuse 'the input of the job did not arrive whole, or there is no room for it'
exec 6<&- 7<&- 8>&-
