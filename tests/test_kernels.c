/* >>kernels: matrix products, sums, functions and gradients against plain loops, and bit by bit between eight builds of the
   library: this file's, and those of the kernels_*.c that it is linked with. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "kernels.h"

KERNELS_BUILD(kernels_default)

static const kernel_build *const builds[] = {
    &kernels_default, &kernels_avx2, &kernels_fused, &kernels_baseline, &kernels_no_simd, &kernels_reproducible,
    &kernels_reproducible_avx2, &kernels_reproducible_baseline
};
enum { BUILDS = sizeof builds / sizeof *builds };

#define LARGEST 300

static float a_values[LARGEST * LARGEST], b_values[LARGEST * LARGEST], upstream[LARGEST * LARGEST + 8],
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
    draw(upstream, LARGEST * LARGEST + 8, 2);
    draw(bias_values, LARGEST, 3);
}

static kernel_job make_job(kernel_kind kind, badm_dim m, badm_dim n, badm_dim k)
{
    kernel_job job;
    job.kind = kind;
    job.m = m; job.n = n; job.k = k;
    job.a = a_values; job.b = b_values; job.bias = bias_values; job.upstream = upstream;
    job.offset = 0;
    job.uses = 1;
    job.same = 0;
    return job;
}

/* Element (i,j) of the product: the bias if there is one, then term by term in order of k. */
static float product_element(const kernel_job *job, size_t i, size_t j, int fused)
{
    /* volatile keeps a compiler from fusing what must not be */
    volatile float acc = job->kind == KERNEL_AFFINE ? job->bias[j] : 0.0f;
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

/* The number of elements of y whose bits are not those of the plain loop. */
static int wrong_elements(const kernel_job *job, const kernel_build *build)
{
    const int fused = build->fuses();
    kernel_result r;
    size_t i, j;
    int wrong = 0;
    if (!build->run(job, &r)) return -1;
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

/* Shapes whose rows (or columns, turned) lie a power of two apart, so that they are packed into strips: of several heights, of
   more terms and more rows than go at once; the last columns take tiles of other heights. */
static const badm_dim packed[][3] = { { 50, 104, 256 }, { 53, 100, 512 }, { 256, 97, 50 }, { 512, 104, 33 } };

/* Calls `check` for many shapes: every m with every n, k going round; then some large ones. */
static void for_shapes(kernel_kind kind, void (*check)(const kernel_job *job))
{
    static const badm_dim m[] = { 1, 2, 3, 5, 8, 15, 17, 33, 100 };
    static const badm_dim n[] = { 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100 };
    static const badm_dim k[] = { 1, 2, 3, 8, 16, 31, 100, 257 };
    static const badm_dim large[][3] = { { 129, 100, 257 }, { 64, 300, 300 }, { 300, 5, 300 }, { 1, 300, 257 },
            { 300, 300, 1 }, { 129, 1, 300 } };
    kernel_job job;
    unsigned i, j, l = 0;
    for (i = 0; i < sizeof m / sizeof *m; i++)
        for (j = 0; j < sizeof n / sizeof *n; j++) { job = make_job(kind, m[i], n[j], k[l++ % 8]); check(&job); }
    for (i = 0; i < sizeof large / sizeof *large; i++) {
        job = make_job(kind, large[i][0], large[i][1], large[i][2]);
        check(&job);
    }
    for (i = 0; i < sizeof packed / sizeof *packed; i++) {
        job = make_job(kind, packed[i][0], packed[i][1], packed[i][2]);
        check(&job);
    }
}

static void check_default(const kernel_job *job) { CHECK_INT(wrong_elements(job, &kernels_default), 0); }
static void check_no_simd(const kernel_job *job) { CHECK_INT(wrong_elements(job, &kernels_no_simd), 0); }
static void check_reproducible(const kernel_job *job) { CHECK_INT(wrong_elements(job, &kernels_reproducible), 0); }

static void for_products(void (*check)(const kernel_job *job))
{
    int kind;
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++) for_shapes((kernel_kind)kind, check);
}

TEST(products_are_one_multiply_add_per_term_in_order)       { for_products(check_default); }
TEST(plain_kernels_multiply_and_add_in_order)               { for_products(check_no_simd); }
TEST(reproducible_products_multiply_then_add)
{
    CHECK(!kernels_reproducible.fuses());
    for_products(check_reproducible);
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

TEST(products_and_their_gradients_are_within_the_error_bound) { for_products(check_against_double); }

/* ---- builds against each other ---- */

/* Equal bits. What a NaN carries depends on the order of operands, which compilers choose: any two are equal here. */
static int same_numbers(const float *p, const float *q, size_t n)
{
    size_t i;
    if (!memcmp(p, q, n * sizeof *p)) return 1;
    for (i = 0; i < n; i++)
        if (memcmp(p + i, q + i, sizeof *p) && (p[i] == p[i] || q[i] == q[i])) return 0;
    return 1;
}

static int same_result(const kernel_result *p, const kernel_result *q)
{
    return p->size == q->size && same_numbers(p->y, q->y, p->size)
        && p->da_size == q->da_size && same_numbers(p->da, q->da, p->da_size)
        && p->db_size == q->db_size && same_numbers(p->db, q->db, p->db_size)
        && p->dbias_size == q->dbias_size && same_numbers(p->dbias, q->dbias, p->dbias_size);
}

static void print_job(const char *first, const char *second, const kernel_job *job)
{
    printf("%s, %s: kind %d, m %lu, n %lu, k %lu, uses %d, same %d\n", first, second, (int)job->kind, (unsigned long)job->m,
           (unsigned long)job->n, (unsigned long)job->k, job->uses, job->same);
}

/* Every build that `of` numbers (bit i: builds[i]) against the first one that fuses as it does; with `one`, against the first. */
static void compare_builds(const kernel_job *job, unsigned of, int one)
{
    const kernel_build *leader[2] = { NULL, NULL };
    kernel_result first[2], r;
    unsigned i;
    for (i = 0; i < BUILDS; i++) {
        int family = !one && builds[i]->fuses(), good, same;
        if (!(of & 1u << i)) continue;
        if (!leader[family]) {
            leader[family] = builds[i];
            if (!builds[i]->run(job, &first[family])) { print_job(builds[i]->name, "fails", job); CHECK(0); break; }
            continue;
        }
        good = builds[i]->run(job, &r);
        same = good && same_result(&first[family], &r);
        if (!same) print_job(leader[family]->name, builds[i]->name, job);
        CHECK(same);
        kernels_free(&r);
    }
    for (i = 0; i < 2; i++) if (leader[i]) kernels_free(&first[i]);
}

enum { ALL = (1u << BUILDS) - 1, NOT_THE_PLAIN = ALL & ~(1u << 2) & ~(1u << 4) };

/* The plain builds take part where the work is small: builds[2] may call the C library for every term. */
static void compare_products(kernel_kind kind, badm_dim m, badm_dim n, badm_dim k)
{
    kernel_job job = make_job(kind, m, n, k);
    compare_builds(&job, (size_t)m * n * k < 20000 ? ALL : NOT_THE_PLAIN, 0);
}

static const badm_dim heights[] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 33, 100
};
static const badm_dim widths[] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 70
};
static const badm_dim depths[] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 31, 32, 33, 255, 256, 257, 258, 300, 513, 784
};
enum {
    HEIGHTS = sizeof heights / sizeof *heights, WIDTHS = sizeof widths / sizeof *widths, DEPTHS = sizeof depths / sizeof *depths
};

/* Every height with every width, the kinds and depths going round; every depth with every kind at the edges of the tiles. */
TEST(products_have_the_same_bits_in_every_build)
{
    static const badm_dim edges[][2] = { { 1, 1 }, { 13, 17 }, { 25, 33 }, { 6, 40 }, { 64, 8 }, { 65, 7 } };
    unsigned i, j, l, kind = 0, depth = 0;
    for (i = 0; i < HEIGHTS; i++)
        for (j = 0; j < WIDTHS; j++) {
            compare_products((kernel_kind)kind, heights[i], widths[j], depths[depth]);
            kind = (kind + 1) % KERNEL_PRODUCTS;
            depth = (depth + 1) % 23;
            if (i % 7 == j % 7) compare_products((kernel_kind)kind, heights[i], widths[j], depths[23 + (i + j) % 7]);
        }
    for (l = 0; l < DEPTHS; l++)
        for (i = 0; i < sizeof edges / sizeof *edges; i++)
            for (kind = 0; kind < KERNEL_PRODUCTS; kind++)
                compare_products((kernel_kind)kind, edges[i][0], edges[i][1], depths[l]);
    for (i = 0; i < sizeof packed / sizeof *packed; i++)
        for (kind = 0; kind < KERNEL_PRODUCTS; kind++)
            compare_products((kernel_kind)kind, packed[i][0], packed[i][1], packed[i][2]);
}

TEST(the_widest_vectors_took_part)
{
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__TINYC__) && !defined(BADM_NO_SIMD)
    if (!__builtin_cpu_supports("avx512f")) SKIP("this machine has no AVX-512: its kernels are not compared");
    CHECK_INT(badm_i_simd_level(), BADM_MAX_SIMD - 1);
#endif
}

static const badm_dim rows[] = { 1, 2, 3, 7, 16, 33, 100, 300 };
static const badm_dim columns[] = { 1, 2, 5, 8, 15, 16, 17, 31, 64, 100, 257, 300 };

/* Sums have an order that depends on shapes alone; the functions are the library's own. Neither knows of vector units. */
TEST(sums_and_functions_have_the_same_bits_in_every_build)
{
    unsigned i, j;
    int kind;
    for (kind = KERNEL_PRODUCTS; kind < KERNEL_KINDS; kind++)
        for (i = 0; i < sizeof rows / sizeof *rows; i++)
            for (j = (i + (unsigned)kind) % 3; j < sizeof columns / sizeof *columns; j += 3) {
                kernel_job job = make_job((kernel_kind)kind, rows[i], 1, columns[j]);
                compare_builds(&job, ALL, 1);
            }
}

/* Floats of every size and kind: every bit pattern is as likely, and one in eight is special. */
static void draw_wild(float *x, size_t n, uint64_t stream)
{
    static const uint32_t special[] = {
        0, 0x80000000u, 1, 0x80000001u, 0x007fffffu, 0x00800000u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u, 0x7fc00000u,
        0x3f800000u, 0x42b17218u, 0xc2aeac50u, 0xc2cff1b5u, 0x33800000u
    };
    badm_rng r;
    size_t i;
    badm_rng_init(&r, 78, stream);
    for (i = 0; i < n; i++) {
        uint32_t u = badm_rng_u32(&r), kind = badm_rng_below(&r, 16);
        if (kind < 2) u = special[u % (sizeof special / sizeof *special)];
        else if (kind < 9) u = (u & 0x83ffffffu) | 0x3c000000u;     /* 2^-7 .. 2: where functions do something */
        memcpy(x + i, &u, sizeof u);
    }
}

static float wild_a[4096], wild_b[4096], wild_upstream[4096];

TEST(wild_numbers_give_the_same_bits_in_every_build)
{
    static const badm_dim shapes[][3] = { { 3, 5, 7 }, { 13, 17, 12 }, { 25, 33, 40 }, { 1, 40, 60 } };
    kernel_job job;
    unsigned n, i;
    int kind;
    draw_wild(wild_a, 4096, 0);
    draw_wild(wild_b, 4096, 1);
    draw_wild(wild_upstream, 4096, 2);
    for (kind = KERNEL_PRODUCTS; kind < KERNEL_KINDS; kind++)
        for (n = 1; n <= 70; n++) {
            job = make_job((kernel_kind)kind, (badm_dim)(n % 7 ? 1 : 3), 1, (badm_dim)n);
            job.a = wild_a + n * 41; job.b = wild_b + n * 41; job.bias = wild_b + n;
            if (n % 2) job.upstream = wild_upstream;
            compare_builds(&job, ALL, 1);
        }
    for (kind = 0; kind < KERNEL_PRODUCTS; kind++)
        for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            job = make_job((kernel_kind)kind, shapes[i][0], shapes[i][1], shapes[i][2]);
            job.a = wild_a; job.b = wild_b; job.bias = wild_b; job.upstream = wild_upstream;
            compare_builds(&job, ALL, 0);
        }
}

/* A gradient that is added to what stands there already: the same inputs used by two operations, or twice by one. */
TEST(gradients_that_are_added_up_have_the_same_bits_in_every_build)
{
    static const badm_dim shapes[][3] = {
        { 1, 1, 1 }, { 3, 5, 7 }, { 12, 16, 16 }, { 13, 17, 20 }, { 25, 33, 19 }, { 26, 40, 258 }
    };
    unsigned i;
    int kind;
    for (kind = 0; kind < KERNEL_KINDS; kind++)
        for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            kernel_job job = make_job((kernel_kind)kind, shapes[i][0], shapes[i][1], shapes[i][2]);
            job.uses = 2;
            compare_builds(&job, ALL, kind >= KERNEL_PRODUCTS);
            if (kind >= KERNEL_PRODUCTS && kind < KERNEL_PAIRS) continue;
            job.same = 1;
            job.n = job.m;
            if (kind == KERNEL_MATMUL || kind == KERNEL_MATMUL_TN) job.k = job.m;
            compare_builds(&job, ALL, kind >= KERNEL_PRODUCTS);
        }
}

/* ---- parameters: the network of kernels.h ---- */

enum {
    TWICE = KERNELS_HIDDEN * (KERNELS_WIDTH + 1), SOMETIMES = TWICE + KERNELS_HIDDEN * KERNELS_HIDDEN,
    UNUSED = SOMETIMES + KERNELS_HIDDEN, OUT = UNUSED + KERNELS_UNUSED
};

static float numbers[BUILDS][KERNELS_PARAMETERS], start_values[KERNELS_PARAMETERS];

/* numbers[i] is builds[i]'s: all that fuse are equal, and all that do not. */
static void compare_numbers(const char *what, unsigned n)
{
    unsigned i, j;
    for (i = 0; i < BUILDS; i++)
        for (j = 0; j < i; j++)
            if (builds[i]->fuses() == builds[j]->fuses()) {
                int same = !memcmp(numbers[i], numbers[j], sizeof numbers[i]);
                if (!same) printf("%s, %s: %s %u\n", builds[j]->name, builds[i]->name, what, n);
                CHECK(same);
                break;
            }
}

TEST(parameters_gradients_have_the_same_bits_in_every_build)
{
    unsigned i;
    int losses;
    for (losses = 1; losses <= 4; losses++) {
        for (i = 0; i < BUILDS; i++) CHECK(builds[i]->gradient(losses, numbers[i]));
        compare_numbers("losses", (unsigned)losses);
    }
}

TEST(gradients_of_two_losses_add_up)
{
    static float one[KERNELS_PARAMETERS], two[KERNELS_PARAMETERS], passes[KERNELS_PARAMETERS], sum[KERNELS_PARAMETERS];
    unsigned i, j, moved = 0;
    for (i = 0; i < BUILDS; i++) {
        CHECK(builds[i]->gradient(1, one) && builds[i]->gradient(2, two));
        CHECK(builds[i]->gradient(3, passes) && builds[i]->gradient(4, sum));
        for (j = 0; j < KERNELS_PARAMETERS; j++) {
            CHECK_NEAR(passes[j], (double)one[j] + (double)two[j], 1e-6);
            CHECK_NEAR(sum[j], (double)one[j] + (double)two[j], 1e-6);
            moved += fabsf(one[j]) > 1e-4f && fabsf(two[j]) > 1e-4f;
        }
    }
    CHECK(moved > BUILDS * KERNELS_PARAMETERS / 2);
}

static const kernel_training trainings[] = {
    { 1, BADM_PLAIN, 1, 0, 5 }, { 1, BADM_PLAIN, 1, 7, 5 }, { 1, BADM_PLAIN, 3, 0, 5 }, { 1, BADM_PLAIN, 3, 3, 5 },
    { 0, BADM_PLAIN, 2, 5, 5 }, { 0, BADM_DIAGONAL, 3, 0, 5 }, { 0, BADM_ORTHOGONAL, 2, 4, 5 }
};
enum { TRAININGS = sizeof trainings / sizeof *trainings };

TEST(training_has_the_same_bits_in_every_build)
{
    unsigned i, j;
    for (j = 0; j < TRAININGS; j++) {
        for (i = 0; i < BUILDS; i++) CHECK(builds[i]->train(trainings + j, numbers[i]));
        compare_numbers("training", j);
    }
}

/* A trainer writes gradients where others would add them to zeros: the step is w - lr g with the very g of a tape. */
TEST(a_trainer_writes_the_gradient_that_a_tape_adds_to_zero)
{
    static float g[KERNELS_PARAMETERS];
    kernel_training none = { 1, BADM_PLAIN, 1, 0, 0 }, one = { 1, BADM_PLAIN, 1, 0, 1 };
    unsigned i, j, differ;
    for (i = 0; i < BUILDS; i++) {
        CHECK(builds[i]->train(&none, start_values) && builds[i]->train(&one, numbers[i]) && builds[i]->gradient(1, g));
        for (differ = j = 0; j < KERNELS_PARAMETERS; j++) differ += numbers[i][j] != start_values[j] - 0.5f * g[j];
        CHECK_INT(differ, 0);
    }
}

TEST(a_parameter_that_a_loss_does_not_use_has_gradient_0)
{
    static const float zero[KERNELS_UNUSED] = { 0 };
    static float step[4][KERNELS_PARAMETERS];
    unsigned i, j, s;
    for (i = 0; i < BUILDS; i++) {
        for (s = 1; s <= 4; s++) {
            CHECK(builds[i]->gradient((int)s, numbers[i]));
            CHECK(!memcmp(numbers[i] + UNUSED, zero, sizeof zero));
        }
        for (j = 0; j < TRAININGS; j++) {
            kernel_training t = trainings[j];
            for (s = 0; s < 4; s++) {
                t.steps = s;
                CHECK(builds[i]->train(&t, step[s]));
                CHECK(!memcmp(step[s] + UNUSED, step[0] + UNUSED, sizeof zero));        /* never used */
            }
            /* used in the first and the third step, by the first slot */
            CHECK(memcmp(step[1] + SOMETIMES, step[0] + SOMETIMES, KERNELS_HIDDEN * sizeof(float)) != 0);
            CHECK(memcmp(step[3] + SOMETIMES, step[2] + SOMETIMES, KERNELS_HIDDEN * sizeof(float)) != 0);
            if (t.sgd) CHECK(!memcmp(step[2] + SOMETIMES, step[1] + SOMETIMES, KERNELS_HIDDEN * sizeof(float)));
            CHECK(memcmp(step[2] + OUT, step[1] + OUT, KERNELS_CLASSES * sizeof(float)) != 0);
        }
    }
}

/* ---- where numbers lie ---- */

TEST(bits_do_not_depend_on_where_numbers_lie)
{
    static const badm_dim shapes[][3] = { { 3, 5, 7 }, { 16, 16, 16 }, { 17, 33, 100 }, { 100, 10, 64 } };
    size_t shift;
    unsigned i;
    int kind;
    for (kind = 0; kind < KERNEL_KINDS; kind++)
        for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            kernel_job job = make_job((kernel_kind)kind, shapes[i][0], shapes[i][1], shapes[i][2]);
            kernel_result still, moved;
            CHECK(kernels_run(&job, &still));
            for (shift = 4; shift <= 4100; shift += shift < 64 ? 4 : 1009 * 4) {
                int same;
                job.offset = shift;
                same = kernels_run(&job, &moved) && same_result(&still, &moved);
                if (!same) print_job("moved in memory", "still", &job);
                CHECK(same);
                kernels_free(&moved);
            }
            kernels_free(&still);
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

#ifdef BADM_USE_CBLAS   /* tests/check.sh: this file's products are BLAS's, in an order of its own; the other builds' are not */
TEST_MAIN(
    draw_all();
    RUN(products_and_their_gradients_are_within_the_error_bound)
    RUN(gradients_of_two_losses_add_up)
    RUN(a_trainer_writes_the_gradient_that_a_tape_adds_to_zero)
    RUN(a_parameter_that_a_loss_does_not_use_has_gradient_0)
)
#else
TEST_MAIN(
    draw_all();
    RUN(products_are_one_multiply_add_per_term_in_order)
    RUN(plain_kernels_multiply_and_add_in_order)
    RUN(reproducible_products_multiply_then_add)
    RUN(products_and_their_gradients_are_within_the_error_bound)
    RUN(products_have_the_same_bits_in_every_build)
    RUN(the_widest_vectors_took_part)
    RUN(sums_and_functions_have_the_same_bits_in_every_build)
    RUN(wild_numbers_give_the_same_bits_in_every_build)
    RUN(gradients_that_are_added_up_have_the_same_bits_in_every_build)
    RUN(parameters_gradients_have_the_same_bits_in_every_build)
    RUN(gradients_of_two_losses_add_up)
    RUN(training_has_the_same_bits_in_every_build)
    RUN(a_trainer_writes_the_gradient_that_a_tape_adds_to_zero)
    RUN(a_parameter_that_a_loss_does_not_use_has_gradient_0)
    RUN(bits_do_not_depend_on_where_numbers_lie)
    RUN(sums_are_within_the_error_bound)
)
#endif
