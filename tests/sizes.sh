#!/bin/sh
# `make sizes`: what training takes on small machines: bytes of flash, of memory, of stack; and of a block to give to badm_memory_block.
#
#   sh tests/sizes.sh
#
# Programs are tests/sizes.c, compiled with -Os for each target whose compiler is there, and run in an emulator. flash: code and constants
# of the program less those of one without the library, so what the compiler's own library adds (floating point in software, say) counts.
# block: the least block that is enough; the trainer, its state and the model are in it. stack: measured by painting it. RAM: block, stack
# and constants that lie in memory (AVR). steps in instructions: of an emulator that counts them, where it can.
out=build/sizes
mkdir -p "$out"

# compile NAME FLAGS...: as $compiler does for $target, with what it links.
compile()
{
    name=$1
    shift
    $compiler -std=c99 -Os -ffunction-sections -fdata-sections -Wl,--gc-sections -I. -DBADM_REPRODUCIBLE "$@" tests/sizes.c -o "$out/$target-$name" $link
}

text() { $size "$out/$target-$1" | awk 'NR == 2 { print $1 + $2 }'; }
data() { $size "$out/$target-$1" | awk 'NR == 2 { print $2 }'; }

# row WHAT FLAGS...
row()
{
    what=$1
    shift
    [ -e "$out/$target-nothing" ] || compile nothing -DSIZES_NOTHING || return 1
    compile quiet -DSIZES_QUIET -DSIZES_BLOCK=$most "$@" || return 1
    compile told -DSIZES_BLOCK=$most -DSIZES_STACK=$painted $counter "$@" || return 1
    run "$out/$target-told" >"$out/$target-said" 2>&1
    awk -v target="$target" -v what="$what" -v flash=$(($(text quiet) - $(text nothing))) -v data=$(($(data quiet) - $(data nothing))) '
        { v[$1] = $2 }
        END {
            if (!("block" in v) || "failed" in v) { print "| " target " | " what " | it failed |"; exit 1 }
            printf "| %s | %s | %d | %d | %d | %d | %s |\n", target, what, flash, v["block"], v["stack"], v["block"] + v["stack"] + data, \
                "step" in v ? v["step"] : ""
        }' "$out/$target-said"
    [ -z "$define" ] || sed -n "s/^block \(.*\)/#define ${define}_BYTES \1/p" "$out/$target-said" >>"$out/defines"
}

rows()
{
    rm -f "$out/$target"-*
    row "XOR 2-4-1, BADM_SMALL" -DBADM_SMALL -DHIDDEN=4 && define=$1 && row "XOR 2-8-1, BADM_SMALL" -DBADM_SMALL && define= &&
        row "XOR 2-8-1" || return 1
    [ "$most" -lt 9000 ] || row "digits 64-16-10, BADM_SMALL" -DBADM_SMALL -DSIZES_DIGITS
}

missing() { command -v "$1" >/dev/null 2>&1 || { echo "$target: $1 not found (Debian package: $2)"; return 0; }; return 1; }

: >"$out/defines"
define=
echo "| target | program | flash | block | stack | RAM | instructions a step |"
echo "| --- | --- | --- | --- | --- | --- | --- |"

# Cortex-M: instructions are counted by a timer that the emulator advances by one in forty.
for one in "cortex-m0 microbit -mcpu=cortex-m0 0x40000 0x4000" "cortex-m3 mps2-an385 -mcpu=cortex-m3 0x400000 0x400000" \
    "cortex-m4f mps2-an386 -mcpu=cortex-m4,-mfloat-abi=hard,-mfpu=fpv4-sp-d16 0x400000 0x400000"; do
    set -- $one
    target=$1 machine=$2 size=arm-none-eabi-size most=24000 painted=6000
    missing arm-none-eabi-gcc "gcc-arm-none-eabi picolibc-arm-none-eabi" && continue
    missing qemu-system-arm qemu-system-arm && continue
    compiler="arm-none-eabi-gcc --specs=picolibc.specs --oslib=semihost --crt0=hosted -mthumb $(echo "$3" | tr , ' ')"
    link="-Tpicolibc.ld -Wl,--defsym=__flash=0,--defsym=__flash_size=$4,--defsym=__ram=0x20000000,--defsym=__ram_size=$5,--defsym=__stack_size=7k"
    counter=-DSIZES_COUNTER
    [ "$target" != cortex-m0 ] || { most=6000 painted=5000 counter=; }
    run()
    {
        timeout 60 qemu-system-arm -M $machine -icount shift=0 -nographic -monitor none -serial none \
            -semihosting-config enable=on,target=native -kernel "$1"
    }
    rows "$(echo "$target" | tr a-z- A-Z_)_XOR"
done

target=atmega2560 size=avr-size most=5000 painted=2400 counter= link=
if ! missing avr-gcc "gcc-avr avr-libc" && ! missing simavr simavr; then
    compiler="avr-gcc -mmcu=atmega2560 -mcall-prologues -mrelax"
    run() { timeout 60 simavr -m atmega2560 -f 16000000 "$1" 2>&1 | sed -n 's/\x1b\[[0-9]*m//g; s/^\([a-z]* [0-9a-f]*\)\.$/\1/p'; }
    rows ATMEGA2560_XOR
fi

# WebAssembly without a C library: the file, which is what a page loads.
target=wasm
if ! missing clang clang && ! missing wasm-ld lld; then
    clang --target=wasm32 -ffreestanding -nostdlib -Oz -std=c99 -I. -DEMIT_IMPORT -DSIZES_QUIET -DBADM_SMALL -Wl,--export=main,--no-entry,--allow-undefined,--strip-all,--compress-relocations \
        tests/sizes.c tests/freestanding.c -o "$out/xor.wasm" &&
        echo "| wasm32, no C library | XOR 2-8-1, BADM_SMALL, the whole file | $(wc -c <"$out/xor.wasm") | | | | |"
fi

echo
echo "For static unsigned char mem[], aligned as a double, of the programs marked XOR 2-8-1, BADM_SMALL:"
cat "$out/defines"
