/* Logistic regression on sparse rows: what methods.py measures of badm_sparse_sgd.

       sparse samples FILE     samples that batches need to come as low as single samples do, by the mean and by presence
       sparse hogwild FILE     seconds to the same loss: batches by presence on 2 workers, Hogwild! on 2 threads
       sparse svrg FILE        the objective epoch by epoch, l2 = 1e-4
       sparse serve FILE B W   epochs of batches of B by the mean with W workers, as worker.h says

   FILE is LIBSVM text, plain or .gz. Hogwild! (Niu, Recht, Re, Wright 2011) is here because its races, wanted though they are, break
   the promise of the same bits: weights are read and written one by one, no addition is atomic. Needs C11. */
#include "../examples/example_data.h"       /* first: it asks for POSIX */

#define BADM_IMPLEMENTATION
#include "badm.h"
#include "worker.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

enum { STEPS = 14, MAX_EPOCHS = 200, ROUNDS = 9, SEEDS = 3, EPOCHS = 5 };

typedef struct problem { badm_csr *x; float *y; badm_array labels; } problem;

static void load(problem *p, const char *path)
{
    char why[EXAMPLE_SENTENCE];
    if (!example_load_libsvm_csr(&p->x, &p->labels, 0, path, why)) worker_die("sparse", why);
    p->y = (float *)p->labels.data;
}

static void unload(problem *p)
{
    badm_csr_free(p->x);
    badm_array_free(&p->labels);
}

/* F(w), l2 without b's square, in double precision. */
static double objective(const problem *p, const float *w, double l2)
{
    double sum = 0, square = 0;
    uint32_t i, k;
    for (i = 0; i < p->x->rows; i++) {
        double m = (double)w[p->x->cols];
        for (k = p->x->start[i]; k < p->x->start[i + 1]; k++) m += (double)p->x->value[k] * (double)w[p->x->column[k]];
        m = p->y[i] > 0 ? -m : m;
        sum += m > 0 ? m + log1p(exp(-m)) : log1p(exp(m));
    }
    for (k = 0; k < p->x->cols; k++) square += (double)w[k] * (double)w[k];
    return sum / p->x->rows + 0.5 * l2 * square;
}

static badm_sparse_sgd *make(const problem *p, badm_aggregation how, uint32_t batch, float lr, uint32_t workers, uint64_t seed)
{
    badm_sparse_desc d;
    badm_sparse_sgd *s;
    badm_error e;
    badm_sparse_defaults(&d);
    d.x = p->x; d.y = p->y; d.aggregation = how; d.batch = batch; d.lr = lr; d.workers = workers; d.seed = seed;
    if (badm_sparse_new(&s, &d, &e) != BADM_OK) worker_die("sparse", "badm_sparse_new refused");
    return s;
}

/* Epochs until F is at most the target, between whole ones as if log F went down evenly; MAX_EPOCHS: not reached by `limit`. */
static double epochs_to(const problem *p, badm_aggregation how, uint32_t batch, float lr, uint64_t seed, double target, int limit)
{
    badm_sparse_sgd *s = make(p, how, batch, lr, 1, seed);
    double before = log(2.0), at, found = MAX_EPOCHS;
    int epoch;
    for (epoch = 0; epoch < limit; epoch++) {
        if (badm_sparse_epoch(s) != BADM_OK) break;
        badm_sparse_objective(s, &at, NULL);
        if (at <= target) { found = epoch + log(before / target) / log(before / at); break; }
        before = at;
    }
    badm_sparse_free(s);
    return found;
}

/* The step sizes, a factor of 2 apart: 1/64 to 128; those of single samples begin at 1/1024. */
static float step_size(int i) { return (float)ldexp(1.0, i - 6); }

/* B = 1 with the step size that comes lowest in `epochs`, and how low that is. */
static float baseline(const problem *p, int epochs, uint64_t seed, double *target)
{
    float best = 0;
    int i, epoch;
    *target = HUGE_VAL;
    for (i = -4; i < 8; i++) {
        badm_sparse_sgd *s = make(p, BADM_BY_MEAN, 1, step_size(i), 1, seed);
        double end;
        for (epoch = 0; epoch < epochs; epoch++) if (badm_sparse_epoch(s) != BADM_OK) break;
        badm_sparse_objective(s, &end, NULL);
        if (epoch == epochs && end < *target) { *target = end; best = step_size(i); }
        badm_sparse_free(s);
    }
    return best;
}

static void samples(const problem *p)
{
    static const char *const name[3] = { "mean", "presence", "frequency" };
    double target[SEEDS], ratio[SEEDS];
    float lr[SEEDS];
    int i, how, seed;
    for (seed = 0; seed < SEEDS; seed++) {
        lr[seed] = baseline(p, EPOCHS, (uint64_t)seed + 1, &target[seed]);
        printf("seed %d, B = 1: best step size %g, F %.6f after %d epochs\n", seed + 1, (double)lr[seed], target[seed], EPOCHS);
    }
    for (how = BADM_BY_MEAN; how <= BADM_BY_FREQUENCY; how++) {
        double least = HUGE_VAL;
        float best = 0;
        for (seed = 0; seed < SEEDS; seed++)
            ratio[seed] = epochs_to(p, (badm_aggregation)how, 16, lr[seed], (uint64_t)seed + 1, target[seed], MAX_EPOCHS) / EPOCHS;
        printf("RESULT %s_samples_16 %.4f\n", name[how], worker_median(ratio, SEEDS));
        printf("by %s, B = 256, step size: samples", name[how]);
        for (i = 0; i < STEPS; i++) {
            int limit = least < 1 ? 2 * EPOCHS : MAX_EPOCHS;
            for (seed = 0; seed < SEEDS; seed++)
                ratio[seed] = epochs_to(p, (badm_aggregation)how, 256, step_size(i), (uint64_t)seed + 1, target[seed], limit) / EPOCHS;
            printf("  %g: %.3f", (double)step_size(i), worker_median(ratio, SEEDS));
            if (worker_median(ratio, SEEDS) < least) { least = worker_median(ratio, SEEDS); best = step_size(i); }
        }
        printf("; best %g%s\n", (double)best, best == step_size(0) || best == step_size(STEPS - 1) ? ", at the end of the grid" : "");
        printf("RESULT %s_samples_256 %.4f\n", name[how], least);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
   Hogwild!
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct hogwild {
    const problem *p;
    volatile float *w;              /* [features + 1]; each access is one, as the relaxed atomics of the Linux kernel are: gcc passes
                                       C11's for floats through integer registers, which costs 7 % */
    float *plain;                   /* the same for one thread that need not share */
    uint32_t *order;                /* of this epoch; made outside the time that is taken */
    float lr;
    atomic_uint start, done, stop;
} hogwild;

static float slope_of(float m, float y)
{
    return y > 0 ? -1.0f / (1.0f + badm_expf(m)) : 1.0f / (1.0f + badm_expf(-m));
}

static void hogwild_samples(hogwild *h, uint32_t first, uint32_t end)
{
    const badm_csr *x = h->p->x;
    const float *value = x->value, *y = h->p->y;
    const uint32_t *column = x->column, *start = x->start, *order = h->order;
    volatile float *w = h->w;
    uint32_t bias = x->cols;
    float lr = h->lr;
    for (; first < end; first++) {
        uint32_t i = order[first], from = start[i], to = start[i + 1], k;
        float m[4] = { w[bias], 0, 0, 0 }, step;
        for (k = from; k + 4 <= to; k += 4) {
            m[0] += value[k] * w[column[k]];
            m[1] += value[k + 1] * w[column[k + 1]];
            m[2] += value[k + 2] * w[column[k + 2]];
            m[3] += value[k + 3] * w[column[k + 3]];
        }
        for (; k < to; k++) m[0] += value[k] * w[column[k]];
        step = lr * slope_of((m[0] + m[1]) + (m[2] + m[3]), y[i]);
        for (k = from; k < to; k++) w[column[k]] -= step * value[k];
        w[bias] -= step;
    }
}

/* The same on weights that nobody else writes: plain SGD. */
static void plain_samples(hogwild *h, uint32_t first, uint32_t end)
{
    const badm_csr *x = h->p->x;
    float *w = h->plain;
    for (; first < end; first++) {
        uint32_t i = h->order[first], from = x->start[i], to = x->start[i + 1], k;
        float step = h->lr * slope_of(badm_i_row_dot(x, i, w) + w[x->cols], h->p->y[i]);
        for (k = from; k < to; k++) w[x->column[k]] -= step * x->value[k];
        w[x->cols] -= step;
    }
}

static void *hogwild_helper(void *arg)
{
    hogwild *h = (hogwild *)arg;
    unsigned seen = 0;
    for (;;) {
        while (atomic_load(&h->start) == seen) if (atomic_load(&h->stop)) return NULL;
        seen++;
        hogwild_samples(h, h->p->x->rows / 2, h->p->x->rows);
        atomic_store(&h->done, seen);
    }
}

/* Seconds of an epoch. threads 0: plain. */
static double hogwild_epoch(hogwild *h, int threads)
{
    struct timespec a, b;
    uint32_t n = h->p->x->rows;
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (threads == 2) {
        unsigned turn = atomic_load(&h->start) + 1;
        atomic_store(&h->start, turn);
        hogwild_samples(h, 0, n / 2);
        while (atomic_load(&h->done) != turn) { }
    } else if (threads == 1) hogwild_samples(h, 0, n);
    else plain_samples(h, 0, n);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

static void hogwild_begin(hogwild *h, float lr)
{
    uint32_t k;
    h->lr = lr;
    for (k = 0; k <= h->p->x->cols; k++) { h->w[k] = 0; h->plain[k] = 0; }
}

static void hogwild_order(hogwild *h, uint64_t epoch)
{
    uint32_t i, n = h->p->x->rows;
    for (i = 0; i < n; i++) h->order[i] = badm_shuffle(1, (uint32_t)epoch, n, i);
}

/* Seconds of training until F is at most the target; HUGE_VAL: not in MAX_EPOCHS. */
static double hogwild_seconds(hogwild *h, float lr, double target, double no_more_than)
{
    double seconds = 0, value = 1;
    int epoch;
    hogwild_begin(h, lr);
    for (epoch = 0; epoch < MAX_EPOCHS && seconds < no_more_than; epoch++) {
        uint32_t k;
        hogwild_order(h, (uint64_t)epoch);
        seconds += hogwild_epoch(h, 2);
        for (k = 0; k <= h->p->x->cols; k++) h->plain[k] = h->w[k];
        value = objective(h->p, h->plain, 0);
        if (value <= target) return seconds;
    }
    return HUGE_VAL;
}

static void sync_epoch(void *user, size_t epochs)
{
    while (epochs--) if (badm_sparse_epoch((badm_sparse_sgd *)user) != BADM_OK) worker_die("sparse", "an epoch failed");
}

static double sync_seconds(const problem *p, uint32_t batch, float lr, double target, double no_more_than)
{
    badm_sparse_sgd *s = make(p, BADM_BY_PRESENCE, batch, lr, 2, 1);
    double seconds = 0, value = 1;
    int epoch, reached = 0;
    for (epoch = 0; epoch < MAX_EPOCHS && !reached && seconds < no_more_than; epoch++) {
        seconds += worker_seconds(sync_epoch, s, 1);
        badm_sparse_objective(s, &value, NULL);
        reached = value <= target;
    }
    badm_sparse_free(s);
    return reached ? seconds : HUGE_VAL;
}

static void against_hogwild(const problem *p)
{
    static const uint32_t batches[] = { 16, 64, 256, 1024, 4096 };
    size_t n = (size_t)p->x->cols + 1, b;
    double target, least = HUGE_VAL, first = HUGE_VAL, rate[ROUNDS], ratio[ROUNDS], wild[ROUNDS], sync[ROUNDS];
    float wild_step = 0, sync_step = 0, lr;
    uint32_t sync_batch = 0;
    pthread_t helper;
    hogwild h;
    int i;
    memset(&h, 0, sizeof h);
    h.p = p;
    h.w = (volatile float *)calloc(n, sizeof *h.w);
    h.plain = (float *)calloc(n, sizeof *h.plain);
    h.order = (uint32_t *)malloc(p->x->rows * sizeof *h.order);
    if (!h.w || !h.plain || !h.order || pthread_create(&helper, NULL, hogwild_helper, &h)) worker_die("sparse", "no memory or thread");
    lr = baseline(p, 4, 1, &target);
    target *= 1.001;                /* what Hogwild!'s races cost must not decide whether it gets there */
    for (i = -3; i < STEPS; i++) {
        double t = hogwild_seconds(&h, step_size(i), target, 4 * first);
        if (t < first) { first = t; wild_step = step_size(i); }
    }
    for (b = 0; b < sizeof batches / sizeof *batches && batches[b] <= p->x->rows / 2; b++)
        for (i = -3; i < STEPS; i++) {
            double t = sync_seconds(p, batches[b], step_size(i), target, 4 * least);
            if (t < least) { least = t; sync_step = step_size(i); sync_batch = batches[b]; }
        }
    printf("target F %.6f; step sizes: B = 1 %g, Hogwild! %g, by presence %g with batches of %lu\n", target, (double)lr,
           (double)wild_step, (double)sync_step, (unsigned long)sync_batch);
    if (!sync_batch || !(first < HUGE_VAL)) worker_die("sparse", "the target was not reached");
    hogwild_begin(&h, lr);
    for (i = 0; i < ROUNDS; i++) {
        double plain, one;
        hogwild_order(&h, (uint64_t)i);
        plain = hogwild_epoch(&h, 0) + hogwild_epoch(&h, 0);
        one = hogwild_epoch(&h, 1) + hogwild_epoch(&h, 1);
        rate[i] = plain / one;
        wild[i] = hogwild_seconds(&h, wild_step, target, HUGE_VAL);
        sync[i] = sync_seconds(p, sync_batch, sync_step, target, HUGE_VAL);
        ratio[i] = wild[i] / sync[i];
    }
    atomic_store(&h.stop, 1);
    pthread_join(helper, NULL);
    printf("seconds to the target, medians of %d: Hogwild! on 2 threads %.5f, by presence on 2 workers %.5f\n", ROUNDS, worker_median(wild, ROUNDS), worker_median(sync, ROUNDS));
    printf("RATIO sync_over_hogwild_time %.4f\n", worker_median(ratio, ROUNDS));
    printf("RESULT hogwild_1_over_plain_sgd %.4f\n", worker_median(rate, ROUNDS));
    free((void *)(uintptr_t)h.w);
    free(h.plain);
    free(h.order);
}

static void svrg(const problem *p)
{
    badm_sparse_desc d;
    badm_sparse_sgd *s;
    badm_error e;
    int epoch;
    badm_sparse_defaults(&d);
    d.x = p->x; d.y = p->y; d.aggregation = BADM_BY_PRESENCE; d.batch = 4; d.lr = 0.5f; d.l2 = 1e-4f; d.svrg = 1; d.seed = 1;
    if (badm_sparse_new(&s, &d, &e) != BADM_OK) worker_die("sparse", "badm_sparse_new refused");
    for (epoch = 1; epoch <= 40; epoch++) {
        sync_epoch(s, 1);
        printf("svrg %d %.15g\n", epoch, objective(p, badm_sparse_weights(s), (double)d.l2));
    }
    badm_sparse_free(s);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    problem p;
    if (argc < 3) worker_die("usage", "sparse samples|hogwild|svrg|serve FILE [B W]");
    load(&p, argv[2]);
    if (strcmp(what, "serve"))
        printf("%lu samples, %lu features, %.1f a sample\n", (unsigned long)p.x->rows, (unsigned long)p.x->cols,
               (double)p.x->start[p.x->rows] / p.x->rows);
    if (!strcmp(what, "samples")) samples(&p);
    else if (!strcmp(what, "hogwild")) against_hogwild(&p);
    else if (!strcmp(what, "svrg")) svrg(&p);
    else if (!strcmp(what, "serve") && argc == 5) {
        badm_sparse_sgd *s = make(&p, BADM_BY_MEAN, (uint32_t)atoi(argv[3]), 0.1f, (uint32_t)atoi(argv[4]), 1);
        double value;
        worker_serve(sync_epoch, s, 0);
        badm_sparse_objective(s, &value, NULL);
        printf("loss %g\n", value);
        badm_sparse_free(s);
    } else worker_die(what, "no such measurement");
    unload(&p);
    return 0;
}
