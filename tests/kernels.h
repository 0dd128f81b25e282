/* One operation, forward and backward, run through the public API. test_kernels.c compares its bits between builds
   of the library: as users compile it, with BADM_NO_SIMD (kernels_no_simd.c) and with BADM_REPRODUCIBLE
   (kernels_reproducible.c). Include after badm.h. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <stdlib.h>
#include <string.h>

typedef enum kernel_kind {
    KERNEL_MATMUL, KERNEL_MATMUL_NT, KERNEL_MATMUL_TN, KERNEL_AFFINE, KERNEL_AFFINE_WITHOUT_BIAS, KERNEL_PRODUCTS,
    KERNEL_SUM = KERNEL_PRODUCTS, KERNEL_MEAN, KERNEL_SUM_AXIS_0, KERNEL_SUM_AXIS_1, KERNEL_ADD_ROW, KERNEL_SOFTMAX,
    KERNEL_LOG_SOFTMAX, KERNEL_MSE,
    KERNEL_EXP, KERNEL_LOG, KERNEL_SQRT, KERNEL_TANH, KERNEL_SIGMOID, KERNEL_GELU, KERNEL_GELU_TANH, KERNEL_SILU,
    KERNEL_RELU,
    KERNEL_KINDS
} kernel_kind;

/* Products take a[m,k], b[k,n] (as the kind lays them out), bias[n] and give [m,n]. All others take a[m,k]. */
typedef struct kernel_job {
    kernel_kind kind;
    badm_dim m, n, k;
    const float *a, *b, *bias;
    const float *upstream;      /* the gradient of the output, as many as it has */
    size_t offset;              /* bytes recorded on the tape before, to shift everything in memory */
} kernel_job;

/* What came out: the output and the gradients of a, b and bias. */
typedef struct kernel_result { float *y, *da, *db, *dbias; size_t size; } kernel_result;

/* 0 on any error. Defined by the file that includes this. */
int kernels_no_simd(const kernel_job *job, kernel_result *out);
int kernels_reproducible(const kernel_job *job, kernel_result *out);

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
    const int product = job->kind < KERNEL_PRODUCTS;
    const int has_bias = job->kind == KERNEL_AFFINE || job->kind == KERNEL_ADD_ROW;
    badm_dim sa[2], sb[2], sbias[1], one[1] = { 1 };
    badm_model *model = badm_model_new(1);
    badm_tensor *a, *b = NULL, *bias = NULL, *y, *loss;
    badm_tape *t = NULL;
    float *grads = NULL;
    int good = 0;
    sa[0] = job->kind == KERNEL_MATMUL_TN ? job->k : job->m;
    sa[1] = job->kind == KERNEL_MATMUL_TN ? job->m : job->k;
    sb[0] = job->kind == KERNEL_MATMUL || job->kind == KERNEL_MATMUL_TN ? job->k : job->n;
    sb[1] = job->kind == KERNEL_MATMUL || job->kind == KERNEL_MATMUL_TN ? job->n : job->k;
    sbias[0] = product ? job->n : job->k;
    memset(out, 0, sizeof *out);
    /* a tape watches a model, and this is the smallest */
    (void)badm_param_new(model, "unused", 1, one, badm_init_constant(0));
    grads = (float *)calloc(badm_trainable_size(model), sizeof *grads);
    if (grads && badm_tape_new(&t, NULL, (m * k + k * n + m * n) * 48 + job->offset + 65536) == BADM_OK) {
        badm_tape_watch(t, model, grads);
        if (job->offset) {
            badm_dim before[1];
            before[0] = (badm_dim)(job->offset / sizeof(float));
            (void)badm_input(t, 1, before, NULL);
        }
        a = badm_variable(t, 2, sa, job->a);
        if (product) b = badm_variable(t, 2, sb, job->b);
        if (has_bias) bias = badm_variable(t, 1, sbias, job->bias);
        y = kernels_apply(t, job, a, b, bias);
        loss = badm_sum(t, badm_mul(t, y, badm_input(t, y->rank, y->shape, job->upstream)));
        good = badm_backward(t, loss) == BADM_OK && badm_tape_error(t)->code == BADM_OK;
        if (good) {
            out->size = badm_size(y);
            out->y = kernels_copy(badm_data(t, y), out->size);
            out->da = kernels_copy(badm_grad(t, a), m * k);
            out->db = kernels_copy(b ? badm_grad(t, b) : NULL, b ? n * k : 0);
            out->dbias = kernels_copy(bias ? badm_grad(t, bias) : NULL, bias ? sbias[0] : 0);
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

#endif
