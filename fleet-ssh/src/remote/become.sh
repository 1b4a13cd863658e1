# Becomes the command.
#
# In: $1, the shell; $2, the command. They are not in named variables, as the environment may have any name.
# Where -c takes a name after the command, the shell's own messages begin with it: bash, not /bin/bash, as sshd has it.
case ${1##*/} in
  sh | dash | bash | ksh | mksh | zsh) exec "$1" -c "$2" "${1##*/}" ;;
esac
exec "$1" -c "$2"
