#!/usr/bin/env bash
# Compares our decisions with those of the unmodified HPA controller, in virtual time; the last line counts the scenarios.
#   SCENARIOS=1000  how many        SEED=1  which        JOBS=processors
# Builds the controller first: minutes once, seconds later. A difference is printed as the smallest scenario that shows it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. e2e/lab/env.sh
export SCENARIOS=${SCENARIOS:-1000} SEED=${SEED:-1} JOBS=${JOBS:-$(nproc)} HPA_ORACLE=$BIN/hpa-oracle
mkdir -p "$BIN"
say "hpa-oracle: building what is missing"
(
    cd e2e/hpa-oracle
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOCACHE=$CACHE/go-build GOMODCACHE=$CACHE/go-mod
    export GOFLAGS="-mod=readonly -modcacherw -trimpath -buildvcs=false ${GOFLAGS:-}"
    go build -o "$HPA_ORACLE" .
)
say "hpa-oracle: $SCENARIOS scenarios"
cargo test -q --locked -p deepseek-core --test hpa_oracle -- --ignored --nocapture
