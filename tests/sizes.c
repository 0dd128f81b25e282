/* A small program that trains, for `make sizes` (sizes.sh): measures what it takes of memory, on the machine it runs on.

     SIZES_DIGITS        64-16-10, relu, cross entropy, batch 8; otherwise XOR: 2-HIDDEN-1, tanh, batch 4
     SIZES_BLOCK=n       bytes of the block to try with
     SIZES_QUIET         trains and says nothing: what the linker keeps is the program itself
     SIZES_NOTHING       a program without the library, to subtract
     SIZES_STACK=n       bytes of the stack that may be painted
   Prints "block N": what of the block was used; "stack N": bytes of the stack below main's caller, by painting it first; "loss 0xBITS";
   and, where there is a counter of instructions (SIZES_COUNTER), "step N" a training step. */
#ifndef SIZES_BLOCK
#define SIZES_BLOCK 4096
#endif
#ifndef SIZES_STACK
#define SIZES_STACK 4096
#endif
#ifndef HIDDEN
#define HIDDEN 8
#endif
#ifdef SIZES_NOTHING
#include <stdint.h>
#include "emit.h"
int main(void)
{
    emit_begin();
    emit('+');
    return emit_end(0);
}
#else

#define BADM_NO_STDIO
#define BADM_NO_STDLIB
#define BADM_NO_THREADS
#define BADM_NO_TEXT
#define BADM_STATIC
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "emit.h"

static union { unsigned char bytes[SIZES_BLOCK]; double aligned; } block;
typedef struct { badm_linear hidden, output; } net;

#ifdef SIZES_DIGITS
enum { INPUTS = 64, OUTPUTS = 10, BATCH = 8, STEPS = 100 };
static uint8_t labels[BATCH] = { 0, 1, 2, 3, 4, 5, 6, 7 };
static void pixels(float *row, badm_dim width, uint32_t index, void *user)
{
    badm_dim i;
    (void)user;
    for (i = 0; i < width; i++) row[i] = (float)((index * 37u + i * i * 11u) % 17u) * 0.0625f;
}
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, n->hidden, badm_rows_fill(t, pixels, NULL, INPUTS, b)));
    return badm_cross_entropy(t, badm_linear_forward(t, n->output, h), badm_labels_u8(t, labels, b));
}
#undef HIDDEN
#define HIDDEN 16
#else
enum { INPUTS = 2, OUTPUTS = 1, BATCH = 4, STEPS = 500 };
static const float inputs[4][2] = { {0, 0}, {0, 1}, {1, 0}, {1, 1} }, targets[4] = { 0, 1, 1, 0 };
static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->hidden, badm_rows(t, inputs[0], 2, b)));
    return badm_bce_with_logits(t, badm_linear_forward(t, n->output, h), badm_rows(t, targets, 1, b));
}
#endif

static badm_memory memory;
static net layers;

static badm_trainer *tr;

/* The desc has left the stack when training begins. */
static __attribute__((noinline)) int begin(void)
{
    badm_trainer_desc d;
    badm_model *m;
    badm_memory_block(&memory, block.bytes, sizeof block.bytes);
    m = badm_model_new_in(&memory, 1);
    if (!m) return 0;
    layers.hidden = badm_linear_new(m, "h", INPUTS, HIDDEN);
    layers.output = badm_linear_new(m, "o", HIDDEN, OUTPUTS);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &layers; d.memory = &memory; d.max_batch = BATCH; d.sub_batches = 1; d.micro_batch = 1;
    d.monitors = 0;
    d.sigma = 0.5f;
    d.rho = 4.5f;
    return badm_trainer_new(&tr, &d) == BADM_OK;
}

static __attribute__((noinline)) int train(int steps, float *last)
{
    badm_report r;
    r.loss = 0;
    for (; steps > 0; steps--) if (badm_step(tr, NULL, BATCH, &r) != BADM_OK) return 0;
    *last = r.loss;
    return 1;
}

#ifndef SIZES_QUIET
enum { PAINT = 0xC5, DEPTH = SIZES_STACK };

/* Fills what the stack will be, from main's frame down; then counts how much of it has been written to. */
static __attribute__((noinline)) size_t stack_paint(int again)
{
    volatile unsigned char *low = (volatile unsigned char *)((uintptr_t)__builtin_frame_address(0) - DEPTH - 64u);
    size_t i;
    if (!again) { for (i = 0; i < DEPTH; i++) low[i] = PAINT; return 0; }
    for (i = 0; i < DEPTH && low[i] == PAINT; i++) { }
    return DEPTH + 64u - i;
}

static void emit_number(const char *name, uint32_t x)
{
    char digits[11];
    int n = 0;
    emit_text(name);
    do { digits[n++] = (char)('0' + x % 10); x /= 10; } while (x);
    while (n > 0) emit(digits[--n]);
    emit('\n');
}
#endif

#ifdef SIZES_COUNTER
/* SysTick of Cortex-M, which the emulator runs at 25 MHz, 40 instructions a tick. */
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010u;
static void count_begin(void) { systick[1] = 0xFFFFFFu; systick[2] = 0; systick[0] = 5; }
static uint32_t count_end(void) { return (0xFFFFFFu - systick[2]) * 40u; }
#endif

int main(void)
{
    float last = 0;
    int fine;
#ifdef SIZES_QUIET
    emit_begin();
    fine = begin() && train(STEPS, &last);
    emit(fine && last < 0.1f ? '+' : '-');
#else
    uint32_t bits;
    emit_begin();
    stack_paint(0);
    fine = begin() && train(STEPS, &last);
    emit_number("stack ", (uint32_t)stack_paint(1));
    if (!fine) emit_text("failed\n");
    emit_number("block ", (uint32_t)(sizeof block.bytes - badm_memory_left(&memory)));
    memcpy(&bits, &last, sizeof bits);
    emit_text("loss ");
    emit_hex(bits);
    emit('\n');
#ifdef SIZES_COUNTER
    count_begin();
    if (!train(10, &last)) return emit_end(1);
    emit_number("step ", count_end() / 10);
#endif
#endif
    return emit_end(!fine);
}
#endif
