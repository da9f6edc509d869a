#!/usr/bin/env bash
# What CI refuses: unformatted code, lints, crates that are banned, doubled or badly licensed, files that are not generated anew.
set -euo pipefail
cd "$(dirname "$0")/.."
. e2e/lab/env.sh
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
deny=$CACHE/cargo/bin/cargo-deny
# built from its source, once: the version is part of what is checked
[ -x "$deny" ] || cargo install --locked --quiet --root "$CACHE/cargo" --version 0.20.2 cargo-deny
# advisories need a database that is fetched at run time: `cargo deny check advisories` by hand, where it can be had
"$deny" --locked check --hide-inclusion-graph bans licenses sources
