#!/usr/bin/env bash
# packages.sh [--check]: installs what of the lab's needs this machine lacks, where it can, and says what is missing where it
# cannot. Go is not among them: `build.sh` takes the toolchain that the project needs anyway.
set -euo pipefail
. "$(dirname "$0")/env.sh"

# what is there, tested by its trace, and the Debian package it comes from
needs() {
    local command
    while read -r command package; do
        command -v "$command" >/dev/null || echo "$package"
    done <<'COMMANDS'
unshare util-linux
setpriv util-linux
flock util-linux
ip iproute2
nft nftables
openssl openssl
cc gcc
c++ g++
cmake cmake
make make
file file
curl curl
jq jq
pkg-config pkg-config
COMMANDS
    [ -f /usr/include/stdlib.h ] || echo libc6-dev
    [ -f /usr/include/seccomp.h ] || echo libseccomp-dev
}
PATH=$PATH:/usr/sbin:/sbin
mapfile -t missing < <(needs | sort -u)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "${1:-}" != --check ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
    exit
fi
die "the lab needs these Debian packages, or what your system calls them: ${missing[*]}
  sudo apt-get install ${missing[*]}"
