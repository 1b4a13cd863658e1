# What every program starts with that copies from here.
#
# In:  $token; $follow.
# Out: $style, the option of stat before its format.

LC_ALL=C COPYFILE_DISABLE=1
export LC_ALL COPYFILE_DISABLE
unset CDPATH TAR_OPTIONS GZIP POSIXLY_CORRECT

# refuse TEXT: says why nothing can be copied.
refuse() {
  printf '\036fleet %s refused %s\n' "$token" "$1" >&2
  exit 1
}

if stat -c %s / >/dev/null 2>&1; then
  style=-${follow#-}c
elif stat -f %z / >/dev/null 2>&1; then
  style=-${follow#-}f
else
  refuse 'there is no stat that tells lengths and times'
fi
