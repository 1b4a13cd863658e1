# Lists what is to be copied from here.
#
# In:  $token; $follow, -L for what symlinks name, or empty; $inner, the text that describes files; $lists, the calls of
#      "from", as they stand behind this.
# Out: records, as copy_out_describe.sh prints them, between two marks; "/NUMBER FOLDER" before those of a folder, to which
#      their paths are relative; "?NUMBER PATH" for what is not there, or cannot be entered.

LC_ALL=C
export LC_ALL
unset CDPATH

# from NUMBER WAY PATH...: lists what is at the paths; with the way "inside", what is in these folders.
from() {
  number=$1 way=$2
  shift 2
  for path do
    folder=${path%/*} name=${path##*/}
    folder=${folder:-/}
    case $way:$name in inside:* | *: | *:. | *:..) folder=$path name= ;; esac
    if [ ! -e "$path" ] && [ ! -L "$path" ]; then
      printf '?%s %s//\n' "$number" "$path"
    elif [ ! "$name" ] && [ ! -d "$path" ]; then
      printf '?%s %s//\n' "$number" "$path"
    else
      # The point keeps the line ends before it.
      folder=$(cd "$folder" 2>/dev/null && pwd -P && echo .)
      if [ "$folder" ]; then
        folder=${folder%?.}
        printf '/%s %s//\n' "$number" "$folder"
        (cd "$folder" && find $follow ".${name:+/$name}" -exec /bin/sh -c "$inner" fleet {} + 2>/dev/null)
      else
        printf '?%s %s//\n' "$number" "$path"
      fi
    fi
  done
}

for program in find stat tar xargs head tail; do
  command -v "$program" >/dev/null 2>&1 || refuse "there is no $program"
done
inner="style=$style
$inner
describe \"\$@\""
printf '\036fleet %s list\n' "$token"
