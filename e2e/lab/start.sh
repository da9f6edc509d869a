#!/usr/bin/env bash
# start.sh [--control-plane-only]: from this machine to a lab that stays. Says first what the machine does not give, then installs
# and builds what is missing. With --control-plane-only the nodes are simulated: no root, and only what that needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
    '')
        "$here/lab" check
        "$here/packages.sh"
        "$here/build.sh"
        "$here/lab" up --stay
        ;;
    --control-plane-only)
        "$here/lab" check --control-plane-only
        "$here/packages.sh" --control-plane-only
        "$here/build.sh" kube etcd kwok
        "$here/lab" up --stay --control-plane-only
        "$here/lab" kwok east rack-a 2 8
        "$here/lab" ready east 60
        ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
esac
