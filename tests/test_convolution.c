/* >>convolution, and its layers.

   Every operation runs over a table of cases (tests/golden/convolution.h, made with PyTorch): shapes, arguments, and what PyTorch
   gave forward and backward. Networks of all layers are checked against finite differences, and their bits between sub-batches,
   workers and instruction sets. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/convolution.h"

enum { CASES = sizeof golden_cases / sizeof *golden_cases };

/* ----------------------------------------------------------------------------------------------------------------
   Against PyTorch
   ---------------------------------------------------------------------------------------------------------------- */

#define PYTORCH_TOLERANCE 1e-5      /* of the largest entry of the tensor */

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

static badm_conv conv_of_args(const badm_dim *a)
{
    badm_conv c = badm_conv_defaults();
    memcpy(c.stride, a, sizeof c.stride);
    memcpy(c.padding, a + 2, sizeof c.padding);
    memcpy(c.dilation, a + 4, sizeof c.dilation);
    memcpy(c.output_padding, a + 6, sizeof c.output_padding);
    c.groups = a[8];
    return c;
}

static badm_tensor *case_graph(badm_tape *t, const golden_windows *c, badm_tensor *const *x)
{
    const char *name = c->operation;
    badm_tensor *bias = c->inputs > 2 ? x[2] : NULL;
    if (!strcmp(name, "conv2d")) return badm_conv2d(t, x[0], x[1], bias, conv_of_args(c->args));
    if (!strcmp(name, "conv1d")) return badm_conv1d(t, x[0], x[1], bias, conv_of_args(c->args));
    if (!strcmp(name, "conv_transpose2d")) return badm_conv_transpose2d(t, x[0], x[1], bias, conv_of_args(c->args));
    if (!strcmp(name, "max_pool2d")) return badm_max_pool2d(t, x[0], c->args[0], c->args[1], c->args[2]);
    if (!strcmp(name, "avg_pool2d")) return badm_avg_pool2d(t, x[0], c->args[0], c->args[1], c->args[2]);
    if (!strcmp(name, "global_avg_pool2d")) return badm_global_avg_pool2d(t, x[0]);
    if (!strcmp(name, "upsample_nearest2d")) return badm_upsample_nearest2d(t, x[0], c->args[0]);
    if (!strcmp(name, "upsample_bilinear2d")) return badm_upsample_bilinear2d(t, x[0], c->args[0]);
    printf("no operation is called %s\n", name);
    test_failures++;
    return x[0];
}

static badm_tensor *golden_variable(badm_tape *t, const golden_tensor *g, int wants)
{
    float *p = numbers(golden_size(g));
    badm_tensor *x;
    golden_fill(g->kind, g->seed, p, golden_size(g));
    x = wants ? badm_variable(t, g->rank, g->shape, p) : badm_input(t, g->rank, g->shape, p);
    free(p);
    return x;
}

static void case_says(const golden_windows *c, const char *what, double got, double bar)
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

/* The stored entries, and the weighted sum of all: with entries off by at most the tolerance and at random, the sum
   (weights of mean square 4/3) is off by less than twice the square root of their number. */
static void check_golden(const golden_windows *c, const golden_tensor *g, const float *got, double times, const char *what)
{
    size_t n = golden_size(g), i;
    double sum = 0, bar = PYTORCH_TOLERANCE, difference = 0, largest = (double)g->largest > 1e-30 ? (double)g->largest : 1e-30;
    if (times == 1) difference = golden_difference(got, golden_values + g->first, g->stored, g->stride, largest);
    else for (i = 0; i < g->stored; i++) {
        double d = fabs((double)got[i * g->stride] / times - (double)golden_values[g->first + i]) / largest;
        if (!(d <= difference)) difference = d;
    }
    if (!(difference <= bar)) case_says(c, what, difference, bar);
    for (i = 0; i < n; i++)
        sum += (double)got[i] / times * (double)golden_number(GOLDEN_REAL, GOLDEN_CHECKSUM_SEED, (uint32_t)i);
    bar = 2 * sqrt((double)n) * PYTORCH_TOLERANCE * (double)g->largest + 1e-7 * fabs((double)g->checksum);
    difference = fabs(sum - (double)g->checksum);
    if (!(difference <= bar)) case_says(c, "weighted sum of all entries", difference, bar);
}

/* uses: the operation is applied so often to the same inputs; gradients add up. */
static void check_case(badm_tape *t, const golden_windows *c, int uses)
{
    static const char *const gradient_of[3] = { "gradient of input 0", "gradient of input 1", "gradient of input 2" };
    const golden_tensor *out = &golden_tensors[c->tensor + c->inputs];
    badm_tensor *x[3], *y = NULL, *upstream, *loss = NULL;
    char text[256];
    uint32_t i;
    badm_tape_reset(t);
    for (i = 0; i < c->inputs; i++) x[i] = golden_variable(t, &golden_tensors[c->tensor + i], 1);
    upstream = golden_variable(t, out, 0);
    for (i = 0; i < (uint32_t)uses; i++) {
        y = case_graph(t, c, x);
        if (badm_size(y) == golden_size(out)) {
            badm_tensor *sum = badm_sum(t, badm_mul(t, y, upstream));
            loss = loss ? badm_add(t, loss, sum) : sum;
        }
    }
    if (badm_tape_error(t)->code != BADM_OK) {
        badm_error_text(badm_tape_error(t), text, sizeof text);
        case_says(c, text, 0, 0);
        return;
    }
    CHECK(y->rank == out->rank && !memcmp(y->shape, out->shape, out->rank * sizeof *out->shape));
    if (badm_size(y) != golden_size(out)) {
        case_says(c, "output entries", (double)badm_size(y), (double)golden_size(out));
        return;
    }
    CHECK_INT(badm_backward(t, loss), BADM_OK);
    check_golden(c, out, badm_data(t, y), 1, "output");
    for (i = 0; i < c->inputs; i++) {
        const float *dx = badm_grad(t, x[i]);
        CHECK(dx != NULL);
        if (dx) check_golden(c, &golden_tensors[c->tensor + i], dx, uses, gradient_of[i]);
    }
}

static void check_cases(const char *operation)
{
    badm_model *m = badm_model_new(1);
    badm_tape *t;
    float grads[1];
    size_t i, n = 0;
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)16 << 20), BADM_OK);
    badm_tape_watch(t, m, grads);
    for (i = 0; i < CASES; i++)
        if (!strcmp(golden_cases[i].operation, operation)) {
            check_case(t, &golden_cases[i], 1);
            check_case(t, &golden_cases[i], 2);
            n++;
        }
    CHECK(n > 0);
    badm_tape_free(t);
    badm_model_free(m);
}

TEST(conv2d_agrees_with_pytorch) { check_cases("conv2d"); }
TEST(conv1d_agrees_with_pytorch) { check_cases("conv1d"); }
TEST(conv_transpose2d_agrees_with_pytorch) { check_cases("conv_transpose2d"); }
TEST(max_pool2d_agrees_with_pytorch) { check_cases("max_pool2d"); }
TEST(avg_pool2d_agrees_with_pytorch) { check_cases("avg_pool2d"); }
TEST(global_avg_pool2d_agrees_with_pytorch) { check_cases("global_avg_pool2d"); }
TEST(upsample_nearest2d_agrees_with_pytorch) { check_cases("upsample_nearest2d"); }
TEST(upsample_bilinear2d_agrees_with_pytorch) { check_cases("upsample_bilinear2d"); }


/* ----------------------------------------------------------------------------------------------------------------
   A network of all layers: finite differences, bits
   ---------------------------------------------------------------------------------------------------------------- */

enum { SAMPLES = 24, SIDE = 12, CLASSES = 5 };

typedef struct { badm_conv_layer first, depthwise, second, up, line; badm_linear out; float *x; int32_t labels[SAMPLES]; } net;

static badm_tensor *net_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_dim shape[4];
    badm_tensor *x, *y;
    shape[0] = (badm_dim)b->count;
    shape[1] = 1;
    shape[2] = shape[3] = SIDE;
    x = badm_reshape(t, badm_rows(t, n->x, SIDE * SIDE, b), 4, shape);
    x = badm_tanh(t, badm_conv2d_forward(t, n->first, x));                          /* 4 x 12 x 12 */
    y = badm_conv2d_forward(t, n->depthwise, badm_avg_pool2d(t, x, 2, 2, 0));       /* 4 x 6 x 6 */
    x = badm_add(t, y, badm_max_pool2d(t, x, 2, 2, 0));                             /* x has two uses */
    x = badm_tanh(t, badm_conv2d_forward(t, n->second, x));                         /* 6 x 3 x 3 */
    x = badm_conv_transpose2d_forward(t, n->up, badm_upsample_bilinear2d(t, x, 2)); /* 3 x 11 x 11 */
    x = badm_tanh(t, badm_upsample_nearest2d(t, x, 2));                             /* 3 x 22 x 22 */
    y = badm_global_avg_pool2d(t, badm_max_pool2d(t, x, 3, 2, 1));                  /* 3 */
    shape[1] = 3;
    shape[2] = 22 * 22;
    x = badm_conv1d_forward(t, n->line, badm_reshape(t, x, 3, shape));              /* 2 x 25 */
    shape[1] = 2 * 25;
    x = badm_reshape(t, x, 2, shape);
    {
        badm_tensor *both[2];
        both[0] = x;
        both[1] = y;
        x = badm_concat(t, 2, both, 1);
    }
    return badm_cross_entropy(t, badm_linear_forward(t, n->out, x), badm_labels(t, n->labels, b));
}

static badm_model *net_open(net *n)
{
    badm_model *m = badm_model_new(3);
    badm_conv c = badm_conv_of(1, 1);
    uint32_t i;
    size_t p, k;
    n->first = badm_conv2d_new(m, "first", 1, 4, 3, c);
    c.groups = 4;
    c.bias = 0;
    n->depthwise = badm_conv2d_new(m, "depthwise", 4, 4, 3, c);
    n->second = badm_conv2d_new(m, "second", 4, 6, 3, badm_conv_of(2, 1));
    c = badm_conv_of(2, 1);
    c.groups = 3;
    n->up = badm_conv_transpose2d_new(m, "up", 6, 3, 3, c);
    c = badm_conv_of(20, 0);
    c.dilation[0] = 2;
    n->line = badm_conv1d_new(m, "line", 3, 2, 2, c);
    n->out = badm_linear_new(m, "out", 2 * 25 + 3, CLASSES);
    n->x = numbers(SAMPLES * SIDE * SIDE);
    golden_fill(GOLDEN_REAL, 5, n->x, SAMPLES * SIDE * SIDE);
    for (i = 0; i < SAMPLES; i++) n->labels[i] = (int32_t)(i % CLASSES);
    CHECK_INT(badm_model_result(m), BADM_OK);
    for (p = 0; p < badm_param_count(m); p++)           /* large enough for all gradients to be well above the rounding */
        for (k = 0; k < badm_param_size(badm_param_at(m, p)); k++) badm_param_data(badm_param_at(m, p))[k] *= 2.5f;
    return m;
}

static void net_close(net *n, badm_model *m)
{
    free(n->x);
    badm_model_free(m);
}

TEST(a_network_of_all_layers_agrees_with_finite_differences)
{
    net n;
    badm_model *m = net_open(&n);
    badm_gradient_check worst;
    CHECK_INT(badm_check_gradients(m, net_loss, &n, 3, 12, 4e-3f, &worst), BADM_OK);
    CHECK_NEAR(worst.worst, 0, 4e-2);
    net_close(&n, m);
}

/* What training leaves, as a hash; and a report of what went wrong. */
static uint64_t train(uint32_t S, uint32_t W, uint32_t micro, float *loss)
{
    net n;
    badm_model *m = net_open(&n);
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    uint64_t hash;
    int i;
    badm_trainer_defaults(&d);
    d.model = m;
    d.loss = net_loss;
    d.user = &n;
    d.max_batch = SAMPLES;
    d.sub_batches = S;
    d.workers = W;
    d.micro_batch = micro;
    d.method = badm_method_momentum();
    d.lr = 0.1f;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    memset(&r, 0, sizeof r);
    for (i = 0; tr && i < 25; i++) CHECK_INT(badm_step(tr, NULL, i == 5 ? 7 : SAMPLES, &r), BADM_OK);
    *loss = r.loss;
    CHECK_INT(r.tape_growths, 0);
    hash = badm_model_hash(m);
    badm_trainer_free(tr);
    net_close(&n, m);
    return hash;
}

TEST(bits_do_not_depend_on_workers_and_training_lowers_the_loss)
{
    static const uint32_t slots[] = { 1, 3, 4 };
    float loss, other;
    size_t i;
    for (i = 0; i < sizeof slots / sizeof *slots; i++) {
        uint64_t one = train(slots[i], 1, 0, &loss), two = train(slots[i], 2, 0, &other);
        CHECK(one == two);
        CHECK(loss == other);
        CHECK(loss < 1.6f);
    }
    CHECK(train(2, 1, 5, &loss) == train(2, 3, 5, &other));
    CHECK(loss < 1.6f);
}

/* One tape computes as its level says; that of the machine is the highest. A product's chains are fused from level 1 on. */
TEST(avx2_and_avx512_give_the_same_bits)
{
    int highest = badm_i_simd_level(), level;
    size_t i, k, j;
    if (highest < 2) SKIP("no AVX-512 here");
    for (i = 0; i < CASES; i++) {
        const golden_windows *c = &golden_cases[i];
        const golden_tensor *out = &golden_tensors[c->tensor + c->inputs];
        float *kept[4] = { NULL, NULL, NULL, NULL };
        for (level = 2; level >= 1; level--) {
            badm_model *m = badm_model_new(1);
            badm_tensor *x[3], *y;
            badm_tape *t;
            float grads[1];
            CHECK_INT(badm_tape_new(&t, NULL, (size_t)16 << 20), BADM_OK);
            t->level = (uint8_t)level;
            t->full.kernels = badm_i_kernels_of(level);
            badm_tape_watch(t, m, grads);
            for (k = 0; k < c->inputs; k++) x[k] = golden_variable(t, &golden_tensors[c->tensor + k], 1);
            y = case_graph(t, c, x);
            CHECK_INT(badm_backward(t, badm_sum(t, badm_mul(t, y, golden_variable(t, out, 0)))), BADM_OK);
            for (k = 0; k <= c->inputs; k++) {
                const badm_tensor *of = k < c->inputs ? x[k] : y;
                const float *values = k < c->inputs ? badm_grad(t, x[k]) : badm_data(t, y);
                if (level == 2) {
                    kept[k] = numbers(badm_size(of));
                    memcpy(kept[k], values, badm_size(of) * sizeof(float));
                } else {
                    for (j = 0; j < badm_size(of) && !memcmp(&kept[k][j], &values[j], sizeof(float)); j++) { }
                    if (j < badm_size(of)) case_says(c, "bits differ at entry", (double)j, 0);
                    free(kept[k]);
                }
            }
            badm_tape_free(t);
            badm_model_free(m);
        }
    }
}

/* ----------------------------------------------------------------------------------------------------------------
   Layers and errors
   ---------------------------------------------------------------------------------------------------------------- */

TEST(layers_have_torchs_shapes_and_initial_bounds)
{
    size_t i, k;
    for (i = 0; i < sizeof golden_layers / sizeof *golden_layers; i++) {
        const golden_conv_layer *g = &golden_layers[i];
        badm_model *m = badm_model_new(5);
        badm_conv c = badm_conv_defaults();
        badm_conv_layer layer;
        badm_shape shape;
        float bound = 1.0f / sqrtf((float)g->fan_in), largest = 0, sum = 0;
        if (g->rank == 4) c.groups = 2;
        if (!strcmp(g->layer, "conv2d")) layer = badm_conv2d_new(m, "layer", 6, 4, 3, c);
        else if (!strcmp(g->layer, "conv1d")) layer = badm_conv1d_new(m, "layer", 6, 4, 5, c);
        else layer = badm_conv_transpose2d_new(m, "layer", 6, 4, 3, c);
        CHECK_INT(badm_model_result(m), BADM_OK);
        shape = badm_param_shape(layer.weight);
        CHECK_INT(shape.rank, g->rank);
        for (k = 0; k < g->rank; k++) CHECK_INT(shape.dim[k], g->shape[k]);
        CHECK_TEXT(badm_param_name(layer.weight), "layer.weight");
        CHECK_TEXT(badm_param_name(layer.bias), "layer.bias");
        CHECK_INT(badm_param_size(layer.bias), 4);
        for (k = 0; k < badm_param_size(layer.weight); k++) {
            float w = badm_param_values(layer.weight)[k];
            if (fabsf(w) > largest) largest = fabsf(w);
            sum += w;
        }
        CHECK(largest <= bound && largest > 0.9f * bound);
        CHECK_NEAR(sum / (float)badm_param_size(layer.weight), 0, 0.25 * (double)bound);
        for (k = 0; k < 4; k++) CHECK(fabsf(badm_param_values(layer.bias)[k]) <= bound);
        badm_model_free(m);
    }
}

TEST(channels_that_groups_do_not_divide_stick_in_the_model)
{
    static const badm_dim groups[] = { 0, 2, 3 };
    size_t i;
    for (i = 0; i < 3; i++) {
        badm_model *m = badm_model_new(1);
        badm_conv c = badm_conv_defaults();
        c.groups = groups[i];
        badm_conv2d_new(m, "layer", 4, 3, 3, c);
        CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
        badm_model_free(m);
    }
}

typedef enum { CONV2D, CONV1D, TRANSPOSE, MAX_POOL, AVG_POOL, GLOBAL, NEAREST, BILINEAR } which;

typedef struct {
    which of;
    badm_dim x[4], weight[4], bias;         /* unused dimensions are 0 */
    badm_conv c;                            /* stride[0], padding[0], padding[1]: kernel, stride, padding of a pool; or the factor */
    badm_result code;
    const char *says;
} refusal;

static badm_tensor *shaped(badm_tape *t, const badm_dim *shape)
{
    unsigned rank = 0;
    while (rank < 4 && shape[rank]) rank++;
    return badm_input(t, rank, shape, NULL);
}

TEST(shapes_and_arguments_that_do_not_fit_are_refused)
{
    static const refusal refusals[] = {
        { CONV2D, { 2, 3, 8, 8 }, { 4, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv2d: [2,3,8,8] with weight [4,3,3]: 4 dimensions of each are expected" },
        { CONV1D, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv1d: [2,3,8,8] with weight [4,3,3,3]: 3 dimensions of each are expected" },
        { CONV2D, { 2, 3, 8, 8 }, { 4, 2, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv2d: [2,3,8,8] with weight [4,2,3,3] in groups of 1: the channels do not fit" },
        { CONV2D, { 2, 4, 8, 8 }, { 3, 2, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 2, 1 }, BADM_ERR_SHAPE,
          "the channels do not fit" },
        { TRANSPOSE, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv_transpose2d: [2,3,8,8] with weight [4,3,3,3] in groups of 1: the channels do not fit" },
        { CONV2D, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 5, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv2d: bias [5] with weight [4,3,3,3]: 4 numbers are expected" },
        { CONV2D, { 2, 3, 2, 8 }, { 4, 3, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv2d: [2,3,2,8] with weight [4,3,3,3]: nothing is left between the padding" },
        { TRANSPOSE, { 2, 3, 1, 1 }, { 3, 4, 2, 2 }, 0, { { 1, 1 }, { 1, 1 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "conv_transpose2d: [2,3,1,1] with weight [3,4,2,2]: nothing is left between the padding" },
        { CONV2D, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 0, { { 0, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "conv2d: stride 0 and dilation 1, at least 1 expected" },
        { CONV2D, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 0 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "conv2d: stride 1 and dilation 0, at least 1 expected" },
        { CONV2D, { 2, 3, 8, 8 }, { 4, 3, 3, 3 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 0, 1 }, BADM_ERR_ARGUMENT,
          "conv2d: 0 groups, at least 1 expected" },
        { TRANSPOSE, { 2, 3, 4, 4 }, { 3, 4, 3, 3 }, 0, { { 2, 2 }, { 1, 1 }, { 1, 1 }, { 2, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "conv_transpose2d: output_padding 2 with stride 2: less than the stride or the dilation is expected" },
        { MAX_POOL, { 2, 3, 8 }, { 0 }, 0, { { 2, 0 }, { 2, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "max_pool2d: [2,3,8]: [n,channels,height,width] is expected" },
        { MAX_POOL, { 2, 3, 8, 8 }, { 0 }, 0, { { 3, 0 }, { 1, 2 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "max_pool2d: kernel 3, padding 2" },
        { AVG_POOL, { 2, 3, 8, 8 }, { 0 }, 0, { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "avg_pool2d: kernel 0" },
        { AVG_POOL, { 2, 3, 8, 8 }, { 0 }, 0, { { 2, 0 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "a stride and a kernel over 0" },
        { AVG_POOL, { 2, 3, 2, 8 }, { 0 }, 0, { { 3, 0 }, { 1, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "avg_pool2d: [2,3,2,8]: a window of 3 does not fit with padding 0" },
        { GLOBAL, { 2, 3 }, { 0 }, 0, { { 1, 1 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "global_avg_pool2d: [2,3]: [n,channels,height,width] is expected" },
        { NEAREST, { 2, 3, 4 }, { 0 }, 0, { { 2, 0 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE,
          "upsample_nearest2d: [2,3,4]: [n,channels,height,width] is expected" },
        { BILINEAR, { 2, 3, 4, 4 }, { 0 }, 0, { { 0, 0 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "upsample_bilinear2d: [2,3,4,4] times 0" },
        { NEAREST, { 1, 1, 4, 4 }, { 0 }, 0, { { (badm_dim)-1, 0 }, { 0, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_ARGUMENT,
          "and no more than fits" },
        { CONV2D, { 1, 1, 2, 2 }, { 1, 1, 1, 1 }, 0,
          { { 1, 1 }, { (badm_dim)-1, 0 }, { 1, 1 }, { 0, 0 }, 1, 1 }, BADM_ERR_SHAPE, "the result is too large" }
    };
    badm_tape *t;
    char text[256];
    size_t i;
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)1 << 20), BADM_OK);
    for (i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        badm_tensor *x, *w = NULL, *bias = NULL;
        badm_tape_reset(t);
        x = shaped(t, r->x);
        if (r->weight[0]) w = shaped(t, r->weight);
        if (r->bias) bias = badm_input(t, 1, &r->bias, NULL);
        switch (r->of) {
        case CONV2D: badm_conv2d(t, x, w, bias, r->c); break;
        case CONV1D: badm_conv1d(t, x, w, bias, r->c); break;
        case TRANSPOSE: badm_conv_transpose2d(t, x, w, bias, r->c); break;
        case MAX_POOL: badm_max_pool2d(t, x, r->c.stride[0], r->c.padding[0], r->c.padding[1]); break;
        case AVG_POOL: badm_avg_pool2d(t, x, r->c.stride[0], r->c.padding[0], r->c.padding[1]); break;
        case GLOBAL: badm_global_avg_pool2d(t, x); break;
        case NEAREST: badm_upsample_nearest2d(t, x, r->c.stride[0]); break;
        case BILINEAR: badm_upsample_bilinear2d(t, x, r->c.stride[0]); break;
        }
        badm_error_text(badm_tape_error(t), text, sizeof text);
        CHECK_INT(badm_tape_error(t)->code, r->code);
        CHECK_TEXT(text, r->says);
    }
    badm_tape_free(t);
}

TEST(the_first_of_equal_maxima_gets_the_gradient_and_padding_never_wins)
{
    static const float values[2 * 20] = {
        1, 1, -3, -3, 5, 5, -1, -2, 7, 8,   1, 1, -3, -2, 5, 5, -1, -1, 9, 8,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,       0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    };
    static const float expected[20] = { 1, 0, 0, 0, 1, 0, 1, 0, 0, 0,   0, 0, 0, 1, 0, 0, 0, 0, 1, 0 };
    badm_dim shape[4];
    badm_model *m = badm_model_new(1);
    badm_tape *t;
    badm_tensor *x, *y;
    float grads[1], minus[9];
    size_t i;
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)1 << 20), BADM_OK);
    badm_tape_watch(t, m, grads);
    shape[0] = 1; shape[1] = 2; shape[2] = 2; shape[3] = 10;
    x = badm_variable(t, 4, shape, values);
    y = badm_max_pool2d(t, x, 2, 2, 0);
    CHECK_INT(badm_backward(t, badm_sum(t, y)), BADM_OK);
    for (i = 0; i < 20; i++) CHECK(badm_grad(t, x)[i] == expected[i]);
    for (i = 20; i < 40; i++) CHECK(badm_grad(t, x)[i] == (i < 30 && i % 2 == 0 ? 1.0f : 0.0f));
    CHECK(badm_data(t, y)[1] == -2.0f && badm_data(t, y)[3] == -1.0f && badm_data(t, y)[4] == 9.0f);
    for (i = 0; i < 9; i++) minus[i] = -1.0f - (float)i;
    shape[1] = 1; shape[2] = shape[3] = 3;
    y = badm_max_pool2d(t, badm_variable(t, 4, shape, minus), 3, 2, 1);
    for (i = 0; i < 4; i++) CHECK(badm_data(t, y)[i] < 0);
    badm_tape_free(t);
    badm_model_free(m);
}

TEST_MAIN(
    RUN(conv2d_agrees_with_pytorch) RUN(conv1d_agrees_with_pytorch) RUN(conv_transpose2d_agrees_with_pytorch)
    RUN(a_network_of_all_layers_agrees_with_finite_differences) RUN(bits_do_not_depend_on_workers_and_training_lowers_the_loss)
    RUN(avx2_and_avx512_give_the_same_bits) RUN(layers_have_torchs_shapes_and_initial_bounds)
    RUN(channels_that_groups_do_not_divide_stick_in_the_model) RUN(shapes_and_arguments_that_do_not_fit_are_refused)
    RUN(the_first_of_equal_maxima_gets_the_gradient_and_padding_never_wins)
    RUN(max_pool2d_agrees_with_pytorch) RUN(avg_pool2d_agrees_with_pytorch) RUN(global_avg_pool2d_agrees_with_pytorch)
    RUN(upsample_nearest2d_agrees_with_pytorch) RUN(upsample_bilinear2d_agrees_with_pytorch)
)
