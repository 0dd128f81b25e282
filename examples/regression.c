/* House prices: regression with standardised targets, a held-out test set and early stopping.
       cc -O2 -I. examples/regression.c -o build/regression -lpthread -lm && build/regression DATA [seed]
   DATA is the folder with housing_scale or libsvm/housing_scale, plain or .gz: 506 houses, 13 features, the price in
   1000 dollars, from the regression part of the LIBSVM data page. The seed chooses the split and the first weights.

   The network has to beat two honest opponents on houses it has never seen: predicting the mean price, and ordinary
   least squares. */
#define BADM_IMPLEMENTATION
#include "example_data.h"           /* finds the file; includes badm.h */
#include <math.h>
#include <stdlib.h>

enum { FEATURES = 13, HIDDEN = 32, BATCH = 32, EPOCHS = 400, PATIENCE = 40 };

/* Three parts of the shuffled houses; x and y are standardised with the training part's mean and deviation. */
typedef struct { const float *x, *y; uint32_t n; } part;
typedef struct { badm_linear in, middle, out; part data; } net;

static badm_tensor *predict(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = badm_rows(t, n->data.x, FEATURES, b);
    h = badm_tanh(t, badm_linear_forward(t, n->in, h));
    h = badm_tanh(t, badm_linear_forward(t, n->middle, h));
    return badm_linear_forward(t, n->out, h);
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    return badm_mse(t, predict(t, b, user), badm_rows(t, ((const net *)user)->data.y, 1, b));
}

/* Column c of rows of `width` numbers: subtract the mean of the first n rows, divide by their deviation. */
static void standardise(float *rows, uint32_t width, uint32_t c, uint32_t n, uint32_t all,
                        float *mean, float *deviation)
{
    double sum = 0, squares = 0;
    uint32_t i;
    for (i = 0; i < n; i++) sum += (double)rows[i * width + c];
    *mean = (float)(sum / n);
    for (i = 0; i < n; i++) squares += pow((double)rows[i * width + c] - sum / n, 2);
    *deviation = (float)sqrt(squares / n);
    if (!(*deviation > 0)) *deviation = 1;                  /* a constant feature */
    for (i = 0; i < all; i++) rows[i * width + c] = (rows[i * width + c] - *mean) / *deviation;
}

/* Ordinary least squares: the normal equations, Gauss elimination with pivoting. The last weight is the constant. */
static int least_squares(const part *p, double *w)
{
    enum { N = FEATURES + 1 };
    double a[N][N + 1] = { { 0 } }, v[N + 1], swap;
    int i, j, k, pivot;
    uint32_t row;
    for (row = 0; row < p->n; row++) {
        for (i = 0; i < FEATURES; i++) v[i] = (double)p->x[row * FEATURES + (uint32_t)i];
        v[FEATURES] = 1;
        v[N] = (double)p->y[row];
        for (i = 0; i < N; i++)
            for (j = 0; j <= N; j++) a[i][j] += v[i] * v[j];
    }
    for (k = 0; k < N; k++) {
        for (pivot = k, i = k; i < N; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k])) pivot = i;
        if (!(fabs(a[pivot][k]) > 1e-9)) return 0;
        for (j = 0; j <= N; j++) { swap = a[k][j]; a[k][j] = a[pivot][j]; a[pivot][j] = swap; }
        for (i = 0; i < N; i++)
            if (i != k) {
                double f = a[i][k] / a[k][k];
                for (j = k; j <= N; j++) a[i][j] -= f * a[k][j];
            }
    }
    for (i = 0; i < N; i++) w[i] = a[i][N] / a[i][i];
    return 1;
}

static double rmse(const part *p, const float *predicted, double unit)
{
    double squares = 0;
    uint32_t i;
    for (i = 0; i < p->n; i++) squares += pow((double)(predicted[i] - p->y[i]), 2);
    return unit * sqrt(squares / p->n);
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const files[] = { "libsvm/housing_scale", "housing_scale", NULL };
    char why[EXAMPLE_SENTENCE];
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    badm_array raw_x, raw_y;
    uint32_t all, i, c, train_n, valid_n, epoch;
    float *x, *y, *out, mean, price_mean, price_unit, unused;
    double w[FEATURES + 1], by_mean, by_line, by_net;
    part train, valid, test;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_best *best;
    badm_score score;
    net n;

    if (argc < 2) return failed("usage", "regression DATA [seed]; DATA is the folder with housing_scale");
    if (!example_load_libsvm(&raw_x, &raw_y, FEATURES, argv[1], files, why)) return failed("houses", why);
    all = raw_x.shape[0];
    if (all < 100) return failed("houses", "fewer than 100 are too few to judge by");
    train_n = all * 7 / 10;
    valid_n = all / 10;
    x = (float *)malloc(all * FEATURES * sizeof *x);
    y = (float *)malloc(all * sizeof *y);
    out = (float *)malloc(all * sizeof *out);
    if (!x || !y || !out) return failed("houses", "not enough memory");
    for (i = 0; i < all; i++) {
        uint32_t from = badm_shuffle(seed, 0, all, i);
        for (c = 0; c < FEATURES; c++) x[i * FEATURES + c] = ((const float *)raw_x.data)[from * FEATURES + c];
        y[i] = ((const float *)raw_y.data)[from];
    }
    badm_array_free(&raw_x);
    badm_array_free(&raw_y);
    for (c = 0; c < FEATURES; c++) standardise(x, FEATURES, c, train_n, all, &mean, &unused);
    standardise(y, 1, 0, train_n, all, &price_mean, &price_unit);
    train.x = x;                            train.y = y;                    train.n = train_n;
    valid.x = x + train_n * FEATURES;       valid.y = y + train_n;          valid.n = valid_n;
    test.x = valid.x + valid_n * FEATURES;  test.y = valid.y + valid_n;     test.n = all - train_n - valid_n;

    m = badm_model_new(seed);
    if (!m) return failed("model", "not enough memory");
    n.in = badm_linear_new(m, "in", FEATURES, HIDDEN);
    n.middle = badm_linear_new(m, "middle", HIDDEN, HIDDEN);
    n.out = badm_linear_new(m, "out", HIDDEN, 1);
    n.data = train;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n; d.seed = seed; d.max_batch = BATCH;
    d.sub_batches = 2;
    d.metric = BADM_DIAGONAL;               /* the Adam-like metric: 1/sigma is then a step in units of the weights */
    d.sigma = 300; d.rho = 2700; d.weight_decay = 0.3f;
    if (badm_trainer_new(&tr, &d) != BADM_OK) return failed("trainer", badm_model_error(m));
    if (badm_best_new(&best, m, PATIENCE) != BADM_OK) return failed("best", badm_model_error(m));

    printf("%u houses to learn from, %u to decide when to stop, %u to be judged by\n", train.n, valid.n, test.n);
    for (epoch = 1; epoch <= EPOCHS; epoch++) {
        net held_out = n;                   /* the same layers, other houses */
        int better;
        held_out.data = valid;
        if (badm_epoch(tr, train.n, BATCH, NULL, NULL) != BADM_OK ||
            badm_evaluate(tr, NULL, &held_out, valid.n, &score) != BADM_OK)
            return failed("training", badm_trainer_error(tr));
        better = badm_best_update(best, score.loss);
        if (epoch % 20 == 0 || better < 0)
            printf("epoch %3u   validation RMSE %.3f   best %.3f\n", epoch,
                   (double)price_unit * sqrt((double)score.loss),
                   (double)price_unit * sqrt((double)badm_best_value(best)));
        if (better < 0) break;              /* PATIENCE epochs without a better one */
    }
    if (badm_best_restore(best) != BADM_OK) return failed("best", badm_model_error(m));

    for (i = 0; i < test.n; i++) out[i] = 0;                /* the mean, in standardised prices */
    by_mean = rmse(&test, out, (double)price_unit);
    if (!least_squares(&train, w)) return failed("least squares", "features depend on each other");
    for (i = 0; i < test.n; i++) {
        double sum = w[FEATURES];
        for (c = 0; c < FEATURES; c++) sum += w[c] * (double)test.x[i * FEATURES + c];
        out[i] = (float)sum;
    }
    by_line = rmse(&test, out, (double)price_unit);
    n.data = test;
    if (badm_predict(tr, predict, &n, test.n, 1, out) != BADM_OK) return failed("prediction", badm_trainer_error(tr));
    by_net = rmse(&test, out, (double)price_unit);

    printf("\nroot mean square error on the %u test houses, in 1000 dollars\n", test.n);
    printf("  predicting the mean        %6.2f\n", by_mean);
    printf("  ordinary least squares     %6.2f\n", by_line);
    printf("  network trained by BADM    %6.2f\n", by_net);
    printf("\nfor instance:  price   predicted\n");
    for (i = 0; i < 5; i++)
        printf("             %7.1f   %9.1f\n", (double)(test.y[i] * price_unit + price_mean),
               (double)(out[i] * price_unit + price_mean));
    badm_best_free(best);
    badm_trainer_free(tr);
    badm_model_free(m);
    free(x); free(y); free(out);
    if (!(by_net < by_line && by_line < by_mean)) return failed("regression", "the network did not beat its opponents");
    return 0;
}
