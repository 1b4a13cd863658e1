# Looks at a host and changes nothing. Each answer is a line "NAME VALUE"; "at NAME" goes before what may hang.
unset FLEET_PROBE
echo fleet-doctor-begin
echo fleet-doctor-begin >&2
say() { printf '%s %s\n' "$1" "$2"; }
say clock "$(date +%s.%N 2>/dev/null)"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
limit=
timeout 1 true 2>/dev/null && limit='timeout 5'
ask() {
  what=$1
  shift
  say at "$what"
  $limit "$@" 2>/dev/null </dev/null | while IFS= read -r line; do say "$what" "$line"; done
}
has() { command -v "$1" >/dev/null 2>&1; }
say shell "$SHELL"
ask uid id -u
ask system uname -srm
ask release sed -n 's/^PRETTY_NAME=//p' /etc/os-release
ask load cat /proc/loadavg
ask cpus nproc
for tool in rsync sudo setsid timeout; do
  has $tool && say has $tool
done
say tools listed
has rsync && ask rsync rsync --version
if has sudo; then
  say at sudo
  if $limit sudo -n true >/dev/null 2>&1 </dev/null; then say sudo yes; else say sudo no; fi
fi
if [ "$FLEET_SSHD" = yes ]; then
  ask startups sh -c 'sshd -T | sed -n "s/^maxstartups //p"'
  [ -r /etc/ssh/sshd_config ] && say sshd_config readable
  ask configured sed -n 's/^[[:space:]]*[Mm]ax[Ss]tartups[[:space:]=]*//p' /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config
fi
ask tmp df -kP /tmp
ask tmp-inodes df -iP /tmp
ask home df -kP "${HOME:-/}"
ask home-inodes df -iP "${HOME:-/}"
echo fleet-doctor-end
echo fleet-doctor-end >&2
