/* The measurements behind RESULTS.md.      experiments WHAT DATA OUT [--quick]

   WHAT is one of
     batches    MNIST in B = 2 batches an epoch, S = 2 sub-batches, micro-batches; the memory each size of them takes
     compare    BADM against Adam, NAdam, Nesterov, Muon: equal grids, same schedule, tuned on held-out training images
     speed      samples a second as sub-batches S and workers W grow
     local      local steps: K = 4 against K = 1 and against a batch four times larger
     gradient   the smallest |grad F|^2 seen against steps, logistic regression on a9a
     forms      the collapsed against the per-slot form when the last batch of an epoch is short
     slots      what S gradients a step tell: their mean square as second moment, steps shrunk by signal-to-noise
   DATA has mnist/ and libsvm/; OUT is a folder that exists, for the CSV files. --quick: small sizes, to see that all
   of it runs.
   Ends with lines "RESULT name value". experiments.sh runs everything and draws the plots. */
#include "../examples/example_data.h"       /* first: it asks for POSIX */

#define BADM_IMPLEMENTATION
#include "badm.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum {
    MAX_EPOCHS = 64, MAX_GRID = 12, MAX_SEEDS = 5,
    HELD_OUT = 5000         /* the last training images; never trained on while step sizes are chosen */
};

static int quick;
static const char *out_folder;

/* ---------------------------------------------------------------------------------------------------------------------
   Small things
   --------------------------------------------------------------------------------------------------------------------- */

static void die(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "experiments: %s: %s\n", what, why);
    exit(1);
}

static void *need(size_t bytes)
{
    void *p = malloc(bytes);
    if (!p) die("memory", "not enough");
    return p;
}

static FILE *csv(const char *name)
{
    char path[1024];
    FILE *f;
    if (snprintf(path, sizeof path, "%s/%s.csv", out_folder, name) >= (int)sizeof path)
        die(out_folder, "too long a name");
    f = fopen(path, "w");
    if (!f) die(path, "cannot be written");
    return f;
}

static void close_csv(FILE *f)
{
    if (fclose(f) != 0) die(out_folder, "writing failed");
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts x. */
static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

static double mean(const double *x, size_t n)
{
    double s = 0;
    size_t i;
    for (i = 0; i < n; i++) s += x[i];
    return s / (double)n;
}

static double smallest(const double *x, size_t n)
{
    double s = x[0];
    size_t i;
    for (i = 1; i < n; i++) if (x[i] < s) s = x[i];
    return s;
}

static double largest(const double *x, size_t n)
{
    double s = x[0];
    size_t i;
    for (i = 1; i < n; i++) if (x[i] > s) s = x[i];
    return s;
}

/* Slope of the least-squares line through (log x, log y). */
static double log_slope(const double *x, const double *y, size_t n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, m = (double)n;
    size_t i;
    for (i = 0; i < n; i++) {
        double u = log(x[i]), v = log(y[i]);
        sx += u; sy += v; sxx += u * u; sxy += u * v;
    }
    return (m * sxy - sx * sy) / (m * sxx - sx * sx);
}

/* ---------------------------------------------------------------------------------------------------------------------
   The network: 784-256-128-10 on digits
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct { const uint8_t *images, *labels; uint32_t n; } digits;

static digits part(const digits *d, uint32_t from, uint32_t n)
{
    digits p;
    p.images = d->images + (size_t)784 * from;
    p.labels = d->labels + from;
    p.n = n;
    return p;
}

typedef struct { badm_linear fc1, fc2, fc3; const digits *of; } net;

static badm_tensor *net_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x = badm_rows_u8(t, n->of->images, 784, 1 / 255.0f, 0, b);
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, n->fc1, x));
    h = badm_relu(t, badm_linear_forward(t, n->fc2, h));
    return badm_cross_entropy(t, badm_linear_forward(t, n->fc3, h), badm_labels_u8(t, n->of->labels, b));
}

/* One training run. step is the step size: lr, or 1/sigma; momentum is beta1, or rho/(rho + sigma). */
typedef struct {
    const badm_method *method;      /* NULL: BADM */
    badm_metric metric;
    badm_form form;
    float step, momentum;
    uint32_t batch, sub_batches, workers, micro_batch, local_steps, epochs;
    uint64_t seed;                  /* of the initial weights and the order of the samples */
    int decay;                      /* linear decay to 0 over the run, else a constant rate */
    int of_slots, shrink;           /* see look_at_slots */
} setting;

static setting usual(void)
{
    setting s;
    memset(&s, 0, sizeof s);
    s.step = 1; s.momentum = 0.9f;
    s.batch = 128; s.sub_batches = 4; s.workers = 2; s.local_steps = 1; s.epochs = 1; s.seed = 1;
    return s;
}

static badm_model *net_new(net *n, uint64_t seed, const digits *of)
{
    badm_model *m = badm_model_new(seed);
    if (!m) die("model", "not enough memory");
    n->fc1 = badm_linear_new(m, "fc1", 784, 256);
    n->fc2 = badm_linear_new(m, "fc2", 256, 128);
    n->fc3 = badm_linear_new(m, "fc3", 128, 10);
    n->of = of;
    return m;
}

static void describe(badm_trainer_desc *d, const setting *s, badm_model *m, net *n)
{
    uint32_t per_step = s->batch * s->local_steps;
    badm_trainer_defaults(d);
    d->model = m; d->loss = net_loss; d->user = n; d->seed = s->seed;
    d->max_batch = s->batch; d->sub_batches = s->sub_batches; d->workers = s->workers;
    d->micro_batch = s->micro_batch; d->local_steps = s->local_steps;
    d->method = s->method; d->metric = s->metric; d->form = s->form;
    d->lr = s->step; d->beta1 = s->momentum;
    d->sigma = 1 / s->step; d->rho = d->sigma * s->momentum / (1 - s->momentum);
    d->schedule.kind = s->decay ? BADM_LINEAR_DECAY : BADM_CONSTANT_RATE;
    d->schedule.total = s->epochs * ((n->of->n + per_step - 1) / per_step);
    d->schedule.last = 0;
    d->monitors = 0;                /* nobody looks at them here */
}

typedef struct { badm_trainer *tr; int of_slots, shrink; } slot_view;

/* With second_moment_of_slots the trainer hands over the mean gradient, then the mean of the slots' squares, between their
   computation and their use. The second moment stays that mean of squares (of_slots), or becomes the mean's square as usual;
   shrink multiplies the mean by signal / (signal + noise), the noise being the variance of a mean of S. */
static int look_at_slots(float *buf, size_t n, void *user)
{
    const slot_view *v = (const slot_view *)user;
    float *mean = v->tr->mean;
    size_t i;
    if (buf != v->tr->full.mean_square) return 0;
    for (i = 0; i < n; i++) {
        float signal = mean[i] * mean[i], noise = (buf[i] - signal) / (float)(v->tr->active - 1);
        if (!v->of_slots) buf[i] = signal;
        if (v->shrink && noise > 0) mean[i] *= signal / (signal + noise);
    }
    return 0;
}

static badm_trainer *trainer_new(const badm_trainer_desc *d)
{
    badm_trainer *tr;
    if (badm_trainer_new(&tr, d) != BADM_OK) die("trainer", badm_model_error(d->model));
    return tr;
}

static badm_score score(badm_trainer *tr, net *n, const digits *of)
{
    const digits *before = n->of;
    badm_score s;
    n->of = of;
    if (badm_evaluate(tr, NULL, n, of->n, &s) != BADM_OK) die("evaluation", badm_trainer_error(tr));
    n->of = before;
    return s;
}

typedef struct {
    int diverged;
    double loss[MAX_EPOCHS];        /* over all training images after each epoch, if wanted; the last one always */
    badm_score check;               /* on the other images, after the last epoch */
    double seconds;                 /* of training, without evaluation */
} outcome;

/* Trains on `train`; looks at `check` (may be NULL) once, at the end. */
static outcome run(const setting *s, const digits *train, const digits *check, int every_epoch)
{
    net n;
    badm_model *m = net_new(&n, s->seed, train);
    badm_trainer_desc d;
    badm_trainer *tr;
    slot_view view;
    outcome o;
    uint32_t e;
    memset(&o, 0, sizeof o);
    describe(&d, s, m, &n);
    view.of_slots = s->of_slots; view.shrink = s->shrink;
    if (s->of_slots || s->shrink) {
        d.second_moment_of_slots = 1;
        d.allreduce = look_at_slots; d.allreduce_user = &view;
    }
    view.tr = tr = trainer_new(&d);
    for (e = 0; e < s->epochs && !o.diverged; e++) {
        double from = seconds_now();
        badm_result r = badm_epoch(tr, train->n, s->batch, NULL, NULL);
        o.seconds += seconds_now() - from;
        if (r == BADM_ERR_NONFINITE) o.diverged = 1;
        else if (r != BADM_OK) die("epoch", badm_trainer_error(tr));
        else if (every_epoch || e + 1 == s->epochs) o.loss[e] = (double)score(tr, &n, train).loss;
    }
    if (check && !o.diverged) o.check = score(tr, &n, check);
    badm_trainer_free(tr);
    badm_model_free(m);
    return o;
}

/* ---------------------------------------------------------------------------------------------------------------------
   Tuning: every contender tries the same number of step sizes, a factor of 2 apart, and no winner may lie at an edge
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    const badm_method *(*method)(void);     /* NULL: BADM */
    badm_metric metric;
    float middle;                           /* of the grid at first */
    int count, best;
    float step[MAX_GRID];                   /* ascending */
    double accuracy[MAX_GRID], loss[MAX_GRID];
    int of_slots, shrink;
} contender;

static setting setting_of(const contender *c, const setting *base)
{
    setting s = *base;
    s.method = c->method ? c->method() : NULL;
    s.metric = c->metric;
    s.of_slots = c->of_slots; s.shrink = c->shrink;
    return s;
}

/* One more step size, below or above the others: mean held-out accuracy and loss over the seeds. */
static void try_step(contender *c, int below, const setting *base, int seeds, const digits *train,
                     const digits *held_out)
{
    setting s = setting_of(c, base);
    double accuracy = 0, loss = 0;
    int i, at = below ? 0 : c->count;
    s.step = c->count == 0 ? c->middle : below ? c->step[0] / 2 : c->step[c->count - 1] * 2;
    for (i = 0; i < seeds; i++) {
        outcome o;
        s.seed = (uint64_t)(i + 1);
        o = run(&s, train, held_out, 0);
        accuracy += o.diverged ? 0 : (double)o.check.accuracy / seeds;
        loss += (o.diverged ? 10 : (double)o.check.loss) / seeds;
    }
    for (i = c->count; i > at; i--) {
        c->step[i] = c->step[i - 1]; c->accuracy[i] = c->accuracy[i - 1]; c->loss[i] = c->loss[i - 1];
    }
    c->step[at] = s.step; c->accuracy[at] = accuracy; c->loss[at] = loss;
    c->count++;
    c->best = 0;
    for (i = 1; i < c->count; i++)
        if (c->accuracy[i] > c->accuracy[c->best] ||
            (c->accuracy[i] == c->accuracy[c->best] && c->loss[i] < c->loss[c->best]))
            c->best = i;
    printf("  %-18s step %-9.4g held-out accuracy %.4f loss %.4f\n", c->name, (double)s.step, accuracy, loss);
    fflush(stdout);
}

/* Grids of 2*reach + 1, then one more for all of them, on the side where each one's winner is, as long as a winner is
   at an edge. */
static void tune(contender *c, int n, int reach, const setting *base, int seeds, const digits *train,
                 const digits *held_out, FILE *f)
{
    int i, k, at_edge = 1;
    for (i = 0; i < n; i++) {
        try_step(&c[i], 0, base, seeds, train, held_out);
        for (k = 0; k < reach; k++) {
            try_step(&c[i], 1, base, seeds, train, held_out);
            try_step(&c[i], 0, base, seeds, train, held_out);
        }
    }
    while (at_edge) {
        at_edge = 0;
        for (i = 0; i < n; i++)
            if (c[i].best == 0 || c[i].best == c[i].count - 1) at_edge = 1;
        if (c[0].count == MAX_GRID && at_edge) die("tuning", "a winner stays at the edge of its grid");
        for (i = 0; i < n && at_edge; i++)
            try_step(&c[i], 2 * c[i].best < c[i].count - 1, base, seeds, train, held_out);
    }
    fprintf(f, "method,step,step_over_chosen,held_out_accuracy,held_out_loss\n");
    for (i = 0; i < n; i++)
        for (k = 0; k < c[i].count; k++)
            fprintf(f, "%s,%.6g,%.6g,%.5f,%.5f\n", c[i].name, (double)c[i].step[k],
                    (double)(c[i].step[k] / c[i].step[c[i].best]), c[i].accuracy[k], c[i].loss[k]);
}

/* Each with its chosen step size, from every seed. */
static void train_best(const contender *c, int n, const setting *base, int seeds, const digits *train, const digits *test,
                       outcome (*o)[MAX_SEEDS])
{
    int i, k;
    for (i = 0; i < n; i++)
        for (k = 0; k < seeds; k++) {
            setting one = setting_of(&c[i], base);
            one.step = c[i].step[c[i].best];
            one.seed = (uint64_t)(k + 1);
            o[i][k] = run(&one, train, test, 1);
            if (o[i][k].diverged) die(c[i].name, "diverged");
            printf("  %-18s seed %d: test accuracy %.4f, training loss %.6f\n", c[i].name, k + 1,
                   (double)o[i][k].check.accuracy, o[i][k].loss[base->epochs - 1]);
            fflush(stdout);
        }
}

/* epoch, then mean, smallest and largest over the seeds of each contender's training loss. */
static void write_curves(FILE *f, const contender *c, int n, outcome (*o)[MAX_SEEDS], int seeds, uint32_t epochs)
{
    double x[MAX_SEEDS];
    uint32_t e;
    int i, k;
    fprintf(f, "epoch");
    for (i = 0; i < n; i++) fprintf(f, ",%s,%s_min,%s_max", c[i].name, c[i].name, c[i].name);
    for (e = 0; e < epochs; e++) {
        fprintf(f, "\n%u", (unsigned)e + 1);
        for (i = 0; i < n; i++) {
            for (k = 0; k < seeds; k++) x[k] = o[i][k].loss[e];
            fprintf(f, ",%.6g,%.6g,%.6g", mean(x, (size_t)seeds), smallest(x, (size_t)seeds),
                    largest(x, (size_t)seeds));
        }
    }
    fprintf(f, "\n");
}

static double mean_loss(const outcome *o, int seeds, uint32_t epoch)
{
    double x[MAX_SEEDS];
    int k;
    for (k = 0; k < seeds; k++) x[k] = o[k].loss[epoch];
    return mean(x, (size_t)seeds);
}

/* ---------------------------------------------------------------------------------------------------------------------
   batches: B = 2, S = 2
   --------------------------------------------------------------------------------------------------------------------- */

static void batches(const digits *train, const digits *test)
{
    contender c[4] = {
        { "badm_plain", NULL, BADM_PLAIN, 1, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "badm_diagonal", NULL, BADM_DIAGONAL, 2e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "badm_orthogonal", NULL, BADM_ORTHOGONAL, 0.04f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "adam", badm_method_adam, BADM_PLAIN, 4e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 }
    };
    static outcome o[4][MAX_SEEDS];
    static const uint32_t micro[] = { 100, 500, 2500, 0 };
    uint32_t held = quick ? 500 : HELD_OUT, small = quick ? 1000 : 5000;
    digits part_train = part(train, 0, small), held_out = part(train, train->n - held, held);
    setting s = usual();
    FILE *f;
    size_t i;

    s.sub_batches = 2; s.micro_batch = 500; s.decay = 1; s.epochs = quick ? 2 : 15;

    printf("B = 2, S = 2: step sizes, on %u images in 2 batches, %u epochs\n", (unsigned)small, (unsigned)s.epochs);
    f = csv("batches_tuning");
    s.batch = small / 2;
    tune(c, 4, 1, &s, 1, &part_train, &held_out, f);
    close_csv(f);

    s.batch = train->n / 2;
    printf("memory of the trainer, %u images a batch:\n", (unsigned)s.batch);
    f = csv("batches_memory");
    fprintf(f, "micro_batch,images_at_a_time,bytes\n");
    for (i = 0; i < sizeof micro / sizeof micro[0]; i++) {
        net n;
        badm_model *m = net_new(&n, 1, train);
        badm_trainer_desc d;
        size_t bytes;
        setting one = s;
        char name[64];
        one.micro_batch = micro[i];
        describe(&d, &one, m, &n);
        if (badm_trainer_bytes(&d, &bytes) != BADM_OK) die("trainer_bytes", badm_model_error(m));
        badm_model_free(m);
        fprintf(f, "%u,%u,%lu\n", (unsigned)micro[i], (unsigned)(micro[i] ? micro[i] : s.batch / 2),
                (unsigned long)bytes);
        snprintf(name, sizeof name, micro[i] ? "batches_megabytes_micro_%u" : "batches_megabytes_whole",
                 (unsigned)micro[i]);
        printf("RESULT %s %.1f\n", name, (double)bytes / 1e6);
    }
    close_csv(f);

    for (i = 0; i < 4; i++) {
        setting one = setting_of(&c[i], &s);
        one.step = c[i].step[c[i].best];
        o[i][0] = run(&one, train, test, 1);
        if (o[i][0].diverged) die(c[i].name, "diverged");
        printf("RESULT batches_%s_test_accuracy %.4f\n", c[i].name, (double)o[i][0].check.accuracy);
        printf("RESULT batches_%s_train_loss %.5f\n", c[i].name, o[i][0].loss[s.epochs - 1]);
        printf("RESULT batches_%s_step %.4g\n", c[i].name, (double)one.step);
        printf("RESULT batches_%s_seconds_per_epoch %.2f\n", c[i].name, o[i][0].seconds / s.epochs);
        fflush(stdout);
    }
    f = csv("batches_curves");
    write_curves(f, c, 4, o, 1, s.epochs);
    close_csv(f);
}

/* ---------------------------------------------------------------------------------------------------------------------
   compare: BADM against its relatives at one batch size
   --------------------------------------------------------------------------------------------------------------------- */

static void compare(const digits *train, const digits *test)
{
    enum { N = 7, ADAM = 3 };
    contender c[N] = {
        { "badm_plain", NULL, BADM_PLAIN, 1, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "badm_diagonal", NULL, BADM_DIAGONAL, 4e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "badm_orthogonal", NULL, BADM_ORTHOGONAL, 0.01f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "adam", badm_method_adam, BADM_PLAIN, 2e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "nadam", badm_method_nadam, BADM_PLAIN, 2e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "nesterov", badm_method_nesterov, BADM_PLAIN, 0.1f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "muon", badm_method_muon, BADM_PLAIN, 0.01f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 }
    };
    static outcome o[N][MAX_SEEDS];
    int seeds = quick ? 1 : 3, i, k;
    uint32_t held = quick ? 1000 : HELD_OUT, e;
    digits rest = part(train, 0, train->n - held), held_out = part(train, train->n - held, held);
    setting s = usual();
    double adam_loss;
    FILE *f;

    s.decay = 1;
    s.epochs = quick ? 1 : 3;
    printf("step sizes, on %u images, %u epochs, %u held out\n", (unsigned)rest.n, (unsigned)s.epochs, (unsigned)held);
    f = csv("compare_tuning");
    tune(c, N, quick ? 1 : 2, &s, 1, &rest, &held_out, f);
    close_csv(f);
    for (i = 0, k = -1; i < c[ADAM].count; i++)
        if (c[ADAM].step[i] > 0.9e-3f && c[ADAM].step[i] < 4.1e-3f && (k < 0 || c[ADAM].accuracy[i] > c[ADAM].accuracy[k]))
            k = i;
    printf("RESULT adam_best_step_of_0.001_0.002_0.004 %.4g\n", (double)c[ADAM].step[k]);

    s.epochs = quick ? 2 : 10;
    train_best(c, N, &s, seeds, train, test, o);

    adam_loss = mean_loss(o[ADAM], seeds, s.epochs - 1);
    f = csv("compare_final");
    fprintf(f, "method,step,test_accuracy,test_accuracy_min,test_accuracy_max,train_loss,"
               "epochs_to_adam_loss,seconds_per_epoch\n");
    for (i = 0; i < N; i++) {
        double accuracy[MAX_SEEDS], seconds[MAX_SEEDS], loss = mean_loss(o[i], seeds, s.epochs - 1);
        char reached[16] = "never";
        for (k = 0; k < seeds; k++) {
            accuracy[k] = (double)o[i][k].check.accuracy;
            seconds[k] = o[i][k].seconds / s.epochs;
        }
        for (e = 0; e < s.epochs && mean_loss(o[i], seeds, e) > adam_loss; e++) { }
        if (e < s.epochs) snprintf(reached, sizeof reached, "%u", (unsigned)e + 1);
        fprintf(f, "%s,%.6g,%.5f,%.5f,%.5f,%.6g,%s,%.3f\n", c[i].name, (double)c[i].step[c[i].best],
                mean(accuracy, (size_t)seeds), smallest(accuracy, (size_t)seeds), largest(accuracy, (size_t)seeds),
                loss, reached, median(seconds, (size_t)seeds));
        printf("RESULT %s_step %.4g\n", c[i].name, (double)c[i].step[c[i].best]);
        printf("RESULT %s_test_accuracy %.5f\n", c[i].name, mean(accuracy, (size_t)seeds));
        printf("RESULT %s_train_loss %.6g\n", c[i].name, loss);
        printf("RESULT %s_epochs_to_adam_loss %s\n", c[i].name, reached);
    }
    close_csv(f);
    f = csv("compare_curves");
    write_curves(f, c, N, o, seeds, s.epochs);
    close_csv(f);
}

/* ---------------------------------------------------------------------------------------------------------------------
   speed: samples a second
   --------------------------------------------------------------------------------------------------------------------- */

static void speed(const digits *train)
{
    enum { REPEATS = 9, SLOTS = 5, WORKERS = 2, BATCHES = 2 };
    static const uint32_t slots[SLOTS] = { 1, 2, 4, 8, 16 }, batch[BATCHES] = { 128, 1024 };
    static double rate[BATCHES][SLOTS][WORKERS][REPEATS];
    uint32_t samples = quick ? 2048 : 8192, *index = (uint32_t *)need(samples * sizeof *index), i;
    int b, s, w, r, repeats = quick ? 3 : REPEATS;
    badm_model *m[BATCHES][SLOTS][WORKERS];
    badm_trainer *tr[BATCHES][SLOTS][WORKERS];
    static net n[BATCHES][SLOTS][WORKERS];
    FILE *f = csv("speed");

    for (i = 0; i < samples; i++) index[i] = badm_shuffle(1, 0, train->n, i);
    for (b = 0; b < BATCHES; b++)
        for (s = 0; s < SLOTS; s++)
            for (w = 0; w < WORKERS; w++) {
                badm_trainer_desc d;
                setting one = usual();
                one.batch = batch[b]; one.sub_batches = slots[s]; one.workers = (uint32_t)w + 1;
                m[b][s][w] = net_new(&n[b][s][w], 1, train);
                describe(&d, &one, m[b][s][w], &n[b][s][w]);
                tr[b][s][w] = trainer_new(&d);
            }
    /* All settings in turn, again and again: what else the machine does then disturbs all of them alike. The first
       round is warming up. */
    for (r = -1; r < repeats; r++)
        for (b = 0; b < BATCHES; b++)
            for (s = 0; s < SLOTS; s++)
                for (w = 0; w < WORKERS; w++) {
                    double from = seconds_now();
                    for (i = 0; i + batch[b] <= samples; i += batch[b])
                        if (badm_step(tr[b][s][w], index + i, batch[b], NULL) != BADM_OK)
                            die("step", badm_trainer_error(tr[b][s][w]));
                    if (r >= 0) rate[b][s][w][r] = samples / (seconds_now() - from);
                }
    fprintf(f, "batch,S,W,samples_per_second,ratio_to_S1_W1,ratio_to_W1\n");
    for (b = 0; b < BATCHES; b++)
        for (w = 0; w < WORKERS; w++)
            for (s = 0; s < SLOTS; s++) {
                double x[REPEATS], to_first[REPEATS], to_one[REPEATS];
                for (r = 0; r < repeats; r++) {
                    x[r] = rate[b][s][w][r];
                    to_first[r] = x[r] / rate[b][0][0][r];
                    to_one[r] = x[r] / rate[b][s][0][r];
                }
                fprintf(f, "%u,%u,%d,%.0f,%.3f,%.3f\n", (unsigned)batch[b], (unsigned)slots[s], w + 1,
                        median(x, (size_t)repeats), median(to_first, (size_t)repeats), median(to_one, (size_t)repeats));
                printf("RESULT speed_batch_%u_S%u_W%d_samples_per_second %.0f\n", (unsigned)batch[b],
                       (unsigned)slots[s], w + 1, median(x, (size_t)repeats));
                if (w > 0)
                    printf("RESULT speed_batch_%u_S%u_W%d_over_W1 %.2f\n", (unsigned)batch[b], (unsigned)slots[s],
                           w + 1, median(to_one, (size_t)repeats));
            }
    close_csv(f);
    for (b = 0; b < BATCHES; b++)
        for (s = 0; s < SLOTS; s++)
            for (w = 0; w < WORKERS; w++) { badm_trainer_free(tr[b][s][w]); badm_model_free(m[b][s][w]); }
    free(index);
}

/* ---------------------------------------------------------------------------------------------------------------------
   local: fewer exchanges
   --------------------------------------------------------------------------------------------------------------------- */

static void local(const digits *train)
{
    enum { N = 4 };
    static const struct { const char *name; uint32_t local_steps, batch; float step; } arm[N] = {
        { "K1", 1, 100, 0.5f }, { "K4", 4, 100, 0.5f }, { "batch_4x", 1, 400, 0.5f }, { "batch_4x_step_4x", 1, 400, 2 }
    };
    static outcome o[N][MAX_SEEDS];
    int seeds = quick ? 1 : 3, i, k;
    digits few = part(train, 0, quick ? 2000 : 10000);
    setting s = usual();
    uint32_t e;
    FILE *f = csv("local");

    s.form = BADM_PER_SLOT; s.epochs = quick ? 2 : 10;
    for (i = 0; i < N; i++)
        for (k = 0; k < seeds; k++) {
            s.local_steps = arm[i].local_steps; s.batch = arm[i].batch; s.step = arm[i].step;
            s.seed = (uint64_t)(k + 1);
            o[i][k] = run(&s, &few, NULL, 1);
            if (o[i][k].diverged) die(arm[i].name, "diverged");
        }
    fprintf(f, "epoch");
    for (i = 0; i < N; i++) fprintf(f, ",%s,%s_exchanges", arm[i].name, arm[i].name);
    for (e = 0; e < s.epochs; e++) {
        fprintf(f, "\n%u", (unsigned)e + 1);
        for (i = 0; i < N; i++)
            fprintf(f, ",%.6g,%u", mean_loss(o[i], seeds, e),
                    (unsigned)((e + 1) * few.n / (arm[i].batch * arm[i].local_steps)));
    }
    fprintf(f, "\n");
    close_csv(f);
    for (i = 0; i < N; i++) {
        double ratio = mean_loss(o[i], seeds, s.epochs - 1) / mean_loss(o[0], seeds, s.epochs - 1);
        printf("RESULT local_%s_train_loss %.6g\n", arm[i].name, mean_loss(o[i], seeds, s.epochs - 1));
        if (i == 1) printf("RESULT local_steps_4_loss_ratio %.3f\n", ratio);
        if (i > 1) printf("RESULT %s_loss_ratio %.3f\n", arm[i].name, ratio);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
   gradient: min |grad F|^2 against steps
   --------------------------------------------------------------------------------------------------------------------- */

enum { FEATURES = 123 };

typedef struct { badm_param weight, bias; const float *x, *y; } logistic;

static badm_tensor *logistic_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const logistic *l = (const logistic *)user;
    badm_tensor *x = badm_rows(t, l->x, FEATURES, b), *y = badm_rows(t, l->y, 1, b);
    return badm_bce_with_logits(t, badm_affine(t, x, badm_param_use(t, l->weight), badm_param_use(t, l->bias)), y);
}

/* |grad F|^2 over all n samples, on a tape of its own. */
static double gradient_squared(badm_tape *t, badm_model *m, logistic *l, float *grads, const uint32_t *all, uint32_t n)
{
    badm_batch b;
    badm_tensor *loss;
    size_t i, size = badm_trainable_size(m);
    double s = 0;
    memset(&b, 0, sizeof b);
    b.index = all; b.count = n;
    memset(grads, 0, size * sizeof *grads);
    badm_tape_reset(t);
    badm_tape_watch(t, m, grads);
    loss = logistic_loss(t, &b, l);
    if (badm_backward(t, loss) != BADM_OK) die("gradient", "the tape is too small or the loss failed");
    for (i = 0; i < size; i++) s += (double)grads[i] * (double)grads[i];
    return s;
}

static void gradient(const float *x, const float *y, uint32_t n)
{
    enum { SIZES = 5, POINTS = 128 };
    const uint32_t batch[SIZES] = { 16, 128, 1024, 8192, n };
    static double lowest[SIZES][POINTS], at[POINTS];
    const badm_dim row[2] = { 1, FEATURES }, one = 1;
    uint32_t *index = (uint32_t *)need(n * sizeof *index), *all = (uint32_t *)need(n * sizeof *all);
    uint32_t steps = quick ? 200 : 3000, i;
    int seeds = quick ? 1 : MAX_SEEDS, b, k, points = 0, p;
    double floors[SIZES], sizes[SIZES];
    FILE *f = csv("gradient");

    for (i = 0; i < n; i++) all[i] = i;
    /* The gradient is measured before these steps: each of the first ten, then 16 a decade. */
    for (i = 1; i <= steps && points < POINTS; i += i < 10 ? 1 : i / 7) at[points++] = i;

    for (b = 0; b < SIZES; b++) {
        int runs = batch[b] == n ? 1 : seeds;           /* the full batch has nothing random in it */
        for (k = 0; k < runs; k++) {
            badm_model *m = badm_model_new(1);
            badm_tape *t;
            badm_trainer_desc d;
            badm_trainer *tr;
            logistic l;
            float *grads;
            uint64_t drawn = 0;
            double low = 1e30;
            l.weight = badm_param_new(m, "weight", 2, row, badm_init_constant(0));
            l.bias = badm_param_new(m, "bias", 1, &one, badm_init_constant(0));
            l.x = x; l.y = y;
            badm_trainer_defaults(&d);
            d.model = m; d.loss = logistic_loss; d.user = &l; d.max_batch = batch[b]; d.workers = 2;
            d.sigma = 0.2f; d.rho = 1.8f;
            tr = trainer_new(&d);
            grads = (float *)need(badm_trainable_size(m) * sizeof *grads);
            if (badm_tape_new(&t, NULL, (size_t)n * FEATURES * sizeof(float) * 3) != BADM_OK)
                die("tape", "not enough memory");
            for (i = 1, p = 0; i <= steps && p < points; i++) {
                uint32_t j;
                if ((double)i == at[p]) {
                    double g = gradient_squared(t, m, &l, grads, all, n);
                    if (g < low) low = g;
                    lowest[b][p++] += low / runs;
                }
                for (j = 0; j < batch[b]; j++, drawn++)
                    index[j] = badm_shuffle((uint64_t)(k + 1), (uint32_t)(drawn / n), n, (uint32_t)(drawn % n));
                if (badm_step(tr, index, batch[b], NULL) != BADM_OK) die("step", badm_trainer_error(tr));
            }
            badm_tape_free(t);
            badm_trainer_free(tr);
            badm_model_free(m);
            free(grads);
        }
        sizes[b] = batch[b];
        floors[b] = lowest[b][points - 1];
        printf("RESULT gradient_floor_batch_%u %.3g\n", (unsigned)batch[b], floors[b]);
        fflush(stdout);
    }
    fprintf(f, "step");
    for (b = 0; b < SIZES; b++) fprintf(f, ",%u", (unsigned)batch[b]);
    for (p = 0; p < points; p++) {
        fprintf(f, "\n%.0f", at[p]);
        for (b = 0; b < SIZES; b++) fprintf(f, ",%.6g", lowest[b][p]);
    }
    fprintf(f, "\n");
    close_csv(f);
    printf("RESULT gradient_slope_full_batch %.3f\n", log_slope(at + 9, lowest[SIZES - 1] + 9, (size_t)(points - 9)));
    printf("RESULT gradient_floor_slope_in_batch %.3f\n", log_slope(sizes, floors, SIZES - 2));
    free(index);
    free(all);
}

/* ---------------------------------------------------------------------------------------------------------------------
   forms: collapsed against per slot
   --------------------------------------------------------------------------------------------------------------------- */

enum { FULL = 468, MOMENTS = 7 };        /* batches of 128 in an epoch of MNIST before the short one */

typedef struct { badm_model *m; float *into; size_t size; uint64_t at[MOMENTS]; int next; } snapshots;

static void copy_parameters(badm_model *m, float *into)
{
    size_t i;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        memcpy(into, badm_param_values(p), badm_param_size(p) * sizeof(float));
        into += badm_param_size(p);
    }
}

static int snapshot(const badm_progress *p, void *user)
{
    snapshots *s = (snapshots *)user;
    if (s->next < MOMENTS && p->last.step + 1 == s->at[s->next])
        copy_parameters(s->m, s->into + (size_t)s->next++ * s->size);
    return 0;
}

/* |a - b|/|a - start|: how far apart, as a share of the way from the start. */
static double apart(const float *a, const float *b, const float *start, size_t n)
{
    double difference = 0, way = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double u = (double)a[i] - (double)b[i], v = (double)a[i] - (double)start[i];
        difference += u * u; way += v * v;
    }
    return sqrt(difference / way);
}

static void forms(const digits *train)
{
    enum { VARIANTS = 4 };
    static const uint32_t last[VARIANTS] = { 96, 98, 7, 3 };
    uint32_t full = quick ? 40 : FULL;
    double difference[VARIANTS][MOMENTS];
    uint64_t moment[MOMENTS];
    FILE *f = csv("forms");
    int v, i, form;

    moment[0] = full / 2; moment[1] = full; moment[2] = full + 1; moment[3] = full + 2; moment[4] = full + 11;
    moment[5] = full + full / 2; moment[6] = 2 * full + 1;
    for (v = 0; v < VARIANTS; v++) {
        float *start = NULL, *seen[2];
        size_t size = 0;
        digits some = part(train, 0, full * 128 + last[v]);
        for (form = 0; form < 2; form++) {
            setting s = usual();
            net n;
            badm_model *m = net_new(&n, 1, &some);
            badm_trainer_desc d;
            badm_trainer *tr;
            snapshots shots;
            s.form = form ? BADM_PER_SLOT : BADM_COLLAPSED;
            s.step = 0.1f;          /* with 1, training is chaotic and blows rounding errors up to 0.1 by itself */
            describe(&d, &s, m, &n);
            tr = trainer_new(&d);
            size = badm_model_size(m);
            seen[form] = (float *)need(MOMENTS * size * sizeof(float));
            shots.m = m; shots.into = seen[form]; shots.size = size; shots.next = 0;
            memcpy(shots.at, moment, sizeof moment);
            if (form == 0) copy_parameters(m, start = (float *)need(size * sizeof(float)));
            for (i = 0; i < 2; i++)
                if (badm_epoch(tr, some.n, 128, snapshot, &shots) != BADM_OK) die("epoch", badm_trainer_error(tr));
            badm_trainer_free(tr);
            badm_model_free(m);
        }
        for (i = 0; i < MOMENTS; i++)
            difference[v][i] = apart(seen[0] + (size_t)i * size, seen[1] + (size_t)i * size, start, size);
        printf("RESULT forms_last_batch_%u_before %.2e\n", (unsigned)last[v], difference[v][1]);
        printf("RESULT forms_last_batch_%u_after %.2e\n", (unsigned)last[v], difference[v][2]);
        printf("RESULT forms_last_batch_%u_an_epoch_later %.2e\n", (unsigned)last[v], difference[v][6]);
        fflush(stdout);
        free(start); free(seen[0]); free(seen[1]);
    }
    fprintf(f, "step,last_96,last_98,last_7,last_3\n");
    for (i = 0; i < MOMENTS; i++) {
        fprintf(f, "%lu", (unsigned long)moment[i]);
        for (v = 0; v < VARIANTS; v++) fprintf(f, ",%.6g", difference[v][i]);
        fprintf(f, "\n");
    }
    close_csv(f);
}

/* ---------------------------------------------------------------------------------------------------------------------
   slots: what S gradients a step tell
   --------------------------------------------------------------------------------------------------------------------- */

static void slots(const digits *train, const digits *test)
{
    enum { N = 4 };
    contender c[N] = {
        { "usual", NULL, BADM_DIAGONAL, 4e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 0 },
        { "mean_of_squares", NULL, BADM_DIAGONAL, 8e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 1, 0 },
        { "shrunk", NULL, BADM_DIAGONAL, 4e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 0, 1 },
        { "both", NULL, BADM_DIAGONAL, 8e-3f, 0, 0, { 0 }, { 0 }, { 0 }, 1, 1 }
    };
    static outcome o[N][MAX_SEEDS];
    int seeds = quick ? 2 : MAX_SEEDS, i, k;
    uint32_t held = quick ? 1000 : HELD_OUT;
    digits rest = part(train, 0, train->n - held), held_out = part(train, train->n - held, held);
    setting s = usual();
    FILE *f;

    s.decay = 1; s.sub_batches = 8;
    s.epochs = quick ? 1 : 3;
    printf("step sizes, on %u images, %u epochs, %u held out\n", (unsigned)rest.n, (unsigned)s.epochs, (unsigned)held);
    f = csv("slots_tuning");
    tune(c, N, quick ? 1 : 2, &s, 1, &rest, &held_out, f);
    close_csv(f);
    train_best(c, N, &s, seeds, train, test, o);
    f = csv("slots_final");
    fprintf(f, "second_moment_and_step,step,test_accuracy,test_accuracy_min,test_accuracy_max,less_usual,half_interval,train_loss,train_loss_over_usual\n");
    for (i = 0; i < N; i++) {
        double accuracy[MAX_SEEDS], gain[MAX_SEEDS], spread = 0, loss = mean_loss(o[i], seeds, s.epochs - 1);
        for (k = 0; k < seeds; k++) {
            accuracy[k] = (double)o[i][k].check.accuracy;
            gain[k] = accuracy[k] - (double)o[0][k].check.accuracy;
        }
        for (k = 0; k < seeds; k++) spread += pow(gain[k] - mean(gain, (size_t)seeds), 2) / (seeds - 1);
        fprintf(f, "%s,%.6g,%.5f,%.5f,%.5f,%.5f,%.5f,%.6g,%.4f\n", c[i].name, (double)c[i].step[c[i].best], mean(accuracy, (size_t)seeds),
                smallest(accuracy, (size_t)seeds), largest(accuracy, (size_t)seeds), mean(gain, (size_t)seeds),
                2.776 * sqrt(spread / seeds),           /* Student's t for 5 seeds */
                loss, loss / mean_loss(o[0], seeds, s.epochs - 1));
        printf("RESULT slots_%s_test_accuracy %.5f\n", c[i].name, mean(accuracy, (size_t)seeds));
        printf("RESULT slots_%s_train_loss %.6g\n", c[i].name, loss);
    }
    close_csv(f);
    f = csv("slots_curves");
    write_curves(f, c, N, o, seeds, s.epochs);
    close_csv(f);
}

/* ---------------------------------------------------------------------------------------------------------------------
   Data and main
   --------------------------------------------------------------------------------------------------------------------- */

/* images and labels own the memory. */
static digits mnist(const char *folder, const char *images_name, const char *labels_name, badm_array *images,
                    badm_array *labels)
{
    char why[EXAMPLE_SENTENCE];
    digits d;
    if (!example_load_mnist(images, folder, images_name, why)) die("MNIST", why);
    if (!example_load_mnist(labels, folder, labels_name, why)) die("MNIST", why);
    if (images->rank != 3 || images->shape[1] * images->shape[2] != 784 || images->type != BADM_U8 ||
        labels->type != BADM_U8 || labels->shape[0] != images->shape[0]) die("MNIST", "not 28x28 images with a label each");
    d.images = (const uint8_t *)images->data;
    d.labels = (const uint8_t *)labels->data;
    d.n = images->shape[0];
    return d;
}

static void gradient_on_a9a(const char *folder)
{
    static const char *const names[] = { "libsvm/a9a", "a9a", NULL };
    badm_array x, y;
    char why[EXAMPLE_SENTENCE];
    uint32_t i;
    if (!example_load_libsvm(&x, &y, FEATURES, folder, names, why)) die("a9a", why);
    for (i = 0; i < y.shape[0]; i++) {
        float *label = (float *)y.data + i;
        *label = *label > 0 ? 1.0f : 0.0f;
    }
    gradient((const float *)x.data, (const float *)y.data, quick ? 10000 : y.shape[0]);
    badm_array_free(&x);
    badm_array_free(&y);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *folder = argc > 2 ? argv[2] : "";
    double from = seconds_now();

    quick = argc == 5 && strcmp(argv[4], "--quick") == 0;
    if (argc < 4 || argc > 5 || (argc == 5 && !quick)) die("usage", "experiments WHAT DATA OUT [--quick]");
    out_folder = argv[3];
    if (strcmp(what, "gradient") == 0) gradient_on_a9a(folder);
    else {
        badm_array memory[4];
        digits train = mnist(folder, "train-images", "train-labels", &memory[0], &memory[1]);
        digits test = mnist(folder, "t10k-images", "t10k-labels", &memory[2], &memory[3]);
        size_t i;
        if (quick) { train = part(&train, 0, 6000); test = part(&test, 0, 1000); }
        if (strcmp(what, "batches") == 0) batches(&train, &test);
        else if (strcmp(what, "compare") == 0) compare(&train, &test);
        else if (strcmp(what, "speed") == 0) speed(&train);
        else if (strcmp(what, "local") == 0) local(&train);
        else if (strcmp(what, "forms") == 0) forms(&train);
        else if (strcmp(what, "slots") == 0) slots(&train, &test);
        else die(what, "no such experiment");
        for (i = 0; i < 4; i++) badm_array_free(&memory[i]);
    }
    printf("RESULT %s_seconds %.0f\n", what, seconds_now() - from);
    return 0;
}
