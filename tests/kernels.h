/* One operation, or a small network, forward and backward, run through the public API. test_kernels.c compares the bits
   between builds of the library: as users compile it, and with the options of the kernels_*.c beside it. Each of these
   is a file that defines its options, includes badm.h and this, and ends in KERNELS_BUILD. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <stdlib.h>
#include <string.h>

typedef enum kernel_kind {
    KERNEL_MATMUL, KERNEL_MATMUL_NT, KERNEL_MATMUL_TN, KERNEL_AFFINE, KERNEL_AFFINE_WITHOUT_BIAS, KERNEL_PRODUCTS,
    KERNEL_SUM = KERNEL_PRODUCTS, KERNEL_MEAN, KERNEL_SUM_AXIS_0, KERNEL_SUM_AXIS_1, KERNEL_ADD_ROW, KERNEL_SOFTMAX,
    KERNEL_LOG_SOFTMAX, KERNEL_MSE,
    KERNEL_EXP, KERNEL_LOG, KERNEL_SQRT, KERNEL_TANH, KERNEL_SIGMOID, KERNEL_GELU, KERNEL_GELU_TANH, KERNEL_SILU,
    KERNEL_RELU, KERNEL_LEAKY_RELU, KERNEL_SCALE, KERNEL_SHIFT, KERNEL_DROPOUT, KERNEL_MEAN_AXIS_0, KERNEL_MEAN_AXIS_1,
    KERNEL_CROSS_ENTROPY,
    KERNEL_PAIRS,
    KERNEL_ADD = KERNEL_PAIRS, KERNEL_SUB, KERNEL_MUL, KERNEL_DIV, KERNEL_MSE_PAIR, KERNEL_BCE,
    KERNEL_KINDS
} kernel_kind;

/* Products take a[m,k], b[k,n] (as the kind lays them out), bias[n] and give [m,n]. All others take a[m,k], pairs b[m,k]
   as well. */
typedef struct kernel_job {
    kernel_kind kind;
    badm_dim m, n, k;
    const float *a, *b, *bias;
    const float *upstream;      /* the gradient of the output, as many as it has */
    size_t offset;              /* bytes recorded on the tape before, to shift everything in memory */
    int uses;                   /* the operation is applied so often to the same inputs: gradients are added up */
    int same;                   /* b is a itself */
} kernel_job;

/* What came out: the output and the gradients of a, b and bias. */
typedef struct kernel_result { float *y, *da, *db, *dbias; size_t size, da_size, db_size, dbias_size; } kernel_result;

/* A training run of the network below: by SGD, or by BADM with a metric. */
typedef struct kernel_training { int sgd; badm_metric metric; uint32_t sub_batches, micro_batch, steps; } kernel_training;

/* Its parameters, one after the other, as the model names them. */
enum {
    KERNELS_WIDTH = 19, KERNELS_HIDDEN = 33, KERNELS_CLASSES = 5, KERNELS_SAMPLES = 40, KERNELS_UNUSED = 21,
    KERNELS_PARAMETERS = KERNELS_HIDDEN * KERNELS_WIDTH + KERNELS_HIDDEN + KERNELS_HIDDEN * KERNELS_HIDDEN
        + KERNELS_HIDDEN + KERNELS_UNUSED + KERNELS_CLASSES * KERNELS_HIDDEN + KERNELS_CLASSES
};

/* A build of the library. The functions return 0 on any error. */
typedef struct kernel_build {
    const char *name;
    int (*fuses)(void);         /* its products fuse multiplications with additions on this machine */
    int (*run)(const kernel_job *job, kernel_result *out);
    int (*gradient)(int losses, float *out);            /* out[KERNELS_PARAMETERS] */
    int (*train)(const kernel_training *job, float *out);
} kernel_build;

extern const kernel_build kernels_default, kernels_no_simd, kernels_fused, kernels_baseline, kernels_avx2;
extern const kernel_build kernels_reproducible, kernels_reproducible_baseline, kernels_reproducible_avx2;

/* What this file's options and this machine come to. */
static inline int kernels_fuse(void)
{
#if defined(BADM_REPRODUCIBLE)
    return 0;
#elif !defined(BADM_NO_SIMD) && BADM_MAX_SIMD > 0 && defined(__GNUC__) && defined(__x86_64__)
    return BADM_MAX_SIMD > 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#elif !defined(BADM_NO_SIMD) && BADM_MAX_SIMD > 0 && defined(__GNUC__) && defined(__aarch64__)
    return 1;
#elif defined(__GNUC__) && (defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA))
    return 1;
#else
    return 0;
#endif
}

static inline const badm_ints *kernels_labels(badm_tape *t, const kernel_job *job)
{
    int32_t label[512];
    badm_dim i, n[1];
    n[0] = job->m;
    for (i = 0; i < job->m && i < 512; i++) label[i] = (int32_t)(i * 7 % job->k);
    return badm_ints_input(t, 1, n, label);
}

static inline badm_tensor *kernels_apply(badm_tape *t, const kernel_job *job, badm_tensor *a, badm_tensor *b,
        badm_tensor *bias)
{
    switch (job->kind) {
    case KERNEL_MATMUL: return badm_matmul(t, a, b);
    case KERNEL_MATMUL_NT: return badm_matmul_nt(t, a, b);
    case KERNEL_MATMUL_TN: return badm_matmul_tn(t, a, b);
    case KERNEL_AFFINE: return badm_affine(t, a, b, bias);
    case KERNEL_AFFINE_WITHOUT_BIAS: return badm_affine(t, a, b, NULL);
    case KERNEL_SUM: return badm_sum(t, a);
    case KERNEL_MEAN: return badm_mean(t, a);
    case KERNEL_SUM_AXIS_0: return badm_sum_axis(t, a, 0);
    case KERNEL_SUM_AXIS_1: return badm_sum_axis(t, a, 1);
    case KERNEL_ADD_ROW: return badm_add(t, a, bias);
    case KERNEL_SOFTMAX: return badm_softmax(t, a);
    case KERNEL_LOG_SOFTMAX: return badm_log_softmax(t, a);
    case KERNEL_MSE: return badm_mse(t, a, badm_detach(t, badm_scale(t, a, 0.5f)));
    case KERNEL_EXP: return badm_exp(t, a);
    case KERNEL_LOG: return badm_log(t, a);
    case KERNEL_SQRT: return badm_sqrt(t, a);
    case KERNEL_TANH: return badm_tanh(t, a);
    case KERNEL_SIGMOID: return badm_sigmoid(t, a);
    case KERNEL_GELU: return badm_gelu(t, a);
    case KERNEL_GELU_TANH: return badm_gelu_tanh(t, a);
    case KERNEL_SILU: return badm_silu(t, a);
    case KERNEL_LEAKY_RELU: return badm_leaky_relu(t, a, 0.01f);
    case KERNEL_SCALE: return badm_scale(t, a, 0.3f);
    case KERNEL_SHIFT: return badm_shift(t, a, 0.3f);
    case KERNEL_DROPOUT: return badm_dropout(t, a, 0.3f);
    case KERNEL_MEAN_AXIS_0: return badm_mean_axis(t, a, 0);
    case KERNEL_MEAN_AXIS_1: return badm_mean_axis(t, a, 1);
    case KERNEL_CROSS_ENTROPY: return badm_cross_entropy(t, a, kernels_labels(t, job));
    case KERNEL_ADD: return badm_add(t, a, b);
    case KERNEL_SUB: return badm_sub(t, a, b);
    case KERNEL_MUL: return badm_mul(t, a, b);
    case KERNEL_DIV: return badm_div(t, a, b);
    case KERNEL_MSE_PAIR: return badm_mse(t, a, b);
    case KERNEL_BCE: return badm_bce_with_logits(t, a, badm_detach(t, b));
    default: return badm_relu(t, a);
    }
}

static inline float *kernels_copy(const float *x, size_t n)
{
    float *y = (float *)malloc((n ? n : 1) * sizeof *y);
    if (y && x) memcpy(y, x, n * sizeof *y);
    return y;
}

static inline int kernels_run(const kernel_job *job, kernel_result *out)
{
    const size_t m = job->m, n = job->n, k = job->k;
    const int product = job->kind < KERNEL_PRODUCTS, pair = job->kind >= KERNEL_PAIRS;
    const int has_bias = job->kind == KERNEL_AFFINE || job->kind == KERNEL_ADD_ROW;
    const int b_turned = job->kind != KERNEL_MATMUL && job->kind != KERNEL_MATMUL_TN;
    badm_dim sa[2], sb[2], sbias[1], one[1] = { 1 };
    badm_model *model = badm_model_new(1);
    badm_tensor *a, *b = NULL, *bias = NULL, *y = NULL, *loss = NULL;
    badm_tape *t = NULL;
    float *grads = NULL;
    int good = 0, i;
    sa[0] = job->kind == KERNEL_MATMUL_TN ? job->k : job->m;
    sa[1] = job->kind == KERNEL_MATMUL_TN ? job->m : job->k;
    sb[0] = pair ? job->m : b_turned ? job->n : job->k;
    sb[1] = pair || b_turned ? job->k : job->n;
    sbias[0] = product ? job->n : job->k;
    memset(out, 0, sizeof *out);
    /* a tape watches a model, and this is the smallest */
    (void)badm_param_new(model, "unused", 1, one, badm_init_constant(0));
    grads = (float *)calloc(badm_trainable_size(model), sizeof *grads);
    if (grads && badm_tape_new(&t, NULL, (m * k + k * n + m * n) * 48 * (size_t)job->uses + job->offset + 65536) == BADM_OK) {
        badm_tape_watch(t, model, grads);
        badm_tape_mode(t, 1, 3);
        if (job->offset) {
            badm_dim before[1];
            before[0] = (badm_dim)(job->offset / sizeof(float));
            (void)badm_input(t, 1, before, NULL);
        }
        a = badm_variable(t, 2, sa, job->a);
        if (product || pair) b = job->same ? a : badm_variable(t, 2, sb, job->b);
        if (has_bias) bias = badm_variable(t, 1, sbias, job->bias);
        for (i = 0; i < job->uses; i++) {
            badm_tensor *part, *z = kernels_apply(t, job, a, b, bias);
            part = badm_sum(t, badm_mul(t, z, badm_input(t, z->rank, z->shape, job->upstream + i)));
            loss = i ? badm_add(t, loss, part) : part;
            if (!i) y = z;
        }
        good = badm_backward(t, loss) == BADM_OK && badm_tape_error(t)->code == BADM_OK;
        if (good) {
            out->size = badm_size(y);
            out->y = kernels_copy(badm_data(t, y), out->size);
            out->da_size = m * k;
            out->db_size = b ? badm_size(b) : 0;
            out->dbias_size = bias ? sbias[0] : 0;
            out->da = kernels_copy(badm_grad(t, a), out->da_size);
            out->db = kernels_copy(b ? badm_grad(t, b) : NULL, out->db_size);
            out->dbias = kernels_copy(bias ? badm_grad(t, bias) : NULL, out->dbias_size);
            good = out->y && out->da && out->db && out->dbias;
        }
    }
    badm_tape_free(t);
    badm_model_free(model);
    free(grads);
    return good;
}

static inline void kernels_free(kernel_result *r)
{
    free(r->y);
    free(r->da);
    free(r->db);
    free(r->dbias);
}

/* ---- a network whose parameters are used in every way: once, twice in one loss, in some samples only, never ---- */

typedef struct kernels_net {
    badm_model *model;
    badm_linear in, out;
    badm_param twice, sometimes, unused;
    float x[KERNELS_SAMPLES * KERNELS_WIDTH];
    int32_t labels[KERNELS_SAMPLES];
} kernels_net;

static inline int kernels_net_new(kernels_net *n)
{
    const badm_dim square[2] = { KERNELS_HIDDEN, KERNELS_HIDDEN }, some[1] = { KERNELS_HIDDEN }, none[1] = { KERNELS_UNUSED };
    badm_rng r;
    int i;
    badm_rng_init(&r, 4, 2);
    for (i = 0; i < KERNELS_SAMPLES * KERNELS_WIDTH; i++) n->x[i] = badm_rng_normal(&r);
    for (i = 0; i < KERNELS_SAMPLES; i++) n->labels[i] = (int32_t)(i * 3 % KERNELS_CLASSES);
    n->model = badm_model_new(6);
    n->in = badm_linear_new(n->model, "in", KERNELS_WIDTH, KERNELS_HIDDEN);
    n->twice = badm_param_new(n->model, "twice", 2, square, badm_init_kaiming_uniform(1));
    n->sometimes = badm_param_new(n->model, "sometimes", 1, some, badm_init_uniform(-1, 1));
    n->unused = badm_param_new(n->model, "unused", 1, none, badm_init_uniform(-1, 1));
    n->out = badm_linear_new(n->model, "out", KERNELS_HIDDEN, KERNELS_CLASSES);
    return badm_model_result(n->model) == BADM_OK && badm_model_size(n->model) == KERNELS_PARAMETERS;
}

static inline badm_tensor *kernels_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const kernels_net *n = (const kernels_net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->in, badm_rows(t, n->x, KERNELS_WIDTH, b)));
    badm_tensor *w = badm_param_use(t, n->twice), *logits;
    h = badm_gelu(t, badm_matmul(t, h, w));
    h = badm_silu(t, badm_affine(t, h, badm_param_use(t, n->twice), NULL));
    if (b->step % 2 == 0 && b->slot == 0) h = badm_add(t, h, badm_param_use(t, n->sometimes));
    logits = badm_linear_forward(t, n->out, h);
    return badm_add(t, badm_cross_entropy(t, logits, badm_labels(t, n->labels, b)),
                    badm_scale(t, badm_mean(t, badm_mul(t, w, w)), 0.1f));
}

/* The gradient of the first 24 samples' loss, in a vector of zeros (losses 1), or that of the last 16 (2), or the sum of
   both: by two passes over one vector (3), or by one pass over the sum of both losses (4). */
static inline int kernels_gradient(int losses, float *out)
{
    kernels_net *n = (kernels_net *)malloc(sizeof *n);
    uint32_t index[KERNELS_SAMPLES], i;
    badm_batch first, second;
    badm_tape *t = NULL;
    float *grads = NULL;
    size_t p, done = 0;
    int good = n && kernels_net_new(n);
    if (!good) { free(n); return 0; }
    for (i = 0; i < KERNELS_SAMPLES; i++) index[i] = i;
    memset(&first, 0, sizeof first);
    second = first;
    first.index = index; first.count = 24;
    second.index = index + 24; second.count = KERNELS_SAMPLES - 24;
    grads = (float *)calloc(badm_trainable_size(n->model), sizeof *grads);
    good = grads && badm_tape_new(&t, NULL, 1 << 20) == BADM_OK;
    if (good) {
        badm_tape_watch(t, n->model, grads);
        if (losses == 4)
            good = badm_backward(t, badm_add(t, kernels_loss(t, &first, n), kernels_loss(t, &second, n))) == BADM_OK;
        if (losses == 1 || losses == 3) good = badm_backward(t, kernels_loss(t, &first, n)) == BADM_OK;
        if (losses == 3) badm_tape_reset(t);
        if (losses == 2 || losses == 3) good = good && badm_backward(t, kernels_loss(t, &second, n)) == BADM_OK;
        for (p = 0; p < badm_param_count(n->model); p++) {
            badm_param q = badm_param_at(n->model, p);
            memcpy(out + done, badm_param_grad(t, q), badm_param_size(q) * sizeof *out);
            done += badm_param_size(q);
        }
    }
    badm_tape_free(t);
    badm_model_free(n->model);
    free(grads);
    free(n);
    return good;
}

static inline int kernels_train(const kernel_training *job, float *out)
{
    kernels_net *n = (kernels_net *)malloc(sizeof *n);
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    size_t p, done = 0;
    uint32_t i;
    int good = n && kernels_net_new(n);
    if (!good) { free(n); return 0; }
    badm_trainer_defaults(&d);
    d.model = n->model; d.loss = kernels_loss; d.user = n;
    d.method = job->sgd ? badm_method_sgd() : NULL; d.metric = job->metric; d.sigma = job->metric ? 100.0f : 1.0f;
    d.sub_batches = job->sub_batches; d.micro_batch = job->micro_batch;
    d.max_batch = KERNELS_SAMPLES; d.workers = 1; d.lr = 0.5f;
    good = badm_trainer_new(&tr, &d) == BADM_OK;
    for (i = 0; good && i < job->steps; i++) good = badm_step(tr, NULL, 24 + i % 2, NULL) == BADM_OK;
    for (p = 0; p < badm_param_count(n->model); p++) {
        badm_param q = badm_param_at(n->model, p);
        memcpy(out + done, badm_param_values(q), badm_param_size(q) * sizeof *out);
        done += badm_param_size(q);
    }
    badm_trainer_free(tr);
    badm_model_free(n->model);
    free(n);
    return good;
}

#define KERNELS_BUILD(name) const kernel_build name = { #name, kernels_fuse, kernels_run, kernels_gradient, kernels_train };

#endif
