/* >>tape, >>autodiff, >>layers, >>data and the initialisers of >>model.

   Every operation runs over a table of cases (tests/golden/operations.h, made with PyTorch): shapes, arguments, inputs,
   and what PyTorch gave forward and backward. The same cases are checked against finite differences of the library's
   own forward pass. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/operations.h"

enum { CASES = sizeof golden_cases / sizeof *golden_cases };

/* ----------------------------------------------------------------------------------------------------------------
   A tape that watches a model with one parameter, and what is needed to say that it went wrong
   ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    badm_model *m;
    badm_param weight;              /* [2,3] */
    float grads[64];
    badm_tape *t;
    char text[512];
} bench;

static void bench_open(bench *b)
{
    static const badm_dim shape[2] = { 2, 3 };
    memset(b, 0, sizeof *b);
    b->m = badm_model_new(1);
    b->weight = badm_param_new(b->m, "weight", 2, shape, badm_init_normal(0.0f, 1.0f));
    CHECK_INT(badm_tape_new(&b->t, NULL, (size_t)4 << 20), BADM_OK);
    CHECK(badm_trainable_size(b->m) <= sizeof b->grads / sizeof *b->grads);
    badm_tape_watch(b->t, b->m, b->grads);
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

/* A variable of one to four dimensions; unused ones are 0. */
static badm_tensor *variable(badm_tape *t, const float *values, badm_dim d0, badm_dim d1, badm_dim d2, badm_dim d3)
{
    badm_dim shape[4];
    unsigned rank = 0;
    shape[0] = d0; shape[1] = d1; shape[2] = d2; shape[3] = d3;
    while (rank < 4 && shape[rank]) rank++;
    return badm_variable(t, rank, shape, values);
}

static badm_tensor *zeros(badm_tape *t, badm_dim d0, badm_dim d1, badm_dim d2)
{
    return variable(t, NULL, d0, d1, d2, 0);
}

static badm_tensor *value1(badm_tape *t, float x) { return badm_variable(t, 0, NULL, &x); }

/* ----------------------------------------------------------------------------------------------------------------
   Cases: from a name and arguments to a graph
   ---------------------------------------------------------------------------------------------------------------- */

typedef badm_tensor *(*unary_fn)(badm_tape *t, badm_tensor *x);
typedef badm_tensor *(*binary_fn)(badm_tape *t, badm_tensor *a, badm_tensor *b);

static const struct { const char *name; unary_fn f; } unary[] = {
    { "relu", badm_relu }, { "tanh", badm_tanh }, { "sigmoid", badm_sigmoid }, { "gelu", badm_gelu },
    { "gelu_tanh", badm_gelu_tanh }, { "silu", badm_silu }, { "exp", badm_exp }, { "log", badm_log },
    { "sqrt", badm_sqrt }, { "softmax", badm_softmax }, { "log_softmax", badm_log_softmax }, { "sum", badm_sum },
    { "mean", badm_mean }
};
static const struct { const char *name; binary_fn f; } binary[] = {
    { "add", badm_add }, { "sub", badm_sub }, { "mul", badm_mul }, { "div", badm_div }, { "matmul", badm_matmul },
    { "matmul_nt", badm_matmul_nt }, { "matmul_tn", badm_matmul_tn }, { "mse", badm_mse },
    { "bce_with_logits", badm_bce_with_logits }
};
enum { UNARY = sizeof unary / sizeof *unary, BINARY = sizeof binary / sizeof *binary };

static badm_tensor *case_graph(badm_tape *t, const golden_case *c, badm_tensor *const *x)
{
    const golden_tensor *y = &golden_tensors[c->tensor + c->inputs];
    const char *name = c->operation;
    const badm_ints *ints = NULL;
    size_t i;
    if (c->ints_rank) ints = badm_ints_input(t, c->ints_rank, c->ints_shape, golden_ints + c->ints);
    for (i = 0; i < UNARY; i++)
        if (!strcmp(name, unary[i].name)) return unary[i].f(t, x[0]);
    for (i = 0; i < BINARY; i++)
        if (!strcmp(name, binary[i].name)) return binary[i].f(t, x[0], x[1]);
    if (!strcmp(name, "scale")) return badm_scale(t, x[0], c->factor);
    if (!strcmp(name, "shift")) return badm_shift(t, x[0], c->factor);
    if (!strcmp(name, "affine")) return badm_affine(t, x[0], x[1], c->inputs == 3 ? x[2] : NULL);
    if (!strcmp(name, "leaky_relu")) return badm_leaky_relu(t, x[0], c->factor);
    if (!strcmp(name, "cross_entropy")) return badm_cross_entropy(t, x[0], ints);
    if (!strcmp(name, "cross_entropy_ignore")) return badm_cross_entropy_ignore(t, x[0], ints, c->args[0]);
    if (!strcmp(name, "sum_axis")) return badm_sum_axis(t, x[0], (unsigned)c->args[0]);
    if (!strcmp(name, "mean_axis")) return badm_mean_axis(t, x[0], (unsigned)c->args[0]);
    if (!strcmp(name, "reshape")) return badm_reshape(t, x[0], y->rank, y->shape);
    if (!strcmp(name, "permute")) {
        unsigned axes[4];
        for (i = 0; i < 4; i++) axes[i] = (unsigned)c->args[i];
        return badm_permute(t, x[0], axes);
    }
    if (!strcmp(name, "concat")) return badm_concat(t, c->inputs, x, (unsigned)c->args[0]);
    if (!strcmp(name, "slice"))
        return badm_slice(t, x[0], (unsigned)c->args[0], (badm_dim)c->args[1], (badm_dim)c->args[2]);
    if (!strcmp(name, "gather_rows")) return badm_gather_rows(t, x[0], ints);
    if (!strcmp(name, "reuse")) return badm_mul(t, x[0], badm_add(t, x[0], badm_tanh(t, x[0])));
    if (!strcmp(name, "reuse_weight"))
        return badm_affine(t, badm_tanh(t, badm_affine(t, x[0], x[1], NULL)), x[1], NULL);
    printf("no operation is called %s\n", name);
    test_failures++;
    return x[0];
}

static size_t golden_size(const golden_tensor *g)
{
    size_t n = 1;
    unsigned i;
    for (i = 0; i < g->rank; i++) n *= g->shape[i];
    return n;
}

static float *numbers(size_t n)
{
    float *p = (float *)malloc((n ? n : 1) * sizeof *p);
    if (!p) { puts("no memory for the test"); exit(1); }
    return p;
}

/* Inputs of a case in memory of their own, so that finite differences can move them. */
typedef struct { float *x[BADM_MAX_INPUTS], *upstream; } case_inputs;

static void case_fill(case_inputs *in, const golden_case *c)
{
    uint32_t i;
    for (i = 0; i <= c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        float *p = numbers(golden_size(g));
        golden_fill(g->kind, g->seed, p, golden_size(g));
        if (i < c->inputs) in->x[i] = p;
        else in->upstream = p;
    }
}

static void case_free(case_inputs *in, const golden_case *c)
{
    uint32_t i;
    for (i = 0; i < c->inputs; i++) free(in->x[i]);
    free(in->upstream);
}

/* Resets the tape and builds the case on it; x gets the inputs. One without a reference gradient is no variable. */
static badm_tensor *case_build(badm_tape *t, const golden_case *c, const case_inputs *in, badm_tensor **x)
{
    uint32_t i;
    badm_tape_reset(t);
    for (i = 0; i < c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        x[i] = g->stored ? badm_variable(t, g->rank, g->shape, in->x[i]) : badm_input(t, g->rank, g->shape, in->x[i]);
    }
    return case_graph(t, c, x);
}

/* Backward of sum(y * upstream): feeds `upstream` into y. */
static badm_result case_backward(badm_tape *t, const golden_case *c, const case_inputs *in, badm_tensor *y)
{
    const golden_tensor *g = &golden_tensors[c->tensor + c->inputs];
    return badm_backward(t, badm_sum(t, badm_mul(t, y, badm_input(t, g->rank, g->shape, in->upstream))));
}

static void case_says(const golden_case *c, const char *what, double got, double bar)
{
    uint32_t i;
    unsigned k;
    printf("case %d: %s", (int)(c - golden_cases), c->operation);
    for (i = 0; i < c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        printf(" [");
        for (k = 0; k < g->rank; k++) printf("%s%u", k ? "," : "", (unsigned)g->shape[k]);
        printf("]");
    }
    printf(": %s %.3g > %.3g\n", what, got, bar);
    test_failures++;
}

/* ----------------------------------------------------------------------------------------------------------------
   Against PyTorch
   ---------------------------------------------------------------------------------------------------------------- */

#define PYTORCH_TOLERANCE 1e-5      /* of the largest entry of the tensor */

/* The stored entries, and the weighted sum of all: with entries off by at most the tolerance and at random, the sum
   (weights of mean square 4/3) is off by less than twice the square root of their number. */
static void check_golden(const golden_case *c, const golden_tensor *g, const float *got, const char *what)
{
    size_t n = golden_size(g), i;
    double sum = 0, bar = PYTORCH_TOLERANCE, difference;
    difference = golden_difference(got, golden_values + g->first, g->stored, g->stride, (double)g->largest);
    if (!(difference <= bar)) case_says(c, what, difference, bar);
    if (n == g->stored) return;
    for (i = 0; i < n; i++)
        sum += (double)got[i] * (double)golden_number(GOLDEN_REAL, GOLDEN_CHECKSUM_SEED, (uint32_t)i);
    bar = 2 * sqrt((double)n) * PYTORCH_TOLERANCE * (double)g->largest + 1e-7 * fabs((double)g->checksum);
    difference = fabs(sum - (double)g->checksum);
    if (!(difference <= bar)) case_says(c, "weighted sum of all entries", difference, bar);
}

static void check_case_against_pytorch(bench *b, const golden_case *c)
{
    static const char *const gradient_of[BADM_MAX_INPUTS] = {
        "gradient of input 0", "gradient of input 1", "gradient of input 2", "gradient of input 3",
        "gradient of input 4", "gradient of input 5", "gradient of input 6", "gradient of input 7"
    };
    const golden_tensor *out = &golden_tensors[c->tensor + c->inputs];
    badm_tensor *x[BADM_MAX_INPUTS], *y;
    case_inputs in;
    uint32_t i;
    case_fill(&in, c);
    y = case_build(b->t, c, &in, x);
    CHECK_INT(y->rank, out->rank);
    CHECK(y->rank == out->rank && !memcmp(y->shape, out->shape, out->rank * sizeof *out->shape));
    if (badm_size(y) != golden_size(out))
        case_says(c, "output entries", (double)badm_size(y), (double)golden_size(out));
    else if (case_backward(b->t, c, &in, y) != BADM_OK) case_says(c, bench_error(b), 0, 0);
    else {
        check_golden(c, out, badm_data(b->t, y), "output");
        for (i = 0; i < c->inputs; i++) {
            const golden_tensor *g = &golden_tensors[c->tensor + i];
            const float *dx = badm_grad(b->t, x[i]);
            if (g->stored) {
                CHECK(dx != NULL);
                if (dx) check_golden(c, g, dx, gradient_of[i]);
            } else CHECK(dx == NULL);
        }
    }
    case_free(&in, c);
}

/* Runs f over the cases of the named operations ("a b c") and insists that each has some. */
static void for_cases(const char *names, void (*f)(bench *b, const golden_case *c))
{
    bench b;
    char list[256], *name;
    bench_open(&b);
    strncpy(list, names, sizeof list - 1);
    list[sizeof list - 1] = 0;
    for (name = strtok(list, " "); name; name = strtok(NULL, " ")) {
        size_t i, n = 0;
        for (i = 0; i < CASES; i++)
            if (!strcmp(golden_cases[i].operation, name)) { f(&b, &golden_cases[i]); n++; }
        if (!n) { printf("no case of %s\n", name); test_failures++; }
    }
    bench_close(&b);
}

#define ELEMENTWISE2 "add sub mul div"
#define ELEMENTWISE1 "scale shift relu leaky_relu tanh sigmoid gelu gelu_tanh silu exp log sqrt"
#define PRODUCTS "matmul matmul_nt matmul_tn affine"
#define SOFTMAXES "softmax log_softmax"
#define LOSSES "cross_entropy cross_entropy_ignore mse bce_with_logits"
#define SUMS "sum mean sum_axis mean_axis"
#define MOVES "reshape permute concat slice gather_rows"
#define REUSES "reuse reuse_weight"

TEST(broadcasting_operations_agree_with_pytorch) { for_cases(ELEMENTWISE2, check_case_against_pytorch); }
TEST(elementwise_functions_agree_with_pytorch) { for_cases(ELEMENTWISE1, check_case_against_pytorch); }
TEST(matrix_products_agree_with_pytorch) { for_cases(PRODUCTS, check_case_against_pytorch); }
TEST(softmaxes_agree_with_pytorch) { for_cases(SOFTMAXES, check_case_against_pytorch); }
TEST(losses_agree_with_pytorch) { for_cases(LOSSES, check_case_against_pytorch); }
TEST(sums_agree_with_pytorch) { for_cases(SUMS, check_case_against_pytorch); }
TEST(rearrangements_agree_with_pytorch) { for_cases(MOVES, check_case_against_pytorch); }
TEST(gradients_of_several_uses_add_up_as_in_pytorch) { for_cases(REUSES, check_case_against_pytorch); }

/* ----------------------------------------------------------------------------------------------------------------
   Against finite differences

   L(x) = sum(y * upstream), summed in double, by (8(L(x+h)-L(x-h)) - (L(x+2h)-L(x-2h)))/12h with h = 1/64. Tolerance
   for every entry: 1e-4 of the tensor's largest gradient for the truncation, h^4 L'''''/30, which the inputs' ranges
   keep below 1e-5 of it (the worst is div, 1/x at 0.5); and the rounding of the forward pass, two units in the last
   place of each y, independent of one another: 2^-22 |y*upstream|_2 / h.
   The kinks of relu and leaky_relu are at least 0.5 away from all inputs.
   ---------------------------------------------------------------------------------------------------------------- */

#define FD_STEP 0.015625f
#define FD_TRUNCATION 1e-4
#define FD_ROUNDING 2.384185791015625e-07
/* Entries tried of each input, or a few more: the others are sampled, the larger ones sparsely. */
enum { FD_ENTRIES = 24, FD_ENTRIES_LARGE = 4, FD_LARGE = 4000 };

static double weighted_sum(badm_tape *t, const badm_tensor *y, const float *upstream, double *norm)
{
    const float *v = badm_data(t, y);
    double sum = 0, square = 0;
    size_t i, n = badm_size(y);
    for (i = 0; i < n; i++) {
        double p = (double)v[i] * (double)upstream[i];
        sum += p;
        square += p * p;
    }
    if (norm) *norm = sqrt(square);
    return sum;
}

/* A function of some inputs whose derivative is asked for: build makes y from the present numbers. */
typedef badm_tensor *(*build_fn)(badm_tape *t, const void *what);

static double difference_quotient(badm_tape *t, build_fn build, const void *what, const float *upstream, float *entry)
{
    static const double weight[4] = { 8.0, -8.0, -1.0, 1.0 };
    static const float offset[4] = { 1.0f, -1.0f, 2.0f, -2.0f };
    float x = *entry;
    double sum = 0;
    size_t i;
    for (i = 0; i < 4; i++) {
        *entry = x + offset[i] * FD_STEP;
        sum += weight[i] * weighted_sum(t, build(t, what), upstream, NULL);
    }
    *entry = x;
    return sum / (12.0 * (double)FD_STEP);
}

typedef struct { const golden_case *c; const case_inputs *in; } case_of;

static badm_tensor *build_case(badm_tape *t, const void *what)
{
    const case_of *k = (const case_of *)what;
    badm_tensor *x[BADM_MAX_INPUTS];
    return case_build(t, k->c, k->in, x);
}

static void check_case_against_differences(bench *b, const golden_case *c)
{
    badm_tensor *x[BADM_MAX_INPUTS], *y;
    case_inputs in;
    case_of what;
    float *gradient[BADM_MAX_INPUTS];
    double norm = 0;
    uint32_t i;
    size_t k;
    what.c = c;
    what.in = &in;
    case_fill(&in, c);
    y = case_build(b->t, c, &in, x);
    weighted_sum(b->t, y, in.upstream, &norm);
    if (case_backward(b->t, c, &in, y) != BADM_OK) case_says(c, bench_error(b), 0, 0);
    for (i = 0; i < c->inputs; i++) {                   /* copied: the tape is used again below */
        size_t n = badm_size(x[i]);
        const float *dx = badm_grad(b->t, x[i]);
        gradient[i] = numbers(n);
        for (k = 0; k < n; k++) gradient[i][k] = dx ? dx[k] : 0.0f;
    }
    for (i = 0; i < c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        size_t n = golden_size(g), tried = n < FD_LARGE ? FD_ENTRIES : FD_ENTRIES_LARGE;
        size_t stride = n <= tried ? 1 : (n / tried) | 1;
        double largest = 0, bar;
        for (k = 0; k < n; k++) if (fabs((double)gradient[i][k]) > largest) largest = fabs((double)gradient[i][k]);
        bar = FD_TRUNCATION * largest + FD_ROUNDING * norm / (double)FD_STEP;
        for (k = 0; g->stored && k < n; k += stride) {
            double d = difference_quotient(b->t, build_case, &what, in.upstream, &in.x[i][k]);
            d = fabs(d - (double)gradient[i][k]);
            if (!(d <= bar)) case_says(c, "off the difference quotient by", d, bar);
        }
        free(gradient[i]);
    }
    case_free(&in, c);
}

TEST(broadcasting_operations_agree_with_finite_differences) { for_cases(ELEMENTWISE2, check_case_against_differences); }
TEST(elementwise_functions_agree_with_finite_differences) { for_cases(ELEMENTWISE1, check_case_against_differences); }
TEST(matrix_products_agree_with_finite_differences) { for_cases(PRODUCTS, check_case_against_differences); }
TEST(softmaxes_agree_with_finite_differences) { for_cases(SOFTMAXES, check_case_against_differences); }
TEST(losses_agree_with_finite_differences) { for_cases(LOSSES, check_case_against_differences); }
TEST(sums_agree_with_finite_differences) { for_cases(SUMS, check_case_against_differences); }
TEST(rearrangements_agree_with_finite_differences) { for_cases(MOVES, check_case_against_differences); }
TEST(gradients_of_several_uses_agree_with_finite_differences) { for_cases(REUSES, check_case_against_differences); }

/* ----------------------------------------------------------------------------------------------------------------
   An operation of the user's own, with arguments and scratch memory: y[i] = x[i] + decay*y[i-1] in each row
   ---------------------------------------------------------------------------------------------------------------- */

typedef struct { float decay; } decayed_args;

static void decayed_sum_forward(badm_tape *t, badm_tensor *y)
{
    const decayed_args *a = (const decayed_args *)y->args;
    const float *x = badm_data(t, y->in[0]);
    float *out = badm_data(t, y);
    size_t width = y->shape[y->rank - 1], rows = badm_size(y) / width, r, i;
    float *sum = (float *)badm_scratch(t, width * sizeof *sum), *row = (float *)badm_scratch(t, width * sizeof *row);
    for (r = 0; r < rows; r++) {
        memcpy(row, x + r * width, width * sizeof *row);
        for (i = 0; i < width; i++) sum[i] = row[i] + (i ? a->decay * sum[i - 1] : 0.0f);
        memcpy(out + r * width, sum, width * sizeof *out);
    }
}

static void decayed_sum_backward(badm_tape *t, badm_tensor *y)
{
    const decayed_args *a = (const decayed_args *)y->args;
    const float *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]);
    size_t width = y->shape[y->rank - 1], rows = badm_size(y) / width, r, i;
    float *sum = (float *)badm_scratch(t, width * sizeof *sum);
    for (r = 0; r < rows; r++)
        for (i = width; i--; ) {
            sum[i] = dy[r * width + i] + (i + 1 < width ? a->decay * sum[i + 1] : 0.0f);
            dx[r * width + i] += sum[i];
        }
}

static badm_tensor *decayed_sum(badm_tape *t, badm_tensor *x, float decay)
{
    static const badm_op op = { "decayed_sum", decayed_sum_forward, decayed_sum_backward };
    decayed_args args;
    if (x->rank < 1)
        return badm_fail(t, BADM_ERR_SHAPE, "decayed_sum", "%a: rank %0, at least %1 expected", x, NULL, x->rank, 1);
    args.decay = decay;
    badm_scratch_reserve(t, 2 * x->shape[x->rank - 1] * sizeof(float) + 256);   /* two pieces, and room to align them */
    return badm_record(t, &op, x->rank, x->shape, 1, &x, &args, sizeof args);
}

typedef struct { float x[12]; } decayed_input;

static badm_tensor *build_decayed(badm_tape *t, const void *what)
{
    badm_tape_reset(t);
    return decayed_sum(t, variable(t, ((const decayed_input *)what)->x, 3, 4, 0, 0), 0.75f);
}

TEST(an_operation_made_outside_the_header_passes_finite_differences)
{
    static const badm_dim shape[2] = { 3, 4 };
    bench b;
    decayed_input in;
    float upstream[12], gradient[12];
    badm_tensor *x, *y;
    size_t i;
    bench_open(&b);
    golden_fill(GOLDEN_REAL, 5, in.x, 12);
    golden_fill(GOLDEN_REAL, 6, upstream, 12);
    y = build_decayed(b.t, &in);
    CHECK_INT(badm_size(y), 12);
    if (badm_size(y) != 12) { puts(bench_error(&b)); bench_close(&b); return; }
    x = y->in[0];
    CHECK_NEAR(badm_data(b.t, y)[4], in.x[4], 0);
    CHECK_NEAR(badm_data(b.t, y)[6], in.x[6] + 0.75f * (in.x[5] + 0.75f * in.x[4]), 1e-6);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, badm_mul(b.t, y, badm_input(b.t, 2, shape, upstream)))), BADM_OK);
    memcpy(gradient, badm_grad(b.t, x), sizeof gradient);
    for (i = 0; i < 12; i++)            /* gradients of about 2: 1e-4 of them */
        CHECK_NEAR(difference_quotient(b.t, build_decayed, &in, upstream, &in.x[i]), gradient[i], 2e-4);
    badm_tape_reset(b.t);
    y = decayed_sum(b.t, value1(b.t, 1.0f), 0.5f);
    CHECK_INT(badm_size(y), 0);
    CHECK_INT(badm_tape_error(b.t)->code, BADM_ERR_SHAPE);
    CHECK_TEXT(bench_error(&b), "decayed_sum: []: rank 0, at least 1 expected");
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   Shapes and indices that do not fit
   ---------------------------------------------------------------------------------------------------------------- */

/* y was refused with this code, in a sentence that begins with the operation and has these parts (NULL: none); whatever
   follows is harmless and keeps the sentence. The tape is fresh again afterwards. */
static void refused(bench *b, int line, badm_tensor *y, badm_result code, const char *operation,
                    const char *part0, const char *part1)
{
    char sentence[256];
    badm_tensor *later[2], *z;
    int before = test_failures;
    CHECK(y != NULL);
    if (!y) return;
    CHECK_INT(badm_size(y), 0);
    CHECK_INT(badm_tape_error(b->t)->code, code);
    badm_error_text(badm_tape_error(b->t), sentence, sizeof sentence);
    CHECK(!strncmp(sentence, operation, strlen(operation)) && sentence[strlen(operation)] == ':');
    if (part0) CHECK_TEXT(sentence, part0);
    if (part1) CHECK_TEXT(sentence, part1);
    later[0] = badm_add(b->t, badm_relu(b->t, y), badm_matmul(b->t, y, y));
    later[1] = badm_softmax(b->t, y);
    z = badm_sum(b->t, badm_dropout(b->t, badm_concat(b->t, 2, later, 0), 0.5f));
    CHECK_INT(badm_size(z), 0);
    CHECK(badm_backward(b->t, z) != BADM_OK);
    CHECK_INT(badm_tape_error(b->t)->code, code);
    CHECK(!strcmp(bench_error(b), sentence));
    badm_tape_reset(b->t);
    CHECK_INT(badm_tape_error(b->t)->code, BADM_OK);
    if (test_failures != before) printf("  line %d: \"%s\"\n", line, sentence);
}
#define REFUSED(y, code, operation, part0, part1) refused(&b, __LINE__, (y), (code), (operation), (part0), (part1))

/* Fresh operands: each REFUSED resets the tape. */
#define Z(d0, d1, d2) zeros(b.t, (d0), (d1), (d2))
#define N(n, values) ints(b.t, (n), (values))

static const badm_ints *ints(badm_tape *t, badm_dim n, const int32_t *values)
{
    return badm_ints_input(t, 1, &n, values);
}

TEST(shapes_that_do_not_broadcast_are_refused)
{
    bench b;
    bench_open(&b);
    REFUSED(badm_add(b.t, Z(2, 3, 0), Z(2, 4, 0)), BADM_ERR_SHAPE, "add", "[2,3]", "[2,4]");
    REFUSED(badm_sub(b.t, Z(2, 3, 0), Z(2, 0, 0)), BADM_ERR_SHAPE, "sub", "[2,3]", "[2]");
    REFUSED(badm_mul(b.t, Z(2, 3, 4), Z(3, 3, 0)), BADM_ERR_SHAPE, "mul", "[2,3,4]", "[3,3]");
    REFUSED(badm_div(b.t, Z(5, 0, 0), Z(2, 3, 4)), BADM_ERR_SHAPE, "div", "[5]", "[2,3,4]");
    bench_close(&b);
}

TEST(products_of_shapes_that_do_not_fit_are_refused)
{
    bench b;
    bench_open(&b);
    REFUSED(badm_matmul(b.t, Z(2, 3, 0), Z(4, 5, 0)), BADM_ERR_SHAPE, "matmul", "[2,3]", "[4,5]");
    REFUSED(badm_matmul(b.t, Z(2, 3, 0), Z(3, 0, 0)), BADM_ERR_SHAPE, "matmul", "[2,3]", "[3]");
    REFUSED(badm_matmul(b.t, Z(3, 0, 0), Z(3, 5, 0)), BADM_ERR_SHAPE, "matmul", "[3]", "[3,5]");
    REFUSED(badm_matmul(b.t, Z(2, 3, 4), Z(3, 4, 5)), BADM_ERR_SHAPE, "matmul", "[2,3,4]", "[3,4,5]");
    REFUSED(badm_matmul(b.t, Z(3, 4, 0), Z(2, 4, 5)), BADM_ERR_SHAPE, "matmul", "[3,4]", "[2,4,5]");
    REFUSED(badm_matmul_nt(b.t, Z(2, 3, 0), Z(3, 5, 0)), BADM_ERR_SHAPE, "matmul_nt", "[2,3]", "[3,5]");
    REFUSED(badm_matmul_tn(b.t, Z(2, 3, 0), Z(3, 5, 0)), BADM_ERR_SHAPE, "matmul_tn", "[2,3]", "[3,5]");
    REFUSED(badm_affine(b.t, Z(4, 5, 0), Z(3, 6, 0), NULL), BADM_ERR_SHAPE, "affine", "[4,5]", "[3,6]");
    REFUSED(badm_affine(b.t, Z(4, 5, 0), Z(5, 0, 0), NULL), BADM_ERR_SHAPE, "affine", "[4,5]", "[5]");
    REFUSED(badm_affine(b.t, Z(4, 5, 0), Z(3, 5, 0), Z(4, 0, 0)), BADM_ERR_SHAPE, "affine", "[3,5]", "[4]");
    REFUSED(badm_affine(b.t, Z(4, 5, 0), Z(3, 5, 0), Z(1, 3, 0)), BADM_ERR_SHAPE, "affine", "[3,5]", "[1,3]");
    bench_close(&b);
}

TEST(targets_of_another_shape_are_refused)
{
    static const badm_dim two_three[2] = { 2, 3 };
    static const int32_t classes[6] = { 0, 1, 2, 0, 1, 2 };
    const badm_ints *labels;
    bench b;
    bench_open(&b);
    REFUSED(badm_mse(b.t, Z(4, 3, 0), Z(4, 2, 0)), BADM_ERR_SHAPE, "mse", "[4,3]", "[4,2]");
    REFUSED(badm_mse(b.t, Z(4, 3, 0), Z(3, 0, 0)), BADM_ERR_SHAPE, "mse", "[4,3]", "[3]");
    REFUSED(badm_bce_with_logits(b.t, Z(4, 1, 0), Z(4, 0, 0)), BADM_ERR_SHAPE, "bce_with_logits", "[4,1]", "[4]");
    REFUSED(badm_cross_entropy(b.t, Z(4, 3, 0), N(5, classes)), BADM_ERR_SHAPE, "cross_entropy", "[4,3]", "5 labels");
    labels = badm_ints_input(b.t, 2, two_three, classes);
    REFUSED(badm_cross_entropy(b.t, Z(2, 4, 3), labels), BADM_ERR_SHAPE, "cross_entropy", "[2,4,3]", "6 labels");
    bench_close(&b);
}

TEST(axes_and_ranges_outside_a_tensor_are_refused)
{
    static const badm_dim four = 4, six[2] = { 3, 2 };
    static const int32_t indices[4] = { 0, 1, 2, 3 };
    static const unsigned twice[2] = { 0, 0 }, outside[2] = { 0, 2 };
    bench b;
    badm_tensor *x[BADM_MAX_INPUTS + 1];
    size_t i;
    bench_open(&b);
    REFUSED(badm_sum_axis(b.t, Z(2, 3, 0), 2), BADM_ERR_SHAPE, "sum_axis", "[2,3]", "2");
    REFUSED(badm_mean_axis(b.t, Z(2, 3, 0), 3), BADM_ERR_SHAPE, "mean_axis", "[2,3]", "3");
    REFUSED(badm_sum_axis(b.t, value1(b.t, 1.0f), 0), BADM_ERR_SHAPE, "sum_axis", "[]", NULL);
    REFUSED(badm_reshape(b.t, Z(2, 3, 0), 1, &four), BADM_ERR_SHAPE, "reshape", "[2,3]", "[4]");
    CHECK_INT(badm_size(badm_reshape(b.t, Z(2, 3, 0), 2, six)), 6);
    REFUSED(badm_permute(b.t, Z(2, 3, 0), twice), BADM_ERR_SHAPE, "permute", "[2,3]", NULL);
    REFUSED(badm_permute(b.t, Z(2, 3, 0), outside), BADM_ERR_SHAPE, "permute", "[2,3]", NULL);
    x[0] = Z(2, 3, 0); x[1] = Z(3, 4, 0);
    REFUSED(badm_concat(b.t, 2, x, 0), BADM_ERR_SHAPE, "concat", "[2,3]", "[3,4]");
    x[0] = Z(2, 3, 0); x[1] = Z(3, 0, 0);
    REFUSED(badm_concat(b.t, 2, x, 0), BADM_ERR_SHAPE, "concat", "[2,3]", "[3]");
    x[0] = Z(2, 3, 0); x[1] = Z(2, 3, 0);
    REFUSED(badm_concat(b.t, 2, x, 2), BADM_ERR_SHAPE, "concat", "[2,3]", "2");
    for (i = 0; i <= BADM_MAX_INPUTS; i++) x[i] = Z(2, 3, 0);
    REFUSED(badm_concat(b.t, BADM_MAX_INPUTS + 1, x, 0), BADM_ERR_ARGUMENT, "concat", "9", NULL);
    REFUSED(badm_concat(b.t, 0, x, 0), BADM_ERR_ARGUMENT, "concat", "0", NULL);
    REFUSED(badm_slice(b.t, Z(2, 3, 0), 1, 1, 4), BADM_ERR_SHAPE, "slice", "[2,3]", "4");
    REFUSED(badm_slice(b.t, Z(2, 3, 0), 1, 2, 2), BADM_ERR_SHAPE, "slice", "[2,3]", "2");
    REFUSED(badm_slice(b.t, Z(2, 3, 0), 2, 0, 1), BADM_ERR_SHAPE, "slice", "[2,3]", "2");
    REFUSED(badm_gather_rows(b.t, Z(4, 0, 0), N(4, indices)), BADM_ERR_SHAPE, "gather_rows", "[4]", NULL);
    REFUSED(badm_softmax(b.t, value1(b.t, 1.0f)), BADM_ERR_SHAPE, "softmax", "[]", NULL);
    REFUSED(badm_log_softmax(b.t, value1(b.t, 1.0f)), BADM_ERR_SHAPE, "log_softmax", "[]", NULL);
    bench_close(&b);
}

TEST(a_dropout_probability_outside_0_to_1_is_refused)
{
    bench b;
    bench_open(&b);
    REFUSED(badm_dropout(b.t, Z(2, 3, 0), 1.0f), BADM_ERR_ARGUMENT, "dropout", NULL, NULL);
    REFUSED(badm_dropout(b.t, Z(2, 3, 0), -0.125f), BADM_ERR_ARGUMENT, "dropout", NULL, NULL);
    REFUSED(badm_dropout(b.t, Z(2, 3, 0), (float)NAN), BADM_ERR_ARGUMENT, "dropout", NULL, NULL);
    bench_close(&b);
}

TEST(labels_and_indices_out_of_range_are_refused)
{
    static const int32_t above[3] = { 0, 4, 1 }, below[3] = { 0, -1, 1 }, ignored[3] = { 0, BADM_IGNORE, 1 };
    bench b;
    bench_open(&b);
    REFUSED(badm_cross_entropy(b.t, Z(3, 4, 0), N(3, above)), BADM_ERR_LABEL, "cross_entropy", "4", NULL);
    REFUSED(badm_cross_entropy(b.t, Z(3, 4, 0), N(3, below)), BADM_ERR_LABEL, "cross_entropy", "-1", NULL);
    REFUSED(badm_cross_entropy_ignore(b.t, Z(3, 4, 0), N(3, ignored), 1), BADM_ERR_LABEL, "cross_entropy", "-100",
            NULL);
    REFUSED(badm_gather_rows(b.t, Z(4, 2, 0), N(3, above)), BADM_ERR_LABEL, "gather_rows", "4", NULL);
    REFUSED(badm_gather_rows(b.t, Z(4, 2, 0), N(3, below)), BADM_ERR_LABEL, "gather_rows", "-1", NULL);
    bench_close(&b);
}

TEST(a_tape_keeps_its_first_error)
{
    bench b;
    badm_tensor *x;
    bench_open(&b);
    x = Z(2, 3, 0);
    CHECK_INT(badm_size(badm_matmul(b.t, x, x)), 0);
    CHECK_INT(badm_size(badm_add(b.t, x, Z(5, 0, 0))), 0);
    CHECK_INT(badm_size(badm_dropout(b.t, x, 7.0f)), 0);
    CHECK_TEXT(bench_error(&b), "matmul: [2,3] x [2,3]");
    CHECK_INT(badm_tape_error(b.t)->code, BADM_ERR_SHAPE);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, x)), BADM_ERR_SHAPE);
    bench_close(&b);
}

TEST(backward_wants_a_scalar)
{
    bench b;
    bench_open(&b);
    CHECK_INT(badm_backward(b.t, Z(2, 3, 0)), BADM_ERR_SHAPE);
    badm_tape_reset(b.t);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, Z(2, 3, 0))), BADM_OK);
    bench_close(&b);
}

TEST(shapes_without_elements_or_of_five_dimensions_are_refused)
{
    static const badm_dim none[2] = { 0, 5 }, five[5] = { 1, 1, 1, 1, 1 };
    static const uint32_t index = 0;
    badm_batch nobody;
    bench b;
    bench_open(&b);
    memset(&nobody, 0, sizeof nobody);
    nobody.index = &index;
    REFUSED(badm_input(b.t, 2, none, NULL), BADM_ERR_SHAPE, "input", "[0,5]", NULL);
    REFUSED(badm_variable(b.t, 2, none, NULL), BADM_ERR_SHAPE, "input", "[0,5]", NULL);
    REFUSED(badm_rows(b.t, NULL, 5, &nobody), BADM_ERR_SHAPE, "input", "[0,5]", NULL);
    REFUSED(badm_reshape(b.t, Z(2, 3, 0), 2, none), BADM_ERR_SHAPE, "reshape", "[2,3]", "[0,5]");
    REFUSED(badm_input(b.t, 5, five, NULL), BADM_ERR_SHAPE, "input", "5", "4");
    REFUSED(badm_reshape(b.t, Z(1, 1, 0), 5, five), BADM_ERR_SHAPE, "reshape", "5", "4");
    bench_close(&b);
}

TEST(sizes_that_overflow_are_refused)
{
    const badm_dim most = (badm_dim)~(badm_dim)0;
    const int wide = sizeof(size_t) > 4;        /* 60000 rows of 60000 can be addressed, if not had */
    const char *reason = wide ? "4194304 bytes" : "[60000,60000] is more than this machine can address";
    badm_dim huge[4];
    bench b;
    bench_open(&b);
    huge[0] = huge[1] = huge[2] = huge[3] = most;
    CHECK_INT(badm_size(badm_input(b.t, 4, huge, NULL)), 0);
    CHECK_INT(badm_tape_error(b.t)->code, BADM_ERR_MEMORY);
    badm_tape_reset(b.t);
    REFUSED(badm_add(b.t, Z(60000, 1, 0), Z(60000, 0, 0)), BADM_ERR_MEMORY, wide ? "tape" : "add", reason, NULL);
    REFUSED(badm_matmul(b.t, Z(60000, 1, 0), Z(1, 60000, 0)), BADM_ERR_MEMORY, wide ? "tape" : "matmul", reason, NULL);
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   Edge values
   ---------------------------------------------------------------------------------------------------------------- */

/* y and the gradient of sum(y) by x, one number in, one number out. */
typedef struct { double y, dx; } point;

static point at_point(bench *b, unary_fn f, float at)
{
    badm_tensor *x, *y;
    point p;
    badm_tape_reset(b->t);
    x = value1(b->t, at);
    y = f(b->t, x);
    p.y = (double)badm_data(b->t, y)[0];
    CHECK_INT(badm_backward(b->t, badm_sum(b->t, y)), BADM_OK);
    p.dx = (double)badm_grad(b->t, x)[0];
    return p;
}

static void check_point(bench *b, int line, unary_fn f, float at, double y, double dx, double tolerance)
{
    point p = at_point(b, f, at);
    int before = test_failures;
    CHECK_NEAR(p.y, y, tolerance);
    CHECK_NEAR(p.dx, dx, tolerance);
    if (test_failures != before) printf("  line %d, x = %g\n", line, (double)at);
}
#define POINT(f, at, y, dx, tolerance) check_point(&b, __LINE__, (f), (at), (y), (dx), (tolerance))

TEST(saturated_functions_are_finite_and_exact)
{
    bench b;
    bench_open(&b);
    POINT(badm_tanh, 100.0f, 1, 0, 1e-7);        POINT(badm_tanh, -100.0f, -1, 0, 1e-7);
    POINT(badm_sigmoid, 100.0f, 1, 0, 1e-7);     POINT(badm_sigmoid, -100.0f, 0, 0, 1e-30);
    POINT(badm_sigmoid, 1000.0f, 1, 0, 1e-7);    POINT(badm_sigmoid, -1000.0f, 0, 0, 1e-30);
    POINT(badm_gelu, 100.0f, 100, 1, 1e-5);      POINT(badm_gelu, -100.0f, 0, 0, 1e-5);
    POINT(badm_gelu, 1000.0f, 1000, 1, 1e-4);    POINT(badm_gelu, -1000.0f, 0, 0, 1e-5);
    POINT(badm_gelu_tanh, 100.0f, 100, 1, 1e-5); POINT(badm_gelu_tanh, -100.0f, 0, 0, 1e-5);
    POINT(badm_gelu_tanh, 1e6f, 1e6, 1, 0.1);    POINT(badm_gelu_tanh, -1e6f, 0, 0, 1e-5);
    POINT(badm_silu, 100.0f, 100, 1, 1e-5);      POINT(badm_silu, -100.0f, 0, 0, 1e-30);
    POINT(badm_silu, 1000.0f, 1000, 1, 1e-4);    POINT(badm_silu, -1000.0f, 0, 0, 1e-30);
    POINT(badm_exp, -1000.0f, 0, 0, 0);
    bench_close(&b);
}

static badm_tensor *leaky(badm_tape *t, badm_tensor *x) { return badm_leaky_relu(t, x, 0.25f); }

TEST(kinks_have_pytorchs_gradient)
{
    bench b;
    bench_open(&b);
    POINT(badm_relu, 0.0f, 0, 0, 0);
    POINT(badm_relu, -0.0f, 0, 0, 0);
    POINT(leaky, 0.0f, 0, 0.25, 0);
    bench_close(&b);
}

TEST(softmax_of_huge_logits_is_finite)
{
    static const float logits[6] = { 1000.0f, -1000.0f, 0.0f, -1000.0f, -1000.0f, -1000.0f };
    static const double log3 = 1.0986122886681098, soft[6] = { 1, 0, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3 };
    static const double logs[6] = { 0, -2000, -1000, 0, 0, 0 };
    static const int32_t wrong[2] = { 1, 2 };
    bench b;
    badm_tensor *x, *y, *w;
    size_t i;
    bench_open(&b);
    x = variable(b.t, logits, 2, 3, 0, 0);
    y = badm_softmax(b.t, x);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_data(b.t, y)[i], soft[i], 1e-6);
    w = variable(b.t, logits, 2, 3, 0, 0);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, badm_mul(b.t, y, w))), BADM_OK);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_grad(b.t, x)[i], 0, 1e-3);
    badm_tape_reset(b.t);
    x = variable(b.t, logits, 2, 3, 0, 0);
    y = badm_log_softmax(b.t, x);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_data(b.t, y)[i], i < 3 ? logs[i] : -log3, 1e-6);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_grad(b.t, x)[i], 1 - 3 * soft[i], 1e-5);
    badm_tape_reset(b.t);
    x = variable(b.t, logits, 2, 3, 0, 0);
    y = badm_cross_entropy(b.t, x, N(2, wrong));
    CHECK_NEAR(badm_data(b.t, y)[0], (2000 + log3) / 2, 1e-3);
    CHECK_INT(badm_backward(b.t, y), BADM_OK);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_grad(b.t, x)[i], (soft[i] - (i == 1 || i == 5 ? 1 : 0)) / 2, 1e-6);
    bench_close(&b);
}

TEST(bce_of_huge_logits_is_finite)
{
    static const float logits[4] = { 1000.0f, 1000.0f, -1000.0f, -1000.0f }, targets[4] = { 0.0f, 1.0f, 0.0f, 1.0f };
    static const double gradient[4] = { 0.25, 0, 0, -0.25 };
    bench b;
    badm_tensor *x, *y;
    size_t i;
    bench_open(&b);
    x = variable(b.t, logits, 4, 0, 0, 0);
    y = badm_bce_with_logits(b.t, x, variable(b.t, targets, 4, 0, 0, 0));
    CHECK_NEAR(badm_data(b.t, y)[0], 500, 1e-3);
    CHECK_INT(badm_backward(b.t, y), BADM_OK);
    for (i = 0; i < 4; i++) CHECK_NEAR(badm_grad(b.t, x)[i], gradient[i], 1e-7);
    bench_close(&b);
}

TEST(cross_entropy_of_ignored_rows_only_is_zero_with_zero_gradient)
{
    static const float logits[4] = { 1.0f, 2.0f, -1.0f, 3.0f };
    static const int32_t ignored[2] = { BADM_IGNORE, BADM_IGNORE };
    bench b;
    badm_tensor *x, *y;
    size_t i;
    bench_open(&b);
    x = variable(b.t, logits, 2, 2, 0, 0);
    y = badm_cross_entropy(b.t, x, N(2, ignored));
    CHECK_INT(badm_size(y), 1);
    CHECK_NEAR(badm_data(b.t, y)[0], 0, 0);
    CHECK_INT(badm_backward(b.t, y), BADM_OK);
    for (i = 0; i < 4; i++) CHECK_NEAR(badm_grad(b.t, x)[i], 0, 0);
    bench_close(&b);
}

TEST(not_a_number_goes_through_every_operation)
{
    static const float mixed[4] = { 1.0f, (float)NAN, 2.0f, 3.0f };
    static const int32_t labels[2] = { 0, 1 };
    static const unsigned swap[2] = { 1, 0 };
    bench b;
    badm_tensor *x, *y, *pair[2];
    size_t i;
    bench_open(&b);
    for (i = 0; i < UNARY; i++) {
        badm_tape_reset(b.t);
        y = unary[i].f(b.t, variable(b.t, mixed, 2, 2, 0, 0));
        if (isnan(badm_data(b.t, y)[badm_size(y) > 1 ? 1 : 0])) continue;
        printf("%s lost it\n", unary[i].name);
        test_failures++;
    }
    for (i = 0; i < BINARY; i++) {
        int side;
        for (side = 0; side < 2; side++) {
            badm_tensor *other;
            badm_tape_reset(b.t);
            x = variable(b.t, mixed, 2, 2, 0, 0);
            other = badm_shift(b.t, zeros(b.t, 2, 2, 0), 0.5f);
            y = side ? binary[i].f(b.t, other, x) : binary[i].f(b.t, x, other);
            if (isnan(badm_data(b.t, badm_sum(b.t, y))[0])) continue;
            printf("%s lost it, side %d\n", binary[i].name, side);
            test_failures++;
        }
    }
    badm_tape_reset(b.t);
    x = variable(b.t, mixed, 2, 2, 0, 0);
    y = badm_softmax(b.t, x);
    CHECK(isnan(badm_data(b.t, y)[0]) && isnan(badm_data(b.t, y)[1]));          /* the whole row, */
    CHECK_NEAR(badm_data(b.t, y)[2] + badm_data(b.t, y)[3], 1, 1e-6);           /* and no other */
    CHECK(isnan(badm_data(b.t, badm_cross_entropy(b.t, x, N(2, labels)))[0]));
    CHECK(isnan(badm_data(b.t, badm_leaky_relu(b.t, x, 0.125f))[1]));
    CHECK(isnan(badm_data(b.t, badm_scale(b.t, x, 0.0f))[1]));
    CHECK(isnan(badm_data(b.t, badm_shift(b.t, x, 1.0f))[1]));
    CHECK(isnan(badm_data(b.t, badm_affine(b.t, x, x, NULL))[0]));
    CHECK(isnan(badm_data(b.t, badm_sum_axis(b.t, x, 0))[1]) && isnan(badm_data(b.t, badm_mean_axis(b.t, x, 1))[0]));
    CHECK(isnan(badm_data(b.t, badm_permute(b.t, x, swap))[2]));
    CHECK(isnan(badm_data(b.t, badm_slice(b.t, x, 1, 1, 2))[0]));
    CHECK(isnan(badm_data(b.t, badm_gather_rows(b.t, x, N(2, labels)))[1]));
    pair[0] = pair[1] = x;
    CHECK(isnan(badm_data(b.t, badm_concat(b.t, 2, pair, 0))[5]));
    CHECK(isnan(badm_data(b.t, badm_dropout(b.t, x, 0.0f))[1]));
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   Dropout, detach
   ---------------------------------------------------------------------------------------------------------------- */

enum { DROPPED = 10000 };

TEST(dropout_keeps_the_expectation_and_its_gradient_is_the_mask)
{
    bench b;
    badm_tensor *x, *y;
    float *ones = numbers(DROPPED);
    size_t i, zero = 0;
    bench_open(&b);
    for (i = 0; i < DROPPED; i++) ones[i] = 1.0f;
    badm_tape_mode(b.t, 1, 42);
    x = variable(b.t, ones, 100, 100, 0, 0);
    y = badm_dropout(b.t, x, 0.25f);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    for (i = 0; i < DROPPED; i++) {
        float v = badm_data(b.t, y)[i];
        if (v <= 0.0f) { zero++; CHECK_NEAR(v, 0, 0); }
        else CHECK_NEAR(v, 1.0 / 0.75, 1e-6);
        CHECK_NEAR(badm_grad(b.t, x)[i], v, 0);
    }
    CHECK_NEAR((double)zero / DROPPED, 0.25, 5 * sqrt(0.25 * 0.75 / DROPPED));          /* five standard deviations */
    free(ones);
    bench_close(&b);
}

static size_t same_entries(const float *a, const float *b, size_t n)
{
    size_t i, same = 0;
    for (i = 0; i < n; i++) same += !memcmp(&a[i], &b[i], sizeof *a);
    return same;
}

TEST(a_dropout_mask_is_a_function_of_seed_and_place)
{
    bench b;
    badm_tensor *x;
    float *first = numbers(DROPPED), *ones = numbers(DROPPED);
    size_t i;
    bench_open(&b);
    for (i = 0; i < DROPPED; i++) ones[i] = 1.0f;
    badm_tape_mode(b.t, 1, 42);
    x = variable(b.t, ones, DROPPED, 0, 0, 0);
    memcpy(first, badm_data(b.t, badm_dropout(b.t, x, 0.5f)), DROPPED * sizeof *first);
    badm_tape_reset(b.t);
    x = variable(b.t, ones, DROPPED, 0, 0, 0);
    CHECK_INT(same_entries(first, badm_data(b.t, badm_dropout(b.t, x, 0.5f)), DROPPED), DROPPED);
    /* Independent masks agree in half of the places, give or take five standard deviations. */
    CHECK_NEAR(same_entries(first, badm_data(b.t, badm_dropout(b.t, x, 0.5f)), DROPPED), DROPPED / 2, 250);
    badm_tape_reset(b.t);
    badm_tape_mode(b.t, 1, 43);
    x = variable(b.t, ones, DROPPED, 0, 0, 0);
    CHECK_NEAR(same_entries(first, badm_data(b.t, badm_dropout(b.t, x, 0.5f)), DROPPED), DROPPED / 2, 250);
    free(first);
    free(ones);
    bench_close(&b);
}

TEST(dropout_is_the_identity_while_evaluating_and_for_p_0)
{
    bench b;
    badm_tensor *x;
    float values[12];
    bench_open(&b);
    golden_fill(GOLDEN_REAL, 3, values, 12);
    badm_tape_mode(b.t, 0, 42);
    CHECK(!badm_training(b.t));
    x = variable(b.t, values, 3, 4, 0, 0);
    CHECK_INT(same_entries(values, badm_data(b.t, badm_dropout(b.t, x, 0.5f)), 12), 12);
    badm_tape_reset(b.t);
    badm_tape_mode(b.t, 1, 42);
    CHECK(badm_training(b.t));
    x = variable(b.t, values, 3, 4, 0, 0);
    CHECK_INT(same_entries(values, badm_data(b.t, badm_dropout(b.t, x, 0.0f)), 12), 12);
    bench_close(&b);
}

TEST(no_gradient_passes_detach)
{
    static const float values[3] = { 1.0f, -2.0f, 3.0f };
    bench b;
    badm_tensor *x, *stopped;
    size_t i;
    bench_open(&b);
    x = variable(b.t, values, 3, 0, 0, 0);
    stopped = badm_detach(b.t, badm_scale(b.t, x, 2.0f));
    CHECK(badm_grad(b.t, stopped) == NULL);
    for (i = 0; i < 3; i++) CHECK_NEAR(badm_data(b.t, stopped)[i], 2.0f * values[i], 0);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, badm_mul(b.t, x, stopped))), BADM_OK);      /* d/dx of x*constant */
    for (i = 0; i < 3; i++) CHECK_NEAR(badm_grad(b.t, x)[i], 2.0f * values[i], 0);
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   The tape
   ---------------------------------------------------------------------------------------------------------------- */

TEST(gradients_of_parameters_are_added_to_the_watched_vector)
{
    static const float x[6] = { 1, 2, 3, 4, 5, 6 };
    bench b;
    badm_tensor *w;
    size_t i;
    int round;
    bench_open(&b);
    for (round = 1; round <= 2; round++) {
        badm_tape_reset(b.t);
        w = badm_param_use(b.t, b.weight);
        CHECK_INT(same_entries(badm_data(b.t, w), badm_param_values(b.weight), 6), 6);
        CHECK_INT(badm_backward(b.t, badm_sum(b.t, badm_mul(b.t, w, variable(b.t, x, 2, 3, 0, 0)))), BADM_OK);
        CHECK(badm_param_grad(b.t, b.weight) != NULL);
        CHECK(badm_grad(b.t, w) == badm_param_grad(b.t, b.weight));
        for (i = 0; i < 6; i++) CHECK_NEAR(badm_param_grad(b.t, b.weight)[i], (float)round * x[i], 0);
    }
    CHECK(badm_param_grad(b.t, b.weight) == b.grads);       /* the first and only one */
    bench_close(&b);
}

TEST(a_parameter_used_twice_gets_both_gradients)
{
    bench b;
    badm_tensor *w0, *w1, *y;
    size_t i;
    bench_open(&b);
    w0 = badm_param_use(b.t, b.weight);
    w1 = badm_param_use(b.t, b.weight);
    y = badm_add(b.t, badm_scale(b.t, w0, 2.0f), badm_scale(b.t, w1, 3.0f));
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    for (i = 0; i < 6; i++) CHECK_NEAR(badm_param_grad(b.t, b.weight)[i], 5, 0);
    bench_close(&b);
}

TEST(frozen_and_foreign_parameters_have_no_gradient)
{
    static const badm_dim shape[2] = { 2, 3 };
    bench b;
    badm_model *other = badm_model_new(2);
    badm_param foreign = badm_param_new(other, "foreign", 2, shape, badm_init_normal(0.0f, 1.0f)), frozen, buffer;
    badm_tensor *y, *w, *f, *n, *s;
    size_t i;
    memset(&b, 0, sizeof b);
    b.m = badm_model_new(1);
    frozen = badm_param_new(b.m, "frozen", 2, shape, badm_init_normal(0.0f, 1.0f));
    b.weight = badm_param_new(b.m, "weight", 2, shape, badm_init_normal(0.0f, 1.0f));
    buffer = badm_buffer_new(b.m, "buffer", 2, shape, 0.5f);
    CHECK_INT(badm_set_frozen(b.m, "frozen", 1), 1);
    CHECK_INT(badm_tape_new(&b.t, NULL, 1 << 16), BADM_OK);
    badm_tape_watch(b.t, b.m, b.grads);
    w = badm_param_use(b.t, b.weight);
    f = badm_param_use(b.t, frozen);
    n = badm_param_use(b.t, foreign);
    s = badm_param_use(b.t, buffer);
    y = badm_mul(b.t, badm_mul(b.t, w, f), badm_mul(b.t, n, s));
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    CHECK(badm_grad(b.t, f) == NULL && badm_param_grad(b.t, frozen) == NULL);
    CHECK(badm_grad(b.t, n) == NULL && badm_param_grad(b.t, foreign) == NULL);
    CHECK(badm_grad(b.t, s) == NULL && badm_param_grad(b.t, buffer) == NULL);
    for (i = 0; i < 6; i++)
        CHECK_NEAR(badm_grad(b.t, w)[i], 0.5f * badm_param_values(frozen)[i] * badm_param_values(foreign)[i], 1e-6);
    bench_close(&b);
    badm_model_free(other);
}

TEST(a_tape_without_gradients_records_none)
{
    bench b;
    badm_tape *plain;
    badm_tensor *x, *w, *y;
    static const float values[6] = { 1, -2, 3, -4, 5, -6 };
    size_t watched;
    bench_open(&b);
    y = badm_relu(b.t, badm_affine(b.t, variable(b.t, values, 2, 3, 0, 0), badm_param_use(b.t, b.weight), NULL));
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    watched = badm_tape_used(b.t);
    CHECK_INT(badm_tape_new(&plain, NULL, 1 << 16), BADM_OK);
    x = variable(plain, values, 2, 3, 0, 0);
    w = badm_param_use(plain, b.weight);
    y = badm_relu(plain, badm_affine(plain, x, w, NULL));
    CHECK(badm_grad(plain, x) == NULL && badm_grad(plain, w) == NULL && badm_grad(plain, y) == NULL);
    CHECK(badm_param_grad(plain, b.weight) == NULL);
    CHECK(badm_data(plain, y) != NULL);
    CHECK(badm_tape_used(plain) > 0 && badm_tape_used(plain) < watched);
    badm_tape_reset(plain);
    CHECK_INT(badm_tape_used(plain), 0);
    badm_tape_free(plain);
    bench_close(&b);
}

TEST(an_input_wants_no_gradient_and_a_variable_does)
{
    static const badm_dim three = 3;
    bench b;
    badm_tensor *x, *v, *y;
    bench_open(&b);
    x = badm_input(b.t, 1, &three, NULL);
    v = badm_variable(b.t, 1, &three, NULL);
    y = badm_relu(b.t, x);
    CHECK(badm_grad(b.t, x) == NULL && badm_grad(b.t, y) == NULL && badm_grad(b.t, v) != NULL);
    CHECK_NEAR(badm_grad(b.t, v)[0] + badm_grad(b.t, v)[1] + badm_grad(b.t, v)[2], 0, 0);
    bench_close(&b);
}

TEST(a_dump_names_operations_and_shapes)
{
    bench b;
    char text[2048], cut[16];
    size_t length;
    bench_open(&b);
    badm_softmax(b.t, badm_affine(b.t, zeros(b.t, 5, 3, 0), badm_param_use(b.t, b.weight), NULL));
    length = badm_tape_dump(b.t, text, sizeof text);
    CHECK_INT(length, strlen(text));
    CHECK_TEXT(text, "affine");
    CHECK_TEXT(text, "softmax");
    CHECK_TEXT(text, "[5,3]");
    CHECK_TEXT(text, "[5,2]");
    CHECK_INT(badm_tape_dump(b.t, cut, sizeof cut), length);
    CHECK_INT(strlen(cut), sizeof cut - 1);
    CHECK(!strncmp(text, cut, sizeof cut - 1));
    CHECK_INT(badm_tape_dump(b.t, NULL, 0), length);
    bench_close(&b);
}

TEST(a_tape_that_is_full_says_so_and_can_be_used_again)
{
    bench b;
    badm_tape *small;
    badm_tensor *x;
    size_t i;
    bench_open(&b);
    CHECK_INT(badm_tape_new(&small, NULL, 4096), BADM_OK);
    badm_tape_watch(small, b.m, b.grads);
    x = zeros(small, 8, 8, 0);
    CHECK_INT(badm_size(x), 64);
    for (i = 0; i < 100; i++) x = badm_relu(small, x);
    CHECK_INT(badm_size(x), 0);
    CHECK_INT(badm_tape_error(small)->code, BADM_ERR_MEMORY);
    CHECK_INT(badm_backward(small, x), BADM_ERR_MEMORY);
    badm_error_text(badm_tape_error(small), b.text, sizeof b.text);
    CHECK_TEXT(b.text, "4096 bytes");
    CHECK(badm_tape_used(small) <= 4096);
    badm_tape_reset(small);
    x = badm_relu(small, zeros(small, 8, 8, 0));
    CHECK_INT(badm_size(x), 64);
    CHECK_INT(badm_tape_error(small)->code, BADM_OK);
    badm_tape_free(small);
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   Layers and leaves
   ---------------------------------------------------------------------------------------------------------------- */

TEST(a_linear_layer_is_affine_of_its_parameters)
{
    bench b;
    badm_linear layer, bare;
    badm_tensor *x, *y, *z;
    float values[20];
    memset(&b, 0, sizeof b);
    golden_fill(GOLDEN_REAL, 8, values, 20);
    b.m = badm_model_new(3);
    layer = badm_linear_new(b.m, "layer", 5, 3);
    bare = badm_linear_new_without_bias(b.m, "bare", 5, 3);
    CHECK_INT(badm_param_count(b.m), 3);
    CHECK(!strcmp(badm_param_name(layer.weight), "layer.weight") && !strcmp(badm_param_name(layer.bias), "layer.bias"));
    CHECK(!strcmp(badm_param_name(bare.weight), "bare.weight"));
    CHECK_INT(badm_param_shape(layer.weight).dim[0], 3);
    CHECK_INT(badm_param_shape(layer.weight).dim[1], 5);
    CHECK_INT(badm_param_shape(layer.bias).rank, 1);
    CHECK_INT(badm_tape_new(&b.t, NULL, 1 << 16), BADM_OK);
    badm_tape_watch(b.t, b.m, b.grads);
    x = variable(b.t, values, 4, 5, 0, 0);
    y = badm_linear_forward(b.t, layer, x);
    z = badm_affine(b.t, x, badm_param_use(b.t, layer.weight), badm_param_use(b.t, layer.bias));
    CHECK_INT(badm_size(y), 12);
    CHECK_INT(same_entries(badm_data(b.t, y), badm_data(b.t, z), 12), 12);
    y = badm_linear_forward(b.t, bare, x);
    z = badm_affine(b.t, x, badm_param_use(b.t, bare.weight), NULL);
    CHECK_INT(same_entries(badm_data(b.t, y), badm_data(b.t, z), 12), 12);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, badm_linear_forward(b.t, layer, x))), BADM_OK);
    CHECK_NEAR(badm_param_grad(b.t, layer.bias)[1], 4, 0);
    CHECK_NEAR(badm_param_grad(b.t, layer.weight)[7], (values[2] + values[7]) + (values[12] + values[17]), 1e-5);
    badm_tape_reset(b.t);
    CHECK_INT(badm_size(badm_linear_forward(b.t, layer, zeros(b.t, 4, 6, 0))), 0);
    CHECK_TEXT(bench_error(&b), "[4,6]");
    CHECK_TEXT(bench_error(&b), "[3,5]");
    bench_close(&b);
}

TEST(an_embedding_gathers_rows_of_its_parameter)
{
    static const badm_dim shape[2] = { 2, 3 };
    static const int32_t tokens[6] = { 1, 0, 1, 4, 1, 2 };
    static const float counts[5] = { 1, 3, 1, 0, 1 };
    bench b;
    badm_embedding layer;
    badm_tensor *y;
    size_t i, k;
    memset(&b, 0, sizeof b);
    b.m = badm_model_new(3);
    layer = badm_embedding_new(b.m, "words", 5, 4);
    CHECK(!strcmp(badm_param_name(layer.weight), "words.weight"));
    CHECK_INT(badm_tape_new(&b.t, NULL, 1 << 16), BADM_OK);
    badm_tape_watch(b.t, b.m, b.grads);
    y = badm_embedding_forward(b.t, layer, badm_ints_input(b.t, 2, shape, tokens));
    CHECK(y->rank == 3 && y->shape[0] == 2 && y->shape[1] == 3 && y->shape[2] == 4);
    for (i = 0; i < 6; i++)
        CHECK_INT(same_entries(badm_data(b.t, y) + 4 * i, badm_param_values(layer.weight) + 4 * tokens[i], 4), 4);
    CHECK_INT(badm_backward(b.t, badm_sum(b.t, y)), BADM_OK);
    for (i = 0; i < 5; i++)
        for (k = 0; k < 4; k++) CHECK_NEAR(badm_param_grad(b.t, layer.weight)[4 * i + k], counts[i], 0);
    bench_close(&b);
}

static void fill_row(float *row, badm_dim width, uint32_t index, void *user)
{
    badm_dim i;
    for (i = 0; i < width; i++) row[i] = *(const float *)user * (float)(10 * index + i);
}

TEST(rows_labels_and_tokens_follow_the_batchs_index)
{
    static const uint32_t index[3] = { 2, 0, 2 };
    static const float table[6] = { 0, 1, 10, 11, 20, 21 };
    static const uint8_t bytes[6] = { 0, 255, 1, 2, 128, 3 };
    static const int16_t words[6] = { -32768, 32767, 1, 2, -128, 3 };
    static const int32_t labels[3] = { 7, 8, -9 };
    static const uint8_t small_labels[3] = { 5, 6, 255 };
    static const int32_t tokens[6] = { 100, 101, 110, 111, 120, 121 };
    static const float as_floats[6] = { 20, 21, 0, 1, 20, 21 };
    static const float as_bytes[6] = { 31.5f, 0.25f, -0.5f, 63.25f, 31.5f, 0.25f };
    static const float as_words[6] = { -63, 2.5f, -16383, 16384.5f, -63, 2.5f };
    static const int32_t as_tokens[6] = { 120, 121, 100, 101, 120, 121 };
    static const float as_filled[6] = { 10, 10.5f, 0, 0.5f, 10, 10.5f };
    float half = 0.5f;
    badm_batch batch;
    bench b;
    badm_tensor *y;
    const badm_ints *n;
    bench_open(&b);
    memset(&batch, 0, sizeof batch);
    batch.index = index;
    batch.count = 3;
    y = badm_rows(b.t, table, 2, &batch);
    CHECK(y->rank == 2 && y->shape[0] == 3 && y->shape[1] == 2 && badm_grad(b.t, y) == NULL);
    CHECK_INT(same_entries(badm_data(b.t, y), as_floats, 6), 6);
    y = badm_rows_u8(b.t, bytes, 2, 0.25f, -0.5f, &batch);
    CHECK(y->rank == 2 && y->shape[0] == 3 && y->shape[1] == 2);
    CHECK_INT(same_entries(badm_data(b.t, y), as_bytes, 6), 6);
    y = badm_rows_i16(b.t, words, 2, 0.5f, 1.0f, &batch);
    CHECK_INT(same_entries(badm_data(b.t, y), as_words, 6), 6);
    y = badm_rows_fill(b.t, fill_row, &half, 2, &batch);
    CHECK(y->rank == 2 && y->shape[0] == 3 && y->shape[1] == 2);
    CHECK_INT(same_entries(badm_data(b.t, y), as_filled, 6), 6);
    n = badm_labels(b.t, labels, &batch);
    CHECK(n->rank == 1 && n->shape[0] == 3 && n->data[0] == -9 && n->data[1] == 7 && n->data[2] == -9);
    n = badm_labels_u8(b.t, small_labels, &batch);
    CHECK(n->rank == 1 && n->shape[0] == 3 && n->data[0] == 255 && n->data[1] == 5 && n->data[2] == 255);
    n = badm_tokens(b.t, tokens, 2, &batch);
    CHECK(n->rank == 2 && n->shape[0] == 3 && n->shape[1] == 2 && !memcmp(n->data, as_tokens, sizeof as_tokens));
    bench_close(&b);
}

/* ----------------------------------------------------------------------------------------------------------------
   Initialisers
   ---------------------------------------------------------------------------------------------------------------- */

typedef struct { double mean, std, kurtosis, low, high; } moments;

static moments moments_of(const float *x, size_t n)
{
    moments s;
    double two = 0, four = 0;
    size_t i;
    s.mean = 0; s.low = s.high = (double)x[0];
    for (i = 0; i < n; i++) {
        double v = (double)x[i];
        s.mean += v / (double)n;
        if (v < s.low) s.low = v;
        if (v > s.high) s.high = v;
    }
    for (i = 0; i < n; i++) {
        double d = (double)x[i] - s.mean;
        two += d * d / (double)n;
        four += d * d * d * d / (double)n;
    }
    s.std = sqrt(two);
    s.kurtosis = four / (two * two);
    return s;
}

/* Mean, standard deviation and kurtosis within five standard errors of a uniform (1.8) or normal (3) distribution, and
   for the uniform one all values within the bounds and some near both ends. */
static void check_distribution(int line, const float *x, size_t n, double mean, double std, int normal)
{
    moments s = moments_of(x, n);
    double root = sqrt((double)n), kurtosis = normal ? 3.0 : 1.8;
    int before = test_failures;
    CHECK_NEAR(s.mean, mean, 5 * std / root);
    CHECK_NEAR(s.std, std, 5 * std * sqrt((kurtosis - 1) / 4) / root);
    CHECK_NEAR(s.kurtosis, kurtosis, 5 * (normal ? sqrt(24.0) : 0.9) / root);
    if (!normal) {
        double bound = sqrt(3.0) * std;
        CHECK(s.low >= mean - bound * 1.000001 && s.high <= mean + bound * 1.000001);
        CHECK_NEAR(s.low, mean - bound, 20 * bound / (double)n);
        CHECK_NEAR(s.high, mean + bound, 20 * bound / (double)n);
    }
    if (test_failures != before) printf("  line %d, %d values\n", line, (int)n);
}

TEST(initial_values_have_the_fans_and_distributions_of_torch_nn_init)
{
    size_t i;
    for (i = 0; i < sizeof golden_fans / sizeof *golden_fans; i++) {
        const golden_fan *g = &golden_fans[i];
        double in = g->fan_in, out = g->fan_out, gain = 1.4142135381698608;
        badm_model *m = badm_model_new(11 + i);
        badm_init init;
        badm_param p;
        p = badm_param_new(m, "a", g->rank, g->shape, badm_init_kaiming_uniform((float)gain));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain / sqrt(in), 0);
        p = badm_param_new(m, "b", g->rank, g->shape, badm_init_kaiming_normal((float)gain));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain / sqrt(in), 1);
        init = badm_init_kaiming_uniform((float)gain);
        init.fan_out = 1;
        p = badm_param_new(m, "c", g->rank, g->shape, init);
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain / sqrt(out), 0);
        init = badm_init_kaiming_normal((float)gain);
        init.fan_out = 1;
        p = badm_param_new(m, "d", g->rank, g->shape, init);
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain / sqrt(out), 1);
        p = badm_param_new(m, "e", g->rank, g->shape, badm_init_xavier_uniform((float)gain));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain * sqrt(2 / (in + out)), 0);
        p = badm_param_new(m, "f", g->rank, g->shape, badm_init_xavier_normal((float)gain));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 0, gain * sqrt(2 / (in + out)), 1);
        p = badm_param_new(m, "g", g->rank, g->shape, badm_init_uniform(-1.0f, 3.0f));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), 1, 4 / sqrt(12.0), 0);
        p = badm_param_new(m, "h", g->rank, g->shape, badm_init_normal(-2.0f, 0.5f));
        check_distribution(__LINE__, badm_param_values(p), badm_param_size(p), -2, 0.5, 1);
        p = badm_param_new(m, "i", g->rank, g->shape, badm_init_constant(0.25f));
        CHECK_NEAR(moments_of(badm_param_values(p), badm_param_size(p)).low, 0.25, 0);
        CHECK_NEAR(moments_of(badm_param_values(p), badm_param_size(p)).high, 0.25, 0);
        CHECK_TEXT(badm_model_error(m), "");
        CHECK_INT(badm_model_result(m), BADM_OK);
        badm_model_free(m);
    }
}

TEST(gains_are_those_of_torch)
{
    size_t i;
    for (i = 0; i < sizeof golden_gains / sizeof *golden_gains; i++)
        CHECK_NEAR(badm_gain(golden_gains[i].of, golden_gains[i].slope), golden_gains[i].gain, 2e-7);
}

TEST(layers_start_like_those_of_torch_nn)
{
    badm_model *m = badm_model_new(5), *again = badm_model_new(5), *other = badm_model_new(6);
    badm_linear l = badm_linear_new(m, "l", 64, 50), l1 = badm_linear_new(again, "l", 64, 50);
    badm_linear l2 = badm_linear_new(other, "l", 64, 50);
    badm_linear wide = badm_linear_new(m, "wide", 4, 2000);
    badm_embedding e = badm_embedding_new(m, "e", 60, 40);
    check_distribution(__LINE__, badm_param_values(l.weight), 64 * 50, 0, 1 / sqrt(64.0) / sqrt(3.0), 0);
    check_distribution(__LINE__, badm_param_values(wide.bias), 2000, 0, 1 / sqrt(4.0) / sqrt(3.0), 0);
    check_distribution(__LINE__, badm_param_values(e.weight), 60 * 40, 0, 1, 1);
    CHECK_INT(same_entries(badm_param_values(l.weight), badm_param_values(l1.weight), 64 * 50), 64 * 50);
    CHECK(same_entries(badm_param_values(l.weight), badm_param_values(l2.weight), 64 * 50) < 16);
    CHECK(same_entries(badm_param_values(l.weight), badm_param_values(wide.weight), 64 * 50) < 16);
    badm_model_free(m);
    badm_model_free(again);
    badm_model_free(other);
}

static badm_tensor *product_with_itself(badm_tape *t, const badm_batch *b, void *user)
{
    badm_param w = *(const badm_param *)user;
    badm_tensor *x = badm_param_use(t, w), *y = badm_affine(t, x, x, NULL);
    (void)b;
    return badm_mean(t, badm_mul(t, badm_matmul(t, x, x), y));
}

/* Both gradients go to the same place: what comes first begins it, what follows adds. */
TEST(a_tensor_may_be_both_factors_of_a_product)
{
    badm_model *m = badm_model_new(1);
    badm_dim shape[2] = { 12, 12 };
    badm_param w = badm_param_new(m, "w", 2, shape, badm_init_normal(0, 1));
    badm_gradient_check check;
    CHECK_INT(badm_check_gradients(m, product_with_itself, &w, 1, 0, 0, &check), BADM_OK);
    CHECK_NEAR(check.worst, 0, 2e-2);
    badm_model_free(m);
}

TEST_MAIN(
    RUN(a_tensor_may_be_both_factors_of_a_product)
    RUN(broadcasting_operations_agree_with_pytorch) RUN(elementwise_functions_agree_with_pytorch)
    RUN(matrix_products_agree_with_pytorch) RUN(softmaxes_agree_with_pytorch) RUN(losses_agree_with_pytorch)
    RUN(sums_agree_with_pytorch) RUN(rearrangements_agree_with_pytorch)
    RUN(gradients_of_several_uses_add_up_as_in_pytorch) RUN(broadcasting_operations_agree_with_finite_differences)
    RUN(elementwise_functions_agree_with_finite_differences) RUN(matrix_products_agree_with_finite_differences)
    RUN(softmaxes_agree_with_finite_differences) RUN(losses_agree_with_finite_differences)
    RUN(sums_agree_with_finite_differences) RUN(rearrangements_agree_with_finite_differences)
    RUN(gradients_of_several_uses_agree_with_finite_differences)
    RUN(an_operation_made_outside_the_header_passes_finite_differences) RUN(shapes_that_do_not_broadcast_are_refused)
    RUN(products_of_shapes_that_do_not_fit_are_refused) RUN(targets_of_another_shape_are_refused)
    RUN(axes_and_ranges_outside_a_tensor_are_refused) RUN(a_dropout_probability_outside_0_to_1_is_refused)
    RUN(labels_and_indices_out_of_range_are_refused) RUN(a_tape_keeps_its_first_error) RUN(backward_wants_a_scalar)
    RUN(shapes_without_elements_or_of_five_dimensions_are_refused) RUN(sizes_that_overflow_are_refused)
    RUN(saturated_functions_are_finite_and_exact) RUN(kinks_have_pytorchs_gradient)
    RUN(softmax_of_huge_logits_is_finite) RUN(bce_of_huge_logits_is_finite)
    RUN(cross_entropy_of_ignored_rows_only_is_zero_with_zero_gradient) RUN(not_a_number_goes_through_every_operation)
    RUN(dropout_keeps_the_expectation_and_its_gradient_is_the_mask)
    RUN(a_dropout_mask_is_a_function_of_seed_and_place) RUN(dropout_is_the_identity_while_evaluating_and_for_p_0)
    RUN(no_gradient_passes_detach) RUN(gradients_of_parameters_are_added_to_the_watched_vector)
    RUN(a_parameter_used_twice_gets_both_gradients) RUN(frozen_and_foreign_parameters_have_no_gradient)
    RUN(a_tape_without_gradients_records_none) RUN(an_input_wants_no_gradient_and_a_variable_does)
    RUN(a_dump_names_operations_and_shapes) RUN(a_tape_that_is_full_says_so_and_can_be_used_again)
    RUN(a_linear_layer_is_affine_of_its_parameters) RUN(an_embedding_gathers_rows_of_its_parameter)
    RUN(rows_labels_and_tokens_follow_the_batchs_index)
    RUN(initial_values_have_the_fans_and_distributions_of_torch_nn_init) RUN(gains_are_those_of_torch)
    RUN(layers_start_like_those_of_torch_nn)
)
