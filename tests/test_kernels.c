/* >>kernels: matrix products and sums against plain loops, bit by bit, in three builds of the library.
   Linked with kernels_no_simd.c and kernels_reproducible.c. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "kernels.h"

#define LARGEST 300

static float a_values[LARGEST * LARGEST], b_values[LARGEST * LARGEST], upstream[LARGEST * LARGEST],
        bias_values[LARGEST];

static void draw(float *x, size_t n, uint64_t stream)
{
    badm_rng r;
    size_t i;
    badm_rng_init(&r, 77, stream);
    for (i = 0; i < n; i++) x[i] = badm_rng_normal(&r);
}

static void draw_all(void)
{
    draw(a_values, LARGEST * LARGEST, 0);
    draw(b_values, LARGEST * LARGEST, 1);
    draw(upstream, LARGEST * LARGEST, 2);
    draw(bias_values, LARGEST, 3);
}

static kernel_job make_job(kernel_kind kind, badm_dim m, badm_dim n, badm_dim k)
{
    kernel_job job;
    job.kind = kind;
    job.m = m; job.n = n; job.k = k;
    job.a = a_values; job.b = b_values; job.bias = bias_values; job.upstream = upstream;
    job.offset = 0;
    return job;
}

/* Whether the library's vector kernels are in use here: they fuse, plain C multiplies and adds. */
static int kernels_fuse(void)
{
#if defined(BADM_NO_SIMD) || defined(BADM_REPRODUCIBLE)
    return 0;
#elif defined(__aarch64__) && defined(__GNUC__)
    return 1;
#elif defined(__x86_64__) && defined(__GNUC__) && !defined(__TINYC__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

/* Element (i,j) of the product, term by term in order of k. */
static float product_element(const kernel_job *job, size_t i, size_t j, int fused)
{
    volatile float acc = 0;             /* volatile keeps a compiler from fusing what must not be */
    size_t l;
    for (l = 0; l < job->k; l++) {
        float a = job->kind == KERNEL_MATMUL_TN ? job->a[l * job->m + i] : job->a[i * job->k + l];
        float b = job->kind == KERNEL_MATMUL || job->kind == KERNEL_MATMUL_TN ? job->b[l * job->n + j]
            : job->b[j * job->k + l];
        if (fused) acc = fmaf(a, b, acc);
        else { volatile float term = a * b; acc = acc + term; }
    }
    return acc;
}

typedef int (*kernel_build)(const kernel_job *job, kernel_result *out);

/* The number of elements of y whose bits are not those of the plain loop. */
static int wrong_elements(const kernel_job *job, kernel_build run, int fused)
{
    kernel_result r;
    size_t i, j;
    int wrong = 0;
    if (!run(job, &r)) return -1;
    for (i = 0; i < job->m; i++)
        for (j = 0; j < job->n; j++) {
            float want = product_element(job, i, j, fused);
            wrong += memcmp(&want, &r.y[i * job->n + j], sizeof want) != 0;
        }
    if (wrong) printf("kind %d, m %lu, n %lu, k %lu: %d elements differ\n", (int)job->kind, (unsigned long)job->m,
            (unsigned long)job->n,
                      (unsigned long)job->k, wrong);
    kernels_free(&r);
    return wrong;
}

/* Calls `check` for many shapes: every m with every n, k going round; then some large ones. */
static void for_shapes(kernel_kind kind, void (*check)(const kernel_job *job))
{
    static const badm_dim m[] = { 1, 2, 3, 5, 8, 15, 17, 33, 100 };
    static const badm_dim n[] = { 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100 };
    static const badm_dim k[] = { 1, 2, 3, 8, 16, 31, 100, 257 };
    static const badm_dim large[][3] = { { 257, 257, 257 }, { 64, 300, 300 }, { 300, 5, 300 }, { 1, 300, 257 },
            { 300, 300, 1 }, { 129, 1, 300 } };
    kernel_job job;
    unsigned i, j, l = 0;
    for (i = 0; i < sizeof m / sizeof *m; i++)
        for (j = 0; j < sizeof n / sizeof *n; j++) { job = make_job(kind, m[i], n[j], k[l++ % 8]); check(&job); }
    for (i = 0; i < sizeof large / sizeof *large; i++) {
        job = make_job(kind, large[i][0], large[i][1], large[i][2]);
        check(&job);
    }
}

static void check_dispatched(const kernel_job *job) { CHECK_INT(wrong_elements(job, kernels_run, kernels_fuse()), 0); }
static void check_no_simd(const kernel_job *job) { CHECK_INT(wrong_elements(job, kernels_no_simd, 0), 0); }
static void check_reproducible(const kernel_job *job) { CHECK_INT(wrong_elements(job, kernels_reproducible, 0), 0); }

TEST(matmul_is_one_fused_multiply_add_per_term_in_order)    { for_shapes(KERNEL_MATMUL, check_dispatched); }
TEST(matmul_nt_is_one_fused_multiply_add_per_term_in_order) { for_shapes(KERNEL_MATMUL_NT, check_dispatched); }
TEST(matmul_tn_is_one_fused_multiply_add_per_term_in_order) { for_shapes(KERNEL_MATMUL_TN, check_dispatched); }
TEST(affine_is_one_fused_multiply_add_per_term_in_order)
{
    for_shapes(KERNEL_AFFINE_WITHOUT_BIAS, check_dispatched);
}

TEST(plain_kernels_multiply_then_add)
{
    int kind;
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++)
        if (kind != KERNEL_AFFINE) for_shapes((kernel_kind)kind, check_no_simd);
}

TEST(reproducible_products_multiply_then_add)
{
    int kind;
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++)
        if (kind != KERNEL_AFFINE) for_shapes((kernel_kind)kind, check_reproducible);
}

/* |got - want| <= terms 2^-24 sum |a b|: the textbook bound of a sum in any order. */
static int outside(float got, double want, double absolute, size_t terms)
{
    return !(fabs((double)got - want) <= (double)(terms + 1) * 6e-8 * absolute + 1e-37);
}

/* Output and gradients of a product against double precision. */
static void check_against_double(const kernel_job *job)
{
    const size_t m = job->m, n = job->n, k = job->k;
    const int a_turned = job->kind == KERNEL_MATMUL_TN;
    const int b_turned = job->kind != KERNEL_MATMUL && job->kind != KERNEL_MATMUL_TN;
    kernel_result r;
    size_t i, j, l;
    int wrong = 0;
#define A(i, l) (double)job->a[a_turned ? (l) * m + (i) : (i) * k + (l)]
#define B(l, j) (double)job->b[b_turned ? (j) * k + (l) : (l) * n + (j)]
#define G(i, j) (double)job->upstream[(i) * n + (j)]
    if (!kernels_run(job, &r)) { CHECK(0); return; }
    for (i = 0; i < m; i++)
        for (j = 0; j < n; j++) {
            double sum = job->kind == KERNEL_AFFINE ? (double)job->bias[j] : 0, absolute = fabs(sum);
            for (l = 0; l < k; l++) { sum += A(i, l) * B(l, j); absolute += fabs(A(i, l) * B(l, j)); }
            wrong += outside(r.y[i * n + j], sum, absolute, k);
        }
    for (i = 0; i < m; i++)
        for (l = 0; l < k; l++) {
            double sum = 0, absolute = 0;
            for (j = 0; j < n; j++) { sum += G(i, j) * B(l, j); absolute += fabs(G(i, j) * B(l, j)); }
            wrong += outside(r.da[a_turned ? l * m + i : i * k + l], sum, absolute, n);
        }
    for (l = 0; l < k; l++)
        for (j = 0; j < n; j++) {
            double sum = 0, absolute = 0;
            for (i = 0; i < m; i++) { sum += A(i, l) * G(i, j); absolute += fabs(A(i, l) * G(i, j)); }
            wrong += outside(r.db[b_turned ? j * k + l : l * n + j], sum, absolute, m);
        }
    if (job->kind == KERNEL_AFFINE)
        for (j = 0; j < n; j++) {
            double sum = 0, absolute = 0;
            for (i = 0; i < m; i++) { sum += G(i, j); absolute += fabs(G(i, j)); }
            wrong += outside(r.dbias[j], sum, absolute, m);
        }
#undef A
#undef B
#undef G
    if (wrong) printf("kind %d, m %lu, n %lu, k %lu: %d numbers off\n", (int)job->kind, (unsigned long)m,
            (unsigned long)n, (unsigned long)k, wrong);
    CHECK_INT(wrong, 0);
    kernels_free(&r);
}

TEST(products_and_their_gradients_are_within_the_error_bound)
{
    int kind;
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++) for_shapes((kernel_kind)kind, check_against_double);
}

static int same_result(const kernel_job *job, const kernel_result *p, const kernel_result *q)
{
    const size_t f = sizeof(float), mk = (size_t)job->m * job->k, nk = (size_t)job->n * job->k;
    const int product = job->kind < KERNEL_PRODUCTS;
    const int has_bias = job->kind == KERNEL_AFFINE || job->kind == KERNEL_ADD_ROW;
    return p->size == q->size && !memcmp(p->y, q->y, p->size * f) && !memcmp(p->da, q->da, mk * f) &&
           (!product || !memcmp(p->db, q->db, nk * f)) &&
                   (!has_bias || !memcmp(p->dbias, q->dbias, (product ? job->n : job->k) * f));
}

static void compare_builds(const kernel_job *job, kernel_build first, kernel_build second)
{
    kernel_result p, q;
    int good = first(job, &p), also = second(job, &q), same = good && also && same_result(job, &p, &q);
    if (!same) printf("kind %d, m %lu, n %lu, k %lu\n", (int)job->kind, (unsigned long)job->m, (unsigned long)job->n,
            (unsigned long)job->k);
    CHECK(same);
    kernels_free(&p);
    kernels_free(&q);
}

static void check_products_of_slow_builds(const kernel_job *job)
{
    compare_builds(job, kernels_no_simd, kernels_reproducible);
}

/* Where there is no fused multiply-add, the default arithmetic is the reproducible one, gradients included. */
TEST(without_fused_multiply_add_the_default_is_the_reproducible_form)
{
    int kind;
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++) for_shapes((kernel_kind)kind, check_products_of_slow_builds);
}

static const badm_dim rows[] = { 1, 2, 3, 7, 16, 33, 100, 300 };
static const badm_dim columns[] = { 1, 2, 5, 8, 15, 16, 17, 31, 64, 100, 257, 300 };

/* Sums have an order that depends on shapes alone; the functions are the library's own. Neither knows of vector
   units. */
TEST(sums_and_functions_have_the_same_bits_in_every_build)
{
    unsigned i, j;
    int kind;
    for (kind = KERNEL_PRODUCTS; kind < KERNEL_KINDS; kind++)
        for (i = 0; i < sizeof rows / sizeof *rows; i++)
            for (j = 0; j < sizeof columns / sizeof *columns; j++) {
                kernel_job job = make_job((kernel_kind)kind, rows[i], 1, columns[j]);
                compare_builds(&job, kernels_run, kernels_no_simd);
                compare_builds(&job, kernels_run, kernels_reproducible);
            }
}

static size_t shift;        /* of the second run of the test below */
static int run_shifted(const kernel_job *job, kernel_result *out)
{
    kernel_job shifted = *job;
    shifted.offset = shift;
    return kernels_run(&shifted, out);
}

TEST(bits_do_not_depend_on_where_numbers_lie)
{
    static const badm_dim shapes[][3] = { { 3, 5, 7 }, { 16, 16, 16 }, { 17, 33, 100 }, { 100, 10, 64 } };
    unsigned i;
    int kind;
    for (shift = 4; shift <= 4100; shift += shift < 64 ? 4 : 1009 * 4)
        for (kind = 0; kind < KERNEL_KINDS; kind++)
            for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
                kernel_job job = make_job((kernel_kind)kind, shapes[i][0], shapes[i][1], shapes[i][2]);
                compare_builds(&job, kernels_run, run_shifted);
            }
}

TEST(sums_are_within_the_error_bound)
{
    unsigned i, j;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (j = 0; j < sizeof columns / sizeof *columns; j++) {
            const size_t m = rows[i], k = columns[j];
            double sum = 0, absolute = 0;
            kernel_job job = make_job(KERNEL_SUM, rows[i], 1, columns[j]);
            kernel_result r;
            size_t l, c;
            int wrong = 0;
            for (l = 0; l < m * k; l++) { sum += (double)a_values[l]; absolute += fabs((double)a_values[l]); }
            CHECK(kernels_run(&job, &r));
            CHECK_INT(r.size, 1);
            CHECK(!outside(r.y[0], sum, absolute, m * k));
            kernels_free(&r);
            job.kind = KERNEL_MEAN;
            CHECK(kernels_run(&job, &r));
            CHECK(!outside(r.y[0], sum / (double)(m * k), absolute / (double)(m * k), m * k + 1));
            kernels_free(&r);
            job.kind = KERNEL_SUM_AXIS_0;
            CHECK(kernels_run(&job, &r));
            CHECK_INT(r.size, k);
            for (c = 0; c < k; c++) {
                sum = absolute = 0;
                for (l = 0; l < m; l++) {
                    sum += (double)a_values[l * k + c];
                    absolute += fabs((double)a_values[l * k + c]);
                }
                wrong += outside(r.y[c], sum, absolute, m);
            }
            kernels_free(&r);
            job.kind = KERNEL_SUM_AXIS_1;
            CHECK(kernels_run(&job, &r));
            CHECK_INT(r.size, m);
            for (c = 0; c < m; c++) {
                sum = absolute = 0;
                for (l = 0; l < k; l++) {
                    sum += (double)a_values[c * k + l];
                    absolute += fabs((double)a_values[c * k + l]);
                }
                wrong += outside(r.y[c], sum, absolute, k);
            }
            kernels_free(&r);
            CHECK_INT(wrong, 0);
        }
}

TEST_MAIN(
    draw_all();
    RUN(matmul_is_one_fused_multiply_add_per_term_in_order)
    RUN(matmul_nt_is_one_fused_multiply_add_per_term_in_order)
    RUN(matmul_tn_is_one_fused_multiply_add_per_term_in_order)
    RUN(affine_is_one_fused_multiply_add_per_term_in_order)
    RUN(plain_kernels_multiply_then_add)
    RUN(reproducible_products_multiply_then_add)
    RUN(products_and_their_gradients_are_within_the_error_bound)
    RUN(without_fused_multiply_add_the_default_is_the_reproducible_form)
    RUN(sums_and_functions_have_the_same_bits_in_every_build)
    RUN(bits_do_not_depend_on_where_numbers_lie)
    RUN(sums_are_within_the_error_bound)
)
