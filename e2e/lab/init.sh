#!/usr/bin/env bash
# PID 1 of a lab (see space.sh).
#   init.sh stay    lives until it is killed
#   init.sh leash   lives as long as somebody holds the other end of its standard input
set -euo pipefail
printf 'lab-%s' "$LAB_ID" >/proc/self/comm
exec 3<&0 </dev/null
mount --make-rslave /
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
# A rule that needs connection tracking, so that a later "block" knows who opened the connections that are there already.
nft -f - <<'NFT'
add table inet track
add chain inet track connections { type filter hook prerouting priority 0; }
add rule inet track connections ct state new
NFT
touch "$STATE/inside"
case $1 in
    leash) cat <&3 >/dev/null & ;;
    stay)
        exec 3<&-
        while :; do sleep 1000 & wait $!; done
        ;;
esac
wait $! # reaps whatever is orphaned meanwhile
