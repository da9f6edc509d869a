#!/usr/bin/env bash
# packages.sh [--check] [--control-plane-only]: installs what of the lab's needs this machine lacks, where it can, and says what
# is missing where it cannot. Without real nodes it needs little. Go is not among them: `build.sh` takes the toolchain that the
# project needs anyway.
set -euo pipefail
. "$(dirname "$0")/env.sh"

check='' only_control_plane=''
for flag; do
    case $flag in
        --check) check=1 ;;
        --control-plane-only) only_control_plane=1 ;;
        *) die "packages.sh knows no $flag; it takes --check and --control-plane-only" ;;
    esac
done

# what is there, tested by its trace, and the Debian package it comes from
needs() {
    lacking <<'COMMANDS'
flock util-linux
setsid util-linux
openssl openssl
ps procps
COMMANDS
    [ -n "$only_control_plane" ] || needs_of_nodes
}
needs_of_nodes() {
    lacking <<'COMMANDS'
unshare util-linux
setpriv util-linux
ip iproute2
nft nftables
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
lacking() {
    local command package
    while read -r command package; do
        command -v "$command" >/dev/null || echo "$package"
    done
}
PATH=$PATH:/usr/sbin:/sbin
mapfile -t missing < <(needs | sort -u)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ -z "$check" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
    exit
fi
die "the lab needs these Debian packages, or what your system calls them: ${missing[*]}
  sudo apt-get install ${missing[*]}"
