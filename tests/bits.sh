#!/bin/sh
# The same bits from every compiler, with any instruction set and any number of workers: `make check ONLY=bits`, or
#
#   sh tests/bits.sh DIR [WAY...]
#
# compiles the library in each way listed below, links every example with each, runs them, and compares what they compute: models,
# scores and predictions to the last bit, and the files they save. The examples' own arithmetic (the data they make up) is compiled
# once and is the same for all. JOBS ways are built side by side. Needs gcc, clang and an x86-64 with AVX2.
. tests/parallel.sh

dir=$1
shift

# Products of one fused multiply-add per term; and of a multiplication and an addition.
fused="gcc_O2 gcc_avx2 gcc_avx512 gcc_scalar_fmaf gcc_O0 gcc_native clang_O2 clang_native clang_O0 clang_scalar_fmaf"
apart="gcc_baseline gcc_plain"
for way in $fused; do apart="$apart ${way}_reproducible"; done

flags_of()
{
    case $1 in
        gcc_O2*) echo "gcc -O2" ;;
        gcc_avx2*) echo "gcc -O2 -DBADM_MAX_SIMD=2" ;;
        gcc_avx512*) echo "gcc -O1 -DBADM_MAX_SIMD=3" ;;
        gcc_scalar_fmaf*) echo "gcc -O2 -DBADM_NO_SIMD -mfma" ;;
        gcc_O0*) echo "gcc -O0" ;;
        gcc_native*) echo "gcc -O3 -march=native -ffp-contract=fast" ;;
        clang_O2*) echo "clang -O2" ;;
        clang_native*) echo "clang -O3 -march=native -ffp-contract=fast" ;;
        clang_O0*) echo "clang -O0" ;;
        clang_scalar_fmaf*) echo "clang -O3 -DBADM_NO_SIMD -march=native -ffp-contract=fast" ;;
        gcc_baseline) echo "gcc -O2 -DBADM_MAX_SIMD=1" ;;
        gcc_plain) echo "gcc -O2 -DBADM_NO_SIMD" ;;
    esac
    case $1 in *_reproducible) echo "-DBADM_REPRODUCIBLE" ;; esac
}

for command in gcc clang; do
    command -v $command >/dev/null 2>&1 || { echo "skipped: $command not found (Debian package: $command)"; exit 77; }
done
for word in avx2 fma; do
    grep -qw $word /proc/cpuinfo 2>/dev/null || { echo "skipped: this machine has no $word"; exit 77; }
done
grep -qw avx512f /proc/cpuinfo || echo "this machine has no AVX-512: what is called so below runs AVX2"

mkdir -p "$dir/data"
root=$PWD dir=$(cd "$dir" && pwd)

# Stand-ins for the data that two examples want: digits of numbers as 400 images, and a curve as 200 houses.
for which in train t10k; do
    images=$dir/data/$which-images-idx3-ubyte labels=$dir/data/$which-labels-idx1-ubyte
    printf '\000\000\010\003\000\000\001\220\000\000\000\034\000\000\000\034' >"$images"
    seq 1 7 999999 | head -c 313600 >>"$images"
    printf '\000\000\010\001\000\000\001\220' >"$labels"
    printf "$(awk 'BEGIN { for (i = 0; i < 400; i++) printf "\\%03o", i * i % 10 }')" >>"$labels"
done
awk 'BEGIN {
    for (i = 1; i <= 200; i++) {
        sum = 20; line = ""
        for (j = 1; j <= 13; j++) {
            x = (i * (2 * j + 1) * 37 + j * j * i) % 101 / 50 - 1
            line = line " " j ":" x
            sum += j % 4 * x * x - x
        }
        print sum line
    } }' >"$dir/data/housing_scale"

gcc -std=c99 -O1 -I. -c tests/bits_hooks.c -o "$dir/hooks.o" || exit 1
examples=
for file in examples/*.c; do
    name=$(basename "$file" .c)
    examples="$examples $name"
    # BADM_IMPLEMENTED: the implementation is linked, not compiled into the example. It has threads, for which the block of
    # embedded.c is too small.
    sed 's/bytes\[16 \* 1024\]/bytes[32 * 1024]/' "$file" >"$dir/$name.c"
    gcc -std=c99 -O1 -DBADM_IMPLEMENTED -I. -Iexamples -c "$dir/$name.c" -o "$dir/$name.o" || exit 1
done

# run NAME PROGRAM [WORKERS]: the bits that one example computes, each line after its name.
run()
{
    case $1 in
        digits) set -- "$1" "$2" --images 768 --held-out 128 --batch 64 --epochs 1 --sub-batches 3 --workers "$3" --out . ;;
        gpt) set -- "$1" "$2" --layers 2 --heads 2 --width 24 --context 20 --steps 12 --every 6 --workers "$3" --generate 40 \
                 --out . ;;
        cnn) set -- "$1" "$2" --images 512 --held-out 128 --test-images 64 --epochs 1 --sub-batches 3 --workers "$3" --out . ;;
        vae | wgan) set -- "$1" "$2" --images 768 --held-out 128 --batch 64 --epochs 1 --sub-batches 3 --workers "$3" --out . ;;
        gcn) set -- "$1" "$2" --epochs 4 --seeds 2 --workers "$3" --out . ;;
        pdadmm) set -- "$1" "$2" --layers 4 --grow 2 --width 24 --images 300 --held-out 60 --iterations 4 --workers "$3" --out . ;;
        divebatch) set -- "$1" "$2" --images 400 --held-out 100 --batch 8 --max-batch 64 --every 1 --epochs 2 --target 0.999 \
                       --workers "$3" --out . ;;
        sparse_logistic) set -- "$1" "$2" --epochs 3 --workers "$3" --out . ;;
        mnist | regression) set -- "$1" "$2" "$dir/data" ;;
        *) set -- "$1" "$2" ;;
    esac
    name=$1
    shift
    # The exit status says whether it learned well, which stand-ins for data are not asked.
    "$@" 2>&1 >output | grep '^BITS ' | sed "s/^BITS/$name/"
}

# build WAY: leaves DIR/WAY/bits, the bits that all examples compute with this build of the library.
build()
(
    cd "$dir/$1" || exit
    wrap=-Wl,--wrap=badm_model_free,--wrap=badm_evaluate,--wrap=badm_predict
    $(flags_of "$1") -std=c99 -I"$root" -c "$root/badm.c" -o badm.o || exit
    for name in $examples; do
        gcc "$dir/$name.o" "$dir/hooks.o" badm.o -o "$name" -lpthread -lm $wrap || exit
        run "$name" "./$name" 1 >"$name.bits"
        [ -s "$name.bits" ] || { echo "$1: $name computed nothing"; cat output; exit; }
        case $name in cnn | digits | divebatch | gcn | gpt | mnist | pdadmm | sparse_logistic | vae | wgan) cksum "$name.safetensors" >>"$name.bits" || exit ;; esac
    done
    for workers in 2 3; do
        for name in cnn digits divebatch gcn gpt pdadmm sparse_logistic vae wgan; do
            { run $name ./$name $workers; cksum $name.safetensors; } >$name.$workers
            cmp $name.bits $name.$workers || { echo "$1: $name has other bits with $workers workers than with 1"; exit; }
        done
    done
    for name in $examples; do cat "$name.bits"; done >complete
    mv complete bits
    rm -f $examples badm.o
)

in_parallel "${JOBS:-1}" "$dir" build ${@:-$fused $apart}

# agree WAY...: all of these have the bits of the first.
agree()
{
    first=$1
    for way; do
        if [ ! -s "$dir/$way/bits" ]; then echo "$way: failed"; bad=1
        elif cmp -s "$dir/$first/bits" "$dir/$way/bits"; then echo "$(cksum <"$dir/$way/bits") $way"
        else bad=1; echo "$way has other bits than $first:"; diff "$dir/$first/bits" "$dir/$way/bits" | head -n 5
        fi
    done
}

bad=0
[ $# -gt 0 ] && { agree "$@"; exit $bad; }
agree $fused
agree $apart
# Else nothing above compares anything.
if cmp -s "$dir/gcc_O2/bits" "$dir/gcc_baseline/bits"; then bad=1; echo "fused and unfused products have the same bits"; fi
exit $bad
