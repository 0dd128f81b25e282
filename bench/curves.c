/* The data of docs/curves.svg: BADM beside its nearest relatives on MNIST, 784-128-10, batch 128, linear decay.
       sh bench/curves.sh DATA        compiles this, runs it, draws

   The same rules for everybody: momentum 0.9, weights and batches of the same seeds, and a grid of five step sizes a
   factor of 2 apart, the best of which is found on the last 5,000 training images, held out, after 2 epochs on the
   others. A best at the edge of its grid ends the program. Then 5 epochs on all training images with 3 seeds, of which
   the mean is written, four times an epoch. (make experiments compares more methods for longer.) */
#define BADM_IMPLEMENTATION
#include "../examples/example_data.h"

enum { BATCH = 128, HELD_OUT = 5000, TUNING_EPOCHS = 2, EPOCHS = 5, QUARTERS = 4 * EPOCHS, SEEDS = 3, GRID = 5 };

typedef struct { const uint8_t *images, *labels; uint32_t n; } digits;
typedef struct { badm_linear fc1, fc2; digits of; } net;

typedef struct {
    const char *name;
    const badm_method *(*method)(void);         /* NULL: BADM */
    badm_metric metric;
    float smallest;                             /* of the grid: lr, or 1/sigma */
} contender;

static const contender contenders[] = {
    { "BADM",           NULL,                 BADM_PLAIN,    0.5f },
    { "Nesterov",       badm_method_nesterov, BADM_PLAIN,    0.05f },
    { "BADM, diagonal", NULL,                 BADM_DIAGONAL, 4e-3f },
    { "NAdam",          badm_method_nadam,    BADM_PLAIN,    2e-3f },
    { "Adam",           badm_method_adam,     BADM_PLAIN,    2e-3f }
};
enum { CONTENDERS = sizeof contenders / sizeof contenders[0] };

typedef struct { double loss[QUARTERS], error[QUARTERS]; badm_score last; } curve;

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x = badm_rows_u8(t, n->of.images, 784, 1 / 255.0f, 0, b);
    badm_tensor *h = badm_relu(t, badm_linear_forward(t, n->fc1, x));
    return badm_cross_entropy(t, badm_linear_forward(t, n->fc2, h), badm_labels_u8(t, n->of.labels, b));
}

/* Ends badm_epoch where a quarter of the epoch is over, and notes the mean loss since the last stop. */
typedef struct { uint32_t number; float loss; } quarter;

static int at_quarter(const badm_progress *p, void *user)
{
    quarter *q = (quarter *)user;
    q->loss = p->loss;
    return (uint64_t)4 * p->sample >= (uint64_t)p->samples * q->number;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "curves: %s: %s\n", what, why);
    return 0;
}

/* One run, judged on `judge` after every quarter of an epoch; adds its curves to c. */
static int run(const contender *k, float step, uint64_t seed, uint32_t epochs, digits train, digits judge, curve *c)
{
    badm_model *m = badm_model_new(seed);
    badm_trainer *tr;
    badm_trainer_desc d;
    net training, judging;
    uint32_t i;

    if (!m) return failed(k->name, "not enough memory");
    training.fc1 = badm_linear_new(m, "fc1", 784, 128);
    training.fc2 = badm_linear_new(m, "fc2", 128, 10);
    training.of = train;
    judging = training;
    judging.of = judge;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &training; d.seed = seed; d.max_batch = BATCH;
    d.method = k->method ? k->method() : NULL;
    d.metric = k->metric;
    d.lr = step;
    d.sigma = 1 / step;
    d.rho = 9 * d.sigma;                        /* momentum rho/(rho+sigma) = 0.9 */
    d.schedule.kind = BADM_LINEAR_DECAY;
    d.schedule.total = epochs * ((train.n + BATCH - 1) / BATCH);
    if (badm_trainer_new(&tr, &d) != BADM_OK) return failed(k->name, badm_model_error(m));
    for (i = 0; i < 4 * epochs; i++) {
        quarter q;
        badm_result r;
        q.number = i % 4 + 1;
        r = badm_epoch(tr, train.n, BATCH, at_quarter, &q);
        if (r != BADM_OK && r != BADM_ERR_CANCELLED) return failed(k->name, badm_trainer_error(tr));
        r = badm_evaluate(tr, NULL, &judging, judge.n, &c->last);
        if (r != BADM_OK) return failed(k->name, badm_trainer_error(tr));
        c->loss[i] += (double)q.loss;
        c->error[i] += 1 - (double)c->last.accuracy;
    }
    badm_trainer_free(tr);
    badm_model_free(m);
    return 1;
}

/* The step size with the highest accuracy on the images held out, 0 if there is none within the grid. */
static float best_step(const contender *k, digits train)
{
    digits rest = train, held_out;
    float step = k->smallest, best = 0, highest = -1;
    int i, at = 0;
    rest.n -= HELD_OUT;
    held_out.images = train.images + (size_t)784 * rest.n;
    held_out.labels = train.labels + rest.n;
    held_out.n = HELD_OUT;
    for (i = 0; i < GRID; i++, step *= 2) {
        curve c;
        memset(&c, 0, sizeof c);
        if (!run(k, step, 1, TUNING_EPOCHS, rest, held_out, &c)) return 0;
        fprintf(stderr, "%-16s step %-8g held-out accuracy %.4f\n", k->name, (double)step, (double)c.last.accuracy);
        if (c.last.accuracy > highest) { highest = c.last.accuracy; best = step; at = i; }
    }
    if (at == 0 || at == GRID - 1) { failed(k->name, "the best step size is at the edge of the grid"); return 0; }
    return best;
}

static int load(digits *d, badm_array *images, badm_array *labels, const char *folder, const char *which)
{
    char why[EXAMPLE_SENTENCE], name[32];
    snprintf(name, sizeof name, "%s-images", which);
    if (!example_load_mnist(images, folder, name, why)) return failed("data", why);
    snprintf(name, sizeof name, "%s-labels", which);
    if (!example_load_mnist(labels, folder, name, why)) return failed("data", why);
    d->images = (const uint8_t *)images->data;
    d->labels = (const uint8_t *)labels->data;
    d->n = images->shape[0];
    return images->shape[0] == labels->shape[0] && d->n > HELD_OUT ? 1 : failed("data", "not MNIST");
}

/* For gnuplot: a block of lines "epoch loss error" a method, headed by its name and step size, then two empty lines. */
int main(int argc, char **argv)
{
    badm_array images, labels, test_images, test_labels;
    digits train, test;
    int i, k;
    if (argc < 2) return !failed("usage", "curves DATA   (a folder with MNIST)");
    if (!load(&train, &images, &labels, argv[1], "train")) return 1;
    if (!load(&test, &test_images, &test_labels, argv[1], "t10k")) return 1;
    for (i = 0; i < CONTENDERS; i++) {
        const contender *c = &contenders[i];
        float step = best_step(c, train);
        curve sum;
        if (!(step > 0)) return 1;
        memset(&sum, 0, sizeof sum);
        for (k = 1; k <= SEEDS; k++)
            if (!run(c, step, (uint64_t)k, EPOCHS, train, test, &sum)) return 1;
        printf("\"%s\" \"%g\"\n", c->name, (double)step);
        for (k = 0; k < QUARTERS; k++)
            printf("%.2f %.5f %.5f\n", 0.25 * (k + 1), sum.loss[k] / SEEDS, sum.error[k] / SEEDS);
        printf("\n\n");
        fflush(stdout);
    }
    badm_array_free(&images); badm_array_free(&labels);
    badm_array_free(&test_images); badm_array_free(&test_labels);
    return 0;
}
