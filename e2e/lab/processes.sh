# shellcheck shell=bash
# Daemons of the lab: started with a log and a pid file, signalled, stopped, found again. Sourced by lab.
# Every process carries DEEPSEEK_LAB in its environment, so that even one that lost its pid file is found and ended.
MARK="DEEPSEEK_LAB=$LAB_ID:$STATE"

# start HOME NAME COMMAND...: a daemon with HOME/log/NAME.log and HOME/run/NAME.pid
start() {
    local home=$1 name=$2
    shift 2
    [ -f "$STATE/mode" ] || die "lab $LAB_ID is going down"
    mkdir -p "$home/log" "$home/run"
    env "$MARK" setsid "$@" >>"$home/log/$name.log" 2>&1 </dev/null &
    echo $! >"$home/run/$name.pid"
}

# pid_of HOME NAME: the daemon's PID, if it lives. The mark guards against a number that has gone to another process.
pid_of() {
    local pid
    pid=$(cat "$1/run/$2.pid" 2>/dev/null) && marked "$pid" && echo "$pid"
}
marked() { grep -qzsxF "$MARK" "/proc/$1/environ"; } # a zombie has no environment

# state_of HOME NAME: running, frozen or stopped
state_of() {
    local pid
    pid=$(pid_of "$1" "$2") || { echo stopped; return; }
    case $(ps -o state= -p "$pid") in
        T*) echo frozen ;;
        *) echo running ;;
    esac
}

# send HOME NAME SIGNAL
send() {
    local pid
    pid=$(pid_of "$1" "$2") || die "$2 is not running"
    kill "-$3" "$pid"
}

# stop HOME NAME [SIGNAL]: ends it and waits for it
stop() {
    local pid
    pid=$(pid_of "$1" "$2") || { rm -f "$1/run/$2.pid"; return 0; }
    kill "-${3:-TERM}" "$pid" 2>/dev/null || true
    # thawed, else it could not even die of TERM
    kill -CONT "$pid" 2>/dev/null || true
    until_ok 8 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    until_ok 5 gone "$pid" || die "$2 ($pid) does not end"
    rm -f "$1/run/$2.pid"
}
gone() { ! marked "$1"; }

# marked_pids: every process of this lab that can be seen from here
marked_pids() {
    local file
    grep -lzsxF "$MARK" /proc/[0-9]*/environ | while IFS=/ read -r _ _ file _; do
        [ "$file" = $$ ] || echo "$file"
    done || true
}
