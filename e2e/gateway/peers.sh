#!/usr/bin/env bash
# peers.sh: installs the proxies that the gateway is measured beside: haproxy and nginx as Debian packages, litellm from the Python
# package index into a folder of the cache. Prints the path of litellm, or nothing where it cannot be had: it is there for scale only.
set -euo pipefail
. "$(dirname "$0")/../lab/env.sh"
LITELLM=1.106.2
PATH=$PATH:/usr/sbin:/sbin

# A package of a server starts it; this is Debian's way to say that it should not.
no_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
}

packages() {
    local missing=()
    command -v haproxy >/dev/null || missing+=(haproxy)
    command -v nginx >/dev/null || missing+=(nginx)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v taskset >/dev/null || missing+=(util-linux)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "the benchmark needs these Debian packages, or what your system calls them: ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    no_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
}

litellm() {
    local home=$CACHE/gateway/litellm-$LITELLM
    if [ ! -x "$home/bin/litellm" ]; then
        say "installing litellm $LITELLM; takes minutes, once"
        rm -rf "$home"
        python3 -m venv "$home" >&2 && "$home/bin/python" -m pip install --quiet --disable-pip-version-check "litellm[proxy]==$LITELLM" >&2 ||
            { rm -rf "$home"; say "litellm cannot be installed; its column stays empty"; return; }
    fi
    echo "$home/bin/litellm"
}

packages
litellm
