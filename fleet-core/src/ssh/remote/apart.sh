# Runs $FLEET_PROGRAM in a session of its own, if there is a way: sudo kills the process group of what it runs when its
# terminal hangs up.
if command -v setsid >/dev/null 2>&1; then
  setsid /bin/sh -c 'eval "$FLEET_PROGRAM"'
  exit
fi
eval "$FLEET_PROGRAM"
