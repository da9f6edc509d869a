#!/usr/bin/env bash
# build.sh [TOOL...]: builds what is missing of the lab's programs and links them into $BIN.
#   TOOL: one of `build.sh --list`; default: all of them.
# Each tool is a Go module under tools/ that pins its versions. Needs a Go toolchain and its module proxy; runc and pause also
# a C compiler, runc libseccomp as well. The result is kept in $CACHE/tools/TOOL-KEY, where KEY covers the sources, the recipe and Go itself.
set -euo pipefail
. "$(dirname "$0")/env.sh"

all_tools=(kube etcd cni containerd runc pause helm coredns device_plugin forward kwok sim echo_server)
export CGO_ENABLED=0 GOTOOLCHAIN=local GOCACHE=$CACHE/go-build GOMODCACHE=$CACHE/go-mod
export GOFLAGS="-mod=readonly -modcacherw -trimpath -buildvcs=false"

version_of() { (cd "$HERE/tools/$1" && go list -m -f '{{.Version}}' "$2"); }

# build DIRECTORY OUTPUT PACKAGE TAGS LDFLAGS: one program, with a count of the packages compiled so far.
build() {
    local dir=$HERE/tools/$1 out=$OUT/$2 package=$3 tags=$4 ldflags=$5 total
    mkdir -p "$(dirname "$out")"
    (cd "$dir" && go mod download)
    total=$(cd "$dir" && go list -tags "$tags" -deps "$package" | wc -l)
    (cd "$dir" && go build -v -tags "$tags" -ldflags "-s -w $ldflags" -o "$out" "$package") 2>&1 |
        "$HERE/progress.sh" "$2" "$total" '^[a-zA-Z0-9_./~-]+$'
}

kube() {
    # shellcheck disable=SC1007
    local v minor stamp= p
    v=$(version_of kube k8s.io/kubernetes)
    minor=${v#v1.} minor=${minor%%.*}
    for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        stamp+=" -X $p.gitVersion=$v -X $p.gitMajor=1 -X $p.gitMinor=$minor"
        stamp+=" -X $p.gitTreeState=clean -X $p.buildDate=2026-01-01T00:00:00Z"
    done
    build kube kube . selinux,notest,grpcnotrace "$stamp"
    for p in kubectl kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
        ln -sf kube "$OUT/$p"
    done
}
etcd() {
    build etcd etcd go.etcd.io/etcd/server/v3 "" ""
    build etcd etcdctl go.etcd.io/etcd/etcdctl/v3 "" ""
}
kwok() {
    local stages d f
    build kwok kwok sigs.k8s.io/kwok/cmd/kwok "" "-X sigs.k8s.io/kwok/pkg/consts.Version=$(version_of kwok sigs.k8s.io/kwok)"
    # kwok does nothing without Stage documents; upstream's lie in the module.
    stages=$(cd "$HERE/tools/kwok" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    mkdir -p "$OUT/kwok-stages"
    for d in node/fast node/heartbeat-with-lease node/chaos pod/fast pod/general pod/chaos; do
        for f in "$stages/$d"/*.yaml; do
            [ "${f##*/}" = kustomization.yaml ] || { echo ---; cat "$f"; }
        done >"$OUT/kwok-stages/${d/\//-}.yaml"
    done
}
helm() {
    build helm helm helm.sh/helm/v4/cmd/helm "" "-X helm.sh/helm/v4/internal/version.version=$(version_of helm helm.sh/helm/v4)"
}
cni() {
    local p
    for p in main/ptp main/loopback ipam/host-local meta/portmap; do
        build cni "cni/${p#*/}" "github.com/containernetworking/plugins/plugins/$p" "" ""
    done
}
sim() { build sim llm-d-inference-sim github.com/llm-d/llm-d-inference-sim/cmd/llm-d-inference-sim "" ""; }
coredns() { build coredns coredns github.com/coredns/coredns "" ""; }
device_plugin() { build device-plugin device-plugin . "" ""; }
forward() { build forward forward . "" ""; }
containerd() { # OCI image volumes need 2.1 or newer
    local p v
    v=$(version_of containerd github.com/containerd/containerd/v2)
    for p in containerd containerd-shim-runc-v2 ctr; do
        build containerd "$p" "github.com/containerd/containerd/v2/cmd/$p" no_btrfs,no_zfs,no_devmapper,urfave_cli_no_docs \
            "-X github.com/containerd/containerd/v2/version.Version=$v"
    done
}
runc() { # without the tag seccomp no pod starts: "seccomp: config provided but seccomp not supported"
    CGO_ENABLED=1 build runc runc github.com/opencontainers/runc seccomp,netgo,osusergo "-extldflags -static"
}
# scratch_image NAME PROGRAM: an image of one static program, which is removed
scratch_image() {
    local root=$OUT/$1.root
    mkdir "$root"
    mv "$2" "$root/$1"
    "$TOP/e2e/engine/image.sh" "$OUT/$1.tar" "lab.local/$1:1" "$root" "/$1"
    rm -r "$root"
}
pause() {
    "${CC:-cc}" -static -Os -s -o "$OUT/program" "$HERE/tools/pause/pause.c"
    scratch_image pause "$OUT/program"
}
echo_server() {
    build echo-server program . "" ""
    scratch_image echo "$OUT/program"
}

key_of() {
    local dir=$HERE/tools/${1//_/-}
    { cat "$dir"/go.* "$dir"/*.go "$dir"/*.c 2>/dev/null || true; declare -f "$1" build; go version; } | sha256sum | cut -c1-16
}

# Builds into a scratch folder and renames it, so that an interrupted build leaves nothing that looks finished.
ensure() {
    local tool=$1 home
    home=$CACHE/tools/$tool-$(key_of "$tool")
    if [ ! -d "$home" ]; then
        OUT=$home.$$
        rm -rf "$OUT"
        mkdir -p "$OUT"
        "$tool"
        mv -T "$OUT" "$home" 2>/dev/null || rm -rf "$OUT"
    fi
    cp -rsf "$home/." "$BIN/"
}

[ "${1:-}" != --list ] || { printf '%s\n' "${all_tools[@]}"; exit; }
command -v go >/dev/null || die "the lab is built with Go; install a Go toolchain (1.26 or newer) and try again"
[ $# -gt 0 ] || set -- "${all_tools[@]}"
mkdir -p "$BIN" "$CACHE/tools"
exec 9>"$CACHE/tools/.lock"
flock -n 9 || { say "waiting for another build to finish"; flock 9; }
n=0
for tool; do
    n=$((n + 1))
    declare -F "$tool" >/dev/null || die "no tool $tool; there are: ${all_tools[*]}"
    [ -d "$CACHE/tools/$tool-$(key_of "$tool")" ] || say "building $tool ($n of $#)"
    ensure "$tool"
done
