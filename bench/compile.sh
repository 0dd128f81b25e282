#!/bin/sh
# What including badm.h costs gcc: seconds, milliseconds, bytes.      sh bench/compile.sh OUT
# Prints RESULT lines and writes OUT/compile.csv (there is no peer: those two columns are empty; low and high are quartiles).
#   compile_seconds              the implementation, gcc -std=c99 -O2 -c
#   declarations_milliseconds    a file that includes badm.h without it, less an empty file
#   object_bytes_...             text + data: all of it at -O2; at -Os without vector kernels
set -eu
[ $# -eq 1 ] || { echo "usage: sh bench/compile.sh OUT" >&2; exit 2; }
out=$1
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"
csv=$out/compile.csv
compilations=5 pairs=25

command -v gcc > /dev/null || { echo "compile: skipped: gcc is missing (Debian: gcc)"; exit 0; }
gcc --version | sed 's/^/compile: /; q'
pin="taskset -c $(($(getconf _NPROCESSORS_ONLN) - 1))"
$pin true 2> /dev/null || pin=

printf '#define BADM_IMPLEMENTATION\n#include "badm.h"\n' > "$out/everything.c"
printf '#include "badm.h"\n' > "$out/declarations.c"
: > "$out/empty.c"
echo "name,ours,peer,ratio,unit,low,high" > "$csv"

# elapsed NAME: nanoseconds of compiling OUT/NAME.c
elapsed() {
    start=$(date +%s%N)
    $pin gcc -std=c99 -O2 -I"$root" -c "$out/$1.c" -o "$out/$1.o"
    echo $(($(date +%s%N) - start))
}

# result NAME UNIT DIVISOR FORMAT < one number a line: their median, divided
result() {
    sort -n | awk -v name="$1" -v unit="$2" -v by="$3" -v as="$4" -v csv="$csv" '
        { x[NR] = $1 / by }
        END {
            low = x[int((NR + 3) / 4)]; high = x[int((3 * NR + 3) / 4)]; middle = (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2
            if (NR > 1) printf "compile: %s: quartiles " as " to " as " %s\n", name, low, high, unit
            printf "RESULT %s " as "\n", name, middle
            printf "%s," as ",,,%s," as "," as "\n", name, middle, unit, low, high >> csv
        }'
}

case $(date +%s%N) in
*[!0-9]*) echo "compile: times skipped: date has no nanoseconds (GNU coreutils has)" ;;
*)
    elapsed everything > /dev/null; elapsed declarations > /dev/null; elapsed empty > /dev/null     # now all is in memory
    i=0
    while [ $i -lt $compilations ]; do elapsed everything; i=$((i + 1)); done | result compile_seconds seconds 1000000000 %.2f
    i=0
    while [ $i -lt $pairs ]; do
        with=$(elapsed declarations)
        echo $((with - $(elapsed empty)))
        i=$((i + 1))
    done | result declarations_milliseconds ms 1000000 %.1f
    ;;
esac

command -v size > /dev/null || { echo "compile: sizes skipped: size is missing (Debian: binutils)"; exit 0; }
# object NAME FLAG...
object() {
    name=$1
    shift
    gcc -std=c99 "$@" -I"$root" -c "$out/everything.c" -o "$out/$name.o"
    size "$out/$name.o" | awk 'NR == 2 { print $1 + $2 }' | result "$name" bytes 1 %d
}
object object_bytes_everything -O2
object object_bytes_Os_no_simd -Os -DBADM_NO_SIMD
