#!/bin/sh
# Machine instructions of one training step, counted by valgrind: figures without noise.
#       sh bench/instructions.sh OUT [--record]
# The difference of a run of 2N steps and one of N, divided by N, for the workloads of instructions.c, gcc -std=c99 -O2. Prints
# each with its change from bench/instructions.txt, and writes OUT/instructions.csv: name, ours, the baseline in place of a peer,
# baseline divided by ours. --record makes what was counted the baseline.
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${2:---record}" != --record ]; then
    echo "usage: sh bench/instructions.sh OUT [--record]" >&2
    exit 2
fi
out=$1
record=${2:-}
here=$(dirname "$0")
baseline=$here/instructions.txt
mkdir -p "$out"

for need in gcc valgrind; do
    command -v $need > /dev/null || { echo "instructions: skipped: $need is missing (Debian: $need)"; exit 0; }
done
compiler=$(gcc --version | sed q)
tool=$(valgrind --version)
gcc -std=c99 -O2 -I"$here/.." "$here/instructions.c" -o "$out/instructions" -lpthread

# counted WHAT STEPS: instructions of the whole program. Without the caller's environment, which moves the stack.
counted() {
    env -i PATH="$PATH" valgrind --tool=callgrind --callgrind-out-file=/dev/null "$out/instructions" "$1" "$2" \
        > "$out/callgrind.txt" 2>&1 || { cat "$out/callgrind.txt" >&2; return 1; }
    sed -n 's/^==[0-9]*== Collected : *//p' "$out/callgrind.txt" | tr -d ,
}

# per_step WHAT N
per_step() {
    few=$(counted "$1" "$2")
    many=$(counted "$1" $((2 * $2)))
    [ "$few" -gt 0 ] && [ "$many" -gt "$few" ] || { echo "instructions: $1: valgrind counted '$few' and '$many'" >&2; return 1; }
    echo $(((many - few + $2 / 2) / $2))
}

# known KEY: the baseline's
known() { [ ! -f "$baseline" ] || sed -n "s/^$1 //p" "$baseline"; }

before=$(known compiler)
[ -z "$before" ] || [ "$before" = "$compiler" ] ||
    echo "instructions: the baseline was counted with $before, this is $compiler: changes are the compiler's too"
before=$(known tool)
[ -z "$before" ] || [ "$before" = "$tool" ] || echo "instructions: the baseline was counted by $before, this is $tool"

echo "name,ours,peer,ratio,unit,low,high" > "$out/instructions.csv"
cat > "$out/instructions.txt" <<END
# Machine instructions of one training step: sh bench/instructions.sh OUT compares with these, --record writes them.
# They differ by compiler and by C library (memcpy and memset count). Valgrind 3.19 knows no AVX-512 and tells the program so, which
# then takes its AVX2 kernels, as on most machines.
compiler $compiler
tool $tool
END
for workload in xor:1000 mlp:3 diagonal:200; do
    what=${workload%:*}
    steps=${workload#*:}
    now=$(per_step "$what" "$steps")
    echo "RESULT instructions_$what $now"
    then=$(known "$what")
    awk -v what="$what" -v now="$now" -v then="$then" -v csv="$out/instructions.csv" 'BEGIN {
        if (then > 0) {
            printf "instructions: %s: change %+.2f %%\n", what, 100 * (now / then - 1)
            printf "instructions_%s,%s,%s,%.4f,instructions per step,,\n", what, now, then, then / now >> csv
        } else {
            printf "instructions: %s: no baseline\n", what
            printf "instructions_%s,%s,,,instructions per step,,\n", what, now >> csv
        }
    }'
    echo "$what $now" >> "$out/instructions.txt"
done
[ -z "$record" ] || { cp "$out/instructions.txt" "$baseline"; echo "instructions: $baseline is written"; }
