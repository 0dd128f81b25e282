/* Training inside one static block, as on a microcontroller: no malloc, no files, no threads, no printf.
       cc -O2 -I. examples/embedded.c -o build/embedded && build/embedded

   A sensor delivers windows of 16 readings; the device learns to tell three kinds of motion apart. The readings are
   never stored: the library asks for a window when it needs one (badm_rows_fill), here for a made-up signal, on a board
   from flash or an SD card. All output goes through emit(): here to the terminal, there to the serial port. */
#include <stdio.h>                  /* putchar() in emit(), nothing else */

#define BADM_NO_STDIO
#define BADM_NO_STDLIB
#define BADM_NO_THREADS
#define BADM_IMPLEMENTATION
#include "badm.h"

enum { WINDOW = 16, KINDS = 3, HIDDEN = 12, BATCH = 12, EPOCHS = 12, WINDOWS = 240, UNSEEN = 60 };

static union { unsigned char bytes[16 * 1024]; double aligned; } block;
static uint8_t kinds[WINDOWS + UNSEEN];         /* the label of each window */

static void emit(const char *text)
{
    for (; *text; text++) putchar(*text);
}

static void emit_number(unsigned long n)
{
    char digits[24];
    int i = 23;
    digits[i] = 0;
    do { digits[--i] = (char)('0' + n % 10); n /= 10; } while (n > 0 && i > 0);
    emit(digits + i);
}

/* A value >= 0 with three decimals. */
static void emit_value(float value)
{
    unsigned long thousandths = (unsigned long)(value * 1000 + 0.5f);
    emit_number(thousandths / 1000);
    emit(".");
    emit_number(thousandths / 100 % 10);
    emit_number(thousandths / 10 % 10);
    emit_number(thousandths % 10);
}

static void emit_line(const char *what, unsigned long n, const char *unit)
{
    emit(what);
    emit_number(n);
    emit(unit);
}

typedef struct { badm_linear in, out; uint32_t first; } net;        /* first: where its windows begin */

/* Window `index`: a swing, a shake or a step, of any phase and strength, in noise. */
static void read_sensor(float *row, badm_dim width, uint32_t index, void *user)
{
    badm_rng g;
    float phase, strength;
    badm_dim i;
    index += ((const net *)user)->first;
    badm_rng_init(&g, 5, index);
    phase = 6.2831853f * badm_rng_uniform(&g);
    strength = 0.4f + 0.6f * badm_rng_uniform(&g);
    for (i = 0; i < width; i++) {
        float angle = phase + 0.3926991f * (float)i, wave;
        if (kinds[index] == 0) wave = badm_cosf(angle);
        else if (kinds[index] == 1) wave = badm_cosf(3 * angle);
        else wave = badm_cosf(angle) > 0 ? 1.0f : 0.0f;
        row[i] = strength * wave + 0.15f * badm_rng_normal(&g);
    }
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x = badm_rows_fill(t, read_sensor, user, WINDOW, b);
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, n->in, x));
    return badm_cross_entropy(t, badm_linear_forward(t, n->out, h), badm_labels_u8(t, kinds + n->first, b));
}

static int failed(const char *why)
{
    emit("embedded: ");
    emit(why);
    emit("\n");
    return 1;
}

int main(void)
{
    badm_memory mem;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    size_t bytes, after_start;
    net n, unseen;
    int i;

    for (i = 0; i < WINDOWS + UNSEEN; i++) kinds[i] = (uint8_t)(i % KINDS);
    badm_memory_block(&mem, block.bytes, sizeof block.bytes);
    m = badm_model_new_in(&mem, 1);
    if (!m) return failed("the block is too small for the model");
    n.in = badm_linear_new(m, "in", WINDOW, HIDDEN);
    n.out = badm_linear_new(m, "out", HIDDEN, KINDS);
    n.first = 0;
    unseen = n;                     /* the same layers, other windows */
    unseen.first = WINDOWS;

    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n; d.memory = &mem;
    d.max_batch = BATCH; d.sub_batches = 2; d.micro_batch = 2;     /* two samples at a time: a small tape */
    d.sigma = 5; d.rho = 20;
    if (badm_trainer_bytes(&d, &bytes) != BADM_OK) return failed(badm_model_error(m));
    emit_line("parameters      ", (unsigned long)badm_model_size(m), "\n");
    emit_line("block           ", (unsigned long)sizeof block.bytes, " bytes\n");
    emit_line("trainer needs   ", (unsigned long)bytes, " bytes\n");
    if (badm_trainer_new(&tr, &d) != BADM_OK) return failed(badm_model_error(m));
    after_start = badm_memory_left(&mem);
    emit_line("model + trainer ", (unsigned long)(sizeof block.bytes - after_start), " bytes\n");

    for (i = 1; i <= EPOCHS; i++) {
        if (badm_epoch(tr, WINDOWS, BATCH, NULL, NULL) != BADM_OK) return failed(badm_trainer_error(tr));
        if (badm_evaluate(tr, NULL, &unseen, UNSEEN, &score) != BADM_OK) return failed(badm_trainer_error(tr));
        emit_line("epoch ", (unsigned long)i, "  unseen windows: loss ");
        emit_value(score.loss);
        emit("  accuracy ");
        emit_value(score.accuracy);
        emit("\n");
    }
    if (badm_memory_left(&mem) != after_start) return failed("training took memory");
    emit("training took no further byte\n");
    return score.accuracy > 0.9f ? 0 : failed("it did not learn");
}
