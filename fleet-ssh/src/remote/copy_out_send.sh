# Sends the files whose paths it reads, as tar archives one behind the other; describes each on standard error when it was
# read.
#
# In:  standard input, absolute paths, each ended by a NUL; $token; $follow; $gzip, not empty for yes; $inner.

[ ! "$gzip" ] || command -v gzip >/dev/null 2>&1 || refuse 'there is no gzip'
flags=${follow:+h}
case $(tar --version 2>/dev/null) in *GNU*) flags=${flags}S ;; esac
inner="token=$token style=$style
$inner
tar c${flags}f - \"\$@\" 2>/dev/null
{ printf '\\036fleet %s after\\n' \"\$token\"; describe \"\$@\"; } >&2"
printf '\036fleet %s data\n' "$token"
if [ "$gzip" ]; then
  xargs -0 /bin/sh -c "$inner" fleet | gzip -1 -c
else
  xargs -0 /bin/sh -c "$inner" fleet
fi
printf '\036fleet %s end\n' "$token" >&2
exit 0
