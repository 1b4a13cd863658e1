# Sends parts of files, one behind the other, each as long as was asked for; what is missing at its end is zeros. Describes
# each on standard error when it was read.
#
# In:  standard input, "FIRST LENGTH PATH", ended by a NUL: the first byte is 1; $token; $gzip; $inner.

[ ! "$gzip" ] || command -v gzip >/dev/null 2>&1 || refuse 'there is no gzip'
inner="token=$token style=$style
$inner
for part do
  first=\${part%% *} part=\${part#* }
  length=\${part%% *} path=\${part#* }
  { tail -c +\"\$first\" <\"\$path\"; cat /dev/zero; } 2>/dev/null | head -c \"\$length\"
  { printf '\\036fleet %s after\\n' \"\$token\"; describe \"\$path\"; } >&2
done"
printf '\036fleet %s data\n' "$token"
if [ "$gzip" ]; then
  xargs -0 /bin/sh -c "$inner" fleet | gzip -1 -c
else
  xargs -0 /bin/sh -c "$inner" fleet
fi
printf '\036fleet %s end\n' "$token" >&2
exit 0
