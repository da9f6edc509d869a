#!/usr/bin/env bash
# The test of the lab itself: starts labs, breaks and mends all that can be broken, and looks for what is left. Needs root and
# `build.sh` run before; a few minutes. Its last line is "N passed, N failed", and it fails if a check did.
# ONLY=REGEX runs the sections that match (see the end); the section "up" always runs.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
export LAB_ID=${SMOKE_ID:-smk} LAB_TIMES=quick
unset STATE
second=${LAB_ID}2 passed=0 failed=0
scratch=$(mktemp -d)

lab() { "$here/lab" "$@"; }
lab2() { LAB_ID=$second "$here/lab" "$@"; }
k() { lab kubectl "$@"; }
finish() {
    lab down
    lab2 down
    rm -rf "$scratch"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
trap 'finish; exit' EXIT

# check NAME COMMAND...: one check, with the time it took
check() {
    local name=$1 start=${EPOCHREALTIME/./} result=ok
    shift
    "$@" >"$scratch/output" 2>&1 || result=FAILED
    printf '%-6s %6.1f s  %s\n' "$result" "$((${EPOCHREALTIME/./} - start))e-6" "$name"
    if [ $result = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        sed 's/^/         /' "$scratch/output" | tail -n 15
    fi
}
not() { ! "$@"; }
says() { # PATTERN COMMAND...: whether it fails or not
    local pattern=$1 output
    shift
    output=$("$@" 2>&1)
    grep -qE "$pattern" <<<"$output" || { echo "nothing of \"$pattern\" in: $output"; return 1; }
}
fails() { # PATTERN COMMAND...: it fails, and says that
    local pattern=$1 output
    shift
    ! output=$("$@" 2>&1) || { echo "it did not fail: $output"; return 1; }
    says "$pattern" echo "$output"
}
is() { [ "$1" = "$2" ] || { echo "got \"$1\", wanted \"$2\""; return 1; }; }
within() { local limit=$1; shift; until_ok "$limit" "$@" || { echo "not within $limit s: $*"; "$@"; return 1; }; }
took_at_most() { # SECONDS COMMAND...
    local start=${EPOCHREALTIME/./} limit=$1
    shift
    "$@" || return
    [ $((${EPOCHREALTIME/./} - start)) -le $((limit * 1000000)) ] || { echo "took more than $limit s"; return 1; }
}

# Nothing comes back: refused or no answer in time. Any other failure is one of the test.
unreachable() {
    local rc=0
    fetch "$@" || rc=$?
    [ $rc = 7 ] || [ $rc = 28 ] || { echo "curl: $rc"; return 1; }
}
fetch() { lab exec curl -sSf -m 3 "$@"; }
outside() { curl -sSf -m 5 --noproxy '*' "$@"; }
field() { k "$1" get "$2" -o jsonpath="$3"; } # CLUSTER OBJECT PATH
field_is() { is "$(field "$1" "$2" "$3")" "$4"; }
ready_is() { field_is "$1" "node/$2" '{.status.conditions[?(@.type=="Ready")].status}' "$3"; }
gpus_are() { field_is "$1" "node/$2" '{.status.allocatable.nvidia\.com/gpu}' "$3"; }
ip_of() { field "$1" "pod/$2" '{.status.podIP}'; }
pod_ready() { k "$1" wait --for=condition=Ready "pod/$2" --timeout=40s; } # CLUSTER POD
status_says() { lab status --json | jq -e "$1"; }

# pod NAME NODE [EXTRA-SPEC [EXTRA-OF-CONTAINER]]: a Pod of the echo server that may run under Pod Security "restricted"
pod() {
    local container='ports: [{containerPort: 8080}]'
    cat <<YAML
---
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: echo, pod: $1}}
spec:
  nodeName: $2
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  tolerations: [{operator: Exists}]
  ${3:-volumes: []}
  containers:
    - name: echo
      image: lab.local/echo:1
      imagePullPolicy: Never
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
      ${4:-$container}
YAML
}

section_up() {
    check "nothing is left of an earlier lab" lab leftovers
    check "lab down without a lab" lab down
    check "status without a lab" status_says '.up == false'
    check "up with two nodes, Ready and without taints, in 15 s" took_at_most 15 lab up --stay east
    check "status tells so" status_says '.up and (.clusters[0].nodes | map(select(.ready == "True" and .gpus == 8)) | length == 2)'
    check "a second \"up\" is refused" fails "up already" lab up --stay
    check "import of an image" lab import east all "$BIN/echo.tar"
    { pod a east-n1; pod b east-n2; } | k east apply -f - >/dev/null
    k east apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 80, targetPort: 8080}]}
YAML
    check "a Pod is ready on each node" eval 'pod_ready east a && pod_ready east b'
    a=$(ip_of east a) b=$(ip_of east b)
}

section_network() {
    check "Pod to Pod across nodes" fetch "http://$a:8080/fetch?url=http://$b:8080/"
    check "Pod to Service by its name" within 5 fetch "http://$a:8080/fetch?url=http://echo/"
    check "Pod to Service by its full name" fetch "http://$a:8080/fetch?url=http://echo.default.svc.cluster.local/"
    check "Pod to the API server by its name" says "HTTPS server" fetch --no-fail "http://$a:8080/fetch?url=http://kubernetes.default:443/"
    check "no name outside resolves" says "no such host" fetch --no-fail "http://$a:8080/fetch?url=http://example.com/"
    address=$(lab forward east default/echo:80)
    check "a Service from outside" outside "http://$address/"
    check "asked again, the same address" is "$(lab forward east default/echo:80)" "$address"
    lab kubeconfig east >"$scratch/kubeconfig"
    check "the API server from outside" "$BIN/kubectl" --kubeconfig "$scratch/kubeconfig" get --raw /readyz
    check "Helm" lab helm east list
    check "status names the forwarders" status_says '.forwards | length == 2'
    check "unforward" eval 'lab unforward east default/echo:80 && not outside "http://$address/"'
}

section_security() {
    k east create namespace tight >/dev/null
    k east label namespace tight pod-security.kubernetes.io/enforce=restricted >/dev/null
    check "Pod Security lets a modest Pod pass" eval 'pod modest "" | k east apply -n tight --dry-run=server -f -'
    pod greedy '""' | sed /securityContext/d >"$scratch/greedy.yaml"
    check "Pod Security refuses a root Pod" fails "violates PodSecurity" k east apply -n tight --dry-run=server -f "$scratch/greedy.yaml"
    check "the audit log has who made it" says '^admin 201$' jq -r \
        'select(.verb == "create" and .objectRef.resource == "namespaces" and .objectRef.name == "tight") | "\(.user.username) \(.responseStatus.code)"' \
        "$(lab status --json | jq -r '.clusters[0].audit_log')"
    check "a kubelet may not read secrets at will" not k east auth can-i list secrets --as=system:node:east-n1 --as-group=system:nodes
}

section_gpus() {
    check "labels of a GPU node" field_is east node/east-n1 '{.metadata.labels.nvidia\.com/gpu\.product}/{.metadata.labels.nvidia\.com/gpu\.memory}' NVIDIA-H100-80GB-HBM3/81559
    pod two east-n1 "volumes: []" 'resources: {limits: {nvidia.com/gpu: "2"}}' | k east apply -f - >/dev/null
    check "a Pod gets two GPUs" eval 'pod_ready east two && fetch "http://$(ip_of east two):8080/env?name=NVIDIA_VISIBLE_DEVICES" | grep -xE "gpu-[0-7],gpu-[0-7]"'
    lab gpus east 2 4 NVIDIA-H200 gpu-0,gpu-3
    check "broken GPUs are not given out" within 15 gpus_are east east-n2 2
    check "another product" field_is east node/east-n2 '{.metadata.labels.nvidia\.com/gpu\.product}/{.metadata.labels.nvidia\.com/gpu\.count}' NVIDIA-H200/4
    check "an unknown product is refused" fails "no GPU product" lab gpus east 2 4 NVIDIA-GTX-1080
    lab gpus east 2 8
    check "mended GPUs are back" within 15 gpus_are east east-n2 8
    k east delete pod two --wait=false >/dev/null
}

section_volumes() {
    mkdir -p "$scratch/weights"
    echo deepseek >"$scratch/weights/model.txt"
    check "a volume from a directory" is "$(lab volume east 2 tiny "$scratch/weights")" tiny-n2
    k east apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: tiny}
spec: {accessModes: [ReadOnlyMany], storageClassName: lab-local, resources: {requests: {storage: 1Gi}}, selector: {matchLabels: {lab.local/volume: tiny}}}
YAML
    # without nodeName: the scheduler must find the volume's node
    pod reader '""' 'volumes: [{name: models, persistentVolumeClaim: {claimName: tiny, readOnly: true}}]' \
        'volumeMounts: [{name: models, mountPath: /models, readOnly: true}]' | k east apply -f - >/dev/null
    check "a Pod reads it, on that node" eval 'pod_ready east reader && field_is east pod/reader "{.spec.nodeName}" east-n2 &&
        is "$(fetch "http://$(ip_of east reader):8080/file?path=/models/model.txt")" deepseek'
    check "and cannot write it" says "read-only file system" fetch --no-fail "http://$(ip_of east reader):8080/file?path=/models/x&write=1"
    "$TOP/e2e/engine/image.sh" "$scratch/weights.tar" lab.local/weights:1 "$scratch/weights"
    lab import east 1 "$scratch/weights.tar"
    pod imaged east-n1 'volumes: [{name: models, image: {reference: "lab.local/weights:1", pullPolicy: Never}}]' \
        'volumeMounts: [{name: models, mountPath: /models, readOnly: true}]' | k east apply -f - >/dev/null
    check "a Pod reads an image volume" eval 'pod_ready east imaged && is "$(fetch "http://$(ip_of east imaged):8080/file?path=/models/model.txt")" deepseek'
    k east delete pod reader imaged --wait=false >/dev/null
}

section_simulated() {
    check "three simulated nodes" eval 'lab kwok east rack-a 2 8 && lab kwok east rack-a 3 8 && lab kwok east rack-b 1 4 NVIDIA-H200 && lab ready east 30'
    check "their GPUs" eval 'gpus_are east rack-a-3 8 && gpus_are east rack-b-1 4'
    lab fault freeze-rack east rack-a
    check "a frozen rack is lost" within 40 ready_is east rack-a-3 Unknown
    check "the other is not" ready_is east rack-b-1 True
    lab heal freeze-rack east rack-a
    check "thawed, it is back" within 20 ready_is east rack-a-3 True
}

section_nodes() {
    # a connection to the kubelet, which says nothing until it is asked; "timeout" tells that it never said goodbye either
    lab exec timeout 4 bash -c 'exec 3<>/dev/tcp/10.89.1.12/10250 && touch "$1" && cat <&3' - "$scratch/open" &
    silent=$!
    within 5 [ -e "$scratch/open" ] >/dev/null
    lab fault power east 2
    check "power cut: no connection is told" eval 'wait $silent; is $? 124'
    check "power cut: the Pod is gone" unreachable "http://$b:8080/"
    check "power cut: status tells" status_says '.faults == ["power east 2"] and .clusters[0].nodes[1].power == "off"'
    check "power cut: the node is lost" within 40 ready_is east east-n2 Unknown
    check "power back: the node is Ready" eval 'lab heal power east 2 && within 20 ready_is east east-n2 True'
    check "power back: the Pod is ready, in place" eval 'within 20 field_is east pod/b "{.status.containerStatuses[0].restartCount}" 1 && pod_ready east b'
    check "power back: GPUs" within 15 gpus_are east east-n2 8
    b=$(ip_of east b)
    check "the node's Pod can be reached" within 5 fetch "http://$b:8080/"
    lab fault cable east 2
    check "cable cut: the Pod cannot be reached" unreachable "http://$b:8080/"
    check "cable cut: yet it lives" eval 'lab node-exec east 2 curl -sSf -m 3 "http://$b:8080/"'
    lab heal cable east 2
    check "cable mended" within 10 fetch "http://$b:8080/"
    lab fault freeze-kubelet east 1
    check "kubelet frozen: status tells" status_says '.clusters[0].nodes[0].programs[] | select(.name == "kubelet") | .state == "frozen"'
    check "kubelet frozen: the node is lost" within 40 ready_is east east-n1 Unknown
    check "kubelet frozen: the Pod answers" fetch "http://$a:8080/"
    lab heal freeze-kubelet east 1
    check "kubelet thawed" within 20 ready_is east east-n1 True
    lab fault kill-containerd east 1
    check "containerd killed: the Pod answers" fetch "http://$a:8080/"
    check "containerd started again" eval 'lab heal kill-containerd east 1 && within 20 says ready-after k east exec a -- /echo -h'
    lab fault kill-kubelet east 1
    lab fault stop-device-plugin east 1
    lab fault stop-kube-proxy east 1
    check "programs stopped: status tells" status_says '[.clusters[0].nodes[0].programs[] | select(.state == "stopped")] | length == 3'
    check "heal all" eval 'lab heal all && status_says "(.faults == []) and ([.clusters[].nodes[].programs[] | select(.state == \"stopped\")] == [])"'
    check "the node's GPUs are back" within 20 gpus_are east east-n1 8
    lab ready east 30
}

section_containers() {
    lab fault freeze-container east 1 default/a
    check "container frozen: it does not answer" unreachable "http://$a:8080/"
    lab heal freeze-container east 1 default/a
    check "container thawed" fetch "http://$a:8080/"
    local before
    before=$(field east pod/a '{.status.containerStatuses[0].restartCount}')
    lab fault kill-container east 1 default/a/echo
    check "container killed: it is restarted" within 20 field_is east pod/a '{.status.containerStatuses[0].restartCount}' $((before + 1))
    check "a container that is not there" fails "no running container" lab fault kill-container east 1 default/nobody
    pod_ready east a >/dev/null
    a=$(ip_of east a)
}

section_controlplane() {
    local action part
    for action in freeze kill stop; do
        lab fault $action-api east
        check "API server, $action: it does not answer" not k east get --raw /readyz --request-timeout=2s
        check "API server, $action: healed" eval "lab heal $action-api east && k east get --raw /readyz"
    done
    for part in etcd controllers scheduler dns; do
        check "$part killed and started" eval "lab fault kill-$part east && status_says '.clusters[0].parts[] | select(.name == \"$part\") | .state == \"stopped\"' &&
            lab heal kill-$part east && status_says '.clusters[0].parts[] | select(.name == \"$part\") | .state == \"running\"'"
    done
    check "names resolve again" within 10 fetch "http://$a:8080/fetch?url=http://echo/"
    check "the cluster still makes service accounts" eval 'k east create namespace after && within 10 k east get serviceaccount default -n after'
    check "and is ready" lab ready east 40
}

section_clusters() {
    check "a second cluster with a node" eval 'lab cluster west && lab node west 1 && lab ready west 30 && lab import west all "$BIN/echo.tar"'
    pod w west-n1 | k west apply -f - >/dev/null
    check "its Pod is ready" pod_ready west w
    w=$(ip_of west w)
    east_west() { fetch "http://$a:8080/fetch?url=http://$w:8080/"; }
    west_east() { fetch "http://$w:8080/fetch?url=http://$a:8080/"; }
    # it answers, if only that it wants TLS
    api() { says "HTTPS server" fetch --no-fail "http://$1:8080/fetch?url=http://10.89.$2.1:$((5443 + 1000 * $2))/"; }
    check "the clusters see each other" eval 'east_west && west_east && api "$a" 2'
    lab fault partition east west
    check "partition" eval 'not east_west && not west_east && not api "$a" 2 && api "$a" 1'
    lab heal partition east west
    check "partition healed" eval 'east_west && west_east'
    lab fault block west east
    check "blocked one way" eval 'east_west && not west_east && not api "$w" 1'
    lab heal block west east
    lab fault block-api east-n1 east
    check "a node without its API server" eval 'not api "$a" 1 && api "$b" 1 && east_west'
    check "heal all" eval 'lab heal all && api "$a" 1 && west_east'
    check "remove a node" eval 'lab node west 2 && lab ready west 30 && lab remove west 2 && not k west get node west-n2'
    check "remove a cluster" eval 'lab remove west && not lab kubectl west get ns && k east get --raw /readyz'
}

section_two_labs() {
    check "a second lab" lab2 up --stay --nodes 1 --gpus 0 east
    check "it has its own nodes" eval 'is "$(lab2 kubectl east get nodes -o name)" node/east-n1'
    check "another port for its API server" eval 'lab forward east api && lab2 kubeconfig east >"$scratch/second" && "$BIN/kubectl" --kubeconfig "$scratch/second" get --raw /readyz'
    check "down of the second" lab2 down
    check "nothing is left of it" lab2 leftovers
    check "the first lives on" eval 'lab ready east 20 && fetch "http://$a:8080/fetch?url=http://$b:8080/"'
}

# crash NAME caller|group|lab FLAGS...: a lab whose caller is killed, or its whole process group, or "lab up" alone
crash() {
    local name=$1 victim=$2 caller
    shift 2
    rm -f "$scratch/crash"
    [ -p "$scratch/never" ] || mkfifo "$scratch/never"
    export here second scratch
    # the caller: it alone holds the other end of the lab's standard input
    setsid bash -c 'exec 7> >(echo $BASHPID >"$scratch/crash.pid"; LAB_ID=$second exec "$here/lab" up "$@" >"$scratch/crash" 2>&1)
        read -r _ <>"$scratch/never"' caller "$@" &
    caller=$!
    check "$name: up" within 40 grep -q ready "$scratch/crash"
    check "$name: it is there" not lab2 leftovers
    case $victim in
        caller) kill -KILL "$caller" ;;
        group) kill -KILL -- "-$caller" ;;
        lab) kill -KILL "$(cat "$scratch/crash.pid")" ;;
    esac
    check "$name: nothing is left in 10 s" within 10 lab2 leftovers
    kill -KILL -- "-$caller" 2>/dev/null
    wait "$caller" 2>/dev/null
}
section_crash() {
    crash "caller killed" caller --nodes 1 east
    crash "caller's group killed" group --nodes 1 east
    crash "\"lab up\" killed" lab --nodes 0 east
    crash "control-plane-only, caller killed" caller --control-plane-only east
    crash "control-plane-only, group killed" group --control-plane-only east
    check "a lab that cannot start says so and leaves nothing" eval 'API_FLAGS=--nonsense took_at_most 10 fails "unknown flag: --nonsense" lab2 up --nodes 0 <>"$scratch/never" && lab2 leftovers'
    check "a lab ends with its standard input" eval 'echo | LAB_ID=$second took_at_most 20 lab up --empty && lab2 leftovers'
}

section_unprivileged() {
    local programs=$scratch/programs program
    mkdir -p "$programs"
    for program in kube etcd kwok kwok-stages; do cp -rL "$BIN/$program" "$programs/"; done
    for program in kubectl kube-apiserver kube-controller-manager kube-scheduler; do ln -s kube "$programs/$program"; done
    chmod 755 "$scratch"
    nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent BIN="$programs" LAB_ID="$second" "$here/lab" "$@"; }
    check "a check says why, and starts nothing" eval 'fails "root .you are nobody" nobody check && nobody leftovers'
    check "without real nodes it has no objection" eval 'nobody check --control-plane-only && nobody leftovers'
    check "real nodes are refused, with the reason" fails "root .you are nobody" nobody up --stay
    check "a control plane without privilege" took_at_most 30 nobody up --stay --control-plane-only
    check "simulated nodes" eval 'nobody kwok east rack 2 && nobody ready east 30'
    check "fault and heal" eval 'nobody fault kill-api east && not nobody kubectl east get ns && nobody heal kill-api east && nobody kubectl east get ns'
    check "two side by side" eval 'nobody cluster west && nobody kubectl west get --raw /readyz'
    check "somebody else's lab is left alone" eval 'fails "belongs to somebody else|is up already" lab2 up --stay --empty && nobody kubectl east get --raw /readyz'
    check "down" eval 'nobody down && nobody leftovers'
}

section_down() {
    check "down" took_at_most 15 lab down
    check "nothing is left" lab leftovers
    check "down again" lab down
}

for section in up network security gpus volumes simulated nodes containers controlplane clusters two_labs crash unprivileged down; do
    [ $section = up ] || [ $section = down ] || [[ $section =~ ${ONLY:-.} ]] || continue
    "section_$section"
done
