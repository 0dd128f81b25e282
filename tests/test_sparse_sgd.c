/* >>sparse_sgd: SGD and SVRG on compressed rows, with the aggregation of arXiv 1711.01761; and LIBSVM files into such rows. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "buffer.h"

enum { ROWS = 60, COLS = 12 };

typedef struct problem {
    badm_csr *x;
    float y[ROWS], dense[ROWS][COLS];
    badm_sparse_desc d;
} problem;

/* Feature k is there with probability about 1/(k+1): feature 0 always. Row 7 is empty. */
static void open_problem(problem *p)
{
    uint32_t row[ROWS * COLS], column[ROWS * COLS], i, k;
    float value[ROWS * COLS];
    size_t n = 0;
    badm_rng r;
    badm_error e;
    badm_rng_init(&r, 5, 0);
    memset(p, 0, sizeof *p);
    for (i = 0; i < ROWS; i++) {
        float margin = 0;
        for (k = 0; k < COLS && i != 7; k++) {
            float v = badm_rng_normal(&r);
            if (badm_rng_uniform(&r) * (float)(k + 1) >= 1.0f) continue;
            row[n] = i; column[n] = k; value[n] = p->dense[i][k] = v;
            margin += v * (k % 2 ? 1.0f : -1.0f);
            n++;
        }
        p->y[i] = margin + 0.5f * badm_rng_normal(&r) > 0 ? 1.0f : -1.0f;
    }
    CHECK_INT(badm_csr_new(&p->x, NULL, ROWS, COLS, n, row, column, value, &e), BADM_OK);
    badm_sparse_defaults(&p->d);
    p->d.x = p->x; p->d.y = p->y;
}

static badm_sparse_sgd *begin(const problem *p)
{
    badm_sparse_sgd *s = NULL;
    badm_error e;
    CHECK_INT(badm_sparse_new(&s, &p->d, &e), BADM_OK);
    return s;
}

static void run(badm_sparse_sgd *s, int epochs)
{
    int i;
    for (i = 0; i < epochs; i++) CHECK_INT(badm_sparse_epoch(s), BADM_OK);
}

static double slope_of(const problem *p, double margin, double y)
{
    if (p->d.loss == BADM_SQUARED) return margin - y;
    return y > 0 ? -1 / (1 + exp(margin)) : 1 / (1 + exp(-margin));
}

/* `epochs` epochs in double on the dense matrix: every coordinate in every step, l2 and SVRG's mean gradient at once. */
static void reference(const problem *p, int epochs, double *w)
{
    uint32_t from, b, batch = p->d.batch < ROWS ? p->d.batch : ROWS;
    int epoch, i, k;
    double weight[COLS + 1], mean[COLS + 1], anchor[ROWS];
    for (k = 0; k <= COLS; k++) {
        double there = 0;
        for (i = 0; i < ROWS && k < COLS; i++) there += p->dense[i][k] != 0;
        there /= ROWS;
        weight[k] = k == COLS || p->d.aggregation == BADM_BY_MEAN || there <= 0 || there >= 1 ? 1 : (1 - pow(1 - there, batch)) / there;
        w[k] = mean[k] = 0;
    }
    for (epoch = 0; epoch < epochs; epoch++) {
        memset(anchor, 0, sizeof anchor);
        for (k = 0; k <= COLS; k++) mean[k] = 0;
        for (i = 0; i < ROWS && p->d.svrg; i++) {
            double margin = w[COLS];
            for (k = 0; k < COLS; k++) margin += w[k] * (double)p->dense[i][k];
            anchor[i] = slope_of(p, margin, (double)p->y[i]);
            for (k = 0; k < COLS; k++) mean[k] += anchor[i] * (double)p->dense[i][k] / ROWS;
            mean[COLS] += anchor[i] / ROWS;
        }
        for (from = 0; from < ROWS; from += batch) {
            uint32_t count = ROWS - from < batch ? ROWS - from : batch;
            double sum[COLS + 1] = { 0 };
            int there[COLS] = { 0 };
            /* what the lazy form does when a feature is next seen, and at the end: a step's decay before the sums of the next */
            for (b = 0; b < count; b++) {
                uint32_t at = badm_shuffle(p->d.seed, (uint32_t)epoch, ROWS, from + b);
                double margin = w[COLS], slope;
                for (k = 0; k < COLS; k++) margin += w[k] * (double)p->dense[at][k];
                slope = slope_of(p, margin, (double)p->y[at]) - anchor[at];
                for (k = 0; k < COLS; k++)
                    if (p->dense[at][k] != 0) { sum[k] += slope * (double)p->dense[at][k]; there[k]++; }
                sum[COLS] += slope;
            }
            for (k = 0; k < COLS; k++) {
                double each = p->d.aggregation == BADM_BY_PRESENCE ? (there[k] ? 1.0 / there[k] : 0) : weight[k] / count, decay;
                w[k] -= (double)p->d.lr * each * sum[k];
                decay = 1 - exp(-(double)p->d.lr * (double)p->d.l2 * weight[k]);
                if (p->d.l2 > 0) w[k] -= decay * (w[k] + mean[k] / (double)p->d.l2);
                else w[k] -= (double)p->d.lr * weight[k] * mean[k];
            }
            if (p->d.intercept) w[COLS] -= (double)p->d.lr * (sum[COLS] / count + mean[COLS]);
        }
    }
}

static void against_reference(problem *p, int epochs)
{
    badm_sparse_sgd *s = begin(p);
    double w[COLS + 1];
    int k;
    run(s, epochs);
    reference(p, epochs, w);
    for (k = 0; k <= COLS; k++) CHECK_NEAR(badm_sparse_weights(s)[k], w[k], 2e-5);
    badm_sparse_free(s);
}

TEST(every_form_is_what_its_formula_says)
{
    problem p;
    int loss, rule, l2, svrg, batch;
    open_problem(&p);
    for (loss = 0; loss < 2; loss++)
        for (rule = 0; rule < 3; rule++)
            for (l2 = 0; l2 < 2; l2++)
                for (svrg = 0; svrg < 2; svrg++)
                    for (batch = 1; batch <= 64; batch *= 4) {
                        p.d.loss = (badm_sparse_loss)loss;
                        p.d.aggregation = (badm_aggregation)rule;
                        p.d.l2 = l2 ? 0.03f : 0.0f;
                        p.d.svrg = svrg;
                        p.d.batch = (uint32_t)batch;
                        p.d.lr = 0.05f;
                        against_reference(&p, 4);
                    }
    badm_csr_free(p.x);
}

TEST(a_batch_of_one_is_sgd_whatever_the_rule)
{
    problem p;
    float first[COLS + 1];
    int rule, k;
    open_problem(&p);
    for (rule = 0; rule < 3; rule++) {
        badm_sparse_sgd *s;
        p.d.aggregation = (badm_aggregation)rule;
        s = begin(&p);
        run(s, 3);
        for (k = 0; k <= COLS; k++) {
            if (rule == 0) first[k] = badm_sparse_weights(s)[k];
            CHECK_NEAR(badm_sparse_weights(s)[k], first[k], 1e-5);
        }
        badm_sparse_free(s);
    }
    badm_csr_free(p.x);
}

TEST(on_dense_data_all_rules_are_the_mean)
{
    static uint32_t row[ROWS * 3], column[ROWS * 3];
    static float value[ROWS * 3];
    problem p;
    float first[4];
    uint32_t i;
    int rule, k;
    badm_rng r;
    open_problem(&p);
    badm_csr_free(p.x);
    badm_rng_init(&r, 9, 1);
    for (i = 0; i < ROWS * 3; i++) { row[i] = i / 3; column[i] = i % 3; value[i] = badm_rng_normal(&r); }
    CHECK_INT(badm_csr_new(&p.x, NULL, ROWS, 3, ROWS * 3, row, column, value, NULL), BADM_OK);
    p.d.x = p.x;
    p.d.batch = 16;
    for (rule = 0; rule < 3; rule++) {
        badm_sparse_sgd *s;
        p.d.aggregation = (badm_aggregation)rule;
        s = begin(&p);
        run(s, 2);
        for (k = 0; k < 4; k++) {
            if (rule == 0) first[k] = badm_sparse_weights(s)[k];
            CHECK_NEAR(badm_sparse_weights(s)[k], first[k], 1e-6);
        }
        badm_sparse_free(s);
    }
    badm_csr_free(p.x);
}

/* Features that are there independently with probability p_k: the mean of the batch's rule over many batches. */
TEST(the_rule_by_presence_is_in_expectation_the_one_by_frequency)
{
    enum { DRAWS = 40000, B = 8 };
    static const float share[3] = { 0.5f, 0.1f, 0.02f };
    badm_rng r;
    int k, draw, b;
    badm_rng_init(&r, 3, 2);
    for (k = 0; k < 3; k++) {
        double sum = 0, expected = (1 - pow(1 - (double)share[k], B)) / (double)share[k], plain = (double)share[k];
        for (draw = 0; draw < DRAWS; draw++) {
            double g = 0;
            int there = 0;
            for (b = 0; b < B; b++)
                if (badm_rng_uniform(&r) < share[k]) { g += 1 + 0.5 * (double)badm_rng_normal(&r); there++; }
            if (there) sum += g / there;
        }
        CHECK_NEAR(sum / DRAWS / plain, expected, 0.04 * expected);
    }
}

TEST(any_number_of_workers_gives_the_same_bits)
{
    problem p;
    float first[COLS + 1];
    uint32_t workers;
    int form;
    open_problem(&p);
    for (form = 0; form < 4; form++)
        for (workers = 1; workers <= 5; workers++) {
            badm_sparse_sgd *s;
            double value, norm;
            static double first_value, first_norm;
            p.d.workers = workers;
            p.d.batch = 16;
            p.d.svrg = form & 1;
            p.d.l2 = form & 2 ? 0.01f : 0.0f;
            p.d.aggregation = BADM_BY_PRESENCE;
            s = begin(&p);
            run(s, 3);
            badm_sparse_objective(s, &value, &norm);
            if (workers == 1) {
                memcpy(first, badm_sparse_weights(s), sizeof first);
                first_value = value;
                first_norm = norm;
            }
            CHECK(memcmp(first, badm_sparse_weights(s), sizeof first) == 0);
            CHECK(memcmp(&value, &first_value, sizeof value) == 0 && memcmp(&norm, &first_norm, sizeof norm) == 0);
            badm_sparse_free(s);
        }
    badm_csr_free(p.x);
}

TEST(svrg_converges_to_the_minimum)
{
    problem p;
    badm_sparse_sgd *s;
    double value, norm, first;
    int rule;
    open_problem(&p);
    for (rule = 0; rule < 3; rule++) {
        p.d.aggregation = (badm_aggregation)rule;
        p.d.svrg = 1; p.d.l2 = 0.01f; p.d.batch = 8; p.d.lr = 0.1f;
        s = begin(&p);
        badm_sparse_objective(s, &first, &norm);
        CHECK_NEAR(first, log(2.0), 1e-6);
        run(s, 400);
        badm_sparse_objective(s, &value, &norm);
        CHECK(value < first);
        CHECK(norm < (rule == BADM_BY_MEAN ? 1e-3 : 3e-6));        /* the mean is slow in rare coordinates */
        badm_sparse_free(s);
    }
    badm_csr_free(p.x);
}

TEST(margins_of_other_rows)
{
    problem p;
    badm_sparse_sgd *s;
    badm_csr *wide, bare;
    float margin[ROWS];
    uint32_t one = COLS;
    int i, k;
    open_problem(&p);
    s = begin(&p);
    run(s, 2);
    CHECK_INT(badm_sparse_margins(s, p.x, margin), BADM_OK);
    for (i = 0; i < ROWS; i++) {
        double expected = (double)badm_sparse_weights(s)[COLS];
        for (k = 0; k < COLS; k++) expected += (double)badm_sparse_weights(s)[k] * (double)p.dense[i][k];
        CHECK_NEAR(margin[i], expected, 1e-5);
    }
    i = 0;
    CHECK_INT(badm_csr_new(&wide, NULL, 1, COLS + 1, 1, (uint32_t *)&i, &one, NULL, NULL), BADM_OK);
    CHECK_INT(badm_sparse_margins(s, wide, margin), BADM_ERR_SHAPE);
    CHECK_TEXT(badm_sparse_error(s), "13 features");
    badm_csr_free(wide);
    bare = *p.x;
    bare.value = NULL;
    CHECK_INT(badm_sparse_margins(s, &bare, margin), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_sparse_error(s), "with values");
    badm_sparse_free(s);
    badm_csr_free(p.x);
}

static void refused(const problem *p, badm_result code, const char *part)
{
    badm_sparse_sgd *s;
    badm_error e;
    char text[300];
    CHECK_INT(badm_sparse_new(&s, &p->d, &e), code);
    CHECK(s == NULL);
    badm_error_text(&e, text, sizeof text);
    CHECK_TEXT(text, part);
    badm_sparse_free(s);
}

TEST(what_is_wrong_is_said)
{
    problem p;
    badm_csr bare;
    badm_sparse_desc good;
    open_problem(&p);
    good = p.d;
    p.d.filled = 0; refused(&p, BADM_ERR_ARGUMENT, "badm_sparse_defaults");
    p.d = good; p.d.y = NULL; refused(&p, BADM_ERR_ARGUMENT, "y and a matrix");
    p.d = good; bare = *p.x; bare.turned = NULL; p.d.x = &bare; refused(&p, BADM_ERR_ARGUMENT, "badm_csr_new");
    p.d = good; bare = *p.x; bare.value = NULL; p.d.x = &bare; refused(&p, BADM_ERR_ARGUMENT, "badm_csr_new");
    p.d = good; p.d.batch = 0; refused(&p, BADM_ERR_ARGUMENT, "a batch of 0");
    p.d = good; p.d.workers = 0; refused(&p, BADM_ERR_ARGUMENT, "0 workers");
    p.d = good; p.d.lr = -1; refused(&p, BADM_ERR_ARGUMENT, "lr and l2");
    p.d = good; p.d.l2 = NAN; refused(&p, BADM_ERR_ARGUMENT, "lr and l2");
    p.d = good; p.d.aggregation = (badm_aggregation)7; refused(&p, BADM_ERR_ARGUMENT, "aggregation 7");
    p.d = good; p.y[4] = INFINITY; refused(&p, BADM_ERR_NONFINITE, "label");
    badm_csr_free(p.x);
}

TEST(a_step_too_long_changes_nothing)
{
    problem p;
    badm_sparse_sgd *s;
    volatile int stop = 0;
    float before[COLS + 1];
    open_problem(&p);
    p.d.loss = BADM_SQUARED;
    p.d.cancel = &stop;
    s = begin(&p);
    run(s, 1);
    memcpy(before, badm_sparse_weights(s), sizeof before);
    badm_sparse_set_lr(s, 1e30f);
    CHECK_INT(badm_sparse_epoch(s), BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_sparse_error(s), "smaller lr");
    CHECK(memcmp(before, badm_sparse_weights(s), sizeof before) == 0);
    badm_sparse_set_lr(s, 0.1f);
    stop = 1;
    CHECK_INT(badm_sparse_epoch(s), BADM_ERR_CANCELLED);
    CHECK(memcmp(before, badm_sparse_weights(s), sizeof before) == 0);
    stop = 0;
    run(s, 1);
    badm_sparse_free(s);
    badm_csr_free(p.x);
}

/* ---- LIBSVM files into compressed rows ---- */

static badm_result load(const char *what, uint32_t features, badm_csr **x, badm_array *y, char *sentence, size_t room)
{
    static buffer file;
    badm_reader r;
    badm_error e;
    badm_result code;
    file.size = strlen(what);
    memcpy(file.bytes, what, file.size);
    r = buffer_reader(&file);
    code = badm_libsvm_load_csr_from(x, y, features, &r, NULL, &e);
    sentence[0] = 0;
    badm_error_text(&e, sentence, room);
    return code;
}

TEST(libsvm_rows_are_compressed)
{
    badm_csr *x;
    badm_array y;
    char why[300];
    /* unsorted, an index twice, a row without features, a comment */
    CHECK_INT(load("+1 3:0.5 1:2\n-1\n2.5 2:1 2:-4 5:0 # so\n", 0, &x, &y, why, sizeof why), BADM_OK);
    CHECK_INT(x->rows, 3);
    CHECK_INT(x->cols, 5);
    CHECK_INT(x->start[1], 2);
    CHECK_INT(x->start[2], 2);
    CHECK_INT(x->start[3], 4);
    CHECK_INT(x->column[0], 0);
    CHECK_INT(x->column[1], 2);
    CHECK_NEAR(x->value[0], 2, 0);
    CHECK_NEAR(x->value[1], 0.5, 0);
    CHECK_INT(x->column[2], 1);
    CHECK_NEAR(x->value[2], -4, 0);
    CHECK_INT(x->column[3], 4);
    CHECK_NEAR(x->value[3], 0, 0);
    CHECK_INT(y.shape[0], 3);
    CHECK_NEAR(((float *)y.data)[2], 2.5, 0);
    badm_csr_free(x);
    badm_array_free(&y);
    CHECK_INT(load("1 1:1\n", 9, &x, &y, why, sizeof why), BADM_OK);
    CHECK_INT(x->cols, 9);
    badm_csr_free(x);
    badm_array_free(&y);
    CHECK_INT(load("1\n-1\n", 4, &x, &y, why, sizeof why), BADM_OK);       /* samples, but not one feature */
    CHECK_INT(x->rows, 2);
    CHECK_INT(x->cols, 4);
    CHECK_INT(x->start[2], 0);
    badm_csr_free(x);
    badm_array_free(&y);
}

TEST(libsvm_rows_that_are_wrong)
{
    static const struct { const char *text; uint32_t features; const char *part; } wrong[] = {
        { "", 0, "no numbers" }, { "1\n-1\n", 0, "no numbers" }, { "1 0:3\n", 0, "index 0" }, { "1 4:3\n", 3, "index 4" },
        { "1 x:3\n", 0, "feature 1" }, { "1 2:abc\n", 0, "line 1" }, { "1 2:nan\n", 0, "line 1" }, { "3:1\n", 0, "no label" },
        { "1 2:1e999\n", 0, "line 1" }, { "1 4294967296:1\n", 0, "out of range" }
    };
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        badm_csr *x;
        badm_array y;
        char why[300];
        CHECK(load(wrong[i].text, wrong[i].features, &x, &y, why, sizeof why) != BADM_OK);
        CHECK(x == NULL && y.data == NULL);
        CHECK_TEXT(why, wrong[i].part);
    }
}

TEST_MAIN(
    RUN(every_form_is_what_its_formula_says)
    RUN(a_batch_of_one_is_sgd_whatever_the_rule)
    RUN(on_dense_data_all_rules_are_the_mean)
    RUN(the_rule_by_presence_is_in_expectation_the_one_by_frequency)
    RUN(any_number_of_workers_gives_the_same_bits)
    RUN(svrg_converges_to_the_minimum)
    RUN(margins_of_other_rows)
    RUN(what_is_wrong_is_said)
    RUN(a_step_too_long_changes_nothing)
    RUN(libsvm_rows_are_compressed)
    RUN(libsvm_rows_that_are_wrong))
