#!/usr/bin/env bash
# PID 1 of a node, and what acts on its daemons. node.sh sets the environment and runs it in the node's namespaces.
#   node-init.sh boot                    sets the node up and stays
#   node-init.sh start PROGRAM           containerd, kubelet, kube-proxy or device-plugin, if it is not running
#   node-init.sh stop PROGRAM [SIGNAL]
#   node-init.sh send PROGRAM SIGNAL
#   node-init.sh states                  "PROGRAM running|frozen|stopped" for each
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/processes.sh"
PATH=$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # kube-proxy needs nft, containerd its shim and runc
socket=/run/containerd/containerd.sock
device_socket=/var/lib/kubelet/device-plugins/nvidia.com-gpu.sock

command_of() {
    case $1 in
        containerd) command=("$BIN/containerd" --config "$ND/containerd.toml") ;;
        kubelet)
            command=("$BIN/kubelet" --config="$ND/kubelet.yaml" --kubeconfig="$D/kubelet-$NODE.kubeconfig"
                --hostname-override="$NODE" --node-ip="$NODE_IP"
                --node-labels="lab.local/real=true,$(cat "$ND/labels" 2>/dev/null || true)")
            ;;
        kube-proxy) command=("$BIN/kube-proxy" --config="$ND/proxy.yaml") ;;
        device-plugin) command=("$BIN/device-plugin" -state "$ND/gpus") ;;
        *) die "a node runs containerd, kubelet, kube-proxy and device-plugin; not $1" ;;
    esac
}
ensure() {
    local command
    [ "$(state_of "$ND" "$1")" = stopped ] || return 0
    command_of "$1"
    start "$ND" "$1" "${command[@]}"
}

network() {
    until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
    ip link set lo up
    ip addr add "$NODE_IP/24" dev eth0
    ip link set eth0 up
    ip route add default via "$HOST_IP" # the lab's bridge: it routes between the nodes' Pod ranges, and leads nowhere else
    echo 1 >/proc/sys/net/ipv4/ip_forward
}

# cover FILE TEXT: what this node reads in FILE, and all that it can write
cover() {
    local own=$ND/covers/${1//\//_}
    [ -e "$1" ] || return 0
    mkdir -p "$ND/covers"
    echo "$2" >"$own"
    mount --bind "$own" "$1"
}
# mounts: the node sees the machine's files, but what it writes stays in $ND
mounts() {
    local d file
    mount --make-rslave /
    mount -t tmpfs -o mode=755 "lab-$LAB_ID" /run
    mkdir -p /run/containerd /run/netns /run/lock
    for d in var/lib var/log; do # kubelet and containers have fixed paths there; the layer makes room for mount points
        mkdir -p "$ND/layer/$d/upper" "$ND/layer/$d/work"
        mount -t overlay -o "lowerdir=/$d,upperdir=$ND/layer/$d/upper,workdir=$ND/layer/$d/work" "lab-$LAB_ID" "/$d"
    done
    mkdir -p "$ND/kubelet" /var/lib/kubelet
    mount --bind "$ND/kubelet" /var/lib/kubelet
    cover /proc/sys/kernel/random/boot_id "$(cat /proc/sys/kernel/random/uuid)" # a new one every boot, so that a reboot is seen as one
    # The kubelet sets these for the whole machine unless they are as it wants them.
    cover /proc/sys/vm/overcommit_memory 1
    cover /proc/sys/vm/panic_on_oom 0
    cover /proc/sys/kernel/panic 10
    cover /proc/sys/kernel/panic_on_oops 1
    cover /proc/sys/kernel/keys/root_maxkeys 1000000
    cover /proc/sys/kernel/keys/root_maxbytes 25000000
    # No name servers: a missing image would otherwise hang for 50 s in a DNS time-out.
    file=$(readlink -m /etc/resolv.conf) # often a link into /run, which is empty here
    mkdir -p "${file%/*}"
    [ -e "$file" ] || : >"$file"
    : >"$ND/resolv.conf"
    mount --bind "$ND/resolv.conf" "$file"
    mount --make-rshared / # volumes mounted by the kubelet must reach the containers
}

pod_network() { # the kubelet reports Ready only once this is there
    mkdir -p "$ND/cni"
    cat >"$ND/cni/10-lab.conflist.new" <<JSON
{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$POD_RANGE"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}]}
JSON
    mv "$ND/cni/10-lab.conflist.new" "$ND/cni/10-lab.conflist"
}
containerd_settings() {
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE the sandbox's -998 is refused, and every one of them fails with
    # "can't get final child's PID from pipe: EOF". AppArmor profiles would be loaded for the whole machine, and stay.
    cat >"$ND/containerd.toml" <<TOML
version = 3
root = '$ND/containerd'
state = '/run/containerd'
disabled_plugins = ['io.containerd.nri.v1.nri']
[grpc]
  address = '$socket'
[plugins.'io.containerd.internal.v1.opt']
  path = '$ND/containerd/opt'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = 'lab.local/pause:1'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$BIN/cni']
    conf_dir = '$ND/cni'
TOML
}
kubelet_settings() {
    # A node offers three quarters of the machine's memory: the control plane and the machine's user live there, too.
    cat >"$ND/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: $NODE_CGROUP
enforceNodeAllocatable: [pods]
containerRuntimeEndpoint: unix://$socket
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-$NODE-serving.crt
tlsPrivateKeyFile: $PKI/kubelet-$NODE-serving.key
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $ND/resolv.conf
volumePluginDir: $ND/kubelet/volume-plugins
nodeStatusUpdateFrequency: $NODE_STATUS_FREQUENCY
nodeStatusReportFrequency: $NODE_STATUS_REPORT
nodeLeaseDurationSeconds: $NODE_LEASE_SECONDS
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: false
hairpinMode: none
oomScoreAdj: 0
maxOpenFiles: 20000
maxPods: 60
registryPullQPS: 0
kubeAPIQPS: 100
kubeAPIBurst: 200
volumeStatsAggPeriod: -1s
systemReserved: {cpu: 500m, memory: $(awk '/^MemTotal/ { print int($2 / 4) }' /proc/meminfo)Ki}
crashLoopBackOff: {maxContainerRestartPeriod: 5s}
featureGates: {KubeletCrashLoopBackOffMax: true}
YAML
}
proxy_settings() {
    cat >"$ND/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: $NODE
bindAddress: $NODE_IP
clusterCIDR: $POD_CIDR
detectLocalMode: ClusterCIDR
clientConnection: {kubeconfig: $D/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 0.2s, syncPeriod: 30s}
oomScoreAdj: 0
YAML
}

boot() {
    hostname "$NODE"
    printf '%.15s' "$NODE" >/proc/self/comm
    rm -rf "$ND/run" "$ND/cni" # of a former life
    mounts
    rm -f "$device_socket"
    containerd_settings
    kubelet_settings
    proxy_settings
    network
    ensure containerd
    until [ -S $socket ]; do sleep 0.05; done
    # before the first Pod, or it waits for a registry that does not exist
    "$BIN/ctr" -n k8s.io images import "$BIN/pause.tar"
    ensure kubelet
    ensure kube-proxy
    if [ -f "$ND/gpus" ]; then # the node gets Ready with its GPUs, not 10 s before them
        ensure device-plugin
        until_ok 10 test -S "$device_socket" || say "no device plug-in"
    fi
    pod_network
    while :; do sleep 1000 & wait $!; done # reaps
}

case $1 in
    boot) boot ;;
    start) ensure "$2" ;;
    stop) stop "$ND" "$2" "${3:-TERM}" ;;
    send) send "$ND" "$2" "$3" ;;
    states) for p in containerd kubelet kube-proxy device-plugin; do echo "$p $(state_of "$ND" "$p")"; done ;;
    *) die "usage: $0 boot|start|stop|send|states" ;;
esac
