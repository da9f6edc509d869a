# shellcheck shell=bash
# GPUs that do not exist: the device plug-in and the labels of real nodes, and racks of simulated nodes. Sourced by lab, runs
# inside the lab; the labels are those that GPU feature discovery sets on nodes with such GPUs.

# gpu_labels PRODUCT COUNT: one NAME=VALUE a line
gpu_labels() {
    local family memory major minor
    case $1 in
        NVIDIA-A100-SXM4-80GB) family=ampere memory=81920 major=8 minor=0 ;;
        NVIDIA-L40S) family=ada-lovelace memory=46068 major=8 minor=9 ;;
        NVIDIA-H20) family=hopper memory=97871 major=9 minor=0 ;;
        NVIDIA-H100-80GB-HBM3) family=hopper memory=81559 major=9 minor=0 ;;
        NVIDIA-H200) family=hopper memory=143771 major=9 minor=0 ;;
        NVIDIA-B200) family=blackwell memory=183359 major=10 minor=0 ;;
        *) die "no GPU product $1; there are NVIDIA-A100-SXM4-80GB, -L40S, -H20, -H100-80GB-HBM3, -H200 and -B200" ;;
    esac
    cat <<LABELS
nvidia.com/gpu.present=true
nvidia.com/gpu.product=$1
nvidia.com/gpu.count=$2
nvidia.com/gpu.replicas=1
nvidia.com/gpu.memory=$memory
nvidia.com/gpu.family=$family
nvidia.com/gpu.machine=lab
nvidia.com/gpu.mode=compute
nvidia.com/gpu.sharing-strategy=none
nvidia.com/gpu.compute.major=$major
nvidia.com/gpu.compute.minor=$minor
nvidia.com/cuda.driver.major=580
nvidia.com/cuda.driver.minor=95
nvidia.com/cuda.driver.rev=05
nvidia.com/cuda.driver-version.full=580.95.05
nvidia.com/cuda.driver-version.major=580
nvidia.com/cuda.driver-version.minor=95
nvidia.com/cuda.driver-version.revision=05
nvidia.com/cuda.runtime.major=13
nvidia.com/cuda.runtime.minor=0
nvidia.com/cuda.runtime-version.full=13.0
nvidia.com/cuda.runtime-version.major=13
nvidia.com/cuda.runtime-version.minor=0
nvidia.com/mig.capable=$([ "$family" = ada-lovelace ] && echo false || echo true)
nvidia.com/mig.strategy=single
nvidia.com/mps.capable=false
nvidia.com/vgpu.present=false
LABELS
}

# set_gpus N COUNT [PRODUCT] [ID,ID...]: the node offers COUNT GPUs, gpu-0 and so on, of which those named are broken. A node
# that has not been booted yet gets Ready with them.
set_gpus() {
    local count=$2 product=NVIDIA-H100-80GB-HBM3 broken='' word labels
    node_env "$1"
    [[ $count =~ ^[0-9]+$ ]] || die "a number of GPUs is expected, not \"$count\""
    for word in "${@:3}"; do
        case $word in
            '') ;;
            gpu-*) broken=$word ;;
            *) product=$word ;;
        esac
    done
    mapfile -t labels < <(gpu_labels "$product" "$count")
    [ ${#labels[@]} -gt 1 ] || exit 1
    mkdir -p "$ND"
    (IFS=,; echo "${labels[*]}") >"$ND/labels"
    echo "$count $broken" >"$ND/gpus.new"
    mv "$ND/gpus.new" "$ND/gpus"
    node_pid >/dev/null || return 0
    in_node start device-plugin
    until_ok 30 kubectl get node "$NODE" || die "$NODE does not register"
    kubectl label node "$NODE" --overwrite "${labels[@]}" >/dev/null
}

# simulate RACK COUNT [GPUS [PRODUCT]]: nodes RACK-1 to RACK-COUNT, which a kwok process keeps alive; more on a second call
simulate() {
    local rack=$1 count=$2 gpus=${3:-8} product=${4:-NVIDIA-H100-80GB-HBM3} labels there n
    [[ $rack =~ ^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$ ]] || die "a rack's name is lower-case letters, digits and -; not \"$rack\""
    [[ $count =~ ^[0-9]+$ && $gpus =~ ^[0-9]+$ ]] || die "numbers of nodes and GPUs are expected, not \"$count\" and \"$gpus\""
    labels=$(gpu_labels "$product" "$gpus" | sed 's/=\(.*\)/: "\1"/; s/^/, /' | tr -d '\n')
    [ -n "$labels" ] || exit 1
    ensure_part "kwok-$rack"
    there=$(kubectl get nodes -o name)
    for ((n = 1; n <= count; n++)); do
        ! grep -qx "node/$rack-$n" <<<"$there" || continue
        cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: $rack-$n
  annotations: {kwok.x-k8s.io/node: $rack}
  labels: {kubernetes.io/hostname: $rack-$n, kubernetes.io/os: linux, kubernetes.io/arch: amd64, topology.kubernetes.io/zone: $rack, type: kwok$labels}
status:
  capacity: &r {cpu: "64", memory: 512Gi, pods: "110", ephemeral-storage: 1Ti, nvidia.com/gpu: "$gpus"}
  allocatable: *r
YAML
    done | { grep . || true; } >"$D/nodes.yaml"
    [ ! -s "$D/nodes.yaml" ] || kubectl create -f "$D/nodes.yaml" >/dev/null
}
