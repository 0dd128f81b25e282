#!/bin/sh
# `make ports`, `make ports-quick`: the library compiled for other processors and systems, and run there, mostly emulated.
#
#   sh tests/ports.sh [quick] [NAME...]      all targets; those of `make ports-quick`; those whose name contains one of the words
#
# A target is a function port_NAME below (tests/items.sh). Most run tests/conformance.c, whose hashes must be those of
# tests/golden/conformance.txt: its first column the reproducible arithmetic, its second the default one of machines with fused
# multiply-add. Ends with a table of what each target printed, also in build/ports/table.txt, and `N passed, N failed, N skipped`.
# A target whose tools are missing has failed, and names their Debian packages.
. tests/items.sh

out=build/ports
CHECK_ALL=1
quick="gcc i386 aarch64 aarch64_fused mips cortex_m3 cortex_m4f small_cortex_m4f atmega2560 wasi freestanding excess_precision checkpoint_moves"

lean="-std=c99 -Os -ffunction-sections -fdata-sections -Wl,--gc-sections"

# hashes COLUMN PARTS: standard input are lines "part hash" of a target, PARTS of them; all must be as COLUMN has them.
hashes()
{
    tr -d '\r' | tee -a "$dir/hashes" |
        awk -v column="$1" -v parts="$2" '
            NR == FNR { want[$1] = $(column + 1); next }
            { n++; if (want[$1] != $2) { print $1 " is " $2 ", not " want[$1]; bad = 1 } }
            END { if (n != parts) { print n + 0 " parts, not " parts; bad = 1 } exit bad }' tests/golden/conformance.txt -
}

# runs "COMPILER FLAGS" [RUNNER...]: $program, compiled so, run by RUNNER; $dir/printed is what it said. As the target has set: $suffix of
# the file's name, $objects and $libs to link with it.
runs()
{
    compile=$1
    shift
    $compile -I. $program $objects -o "$dir/program$suffix" $libs || return 1
    timeout 300 "$@" "$dir/program$suffix" >"$dir/printed" 2>&1             # emulators print with one or the other
}

# conforms ...: as runs, and the hashes are right: $parts of them, of $column.
conforms()
{
    runs "$@"
    status=$?
    rm -f "$dir/hashes"
    hashes $column $parts <"$dir/printed" || return 1
    [ $status -eq 0 ] || { echo "it ended with status $status"; return 1; }
}

program=tests/conformance.c suffix= objects= libs=-lpthread
parts=$(wc -l <tests/golden/conformance.txt) column=1
does=conforms                   # or runs
fused="-DCONFORMANCE_FUSED"

# ---- this machine ----

port_gcc() { need gcc gcc; $does "gcc -O2"; }
port_gcc_fused()
{
    need gcc gcc
    grep -qw fma /proc/cpuinfo || { echo "skipped: this processor has no fused multiply-add"; return 77; }
    column=2 && conforms "gcc -O2 $fused"
}
port_clang() { need clang clang; conforms "clang -O3 -march=native"; }
port_tcc() { need tcc tcc; conforms tcc; }
port_musl() { need musl-gcc musl-tools; conforms "musl-gcc -static -O2"; }
port_i386()
{
    need gcc gcc
    [ -e /usr/lib32/libc.a ] || { echo "skipped: no 32-bit C library (Debian packages: libc6-dev-i386 lib32gcc-12-dev)"; return 77; }
    conforms "gcc -m32 -msse2 -mfpmath=sse -O2"
}

# ---- Linux on other processors, with threads; compiled as gcc does unasked, with contraction where it is for it ----

# linux TRIPLE ARCHITECTURE QEMU ["FLAGS"]
linux()
{
    need "$1-gcc" "gcc-$1 libc6-dev-$2-cross"
    need "qemu-$3-static" qemu-user-static
    $does "$1-gcc -static -O3 ${4-}" "qemu-$3-static"
}

port_aarch64() { linux aarch64-linux-gnu arm64 aarch64; }
port_aarch64_fused() { column=2 && linux aarch64-linux-gnu arm64 aarch64 $fused; }
port_armhf() { linux arm-linux-gnueabihf armhf arm; }
port_riscv64() { linux riscv64-linux-gnu riscv64 riscv64; }
port_riscv64_fused() { column=2 && linux riscv64-linux-gnu riscv64 riscv64 $fused; }
port_s390x() { linux s390x-linux-gnu s390x s390x; }
port_s390x_fused() { column=2 && linux s390x-linux-gnu s390x s390x $fused; }
port_mips() { linux mips-linux-gnu mips mips; }
port_ppc64() { linux powerpc64-linux-gnu ppc64 ppc64; }
port_ppc64_fused() { column=2 && linux powerpc64-linux-gnu ppc64 ppc64 $fused; }

# ---- Windows, under Wine ----

# windows MODEL ["FLAGS"]: MODEL is the compiler's, of threads
windows()
{
    wine=/usr/lib/wine/wine64
    need "x86_64-w64-mingw32-gcc-$1" "gcc-mingw-w64-x86-64-$1"
    [ -x $wine ] || { echo "skipped: wine64 not found (Debian package: wine64)"; return 77; }
    suffix=.exe libs=
    WINEPREFIX=$(cd "$dir" && pwd)/wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml= \
        conforms "x86_64-w64-mingw32-gcc-$1 -O2 -static ${2-}" sh -c '"$0" "$1" 2>/dev/null' $wine
    status=$?
    rm -rf "$dir/wine"                      # 700 MB
    return $status
}

port_windows() { windows win32; }
port_windows_pthreads() { windows posix "-DBADM_PTHREADS -pthread"; }

# ---- Cortex-M and RISC-V without an operating system ----

# bare PREFIX QEMU MACHINE "PROCESSOR" FLASH RAM
bare()
{
    need "$1-gcc" "gcc-$1"
    "$1-gcc" --specs=picolibc.specs -E - </dev/null >/dev/null 2>&1 || { echo "skipped: no picolibc (Debian package: picolibc-$1)"; return 77; }
    need "$2" "$system"
    libs="-Tpicolibc.ld -Wl,--defsym=__flash=$5,--defsym=__flash_size=$flash,--defsym=__ram=$6,--defsym=__ram_size=$ram"
    libs="$libs,--defsym=__stack_size=$stack"
    $does "$1-gcc --specs=picolibc.specs --oslib=semihost --crt0=hosted $4 $lean $flags" \
        "$2" -M "$3" $bios -nographic -monitor none -serial none -semihosting-config enable=on,target=native -kernel
}

cortex() { system=qemu-system-arm bios= && bare arm-none-eabi qemu-system-arm "$@"; }
riscv()
{
    system=qemu-system-misc bios="-bios none"
    bare riscv64-unknown-elf "$1" virt "-mcmodel=medany $2" 0x80000000 0x80400000
}

flash=0x400000 ram=0x400000 stack=16k flags=

port_cortex_m0()
{
    flash=0x40000 ram=0x4000 stack=3k flags="-DCONFORMANCE_PARTS=2 -DCONFORMANCE_MEMORY=8192" parts=9
    cortex microbit "-mcpu=cortex-m0 -mthumb" 0 0x20000000
}
port_cortex_m3() { cortex mps2-an385 "-mcpu=cortex-m3 -mthumb" 0 0x20000000; }
port_cortex_m4f() { cortex mps2-an386 "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 -mthumb" 0 0x20000000; }
port_cortex_m7() { cortex mps2-an500 "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16 -mthumb" 0 0x20000000; }
port_cortex_m33() { cortex mps2-an505 "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard -mthumb" 0x10000000 0x38000000; }
port_rv32imac() { riscv qemu-system-riscv32 "-march=rv32imac -mabi=ilp32"; }
port_rv32imafc() { riscv qemu-system-riscv32 "-march=rv32imafc -mabi=ilp32f"; }
port_rv64imac() { riscv qemu-system-riscv64 "-march=rv64imac -mabi=lp64"; }
port_rv64gc() { riscv qemu-system-riscv64 "-march=rv64gc -mabi=lp64d"; }

# ---- AVR: 8 bits ----

# avr MACHINE "FLAGS": the simulator colours what the serial port says, shows ends of lines as dots and always ends with 0.
avr()
{
    need avr-gcc gcc-avr
    need simavr simavr
    [ -e /usr/lib/avr/include/avr/io.h ] || { echo "skipped: no C library for AVR (Debian package: avr-libc)"; return 77; }
    libs=
    conforms "avr-gcc -mmcu=$1 $lean $2" sh -c 'simavr -m "$0" -f 16000000 "$1" 2>&1 | sed -n "s/\x1b\[[0-9]*m//g; s/^\([a-z_0-9]* [0-9a-f]*\)\.\$/\1/p"' "$1"
}

port_atmega2560() { parts=9 && avr atmega2560 "-DCONFORMANCE_PARTS=2 -DCONFORMANCE_MEMORY=4500"; }
# 32 KB of flash, 2 KB of memory: the block and some 460 bytes of stack.
port_atmega328p() { parts=2 && avr atmega328p "-DBADM_SMALL -mcall-prologues -mrelax -DCONFORMANCE_PARTS=0 -DCONFORMANCE_MEMORY=1430"; }

# ---- BADM_SMALL: less of the library, the same bits ----

small="-DBADM_SMALL -DCONFORMANCE_PARTS=1"

port_small_gcc() { parts=4 && need gcc gcc && conforms "gcc -O2 -Wall -Wextra -Werror $small"; }
port_small_cortex_m4f() { parts=4 flags="$small -DCONFORMANCE_MEMORY=4096" && port_cortex_m4f; }
port_small_atmega2560() { parts=4 && avr atmega2560 "$small -DCONFORMANCE_MEMORY=3000"; }

# ---- WebAssembly ----

wasm() { need clang clang; need wasm-ld lld; need node nodejs; suffix=.wasm libs=; conforms "$@" node --no-warnings tests/wasm.mjs; }

port_wasi()
{
    [ -e /usr/include/wasm32-wasi/stdio.h ] || { echo "skipped: no C library (Debian packages: wasi-libc libclang-rt-14-dev-wasm32)"; return 77; }
    wasm "clang --target=wasm32-wasi -O2"
}
port_wasi_simd()
{
    [ -e /usr/include/wasm32-wasi/stdio.h ] || { echo "skipped: no C library (Debian packages: wasi-libc libclang-rt-14-dev-wasm32)"; return 77; }
    wasm "clang --target=wasm32-wasi -O3 -msimd128"
}
# No C library at all: tests/freestanding.c has the functions that compilers themselves ask for.
port_wasm_alone()
{
    objects=tests/freestanding.c
    wasm "clang --target=wasm32 -ffreestanding -nostdlib -O2 -DEMIT_IMPORT -Wl,--export=main,--no-entry,--allow-undefined"
}

# ---- what is asked of the system, and what is refused ----

levels="-O0 -O2 -O3 -Os"
port_freestanding()
{
    need gcc gcc
    need clang clang
    for compiler in gcc clang; do
        for level in $levels; do
            $compiler -std=c99 -ffreestanding $level -DBADM_NO_STDIO -DBADM_NO_STDLIB -I. -c badm.c -o "$dir/badm.o" || return 1
            nm -u "$dir/badm.o" | awk '{ print $NF }' | grep -vxE '_GLOBAL_OFFSET_TABLE_|memcpy|memset|memmove|memcmp' &&
                { echo "are what $compiler $level wants"; return 1; }
        done
    done
    return 0
}

# The x87, and gcc -std=c99 for s390x, compute with more digits than float has: the compiler says what to do.
port_excess_precision()
{
    refused "-mfpmath=sse" gcc -m32 -mfpmath=387 && refused "-mfpmath=sse" gcc -m32 -std=c99 || return 1
    command -v s390x-linux-gnu-gcc >/dev/null || { echo "without s390x: no s390x-linux-gnu-gcc"; return 0; }
    refused "-fexcess-precision=fast" s390x-linux-gnu-gcc -std=c99
}

# refused WORD COMPILER...
refused()
{
    word=$1
    shift
    if "$@" -DBADM_REPRODUCIBLE -DBADM_NO_STDIO -I. -fsyntax-only badm.c 2>"$dir/said"; then echo "not refused: $*"; return 1; fi
    grep -q -e "error: .*badm.h: .*$word" "$dir/said" || { cat "$dir/said"; return 1; }
}

# ---- training that moves ----

# moved TARGET: the program of tests/moves.c goes on there, from the checkpoint $dir/from.h if there is one; what it said goes to
# $dir/TARGET.
moved()
{
    from=
    if [ -e "$dir/from.h" ]; then from="-DMOVES_FROM=\"$PWD/$dir/from.h\""; fi
    ( program="$from tests/moves.c" does=runs && "port_$1" ) && cp "$dir/printed" "$dir/$1"
}

# from FILE: its checkpoint is what the next program begins with.
from()
{
    { echo "static const unsigned char moved[] = {"; sed -n 's/^saved //p' "$1" | sed 's/../0x&,/g'; echo "};"; } >"$dir/from.h"
}

# From a 64-bit machine to a microcontroller, to one that keeps the other end of a number first, and back: the checkpoints and the models
# are those of a run that never moved.
port_checkpoint_moves()
{
    moved gcc && cp "$dir/gcc" "$dir/first" && from "$dir/first" && moved gcc && cp "$dir/gcc" "$dir/second" || return 1
    [ "$(sed -n 's/^later //p' "$dir/first")" = "$(sed -n 's/^now //p' "$dir/second")" ] || { echo "not even here"; return 1; }
    for target in $movers; do
        from "$dir/first"
        moved "$target" || return 1
        cmp "$dir/second" "$dir/$target" || { echo "$target went on in another way"; return 1; }
        from "$dir/$target"
        moved gcc || return 1
        [ "$(sed -n 's/^later //p' "$dir/second")" = "$(sed -n 's/^now //p' "$dir/gcc")" ] || { echo "back from $target: another model"; return 1; }
    done
}
movers="cortex_m4f s390x mips"

# ---- learning on the device ----

port_gesture()
{
    [ -n "${DATA-}" ] || { echo "without recordings: make ports DATA=folder with sensor/magic_wand.tar.gz"; exit 78; }
    need gcc gcc
    gcc -std=c99 -O2 -I. examples/gesture/train.c -o "$dir/train" -lpthread -lm && "$dir/train" "$DATA" "$dir" || return 1
    gcc -std=c99 -O2 -I. -I"$dir" examples/gesture/main.c -o "$dir/here" && "$dir/here" >"$dir/said" || return 1
    program=examples/gesture/main.c does=runs ram=0x10000 stack=4k flags="-I$dir"
    port_cortex_m4f || return 1
    cat "$dir/printed"
    [ "$(head -n 1 "$dir/said")" = "$(head -n 1 "$dir/printed")" ] || { echo "the device learned something else"; return 1; }
}

# The README's first program as it is, on machines without an operating system.
first_program()
{
    program=examples/xor.c does=runs
    "$1" && printf '%s\n' "0 xor 0 = 0" "0 xor 1 = 1" "1 xor 0 = 1" "1 xor 1 = 0" | diff - "$dir/printed"
}
port_xor_cortex_m4f() { first_program port_cortex_m4f; }
port_xor_rv32imafc() { first_program port_rv32imafc; }

# ---- compilers that only have a front end here: what they compile is the library without an operating system ----

front_end()
{
    need clang clang
    for options in "" -DBADM_REPRODUCIBLE -DBADM_NO_SIMD; do
        clang --target="$1" -std=c99 -ffreestanding -O1 -Wall -Wextra -Werror -DBADM_NO_STDIO -DBADM_NO_STDLIB $options -I. -c badm.c -o "$dir/badm.o" || return 1
    done
}
port_msvc_front_end() { front_end x86_64-pc-windows-msvc; }
port_apple_arm64_front_end() { front_end arm64-apple-darwin; }
port_apple_x86_front_end() { front_end x86_64-apple-darwin; }

# ---- run them ----

case ${1-} in quick) targets=$quick movers="cortex_m4f mips" levels=-Os ;; *) targets=$(items_of port tests/ports.sh "$@") ;; esac
mkdir -p "$out"
run_items port $targets >"$out/results.txt"
status=$?
grep -v '^[0-9]* passed,' "$out/results.txt"

# A line a target: the names of the parts, then the hashes.
for target in $targets; do
    [ -s "$out/$target/hashes" ] && sed "s/^/$target /" "$out/$target/hashes"
done | awk 'NR == FNR { name[++n] = $1; next }
            !($1 in seen) { seen[$1] = 1; order[++m] = $1 }
            { hash[$1 " " $2] = $3 }
            END {
                printf "%-18s", "target"; for (i = 1; i <= n; i++) printf " %-*s", length(name[i]) < 8 ? 8 : length(name[i]), name[i]; print ""
                for (j = 1; j <= m; j++) {
                    printf "%-18s", order[j]
                    for (i = 1; i <= n; i++) {
                        h = hash[order[j] " " name[i]]
                        printf " %-*s", length(name[i]) < 8 ? 8 : length(name[i]), h == "" ? "-" : h
                    }
                    print ""
                }
            }' tests/golden/conformance.txt - | tee "$out/table.txt"
tail -n 1 "$out/results.txt"
exit $status
