/* Our side of speed.py: trains one network and is timed by the protocol of worker.h. bench/pytorch.py does the same work.

       cc -std=c99 -O2 -I. bench/speed.c -lpthread
       speed NET METHOD S W BATCH       NET: mlp 784-256-128-10 relu, 8,192 rows; small 16-32-32-4 relu, 1,024 rows;
                                        xor 2-8-1 tanh, 4 rows. METHOD: momentum, badm. Ends with the last loss
       speed memory                     what a trainer of the mlp takes, as RESULT lines; no timing */
#include "worker.h"

#define BADM_IMPLEMENTATION
#include "badm.h"       /* the implementation, as "memory" looks at a tape's size */

typedef struct shape { const char *name; badm_dim width[4]; uint32_t layers, rows, batch; } shape;
static const shape shapes[] = {
    { "mlp",   { 784, 256, 128, 10 }, 3, 8192, 128 },
    { "small", { 16, 32, 32, 4 },     3, 1024, 16 },
    { "xor",   { 2, 8, 1, 0 },        2, 4,    4 }
};

typedef struct net {
    const shape *shape;
    badm_linear layer[3];
    float *x, *target;
    int32_t *labels;
    /* training */
    badm_trainer *trainer;
    badm_report report;
    uint32_t *order, batch, at, epoch;
} net;

static void *need(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (!p) worker_die("speed", "not enough memory");
    return p;
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x = badm_rows(t, n->x, n->shape->width[0], b);
    uint32_t i;
    for (i = 0; i + 1 < n->shape->layers; i++) {
        x = badm_linear_forward(t, n->layer[i], x);
        x = n->target ? badm_tanh(t, x) : badm_relu(t, x);
    }
    x = badm_linear_forward(t, n->layer[i], x);
    if (n->target) return badm_bce_with_logits(t, x, badm_rows(t, n->target, 1, b));
    return badm_cross_entropy(t, x, badm_labels(t, n->labels, b));
}

/* Rows drawn from 0..1 with labels drawn too: the time of a step does not depend on what there is to learn. */
static void draw_data(net *n)
{
    static float xor_x[8] = { 0, 0, 0, 1, 1, 0, 1, 1 }, xor_y[4] = { 0, 1, 1, 0 };
    const shape *s = n->shape;
    badm_rng random;
    size_t i;
    if (s->layers == 2) { n->x = xor_x; n->target = xor_y; return; }
    n->x = (float *)need((size_t)s->rows * s->width[0], sizeof(float));
    n->labels = (int32_t *)need(s->rows, sizeof(int32_t));
    badm_rng_init(&random, 1, 1);
    for (i = 0; i < (size_t)s->rows * s->width[0]; i++) n->x[i] = badm_rng_uniform(&random);
    for (i = 0; i < s->rows; i++) n->labels[i] = (int32_t)badm_rng_below(&random, s->width[s->layers]);
}

static badm_model *make_net(net *n, const char *name)
{
    static const char *const names[3] = { "fc1", "fc2", "fc3" };
    badm_model *m = badm_model_new(1);
    uint32_t i;
    for (i = 0; i < 3 && strcmp(name, shapes[i].name) != 0; i++) { }
    if (i == 3 || !m) worker_die("speed", "NET is mlp, small or xor");
    memset(n, 0, sizeof *n);
    n->shape = &shapes[i];
    for (i = 0; i < n->shape->layers; i++) n->layer[i] = badm_linear_new(m, names[i], n->shape->width[i], n->shape->width[i + 1]);
    draw_data(n);
    return m;
}

/* Long-run step 0.1 and momentum 0.9 in both: lr = 0.01, or sigma = 10 and rho = 90. */
static void make_trainer(net *n, badm_model *m, const char *method, uint32_t slots, uint32_t workers, uint32_t batch)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = n;
    d.max_batch = batch; d.sub_batches = slots; d.workers = workers;
    if (strcmp(method, "momentum") == 0) { d.method = badm_method_momentum(); d.lr = 0.01f; d.beta1 = 0.9f; }
    else if (strcmp(method, "badm") == 0) { d.sigma = 10; d.rho = 90; }
    else worker_die("speed", "METHOD is momentum or badm");
    if (badm_trainer_new(&n->trainer, &d) != BADM_OK) worker_die("speed", badm_model_error(m));
    n->batch = batch;
    n->order = (uint32_t *)need(n->shape->rows, sizeof *n->order);
    n->at = n->shape->rows;
}

static void run(void *user, size_t steps)
{
    net *n = (net *)user;
    uint32_t i, rows = n->shape->rows;
    for (; steps > 0; steps--, n->at += n->batch) {
        if (n->at + n->batch > rows) {
            if (n->batch < rows) for (i = 0; i < rows; i++) n->order[i] = badm_shuffle(1, n->epoch, rows, i);
            n->at = 0;
            n->epoch++;
        }
        if (badm_step(n->trainer, n->batch < rows ? n->order + n->at : NULL, n->batch, &n->report) != BADM_OK)
            worker_die("speed", badm_trainer_error(n->trainer));
    }
}

/* A trainer's bytes are without the parameters, which the model owns. Tapes: one a worker. */
static void report_memory(void)
{
    static const struct { const char *name, *method; uint32_t slots, workers; } is[] = {
        { "mlp_s4_w2", "badm", 4, 2 }, { "mlp_s4_w2_momentum", "momentum", 4, 2 },
        { "mlp_s1_w1", "badm", 1, 1 }, { "mlp_s1_w1_momentum", "momentum", 1, 1 }
    };
    size_t i;
    for (i = 0; i < sizeof is / sizeof *is; i++) {
        net n;
        badm_model *m = make_net(&n, "mlp");
        uint32_t gradients = is[i].slots < is[i].workers + 1 ? is[i].slots : is[i].workers + 1;
        size_t parameters = badm_model_size(m) * sizeof(float), tapes;
        make_trainer(&n, m, is[i].method, is[i].slots, is[i].workers, 128);
        run(&n, 2);
        tapes = is[i].workers * n.trainer->tape_bytes;
        if (i == 0) printf("RESULT parameter_bytes_mlp %lu\n", (unsigned long)parameters);
        printf("RESULT trainer_bytes_%s %lu\n", is[i].name, (unsigned long)badm_trainer_memory(n.trainer));
        printf("RESULT trainer_bytes_%s_tapes %lu\n", is[i].name, (unsigned long)tapes);
        printf("RESULT trainer_bytes_%s_bound %lu\n", is[i].name, (unsigned long)((4 + gradients) * parameters + tapes));
        badm_trainer_free(n.trainer);
        badm_model_free(m);
        free(n.order); free(n.x); free(n.labels);
    }
}

static uint32_t number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || n < 1 || n > 1 << 20) worker_die(text, "a number from 1 on is expected");
    return (uint32_t)n;
}

int main(int argc, char **argv)
{
    net n;
    badm_model *m;
    if (argc == 2 && strcmp(argv[1], "memory") == 0) { report_memory(); return 0; }
    if (argc != 6) worker_die("usage", "speed NET METHOD S W BATCH, or speed memory");
    m = make_net(&n, argv[1]);
    make_trainer(&n, m, argv[2], number(argv[3]), number(argv[4]), number(argv[5]));
    worker_serve(run, &n, badm_trainer_memory(n.trainer));
    printf("loss %g\n", (double)n.report.loss);
    badm_trainer_free(n.trainer);
    badm_model_free(m);
    return 0;
}
