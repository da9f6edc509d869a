# shellcheck shell=bash
# Ways into the lab for programs outside: addresses on the machine's loopback. Sourced by lab, runs outside.
# Each is a process of its own, with a log in $STATE/forwards/log; it ends with the lab.

# resolve CLUSTER TARGET: prints ADDRESS:PORT. A Service is asked for inside, as the lab has no other address for it.
resolve() {
    local namespace name port address
    case $2 in
        api) echo "127.0.0.1:$API_PORT" ;;
        */*:*)
            IFS=/: read -r namespace name port <<<"$2"
            address=$(lab kubectl "$1" get service "$name" -n "$namespace" -o jsonpath='{.spec.clusterIP}') || exit 1
            [[ $address == *.* ]] || die "Service $namespace/$name has no cluster IP"
            echo "$address:$port"
            ;;
        *.*.*.*:*) echo "$2" ;;
        *) die "TARGET is api, NAMESPACE/SERVICE:PORT or ADDRESS:PORT; not \"$2\"" ;;
    esac
}
# views CLUSTER TARGET: the network namespaces from which the target can be reached. Cluster IPs exist on nodes only.
views() {
    local n all=()
    case $2 in
        */*:*)
            for n in $(real_nodes); do all+=("$D/nodes/$1-n$n/netns"); done
            [ ${#all[@]} -gt 0 ] || die "a Service is reached through a real node, and $1 has none"
            (IFS=,; echo "${all[*]}")
            ;;
        *) echo "/proc/$(lab_pid)/ns/net" ;;
    esac
}
# listening NAME: where that forwarder listens, once it does
listening() { pid_of "$STATE/forwards" "$1" >/dev/null && awk 'NF == 2 && /^127/ { print $1; ok = 1; exit } END { exit !ok }' "$STATE/forwards/log/$1.log"; }

# forward CLUSTER TARGET [PORT]: prints the address outside; one that is there already is used again
forward() {
    local name=$1.${2//[\/:]/.} target view port
    cluster_env "$1"
    if ! confined; then
        [ "$2" = api ] || die "a control-plane-only lab has the API server alone to reach, and it listens on loopback already"
        echo "127.0.0.1:$API_PORT"
        return
    fi
    if ! listening "$name"; then
        target=$(resolve "$1" "$2")
        view=$(views "$1" "$2")
        # by default, a port that tells the cluster: 16443 for the first, 17443 for the second
        port=${3:-$([ "$2" = api ] && echo $((API_PORT + 10000)) || echo 0)}
        rm -f "$STATE/forwards/log/$name.log"
        start "$STATE/forwards" "$name" "$BIN/forward" -while "$(lab_pid)" "$view" "$port=$target"
        until_ok 5 listening "$name" || die "no forwarder: $(cat "$STATE/forwards/log/$name.log")"
        listening "$name"
    fi
}
unforward() { # CLUSTER TARGET
    stop "$STATE/forwards" "$1.${2//[\/:]/.}"
}
forwards() { # "CLUSTER TARGET-NAME ADDRESS" a line
    local f name
    for f in "$STATE"/forwards/run/*.pid; do
        name=$(basename "$f" .pid)
        ! listening "$name" >/dev/null || echo "${name%%.*} ${name#*.} $(listening "$name")"
    done
}

# outer_kubeconfig CLUSTER: prints one for programs outside
outer_kubeconfig() {
    local address
    address=$(forward "$1" api)
    cluster_env "$1"
    # 127.0.0.1 is among the names in the server's certificate
    sed "s#server: \"[^\"]*\"#server: \"https://$address\"#" "$D/admin.kubeconfig"
}
