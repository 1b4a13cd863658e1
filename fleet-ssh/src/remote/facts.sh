# Tells what this host is: a line for each name in "$@".
os() { uname -s; }
arch() { uname -m; }
kernel() { uname -r; }
hostname() { uname -n; }
cpus() { getconf _NPROCESSORS_ONLN || nproc || sysctl -n hw.ncpu; }
memory_mib() {
  if [ -r /proc/meminfo ]; then
    while read -r name size unit; do
      [ "$name" = MemTotal: ] && echo $((size / 1024)) && return
    done </proc/meminfo
  else
    bytes=$(sysctl -n hw.memsize || sysctl -n hw.physmem) && echo $((bytes / 1048576))
  fi
}
for name
do
  printf '\036fleet-fact %s %s\n' "$name" "$("$name" 2>/dev/null)"
done
