# lock SERVICE: waits until nobody else starts, stops or removes it, for half a minute at most; false when that was too short.
#
# Whoever has it says so in it. Where that one runs no more, it goes: of several who see that, one moves it away.
lock() {
  ours
  waited=0 lock=$jobs/.$1.lock
  until mkdir "$lock" 2>/dev/null; do
    owner= moved=
    read -r owner 2>/dev/null <"$lock/owner"
    # It is written at once: who has not done so has been killed before.
    if { [ "$owner" ] || [ "$waited" -ge 50 ]; } && ! lasts "$owner" && mv "$lock" "$lock.$$" 2>/dev/null; then
      read -r moved 2>/dev/null <"$lock.$$/owner"
      if [ "$moved" = "$owner" ]; then rm -rf "$lock.$$"; else mv "$lock.$$" "$lock"; fi
    fi
    [ "$waited" -lt 300 ] || return 1
    waited=$((waited + 1))
    sleep 0.1 2>/dev/null || { sleep 1 && waited=$((waited + 9)); }
  done
  echo "$us" >"$lock/owner"
}

# unlock SERVICE: lets others have it, if we have.
unlock() {
  ours
  owner=
  read -r owner 2>/dev/null <"$jobs/.$1.lock/owner"
  [ "$owner" != "$us" ] || rm -rf "$jobs/.$1.lock"
}

# ours: sets $us to what nobody else is: "PID BIRTH BOOT".
ours() {
  born "$$"
  boot
  us="$$ $born ${boot:--}"
}

# lasts OWNER: whether that one still runs. The start of the system is in $boot.
lasts() (
  set -- "$1" $1
  born "${2:-0}"
  [ "$born" ] && [ "$2 $born ${boot:--}" = "$1" ]
)
