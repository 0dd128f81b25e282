/* The workloads whose instructions bench/instructions.sh counts.      instructions WHAT STEPS
     xor        2-8-1, tanh, batch 4, one slot
     mlp        784-256-128-10, relu, batch 128, four slots
     diagonal   16-32-32-4, relu, batch 16, two slots, the diagonal metric
   All with BADM, one worker, monitors on; data and weights are drawn from fixed seeds. Nothing is printed: a number of steps more
   costs those steps and nothing else. */
#define BADM_IMPLEMENTATION
#include "badm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 3

typedef struct workload {
    const char *name;
    unsigned layers;
    badm_dim width[MAX_LAYERS + 1];
    uint32_t batch, slots;
    badm_metric metric;
} workload;

static const workload workloads[] = {
    { "xor",      2, { 2, 8, 1, 0 },        4,   1, BADM_PLAIN },
    { "mlp",      3, { 784, 256, 128, 10 }, 128, 4, BADM_PLAIN },
    { "diagonal", 3, { 16, 32, 32, 4 },     16,  2, BADM_DIAGONAL }
};

typedef struct net {
    const workload *of;
    badm_linear layer[MAX_LAYERS];
    float *x;
    float targets[4];               /* XOR's */
    int32_t *labels;                /* the others' */
} net;

static void die(const char *why)
{
    fprintf(stderr, "instructions: %s\n", why);
    exit(1);
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    const workload *w = n->of;
    badm_tensor *x = badm_rows(t, n->x, w->width[0], b);
    unsigned i;
    for (i = 0; i + 1 < w->layers; i++) {
        x = badm_linear_forward(t, n->layer[i], x);
        x = w->width[w->layers] == 1 ? badm_tanh(t, x) : badm_relu(t, x);
    }
    x = badm_linear_forward(t, n->layer[i], x);
    if (w->width[w->layers] == 1) return badm_bce_with_logits(t, x, badm_rows(t, n->targets, 1, b));
    return badm_cross_entropy(t, x, badm_labels(t, n->labels, b));
}

static void make_data(net *n)
{
    const workload *w = n->of;
    size_t numbers = (size_t)w->batch * w->width[0], i;
    badm_rng r;
    badm_rng_init(&r, 1, 1);
    n->x = (float *)malloc(numbers * sizeof *n->x);
    n->labels = (int32_t *)malloc(w->batch * sizeof *n->labels);
    if (!n->x || !n->labels) die("not enough memory");
    for (i = 0; i < numbers; i++) n->x[i] = badm_rng_uniform(&r);
    for (i = 0; i < w->batch; i++) n->labels[i] = (int32_t)badm_rng_below(&r, w->width[w->layers]);
    if (w->width[w->layers] == 1)
        for (i = 0; i < 4; i++) {
            n->x[2 * i] = (float)(i & 1);
            n->x[2 * i + 1] = (float)(i >> 1);
            n->targets[i] = i == 1 || i == 2 ? 1.0f : 0.0f;
        }
}

int main(int argc, char **argv)
{
    static const char *const names[MAX_LAYERS] = { "fc1", "fc2", "fc3" };
    const unsigned count = sizeof workloads / sizeof workloads[0];
    badm_model *m = badm_model_new(1);
    badm_trainer *tr;
    badm_trainer_desc d;
    unsigned long steps, i;
    net n;
    memset(&n, 0, sizeof n);
    if (argc != 3) die("usage: instructions WHAT STEPS");
    for (i = 0; i < count; i++) if (!strcmp(argv[1], workloads[i].name)) n.of = &workloads[i];
    if (!n.of) die("xor, mlp or diagonal is expected");
    if (!m) die("not enough memory");
    make_data(&n);
    for (i = 0; i < n.of->layers; i++) n.layer[i] = badm_linear_new(m, names[i], n.of->width[i], n.of->width[i + 1]);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n;
    d.max_batch = n.of->batch;
    d.sub_batches = n.of->slots;
    d.workers = 1;
    d.metric = n.of->metric;
    d.sigma = n.of->metric == BADM_DIAGONAL ? 1000.0f : 20.0f;      /* small steps: every run stays finite */
    d.rho = 9 * d.sigma;
    if (badm_trainer_new(&tr, &d)) die(badm_model_error(m));
    steps = strtoul(argv[2], NULL, 10);
    for (i = 0; i < steps; i++) if (badm_step(tr, NULL, n.of->batch, NULL)) die(badm_trainer_error(tr));
    badm_trainer_free(tr);
    badm_model_free(m);
    free(n.x);
    free(n.labels);
    return 0;
}
