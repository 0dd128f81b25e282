/* What methods.py measures of batches that grow.

       growth serve mlp|cnn plain|exact|slots WORKERS     steps that measure the diversity of gradients or not, as worker.h says
       growth compare logistic|cnn DATA OUT               small, large, doubling and diverse batches to the same loss or accuracy

   mlp is 784-256-128-10 with batches of 128, cnn two convolutions of 3 x 3 with 16 and 32 channels and a linear layer with batches of 64,
   logistic a regression on 20,000 samples of 512 features drawn here. DATA is a folder with mnist/'s four IDX files. */
#define PROGRAM "bench/growth"
#define BADM_IMPLEMENTATION
#include "../examples/example_images.h"     /* first: it asks for POSIX; includes badm.h */
#include "worker.h"

enum { MLP, CNN, LOGISTIC, FEATURES = 512, SYNTHETIC = 20000, MAX_EPOCHS = 30, MAX_SEEDS = 15, SLOTS = 4 };

typedef struct net {
    int kind;
    badm_linear a, b, c;
    badm_conv_layer first, second;
    const uint8_t *pixels, *labels;
    float *x;                       /* logistic: [SYNTHETIC,FEATURES], and its labels */
    float *y;
} net;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x;
    badm_dim shape[4] = { 0, 1, SIDE, SIDE }, flat[2] = { 0, 32 * 49 };
    shape[0] = flat[0] = (badm_dim)b->count;
    if (n->kind == LOGISTIC)
        return badm_bce_with_logits(t, badm_linear_forward(t, n->a, badm_rows(t, n->x, FEATURES, b)), badm_rows(t, n->y, 1, b));
    x = badm_rows_u8(t, n->pixels, PIXELS, 1.0f / 255, 0, b);
    if (n->kind == MLP) {
        x = badm_relu(t, badm_linear_forward(t, n->a, x));
        x = badm_linear_forward(t, n->c, badm_relu(t, badm_linear_forward(t, n->b, x)));
    } else {
        x = badm_relu(t, badm_max_pool2d(t, badm_conv2d_forward(t, n->first, badm_reshape(t, x, 4, shape)), 2, 2, 0));
        x = badm_relu(t, badm_max_pool2d(t, badm_conv2d_forward(t, n->second, x), 2, 2, 0));
        x = badm_linear_forward(t, n->c, badm_reshape(t, x, 2, flat));
    }
    return badm_cross_entropy(t, x, badm_labels_u8(t, n->labels, b));
}

static void make_net(net *n, badm_model *m)
{
    if (n->kind == LOGISTIC) n->a = badm_linear_new(m, "weights", FEATURES, 1);
    if (n->kind == MLP) {
        n->a = badm_linear_new(m, "first", PIXELS, 256);
        n->b = badm_linear_new(m, "second", 256, 128);
        n->c = badm_linear_new(m, "last", 128, CLASSES);
    }
    if (n->kind == CNN) {
        n->first = badm_conv2d_new(m, "first", 1, 16, 3, badm_conv_of(1, 1));
        n->second = badm_conv2d_new(m, "second", 16, 32, 3, badm_conv_of(1, 1));
        n->c = badm_linear_new(m, "last", 32 * 49, CLASSES);
    }
    if (badm_model_result(m) != BADM_OK) worker_die(PROGRAM, badm_model_error(m));
}

/* A ~ U(-1,1), w* ~ N(0,1), the label whether sigmoid(A w*) > 1/2, turned in one sample of twenty. */
static void draw_logistic(net *n)
{
    static float truth[FEATURES];
    badm_rng r;
    uint32_t i, k;
    badm_rng_init(&r, 8, 8);
    n->x = (float *)malloc(sizeof(float) * SYNTHETIC * FEATURES);
    n->y = (float *)malloc(sizeof(float) * SYNTHETIC);
    if (!n->x || !n->y) worker_die(PROGRAM, "not enough memory");
    for (k = 0; k < FEATURES; k++) truth[k] = badm_rng_normal(&r);
    for (i = 0; i < SYNTHETIC; i++) {
        float margin = 0;
        for (k = 0; k < FEATURES; k++) {
            float a = 2.0f * badm_rng_uniform(&r) - 1.0f;
            n->x[(size_t)i * FEATURES + k] = a;
            margin += a * truth[k];
        }
        n->y[i] = (margin > 0) == (badm_rng_uniform(&r) > 0.05f) ? 1.0f : 0.0f;
    }
}

static badm_trainer *make_trainer(badm_model *m, net *n, badm_growth *g, badm_diversity diversity, uint32_t workers, float lr)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = n; d.max_batch = g->max_batch; d.micro_batch = 64; d.sub_batches = SLOTS; d.workers = workers;
    d.method = badm_method_momentum();
    d.lr = lr; d.monitors = 0; d.diversity = diversity; d.seed = 1;
    d.rates = badm_growth_rates;
    d.rates_user = g;
    if (badm_trainer_new(&tr, &d) != BADM_OK) worker_die(PROGRAM, badm_model_error(m));
    return tr;
}

/* ---- what measuring costs ---- */

typedef struct steps { badm_trainer *tr; badm_growth g; uint32_t n; } steps;

/* Ten steps are an epoch, which is measured. */
static void run_epochs(void *user, size_t epochs)
{
    steps *s = (steps *)user;
    while (epochs--) if (badm_growth_epoch(&s->g, s->tr, s->n, NULL, NULL) != BADM_OK) worker_die(PROGRAM, badm_trainer_error(s->tr));
}

static void serve(const char *which, const char *how, uint32_t workers)
{
    static net n;
    steps s;
    badm_model *m = badm_model_new(1);
    dataset data;
    badm_score score;
    uint32_t batch = strcmp(which, "cnn") ? 128 : 64;
    badm_diversity diversity = !strcmp(how, "exact") ? BADM_DIVERSITY_EXACT : !strcmp(how, "slots") ? BADM_DIVERSITY_OF_SLOTS
        : BADM_DIVERSITY_OFF;
    memset(&data, 0, sizeof data);
    n.kind = strcmp(which, "cnn") ? MLP : CNN;
    if (!draw_digits(&data, 10 * batch)) exit(1);
    n.pixels = data.train.pixels;
    n.labels = data.train.labels;
    make_net(&n, m);
    badm_growth_defaults(&s.g, diversity ? BADM_GROWTH_DIVERSE : BADM_GROWTH_NONE, batch, batch + 1);
    s.g.every = 1;
    s.g.delta = 0;                  /* measured, but not followed */
    s.n = 10 * batch;
    s.tr = make_trainer(m, &n, &s.g, diversity, workers, 0.01f);
    worker_serve(run_epochs, &s, 0);
    if (badm_evaluate(s.tr, NULL, NULL, s.n, &score) == BADM_OK) printf("loss %g\n", (double)score.loss);
    badm_trainer_free(s.tr);
    badm_model_free(m);
    free_images(&data);
}

/* ---- to a common target ---- */

enum { SMALL, LARGE, ADABATCH, DIVEBATCH, WAYS, STEPS = 5, DELTAS = 2 };
static const char *const names[WAYS] = { "small", "large", "adabatch", "divebatch" };

typedef struct task {
    net n;
    uint32_t train, held_out;       /* samples; those held out are behind the others */
    uint32_t batch, max_batch, every, seeds, tuning;
    float first;                    /* of the step sizes, the others twice the one before */
    double target;                  /* an accuracy; logistic: a loss */
} task;

typedef struct outcome { uint32_t epochs; double seconds; } outcome;

static outcome learn(task *k, int way, float lr, float delta, uint64_t seed, FILE *csv)
{
    badm_model *m = badm_model_new(seed);
    badm_growth g;
    badm_trainer *tr;
    badm_score score;
    outcome found = { 0, 0 };
    net rest;
    make_net(&k->n, m);
    rest = k->n;
    badm_growth_defaults(&g, way == ADABATCH ? BADM_GROWTH_PERIODIC : way == DIVEBATCH ? BADM_GROWTH_DIVERSE : BADM_GROWTH_NONE,
                         way == LARGE ? k->max_batch : k->batch, k->max_batch);
    g.every = k->every;
    g.delta = delta;
    g.scale_step = 1;
    tr = make_trainer(m, &k->n, &g, way == DIVEBATCH ? BADM_DIVERSITY_EXACT : BADM_DIVERSITY_OFF, 2, lr);
    while (!found.epochs && g.epoch < MAX_EPOCHS) {
        uint32_t batch = g.batch;
        double began = now();
        if (badm_growth_epoch(&g, tr, k->train, NULL, NULL) != BADM_OK) { found.seconds = 1e9; break; }     /* it diverges */
        found.seconds += now() - began;
        if (k->n.kind == LOGISTIC) { k->n.x += (size_t)k->train * FEATURES; k->n.y += k->train; }
        else { k->n.pixels += (size_t)k->train * PIXELS; k->n.labels += k->train; }
        if (badm_evaluate(tr, NULL, NULL, k->held_out, &score) != BADM_OK) worker_die(PROGRAM, badm_trainer_error(tr));
        k->n = rest;
        if (csv) fprintf(csv, "%s,%lu,%lu,%lu,%.6g,%.4f,%.6g,%.6g\n", names[way], (unsigned long)seed, (unsigned long)g.epoch,
                         (unsigned long)batch, (double)g.diversity, found.seconds, (double)score.loss, (double)score.accuracy);
        if (k->n.kind == LOGISTIC ? (double)score.loss <= k->target : (double)score.accuracy >= k->target) found.epochs = g.epoch;
    }
    badm_trainer_free(tr);
    badm_model_free(m);
    return found;
}

/* Of a grid, the step size, and delta, that reach the target soonest: medians of seeds that are not used again. */
static void tune(task *k, int way, float *best, float *best_delta)
{
    double least = 1e9;
    float first = way == LARGE ? 128 * k->first : k->first;
    int i;
    *best = *best_delta = 0;
    printf("%s, seconds to %s %g:", names[way], k->n.kind == LOGISTIC ? "a loss of" : "an accuracy of", k->target);
    for (i = 0; i < (way == DIVEBATCH ? DELTAS * STEPS : STEPS); i++) {
        float lr = first * (float)(1u << i % STEPS), delta = i < STEPS ? 0.002f : 0.02f;
        double seconds[MAX_SEEDS], median;
        uint32_t seed;
        for (seed = 0; seed < k->tuning; seed++) {
            outcome o = learn(k, way, lr, delta, 101 + seed, NULL);
            seconds[seed] = o.epochs ? o.seconds : 1e9;
        }
        median = worker_median(seconds, k->tuning);
        if (median < 1e9) printf("  %g: %.3f", (double)lr, median);
        else printf("  %g: no", (double)lr);
        fflush(stdout);
        if (median < least) { least = median; *best = lr; *best_delta = delta; }
    }
    if (way == DIVEBATCH) printf("; delta %g", (double)*best_delta);
    printf("; step size %g%s\n", (double)*best, *best == first || *best == first * (1u << (STEPS - 1)) ? ", at the end of the grid" : "");
    if (*best > 0) return;
    printf("%s does not get there\n", names[way]);
    *best = first;
}

static void compare(const char *what, const char *folder, const char *out)
{
    static task k;
    dataset data;
    output_file csv;
    char name[64];
    double seconds[WAYS][MAX_SEEDS], epochs[WAYS][MAX_SEEDS], ratio[MAX_SEEDS];
    float best[WAYS], best_delta[WAYS];
    int way;
    uint32_t seed;
    memset(&data, 0, sizeof data);
    k.max_batch = 2048;
    if (!strcmp(what, "logistic")) {
        k.n.kind = LOGISTIC;
        draw_logistic(&k.n);
        k.train = SYNTHETIC * 17 / 20;
        k.held_out = SYNTHETIC - k.train;
        k.batch = 16; k.every = 1; k.seeds = MAX_SEEDS; k.tuning = 3; k.target = 0.31; k.first = 2e-3f;
    } else {
        k.n.kind = CNN;
        if (!get_images(&data, folder, 12000, 0, 1)) exit(1);
        k.n.pixels = data.train.pixels;
        k.n.labels = data.train.labels;
        k.train = 8000;
        k.held_out = 4000;
        k.batch = 16; k.every = 2; k.seeds = 3; k.tuning = 1; k.target = 0.975; k.first = 5e-3f;
    }
    snprintf(name, sizeof name, "growth_%s.csv", what);
    if (!open_output(&csv, out, name)) exit(1);
    fprintf(csv.f, "way,seed,epoch,batch,diversity,seconds,loss,accuracy\n");
    for (way = 0; way < WAYS; way++) tune(&k, way, &best[way], &best_delta[way]);
    for (seed = 0; seed < k.seeds; seed++) {        /* in turns, so that what else the machine does meets all of them */
        for (way = 0; way < WAYS; way++) {
            outcome o = learn(&k, way, best[way], best_delta[way], seed + 1, csv.f);
            seconds[way][seed] = o.seconds;
            epochs[way][seed] = o.epochs ? o.epochs : MAX_EPOCHS + 1;
        }
        ratio[seed] = seconds[SMALL][seed] / seconds[DIVEBATCH][seed];
    }
    for (way = 0; way < WAYS; way++) {
        printf("RESULT %s_%s_epochs %g\n", names[way], what, worker_median(epochs[way], k.seeds));
        printf("RESULT %s_%s_seconds %.3f\n", names[way], what, worker_median(seconds[way], k.seeds));
    }
    printf("RATIO divebatch_time_vs_sgd%s %.4f\n", k.n.kind == CNN ? "_cnn" : "", worker_median(ratio, k.seeds));
    if (!close_output(&csv)) exit(1);
    free(k.n.x);
    free(k.n.y);
    free_images(&data);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint32_t workers;
    if (!strcmp(what, "serve") && argc == 5 && read_count(argv[4], &workers)) serve(argv[2], argv[3], workers);
    else if (!strcmp(what, "compare") && argc == 5) compare(argv[2], argv[3], argv[4]);
    else worker_die("usage", "growth serve mlp|cnn plain|exact|slots WORKERS | compare logistic|cnn DATA OUT");
    return 0;
}
