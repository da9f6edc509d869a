#!/usr/bin/env bash
# Every test there is, from the quickest to the slowest; the last line counts them: "N passed, N failed[, N skipped]".
#   test.sh [SUITE...]   SUITE: lint scripts rust engine conformance chart lab scenarios; default: all
# Builds what is missing first. A suite that ends without its count has failed as a whole. Every skip is named at the end. Where the
# machine cannot carry a lab, the suites that need one are skipped; in CI they fail, and so does a skipped lab scenario.
# TEST_LOGS: where the output of each suite is kept (target/test).
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
export OPERATOR_BINARY=$PWD/target/$(uname -m)-unknown-linux-gnu/release/deepseek-operator
logs=${TEST_LOGS:-target/test}
mkdir -p "$logs"
passed=0 failed=0 skipped=0 broken=() skips=()

say() { printf '\n== %s\n' "$*" >&2; }
count() { # PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# suite NAME COMMAND...: one whose last line is "N passed, N failed[, N skipped]"
suite() {
    local name=$1 from=$SECONDS last rc line
    shift
    say "$name"
    "$@" 2>&1 | tee "$logs/$name.log" >&2
    rc=${PIPESTATUS[0]}
    last=$(tail -n 1 "$logs/$name.log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[4]:-0}"
        [ "$rc" = 0 ] || [ "${BASH_REMATCH[2]}" != 0 ] || { count 0 1 0; broken+=("$name: exit status $rc"); }
        [ "${BASH_REMATCH[2]}" = 0 ] || broken+=("$name")
        while IFS= read -r line; do skips+=("$name: $line"); done < <(sed -n 's/^skipped //p' "$logs/$name.log")
    else
        count 0 1 0
        broken+=("$name: ended without a count")
    fi
    printf '   %s: %d s\n' "$name" $((SECONDS - from)) >&2
}

# step NAME COMMAND...: one that passes or fails as a whole
step() {
    local name=$1 from=$SECONDS
    shift
    say "$name"
    if "$@" >&2; then count 1 0 0; else count 0 1 0; broken+=("$name"); fi
    printf '   %s: %d s\n' "$name" $((SECONDS - from)) >&2
}

# lab_suite NAME COMMAND...: one that needs real nodes
lab_suite() {
    if [ -n "$no_lab" ]; then
        count 0 0 1
        skips+=("$1: $no_lab")
    else
        suite "$@"
    fi
}
# lacking: what keeps this machine from carrying a lab, in one line
lacking() {
    local said
    said=$(e2e/lab/lab check 2>&1) && return
    printf 'real nodes need %s\n' "$(sed -n 's/^  - //p' <<<"$said" | paste -sd ';' | sed 's/;/; /g')"
}

rust() {
    cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$logs/cargo.log"
    local rc=${PIPESTATUS[0]}
    # no result at all: it did not compile
    awk -v rc="$rc" '/^test .* ignored,/ { name = $2; sub(/.* ignored, /, ""); print "skipped " name ": " $0 }
        /^test result:/ { p += $4; f += $6; s += $8; seen = 1 }
        END { if (!seen) exit 1; if (rc && !f) f = 1; printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : "" }' "$logs/cargo.log"
}

build() { e2e/lab/build.sh && make --no-print-directory operator && e2e/engine/build.sh; }
lab_tests() { e2e/lab/smoke.sh; }
scenarios() { cargo run --locked --quiet -p deepseek-e2e --bin scenarios; }

suites=("$@")
[ $# -gt 0 ] || suites=(lint scripts rust engine conformance chart lab scenarios)
wanted() { [[ " ${suites[*]} " == *" $1 "* ]]; }
no_lab=
[ -n "${CI:-}" ] || no_lab=$(lacking)
lab_wanted() { [ -z "$no_lab" ] && { wanted lab || wanted scenarios; }; }

step packages e2e/lab/packages.sh
! wanted lint || step lint e2e/lint.sh
! wanted scripts || suite scripts e2e/scripts_test.sh
! wanted rust || suite rust rust
if wanted engine || wanted conformance || wanted chart || lab_wanted; then step build build; fi
! wanted engine || suite engine e2e/engine/test.sh
! wanted conformance || suite conformance e2e/gateway/conformance/test.sh
! wanted chart || suite chart charts/test.sh
! wanted lab || lab_suite lab lab_tests
! wanted scenarios || lab_suite scenarios scenarios

printf '\n'
for name in "${skips[@]}"; do printf 'skipped %s\n' "$name"; done
for name in "${broken[@]}"; do printf 'FAILED %s\n' "$name"; done
printf '%d passed, %d failed%s\n' $passed $failed "$([ $skipped = 0 ] || printf ', %d skipped' $skipped)"
[ $failed = 0 ]
