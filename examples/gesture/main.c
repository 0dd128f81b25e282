/* device.h where putchar() prints: a terminal, or a board whose C library sends it to a debugger. For a Cortex-M4F in an emulator:

       arm-none-eabi-gcc --specs=picolibc.specs --oslib=semihost --crt0=hosted -mcpu=cortex-m4 -mthumb -mfloat-abi=hard
           -mfpu=fpv4-sp-d16 -Os -I. -Ibuild examples/gesture/main.c -o build/gesture.elf -Tpicolibc.ld
           -Wl,--gc-sections,--defsym=__flash=0,--defsym=__flash_size=0x400000,--defsym=__ram=0x20000000,--defsym=__ram_size=0x10000
       qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting-config enable=on,target=native
           -kernel build/gesture.elf

   build/ is where train.c has put gesture_weights.h and gesture_recordings.h. */
#include <stdio.h>

#define BADM_NO_STDIO
#define BADM_NO_STDLIB
#define BADM_NO_THREADS
#define BADM_NO_TEXT
#define BADM_REPRODUCIBLE           /* the same numbers here and in the emulator */
#define BADM_IMPLEMENTATION
#include "badm.h"

static void print(const char *text) { while (*text) putchar(*text++); }

#define GESTURE_PRINT print
#include "gesture_weights.h"
#include "gesture_recordings.h"
#include "device.h"

int main(void) { return gesture_on_device(); }
