# boot: sets $boot to what no other start of the system has, or nothing where the system does not tell: there the moment of a
# process's birth is a date, which does.
boot() { boot= && read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id; }
