# Describes files in records that end in "//" and a line end, which no path holds.
#
# In:  $style, an option of stat before its format: that of GNU and busybox ends in c, that of BSD in f.

# describe PATH...: prints "MODE LENGTH BLOCKS TIME PATH" for each, its mode in hexadecimal, its blocks of 512 bytes; and
# "!PATH" for what is there and cannot be read.
describe() {
  case $style in
    *c) stat "$style" '%f %s %b %Y %n//' "$@" ;;
    *) stat "$style" '%Xp %z %b %m %N//' "$@" ;;
  esac 2>/dev/null
  for path do
    [ -L "$path" ] || [ ! -e "$path" ] || { [ -r "$path" ] && { [ ! -d "$path" ] || [ -x "$path" ]; }; } || printf '!%s//\n' "$path"
  done
}
