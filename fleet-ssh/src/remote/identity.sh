# A process is known by its number and the moment of its birth: a number alone is used again by the system.

# born PID: sets $born to the birth of a live process, "-" where the host does not tell, or nothing when the process has
# ended (a zombie has).
born() {
  if [ -r /proc/self/stat ]; then
    born=
    { read -r born <"/proc/$1/stat"; } 2>/dev/null
    # PID (NAME) STATE ...: the name may hold blanks and brackets. The birth is the 22nd field, the 20th from STATE.
    set -- ${born##*) }
    case ${1:-Z} in [ZX]) born= ;; *) born=${20} ;; esac
    return
  fi
  born=$(echo $(ps -o stat= -o lstart= -p "$1" 2>/dev/null))
  case $born in
    '') kill -0 "$1" 2>/dev/null && born=- ;;
    Z*) born= ;;
    *) set -- $born && born=${2}_${3}_${4}_${5}_${6} ;;
  esac
}
