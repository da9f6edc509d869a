# shellcheck shell=bash
# Settings shared by every script of the lab; sourced, never run. All of them can be overridden by the environment.
#   CACHE   what is built or downloaded, keyed by version; safe to delete
#   BIN     links to the programs of the lab, made by build.sh
#   IMAGES  image archives made for the lab
#   LAB_ID  which lab; two labs with different ids live side by side
#   STATE   everything a lab creates: keys, data, logs, pid files; outside the source tree, on a disk (node disks lie in it)
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
CACHE=${DEEPSEEK_OPERATOR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/deepseek-operator}
BIN=${BIN:-$TOP/target/lab/bin}
IMAGES=${IMAGES:-$TOP/target/lab/images}
LAB_ID=${LAB_ID:-dsl}
STATE=${STATE:-${TMPDIR:-/tmp}/deepseek-lab-$LAB_ID}
export TOP CACHE BIN IMAGES LAB_ID STATE

# Failure detection: Kubernetes' own defaults, or LAB_TIMES=quick for tests that only need an eviction soon.
if [ "${LAB_TIMES:-default}" = quick ]; then
    : "${NODE_MONITOR_PERIOD:=2s}" "${NODE_MONITOR_GRACE:=16s}" "${NODE_EVICTION_RATE:=10}"
    : "${TOLERATION_SECONDS:=5}" "${NODE_LEASE_SECONDS:=8}" "${NODE_STATUS_FREQUENCY:=4s}" "${NODE_STATUS_REPORT:=20s}"
fi
: "${NODE_MONITOR_PERIOD:=5s}" "${NODE_MONITOR_GRACE:=50s}"
: "${NODE_EVICTION_RATE:=0.1}" # nodes tainted per second and zone: a second loss waits 10 s
: "${TOLERATION_SECONDS:=300}" "${NODE_LEASE_SECONDS:=40}" "${NODE_STATUS_FREQUENCY:=10s}" "${NODE_STATUS_REPORT:=5m}"
: "${HPA_SYNC_PERIOD:=15s}" "${HPA_DOWNSCALE_STABILIZATION:=5m}"
export NODE_LEASE_SECONDS NODE_STATUS_FREQUENCY NODE_STATUS_REPORT

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { say "$*"; exit 1; }

# until_ok SECONDS COMMAND...: polls until it succeeds
until_ok() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        sleep 0.05
    done
}
