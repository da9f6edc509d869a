#!/usr/bin/env bash
# From a machine with compilers to a chat completion: builds what is missing, starts a cluster with two real nodes, installs the
# chart, applies examples/quickstart and asks the model. Running it again takes up where things are.
# Writes target/demo.json and target/demo.kubeconfig (OUT is another folder than target); the last line is "demo: ok" only if all
# of it was true. What the machine does not give is said before anything is compiled.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
export LAB_ID=demo PATH=$PATH:/usr/sbin:/sbin
lab=e2e/lab/lab
out=${OUT:-$top/target}
kubeconfig=$out/demo.kubeconfig
steps=$out/demo.steps
target=$(uname -m)-unknown-linux-gnu
export OPERATOR_BINARY=$top/target/$target/release/deepseek-operator

fail() { printf 'demo: failed: %s\n' "$*" >&2; exit 1; }

# step NAME COMMAND...: runs it, and keeps how long it took
step() {
    local name=$1 from=$EPOCHREALTIME seconds
    shift
    printf '\n== %s\n' "$name" >&2
    "$@" || fail "$name; what it said is above"
    seconds=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    printf '%s\t%s\n' "$seconds" "$name" >>"$steps"
    printf '   %s s\n' "$seconds" >&2
}

packages() { e2e/lab/packages.sh; }
tools() { e2e/lab/build.sh kube etcd cni containerd runc pause helm coredns device_plugin forward; }
engine() { e2e/engine/build.sh llama_server model llama-server tiny-model; }
operator() { make --no-print-directory operator && e2e/engine/build.sh operator; }

cluster() {
    # a lab of an earlier run, if it is well, will do
    $lab ready east 20 2>/dev/null || { $lab down && $lab up --stay --nodes 2 --gpus 2 >/dev/null; } || return
    $lab kubeconfig east >"$kubeconfig"
}
images() { $lab import east all target/lab/images/{operator,llama-server,tiny-model}.tar >/dev/null; }

chart() {
    $lab helm east upgrade --install deepseek-operator "$top/charts/deepseek-operator" \
        --namespace deepseek-system --create-namespace --wait --timeout 2m \
        --set image.repository=lab.local/deepseek-operator --set image.tag=dev \
        --set engineImages.LlamaCpp=lab.local/llama-server:1 >/dev/null && newest_operator
}
# The tag stays the same, so Kubernetes does not see that the program behind it is another than in an earlier run.
newest_operator() {
    local mark=${TMPDIR:-/tmp}/deepseek-lab-$LAB_ID/operator.sha256
    if [ -f "$mark" ] && ! sha256sum --status -c "$mark"; then
        $lab kubectl east rollout restart -n deepseek-system deployment/deepseek-operator >/dev/null &&
            $lab kubectl east rollout status -n deepseek-system deployment/deepseek-operator --timeout=2m >/dev/null || return
    fi
    sha256sum "$OPERATOR_BINARY" >"$mark"
}

quickstart() {
    local seconds=0 seen='' line
    for file in examples/quickstart/namespace.yaml examples/quickstart/deployment.yaml; do
        $lab kubectl east apply -f - <"$file" >&2 || return
    done
    while [ $seconds -lt 90 ]; do
        line=$($lab kubectl east get dsd -n quickstart chat --no-headers -o \
            'custom-columns=R:.status.ready,W:.status.conditions[?(@.type=="Ready")].reason,S:.status.conditions[?(@.type=="Ready")].status') || return
        [ "$line" = "$seen" ] || printf '   %3d s  %s\n' "$seconds" "$line" >&2
        seen=$line
        [[ $line != *True ]] || return 0
        sleep 1
        seconds=$((seconds + 1))
    done
    $lab kubectl east describe dsd -n quickstart chat >&2
    return 1
}

# answer_in: prints the answer of a chat completion; fails if there is none, or nothing but blanks
answer_in() { jq -er '.choices[0].message.content | strings | select(test("\\S"))' || { echo 'the model has answered nothing' >&2; return 1; }; }
ask() {
    endpoint=$($lab forward east quickstart/chat:8000) || return
    answer=$(curl -sf -m 30 "http://$endpoint/v1/chat/completions" -H 'content-type: application/json' \
        -d '{"model": "deepseek-tiny", "messages": [{"role": "user", "content": "What is a bank?"}], "max_tokens": 24}' |
        answer_in) || return
    printf '   user:       What is a bank?\n   assistant: %s\n' "$answer" >&2
}

run() {
    mkdir -p "$out"
    rm -f "$out/demo.json" # that of an earlier run tells nothing of this one
    : >"$steps"
    $lab check || fail 'this machine cannot carry the demo; what it lacks is above'
    step 'Debian packages' packages
    step 'Kubernetes and its tools' tools
    step 'llama.cpp and a tiny model' engine
    step 'the operator' operator
    step 'a cluster with two real nodes' cluster
    step 'images onto the nodes' images
    step 'the chart' chart
    step 'the quickstart, until it is Ready' quickstart
    step 'a chat completion' ask

    jq -nR --arg kubeconfig "$kubeconfig" --arg endpoint "http://$endpoint/v1" --arg answer "$answer" \
        '{steps: [inputs | split("\t") | {name: .[1], seconds: (.[0] | tonumber)}],
          kubeconfig: $kubeconfig, endpoint: $endpoint, answer: $answer}' <"$steps" >"$out/demo.json"
}

told() {
    cat <<TXT

The weights are random, so the words are too; the way they took is the real one. Go on with:

    export KUBECONFIG=$kubeconfig
    $top/target/lab/bin/kubectl get dsd -A
    $top/target/lab/bin/kubectl describe dsd -n quickstart chat
    curl http://$endpoint/v1/models
    make demo-down

$(awk -F'\t' '{ printf "%8.1f s  %s\n", $1, $2; sum += $1 } END { printf "%8.1f s  in all\n", sum }' "$steps")
demo: ok
TXT
}

# its test sources it
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    run
    told
fi
