#!/bin/sh
# `make sizes`: bytes of a program that trains XOR, with what it does not use left out by the linker, and of the whole implementation.
#
#   sh tests/sizes.sh
#
# text is code and constants, data and bss are writable memory. The C library is a shared one, so what is counted is badm.h's share
# and some 1.5 KB of start-up code.
out=build/sizes
mkdir -p "$out"
command -v size >/dev/null 2>&1 || { echo "size not found (Debian package: binutils)"; exit 1; }

row() { size "$3" | awk -v what="$1" -v flags="$2" 'NR == 2 { printf "%-44s %-4s %8d %6d %6d\n", what, flags, $1, $2, $3 }'; }

compile="${CC:-cc} -std=c99 -I. -ffunction-sections -fdata-sections -Wl,--gc-sections"
small="-DBADM_NO_STDIO -DBADM_NO_THREADS -DBADM_NO_TEXT -DBADM_NO_SIMD"
printf '%-44s %-4s %8s %6s %6s\n' '' '' text data bss
for level in -Os -O2; do
    $compile $level examples/xor.c -o "$out/xor" -lpthread && row "XOR program" $level "$out/xor" || exit 1
    $compile $level $small examples/xor.c -o "$out/small" && row "XOR program, no threads, text, SIMD" $level "$out/small" || exit 1
    ${CC:-cc} -std=c99 $level -c badm.c -o "$out/badm.o" && row "whole implementation" $level "$out/badm.o" || exit 1
    ${CC:-cc} -std=c99 $level $small -c badm.c -o "$out/bare.o" && row "whole implementation, no files by name, ..." $level "$out/bare.o" || exit 1
done
