#!/bin/sh
# All benchmarks: what `make bench` runs.      sh bench/bench.sh [PART...]
# PART is kernels (or sgemm), speed, compile, instructions, or a group of speed.py: mlp_1w, mlp_2w, xor, small, workers, memory;
# none: all. Programs, CSV files and what was printed go to $BUILD/bench. A part whose packages are missing says so and is left
# out. Ends with all RATIO and RESULT lines once more; the exit code is 1 if a part failed. Up to ten minutes, during which the
# machine should do nothing else.
set -u
here=$(dirname "$0")
out=${BUILD:-build}/bench
python=/usr/bin/python3         # Debian's, which sees python3-torch; another python3 may come first in PATH

parts='' groups=''
for part in "$@"; do
    case $part in
    kernels | sgemm) parts="$parts kernels" ;;
    speed | compile | instructions) parts="$parts $part" ;;
    mlp_1w | mlp_2w | xor | small | workers | memory) parts="$parts speed" groups="$groups $part" ;;
    *)
        echo "bench: $part: it is one of kernels (or sgemm), speed, compile, instructions," \
             "mlp_1w, mlp_2w, xor, small, workers, memory" >&2
        exit 2
        ;;
    esac
done
[ -n "$parts" ] || parts="kernels speed compile instructions"
wants() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac; }

mkdir -p "$out" || exit 1
: > "$out/all.txt"
failed=''

# run PART COMMAND...
run() {
    name=$1
    shift
    wants "$name" || return 0
    echo "==== $name"
    { "$@" 2>&1 || echo "FAILED: bench: $name"; } | tee "$out/$name.txt"
    cat "$out/$name.txt" >> "$out/all.txt"
    ! grep -q '^FAILED' "$out/$name.txt" || failed="$failed $name"
}

speed() {
    [ -x $python ] || { echo "speed: skipped: $python is missing (Debian: python3)"; return 0; }
    # shellcheck disable=SC2086  # the groups are words
    $python "$here/speed.py" "$out" $groups
}

{
    uname -srm
    sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2> /dev/null | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 x /'
    ${CC:-cc} --version | sed q
    $python -c 'import sys, torch; print("PyTorch", torch.__version__, "under Python", sys.version.split()[0])' 2> /dev/null ||
        echo "PyTorch: not there (Debian: python3-torch)"
    date -u '+%Y-%m-%d %H:%M UTC, load '"$(cut -d ' ' -f 1-3 /proc/loadavg 2> /dev/null)"
} | tee "$out/machine.txt"
. "$here/openblas.sh"

run kernels sh "$here/kernels.sh" "$out"
run speed speed
run compile sh "$here/compile.sh" "$out"
run instructions sh "$here/instructions.sh" "$out"

echo
echo "==== all figures (RATIO: the peer's time / ours; CSV files are in $out)"
grep -E '^(RATIO|RESULT) ' "$out/all.txt"
grep -E '(missing|skipped|TOO BUSY)' "$out/all.txt"
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
