# shellcheck shell=bash
# Real nodes: each has its own network, mount, PID, UTS and IPC namespaces with containerd, kubelet and kube-proxy inside.
# Node N (1 to 199) of a cluster is called CLUSTER-nN. Sourced by lab, runs inside the lab.

node_env() { # N
    [[ $1 =~ ^[1-9][0-9]{0,2}$ && $1 -le 199 ]] || die "a node's number is 1 to 199; not \"$1\""
    N=$1
    NODE=$CLUSTER-n$N
    NODE_IP=10.89.$C.$((10 + N))
    POD_RANGE=10.$((100 + C)).$N.0/24
    ND=$D/nodes/$NODE
    LINK=$LAB_ID-${C}n$N
    NODE_CGROUP=$CGROUP/$NODE
    export NODE NODE_IP POD_RANGE ND NODE_CGROUP HOST_IP POD_CIDR DNS_IP D PKI
}
real_nodes() { # the numbers of the cluster's nodes
    local d
    for d in "$D"/nodes/*/; do
        [ ! -d "$d" ] || echo "${d//*-n/}" | tr -d /
    done | sort -n
}
known_node() {
    node_env "$1"
    [ -d "$ND" ] || die "there is no node $NODE; \`lab node $CLUSTER $N\` makes it"
}

node_pid() {
    local p
    p=$(cat "$ND/unshare.pid" 2>/dev/null) && marked "$p" && child_of "$p"
}
enter() { # COMMAND...: in the node
    local p
    p=$(node_pid) || die "$NODE has no power; \`lab heal power $CLUSTER $N\` turns it on"
    nsenter -t "$p" -n -m -p -u -i --wdns=/ -- "$@"
}
in_node() { enter "$HERE/node-init.sh" "$@"; }

remove_node_cgroups() { remove_cgroup "$NODE_CGROUP"; }
cut_power() {
    local p
    p=$(node_pid) || return 0
    pull_cable 2>/dev/null || true # first, or what dies says goodbye, which no power cut does
    kill -KILL "$p"
    until_ok 20 test ! -d "/proc/$p" || die "$NODE does not end"
    ip link del "$LINK" 2>/dev/null || true
}
# boot: returns when its container runtime answers
boot() {
    local p
    ! node_pid >/dev/null || return 0
    # Cgroups of the node's former life would each delay the kubelet's start by 3 s.
    until_ok 10 remove_node_cgroups || die "cgroups are left below $NODE_CGROUP"
    make_cgroup "$NODE_CGROUP"
    mkdir -p "$ND/log"
    node_keys
    env "$MARK" bash -c 'echo $$ >"$ND/unshare.pid"
        exec -a "lab-$LAB_ID-$NODE" setsid unshare --net --mount --pid --uts --ipc --fork --mount-proc --kill-child=SIGKILL "$1" boot' \
        - "$HERE/node-init.sh" >"$ND/log/boot.log" 2>&1 </dev/null &
    until_ok 10 node_pid || die "$NODE does not start; see $ND/log/boot.log"
    p=$(node_pid)
    # for forwarders, which look from outside and survive a reboot of the node
    ln -sfn "/proc/$(cat "$STATE/init.pid")/root/proc/$p/ns/net" "$ND/netns"
    ip link del "$LINK" 2>/dev/null || true
    ip link add "$LINK" type veth peer name eth0 netns "$p"
    ip link set "$LINK" master "$BRIDGE"
    plug_cable
    until_ok 30 test -S "/proc/$p/root/run/containerd/containerd.sock" || die "no container runtime on $NODE; see $ND/log"
}
pull_cable() { ip link set "$LINK" down; }
plug_cable() {
    ip link set "$LINK" up
    ip route replace "$POD_RANGE" via "$NODE_IP" # the kernel drops it with the link
}

# boot_nodes N...: side by side
boot_nodes() {
    local n jobs=() failed=
    for n; do
        node_env "$n"
        boot &
        jobs+=($!)
    done
    for n in "${jobs[@]}"; do wait "$n" || failed=1; done
    [ -z "$failed" ] || exit 1
}
remove_node() {
    cut_power
    remove_node_cgroups || true
    kubectl delete node "$NODE" --ignore-not-found >/dev/null
    rm -rf "$ND"
}

# selected all|N: the numbers meant
selected() { if [ "$1" = all ]; then real_nodes; else known_node "$1" && echo "$1"; fi; }

import_images() { # all|N FILE...
    local n nodes file output
    nodes=$(selected "$1")
    shift
    for n in $nodes; do
        node_env "$n"
        for file; do
            # read here, as the node sees other files
            output=$(enter "$BIN/ctr" -n k8s.io images import - <"$file" 2>&1) || die "$NODE does not take ${file##*/}: $output"
        done &
    done
    for n in $nodes; do wait -n || die "an import failed"; done
}

# make_volume N NAME DIR: a copy of DIR as a persistent volume of the node; prints its name
make_volume() {
    local name=$2-n$1 size
    known_node "$1"
    [ -d "$3" ] || die "$3 is not a directory"
    rm -rf "$ND/volumes/$2.new"
    mkdir -p "$ND/volumes/$2.new"
    cp -a --reflink=auto "$3/." "$ND/volumes/$2.new/"
    rm -rf "${ND:?}/volumes/$2"
    mv "$ND/volumes/$2.new" "$ND/volumes/$2"
    size=$(($(du -s -B1G "$ND/volumes/$2" | cut -f1) + 1))
    # one that a deleted claim has left is not given out again
    [ "$(kubectl get pv "$name" -o jsonpath='{.status.phase}' 2>/dev/null)" != Released ] || kubectl delete pv "$name" >/dev/null
    kubectl apply -f - >/dev/null <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: lab-local}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: $name, labels: {lab.local/volume: $2}}
spec:
  capacity: {storage: ${size}Gi}
  accessModes: [ReadOnlyMany]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: lab-local
  local: {path: $ND/volumes/$2}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [$NODE]}]}]}}
YAML
    echo "$name"
}
