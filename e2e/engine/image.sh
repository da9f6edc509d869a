#!/usr/bin/env bash
# image.sh OUT.tar NAME:TAG ROOTDIR [--user U:G] [--env K=V] [--port N] [--label K=V] [ENTRYPOINT [ARG...]]: a one-layer
# image from a directory, without a daemon, in the form "ctr images import" and "docker load" take. The same input gives
# the same bytes: sorted names, no times, no owners but root, modes that do not depend on the umask.
set -euo pipefail
usage() { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
[ $# -ge 3 ] || usage
out=$1 name=$2 root=$3
shift 3
[ -d "$root" ] || { echo "image.sh: no directory $root" >&2; exit 1; }

quote() { local s=${1//\\/\\\\}; printf '"%s"' "${s//\"/\\\"}"; }
add() { local -n list=$1; list+="${list:+,}$2"; }

config='' user='' env='' ports='' labels='' entry=''
while [[ ${1:-} == --* ]]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --user) user=$2 ;;
    --env) add env "$(quote "$2")" ;;
    --port) add ports "$(quote "$2/tcp"):{}" ;;
    --label) add labels "$(quote "${2%%=*}"):$(quote "${2#*=}")" ;;
    *) usage ;;
    esac
    shift 2
done
for arg; do add entry "$(quote "$arg")"; done
[ -z "$user" ] || add config "\"User\":$(quote "$user")"
[ -z "$env" ] || add config "\"Env\":[$env]"
[ -z "$ports" ] || add config "\"ExposedPorts\":{$ports}"
[ -z "$labels" ] || add config "\"Labels\":{$labels}"
[ -z "$entry" ] || add config "\"Entrypoint\":[$entry]"

tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
pack() { tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX "$@"; }
pack -C "$root" -cf "$tmp/layer.tar" .
diff_id=$(sha256sum <"$tmp/layer.tar")
printf '{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z","config":{%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$config" "${diff_id%% *}" >"$tmp/config.json"
printf '[{"Config":"config.json","RepoTags":[%s],"Layers":["layer.tar"]}]' "$(quote "$name")" >"$tmp/manifest.json"
pack -C "$tmp" -cf "$tmp/image.tar" manifest.json config.json layer.tar
mv "$tmp/image.tar" "$out"
