#!/bin/sh
# A provider: tells fleet of the hosts in a file, one a line: ID ADDRESS GROUP. In fleet.toml:
#   [provider.lab]
#   command = ["examples/provider.sh", "hosts.txt"]
refuse() { printf '{"protocol":1,"error":{"code":"%s","message":"%s"}}\n' "$1" "$2"; exit; }
case $(cat) in
    '{"protocol":1,"action":"describe",'*'"native_filters":'*) refuse unsupported 'there are no filters of our own' ;;
    '{"protocol":1,"action":"describe",'*) ;;
    '{"protocol":'*) refuse unsupported 'expected protocol 1 and the action describe' ;;
    *) refuse bad-request 'expected a request of fleet' ;;
esac
[ -r "$1" ] || refuse bad-request 'expected a file of hosts as the first argument'
awk 'BEGIN { printf "{\"protocol\":1,\"hosts\":[" }
    NF == 3 { printf "%s{\"id\":\"%s\",\"addresses\":{\"private\":\"%s\"},\"groups\":[\"%s\"]}", sep, $1, $2, $3; sep = "," }
    END { print "]}" }' "$1"
