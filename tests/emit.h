/* One character out, on every machine the library is tried on: the one thing a program there needs of its surroundings.
     AVR                        the first serial port, which the simulator shows
     EMIT_IMPORT                emit(), which whoever embeds the program brings: WebAssembly without a C library
     everything else            putchar() */
#if defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
static void emit_begin(void)
{
    UBRR0 = 0;
    UCSR0B = 1 << TXEN0;
}
static void emit(char c)
{
    while (!(UCSR0A & (1 << UDRE0))) {}
    UDR0 = (uint8_t)c;
}
/* Asleep without interrupts: the simulator ends. */
static int emit_end(int code)
{
    while (!(UCSR0A & (1 << UDRE0))) {}
    cli();
    sleep_mode();
    return code;
}
#elif defined(EMIT_IMPORT)
extern void emit(int c);
static void emit_begin(void) {}
static int emit_end(int code) { return code; }
#else
#include <stdio.h>
static void emit_begin(void) {}
static void emit(char c) { putchar(c); }
static int emit_end(int code) { return code; }
#endif

static void emit_text(const char *text)
{
    while (*text) emit(*text++);
}

static void emit_hex(uint32_t x)
{
    int shift;
    for (shift = 28; shift >= 0; shift -= 4) {
        char digit = (char)(x >> shift & 15u);
        emit((char)(digit + (digit < 10 ? '0' : 'a' - 10)));
    }
}

