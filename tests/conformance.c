/* Trains small networks in one block of memory and prints a hash of what each has learned, in reproducible arithmetic: the same on every
   machine (tests/golden/conformance.txt). `sh tests/ports.sh` runs it on all of them.

     CONFORMANCE_PARTS=0      XOR with BADM
     CONFORMANCE_PARTS=1      XOR as BADM_SMALL can, too
     CONFORMANCE_PARTS=2      XOR in all ways, and numbers: for 8 KB
     CONFORMANCE_FUSED        the default arithmetic instead: machines with fused multiply-add agree among themselves
     CONFORMANCE_MEMORY=n     bytes of the block
   Needs of its surroundings one function that puts out a character (tests/emit.h) and memcpy, memset, memcmp. */
#ifndef CONFORMANCE_PARTS
#define CONFORMANCE_PARTS 3
#endif
#ifndef CONFORMANCE_MEMORY
#define CONFORMANCE_MEMORY (sizeof(void *) * 64 * 1024)      /* vector kernels pack matrices */
#endif
#ifndef CONFORMANCE_FUSED
#define BADM_REPRODUCIBLE
#endif
#define BADM_NO_STDIO
#define BADM_NO_STDLIB
#define BADM_NO_TEXT
#define BADM_STATIC             /* only what is used is compiled */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "emit.h"

static union { unsigned char bytes[CONFORMANCE_MEMORY]; double aligned; } block;
static badm_memory memory;

/* FNV-1a over the bytes of 32-bit numbers, the lowest first. */
static uint32_t hash;
static void add_bits(uint32_t bits)
{
    int i;
    for (i = 0; i < 4; i++) hash = (hash ^ (bits >> (8 * i) & 255u)) * 16777619u;
}

static void add_value(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_bits(value == value ? bits : 0x7FC00000u);          /* which of the many not-a-numbers is for the machine to choose */
}

static void add_model(badm_model *m)
{
    size_t i, j;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        for (j = 0; j < badm_param_size(p); j++) add_value(badm_param_values(p)[j]);
    }
}

static void begin(void)
{
    hash = 2166136261u;
    badm_memory_block(&memory, block.bytes, sizeof block.bytes);
}

/* why: NULL: the hash holds. Returns 1 for a part that failed. */
static int end(const char *part, const char *why)
{
    emit_text(part);
    emit(' ');
    if (why) emit_text(why);
    else emit_hex(hash);
    emit('\n');
    return why != NULL;
}

/* Trains for so many steps on samples 0..count-1, below that loss, and hashes the model. */
static int train_on(const char *part, badm_trainer *tr, uint32_t count, int steps, float below, int monitors)
{
    badm_report r;
    const char *why = NULL;
    int i;
    r.loss = r.grad_norm = r.primal_residual = r.dual_residual = 0;
    if (!tr) return end(part, "no memory");
    for (i = 0; i < steps && !why; i++) if (badm_step(tr, NULL, count, &r) != BADM_OK) why = "no step";
    if (!why && !(r.loss < below)) why = "no learning";
    add_model(badm_trainer_model(tr));
    add_value(r.loss);
    if (monitors) {
        add_value(r.grad_norm);
        add_value(r.primal_residual);
        add_value(r.dual_residual);
    }
    badm_trainer_free(tr);
    return end(part, why);
}

static badm_trainer *trainer_of(badm_trainer_desc *d, uint32_t count)
{
    badm_trainer *tr;
    d->memory = &memory;
    d->max_batch = count;
    d->workers = 2;
    return badm_trainer_new(&tr, d) == BADM_OK ? tr : NULL;
}

#if CONFORMANCE_PARTS >= 1
static int train(const char *part, badm_trainer_desc *d, uint32_t count, int steps, float below)
{
    return train_on(part, trainer_of(d, count), count, steps, below, d->monitors);
}
#endif

/* ---- XOR: 2-4-1, for the smallest machines, and 2-8-1 ---- */

typedef struct { badm_linear hidden, output; } xor_net;

/* Two inputs, or their exclusive or: computed, as tables would lie in memory on some machines. */
static void xor_row(float *row, badm_dim width, uint32_t index, void *user)
{
    (void)user;
    row[0] = (float)(width > 1 ? index >> 1 : (index >> 1 ^ index) & 1u);
    if (width > 1) row[1] = (float)(index & 1u);
}

static badm_tensor *xor_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const xor_net *n = (const xor_net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->hidden, badm_rows_fill(t, xor_row, NULL, 2, b)));
    return badm_bce_with_logits(t, badm_linear_forward(t, n->output, h), badm_rows_fill(t, xor_row, NULL, 1, b));
}

static void xor_begin(badm_trainer_desc *d, xor_net *n, badm_dim hidden)
{
    begin();
    badm_trainer_defaults(d);
    d->model = badm_model_new_in(&memory, 1);
    n->hidden = badm_linear_new(d->model, "h", 2, hidden);
    n->output = badm_linear_new(d->model, "o", hidden, 1);
    d->loss = xor_loss;
    d->user = n;
    d->sub_batches = 1;
    d->monitors = 0;
    d->sigma = 0.5f;
    d->rho = 4.5f;
}

/* A function of its own, so that the desc has left the stack when training begins. */
#ifdef __GNUC__
__attribute__((noinline))
#endif
static badm_trainer *xor_plain(badm_dim hidden)
{
    static xor_net n;
    badm_trainer_desc d;
    xor_begin(&d, &n, hidden);
    d.micro_batch = 1;
    return trainer_of(&d, 4);
}

#if CONFORMANCE_PARTS >= 1
static int xor_as_small_builds_can(void)
{
    badm_trainer_desc d;
    xor_net n;
    int bad;
    xor_begin(&d, &n, 8);
    d.sub_batches = 2;
    d.micro_batch = 1;
    bad = train("xor_pieces", &d, 4, 500, 0.01f);
    xor_begin(&d, &n, 8);
    d.method = badm_method_adam();
    d.lr = 0.05f;
    return bad + train("xor_adam", &d, 4, 200, 0.05f);
}
#endif

#if CONFORMANCE_PARTS >= 2
static int xor_in_other_ways(void)
{
    badm_trainer_desc d;
    xor_net n;
    int bad = 0;
    xor_begin(&d, &n, 8);
    d.metric = BADM_DIAGONAL;
    d.sigma = 20;
    d.rho = 180;
    bad += train("xor_diagonal", &d, 4, 200, 0.05f);
    xor_begin(&d, &n, 8);
    d.form = BADM_PER_SLOT;
    d.sub_batches = 2;
    return bad + train("xor_slots", &d, 4, 300, 0.05f);
}

/* ---- numbers ---- */

/* Any number but the largest and the smallest, so that products and quotients of two are neither infinite nor
   subnormal; `all`: any. */
static float random_value(badm_rng *g, int all)
{
    uint32_t bits = badm_rng_u32(g);
    float value;
    if (!all) bits = (bits & 0x807FFFFFu) | (96u + (bits >> 23 & 63u)) << 23;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int numbers(void)
{
    badm_rng g;
    int i, bad = 0;
    begin();
    badm_rng_init(&g, 1, 2);
    for (i = 0; i < 2000; i++) {
        volatile float a = random_value(&g, i >= 1000), b = random_value(&g, i >= 1000), c = random_value(&g, i >= 1000), product = a * b;
        add_value(a + b);
        add_value(product);
        add_value(product + c);
        if (i < 1000) add_value(a / b);
        add_bits((uint32_t)(a < b));
    }
    bad += end("arithmetic", NULL);
#if CONFORMANCE_PARTS >= 3              /* AVR's division rounds some of these wrongly */
    begin();
    badm_rng_init(&g, 1, 3);
    for (i = 0; i < 1000; i++) {
        volatile float a = random_value(&g, 0) * 1e-30f, b = random_value(&g, 0);
        add_value(a / b);
    }
    bad += end("subnormal_quotients", NULL);
#endif
    begin();
    badm_rng_init(&g, 1, 4);
    for (i = 0; i < 500; i++) {
        add_bits(badm_rng_u32(&g));
        add_bits(badm_rng_below(&g, 1000));
        add_value(badm_rng_uniform(&g));
        add_value(badm_rng_normal(&g));
        add_bits(badm_shuffle(7, 3, 500, (uint32_t)i));
    }
    bad += end("random", NULL);
    begin();
    for (i = -400; i <= 400; i++) {
        float x = (float)i * 0.25f + badm_rng_uniform(&g) * 0.25f;
        add_value(badm_expf(x));
        add_value(badm_logf(x < 0 ? -x : x));
        add_value(badm_log1pf(badm_rng_uniform(&g)));
        add_value(badm_tanhf(x * 0.1f));
        add_value(badm_erff(x * 0.05f));
        add_value(badm_cosf(x * 100));
        add_value(badm_sqrtf(x < 0 ? -x : x));
        add_value(badm_sigmoidf(x));
    }
    return bad + end("mathematics", NULL);
}
#endif

#if CONFORMANCE_PARTS >= 3

/* ---- digits of 8x8 pixels, drawn here ---- */

enum { SIDE = 8, PIXELS = SIDE * SIDE, DIGITS = 10, HIDDEN = 8, SAMPLES = 40 };
static uint8_t kinds[SAMPLES];

/* Number `index`: its figure of 3x5 pixels, each twice as high where the place allows, moved about, in noise. */
static void draw(float *row, badm_dim width, uint32_t index, void *user)
{
    static const uint16_t figures[DIGITS] = {               /* rows of three bits, the top one highest */
        075557, 026227, 071747, 071717, 055711, 074717, 074757, 071244, 075757, 075717 };
    uint32_t figure = figures[kinds[index]], x, y, left, top;
    badm_rng g;
    (void)user;
    badm_rng_init(&g, 11, index);
    left = 1 + badm_rng_below(&g, 4);
    top = 1 + badm_rng_below(&g, 2);
    for (y = 0; y < SIDE; y++) for (x = 0; x < width / SIDE; x++) {
        uint32_t fx = x - left, fy = y - top, on = fx < 3 && fy < 5 ? figure >> (3 * (4 - fy) + 2 - fx) & 1u : 0;
        row[y * SIDE + x] = 0.75f * (float)on + 0.25f * badm_rng_uniform(&g);        /* exact, so nothing changes where it is fused */
    }
}

typedef struct { badm_linear hidden, output; float dropped; } digit_net;

static badm_tensor *digit_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const digit_net *n = (const digit_net *)user;
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, n->hidden, badm_rows_fill(t, draw, NULL, PIXELS, b)));
    if (n->dropped > 0) h = badm_dropout(t, h, n->dropped);
    return badm_cross_entropy(t, badm_linear_forward(t, n->output, h), badm_labels_u8(t, kinds, b));
}

static void digits_begin(badm_trainer_desc *d, digit_net *n)
{
    int i;
    begin();
    for (i = 0; i < SAMPLES; i++) kinds[i] = (uint8_t)(i % DIGITS);
    badm_trainer_defaults(d);
    d->model = badm_model_new_in(&memory, 3);
    n->hidden = badm_linear_new(d->model, "h", PIXELS, HIDDEN);
    n->output = badm_linear_new(d->model, "o", HIDDEN, DIGITS);
    n->dropped = 0;
    d->loss = digit_loss;
    d->user = n;
    d->sub_batches = 2;
    d->micro_batch = 4;
    d->sigma = 1;
    d->rho = 9;
}

static int digits(void)
{
    badm_trainer_desc d;
    digit_net n;
    int bad = 0;
    digits_begin(&d, &n);
    bad += train("digits_plain", &d, SAMPLES, 60, 1.0f);
    digits_begin(&d, &n);
    d.metric = BADM_DIAGONAL;
    d.sigma = 40;
    d.rho = 360;
    bad += train("digits_diagonal", &d, SAMPLES, 30, 1.0f);
    digits_begin(&d, &n);
    d.metric = BADM_ORTHOGONAL;
    d.sigma = 5;
    d.rho = 45;
    bad += train("digits_orthogonal", &d, SAMPLES, 30, 1.0f);
    digits_begin(&d, &n);
    d.form = BADM_PER_SLOT;
    bad += train("digits_slots", &d, SAMPLES, 60, 1.0f);
    digits_begin(&d, &n);
    d.method = badm_method_adam();
    d.lr = 0.02f;
    bad += train("digits_adam", &d, SAMPLES, 30, 1.0f);
    digits_begin(&d, &n);
    n.dropped = 0.25f;
    return bad + train("digits_dropout", &d, SAMPLES, 60, 1.5f);
}

/* ---- a convolutional network, and attention over the rows of an image ---- */

typedef struct { badm_conv_layer conv; badm_norm norm; badm_linear output; } cnn_net;

static badm_tensor *cnn_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const cnn_net *n = (const cnn_net *)user;
    badm_dim image[4] = { 0, 1, SIDE, SIDE }, flat[2] = { 0, 4 * 9 };
    badm_tensor *x;
    image[0] = flat[0] = (badm_dim)b->count;
    x = badm_reshape(t, badm_rows_fill(t, draw, NULL, PIXELS, b), 4, image);
    x = badm_relu(t, badm_batch_norm_forward(t, n->norm, badm_conv2d_forward(t, n->conv, x)));
    x = badm_reshape(t, badm_max_pool2d(t, x, 2, 2, 0), 2, flat);
    return badm_cross_entropy(t, badm_linear_forward(t, n->output, x), badm_labels_u8(t, kinds, b));
}

typedef struct { badm_linear in; badm_multihead attention; badm_norm norm; badm_linear output; } attention_net;

static badm_tensor *attention_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const attention_net *n = (const attention_net *)user;
    badm_dim rows[3] = { 0, SIDE, SIDE };
    badm_tensor *x;
    rows[0] = (badm_dim)b->count;
    x = badm_linear_forward(t, n->in, badm_reshape(t, badm_rows_fill(t, draw, NULL, PIXELS, b), 3, rows));
    x = badm_add(t, x, badm_sinusoidal(t, SIDE, 8));
    x = badm_add(t, x, badm_multihead_forward(t, n->attention, badm_layer_norm_forward(t, n->norm, x), 0));
    x = badm_mean_axis(t, badm_gelu(t, x), 1);
    return badm_cross_entropy(t, badm_linear_forward(t, n->output, x), badm_labels_u8(t, kinds, b));
}

static int deep_networks(void)
{
    badm_trainer_desc d;
    digit_net unused;
    cnn_net cnn;
    attention_net attention;
    int bad = 0;
    digits_begin(&d, &unused);
    begin();
    d.model = badm_model_new_in(&memory, 3);
    cnn.conv = badm_conv2d_new(d.model, "c", 1, 4, 3, badm_conv_defaults());
    cnn.norm = badm_batch_norm_new(d.model, "n", 4);
    cnn.output = badm_linear_new(d.model, "o", 4 * 9, DIGITS);
    d.loss = cnn_loss;
    d.user = &cnn;
    bad += train("cnn", &d, SAMPLES, 40, 1.0f);
    digits_begin(&d, &unused);
    begin();
    d.model = badm_model_new_in(&memory, 3);
    attention.in = badm_linear_new(d.model, "i", SIDE, 8);
    attention.attention = badm_multihead_new(d.model, "a", 8, 2);
    attention.norm = badm_layer_norm_new(d.model, "n", 8);
    attention.output = badm_linear_new(d.model, "o", 8, DIGITS);
    d.loss = attention_loss;
    d.user = &attention;
    d.metric = BADM_DIAGONAL;
    d.sigma = 40;
    d.rho = 360;
    d.micro_batch = 2;
    return bad + train("attention", &d, SAMPLES, 60, 1.8f);
}

/* ---- relatives ---- */

static int relatives(void)
{
    static float x[SAMPLES][16];
    static int32_t label[SAMPLES];
    static const uint32_t row[9] = { 0, 0, 1, 2, 2, 4, 4, 5, 5 }, column[9] = { 0, 3, 1, 0, 2, 1, 3, 2, 4 };
    static const float value[9] = { 1, 0.5f, 2, 1, 1, -1, 0.25f, 1, 1 }, y[6] = { 1, 0, 1, 0, 0, 1 };
    badm_pdadmm_desc pd;
    badm_pdadmm *p;
    badm_sparse_desc sd;
    badm_sparse_sgd *s;
    badm_csr *rows;
    badm_model *m;
    badm_linear layer[3];
    badm_rng g;
    const char *why = NULL;
    uint32_t i, j;
    int bad = 0;

    begin();
    badm_rng_init(&g, 5, 0);
    for (i = 0; i < SAMPLES; i++) {
        label[i] = (int32_t)(i % 3);
        for (j = 0; j < 16; j++) x[i][j] = (j % 3 == i % 3 ? 0.75f : 0.25f) + 0.25f * badm_rng_uniform(&g);
    }
    m = badm_model_new_in(&memory, 1);
    layer[0] = badm_linear_new(m, "0", 16, 6);
    layer[1] = badm_linear_new(m, "1", 6, 6);
    layer[2] = badm_linear_new(m, "2", 6, 3);
    badm_pdadmm_defaults(&pd);
    pd.model = m; pd.layer = layer; pd.layers = 3; pd.x = x[0]; pd.label = label; pd.samples = SAMPLES / 2; pd.memory = &memory; pd.workers = 2;
    pd.nu = 1e-2f;
    pd.rho = 4e-2f;
    if (badm_pdadmm_new(&p, &pd, NULL) != BADM_OK) bad += end("pdadmm", "no memory");
    else {
        for (i = 0; i < 10 && !why; i++) if (badm_pdadmm_step(p, NULL) != BADM_OK) why = "an iteration failed";
        add_model(m);
        badm_pdadmm_free(p);
        bad += end("pdadmm", why);
    }

    begin();
    if (badm_csr_new(&rows, &memory, 6, 5, 9, row, column, value, NULL) != BADM_OK) return bad + end("sparse", "no memory");
    badm_sparse_defaults(&sd);
    sd.x = rows; sd.y = y; sd.aggregation = BADM_BY_PRESENCE; sd.batch = 3; sd.l2 = 1e-2f; sd.memory = &memory; sd.workers = 2;
    why = NULL;
    if (badm_sparse_new(&s, &sd, NULL) != BADM_OK) return bad + end("sparse", "no memory");
    for (i = 0; i < 10 && !why; i++) if (badm_sparse_epoch(s) != BADM_OK) why = "an epoch failed";
    for (i = 0; i < 6; i++) add_value(badm_sparse_weights(s)[i]);
    badm_sparse_free(s);
    badm_csr_free(rows);
    return bad + end("sparse", why);
}

/* ---- a checkpoint: its bytes, and going on from it ---- */

static uint8_t saved[4096];
static size_t saved_bytes, read_bytes;

static size_t save(const void *from, size_t bytes, void *user)
{
    (void)user;
    if (bytes > sizeof saved - saved_bytes) return 0;
    memcpy(saved + saved_bytes, from, bytes);
    saved_bytes += bytes;
    return bytes;
}

static size_t restore(void *to, size_t bytes, void *user)
{
    (void)user;
    if (bytes > saved_bytes - read_bytes) bytes = saved_bytes - read_bytes;
    memcpy(to, saved + read_bytes, bytes);
    read_bytes += bytes;
    return bytes;
}

static int checkpoint(void)
{
    badm_writer w;
    badm_reader r;
    badm_trainer_desc d;
    badm_trainer *tr;
    xor_net n;
    const char *why = NULL;
    uint32_t all;
    size_t i;
    int round;
    w.write = save; w.user = NULL;
    r.read = restore; r.user = NULL;
    saved_bytes = read_bytes = 0;
    for (round = 0; round < 2 && !why; round++) {           /* 20 steps; then, from what was saved, 20 more */
        xor_begin(&d, &n, 8);
        d.memory = &memory;
        d.max_batch = 4;
        if (badm_trainer_new(&tr, &d) != BADM_OK) return end("checkpoint", "no memory");
        if (round && badm_checkpoint_load_from(tr, &r) != BADM_OK) why = "it cannot be read";
        for (i = 0; i < 20 && !why; i++) if (badm_step(tr, NULL, 4, NULL) != BADM_OK) why = "no step";
        if (!round && !why && badm_checkpoint_save_to(tr, &w) != BADM_OK) why = "it cannot be written";
        if (round) add_model(d.model);
        badm_trainer_free(tr);
    }
    all = hash;
    begin();
    add_bits(all);
    for (i = 0; i < saved_bytes; i++) add_bits(saved[i]);
    return end("checkpoint", why);
}
#endif

int main(void)
{
    int bad;
    emit_begin();
    bad = train_on("xor_4", xor_plain(4), 4, 500, 0.01f, 0);
    bad += train_on("xor_8", xor_plain(8), 4, 500, 0.01f, 0);
#if CONFORMANCE_PARTS >= 1
    bad += xor_as_small_builds_can();
#endif
#if CONFORMANCE_PARTS >= 2
    bad += xor_in_other_ways() + numbers();
#endif
#if CONFORMANCE_PARTS >= 3
    bad += digits() + deep_networks() + relatives() + checkpoint();
#endif
    return emit_end(bad != 0);
}
