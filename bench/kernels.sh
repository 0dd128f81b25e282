#!/bin/sh
# Matrix products beside OpenBLAS's on one core, and the update beside a plain pass over its memory.      sh bench/kernels.sh OUT
# Prints RATIO and RESULT lines (RATIO: OpenBLAS's time divided by ours) and writes OUT/kernels.csv: name, ours, peer, the ratio as
# printed, the unit of the two, quartiles of the ratio. What is compiled how:
#   cc -std=c99 -O2                      all figures
#   gcc -std=c99 -O2, -O0; -std=gnu99 -Os; -std=c99 -O2 -DBADM_REPRODUCIBLE      sgemm_512_c99, _O0, _Os, _reproducible
set -eu
[ $# -eq 1 ] || { echo "usage: sh bench/kernels.sh OUT" >&2; exit 2; }
out=$1
here=$(dirname "$0")
mkdir -p "$out"
cc=${CC:-cc}

printf '#include <cblas.h>\nint main(void) { openblas_set_num_threads(1); return 0; }\n' > "$out/openblas.c"
if ! $cc "$out/openblas.c" -o "$out/openblas" -lopenblas 2> /dev/null; then
    echo "kernels: skipped: OpenBLAS is missing (Debian: libopenblas-dev)"
    exit 0
fi

# The last core: the first often has the machine's own work.
export OPENBLAS_NUM_THREADS=1
. "$here/openblas.sh"
pin="taskset -c $(($(getconf _NPROCESSORS_ONLN) - 1))"
$pin true 2> /dev/null || { pin=; echo "kernels: not kept on one core: taskset is missing (Debian: util-linux)"; }

echo "name,ours,peer,ratio,unit,low,high" > "$out/kernels.csv"

# kernels WHAT COMPILER FLAG...
kernels() {
    what=$1
    shift
    echo "kernels: $*"
    "$@" -I"$here/.." "$here/kernels.c" -o "$out/kernels_$what" -lopenblas -lpthread -lm
    $pin "$out/kernels_$what" "$out/kernels.csv" "$what"
}

kernels all $cc -std=c99 -O2
if ! command -v gcc > /dev/null; then
    echo "kernels: sgemm_512_c99, _Os, _O0 and _reproducible skipped: gcc is missing (Debian: gcc)"
    exit 0
fi
kernels sgemm_512_c99 gcc -std=c99 -O2
kernels sgemm_512_Os gcc -std=gnu99 -Os
kernels sgemm_512_O0 gcc -std=c99 -O0
kernels sgemm_512_reproducible gcc -std=c99 -O2 -DBADM_REPRODUCIBLE
