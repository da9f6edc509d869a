# shellcheck shell=bash
# Faults and their cures: `lab fault KIND ...` and `lab heal KIND ...` with the same words. Healing what is whole does nothing.
# Sourced by lab, runs inside the lab.
programs='kubelet|containerd|kube-proxy|device-plugin'
services='api|etcd|controllers|scheduler|dns'

# act fault|heal KIND ARGUMENT...
act() {
    local verb=$1 kind=$2
    shift 2
    case $kind in
        power | cable) arguments "$kind CLUSTER N" 2 $# ;;
        partition | block | block-api) arguments "$kind FROM TO" 2 $# ;;
        freeze-container | kill-container) arguments "$kind CLUSTER N NAMESPACE/POD[/CONTAINER]" 3 $# ;;
        freeze-rack | kill-rack) arguments "$kind CLUSTER RACK" 2 $# ;;
        *)
            if [[ $kind =~ ^(freeze|kill|stop)-($programs)$ ]]; then
                arguments "$kind CLUSTER N" 2 $#
            elif [[ $kind =~ ^(freeze|kill|stop)-($services)$ ]]; then
                arguments "$kind CLUSTER" 1 $#
            else
                die "no fault $kind; \`lab help\` lists them"
            fi
            ;;
    esac
    case $kind in
        partition | block | block-api) ;;
        *) cluster_env "$1" ;;
    esac
    case $kind in
        power | cable) known_node "$2"; "${kind}_$verb" ;;
        partition | block | block-api) "traffic_$verb" "$kind" "$1" "$2" ;;
        *-container) known_node "$2"; "container_$verb" "${kind%-*}" "$3" ;;
        *-rack) part_"$verb" "${kind%-*}" "kwok-$2" ;;
        *)
            if [[ ${kind#*-} =~ ^($programs)$ ]]; then
                known_node "$2"
                program_"$verb" "${kind%%-*}" "${kind#*-}"
            else
                part_"$verb" "${kind%%-*}" "${kind#*-}"
            fi
            ;;
    esac
    remember "$verb" "$kind $*"
}
arguments() { [ "$2" = "$3" ] || die "usage: lab fault|heal $1"; }

# The faults that are on, for status and for "heal all".
remember() {
    (
        flock 9
        { grep -vxF "$2" "$STATE/faults" 2>/dev/null || true; } >"$STATE/faults.new"
        case $1:$2 in
            fault:kill-container*) ;; # the kubelet heals that
            fault:*) echo "$2" >>"$STATE/faults.new" ;;
        esac
        mv "$STATE/faults.new" "$STATE/faults"
    ) 9>"$STATE/.faults.lock"
}
heal_all() {
    local words
    while read -ra words; do
        # in a process of its own: a fault of a cluster or node that is gone must not stop the rest
        (act heal "${words[@]}") </dev/null || remember heal "${words[*]}"
    done < <(cat "$STATE/faults" 2>/dev/null)
}

power_fault() { cut_power; }
power_heal() { boot; }
cable_fault() { pull_cable; }
cable_heal() { plug_cable; }

signal_of() { case $1 in freeze) echo STOP ;; kill) echo KILL ;; stop) echo TERM ;; esac; }

part_fault() { # freeze|kill|stop PART
    if [ "$1" = freeze ]; then send "$D" "$2" STOP; else stop "$D" "$2" "$(signal_of "$1")"; fi
}
part_heal() {
    if [ "$1" = freeze ]; then send "$D" "$2" CONT; else ensure_part "$2"; fi
    [ "$2" != api ] || wait_for_api
}
program_fault() { # freeze|kill|stop PROGRAM
    if [ "$1" = freeze ]; then in_node send "$2" STOP; else in_node stop "$2" "$(signal_of "$1")"; fi
}
program_heal() {
    if [ "$1" = freeze ]; then in_node send "$2" CONT; else in_node start "$2"; fi
}

# container_pids NAMESPACE/POD[/CONTAINER]: asked of the container runtime, as the API server may be away
container_pids() {
    local namespace pod container filter id
    IFS=/ read -r namespace pod container <<<"$1"
    filter="labels.\"io.cri-containerd.kind\"==container,labels.\"io.kubernetes.pod.namespace\"==$namespace"
    filter+=",labels.\"io.kubernetes.pod.name\"==$pod${container:+,labels.\"io.kubernetes.container.name\"==$container}"
    for id in $(enter "$BIN/ctr" -n k8s.io containers ls -q "$filter" 2>/dev/null); do
        # one that has ended is still listed for a while, and has no task
        { enter "$BIN/ctr" -n k8s.io tasks ps "$id" 2>/dev/null || true; } | awk 'NR > 1 { print $1 }'
    done
}
signal_container() { # SIGNAL NAMESPACE/POD[/CONTAINER]
    local pids
    mapfile -t pids < <(container_pids "$2")
    [ ${#pids[@]} -gt 0 ] || die "no running container of $2 on $NODE"
    enter kill "-$1" "${pids[@]}"
}
container_fault() { signal_container "$(signal_of "$1")" "$2"; }
container_heal() { [ "$1" = kill ] || signal_container CONT "$2"; }

# Every fault of the traffic has a table of its own; healing drops it.
#   partition A B   no packet passes between two clusters, their control planes included
#   block A B       one way only: connections opened by A towards B die, those opened by B towards A work
#   block-api A B   A, a cluster or one node such as east-n2, loses the API server of cluster B and nothing else
traffic_fault() {
    traffic_heal "$@"
    {
        printf 'add table inet %s\n' "$(table_of "$@")"
        printf 'add chain inet %s %s\n' \
            "$(table_of "$@")" 'through { type filter hook forward priority 0; }' \
            "$(table_of "$@")" 'local { type filter hook input priority 0; }'
        case $1 in
            partition)
                drop_between "$(table_of "$@")" "$2" "$3" ""
                drop_between "$(table_of "$@")" "$3" "$2" ""
                ;;
            # "original": packets of the side that opened the connection; answers to connections from the other side pass
            block) drop_between "$(table_of "$@")" "$2" "$3" "ct direction original" ;;
            block-api) drop_api "$(table_of "$@")" "$2" "$3" ;;
        esac
    } | nft -f -
}
traffic_heal() { ! nft list table inet "$(table_of "$@")" >/dev/null 2>&1 || nft delete table inet "$(table_of "$@")"; }
table_of() { tr -c 'a-z0-9\n' _ <<<"$1_$2_to_$3"; }
drop_between() { # TABLE FROM TO CONDITION: what is forwarded, and what goes to the API server, which listens in the lab itself
    local from
    cluster_env "$2"
    from=$BRIDGE
    cluster_env "$3"
    echo "add rule inet $1 through iifname \"$from\" oifname \"$BRIDGE\" $4 drop"
    echo "add rule inet $1 local iifname \"$from\" ip daddr $HOST_IP $4 drop"
}
drop_api() { # TABLE FROM TO
    local from source=
    if [[ $2 =~ ^(.+)-n([0-9]+)$ ]]; then
        cluster_env "${BASH_REMATCH[1]}"
        node_env "${BASH_REMATCH[2]}"
        source="ip saddr { $NODE_IP, $POD_RANGE }"
    else
        cluster_env "$2"
    fi
    from=$BRIDGE
    cluster_env "$3"
    echo "add rule inet $1 local iifname \"$from\" $source ip daddr $HOST_IP tcp dport $API_PORT drop"
}
