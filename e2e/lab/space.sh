# shellcheck shell=bash
# The space a lab lives in: one network, mount and PID namespace around everything, so that killing one process ends all of
# it; who keeps it; and what must not be left of it. Sourced by lab, runs outside.
# A lab of control planes only has no namespaces: its processes are plain ones of the user, on loopback.
CGROUPS=/sys/fs/cgroup
CGROUP=/lab-$LAB_ID
export CGROUP

confined() { [ "$(cat "$STATE/mode" 2>/dev/null)" = full ]; }
lab_is_up() {
    [ -z "${LAB_INSIDE:-}" ] || return 0
    case $(cat "$STATE/mode" 2>/dev/null) in
        full) lab_pid >/dev/null ;;
        control-plane-only) [ -n "$(marked_pids)" ] || [ -d "/proc/$(cat "$STATE/keeper.pid" 2>/dev/null || echo none)" ] ;;
        *) false ;;
    esac
}
require_lab() { lab_is_up || die "lab $LAB_ID is not up; \`lab up\` starts it"; }

child_of() { # PID: its only child. No "read": the file has no newline at its end.
    local child
    child=$(tr -d ' ' 2>/dev/null <"/proc/$1/task/$1/children") && [ -n "$child" ] && echo "$child"
}
lab_pid() { # PID 1 of the lab as seen from outside
    local p
    p=$(cat "$STATE/unshare.pid" 2>/dev/null) && marked "$p" && child_of "$p"
}

# inside COMMAND...: runs it in the lab's namespaces. It dies with this process: nsenter forks, and passes no signal on.
inside() {
    local p
    if confined; then
        p=$(lab_pid) || die "lab $LAB_ID is not up; \`lab up\` starts it"
        exec nsenter -t "$p" -n -m -p --wdns="$PWD" -- setpriv --pdeathsig KILL -- "$@"
    fi
    require_lab
    exec "$@"
}

check_names() {
    [[ $LAB_ID =~ ^[a-z][a-z0-9]{0,7}$ ]] || # names of network links have room for no more
        die "LAB_ID is 1 to 8 lower-case letters and digits and starts with a letter; not \"$LAB_ID\""
    [[ $STATE == /?* && ! $STATE =~ [[:space:]\'\"\\,:] ]] || die "STATE is an absolute path without blanks, quotes, commas and colons; not \"$STATE\""
    if [ -e "$STATE" ] && [ ! -O "$STATE" ]; then
        die "$STATE belongs to somebody else; set LAB_ID or STATE to another"
    fi
}
check_programs() { # NAME...: of $BIN
    local name
    for name; do
        [ -x "$BIN/$name" ] || die "$BIN/$name is missing: run $HERE/build.sh"
    done
}
# check_privilege [early]: everything real nodes need of the machine, by trying it; says all that is missing. Early, the commands
# that packages.sh installs may still be missing, and STATE is not made yet.
check_privilege() {
    local missing=() command early=${1:-} disk
    [ "$(id -u)" = 0 ] || missing+=("root (you are $(id -un 2>/dev/null || id -u))")
    for command in unshare nsenter setpriv ip nft; do
        [ -n "$early" ] || command -v "$command" >/dev/null || missing+=("the command $command ($HERE/packages.sh installs it)")
    done
    there_or_later() { [ -z "$early" ] || command -v "$1" >/dev/null; }
    if [ ${#missing[@]} = 0 ]; then
        ! there_or_later unshare || unshare --net --mount --pid --fork --mount-proc true 2>/dev/null ||
            missing+=("the right to make network, mount and PID namespaces (unshare; CAP_SYS_ADMIN)")
        ! there_or_later nft || unshare --net nft list tables >/dev/null 2>&1 ||
            missing+=("nftables in the kernel (nft list tables fails)")
        make_cgroup "$CGROUP" || missing+=("a cgroup file system at $CGROUPS to write in, with cpu, cpuset, memory and pids")
    fi
    case $STATE/ in /run/* | /var/run/* | /var/lib/*) missing+=("STATE elsewhere than below /run and /var/lib, which nodes replace") ;; esac
    disk=$STATE
    until [ -e "$disk" ]; do disk=$(dirname "$disk"); done
    case $(stat -f -c %T "$disk") in
        overlayfs | nfs | fuseblk) missing+=("STATE on a file system that can carry overlay mounts; $STATE lies on $(stat -f -c %T "$disk")") ;;
    esac
    [ ${#missing[@]} = 0 ] || {
        printf 'real nodes need, and this machine does not give:\n' >&2
        printf '  - %s\n' "${missing[@]}" >&2
        die "without them there is \`lab up --control-plane-only\`, or \`make lab CONTROL_PLANE_ONLY=1\`"
    }
}
# check [--control-plane-only]: whether a lab could be started here, before anything is installed or built for it
check() {
    case ${1:-} in
        --control-plane-only) check_names; return ;;
        ?*) die "lab check knows no $1; see \`lab help\`" ;;
    esac
    check_names
    ! lab_is_up || return 0
    local CGROUP=$CGROUP-check$$ rc=0 # of the trial's own, whoever else has a lab of this name
    (check_privilege early) || rc=$?
    remove_cgroup "$CGROUP"
    return $rc
}

# hierarchies: where cgroups can lie. With version 2 alone that is one; else one per controller, and runc uses "unified" as well.
unified() { [ -f "$CGROUPS/cgroup.controllers" ]; }
hierarchies() {
    local d
    if unified; then echo "$CGROUPS"; return; fi
    for d in "$CGROUPS"/*/; do [ ! -f "$d/cgroup.procs" ] || echo "${d%/}"; done
}
# make_cgroup PATH: the kubelet wants the cgroup below which it works in every hierarchy, with every controller
make_cgroup() {
    local d c part path=''
    if unified; then # written from the documentation of version 2; the machine this was made on has version 1
        mkdir -p "$CGROUPS$1" || return
        for part in "" ${1//\// }; do
            path+=${part:+/$part}
            for c in $(<"$CGROUPS$path/cgroup.controllers"); do
                echo "+$c" 2>/dev/null >"$CGROUPS$path/cgroup.subtree_control" || true
            done
        done
        for c in cpu cpuset memory pids; do grep -qw "$c" "$CGROUPS$1/cgroup.controllers" || return; done
        return
    fi
    for d in $(hierarchies); do
        [ "$d" != "$CGROUPS/unified" ] || continue
        mkdir -p "$d$1" || return
        [ "${d##*/}" = cpuset ] || continue
        for part in ${1//\// }; do # a cpuset is born empty
            path+=/$part
            cat "$d/cpuset.cpus" >"$d$path/cpuset.cpus"
            cat "$d/cpuset.mems" >"$d$path/cpuset.mems"
        done
    done
}
# remove_cgroup PATH: with all below it; in every hierarchy
remove_cgroup() {
    local d
    for d in $(hierarchies); do
        [ ! -d "$d$1" ] || find "$d$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
        [ ! -d "$d$1" ] || return
    done
}

# The kernel counts inotify instances per user over the whole machine, and 128 are too few for two nodes. Raised while a lab
# with nodes is up; the last one to go sets it back.
inotify=/proc/sys/fs/inotify/max_user_instances
inotify_before=/run/deepseek-lab.inotify
raise_inotify() {
    [ "$(cat $inotify)" -lt 8192 ] || return 0
    cat $inotify >$inotify_before
    echo 8192 >$inotify || say "cannot raise $inotify; more than two nodes may fail"
}
lower_inotify() {
    [ -f $inotify_before ] || return 0
    ! compgen -G "$CGROUPS/lab-*" >/dev/null && ! compgen -G "$CGROUPS/*/lab-*" >/dev/null || return 0
    cat $inotify_before >$inotify
    rm -f $inotify_before
}

make_space() { # full|control-plane-only
    check_names
    ! lab_is_up || die "lab $LAB_ID is up already; \`lab down\` ends it, another LAB_ID makes a second one"
    clean
    mkdir -p "$STATE"
    chmod 700 "$STATE" # keys lie in it
    if [ "$1" = full ]; then
        check_privilege
        check_programs containerd runc device-plugin forward coredns cni/ptp
        raise_inotify
    fi
    check_programs kube etcd
    echo "$1" >"$STATE/mode"
}
# hold: the lab's namespaces, until its PID 1 ends; that one ends with standard input, or never if that is /dev/null
hold() {
    if ! confined; then
        case $1 in
            leash) exec cat >/dev/null ;;
            stay) exec env "$MARK" sleep infinity ;; # a sign that the lab is up
        esac
    fi
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec env "$MARK" bash -c 'echo $$ >"$1/unshare.pid"
        exec -a "lab-$LAB_ID" unshare --net --mount --pid --fork --mount-proc --kill-child=SIGKILL "$2" "$3"' \
        - "$STATE" "$HERE/init.sh" "$1" >>"$STATE/lab.log" 2>&1
}
space_is_there() {
    local p
    confined || return 0
    p=$(lab_pid) && [ -f "$STATE/inside" ] && echo "$p" >"$STATE/init.pid"
}
# keep: holds the lab for a caller, who has the other end of standard input, and cleans up after it. In a session of its own, so
# that neither Ctrl-C nor the killing of a process group keeps it from that.
keep() {
    echo $$ >"$STATE/keeper.pid"
    (hold leash) || true
    save_logs
    clean
}
save_logs() {
    [ -n "${LAB_KEEP_LOGS:-}" ] || return 0
    mkdir -p "$LAB_KEEP_LOGS"
    (cd "$STATE" && find . -path '*/log/*' -type f -exec cp --parents -t "$LAB_KEEP_LOGS" {} +) || true
}

# clean: ends what runs of this lab and removes what it left; fails if anything resists
clean() {
    local p
    rm -f "$STATE/mode" # from now on nothing starts
    if p=$(lab_pid); then
        kill -KILL "$p" 2>/dev/null || true
        until_ok 20 test ! -d "/proc/$p" || die "PID $p does not end"
    fi
    until_ok 10 no_marked_pids || die "these processes do not end: $(marked_pids | tr '\n' ' ')"
    if [ "$(id -u)" = 0 ]; then
        until_ok 10 remove_cgroup "$CGROUP" || say "cgroups are left below $CGROUP"
        lower_inotify
    fi
    rm -rf "$STATE"
}
no_marked_pids() {
    local pids
    pids=$(marked_pids)
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    return 1
}
take_down() {
    local keeper
    check_names
    keeper=$(cat "$STATE/keeper.pid" 2>/dev/null || true)
    [ ! -d "$STATE" ] || save_logs
    clean
    # it cleans up as well, and must not do so when the next lab is up
    [ -z "$keeper" ] || until_ok 10 test ! -d "/proc/$keeper" || die "the keeper of lab $LAB_ID, PID $keeper, does not end"
}

# leftovers: prints every trace of this lab on the machine; fails if there is one
leftovers() {
    local found
    found=$({
        marked_pids | while read -r pid; do
            printf 'process %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-100)"
        done
        awk -v s="$STATE/" '$5 == substr(s, 1, length(s) - 1) || index($5, s) == 1 { print "mount " $5 }' /proc/self/mountinfo
        hierarchies | while read -r d; do [ ! -d "$d$CGROUP" ] || echo "cgroup $d$CGROUP"; done
        find /sys/class/net -maxdepth 1 -name "$LAB_ID-*" -printf 'link %f\n'
        find /run/netns /var/run/netns -maxdepth 1 -name "*$LAB_ID*" -printf 'network namespace %p\n' 2>/dev/null
        [ ! -e "$STATE" ] || echo "state $STATE"
        [ ! -f $inotify_before ] || compgen -G "$CGROUPS/lab-*" >/dev/null || compgen -G "$CGROUPS/*/lab-*" >/dev/null ||
            echo "setting $inotify, to be $(cat $inotify_before)"
    } || true)
    [ -z "$found" ] || { echo "$found"; return 1; }
}
