#!/usr/bin/env bash
# test.sh: tests the engine, the model and the images that build.sh makes; builds what is missing. Loopback only.
# The last line is "N passed, N failed", with ", N skipped" if the machine lacks something; each of those says so.
set -uo pipefail
ENGINE=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-18473}
URL=http://127.0.0.1:$PORT
tmp=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null
    rm -rf "$tmp"
}
trap finish EXIT

passed=0 failed=0 skipped=0
check() { # check WHAT COMMAND...: passes if the command does
    if "${@:2}" >"$tmp/output" 2>&1; then
        passed=$((passed + 1)) && echo "ok      $1"
    else
        failed=$((failed + 1)) && echo "FAILED  $1" && sed 's/^/        /' "$tmp/output"
    fi
}
skip() { skipped=$((skipped + 1)) && echo "skipped $1"; }
same() { [ "$1" = "$2" ] || { printf 'expected: %s\nseen:     %s\n' "$2" "$1"; return 1; }; }
seen_in() { grep -qE -- "$2" "$1" || { cat "$1"; return 1; }; } # seen_in FILE PATTERN
fails() { ! "$@"; }

export BIN=$tmp/bin IMAGES=$tmp/images
real_bin=$(cd "$ENGINE/../.." && pwd)/target/lab/bin
build() { "$ENGINE/build.sh" "$@"; }

# --- model ------------------------------------------------------------------------------------------------------------

build llama_server model llama-server tiny-model crash || { echo "cannot build"; exit 1; }
python=$(build --home python)/bin/python
model=$IMAGES/tiny-model/model.gguf
write_model() { "$python" "$ENGINE/tiny_model.py" "$tmp/$1.gguf" >"$tmp/$1.txt"; }
small() { [ "$(stat -c %s "$1")" -lt 2000000 ]; }
check "the model is written" write_model first
check "the model is written again" write_model second
check "two writes give the same bytes" cmp "$tmp/first.gguf" "$tmp/second.gguf"
check "the built model has these bytes too" cmp "$tmp/first.gguf" "$model"
check "the model is a file, not a link out of its folder" [ ! -L "$model" ]
check "the model is small" small "$model"

# --- images -----------------------------------------------------------------------------------------------------------

# facts IMAGE: name, user, entrypoint and files of an image; fails if the layer is not the one the configuration names.
facts() {
    python3 - "$1" <<'PYTHON'
import hashlib, json, sys, tarfile
image = tarfile.open(sys.argv[1])
manifest, = json.load(image.extractfile("manifest.json"))
config = json.load(image.extractfile(manifest["Config"]))
layer, = manifest["Layers"]
digest = "sha256:" + hashlib.sha256(image.extractfile(layer).read()).hexdigest()
assert config["rootfs"]["diff_ids"] == [digest], "the layer is not the one that is named"
files = tarfile.open(fileobj=image.extractfile(layer)).getmembers()
assert all((file.uid, file.gid, file.mtime) == (0, 0, 0) for file in files), "an owner or a time leaked in"
run = config["config"]
print(*manifest["RepoTags"], run.get("User", "-"), " ".join(run.get("Entrypoint", ["-"])),
      " ".join(sorted(file.name[2:] + ("*" if file.mode & 0o111 else "") for file in files if file.isfile())))
PYTHON
}
image_is() { same "$(facts "$IMAGES/$1.tar")" "$2"; }
image_repeats() {
    local before
    before=$(sha256sum <"$IMAGES/$1.tar") && sleep 1 && (umask 077 && build "$1") && same "$(sha256sum <"$IMAGES/$1.tar")" "$before"
}
user=65532:65532
check "image llama-server" image_is llama-server "lab.local/llama-server:1 $user /app/llama-server app/LICENSE app/llama-server*"
check "image tiny-model" image_is tiny-model "lab.local/tiny-deepseek:1 - - model.gguf"
check "image crash" image_is crash "lab.local/crash:1 $user /app/crash app/crash*"
for name in llama-server tiny-model crash; do check "image $name comes out the same again" image_repeats "$name"; done

unpack() { mkdir -p "$tmp/root/$1" && tar -xOf "$IMAGES/$1.tar" layer.tar | tar -xf - -C "$tmp/root/$1"; }
check "image crash unpacks" unpack crash
"$tmp/root/crash/app/crash" 2>"$tmp/crash.txt"
check "crash exits with 1" same $? 1
check "crash says why" seen_in "$tmp/crash.txt" '^fatal: cannot load model$'

OPERATOR_BINARY=$tmp/root/crash/app/crash check "image operator builds from any static binary" build operator
check "image operator" image_is operator "lab.local/deepseek-operator:dev $user /deepseek-operator deepseek-operator*"
OPERATOR_BINARY=/bin/bash check "a dynamic operator is refused" fails build operator
OPERATOR_BINARY=$tmp/none check "a missing operator is refused" fails build operator
check "an unknown name is refused" fails build nonsense
if [ -f "$real_bin/llm-d-inference-sim" ]; then
    BIN=$real_bin check "image sim builds" build sim
    check "image sim" image_is sim "lab.local/llm-d-inference-sim:1 $user /app/llm-d-inference-sim app/llm-d-inference-sim*"
else
    skip "image sim: e2e/lab/build.sh sim has not been run"
fi

mkdir -p "$tmp/empty"
check "options of image.sh" "$ENGINE/image.sh" "$tmp/odd.tar" x:1 "$tmp/empty" --env 'A=say "hi"\' --port 80 --label k=v /x --flag 'a b'
check "odd characters survive" python3 -c "
import json, tarfile
run = json.load(tarfile.open('$tmp/odd.tar').extractfile('config.json'))['config']
assert run == {'Env': ['A=say \"hi\"\\\\'], 'ExposedPorts': {'80/tcp': {}}, 'Labels': {'k': 'v'}, 'Entrypoint': ['/x', '--flag', 'a b']}, run"
check "image.sh refuses a missing folder" fails "$ENGINE/image.sh" "$tmp/no.tar" x:1 "$tmp/missing" /x
check "image.sh leaves no scratch" same "$(ls -d "$tmp"/*.tar.* 2>/dev/null)" ""

# --- engine -----------------------------------------------------------------------------------------------------------

is_static() { [[ $(file -bL "$BIN/llama-server") == ELF*static* ]]; }
check "llama-server is static" is_static
check "llama-server takes an unknown flag as an error" fails "$BIN/llama-server" --nonsense
check "llama-server takes a missing model as an error" fails "$BIN/llama-server" --model "$tmp/missing.gguf" --port "$PORT"

# start PROGRAM... : as a container would, with no environment at all.
start() {
    env -i "$@" --host 127.0.0.1 --port "$PORT" --ctx-size 16384 --parallel 2 --threads 1 --metrics \
        --alias tiny,other --no-webui >"$tmp/log" 2>&1 &
    server=$!
}
get() { curl -sS -m 20 "$URL$1" -o "$tmp/answer"; }
post() { curl -sS -N -m 20 "$URL$1" -H 'Content-Type: application/json' -d "$2" -o "$tmp/answer"; }
becomes_ready() {
    local deadline=$((SECONDS + 30))
    until [ "$(curl -s -o /dev/null -w '%{http_code}' "$URL/health")" = 200 ]; do
        [ $SECONDS -lt $deadline ] && kill -0 "$server" 2>/dev/null || { tail -20 "$tmp/log"; return 1; }
        sleep 0.1
    done
}
stops() { # a TERM ends it within 5 s, with 0
    kill "$server"
    # whatever becomes of this check, the port is free for the next one
    timeout 5 tail --pid="$server" -f /dev/null || { kill -9 "$server"; wait "$server"; server=; return 1; }
    wait "$server"
    same $? 0 && server=
}
field() { python3 -c "import json,sys; a=json.load(open('$tmp/answer')); print($1)"; }
chat='"messages":[{"role":"user","content":"what does the operator do?"}],"temperature":0,"max_tokens":12'
streamed() { sed -n 's/^data: \({.*\)/\1/p' "$tmp/answer" | python3 -c "
import json, sys
parts = [c['delta'].get('content') or '' for line in sys.stdin for c in json.loads(line)['choices']]
assert len([part for part in parts if part]) > 5, parts
print(''.join(parts))"; }
readable() { [[ $1 =~ ^[a-z\ ]+$ ]] || { echo "not readable: $1"; return 1; }; }

if curl -s -m 2 -o /dev/null "$URL"; then echo "port $PORT is taken; set PORT"; exit 1; fi
start "$BIN/llama-server" --model "$model"
check "it becomes ready" becomes_ready
get /v1/models
check "it lists the model" seen_in "$tmp/answer" '"id":"other"'
check "it lists the alias" seen_in "$tmp/answer" '"aliases":\["other","tiny"\]'
post /v1/completions '{"model":"tiny","prompt":"a model","max_tokens":1}'
check "one token" same "$(field "a['usage']['completion_tokens'], a['choices'][0]['finish_reason']")" "1 length"
post /v1/chat/completions "{\"model\":\"tiny\",$chat}"
said=$(field "a['choices'][0]['message']['content']")
check "a chat answers in words" readable "$said"
check "a chat is as long as asked for" same "$(field "a['usage']['completion_tokens'], a['choices'][0]['finish_reason']")" "12 length"
post /v1/chat/completions "{\"model\":\"tiny\",\"stream\":true,$chat}"
check "a stream ends well" seen_in "$tmp/answer" '^data: \[DONE\]'
check "a stream says the same, in parts" same "$(streamed)" "$said"
get /metrics
for name in requests_processing requests_deferred tokens_predicted_total; do
    check "metric $name" seen_in "$tmp/answer" "^llamacpp:$name [0-9]"
done
check "a TERM stops it" stops

# What the README says of a stop with a stream under way, and why an operator must drain first.
start "$BIN/llama-server" --model "$model" --sse-ping-interval 1
check "it starts again" becomes_ready
post /v1/completions '{"prompt":"a model","max_tokens":8000,"stream":true}' 2>/dev/null &
client=$!
sleep 0.3
# on a busy machine it may not end at all: the client gives up, or it is killed
kill "$server"
sleep 1
said() { grep -c '^data: {' "$tmp/answer"; }
before=$(said)
sleep 1
check "a TERM under a stream ends its tokens at once" same "$(said)" "$before"
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null
server=
wait "$client"
check "the stream had begun" seen_in "$tmp/answer" '^data: \{'
check "the stream was cut off" fails grep -q '^data: \[DONE\]' "$tmp/answer"

if [ "$(id -u)" = 0 ] && chroot --userspec=$user / true 2>/dev/null; then
    chmod 755 "$tmp" # the user of the image must get to its root
    check "image llama-server unpacks" unpack llama-server
    cp "$model" "$tmp/root/llama-server/model.gguf"
    start "$(command -v chroot)" --userspec=$user "$tmp/root/llama-server" /app/llama-server --model /model.gguf
    check "it runs as $user where it can write nothing" becomes_ready
    check "a TERM stops it there too" stops
else
    skip "the image as another user: needs root"
fi

echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
