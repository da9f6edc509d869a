#!/usr/bin/env bash
# progress.sh NAME TOTAL PATTERN: shows how far a build is. Lines on standard input that match PATTERN count as one of TOTAL
# steps; all others pass through, so that errors are seen. One moving line on a terminal, else a line every 20 s.
name=$1 total=$2 pattern=$3
start=$SECONDS seen=0 shown=$SECONDS
tty=; [ -t 2 ] && tty=1
# shellcheck disable=SC2059 # the format is one of those below
show() { printf "$1" "$name" "$seen" "$total" "$((SECONDS - start))" >&2; shown=$SECONDS; }
while IFS= read -r line; do
    if [[ $line =~ $pattern ]]; then
        seen=$((seen + 1))
        if [ -n "$tty" ]; then show '\r  %s: %d of %d, %d s '
        elif [ $((SECONDS - shown)) -ge 20 ]; then show '  %s: %d of %d, %d s\n'; fi
    else
        printf '%s\n' "$line" >&2
    fi
done
show "${tty:+\r}  %s: %d of %d, %d s\n"
