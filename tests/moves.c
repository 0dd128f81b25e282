/* Training that moves from one machine to another in the middle, for tests/ports.sh: 21 steps, a
   checkpoint in the middle of an epoch, 21 more. Prints

     now HASH           of the model after the first 21 steps
     saved BYTES        the checkpoint, in hexadecimal
     later HASH         of the model after all 42

   MOVES_FROM: a header with the bytes of a checkpoint, `static const unsigned char moved[] = { ... };`, to begin with. */
#define BADM_REPRODUCIBLE
#define BADM_NO_STDIO
#define BADM_NO_STDLIB
#define BADM_NO_TEXT
#define BADM_STATIC
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "emit.h"
#ifdef MOVES_FROM
#include MOVES_FROM
#else
static const unsigned char moved[1];
#endif

typedef struct { badm_linear hidden; badm_norm norm; badm_linear output; } net;
static const float inputs[8][2] = { {0, 0}, {0, 1}, {1, 0}, {1, 1}, {0.25f, 1}, {1, 0.25f}, {0.25f, 0}, {0.75f, 1} };
static const float targets[8] = { 0, 1, 1, 0, 1, 1, 0, 0 };

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_linear_forward(t, n->hidden, badm_rows(t, inputs[0], 2, b));
    h = badm_dropout(t, badm_tanh(t, badm_batch_norm_forward(t, n->norm, h)), 0.1f);
    return badm_bce_with_logits(t, badm_linear_forward(t, n->output, h), badm_rows(t, targets, 1, b));
}

static size_t taken;
static size_t take(void *to, size_t bytes, void *user)
{
    (void)user;
    if (bytes > sizeof moved - taken) bytes = sizeof moved - taken;
    memcpy(to, moved + taken, bytes);
    taken += bytes;
    return bytes;
}

static size_t give(const void *from, size_t bytes, void *user)
{
    const unsigned char *p = (const unsigned char *)from;
    size_t i;
    (void)user;
    for (i = 0; i < bytes; i++) {
        emit("0123456789abcdef"[p[i] >> 4]);
        emit("0123456789abcdef"[p[i] & 15]);
    }
    return bytes;
}

static void emit_hash(const char *name, const badm_model *m)
{
    uint64_t hash = badm_model_hash(m);
    emit_text(name);
    emit(' ');
    emit_hex((uint32_t)(hash >> 32));
    emit_hex((uint32_t)hash);
    emit('\n');
}

static int is_there(const badm_progress *p, void *to) { return p->last.step + 1 == *(const uint64_t *)to; }

/* Epochs of two steps, up to step `to`. 0: it failed. */
static int go_on(badm_trainer *tr, uint64_t to)
{
    while (badm_trainer_step(tr) < to) {
        badm_result r = badm_epoch(tr, 8, 4, is_there, &to);
        if (r != BADM_OK && r != BADM_ERR_CANCELLED) return 0;
    }
    return 1;
}

int main(void)
{
    static union { unsigned char bytes[48 * 1024]; double aligned; } block;
    badm_memory memory;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_reader r;
    badm_writer w;
    net n;
    uint64_t first;
    emit_begin();
    badm_memory_block(&memory, block.bytes, sizeof block.bytes);
    m = badm_model_new_in(&memory, 1);
    n.hidden = badm_linear_new(m, "hidden", 2, 8);
    n.norm = badm_batch_norm_new(m, "norm", 8);
    n.output = badm_linear_new(m, "output", 8, 1);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n; d.memory = &memory; d.max_batch = 4; d.sub_batches = 2; d.workers = 2;
    d.form = BADM_PER_SLOT;
    d.metric = BADM_DIAGONAL;
    d.sigma = 20;
    d.rho = 180;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return emit_end(1);
    r.read = take; r.user = NULL;
    w.write = give; w.user = NULL;
    if (sizeof moved > 1 && badm_checkpoint_load_from(tr, &r) != BADM_OK) return emit_end(2);
    first = badm_trainer_step(tr);
    if (!go_on(tr, first + 21)) return emit_end(3);
    emit_hash("now", m);
    emit_text("saved ");
    if (badm_checkpoint_save_to(tr, &w) != BADM_OK) return emit_end(4);
    emit('\n');
    if (!go_on(tr, first + 42)) return emit_end(5);
    emit_hash("later", m);
    badm_trainer_free(tr);
    badm_model_free(m);
    return emit_end(0);
}
