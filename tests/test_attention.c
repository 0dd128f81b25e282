/* >>attention, and the multi-head layer of >>layers.

   Against PyTorch (tests/golden/attention.h), against the definition in double precision over many sizes, against finite
   differences; and that what a row must not see, how rows are split into strips, whether probabilities were kept, the
   instruction set and the number of workers change no bit. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/attention.h"

enum { CASES = sizeof golden_cases / sizeof *golden_cases };

static float *numbers(size_t n)
{
    float *p = (float *)calloc(n ? n : 1, sizeof *p);
    if (!p) { puts("no memory for the test"); exit(1); }
    return p;
}

static float *random_numbers(size_t n, uint64_t seed)
{
    float *p = numbers(n);
    badm_rng r;
    size_t i;
    badm_rng_init(&r, seed, 0);
    for (i = 0; i < n; i++) p[i] = badm_rng_normal(&r);
    return p;
}

/* A tape that takes gradients of variables. */
typedef struct { badm_model *m; badm_tape *t; float none[1]; char text[256]; } bench;

static void bench_open(bench *b)
{
    memset(b, 0, sizeof *b);
    b->m = badm_model_new(1);
    CHECK_INT(badm_tape_new(&b->t, NULL, (size_t)24 << 20), BADM_OK);
    badm_tape_watch(b->t, b->m, b->none);
}

static void bench_close(bench *b)
{
    badm_tape_free(b->t);
    badm_model_free(b->m);
}

static const char *bench_error(bench *b)
{
    badm_error_text(badm_tape_error(b->t), b->text, sizeof b->text);
    return b->text;
}

static badm_tensor *variable(badm_tape *t, const float *values, badm_dim d0, badm_dim d1, badm_dim d2)
{
    badm_dim shape[3];
    shape[0] = d0; shape[1] = d1; shape[2] = d2;
    return badm_variable(t, 3, shape, values);
}

/* A scalar in which y has the gradient `upstream`. */
static badm_tensor *scalar(badm_tape *t, badm_tensor *y, const float *upstream)
{
    return badm_sum(t, badm_mul(t, y, badm_input(t, y->rank, y->shape, upstream)));
}

static badm_result backward(badm_tape *t, badm_tensor *y, const float *upstream)
{
    return badm_backward(t, scalar(t, y, upstream));
}

/* Of two graphs at once. */
static badm_result backward2(badm_tape *t, badm_tensor *y, badm_tensor *z, const float *upstream)
{
    return badm_backward(t, badm_add(t, scalar(t, y, upstream), scalar(t, z, upstream)));
}

static int same_bits(const float *a, const float *b, size_t n) { return a && b && !memcmp(a, b, n * sizeof *a); }

/* ---- against PyTorch ---- */

static size_t golden_size(const golden_tensor *g)
{
    size_t n = 1;
    unsigned i;
    for (i = 0; i < g->rank; i++) n *= g->shape[i];
    return n;
}

#define PYTORCH_TOLERANCE 1e-5      /* of the largest entry of the tensor */

/* The stored entries, and the weighted sum of all. */
static void check_golden(int which, const golden_tensor *g, const float *got, const char *what)
{
    size_t n = golden_size(g), i;
    double sum = 0, bar, difference = golden_difference(got, golden_values + g->first, g->stored, g->stride, (double)g->largest);
    if (!(difference <= PYTORCH_TOLERANCE)) {
        printf("case %d: %s is off by %.3g\n", which, what, difference);
        test_failures++;
    }
    for (i = 0; i < n; i++) sum += (double)got[i] * (double)golden_number(GOLDEN_REAL, GOLDEN_CHECKSUM_SEED, (uint32_t)i);
    bar = 2 * sqrt((double)n) * PYTORCH_TOLERANCE * (double)g->largest + 1e-7 * fabs((double)g->checksum);
    if (!(fabs(sum - (double)g->checksum) <= bar)) {
        printf("case %d: the weighted sum of the %s is %.9g instead of %.9g\n", which, what, sum, (double)g->checksum);
        test_failures++;
    }
}

static void check_against_pytorch(int which)
{
    static const char *const input[5] = { "gradient of input 0", "gradient of input 1", "gradient of input 2",
                                          "gradient of input 3", "gradient of input 4" };
    const golden_case *c = &golden_cases[which];
    const golden_tensor *g = &golden_tensors[c->tensor], *out = g + c->inputs;
    bench b;
    badm_multihead layer;
    badm_tensor *x[3] = { NULL, NULL, NULL }, *y;
    float *upstream = numbers(golden_size(out)), *grads = NULL;
    int multihead = !strcmp(c->operation, "multihead");
    uint32_t i;
    bench_open(&b);
    if (multihead) {
        layer = badm_multihead_new(b.m, "attention", g->shape[2], (badm_dim)c->args[0]);
        grads = numbers(badm_trainable_size(b.m));
        badm_tape_watch(b.t, b.m, grads);
        for (i = 1; i < 5; i++) {
            badm_param p = badm_param_at(b.m, i - 1);
            CHECK_INT(badm_param_size(p), golden_size(g + i));
            golden_fill(g[i].kind, g[i].seed, badm_param_data(p), badm_param_size(p));
        }
    }
    for (i = 0; i < (multihead ? 1u : c->inputs); i++) {
        float *values = numbers(golden_size(g + i));
        golden_fill(g[i].kind, g[i].seed, values, golden_size(g + i));
        x[i] = badm_variable(b.t, g[i].rank, g[i].shape, values);
        free(values);
    }
    golden_fill(out->kind, out->seed, upstream, golden_size(out));
    if (multihead) y = badm_multihead_forward(b.t, layer, x[0], c->args[1]);
    else if (!strcmp(c->operation, "attention")) y = badm_attention(b.t, x[0], x[1], x[2], c->args[0]);
    else if (!strcmp(c->operation, "self_attention")) y = badm_self_attention(b.t, x[0], (badm_dim)c->args[0], c->args[1]);
    else y = badm_rotary(b.t, x[0], c->factor, (badm_dim)c->args[0]);
    CHECK(y->rank == out->rank && !memcmp(y->shape, out->shape, out->rank * sizeof *out->shape));
    if (badm_size(y) == golden_size(out) && backward(b.t, y, upstream) == BADM_OK) {
        check_golden(which, out, badm_data(b.t, y), "output");
        for (i = 0; i < c->inputs; i++)
            check_golden(which, g + i, multihead && i ? badm_param_grad(b.t, badm_param_at(b.m, i - 1)) : badm_grad(b.t, x[i]),
                         input[i]);
    } else {
        printf("case %d: %s\n", which, bench_error(&b));
        test_failures++;
    }
    free(upstream);
    free(grads);
    bench_close(&b);
}

TEST(operations_and_layer_agree_with_pytorch)
{
    int i;
    for (i = 0; i < CASES; i++) check_against_pytorch(i);
}

/* ---- against the definition, in double precision ---- */

typedef struct { size_t l, m, d, e; int causal; } size_of;

/* One head, rows adjacent; gradients are added. */
static void define(const size_of *s, const float *q, const float *k, const float *v, const float *dy, double *y, double *dq,
                   double *dk, double *dv)
{
    double *p = (double *)calloc(s->m, sizeof *p);
    size_t i, j, c;
    for (i = 0; i < s->l; i++) {
        size_t n = s->causal ? i + 1 + s->m - s->l : s->m;
        double most = -HUGE_VAL, sum = 0, inner = 0, scale = 1 / sqrt((double)s->d);
        for (j = 0; j < n; j++) {
            for (p[j] = 0, c = 0; c < s->d; c++) p[j] += scale * (double)q[i * s->d + c] * (double)k[j * s->d + c];
            if (p[j] > most) most = p[j];
        }
        for (j = 0; j < n; j++) sum += p[j] = exp(p[j] - most);
        for (j = 0; j < n; j++) p[j] /= sum;
        for (c = 0; c < s->e; c++) {
            for (j = 0; j < n; j++) y[i * s->e + c] += p[j] * (double)v[j * s->e + c];
            inner += y[i * s->e + c] * (double)dy[i * s->e + c];
        }
        for (j = 0; j < n; j++) {
            double slope = -inner;
            for (c = 0; c < s->e; c++) {
                slope += (double)dy[i * s->e + c] * (double)v[j * s->e + c];
                dv[j * s->e + c] += p[j] * (double)dy[i * s->e + c];
            }
            slope *= scale * p[j];
            for (c = 0; c < s->d; c++) {
                dq[i * s->d + c] += slope * (double)k[j * s->d + c];
                dk[j * s->d + c] += slope * (double)q[i * s->d + c];
            }
        }
    }
    free(p);
}

static double worst_of(const float *got, const double *want, size_t n)
{
    double most = 1e-6, worst = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        if (!(d <= worst)) worst = d;
        if (fabs(want[i]) > most) most = fabs(want[i]);
    }
    return worst / most;
}

TEST(all_sizes_agree_with_the_definition)
{
    static const size_of sizes[] = {
        { 1, 1, 1, 1, 0 }, { 2, 3, 1, 2, 0 }, { 15, 15, 7, 8, 1 }, { 16, 16, 8, 7, 1 }, { 17, 17, 4, 4, 1 }, { 16, 31, 5, 3, 1 },
        { 33, 40, 9, 16, 1 }, { 63, 64, 16, 16, 1 }, { 64, 64, 32, 32, 1 }, { 65, 80, 12, 5, 1 }, { 130, 130, 16, 33, 1 },
        { 66, 255, 8, 8, 1 }, { 100, 256, 8, 8, 0 }, { 70, 257, 8, 8, 1 }, { 129, 260, 3, 10, 1 }, { 129, 301, 10, 3, 0 },
        { 257, 257, 6, 6, 1 }, { 3, 512, 40, 4, 1 }
    };
    bench b;
    size_t k;
    bench_open(&b);
    for (k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_of *s = &sizes[k];
        size_t size[4], i;
        float *x[4];
        double *want[4];
        badm_tensor *in[3], *y;
        size[0] = s->l * s->d; size[1] = s->m * s->d; size[2] = s->m * s->e; size[3] = s->l * s->e;
        for (i = 0; i < 4; i++) {
            x[i] = random_numbers(2 * size[i], 10 * k + i);
            want[i] = (double *)calloc(2 * size[i], sizeof **want);
        }
        for (i = 0; i < 2; i++)
            define(s, x[0] + i * size[0], x[1] + i * size[1], x[2] + i * size[2], x[3] + i * size[3], want[3] + i * size[3],
                   want[0] + i * size[0], want[1] + i * size[1], want[2] + i * size[2]);
        badm_tape_reset(b.t);
        in[0] = variable(b.t, x[0], 2, (badm_dim)s->l, (badm_dim)s->d);
        in[1] = variable(b.t, x[1], 2, (badm_dim)s->m, (badm_dim)s->d);
        in[2] = variable(b.t, x[2], 2, (badm_dim)s->m, (badm_dim)s->e);
        y = badm_attention(b.t, in[0], in[1], in[2], s->causal);
        CHECK_INT(backward(b.t, y, x[3]), BADM_OK);
        CHECK_NEAR(worst_of(badm_data(b.t, y), want[3], 2 * size[3]), 0, 3e-6);
        for (i = 0; i < 3; i++) CHECK_NEAR(worst_of(badm_grad(b.t, in[i]), want[i], 2 * size[i]), 0, 3e-6);
        for (i = 0; i < 4; i++) { free(x[i]); free(want[i]); }
    }
    bench_close(&b);
}

/* ---- against finite differences ---- */

typedef struct { badm_param q, k, v, x; badm_multihead layer; int causal; } differences;

static badm_tensor *weighted(badm_tape *t, badm_tensor *y)
{
    float w[512];
    size_t i;
    for (i = 0; i < badm_size(y) && i < 512; i++) w[i] = golden_number(GOLDEN_REAL, 5, (uint32_t)i);
    return badm_sum(t, badm_mul(t, y, badm_input(t, y->rank, y->shape, w)));
}

static badm_tensor *differences_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const differences *d = (const differences *)user;
    badm_tensor *k = badm_param_use(t, d->k), *y, *z;
    (void)b;
    y = badm_attention(t, badm_rotary(t, badm_param_use(t, d->q), 100.0f, 2), badm_rotary(t, k, 100.0f, 0), badm_param_use(t, d->v),
                       d->causal);
    z = badm_multihead_forward(t, d->layer, badm_param_use(t, d->x), d->causal);
    return badm_add(t, weighted(t, y), weighted(t, badm_add(t, z, badm_attention(t, z, z, z, d->causal))));
}

TEST(gradients_agree_with_finite_differences)
{
    static const badm_dim shape[4][3] = { { 2, 5, 6 }, { 2, 7, 6 }, { 2, 7, 4 }, { 2, 6, 8 } };
    badm_model *m = badm_model_new(3);
    badm_gradient_check check;
    differences d;
    d.q = badm_param_new(m, "q", 3, shape[0], badm_init_normal(0, 1));
    d.k = badm_param_new(m, "k", 3, shape[1], badm_init_normal(0, 1));
    d.v = badm_param_new(m, "v", 3, shape[2], badm_init_normal(0, 1));
    d.x = badm_param_new(m, "x", 3, shape[3], badm_init_normal(0, 1));
    d.layer = badm_multihead_new(m, "layer", 8, 2);
    for (d.causal = 0; d.causal < 2; d.causal++) {
        CHECK_INT(badm_check_gradients(m, differences_loss, &d, 1, 0, 0, &check), BADM_OK);
        CHECK_NEAR(check.worst, 0, 2e-2);
    }
    badm_model_free(m);
}

/* ---- what must not matter ---- */

TEST(a_causal_row_does_not_see_later_ones)
{
    enum { L = 40, D = 6, W = 3 * 2 * D, SEEN = 23 };
    float *x = random_numbers(L * W, 1), first[SEEN * 2 * D];
    bench b;
    badm_tensor *y;
    size_t i;
    bench_open(&b);
    y = badm_self_attention(b.t, variable(b.t, x, 1, L, W), 2, 1);
    memcpy(first, badm_data(b.t, y), sizeof first);
    for (i = 0; i < D; i++) CHECK_NEAR(first[i], x[2 * 2 * D + i], 0);          /* the first row sees itself alone */
    for (i = SEEN * W; i < L * W; i++) x[i] = 3 - 2 * x[i];
    badm_tape_reset(b.t);
    y = badm_self_attention(b.t, variable(b.t, x, 1, L, W), 2, 1);
    CHECK(same_bits(first, badm_data(b.t, y), SEEN * 2 * D));
    CHECK(!same_bits(first, badm_data(b.t, y) + 2 * D, SEEN * 2 * D));
    free(x);
    bench_close(&b);
}

/* The same heads, as parts of a projection and as tensors of their own; and q, k and v one tensor. */
TEST(self_attention_is_attention_of_its_parts)
{
    enum { L = 37, D = 5, H = 2, N = 2, W = H * D };
    float *x = random_numbers(N * L * 3 * W, 2), *up = random_numbers(N * L * W, 3);
    static const unsigned axes[4] = { 0, 2, 1, 3 };
    badm_dim split[4] = { N, L, H, D }, joined[3] = { N, L, W };
    bench b;
    badm_tensor *a, *c, *y, *z, *part[3];
    badm_dim i;
    bench_open(&b);
    a = variable(b.t, x, N, L, 3 * W);
    y = badm_self_attention(b.t, a, H, 1);
    c = variable(b.t, x, N, L, 3 * W);
    for (i = 0; i < 3; i++) {
        part[i] = badm_slice(b.t, c, 2, (badm_dim)(i * W), (badm_dim)((i + 1) * W));
        part[i] = badm_permute(b.t, badm_reshape(b.t, part[i], 4, split), axes);
    }
    z = badm_reshape(b.t, badm_permute(b.t, badm_attention(b.t, part[0], part[1], part[2], 1), axes), 3, joined);
    CHECK_INT(backward2(b.t, y, z, up), BADM_OK);
    CHECK(same_bits(badm_data(b.t, y), badm_data(b.t, z), N * L * W));
    CHECK(same_bits(badm_grad(b.t, a), badm_grad(b.t, c), N * L * 3 * W));
    free(x);
    free(up);
    bench_close(&b);
}

TEST(one_tensor_may_be_q_k_and_v)
{
    enum { L = 70, D = 6 };
    float *x = random_numbers(L * D, 4), *up = random_numbers(L * D, 5);
    bench b;
    badm_tensor *same, *q, *k, *v, *y;
    size_t i;
    double worst = 0;
    bench_open(&b);
    same = variable(b.t, x, 1, L, D);
    y = badm_attention(b.t, same, same, same, 1);
    q = variable(b.t, x, 1, L, D);
    k = variable(b.t, x, 1, L, D);
    v = variable(b.t, x, 1, L, D);
    CHECK_INT(backward2(b.t, y, badm_attention(b.t, q, k, v, 1), up), BADM_OK);
    for (i = 0; i < L * D; i++) {
        double sum = (double)badm_grad(b.t, q)[i] + (double)badm_grad(b.t, k)[i] + (double)badm_grad(b.t, v)[i];
        if (!(fabs(sum - (double)badm_grad(b.t, same)[i]) <= worst)) worst = fabs(sum - (double)badm_grad(b.t, same)[i]);
    }
    CHECK_NEAR(worst, 0, 1e-5);
    free(x);
    free(up);
    bench_close(&b);
}

TEST(a_gradient_is_added_to_what_is_there)
{
    enum { L = 70, W = 3 * 2 * 5 };
    float *x = random_numbers(L * W, 6), *up = random_numbers(L * W, 7), once[L * W];
    bench b;
    badm_tensor *a;
    size_t i;
    int same = 1;
    bench_open(&b);
    a = variable(b.t, x, 1, L, W);
    CHECK_INT(backward(b.t, badm_self_attention(b.t, a, 2, 1), up), BADM_OK);
    memcpy(once, badm_grad(b.t, a), sizeof once);
    badm_tape_reset(b.t);
    a = variable(b.t, x, 1, L, W);
    for (i = 0; i < L * W; i++) badm_grad(b.t, a)[i] = 0;
    CHECK_INT(backward(b.t, badm_self_attention(b.t, a, 2, 1), up), BADM_OK);
    for (i = 0; i < L * W; i++) same &= badm_grad(b.t, a)[i] == once[i];
    CHECK(same);
    free(x);
    free(up);
    bench_close(&b);
}

TEST(only_wanted_gradients_are_made)
{
    enum { L = 18, D = 4 };
    float *x = random_numbers(L * D, 8), *up = random_numbers(L * D, 9);
    badm_dim shape[3] = { 1, L, D };
    unsigned which;
    for (which = 0; which < 8; which++) {
        bench b;
        badm_tensor *in[3], *all[3], *y;
        unsigned i;
        bench_open(&b);
        for (i = 0; i < 3; i++) {
            in[i] = which & (1u << i) ? badm_variable(b.t, 3, shape, x) : badm_input(b.t, 3, shape, x);
            all[i] = badm_variable(b.t, 3, shape, x);
        }
        y = badm_attention(b.t, in[0], in[1], in[2], 1);
        CHECK_INT(backward2(b.t, y, badm_attention(b.t, all[0], all[1], all[2], 1), up), BADM_OK);
        for (i = 0; i < 3; i++) {
            if (which & (1u << i)) CHECK(same_bits(badm_grad(b.t, in[i]), badm_grad(b.t, all[i]), L * D));
            else CHECK(badm_grad(b.t, in[i]) == NULL);
        }
        bench_close(&b);
    }
    free(x);
    free(up);
}

/* Forward, and gradients, of a length with several strips; level -1: as the tape has it. */
static float *run(size_t l, int level, int forget, int recording, size_t *n)
{
    enum { H = 3, D = 7, W = 3 * H * D };
    float *x = random_numbers(l * W, 11), *up = random_numbers(l * H * D, 12), *out = numbers(l * (W + H * D));
    bench b;
    badm_tensor *a, *y;
    bench_open(&b);
    if (!recording) badm_tape_watch(b.t, b.m, NULL);
    if (level >= 0) { b.t->level = (uint8_t)level; b.t->full.kernels = badm_i_kernels_of(level); }
    a = variable(b.t, x, 1, (badm_dim)l, W);
    y = badm_self_attention(b.t, a, H, 1);
    if (forget) ((badm_i_attention *)y->args)->kept = NULL;
    memcpy(out, badm_data(b.t, y), l * H * D * sizeof *out);
    if (recording) {
        CHECK_INT(backward(b.t, y, up), BADM_OK);
        memcpy(out + l * H * D, badm_grad(b.t, a), l * W * sizeof *out);
    }
    *n = recording ? l * (W + H * D) : l * H * D;
    free(x);
    free(up);
    bench_close(&b);
    return out;
}

static void check_runs(size_t l, int level, int forget, int recording, const float *want)
{
    size_t n;
    float *got = run(l, level, forget, recording, &n);
    CHECK(same_bits(got, want, n));
    free(got);
}

TEST(probabilities_kept_or_computed_again_have_the_same_bits)
{
    size_t n, l;
    for (l = 1; l < 260; l += 43) {
        float *want = run(l, -1, 0, 1, &n);
        check_runs(l, -1, 1, 1, want);
        check_runs(l, -1, 0, 0, want);
        free(want);
    }
}

TEST(instruction_sets_have_the_same_bits)
{
    size_t n;
    int level, most = badm_i_simd_level();
#ifdef BADM_REPRODUCIBLE
    const int least = 0;
#else
    const int least = 1;                /* the baseline has no fused multiply-add */
#endif
    static const size_t length[] = { 3, 65, 259 };
    size_t i;
    if (most <= least) SKIP("one instruction set");
    for (i = 0; i < 3; i++) {
        float *want = run(length[i], most, 0, 1, &n);
        for (level = least; level < most; level++) check_runs(length[i], level, 0, 1, want);
        free(want);
    }
}

TEST(memory_is_linear_in_the_length)
{
    size_t used[3], i;
    static const badm_dim length[3] = { 512, 1024, 2048 };
    for (i = 0; i < 3; i++) {
        bench b;
        badm_tensor *y;
        float *x = random_numbers((size_t)length[i] * 12, 1);
        bench_open(&b);
        y = badm_self_attention(b.t, variable(b.t, x, 1, length[i], 12), 1, 1);
        CHECK_INT(backward(b.t, y, x), BADM_OK);
        used[i] = badm_tape_used(b.t);
        bench_close(&b);
        free(x);
    }
    CHECK(used[1] < 2 * used[0] + 4096 && used[2] < 2 * used[1] + 4096);
}

TEST(large_scores_do_not_overflow)
{
    float q[2] = { 1e18f, -1e18f }, k[3] = { 1e18f, 1e18f, -1e18f }, v[3] = { 1, 3, 10 };
    bench b;
    badm_tensor *in[3], *y;
    size_t i;
    bench_open(&b);
    in[0] = variable(b.t, q, 1, 2, 1);
    in[1] = variable(b.t, k, 1, 3, 1);
    in[2] = variable(b.t, v, 1, 3, 1);
    y = badm_attention(b.t, in[0], in[1], in[2], 0);
    CHECK_NEAR(badm_data(b.t, y)[0], 2, 0);
    CHECK_NEAR(badm_data(b.t, y)[1], 10, 0);
    CHECK_INT(backward(b.t, y, v), BADM_OK);
    for (i = 0; i < 3; i++) CHECK(badm_i_is_finite(badm_grad(b.t, in[2])[i]));
    bench_close(&b);
}

/* ---- in a trainer ---- */

typedef struct { badm_multihead layer; badm_linear head; const float *x; const int32_t *label; } small;

static badm_tensor *small_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const small *s = (const small *)user;
    badm_dim shape[3] = { 0, 20, 8 };
    badm_tensor *x = badm_rows(t, s->x, 160, b);
    shape[0] = (badm_dim)b->count;
    x = badm_reshape(t, x, 3, shape);
    x = badm_add(t, x, badm_multihead_forward(t, s->layer, badm_add(t, x, badm_sinusoidal(t, 20, 8)), 1));
    return badm_cross_entropy(t, badm_linear_forward(t, s->head, badm_mean_axis(t, x, 1)), badm_labels(t, s->label, b));
}

/* The bits of a model after some steps. */
static uint64_t train(uint32_t slots, uint32_t workers, uint32_t micro)
{
    float *x = random_numbers(24 * 160, 1);
    int32_t label[24];
    badm_model *m = badm_model_new(7);
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    small s;
    uint64_t hash;
    float first = 0;
    int i;
    memset(&r, 0, sizeof r);
    for (i = 0; i < 24; i++) label[i] = x[i * 160] > 0;
    s.layer = badm_multihead_new(m, "attention", 8, 2);
    s.head = badm_linear_new(m, "head", 8, 2);
    s.x = x;
    s.label = label;
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = small_loss;
    d.user = &s;
    d.max_batch = 24;
    d.sub_batches = slots;
    d.workers = workers;
    d.micro_batch = micro;
    d.metric = BADM_DIAGONAL;
    d.sigma = 100;
    d.rho = 900;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; tr && i < 12; i++) {
        CHECK_INT(badm_step(tr, NULL, 24, &r), BADM_OK);
        if (i == 0) first = r.loss;
    }
    CHECK(r.loss < first);
    CHECK_INT(r.tape_growths, 0);
    hash = badm_model_hash(m);
    badm_trainer_free(tr);
    badm_model_free(m);
    free(x);
    return hash;
}

TEST(workers_change_no_bit)
{
    static const uint32_t slots[3] = { 1, 3, 5 }, micro[2] = { 0, 2 };
    uint32_t i, k, w;
    for (i = 0; i < 3; i++)
        for (k = 0; k < 2; k++) {
            uint64_t one = train(slots[i], 1, micro[k]);
            for (w = 2; w < 4; w++) CHECK(train(slots[i], w, micro[k]) == one);
        }
}

/* ---- positions ---- */

TEST(sinusoidal_positions_are_sines_and_cosines)
{
    enum { L = 300, W = 9 };
    bench b;
    badm_tensor *y;
    double worst = 0;
    size_t i, j;
    bench_open(&b);
    y = badm_sinusoidal(b.t, L, W);
    CHECK_INT(y->rank, 2);
    CHECK_INT(y->shape[0], L);
    CHECK_INT(y->shape[1], W);
    CHECK(!y->wants_grad);
    for (i = 0; i < L; i++)
        for (j = 0; j < W; j++) {
            double angle = (double)i / pow(10000, (double)(j / 2 * 2) / W), want = j % 2 ? cos(angle) : sin(angle);
            double d = fabs((double)badm_data(b.t, y)[i * W + j] - want);
            if (!(d <= worst)) worst = d;
        }
    CHECK_NEAR(worst, 0, 3e-5);                 /* of an angle up to 300 in float */
    CHECK_INT(badm_tape_error(b.t)->code, BADM_OK);
    badm_sinusoidal(b.t, 0, 4);
    CHECK_INT(badm_tape_error(b.t)->code, BADM_ERR_SHAPE);
    bench_close(&b);
}

TEST(sines_have_the_accuracy_of_cosines)
{
    double worst = 0;
    float x;
    for (x = -9; x < 9; x += 0.00317f) {
        double d = fabs((double)badm_i_cos_less(x, 1) - sin((double)x));
        if (!(d <= worst)) worst = d;
        CHECK(badm_i_cos_less(x, 1) == -badm_i_cos_less(-x, 1));
        CHECK(badm_i_cos_less(x, 2) == -badm_cosf(x));
    }
    CHECK_NEAR(worst, 0, 1.2e-7);
}

TEST(rotary_products_depend_on_distance_alone)
{
    enum { L = 12, D = 8 };
    float row[D], x[L * D];
    bench b;
    badm_tensor *y, *later;
    size_t i, j, c;
    bench_open(&b);
    golden_fill(GOLDEN_REAL, 3, row, D);
    for (i = 0; i < L * D; i++) x[i] = row[i % D];
    y = badm_rotary(b.t, variable(b.t, x, 1, L, D), 10000.0f, 0);
    later = badm_rotary(b.t, variable(b.t, x, 1, L, D), 10000.0f, 5);
    CHECK(same_bits(badm_data(b.t, later), badm_data(b.t, y) + 5 * D, (L - 5) * D));
    CHECK(same_bits(badm_data(b.t, y), x, D));
    for (i = 0; i + 3 < L; i++) {
        double products[2] = { 0, 0 };
        for (j = 0; j < 2; j++)
            for (c = 0; c < D; c++) {
                size_t at = j ? i : 0;
                products[j] += (double)badm_data(b.t, y)[at * D + c] * (double)badm_data(b.t, y)[(at + 3) * D + c];
            }
        CHECK_NEAR(products[0], products[1], 2e-5);
    }
    bench_close(&b);
}

/* ---- shapes that do not fit, and the layer ---- */

static void refused(bench *b, badm_result code, const char *text)
{
    CHECK_INT(badm_tape_error(b->t)->code, code);
    CHECK_TEXT(bench_error(b), text);
    badm_tape_reset(b->t);
}

TEST(shapes_that_do_not_fit_are_refused)
{
    badm_dim two[2] = { 3, 4 };
    bench b;
    bench_open(&b);
#define X(d0, d1, d2) variable(b.t, NULL, d0, d1, d2)
    CHECK_INT(badm_size(badm_attention(b.t, X(1, 2, 3), X(1, 2, 4), X(1, 2, 4), 0)), 0);
    refused(&b, BADM_ERR_SHAPE, "attention: q [1,2,3], k [1,2,4]: last dimensions differ");
    badm_attention(b.t, X(1, 2, 3), X(2, 2, 3), X(2, 2, 3), 0);
    refused(&b, BADM_ERR_SHAPE, "q [1,2,3], k [2,2,3]: leading dimensions differ");
    badm_attention(b.t, X(2, 2, 3), X(2, 2, 3), X(3, 2, 3), 0);
    refused(&b, BADM_ERR_SHAPE, "q [2,2,3], v [3,2,3]: leading dimensions differ");
    badm_attention(b.t, X(1, 2, 3), X(1, 4, 3), X(1, 5, 3), 0);
    refused(&b, BADM_ERR_SHAPE, "k [1,4,3], v [1,5,3]: one row of v for every row of k");
    badm_attention(b.t, X(1, 5, 3), X(1, 4, 3), X(1, 4, 3), 1);
    refused(&b, BADM_ERR_SHAPE, "q [1,5,3], k [1,4,3]: a causal mask");
    badm_attention(b.t, X(1, 5, 3), badm_variable(b.t, 2, two, NULL), X(1, 4, 3), 0);
    refused(&b, BADM_ERR_SHAPE, "equal rank");
    badm_attention(b.t, X(5, 0, 0), X(5, 0, 0), X(5, 0, 0), 0);
    refused(&b, BADM_ERR_SHAPE, "no elements");
    badm_self_attention(b.t, X(1, 4, 18), 4, 1);
    refused(&b, BADM_ERR_SHAPE, "self_attention: [1,4,18] with 4 heads: [n,length,3*heads*d]");
    badm_self_attention(b.t, X(1, 4, 20), 2, 1);
    refused(&b, BADM_ERR_SHAPE, "[1,4,20] with 2 heads");
    badm_self_attention(b.t, X(1, 4, 18), 0, 1);
    refused(&b, BADM_ERR_SHAPE, "with 0 heads");
    badm_self_attention(b.t, badm_variable(b.t, 2, two, NULL), 1, 1);
    refused(&b, BADM_ERR_SHAPE, "[3,4] with 1 heads");
    badm_rotary(b.t, X(1, 4, 5), 100.0f, 0);
    refused(&b, BADM_ERR_SHAPE, "rotary: [1,4,5]: rows of an even number of columns");
    badm_rotary(b.t, X(1, 4, 6), 0.0f, 0);
    refused(&b, BADM_ERR_ARGUMENT, "a base above 0");
#undef X
    bench_close(&b);
}

TEST(a_small_arena_is_refused_at_any_size)
{
    enum { L = 20, W = 3 * 8 };
    float *x = random_numbers(L * W, 1);
    size_t bytes, enough = 0;
    for (bytes = 0; bytes < 40000 && !enough; bytes += 256) {
        badm_model *m = badm_model_new(1);
        badm_tape *t;
        badm_tensor *a, *y;
        float none[1];
        CHECK_INT(badm_tape_new(&t, NULL, bytes), BADM_OK);
        badm_tape_watch(t, m, none);
        a = variable(t, x, 1, L, W);
        y = badm_self_attention(t, a, 2, 1);
        if (backward(t, y, x) == BADM_OK) enough = bytes;
        else CHECK_INT(badm_tape_error(t)->code, BADM_ERR_MEMORY);
        badm_tape_free(t);
        badm_model_free(m);
    }
    CHECK(enough > 0);
    free(x);
}

TEST(multihead_is_named_and_begins_as_in_pytorch)
{
    badm_model *m = badm_model_new(5);
    badm_multihead layer = badm_multihead_new(m, "block.attn", 24, 3);
    float most[2] = { 0, 0 }, bias = 0;
    const float *w;
    size_t i;
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK_INT(badm_param_count(m), 4);
    CHECK(!strcmp(badm_param_name(layer.in_weight), "block.attn.in_proj_weight"));
    CHECK(!strcmp(badm_param_name(layer.in_bias), "block.attn.in_proj_bias"));
    CHECK(!strcmp(badm_param_name(layer.out.weight), "block.attn.out_proj.weight"));
    CHECK(!strcmp(badm_param_name(layer.out.bias), "block.attn.out_proj.bias"));
    CHECK_INT(badm_param_shape(layer.in_weight).dim[0], 72);
    CHECK_INT(badm_param_shape(layer.in_weight).dim[1], 24);
    badm_i_largest(0, 72 * 24, badm_param_values(layer.in_weight), &most[0]);
    badm_i_largest(0, 24 * 24, badm_param_values(layer.out.weight), &most[1]);
    for (w = badm_param_values(layer.in_bias), i = 0; i < 72; i++) bias += badm_i_abs(w[i]);
    for (w = badm_param_values(layer.out.bias), i = 0; i < 24; i++) bias += badm_i_abs(w[i]);
    CHECK((double)most[0] <= sqrt(6.0 / 96) && (double)most[0] > 0.98 * sqrt(6.0 / 96));
    CHECK((double)most[1] <= sqrt(1.0 / 24) && (double)most[1] > 0.98 * sqrt(1.0 / 24));
    CHECK_NEAR(bias, 0, 0);
    badm_multihead_new(m, "other", 24, 5);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(m), "\"other\": 5 heads of equal width are expected in a width of 24");
    badm_model_free(m);
}

TEST_MAIN(
    RUN(operations_and_layer_agree_with_pytorch) RUN(all_sizes_agree_with_the_definition)
    RUN(gradients_agree_with_finite_differences) RUN(a_causal_row_does_not_see_later_ones)
    RUN(self_attention_is_attention_of_its_parts) RUN(one_tensor_may_be_q_k_and_v)
    RUN(a_gradient_is_added_to_what_is_there) RUN(only_wanted_gradients_are_made)
    RUN(probabilities_kept_or_computed_again_have_the_same_bits) RUN(instruction_sets_have_the_same_bits)
    RUN(memory_is_linear_in_the_length) RUN(large_scores_do_not_overflow) RUN(workers_change_no_bit)
    RUN(sinusoidal_positions_are_sines_and_cosines) RUN(sines_have_the_accuracy_of_cosines)
    RUN(rotary_products_depend_on_distance_alone) RUN(shapes_that_do_not_fit_are_refused)
    RUN(a_small_arena_is_refused_at_any_size) RUN(multihead_is_named_and_begins_as_in_pytorch))
