/* Matrix products beside OpenBLAS's, and the update of the parameters beside a plain pass over the same memory.
       sh bench/kernels.sh OUT        compiles this in several ways and runs it

   kernels CSV all        everything
   kernels CSV update     only the update
   kernels CSV NAME       only the product of two 512 x 512 matrices, under this name: for other ways of compiling

   One thread, which kernels.sh keeps on one core. Both sides do c += a b on the same inputs, taking turns within one process, a
   repetition being some 70 ms of calls; the figure is the ratio of the medians. First both results are compared. Times are the
   process's processor time: others on the machine do not count, threads a peer might start would. The header of the CSV file is
   kernels.sh's; low and high are the quartiles of the repetitions' own ratios. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#define BADM_IMPLEMENTATION
#define BADM_STATIC
#include "badm.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define ON_X86
#endif

/* gcc vectorises for speed alone at -O3; clang always does. */
#if defined(__GNUC__) && !defined(__clang__)
#define VECTORISED __attribute__((optimize("O3")))
#else
#define VECTORISED
#endif

enum {
    REPETITIONS = 11, UPDATE_REPETITIONS = 41,
    SLOTS = 4, INPUTS = 400, WIDE = 1000, OUTPUTS = 500,
    PARAMETERS = WIDE * INPUTS + INPUTS * WIDE + OUTPUTS * INPUTS       /* 1,000,000 */
};

static FILE *csv;

/* ---------------------------------------------------------------------------------------------------------------------
   Small things
   --------------------------------------------------------------------------------------------------------------------- */

static void die(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "kernels: %s: %s\n", what, why);
    exit(1);
}

/* On a cache line, never freed. */
static float *need(size_t floats)
{
    unsigned char *p = (unsigned char *)malloc(floats * sizeof(float) + 64);
    if (!p) die("memory", "not enough");
    return (float *)(void *)(p + (64 - (uintptr_t)p % 64));
}

static double now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)) die("clock_gettime", "no processor time");
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What is larger than `share` of x. Sorts x. */
static double quantile(double *x, size_t n, double share)
{
    qsort(x, n, sizeof *x, ascending);
    return x[(size_t)(share * (double)(n - 1) + 0.5)];
}

static void fill(float *x, size_t n, uint64_t seed)
{
    badm_rng r;
    size_t i;
    badm_rng_init(&r, seed, 1);
    for (i = 0; i < n; i++) x[i] = 2 * badm_rng_uniform(&r) - 1;
}

/* ---------------------------------------------------------------------------------------------------------------------
   Products
   --------------------------------------------------------------------------------------------------------------------- */

/* c[m,n] += a[m,k] b[k,n]; a matrix that is turned lies in memory transposed. */
typedef struct product { size_t m, n, k; int a_turned, b_turned; float *a, *b, *c; } product;

typedef void (*multiply_fn)(const product *p);

/* What the library's operations do for a product (badm_i_multiply), with scratch from here instead of the tape. */
static void ours(const product *p)
{
    static const badm_i_kernels *set;
    static float *scratch;
    static size_t have;
    static int level;
    size_t bytes;
    if (!set) {
        level = badm_i_simd_level();
        set = badm_i_kernels_of(level);
    }
    bytes = badm_i_gemm_scratch(set, p->m, p->n, p->k, 1, 1);
    if (bytes > have) {
        scratch = need(bytes / sizeof(float));
        have = bytes;
    }
    badm_i_gemm(set, level, scratch, bytes, p->m, p->n, p->k, p->a, p->a_turned ? 1 : p->k, p->a_turned ? p->m : 1,
                p->b, p->b_turned ? 1 : p->n, p->b_turned ? p->k : 1, p->c, p->n, p->c, p->n);
}

static void openblas(const product *p)
{
    cblas_sgemm(CblasRowMajor, p->a_turned ? CblasTrans : CblasNoTrans, p->b_turned ? CblasTrans : CblasNoTrans,
                (int)p->m, (int)p->n, (int)p->k, 1.0f, p->a, (int)(p->a_turned ? p->m : p->k),
                p->b, (int)(p->b_turned ? p->k : p->n), 1.0f, p->c, (int)p->n);
}

static double time_of_calls(multiply_fn f, const product *p, size_t calls)
{
    double start = now();
    size_t i;
    for (i = 0; i < calls; i++) f(p);
    return (now() - start) / (double)calls;
}

/* Calls that take about 70 ms. */
static size_t calls_of_repetition(multiply_fn f, const product *p)
{
    size_t calls = 1;
    double each;
    while ((each = time_of_calls(f, p, calls)) * (double)calls < 0.01) calls *= 2;
    calls = (size_t)(0.07 / each);
    return calls ? calls : 1;
}

/* Both sides from the same c: they may differ by the rounding of k terms. */
static void check_that_they_agree(const char *name, const product *mine, const product *theirs)
{
    size_t i, size = mine->m * mine->n;
    double allowed = 1e-6 * (double)mine->k + 1e-5;
    fill(mine->c, size, 3);
    memcpy(theirs->c, mine->c, size * sizeof(float));
    ours(mine);
    openblas(theirs);
    for (i = 0; i < size; i++)
        if (!(fabs((double)mine->c[i] - (double)theirs->c[i]) <= allowed)) die(name, "OpenBLAS's product is another");
}

typedef struct timing { double ours, peer, ratio, low, high; } timing;

/* shape: m n k and how the matrices lie; their contents are made here. */
static timing compare(const char *name, product shape)
{
    product mine = shape, theirs;
    double times[2][REPETITIONS], ratios[REPETITIONS];
    size_t calls[2], i;
    timing t;
    mine.a = need(shape.m * shape.k);
    mine.b = need(shape.k * shape.n);
    mine.c = need(shape.m * shape.n);
    fill(mine.a, shape.m * shape.k, 1);
    fill(mine.b, shape.k * shape.n, 2);
    theirs = mine;
    theirs.c = need(shape.m * shape.n);
    check_that_they_agree(name, &mine, &theirs);
    calls[0] = calls_of_repetition(ours, &mine);
    calls[1] = calls_of_repetition(openblas, &theirs);
    for (i = 0; i < REPETITIONS; i++) {
        times[0][i] = time_of_calls(ours, &mine, calls[0]);
        times[1][i] = time_of_calls(openblas, &theirs, calls[1]);
        ratios[i] = times[1][i] / times[0][i];
    }
    t.ours = quantile(times[0], REPETITIONS, 0.5);
    t.peer = quantile(times[1], REPETITIONS, 0.5);
    t.ratio = t.peer / t.ours;
    t.low = quantile(ratios, REPETITIONS, 0.25);
    t.high = quantile(ratios, REPETITIONS, 0.75);
    return t;
}

static double gflops(const product *p, double seconds) { return 2e-9 * (double)p->m * (double)p->n * (double)p->k / seconds; }

static void row(const char *name, double mine, double theirs, double ratio, const char *unit, double low, double high)
{
    fprintf(csv, "%s,%.6g,%.6g,%.4f,%s,%.4f,%.4f\n", name, mine, theirs, ratio, unit, low, high);
}

/* Returns our GFLOPS. */
static double square(const char *name, size_t n)
{
    product p = { n, n, n, 0, 0, NULL, NULL, NULL };
    timing t = compare(name, p);
    double mine = gflops(&p, t.ours), theirs = gflops(&p, t.peer);
    printf("%s: ours %.1f GFLOPS, OpenBLAS %.1f, quartiles of the ratio %.3f to %.3f\n", name, mine, theirs, t.low, t.high);
    printf("RATIO %s %.3f\n", name, t.ratio);
    fflush(stdout);
    row(name, mine, theirs, t.ratio, "GFLOPS", t.low, t.high);
    return mine;
}

/* The products of one layer of y = x W^T, as badm_affine lays them out: forward; dW = dY^T x; dx = dY W. */
static double layer(const char *network, unsigned number, size_t batch, size_t in, size_t out, int wants_dx, unsigned *count)
{
    static const char *const kinds[3] = { "forward", "dW", "dX" };
    product p[3];
    double sum_of_logs = 0;
    int i;
    memset(p, 0, sizeof p);
    p[0].m = batch; p[0].n = out; p[0].k = in; p[0].b_turned = 1;
    p[1].m = out; p[1].n = in; p[1].k = batch; p[1].a_turned = 1;
    p[2].m = batch; p[2].n = in; p[2].k = out;
    for (i = 0; i < (wants_dx ? 3 : 2); i++) {
        char name[64];
        timing t;
        snprintf(name, sizeof name, "%s_layer%u_%s", network, number, kinds[i]);
        t = compare(name, p[i]);
        printf("shape %-24s m %4lu n %4lu k %4lu   ours %7.2f OpenBLAS %7.2f GFLOPS   ratio %.3f (%.3f to %.3f)\n", name,
               (unsigned long)p[i].m, (unsigned long)p[i].n, (unsigned long)p[i].k, gflops(&p[i], t.ours), gflops(&p[i], t.peer),
               t.ratio, t.low, t.high);
        fflush(stdout);
        row(name, gflops(&p[i], t.ours), gflops(&p[i], t.peer), t.ratio, "GFLOPS", t.low, t.high);
        sum_of_logs += log(t.ratio);
        ++*count;
    }
    return sum_of_logs;
}

static void training_shapes(void)
{
    static const struct { const char *name; size_t batch, width[4]; unsigned layers; } networks[] = {
        { "mlp", 128, { 784, 256, 128, 10 }, 3 }, { "xor", 4, { 2, 8, 1, 0 }, 2 }, { "small", 16, { 16, 32, 32, 4 }, 3 }
    };
    double sum_of_logs = 0, mean;
    unsigned count = 0, i, j;
    for (i = 0; i < sizeof networks / sizeof networks[0]; i++)
        for (j = 0; j < networks[i].layers; j++)
            sum_of_logs += layer(networks[i].name, j + 1, networks[i].batch, networks[i].width[j], networks[i].width[j + 1],
                                 j > 0, &count);
    mean = exp(sum_of_logs / count);
    printf("sgemm_training_shapes: geometric mean over %u products\n", count);
    printf("RATIO sgemm_training_shapes %.3f\n", mean);
    fprintf(csv, "sgemm_training_shapes,,,%.4f,geometric mean,,\n", mean);
}

/* ---------------------------------------------------------------------------------------------------------------------
   The core's peak: fused multiply-adds between registers, enough independent chains to hide their latency
   --------------------------------------------------------------------------------------------------------------------- */

#ifdef ON_X86

static volatile float peak_half = 0.5f, peak_sink;

/* x := x/2 + 1/2 stays a normal number. Twelve chains: more than two units with a latency of four or five cycles need, and few
   enough for gcc to unroll the loop over j and to keep every acc[j] in a register. */
#define PEAK(NAME, TARGET, VECTOR, SET, FMADD, ADD, FIRST, CHAINS, LANES)                                               \
    VECTORISED __attribute__((target(TARGET))) static double NAME(size_t rounds)                                         \
    {                                                                                                                    \
        VECTOR acc[CHAINS], half = SET(peak_half);                                                                       \
        double start;                                                                                                    \
        size_t i;                                                                                                        \
        int j;                                                                                                           \
        for (j = 0; j < CHAINS; j++) acc[j] = SET((float)j);                                                             \
        start = now();                                                                                                   \
        for (i = 0; i < rounds; i++)                                                                                     \
            for (j = 0; j < CHAINS; j++) acc[j] = FMADD(acc[j], half, half);                                             \
        start = now() - start;                                                                                           \
        for (j = 1; j < CHAINS; j++) acc[0] = ADD(acc[0], acc[j]);                                                       \
        peak_sink = FIRST(acc[0]);                                                                                       \
        return 2e-9 * LANES * CHAINS * (double)rounds / start;                                                           \
    }

PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_cvtss_f32, 12, 8)
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_cvtss_f32, 12, 16)

#endif

/* 0 where there is no such loop. */
static double peak(void)
{
#ifdef ON_X86
    int level = __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), i;
    double x[REPETITIONS], median;
    if (level > 0) {
        for (i = 0; i < REPETITIONS; i++) x[i] = level > 1 ? peak_avx512(2000000) : peak_avx2(4000000);
        median = quantile(x, REPETITIONS, 0.5);
        printf("peak: %s, best of the repetitions %.1f GFLOPS\n", level > 1 ? "AVX-512" : "AVX2", x[REPETITIONS - 1]);
        printf("RESULT peak_gflops %.1f\n", median);
        fprintf(csv, "peak_gflops,%.6g,,,GFLOPS,,\n", median);
        return median;
    }
#endif
    puts("peak: skipped; the loop is written for AVX2 and AVX-512");
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
   The update: what a step does once the slots' gradients are there
   --------------------------------------------------------------------------------------------------------------------- */

/* Where the update finds its numbers: a gradient for each slot, the averages m, the weights. */
typedef struct buffers { float *gradient[SLOTS], *m, *w; } buffers;

typedef struct update {
    badm_param weight[3];
    float inputs[SLOTS * INPUTS], targets[SLOTS * OUTPUTS];
    const buffers *pass_here;   /* not NULL: the plain pass runs once the last slot's gradient is there */
    double reported;            /* when the slot before was ready */
    double between;             /* seconds from there to the next slot's loss callback, summed over a step */
    double pass;                /* seconds of the pass */
} update;

static badm_tensor *update_loss(badm_tape *t, const badm_batch *b, void *user)
{
    update *u = (update *)user;
    badm_tensor *x;
    if (!badm_is_dry(t) && b->slot > 0) u->between += now() - u->reported;
    x = badm_affine(t, badm_rows(t, u->inputs, INPUTS, b), badm_param_use(t, u->weight[0]), NULL);
    x = badm_affine(t, x, badm_param_use(t, u->weight[1]), NULL);
    x = badm_affine(t, x, badm_param_use(t, u->weight[2]), NULL);
    return badm_mse(t, x, badm_rows(t, u->targets, OUTPUTS, b));
}

/* The peer reads SLOTS + 2 arrays and writes two of them. Called so that the numbers stay what they are. gcc at -O3 vectorises it;
   wider vectors make no difference, as memory sets the pace. */
VECTORISED static void plain_pass(size_t n, const float *restrict a, const float *restrict b, const float *restrict c,
                                  const float *restrict d, float *restrict m, float *restrict w, float keep, float add)
{
    size_t i;
    for (i = 0; i < n; i++) {
        float x = keep * m[i] + add * ((a[i] + b[i]) + (c[i] + d[i]));
        m[i] = x;
        w[i] = keep * w[i] + add * x;
    }
}

static double time_of_pass(const buffers *x)
{
    static volatile float keep = 1, add = 0;
    double start = now();
    plain_pass(PARAMETERS, x->gradient[0], x->gradient[1], x->gradient[2], x->gradient[3], x->m, x->w, keep, add);
    return now() - start;
}

static int slot_is_done(uint32_t slot, uint32_t of, void *user)
{
    update *u = (update *)user;
    if (slot + 1 == of && u->pass_here) u->pass = time_of_pass(u->pass_here);
    u->reported = now();
    return 0;
}

/* Seconds from the last slot's gradient to the end of one step: fold, norms, primal and dual step, report. */
static double update_once(badm_trainer *tr, update *u)
{
    u->between = 0;
    if (badm_step(tr, NULL, SLOTS, NULL)) die("update", badm_trainer_error(tr));
    return now() - u->reported;
}

/* The trainer's own memory, so that the pass finds it as the update does: same pages, same caches. */
static buffers buffers_of(const badm_trainer *tr)
{
    buffers x;
    int s;
    for (s = 0; s < SLOTS; s++) {
        x.gradient[s] = tr->full.gradient[s];
        if (!x.gradient[s]) die("update", "a slot has no gradient of its own");
    }
    x.m = tr->vector[0];
    x.w = tr->model->slab;
    return x;
}

/* A trainer of 1,000,000 parameters in three matrices that has made its first step. Its threads are ended then: all runs here, slot
   after slot. workers = SLOTS: every slot's gradient waits for the update in a buffer of its own. workers = 1: there is one
   buffer, and each slot's gradient is folded into the mean before the next. */
static badm_trainer *update_trainer(update *u, uint32_t workers, int monitors)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr;
    badm_trainer_desc d;
    if (!m) die("update", "not enough memory");
    memset(u, 0, sizeof *u);
    u->weight[0] = badm_linear_new_without_bias(m, "first", INPUTS, WIDE).weight;
    u->weight[1] = badm_linear_new_without_bias(m, "second", WIDE, INPUTS).weight;
    u->weight[2] = badm_linear_new_without_bias(m, "third", INPUTS, OUTPUTS).weight;
    fill(u->inputs, SLOTS * INPUTS, 4);
    fill(u->targets, SLOTS * OUTPUTS, 5);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = update_loss; d.user = u;
    d.max_batch = d.sub_batches = SLOTS;
    d.workers = workers;
    d.sigma = 100; d.rho = 900;             /* steps so short that gradients stay what they are */
    d.monitors = monitors;
    d.on_sub_batch = slot_is_done;
    d.on_sub_batch_user = u;
    if (badm_trainer_new(&tr, &d)) die("update", badm_model_error(m));
    if (badm_trainable_size(m) != PARAMETERS) die("update", "the model has another size");
    if (badm_step(tr, NULL, SLOTS, NULL)) die("update", badm_trainer_error(tr));
    badm_i_pool_stop(&tr->pool);
    return tr;
}

/* Steps that time the update and steps that time the pass in its place take turns. */
static void compare_update(const char *name, int monitors)
{
    static update u;
    double times[UPDATE_REPETITIONS], passes[UPDATE_REPETITIONS], ratios[UPDATE_REPETITIONS], ratio, mine, theirs, low, high;
    badm_trainer *tr = update_trainer(&u, SLOTS, monitors);
    badm_model *m = badm_trainer_model(tr);
    buffers x = buffers_of(tr);
    int i;
    for (i = 0; i < UPDATE_REPETITIONS; i++) {
        u.pass_here = &x;
        update_once(tr, &u);
        passes[i] = u.pass;
        u.pass_here = NULL;
        times[i] = update_once(tr, &u);
        ratios[i] = times[i] / passes[i];
    }
    mine = quantile(times, UPDATE_REPETITIONS, 0.5);
    theirs = quantile(passes, UPDATE_REPETITIONS, 0.5);
    ratio = mine / theirs;
    low = quantile(ratios, UPDATE_REPETITIONS, 0.25);
    high = quantile(ratios, UPDATE_REPETITIONS, 0.75);
    for (i = 0; i < UPDATE_REPETITIONS; i++) passes[i] = time_of_pass(&x);
    printf("%s: update %.3f ms, plain pass %.3f ms (%.1f GB/s; %.3f ms when repeated alone), quartiles of the ratio %.3f to %.3f\n",
           name, 1e3 * mine, 1e3 * theirs, 1e-9 * (SLOTS + 4) * sizeof(float) * PARAMETERS / theirs,
           1e3 * quantile(passes, UPDATE_REPETITIONS, 0.5), low, high);
    printf("RESULT %s %.3f\n", name, ratio);
    fflush(stdout);
    row(name, 1e3 * mine, 1e3 * theirs, ratio, "ms; the ratio is ours to the pass", low, high);
    badm_trainer_free(tr);
    badm_model_free(m);
}

/* With one worker what folds is spread over the step, so it is told, not compared: clearing gradients is in it. */
static void streamed_update(void)
{
    static update u;
    double times[UPDATE_REPETITIONS], between[UPDATE_REPETITIONS];
    badm_trainer *tr = update_trainer(&u, 1, 1);
    badm_model *m = badm_trainer_model(tr);
    int i;
    for (i = 0; i < UPDATE_REPETITIONS; i++) {
        times[i] = update_once(tr, &u);
        between[i] = u.between;
    }
    printf("with 1 worker: after the last slot %.3f ms; between slots, folding and clearing a gradient, %.3f ms\n",
           1e3 * quantile(times, UPDATE_REPETITIONS, 0.5), 1e3 * quantile(between, UPDATE_REPETITIONS, 0.5));
    badm_trainer_free(tr);
    badm_model_free(m);
}

static void updates(void)
{
    compare_update("update_over_pass", 1);
    compare_update("update_over_pass_without_monitors", 0);
    streamed_update();
}

int main(int argc, char **argv)
{
    double of_peak, mine;
    if (argc != 3) {
        fputs("usage: kernels CSV all | kernels CSV NAME\n", stderr);
        return 2;
    }
    csv = fopen(argv[1], "a");
    if (!csv) die(argv[1], "cannot be written");
    openblas_set_num_threads(1);
    if (!strcmp(argv[2], "update")) updates();
    else if (strcmp(argv[2], "all")) square(argv[2], 512);
    else {
        printf("OpenBLAS: %s, %s, threads %d\n", openblas_get_config(), openblas_get_corename(), openblas_get_num_threads());
        of_peak = peak();
        square("sgemm_256", 256);
        mine = square("sgemm_512", 512);
        square("sgemm_1024", 1024);
        if (of_peak > 0) {
            printf("RESULT sgemm_512_share_of_peak %.3f\n", mine / of_peak);
            fprintf(csv, "sgemm_512_share_of_peak,%.6g,%.6g,%.4f,GFLOPS,,\n", mine, of_peak, mine / of_peak);
        }
        training_shapes();
        updates();
    }
    if (fclose(csv)) die(argv[1], "writing failed");
    return 0;
}
