/* >>sparse: matrices of compressed rows, their products against PyTorch and against dense ones, dropout of entries, errors; and the
   loops that a lone sub-batch shares with the other workers, in dense products too. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/sparse.h"
#include "memory.h"

static const char *text_of(const badm_error *e)
{
    static char text[400];
    text[0] = 0;
    badm_error_text(e, text, sizeof text);
    return text;
}

/* The dense matrix of a, row by row. */
static void to_dense(const badm_csr *a, float *out)
{
    uint32_t i, k;
    memset(out, 0, (size_t)a->rows * a->cols * sizeof *out);
    for (i = 0; i < a->rows; i++)
        for (k = a->start[i]; k < a->start[i + 1]; k++) out[i * a->cols + a->column[k]] += a->value ? a->value[k] : 1.0f;
}

/* Columns ascend within rows, and the transpose has the same entries. */
static void check_form(const badm_csr *a)
{
    const badm_csr *b = a->turned;
    uint32_t i, k;
    CHECK(b != NULL);
    if (!b) return;
    CHECK_INT(b->rows, a->cols);
    CHECK_INT(b->cols, a->rows);
    CHECK_INT(b->start[b->rows], a->start[a->rows]);
    for (i = 0; i < a->rows; i++)
        for (k = a->start[i] + 1; k < a->start[i + 1]; k++) CHECK(a->column[k - 1] < a->column[k]);
    for (i = 0; i < b->rows; i++)
        for (k = b->start[i]; k < b->start[i + 1]; k++) {
            uint32_t at = a->start[b->column[k]], end = a->start[b->column[k] + 1];
            while (at < end && a->column[at] != i) at++;
            CHECK(at < end);
            CHECK(at < end && a->value[at] == b->value[k]);
            if (b->origin) CHECK_INT(b->origin[k], at);
        }
}

/* About `share` of all places filled, by a generator of its own. */
static badm_csr *random_csr(badm_memory *mem, uint32_t rows, uint32_t cols, float share, uint32_t seed)
{
    size_t n = (size_t)((float)rows * (float)cols * share), i;
    uint32_t *row = (uint32_t *)malloc((n + 1) * sizeof *row), *column = (uint32_t *)malloc((n + 1) * sizeof *column);
    float *value = (float *)malloc((n + 1) * sizeof *value);
    badm_csr *a = NULL;
    badm_rng r;
    badm_rng_init(&r, seed, 1);
    for (i = 0; i < n; i++) {
        row[i] = badm_rng_below(&r, rows);
        column[i] = badm_rng_below(&r, cols);
        value[i] = badm_rng_normal(&r);
    }
    CHECK_INT(badm_csr_new(&a, mem, rows, cols, n, row, column, value, NULL), BADM_OK);
    free(row); free(column); free(value);
    return a;
}

static badm_result golden_csr(badm_csr **out, badm_memory *mem, badm_error *e)
{
    return badm_csr_new(out, mem, GOLDEN_ROWS, GOLDEN_COLS, GOLDEN_ENTRIES, golden_row, golden_column, golden_value, e);
}

/* A tape with one parameter [rows,cols], filled. */
typedef struct { badm_model *m; badm_param x; float *grads; badm_tape *t; } bench;

static void bench_open(bench *b, uint32_t rows, uint32_t cols, uint32_t seed)
{
    badm_dim shape[2];
    shape[0] = (badm_dim)rows;
    shape[1] = (badm_dim)cols;
    b->m = badm_model_new(1);
    b->x = badm_param_new(b->m, "x", 2, shape, badm_init_normal(0, 1));
    golden_fill(GOLDEN_REAL, seed, badm_param_data(b->x), (size_t)rows * cols);
    b->grads = (float *)calloc(badm_trainable_size(b->m), sizeof(float));
    CHECK_INT(badm_tape_new(&b->t, NULL, (size_t)16 << 20), BADM_OK);
    badm_tape_watch(b->t, b->m, b->grads);
}

static void bench_close(bench *b)
{
    badm_tape_free(b->t);
    badm_model_free(b->m);
    free(b->grads);
}

static void bench_again(bench *b)
{
    badm_tape_reset(b->t);
    memset(b->grads, 0, badm_trainable_size(b->m) * sizeof(float));
}

/* The scalar sum of y times given numbers: its gradient to y is those numbers. */
static badm_tensor *weighed(badm_tape *t, badm_tensor *y, const float *by)
{
    return badm_sum(t, badm_mul(t, y, badm_input(t, y->rank, y->shape, by)));
}

TEST(products_and_gradients_are_pytorchs)
{
    badm_csr *a;
    bench b;
    float dy[GOLDEN_ROWS * GOLDEN_WIDTH];
    badm_tensor *y;
    CHECK_INT(golden_csr(&a, NULL, NULL), BADM_OK);
    check_form(a);
    CHECK_INT(a->start[a->rows], GOLDEN_ENTRIES - 2);       /* two places are named twice */
    bench_open(&b, GOLDEN_COLS, GOLDEN_WIDTH, 31);
    golden_fill(GOLDEN_REAL, 32, dy, GOLDEN_ROWS * GOLDEN_WIDTH);
    y = badm_sparse_matmul(b.t, a, badm_param_use(b.t, b.x));
    CHECK(golden_difference(badm_data(b.t, y), golden_product, GOLDEN_ROWS * GOLDEN_WIDTH, 1, 4) < 1e-6);
    CHECK_INT(badm_backward(b.t, weighed(b.t, y, dy)), BADM_OK);
    CHECK(golden_difference(b.grads, golden_gradient, GOLDEN_COLS * GOLDEN_WIDTH, 1, 4) < 1e-6);
    bench_close(&b);
    badm_csr_free(a);
}

TEST(a_graph_becomes_its_normalised_adjacency)
{
    badm_csr *a;
    float dense[GOLDEN_NODES * GOLDEN_NODES];
    CHECK_INT(badm_csr_graph(&a, NULL, GOLDEN_NODES, GOLDEN_EDGES, golden_from, golden_to, NULL), BADM_OK);
    check_form(a);
    CHECK(a->turned == a);
    to_dense(a, dense);
    CHECK(golden_difference(dense, golden_graph, GOLDEN_NODES * GOLDEN_NODES, 1, 1) < 1e-7);
    badm_csr_free(a);
    CHECK_INT(badm_csr_graph(&a, NULL, 3, 0, NULL, NULL, NULL), BADM_OK);       /* no edges: the identity */
    to_dense(a, dense);
    CHECK(dense[0] == 1 && dense[1] == 0 && dense[4] == 1 && dense[8] == 1);
    badm_csr_free(a);
}

/* A product's element is the sum of its terms in the order of columns, whatever the width and the instruction set. */
TEST(every_width_and_instruction_set_adds_in_the_order_of_columns)
{
    enum { ROWS = 37, COLS = 29, MOST = 50 };
    badm_csr *a = random_csr(NULL, ROWS, COLS, 0.3f, 5);
    uint32_t width;
    int level;
    for (width = 1; width <= MOST; width++)
        for (level = 0; level < 2; level++) {
            bench b;
            badm_tensor *x, *y;
            uint32_t i, j, k, wrong = 0;
            bench_open(&b, COLS, width, width);
            if (level < b.t->level) b.t->level = (uint8_t)level;
            x = badm_param_use(b.t, b.x);
            y = badm_sparse_matmul(b.t, a, x);
            for (i = 0; i < ROWS; i++)
                for (j = 0; j < width; j++) {
                    volatile float sum = 0, product;        /* volatile: no fusing, no wider numbers */
                    for (k = a->start[i]; k < a->start[i + 1]; k++) {
                        product = a->value[k] * badm_data(b.t, x)[a->column[k] * width + j];
                        sum += product;
                    }
                    wrong += sum != badm_data(b.t, y)[i * width + j];
                }
            CHECK_INT(wrong, 0);
            bench_close(&b);
        }
    badm_csr_free(a);
}

TEST(products_and_gradients_are_those_of_the_dense_matrix)
{
    static const uint32_t sizes[][3] = { { 1, 1, 1 }, { 40, 3, 16 }, { 3, 40, 17 }, { 65, 64, 7 }, { 20, 21, 33 } };
    size_t s;
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t rows = sizes[s][0], cols = sizes[s][1], width = sizes[s][2];
        badm_csr *a = random_csr(NULL, rows, cols, 0.4f, (uint32_t)s);
        badm_dim shape[2];
        float *dense = (float *)malloc((size_t)rows * cols * sizeof *dense);
        float *dy = (float *)malloc((size_t)rows * width * sizeof *dy);
        float *first, worst = 0;
        badm_csr still;
        bench b;
        badm_tensor *y, *z, *x;
        size_t i;
        check_form(a);
        to_dense(a, dense);
        shape[0] = (badm_dim)rows;
        shape[1] = (badm_dim)cols;
        golden_fill(GOLDEN_REAL, 9, dy, (size_t)rows * width);
        bench_open(&b, cols, width, 3);
        first = (float *)malloc(badm_param_size(b.x) * sizeof *first);
        y = badm_sparse_matmul(b.t, a, badm_param_use(b.t, b.x));
        z = badm_matmul(b.t, badm_input(b.t, 2, shape, dense), badm_param_use(b.t, b.x));
        for (i = 0; i < badm_size(y); i++) CHECK_NEAR(badm_data(b.t, y)[i], badm_data(b.t, z)[i], 1e-4);
        CHECK_INT(badm_backward(b.t, weighed(b.t, y, dy)), BADM_OK);
        memcpy(first, b.grads, badm_param_size(b.x) * sizeof *first);
        bench_again(&b);
        z = badm_matmul(b.t, badm_input(b.t, 2, shape, dense), badm_param_use(b.t, b.x));
        CHECK_INT(badm_backward(b.t, weighed(b.t, z, dy)), BADM_OK);
        for (i = 0; i < badm_param_size(b.x); i++) worst = fmaxf(worst, fabsf(first[i] - b.grads[i]));
        CHECK_NEAR(worst, 0, 1e-4);
        bench_again(&b);                    /* used twice, the gradients add up */
        x = badm_scale(b.t, badm_param_use(b.t, b.x), 1);
        y = badm_sparse_matmul(b.t, a, x);
        CHECK_INT(badm_backward(b.t, weighed(b.t, badm_add(b.t, y, badm_sparse_matmul(b.t, a, x)), dy)), BADM_OK);
        for (worst = 0, i = 0; i < badm_param_size(b.x); i++) worst = fmaxf(worst, fabsf(2 * first[i] - b.grads[i]));
        CHECK_NEAR(worst, 0, 1e-4);
        bench_again(&b);                    /* without a transpose there are none */
        still = *a;
        still.turned = NULL;
        y = badm_sparse_matmul(b.t, &still, badm_param_use(b.t, b.x));
        CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
        for (worst = 0, i = 0; i < badm_param_size(b.x); i++) worst = fmaxf(worst, fabsf(b.grads[i]));
        CHECK(worst == 0);
        bench_close(&b);
        badm_csr_free(a);
        free(dense); free(dy); free(first);
    }
}

/* ----------------------------------------------------------------------------------------------------------------
   Dropout of entries
   ---------------------------------------------------------------------------------------------------------------- */

static void check_dropped(const badm_csr *a, const badm_csr *c, float p)
{
    uint32_t n = a->start[a->rows], k, dropped = 0;
    CHECK(c != a);
    check_form(c);
    for (k = 0; k < n; k++) {
        if (c->value[k] == 0) dropped++;
        else CHECK(c->value[k] == (a->value ? a->value[k] : 1.0f) * (1.0f / (1.0f - p)));
    }
    CHECK_NEAR((float)dropped / (float)n, p, 5 * sqrt((double)(p * (1 - p) / (float)n)));
}

TEST(the_matrix_and_its_transpose_lose_the_same_entries)
{
    enum { N = 90 };
    badm_csr *a = random_csr(NULL, N, 70, 0.5f, 8), *graph;
    uint32_t from[400], to[400], i, differ = 0;
    const badm_csr *c, *second;
    badm_csr own, own_turned;
    bench b;
    badm_rng r;
    badm_rng_init(&r, 4, 4);
    for (i = 0; i < 400; i++) { from[i] = badm_rng_below(&r, N); to[i] = badm_rng_below(&r, N); }
    CHECK_INT(badm_csr_graph(&graph, NULL, N, 400, from, to, NULL), BADM_OK);
    bench_open(&b, 2, 2, 1);
    badm_tape_mode(b.t, 1, 5);
    c = badm_csr_dropout(b.t, a, 0.3f);
    check_dropped(a, c, 0.3f);
    second = badm_csr_dropout(b.t, a, 0.3f);
    for (i = 0; i < a->start[a->rows]; i++) differ += (c->value[i] == 0) != (second->value[i] == 0);
    CHECK(differ > a->start[a->rows] / 4);                  /* another place in the tape, other entries */
    check_dropped(graph, badm_csr_dropout(b.t, graph, 0.5f), 0.5f);
    own = *a;                                               /* arrays of one's own, without `origin`, all entries 1 */
    own_turned = *a->turned;
    own.turned = &own_turned;
    own.value = own_turned.value = NULL;
    own_turned.origin = NULL;
    check_dropped(&own, badm_csr_dropout(b.t, &own, 0.6f), 0.6f);
    CHECK_INT(badm_tape_error(b.t)->code, BADM_OK);
    badm_tape_reset(b.t);
    second = badm_csr_dropout(b.t, a, 0.3f);                /* the same place: the same entries; c is gone, its numbers are not */
    check_dropped(a, second, 0.3f);
    CHECK(badm_csr_dropout(b.t, a, 0) == a);
    badm_tape_mode(b.t, 0, 5);
    CHECK(badm_csr_dropout(b.t, a, 0.3f) == a);
    badm_tape_mode(b.t, 1, 5);
    CHECK(badm_csr_dropout(b.t, a, 1) == a);
    CHECK_TEXT(text_of(badm_tape_error(b.t)), "csr_dropout: a probability in 0..1, 1 excluded, is expected");
    bench_close(&b);
    badm_csr_free(a);
    badm_csr_free(graph);
}

typedef struct { const badm_csr *a; badm_param x; float p; } product;

static badm_tensor *square_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const product *p = (const product *)user;
    badm_tensor *y = badm_sparse_matmul(t, badm_csr_dropout(t, p->a, p->p), badm_tanh(t, badm_param_use(t, p->x)));
    (void)b;
    return badm_mean(t, badm_mul(t, y, y));
}

TEST(gradients_are_those_of_finite_differences)
{
    int symmetric;
    for (symmetric = 0; symmetric < 2; symmetric++) {
        bench b;
        badm_csr *a = random_csr(NULL, 9, 7, 0.5f, 2);
        product p;
        badm_gradient_check c;
        if (symmetric) {
            badm_csr_free(a);
            CHECK_INT(badm_csr_graph(&a, NULL, GOLDEN_NODES, GOLDEN_EDGES, golden_from, golden_to, NULL), BADM_OK);
        }
        bench_open(&b, 7, 6, 12);
        p.a = a;
        p.x = b.x;
        for (p.p = 0; p.p < 0.6f; p.p += 0.5f) {
            CHECK_INT(badm_check_gradients(b.m, square_loss, &p, 1, 0, 0, &c), BADM_OK);
            CHECK(c.worst < 1e-2f);
        }
        bench_close(&b);
        badm_csr_free(a);
    }
}

/* ----------------------------------------------------------------------------------------------------------------
   Loops shared by the workers that a lone sub-batch leaves idle
   ---------------------------------------------------------------------------------------------------------------- */

enum { NODES = 1200, WORDS = 500, WIDTH = 40, CLASSES = 5 };

typedef struct { const badm_csr *x, *graph; badm_param w1, w2; int32_t labels[NODES]; } shared;

/* Sparse products, dropout, and dense products large enough to be split by rows and by columns, forward and backward. */
static badm_tensor *shared_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const shared *s = (const shared *)user;
    badm_tensor *h = badm_sparse_matmul(t, badm_csr_dropout(t, s->x, 0.4f), badm_param_use(t, s->w1)), *u;
    h = badm_dropout(t, badm_relu(t, badm_sparse_matmul(t, s->graph, h)), 0.5f);
    u = badm_matmul(t, badm_matmul_tn(t, h, h), badm_param_use(t, s->w2));                         /* [40,40] [40,450] */
    u = badm_mean(t, badm_mul(t, badm_matmul(t, h, u), badm_matmul(t, h, badm_param_use(t, s->w2))));
    h = badm_slice(t, badm_matmul(t, h, badm_param_use(t, s->w2)), 1, 0, CLASSES);
    return badm_add(t, badm_cross_entropy(t, h, badm_labels(t, s->labels, b)), badm_scale(t, u, 1e-3f));
}

static uint64_t train_shared(const badm_csr *x, const badm_csr *graph, uint32_t workers, badm_metric metric, float *loss,
                             long *calls)
{
    shared s;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    badm_dim shape[2];
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    uint64_t hash = 0;
    uint32_t i;
    m = badm_model_new(3);
    shape[0] = WORDS; shape[1] = WIDTH;
    s.w1 = badm_param_new(m, "w1", 2, shape, badm_init_xavier_uniform(1));
    shape[0] = WIDTH; shape[1] = 450;
    s.w2 = badm_param_new(m, "w2", 2, shape, badm_init_xavier_uniform(1));
    s.x = x;
    s.graph = graph;
    for (i = 0; i < NODES; i++) s.labels[i] = (int32_t)(i % CLASSES);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = shared_loss; d.user = &s; d.max_batch = NODES; d.sub_batches = 1; d.workers = workers; d.memory = &mem;
    d.metric = metric; d.sigma = 100; d.rho = 900; d.seed = 2;
    if (badm_trainer_new(&tr, &d) != BADM_OK) { printf("%s\n", badm_model_error(m)); badm_model_free(m); return 0; }
    if (badm_cpu_count() > 1) CHECK_INT(tr->full.helpers, workers - 1);      /* 1 in a build without threads */
    *calls = heap.calls;
    for (i = 0; i < 2; i++)
        if (badm_step(tr, NULL, NODES, NULL) != BADM_OK) printf("%s\n", badm_trainer_error(tr));
    CHECK_INT(badm_evaluate(tr, NULL, NULL, NODES, &score), BADM_OK);
    *loss = score.loss;
    *calls = heap.calls - *calls;
    hash = badm_model_hash(m);
    badm_trainer_free(tr);
    CHECK_INT(heap.live, 0);
    badm_model_free(m);
    return hash;
}

TEST(any_number_of_workers_gives_the_bits_of_one)
{
    static const badm_metric metrics[] = { BADM_DIAGONAL, BADM_ORTHOGONAL };
    badm_csr *x = random_csr(NULL, NODES, WORDS, 0.05f, 20), *graph;
    static uint32_t from[4000], to[4000];
    uint32_t i, workers, metric;
    badm_rng r;
    badm_rng_init(&r, 7, 7);
    for (i = 0; i < 4000; i++) { from[i] = badm_rng_below(&r, NODES); to[i] = badm_rng_below(&r, NODES); }
    CHECK_INT(badm_csr_graph(&graph, NULL, NODES, 4000, from, to, NULL), BADM_OK);
    for (metric = 0; metric < 2; metric++) {
        float expected_loss, loss;
        long calls;
        uint64_t expected = train_shared(x, graph, 1, metrics[metric], &expected_loss, &calls);
        CHECK(expected != 0);
        CHECK_INT(calls, 0);
        for (workers = 2; workers <= 5; workers += workers == 3 ? 2 : 1) {
            CHECK(train_shared(x, graph, workers, metrics[metric], &loss, &calls) == expected);
            CHECK(loss == expected_loss);
            CHECK_INT(calls, 0);                            /* no step allocates */
        }
    }
    badm_csr_free(x);
    badm_csr_free(graph);
}

typedef struct { uint32_t runs[64]; } tally;

static void count_part(const badm_tape *t, void *arg, uint32_t part)
{
    (void)t;
    ((tally *)arg)->runs[part]++;
}

TEST(every_part_runs_once_on_a_tape_of_ones_own)
{
    bench b;
    tally n;
    uint32_t i;
    memset(&n, 0, sizeof n);
    bench_open(&b, 2, 2, 1);
    badm_i_spread(b.t, 7, count_part, &n);
    for (i = 0; i < 64; i++) CHECK_INT(n.runs[i], i < 7);
    CHECK_INT(badm_i_parts(b.t, 1u << 30, 1), 1);
    b.t->full.team = 4;
    CHECK_INT(badm_i_parts(b.t, 199, 100), 1);
    CHECK_INT(badm_i_parts(b.t, 300, 100), 3);
    CHECK_INT(badm_i_parts(b.t, (uint64_t)1 << 60, 100), 4);
    bench_close(&b);
}

TEST(parts_of_a_product_have_about_equal_work_and_miss_no_row)
{
    badm_csr *a = random_csr(NULL, 101, 50, 0.2f, 3);
    uint32_t parts, part;
    for (parts = 1; parts <= 7; parts++) {
        uint64_t all = a->start[a->rows] + a->rows;
        CHECK_INT(badm_i_sparse_cut(a, 0, parts), 0);
        CHECK_INT(badm_i_sparse_cut(a, parts, parts), a->rows);
        for (part = 0; part < parts; part++) {
            uint32_t first = badm_i_sparse_cut(a, part, parts), end = badm_i_sparse_cut(a, part + 1, parts);
            CHECK(first <= end);
            CHECK(a->start[end] + end - a->start[first] - first <= all / parts + 60);
        }
    }
    badm_csr_free(a);
}

/* ----------------------------------------------------------------------------------------------------------------
   Errors
   ---------------------------------------------------------------------------------------------------------------- */

TEST(entries_outside_are_named)
{
    static const uint32_t row[] = { 0, 3 }, column[] = { 4, 0 }, low[] = { 0, 1 };
    static const float bad[] = { 1, HUGE_VALF }, large[] = { 3e38f, 3e38f };
    static const uint32_t same[] = { 1, 1 };
    badm_csr *a = NULL;
    badm_error e;
    CHECK_INT(badm_csr_new(&a, NULL, 3, 5, 2, row, low, NULL, &e), BADM_ERR_LABEL);
    CHECK(a == NULL);
    CHECK_TEXT(text_of(&e), "badm_csr_new: row 3 of a matrix of 3 rows");
    CHECK_INT(badm_csr_new(&a, NULL, 5, 4, 2, low, column, NULL, &e), BADM_ERR_LABEL);
    CHECK_TEXT(text_of(&e), "column 4 of a matrix of 4 columns");
    CHECK_INT(badm_csr_new(&a, NULL, 5, 5, 2, low, column, bad, &e), BADM_ERR_NONFINITE);
    CHECK_TEXT(text_of(&e), "a value in column 0 is infinite or not a number");
    CHECK_INT(badm_csr_new(&a, NULL, 2, 2, 2, same, same, large, &e), BADM_ERR_NONFINITE);     /* their sum is */
    CHECK_INT(badm_csr_new(&a, NULL, 0, 5, 0, NULL, NULL, NULL, &e), BADM_ERR_ARGUMENT);
    CHECK_TEXT(text_of(&e), "0 rows and 5 columns: at least one of each is expected");
    CHECK_INT(badm_csr_graph(&a, NULL, 3, 2, row, low, &e), BADM_ERR_LABEL);
    CHECK_TEXT(text_of(&e), "badm_csr_graph: node 3 of a graph of 3 nodes");
    CHECK_INT(badm_csr_graph(&a, NULL, 0, 0, NULL, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK(a == NULL);
    badm_csr_free(NULL);
}

TEST(sizes_that_no_machine_has_are_refused)
{
    badm_csr *a = NULL;
    badm_error e;
    CHECK_INT(badm_csr_new(&a, NULL, 1, 1, (size_t)-1 / 2, NULL, NULL, NULL, &e), BADM_ERR_MEMORY);
    CHECK_INT(badm_csr_graph(&a, NULL, 0xFFFFFFFFu, (size_t)-1 / 2, NULL, NULL, &e), BADM_ERR_MEMORY);
    CHECK_INT(badm_csr_graph(&a, NULL, 10, (size_t)0x80000000u, NULL, NULL, &e), BADM_ERR_MEMORY);
    CHECK(a == NULL);
}

TEST(a_refused_allocation_is_an_error)
{
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    badm_csr *a = NULL;
    badm_error e;
    heap.fail_at = 1;
    CHECK_INT(golden_csr(&a, &mem, &e), BADM_ERR_MEMORY);
    CHECK_TEXT(text_of(&e), "bytes for 11 entries are not to be had");
    CHECK(a == NULL);
    heap.fail_at = 0;
    CHECK_INT(golden_csr(&a, &mem, &e), BADM_OK);
    CHECK_INT(heap.live, 1);                                /* with its transpose in one piece */
    badm_csr_free(a);
    CHECK_INT(heap.live, 0);
}

TEST(shapes_that_do_not_fit_are_named)
{
    badm_csr *a = random_csr(NULL, 4, 5, 0.5f, 1);
    badm_csr wrong = *a;
    badm_dim shape[3];
    bench b;
    bench_open(&b, 6, 2, 1);
    badm_sparse_matmul(b.t, a, badm_param_use(b.t, b.x));
    CHECK_TEXT(text_of(badm_tape_error(b.t)), "sparse_matmul: [4,5] x [6,2]: inner dimensions differ (5, 6)");
    badm_tape_reset(b.t);
    shape[0] = 5; shape[1] = shape[2] = 1;
    badm_sparse_matmul(b.t, a, badm_input(b.t, 3, shape, NULL));
    CHECK_TEXT(text_of(badm_tape_error(b.t)), "sparse_matmul: [4,5] x [5,1,1]: a matrix is expected");
    badm_tape_reset(b.t);
    wrong.turned = a;
    badm_sparse_matmul(b.t, &wrong, badm_input(b.t, 2, shape, NULL));
    CHECK_TEXT(text_of(badm_tape_error(b.t)), "sparse_matmul: [4,5]: its transpose `turned` is of another shape");
    bench_close(&b);
    badm_csr_free(a);
}

/* A trainer's dry run looks at every entry. */
TEST(a_matrix_of_ones_own_is_checked_before_training)
{
    static const uint32_t start[] = { 0, 1, 3 }, descends[] = { 0, 2, 1 }, column[] = { 2, 0, 1 }, outside[] = { 2, 0, 3 };
    badm_csr a, turned;
    bench b;
    product p;
    badm_trainer_desc d;
    badm_trainer *tr;
    memset(&a, 0, sizeof a);
    a.rows = 2; a.cols = 3; a.start = start; a.column = column;
    bench_open(&b, 3, 2, 1);
    p.a = &a; p.x = b.x; p.p = 0;
    badm_trainer_defaults(&d);
    d.model = b.m; d.loss = square_loss; d.user = &p; d.sub_batches = 1;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    badm_trainer_free(tr);
    a.column = outside;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_LABEL);
    CHECK_TEXT(badm_model_error(b.m), "sparse_matmul: [2,3]: a row's beginning or a column is out of range");
    a.column = column;
    a.start = descends;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_LABEL);
    a.start = start;
    memset(&turned, 0, sizeof turned);                      /* of the right shape, but with another entry */
    {
        static const uint32_t turned_start[] = { 0, 1, 2, 3 }, turned_column[] = { 0, 1, 0 };
        turned.rows = 3; turned.cols = 2; turned.start = turned_start; turned.column = turned_column;
    }
    a.turned = &turned;
    p.p = 0.5f;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(b.m), "csr_dropout: `turned` is not the transpose");
    bench_close(&b);
}

TEST_MAIN(
    RUN(products_and_gradients_are_pytorchs)
    RUN(a_graph_becomes_its_normalised_adjacency)
    RUN(every_width_and_instruction_set_adds_in_the_order_of_columns)
    RUN(products_and_gradients_are_those_of_the_dense_matrix)
    RUN(the_matrix_and_its_transpose_lose_the_same_entries)
    RUN(gradients_are_those_of_finite_differences)
    RUN(any_number_of_workers_gives_the_bits_of_one)
    RUN(every_part_runs_once_on_a_tape_of_ones_own)
    RUN(parts_of_a_product_have_about_equal_work_and_miss_no_row)
    RUN(entries_outside_are_named)
    RUN(sizes_that_no_machine_has_are_refused)
    RUN(a_refused_allocation_is_an_error)
    RUN(shapes_that_do_not_fit_are_named)
    RUN(a_matrix_of_ones_own_is_checked_before_training)
)
