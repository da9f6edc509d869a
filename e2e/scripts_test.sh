#!/usr/bin/env bash
# scripts_test.sh: tests the scripts as far as that needs neither a build nor a lab, and the operator's image definition. A few
# seconds. The last line is "N passed, N failed", with ", N skipped" if the machine lacks something; each of those says so.
set -uo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
unset CI LAB_ID STATE

passed=0 failed=0 skipped=0
check() { # check WHAT COMMAND...: passes if the command does
    if "${@:2}" >"$tmp/output" 2>&1; then
        passed=$((passed + 1)) && echo "ok      $1"
    else
        failed=$((failed + 1)) && echo "FAILED  $1" && sed 's/^/        /' "$tmp/output"
    fi
}
skip() { skipped=$((skipped + 1)) && echo "skipped $1"; }
fails() { ! "$@"; }
same() { [ "$1" = "$2" ] || { printf 'expected: %s\nseen:     %s\n' "$2" "$1"; return 1; }; }
# saying PATTERN STATUS COMMAND...: it ends with this status, and the pattern is in what it says
saying() {
    local said rc=0
    said=$("${@:3}" 2>&1) || rc=$?
    same "$rc" "$2" && grep -qE -- "$1" <<<"$said" || { printf '%s\n' "$said"; return 1; }
}
# Somebody without root, and a machine that cannot carry a lab although root asks: nodes replace /run.
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "$@"; }
no_lab() { STATE=/run/deepseek-lab-nowhere timeout 60 "$@"; }

# --- demo -------------------------------------------------------------------------------------------------------------

answer_in() { (. e2e/demo.sh && answer_in <<<"{\"choices\": [{\"message\": {\"content\": $1}}]}"); }
check "demo: an answer is one" same "$(answer_in '"a bank is"')" "a bank is"
for nothing in '""' '" \n"' null '{}'; do check "demo: $nothing is no answer" fails answer_in "$nothing"; done
check "demo: an error is no answer" fails bash -c '. e2e/demo.sh && answer_in <<<"{\"error\": {\"message\": \"x\"}}"'

mkdir "$tmp/out"
demo() { OUT=$tmp/out no_lab e2e/demo.sh; }
echo '{"answer": "of yesterday"}' >"$tmp/out/demo.json"
check "demo: what the machine lacks is said first" saying 'STATE elsewhere than below /run' 1 demo
check "demo: and nothing is built" saying 'demo: failed: this machine cannot carry' 1 demo
check "demo: no answer of an earlier run is left" [ ! -e "$tmp/out/demo.json" ]
check "demo: nor does it say ok" fails saying 'demo: ok' 1 demo

# --- lab --------------------------------------------------------------------------------------------------------------

check "lab check: an unknown flag" saying 'knows no --odd' 1 e2e/lab/lab check --odd
check "make lab: what the machine lacks is said first" saying 'STATE elsewhere' 2 no_lab make --no-print-directory lab
packages_of() { PATH=$tmp/none /bin/bash e2e/lab/packages.sh --check "$@"; }
mkdir "$tmp/none"
for tool in bash dirname sort date mktemp; do ln -s "$(command -v $tool)" "$tmp/none/"; done
check "packages.sh: nodes need a compiler" saying 'g\+\+ ' 1 packages_of
check "packages.sh: a control plane needs none" fails saying 'g\+\+ |nftables|seccomp' 1 packages_of --control-plane-only
check "packages.sh: it needs little" saying 'openssl procps util-linux$' 1 packages_of --control-plane-only
if [ "$(id -u)" = 0 ] && nobody true 2>/dev/null; then
    check "lab check: without root" saying 'root .you are nobody' 1 nobody e2e/lab/lab check
    check "lab check: a control plane needs no root" nobody e2e/lab/lab check --control-plane-only
else
    skip "lab check as somebody else: needs root and setpriv"
fi

cgroups() { ls -d /sys/fs/cgroup/lab-*-check* /sys/fs/cgroup/*/lab-*-check* 2>/dev/null; }
check "lab check: leaves no cgroup behind" same "$(cgroups)" ""

# --- tests ------------------------------------------------------------------------------------------------------------

tests() { TEST_LOGS=$tmp/logs no_lab e2e/test.sh "$@"; }
if e2e/lab/packages.sh --check >/dev/null 2>&1; then
    check "test.sh: without a lab its suites are skipped" saying '^1 passed, 0 failed, 2 skipped$' 0 tests lab scenarios
    check "test.sh: by name, and with the reason" saying '^skipped lab: real nodes need STATE elsewhere' 0 tests lab
else
    skip "test.sh without a lab: Debian packages are missing, which e2e/lab/packages.sh names"
fi
check "engine/test.sh counts its skips" grep -q 'skipped skipped' e2e/engine/test.sh

# --- image ------------------------------------------------------------------------------------------------------------

# What the build stage copies is a workspace of its own.
copied_workspace() {
    local from to
    mkdir "$tmp/workspace" && while read -r _ from to; do
        mkdir -p "$tmp/workspace/$(dirname "$to")" && cp -r $from "$tmp/workspace/$to" || return
    done < <(grep '^COPY [^-]' operator/Containerfile | sed -E 's/^COPY (.*) (.*)$/\1 \2/; s/^/x /' | awk '{ for (i = 2; i < NF; i++) print "x", $i, ($NF == "./" ? $i : $NF) }')
    cargo metadata --locked --offline --no-deps --format-version 1 --manifest-path "$tmp/workspace/Cargo.toml" >"$tmp/metadata" &&
        jq -e '.packages | map(.name) | index("deepseek-operator") and index("deepseek-gateway")' "$tmp/metadata"
}
check "Containerfile: what it copies is a whole workspace" copied_workspace

stored() { buildah --root "$tmp/storage" --runroot "$tmp/run" --storage-driver vfs "$@"; }
image_of() { # a program takes the place of the build stage: no registry is needed
    install -D "$1" "$tmp/built/root-of-image/deepseek-operator" &&
        stored bud --isolation chroot --build-context "build=$tmp/built" -f operator/Containerfile -t operator:test "$tmp/built"
}
config_is() { same "$(stored inspect --type image operator:test | jq -c ".OCIv1.config | $1")" "$2"; }
files_are() {
    local container folder
    container=$(stored from operator:test) && folder=$(stored mount "$container") || return
    same "$(cd "$folder" && find . -type f -printf '%p %m\n' | sort)" "$1"
    local rc=$?
    stored rm "$container"
    return $rc
}
if [ "$(id -u)" != 0 ] || ! command -v buildah >/dev/null || ! command -v cc >/dev/null; then
    skip "Containerfile: needs root, a C compiler and buildah (apt-get install buildah)"
elif ! cc -Os -static -s -o "$tmp/program" e2e/engine/crash.c; then
    skip "Containerfile: needs a C compiler with static libraries (apt-get install libc6-dev)"
else
    check "Containerfile: its last stage is built" image_of "$tmp/program"
    check "Containerfile: it holds the program alone" files_are './deepseek-operator 755'
    check "Containerfile: nobody's user" config_is .User '"65532:65532"'
    check "Containerfile: it starts the program" config_is .Entrypoint '["/deepseek-operator"]'
    check "Containerfile: its port" config_is '.ExposedPorts | keys' '["8080/tcp"]'
    stored rmi --all >/dev/null 2>&1
fi

printf '%d passed, %d failed%s\n' "$passed" "$failed" "$([ $skipped = 0 ] || printf ', %d skipped' $skipped)"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
