# Removes files that are still what was copied of them.
#
# In:  standard input, "LENGTH TIME SHA256 PATH", ended by a NUL; $token.
# Out: records "WORD PATH" between two marks: removed, gone before, changed, or kept, which is
#      for what cannot be removed.

inner="style=$style digest='$digest'"'
case $style in *c) form="%s %Y" ;; *) form="%z %m" ;; esac
for part do
  length=${part%% *} part=${part#* }
  time=${part%% *} part=${part#* }
  sha=${part%% *} path=${part#* }
  word=changed
  [ -e "$path" ] || [ -L "$path" ] || word=gone
  sum=$($digest <"$path")
  if [ "${sum%% *}" = "$sha" ] && [ "$(stat "$style" "$form" "$path")" = "$length $time" ] && [ ! -L "$path" ]; then
    if rm -f "$path"; then word=removed; else word=kept; fi
  fi 2>/dev/null
  printf "%s %s//\n" "$word" "$path"
done 2>/dev/null'
printf '\036fleet %s list\n' "$token"
xargs -0 /bin/sh -c "$inner" fleet
printf '\036fleet %s end\n' "$token"
exit 0
