#!/usr/bin/env bash
# test.sh: what clients see through the gateway is what engines say. The same requests go to llama.cpp's server and to
# llm-d-inference-sim directly and through the gateway, and the official OpenAI client talks to both. Loopback only, no cluster.
#   OPERATOR_BINARY: the program whose gateway is tested; default: the release build
# Builds what is missing of the engines. The last line is "N passed, N failed[, N skipped]".
set -euo pipefail
. "$(dirname "$0")/../../lab/env.sh"
CONFORMANCE=$TOP/e2e/gateway/conformance
export OPERATOR_BINARY=${OPERATOR_BINARY:-$TOP/target/$(uname -m)-unknown-linux-gnu/release/deepseek-operator}
[ -x "$OPERATOR_BINARY" ] || die "there is no $OPERATOR_BINARY; \`make operator\` builds it"

python() {
    local home
    home=$CACHE/gateway/openai-$(sha256sum <"$CONFORMANCE/requirements.txt" | cut -c1-16)
    if [ ! -x "$home/bin/python" ]; then
        say "installing the OpenAI client"
        rm -rf "$home" "$home.new"
        mkdir -p "$CACHE/gateway"
        python3 -m venv "$home.new" >&2 || die "python3 cannot make a virtual environment; Debian's package is python3-venv"
        "$home.new/bin/python" -m pip install --quiet --disable-pip-version-check -r "$CONFORMANCE/requirements.txt" >&2
        mv -T "$home.new" "$home"
    fi
    echo "$home/bin/python"
}

[ -x "$BIN/llm-d-inference-sim" ] || "$TOP/e2e/lab/build.sh" sim
"$TOP/e2e/engine/build.sh" llama_server model
interpreter=$(python)
exec "$interpreter" -B "$CONFORMANCE/run.py"
