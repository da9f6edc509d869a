# shellcheck shell=bash
# What a lab consists of and how it is, for people and for programs. Sourced by lab; survey runs inside the lab.

# survey: one fact a line, words separated by blanks:
#   cluster NAME NUMBER ready|notready KUBECONFIG AUDIT-LOG
#   part CLUSTER NAME running|frozen|stopped LOG
#   node CLUSTER NAME real|simulated on|off|- plugged|cut|- READY GPUS
#   program CLUSTER NODE NAME running|frozen|stopped LOG
#   fault WORD...
survey() {
    local name part
    for name in $(clusters); do
        cluster_env "$name"
        echo "cluster $name $C $(api_ready >/dev/null 2>&1 && echo ready || echo notready) $D/admin.kubeconfig $AUDIT_LOG"
        for part in $(parts); do echo "part $name $part $(state_of "$D" "$part") $D/log/$part.log"; done
        survey_nodes
    done
    # shellcheck disable=SC2153
    sed 's/^/fault /' "$STATE/faults" 2>/dev/null || true
}
survey_nodes() {
    local seen n node ready gpus power cable
    seen=$(kubectl --request-timeout=2s get nodes -o \
        jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.allocatable.nvidia\.com/gpu}{"\n"}{end}' 2>/dev/null || true)
    for n in $(real_nodes); do
        node_env "$n"
        # shellcheck disable=SC2153
        read -r _ ready gpus <<<"$(grep "^$NODE " <<<"$seen")" || true
        power=off cable=cut
        ! node_pid >/dev/null || power=on
        ! ip -o link show "$LINK" up 2>/dev/null | grep -q . || cable=plugged
        echo "node $CLUSTER $NODE real $power $cable ${ready:-Unknown} ${gpus:-0}"
        [ $power = off ] || in_node states | while read -r program state; do
            echo "program $CLUSTER $NODE $program $state $ND/log/$program.log"
        done
    done
    while read -r node ready gpus; do
        [ -z "$node" ] || [ -d "$D/nodes/$node" ] || echo "node $CLUSTER $node simulated - - ${ready:-Unknown} ${gpus:-0}"
    done <<<"$seen"
}

facts() {
    lab survey
    forwards | sed 's/^/forward /'
}
status_table() {
    lab_is_up || { echo "lab $LAB_ID is down"; return; }
    echo "lab $LAB_ID is up ($(cat "$STATE/mode")); state and logs in $STATE"
    facts | awk '
        $1 == "cluster" { printf "\ncluster %s: API server %s\n  kubeconfig  %s\n  audit log   %s\n", $2, $4, $5, $6 }
        $1 == "part"    { printf "  %-12s%s\n", $3, $4 }
        $1 == "node"    { printf "  %-12s%s, Ready=%s, GPUs=%s%s%s\n", $3, $4, $7, $8, ($5 == "off" ? ", no power" : ""), ($6 == "cut" ? ", cable cut" : "") }
        $1 == "program" && $5 != "running" && !($4 == "device-plugin" && $5 == "stopped") { printf "  %-12s  %s %s\n", "", $4, $5 }
        $1 == "forward" { if (!f++) print "\nforwarded"; printf "  %-22s%s %s\n", $4, $2, $3 }
        $1 == "fault"   { if (!g++) print "\nfaults"; $1 = " "; print }'
}
status_json() {
    local up=false
    ! lab_is_up || up=true
    { [ $up = false ] || facts; } | awk -v lab="$LAB_ID" -v up=$up -v state="$STATE" -v mode="$(cat "$STATE/mode" 2>/dev/null || true)" '
        function q(s) { gsub(/[\\"]/, "\\\\&", s); return "\"" s "\"" }
        function add(list, item) { return list (list == "" ? "" : ",") item }
        $1 == "cluster" { order[++n] = $2; head[$2] = "\"name\":" q($2) ",\"number\":" $3 ",\"ready\":" ($4 == "ready" ? "true" : "false") ",\"kubeconfig\":" q($5) ",\"audit_log\":" q($6) }
        $1 == "part"    { parts[$2] = add(parts[$2], "{\"name\":" q($3) ",\"state\":" q($4) ",\"log\":" q($5) "}") }
        $1 == "node"    { nodes[$2] = nodes[$2] " " $3
                          facts[$3] = "\"name\":" q($3) ",\"kind\":" q($4) ",\"ready\":" q($7) ",\"gpus\":" $8
                          if ($4 == "real") facts[$3] = facts[$3] ",\"power\":" q($5) ",\"cable\":" q($6) }
        $1 == "program" { programs[$3] = add(programs[$3], "{\"name\":" q($4) ",\"state\":" q($5) ",\"log\":" q($6) "}") }
        $1 == "forward" { forwards = add(forwards, "{\"cluster\":" q($2) ",\"target\":" q($3) ",\"address\":" q($4) "}") }
        $1 == "fault"   { sub(/^fault /, ""); faults = add(faults, q($0)) }
        END {
            printf "{\"lab\":%s,\"up\":%s,\"mode\":%s,\"state\":%s,\"clusters\":[", q(lab), up, q(mode), q(state)
            for (i = 1; i <= n; i++) {
                c = order[i]; list = ""
                m = split(nodes[c], names, " ")
                for (j = 1; j <= m; j++) list = add(list, "{" facts[names[j]] ",\"programs\":[" programs[names[j]] "]}")
                printf "%s{%s,\"parts\":[%s],\"nodes\":[%s]}", (i > 1 ? "," : ""), head[c], parts[c], list
            }
            printf "],\"forwards\":[%s],\"faults\":[%s]}\n", forwards, faults
        }'
}

# logs [CLUSTER [NAME]]: paths of all logs, or the end of those of CLUSTER, or of one: a part, or N/PROGRAM
logs() {
    local follow=() files
    [ "${!#}" != -f ] || { follow=(-f); set -- "${@:1:$#-1}"; }
    if [ $# = 0 ]; then
        find "$STATE" -path '*/log/*' -type f 2>/dev/null | sort
        return
    fi
    cluster_env "$1"
    case ${2:-} in
        '') mapfile -t files < <(find "$D" -path '*/log/*' -name '*.log' ! -name audit.log | sort) ;;
        */*) files=("$D/nodes/$1-n${2%%/*}/log/${2#*/}.log") ;;
        *) files=("$D/log/$2.log") ;;
    esac
    [ -f "${files[0]}" ] || die "no log $2; \`lab logs\` lists them"
    exec tail -n 50 "${follow[@]}" "${files[@]}"
}
