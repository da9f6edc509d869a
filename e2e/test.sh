#!/usr/bin/env bash
# Every test there is, from the quickest to the slowest; the last line counts them: "N passed, N failed[, N skipped]".
#   test.sh [SUITE...]   SUITE: lint rust engine conformance chart lab scenarios; default: all
# Builds what is missing first. A suite that ends without its count has failed as a whole. In CI a skipped lab scenario fails.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
export OPERATOR_BINARY=$PWD/target/$(uname -m)-unknown-linux-gnu/release/deepseek-operator
logs=target/test
mkdir -p "$logs"
passed=0 failed=0 skipped=0 broken=()

say() { printf '\n== %s\n' "$*" >&2; }
count() { # PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# suite NAME COMMAND...: one whose last line is "N passed, N failed[, N skipped]"
suite() {
    local name=$1 from=$SECONDS last rc
    shift
    say "$name"
    "$@" 2>&1 | tee "$logs/$name.log" >&2
    rc=${PIPESTATUS[0]}
    last=$(tail -n 1 "$logs/$name.log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[4]:-0}"
        [ "$rc" = 0 ] || [ "${BASH_REMATCH[2]}" != 0 ] || { count 0 1 0; broken+=("$name: exit status $rc"); }
        [ "${BASH_REMATCH[2]}" = 0 ] || broken+=("$name")
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

rust() {
    cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$logs/cargo.log"
    local rc=${PIPESTATUS[0]}
    # no result at all: it did not compile
    awk -v rc="$rc" '/^test result:/ { p += $4; f += $6; s += $8; seen = 1 }
        END { if (!seen) exit 1; if (rc && !f) f = 1; printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : "" }' "$logs/cargo.log"
}

build() { e2e/lab/build.sh && make --no-print-directory operator && e2e/engine/build.sh; }
lab_tests() { e2e/lab/smoke.sh; }
scenarios() { cargo run --locked --quiet -p deepseek-e2e --bin scenarios; }

suites=("$@")
[ $# -gt 0 ] || suites=(lint rust engine conformance chart lab scenarios)
wanted() { [[ " ${suites[*]} " == *" $1 "* ]]; }

step packages e2e/lab/packages.sh
! wanted lint || step lint e2e/lint.sh
! wanted rust || suite rust rust
if wanted engine || wanted conformance || wanted chart || wanted lab || wanted scenarios; then step build build; fi
! wanted engine || suite engine e2e/engine/test.sh
! wanted conformance || suite conformance e2e/gateway/conformance/test.sh
! wanted chart || suite chart charts/test.sh
! wanted lab || suite lab lab_tests
! wanted scenarios || suite scenarios scenarios

printf '\n'
for name in "${broken[@]}"; do printf 'FAILED %s\n' "$name"; done
printf '%d passed, %d failed%s\n' $passed $failed "$([ $skipped = 0 ] || printf ', %d skipped' $skipped)"
[ $failed = 0 ]
