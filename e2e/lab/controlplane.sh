# shellcheck shell=bash
# Clusters: their numbers, addresses and control planes, simulated nodes and DNS. Sourced by lab, runs inside the lab.
# The parts are plain processes: etcd, api, controllers, scheduler, dns, and kwok-RACK for every rack of simulated nodes.
core_parts=(etcd api controllers scheduler)

cluster_exists() { [ -f "$STATE/clusters/$1/settings" ]; }

# cluster_env CLUSTER: sets what follows from the cluster's number
cluster_env() {
    CLUSTER=$1
    cluster_exists "$CLUSTER" || die "there is no cluster $CLUSTER; \`lab cluster $CLUSTER\` makes it"
    D=$STATE/clusters/$CLUSTER
    PKI=$D/pki
    # shellcheck source=/dev/null
    . "$D/settings" # C and the ports
    BRIDGE=$LAB_ID-b$C
    HOST_IP=10.89.$C.1              # the control plane, on the cluster's bridge
    # shellcheck disable=SC2034 # node-init.sh gets it from the environment
    POD_CIDR=10.$((100 + C)).0.0/16 # node N has 10.(100+C).N.0/24
    SERVICE_CIDR=10.$((120 + C)).0.0/16
    DNS_IP=10.$((120 + C)).0.10
    AUDIT_LOG=$D/log/audit.log
    KUBECONFIG=$D/lab.kubeconfig
    export KUBECONFIG
}
kubectl() { KUBECACHEDIR=$STATE/kube-cache "$BIN/kubectl" "$@"; }
clusters() {
    local f
    for f in "$STATE"/clusters/*/settings; do
        [ ! -f "$f" ] || basename "$(dirname "$f")"
    done
}

# allot CLUSTER: gives it the lowest free number, and ports. With namespaces of its own the lab has every port to itself;
# without, it takes free ones of the machine.
allot() {
    local n=1 d=$STATE/clusters/$1 base
    [[ $1 =~ ^[a-z][a-z0-9-]{0,29}$ && ! $1 =~ (-|-n[0-9]+)$ ]] ||
        die "a cluster's name is lower-case letters, digits and -, starts with a letter, and does not end like a node's; not \"$1\""
    mkdir -p "$d"
    (
        flock 9
        [ ! -f "$d/settings" ] || exit 0
        while grep -qsx "C=$n" "$STATE"/clusters/*/settings; do n=$((n + 1)); done
        [ $n -le 19 ] || die "a lab holds up to 19 clusters"
        if confined; then base=$((5443 + 1000 * n)); else base=$(free_ports 5 "$LAB_ID $1"); fi
        printf 'C=%d\nAPI_PORT=%d\nETCD_PORT=%d\nPEER_PORT=%d\nCONTROLLERS_PORT=%d\nSCHEDULER_PORT=%d\n' \
            $n "$base" $((base + 1)) $((base + 2)) $((base + 3)) $((base + 4)) >"$d/settings.new"
        mv "$d/settings.new" "$d/settings"
    ) 9>"$STATE/clusters/.lock"
}
# free_ports COUNT SEED: the first of COUNT ports in a row that nobody listens on. Different labs start looking in
# different places, below the range from which the kernel takes ports.
free_ports() {
    local first=$((20000 + $(cksum <<<"$2" | cut -d' ' -f1) % 10000 / 10 * 10)) i
    while :; do
        for ((i = 0; i < $1; i++)); do
            ! (: <>"/dev/tcp/127.0.0.1/$((first + i))") 2>/dev/null || break
            ! grep -qsx ".*_PORT=$((first + i))" "$STATE"/clusters/*/settings || break
        done
        [ "$i" -lt "$1" ] || break
        first=$((first + 10))
    done
    echo $first
}

make_bridge() {
    ! ip link show "$BRIDGE" >/dev/null 2>&1 || return 0
    # A fixed MAC: else it is the lowest of the ports', changes when a node dies, and cuts the other nodes off for seconds.
    ip link add "$BRIDGE" address "$(printf '02:89:00:00:00:%02x' "$C")" type bridge
    ip addr add "$HOST_IP/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
}

start_etcd() {
    start "$D" etcd "$BIN/etcd" --name "$CLUSTER" --data-dir "$D/etcd" \
        --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
        --listen-peer-urls "http://127.0.0.1:$PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$PEER_PORT" \
        --initial-cluster "$CLUSTER=http://127.0.0.1:$PEER_PORT" \
        --unsafe-no-fsync --auto-compaction-retention=5m --log-level=warn
}
start_api() {
    local listen=127.0.0.1
    ! confined || listen=0.0.0.0
    mkdir -p "$D/log"
    # --enable-aggregator-routing: aggregated APIs and webhooks named by Service are dialled at their endpoints, so that no
    # kube-proxy is needed beside the API server.
    # shellcheck disable=SC2086 # API_FLAGS holds several
    start "$D" api "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
        --bind-address="$listen" --secure-port="$API_PORT" --advertise-address="$HOST_IP" \
        --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --audit-policy-file="$HERE/audit-policy.yaml" --audit-log-path="$AUDIT_LOG" --audit-log-maxsize=4096 \
        --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
        --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" \
        --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP,Hostname \
        --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
        --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
        --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
        --enable-aggregator-routing=true --profiling=false \
        --default-not-ready-toleration-seconds="$TOLERATION_SECONDS" \
        --default-unreachable-toleration-seconds="$TOLERATION_SECONDS" ${API_FLAGS:-}
}
start_controllers() {
    local k=$D/controllers.kubeconfig
    # 500 requests/s: with 20, asking for one token per controller alone takes 5 s at each start
    # shellcheck disable=SC2086
    start "$D" controllers "$BIN/kube-controller-manager" \
        --kubeconfig="$k" --authentication-kubeconfig="$k" --authorization-kubeconfig="$k" \
        --use-service-account-credentials=true --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
        --client-ca-file="$PKI/ca.crt" --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" \
        --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
        --leader-elect=false --allocate-node-cidrs=false --flex-volume-plugin-dir="$D/volume-plugins" --bind-address=127.0.0.1 --secure-port="$CONTROLLERS_PORT" \
        --node-monitor-period="$NODE_MONITOR_PERIOD" --node-monitor-grace-period="$NODE_MONITOR_GRACE" \
        --node-eviction-rate="$NODE_EVICTION_RATE" --kube-api-qps=500 --kube-api-burst=1000 --profiling=false \
        --horizontal-pod-autoscaler-sync-period="$HPA_SYNC_PERIOD" \
        --horizontal-pod-autoscaler-downscale-stabilization="$HPA_DOWNSCALE_STABILIZATION" ${CONTROLLERS_FLAGS:-}
}
start_scheduler() {
    local k=$D/scheduler.kubeconfig
    # shellcheck disable=SC2086
    start "$D" scheduler "$BIN/kube-scheduler" \
        --kubeconfig="$k" --authentication-kubeconfig="$k" --authorization-kubeconfig="$k" --leader-elect=false \
        --kube-api-qps=500 --kube-api-burst=1000 --bind-address=127.0.0.1 --secure-port="$SCHEDULER_PORT" --profiling=false \
        ${SCHEDULER_FLAGS:-}
}
# Cluster DNS as a process at the bridge's address, behind the usual Service. It knows no name outside the cluster.
start_dns() {
    cat >"$D/Corefile" <<CORE
cluster.local in-addr.arpa {
    bind $HOST_IP
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $D/dns.kubeconfig $CLUSTER
        ttl 2
    }
}
. {
    bind $HOST_IP
    template ANY ANY {
        rcode NXDOMAIN
    }
}
CORE
    start "$D" dns "$BIN/coredns" -conf "$D/Corefile"
}
dns_service() {
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $DNS_IP
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-lab, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$HOST_IP], conditions: {ready: true}}]
YAML
}
# One kwok process is one rack: freeze or kill it, and all of its nodes lose their heartbeat at once.
start_kwok() { # RACK
    local stage configs=() range
    for stage in node-fast node-heartbeat-with-lease node-chaos "pod-${KWOK_PODS:-fast}" pod-chaos; do
        configs+=(--config "$BIN/kwok-stages/$stage.yaml")
    done
    # Racks with the same range would hand out the same Pod addresses.
    grep -qsx "$1" "$D/racks" || echo "$1" >>"$D/racks"
    range=$((139 + $(grep -nx "$1" "$D/racks" | cut -d: -f1)))
    start "$D" "kwok-$1" "$BIN/kwok" "${configs[@]}" --kubeconfig "$D/kwok.kubeconfig" \
        --manage-nodes-with-annotation-selector="kwok.x-k8s.io/node=$1" \
        --node-lease-duration-seconds="$NODE_LEASE_SECONDS" --cidr="10.$range.0.0/16" --node-ip=127.0.0.1
}
start_part() { # PART
    case $1 in
        kwok-*) start_kwok "${1#kwok-}" ;;
        *) "start_$1" ;;
    esac
}
ensure_part() { [ "$(state_of "$D" "$1")" != stopped ] || start_part "$1"; }
parts() {
    local rack
    printf '%s\n' "${core_parts[@]}"
    ! confined || echo dns
    while read -r rack; do echo "kwok-$rack"; done < <(cat "$D/racks" 2>/dev/null)
}

api_ready() { kubectl --request-timeout=2s get --raw /readyz; }
api_ready_or_dead() { api_ready || [ "$(state_of "$D" api)" = stopped ]; }
wait_for_api() {
    until_ok 90 api_ready_or_dead && [ "$(state_of "$D" api)" = running ] ||
        die "the API server of $CLUSTER does not get ready: $(tail -n 1 "$D/log/api.log")"
}

# make_cluster CLUSTER: a control plane; starts what is missing of one that is there
make_cluster() {
    allot "$1"
    cluster_env "$1"
    cluster_keys
    ! confined || make_bridge
    ensure_part etcd
    ensure_part api
    wait_for_api
    ensure_part controllers
    ensure_part scheduler
    if confined; then
        ensure_part dns
        dns_service
    fi
    until_ok 60 kubectl get serviceaccount default -n default || die "no service accounts in $CLUSTER; see $D/log/controllers.log"
}

# remove_cluster: its nodes, its processes and all it wrote
remove_cluster() {
    local part n
    for n in $(real_nodes); do
        node_env "$n"
        cut_power
        remove_node_cgroups
    done
    for part in $(parts); do stop "$D" "$part" KILL; done
    ! confined || ip link del "$BRIDGE" 2>/dev/null || true
    rm -rf "$D"
}

# no_taints: every node is Ready and takes Pods. Ready comes a moment before the not-ready taint goes, and Pods created in
# between spread over the wrong nodes.
no_taints() {
    local nodes
    nodes=$(kubectl --request-timeout=5s get nodes \
        -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}{"\n"}{end}') || return 1
    ! grep -qvE '^[^ ]+ True $' <<<"$nodes" || return 1
    for n in $(real_nodes); do grep -q "^$CLUSTER-n$n " <<<"$nodes" || return 1; done
}
wait_until_ready() { # [SECONDS]
    until_ok "${1:-120}" no_taints || die "not every node of $CLUSTER is Ready and free of taints; \`lab status\` shows them"
}
