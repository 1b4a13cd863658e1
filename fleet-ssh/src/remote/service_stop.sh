# finish SERVICE: ends what runs of it, also what it has left behind, and tells of it: "gone" when something ran, "idle" when
# nothing did, "left:PID..." when something is left, "unknown" when the host does not show its processes.
#
# In: $grace.
finish() {
  look "$1"
  by= stopped= tree= sight=all keeper=-
  read -r by 2>/dev/null <"$jobs/$1/by"
  # Nothing has outlived a start of the system.
  if [ "$mark" ] && [ "$since" = "$boot" ]; then
    case $pid in -) pid= ;; esac
    token=$mark start=$birth
    stop
  fi
  case $by in
    systemd*)
      # In its control group is also what has no mark any more.
      case $(manage "$by" systemctl is-active "fleet-$1.service" 2>/dev/null) in
        active | activating | deactivating | reloading)
          stopped=${stopped:-unit}
          manage "$by" systemctl stop "fleet-$1.service" 2>/dev/null || tree=${tree:-unit}
          ;;
      esac
      manage "$by" systemctl reset-failed "fleet-$1.service" 2>/dev/null
      ;;
  esac
  if [ "$stopped" ] && [ ! "$tree" ] && [ ! -s "$jobs/$1/status" ]; then
    echo 137 >"$jobs/$1/status"
  fi
  case $sight:$tree in
    all:) word=${stopped:+gone} ;;
    all:* | own:?*)
      word=left
      for p in $tree; do word=$word:$p; done
      ;;
    *) word=unknown ;;
  esac
  tell "${word:-idle}" "$1"
}
