# manage BY PROGRAM ARGUMENTS: runs a program of systemd for the manager that BY is.
manage() (
  by=$1 program=$2
  shift 2
  case $by in
    systemd-user)
      XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
      export XDG_RUNTIME_DIR
      exec "$program" --user "$@"
      ;;
  esac
  exec "$program" "$@"
)

# lives BY UNIT: whether something of the unit runs.
lives() {
  case $(manage "$1" systemctl is-active "$2" 2>/dev/null) in
    active | activating | deactivating | reloading) ;;
    *) false ;;
  esac
}
