/* >>math: every function against the C library's double precision, over the whole range of float. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

static float from_bits(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
static uint32_t to_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
static int same_bits(float a, float b) { return to_bits(a) == to_bits(b) || (a != a && b != b); }

/* |got - want| in units of the last place of a float near want. Infinity counts as 2^128, the next number if there
   were one. */
static double ulps(float got, double want)
{
    const double top = 3.402823669209385e38;        /* 2^128 */
    double g = (double)got;
    int exponent;
    if (want != want || got != got) return want != want && got != got ? 0 : 1e30;
    if (want > top) want = top;
    if (want < -top) want = -top;
    if (g > top) g = top;
    if (g < -top) g = -top;
    (void)frexp(fabs(want) < top ? want : top / 2, &exponent);
    if (want == 0 || exponent < -125) exponent = -125;          /* subnormal: 2^-149 */
    return fabs(g - want) / ldexp(1.0, exponent - 24);
}

/* The worst of about 2 million bit patterns spread evenly over all, both signs, and of the specials. */
static void compare(const char *name, float (*f)(float), double (*exact)(double), double bound)
{
    static const float special[] = { 0, 1, 2, 0.5f, 0.25f, 3, 10, 88.72283f, 88.72284f, 89, 103.97f, 104, 0.693147f,
                                     1.1754944e-38f, 1.1754942e-38f, 1.4e-45f, 3.4028235e38f, 1.0000001f, 0.99999994f,
                                     1.5707964f, 3.1415927f, 6.2831855f };
    uint64_t u;
    unsigned i;
    double worst = 0;
    float at = 0;
    for (u = 0; u <= 0xffffffffu; u += 2003) {
        float x = from_bits((uint32_t)u);
        double e = ulps(f(x), exact((double)x));
        if (e > worst) { worst = e; at = x; }
    }
    for (i = 0; i < 2 * sizeof special / sizeof *special; i++) {
        float x = i & 1 ? -special[i / 2] : special[i / 2];
        double e = ulps(f(x), exact((double)x));
        if (e > worst) { worst = e; at = x; }
    }
    printf("%-7s worst %.3f units in the last place, at %.9g\n", name, worst, (double)at);
    CHECK_NEAR(worst, 0, bound);
}

/* The floats next to k pi/2, where the cosine is small or its quadrant changes, and the float nearest to a multiple
   of pi/2 of all. */
TEST(cos_is_within_2_units_near_its_zeros)
{
    static const double half_pi = 1.57079632679489661923;
    double worst = 0;
    uint32_t k;
    int i;
    for (k = 1; k < 3000000; k += 1 + k / 1000)
        for (i = -1; i <= 1; i++) {
            float x = from_bits(to_bits((float)(k * half_pi)) + (uint32_t)i);
            double e = ulps(badm_cosf(x), cos((double)x));
            if (e > worst) worst = e;
        }
    CHECK_NEAR(worst, 0, 2);
    CHECK_NEAR(ulps(badm_cosf((float)ldexp(16367173.0, 72)), cos(ldexp(16367173.0, 72))), 0, 2);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

TEST(exp_is_within_2_units)     { compare("exp", badm_expf, exp, 2); }
TEST(log_is_within_2_units)     { compare("log", badm_logf, log, 2); }
TEST(log1p_is_within_2_units)   { compare("log1p", badm_log1pf, log1p, 2); }
TEST(cos_is_within_2_units)     { compare("cos", badm_cosf, cos, 2); }
TEST(sigmoid_is_within_2_units) { compare("sigmoid", badm_sigmoidf, sigmoid, 2); }
TEST(tanh_is_within_4_units)    { compare("tanh", badm_tanhf, tanh, 4); }
TEST(erf_is_within_4_units)     { compare("erf", badm_erff, erf, 4); }
TEST(sqrt_is_within_half_a_unit) { compare("sqrt", badm_sqrtf, sqrt, 0.5); }

/* The square root of a double, rounded to float, is the correctly rounded one: 53 >= 2*24 + 2 bits. */
TEST(sqrt_is_correctly_rounded)
{
    uint64_t u;
    unsigned bad = 0;
    for (u = 0; u <= 0xffffffffu; u += 499) {
        float x = from_bits((uint32_t)u);
        bad += !same_bits(badm_sqrtf(x), (float)sqrt((double)x));
    }
    CHECK_INT(bad, 0);
    CHECK(same_bits(badm_sqrtf(0.0f), 0.0f));
    CHECK(same_bits(badm_sqrtf(-0.0f), -0.0f));
    CHECK(badm_sqrtf(-1) != badm_sqrtf(-1));
    CHECK(badm_sqrtf(-1e-45f) != badm_sqrtf(-1e-45f));
    CHECK(same_bits(badm_sqrtf(1e-45f), (float)sqrt((double)1e-45f)));
}

TEST(not_a_number_goes_through)
{
    static float (*const f[])(float) = { badm_expf, badm_logf, badm_log1pf, badm_tanhf, badm_erff, badm_cosf,
            badm_sqrtf, badm_sigmoidf };
    static const uint32_t nan[] = { 0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu };
    unsigned i, j;
    for (i = 0; i < sizeof f / sizeof *f; i++)
        for (j = 0; j < 4; j++) { float y = f[i](from_bits(nan[j])); CHECK(y != y); }
}

TEST(limits_are_exact)
{
    const float infinity = from_bits(0x7f800000u), zero = 0.0f, minus_zero = from_bits(0x80000000u);
    CHECK(same_bits(badm_expf(zero), 1));
    CHECK(same_bits(badm_expf(minus_zero), 1));
    CHECK(same_bits(badm_expf(infinity), infinity));
    CHECK(same_bits(badm_expf(-infinity), zero));
    CHECK(same_bits(badm_expf(-200), zero));
    CHECK(same_bits(badm_expf(200), infinity));
    CHECK(same_bits(badm_logf(1), zero));
    CHECK(same_bits(badm_logf(zero), -infinity));
    CHECK(same_bits(badm_logf(minus_zero), -infinity));
    CHECK(same_bits(badm_logf(infinity), infinity));
    CHECK(badm_logf(-1) != badm_logf(-1));
    CHECK(badm_logf(-infinity) != badm_logf(-infinity));
    CHECK(same_bits(badm_log1pf(zero), zero));
    CHECK(same_bits(badm_log1pf(minus_zero), minus_zero));
    CHECK(same_bits(badm_log1pf(-1), -infinity));
    CHECK(same_bits(badm_log1pf(infinity), infinity));
    CHECK(badm_log1pf(-2) != badm_log1pf(-2));
    CHECK(same_bits(badm_tanhf(zero), zero));
    CHECK(same_bits(badm_tanhf(minus_zero), minus_zero));
    CHECK(same_bits(badm_tanhf(infinity), 1));
    CHECK(same_bits(badm_tanhf(-infinity), -1));
    CHECK(same_bits(badm_erff(zero), zero));
    CHECK(same_bits(badm_erff(minus_zero), minus_zero));
    CHECK(same_bits(badm_erff(infinity), 1));
    CHECK(same_bits(badm_erff(-infinity), -1));
    CHECK(same_bits(badm_cosf(zero), 1));
    CHECK(badm_cosf(infinity) != badm_cosf(infinity));
    CHECK(same_bits(badm_sqrtf(infinity), infinity));
    CHECK(same_bits(badm_sigmoidf(zero), 0.5f));
    CHECK(same_bits(badm_sigmoidf(infinity), 1));
    CHECK(same_bits(badm_sigmoidf(-infinity), zero));
}

/* ---- the operations' loops, which are vectorised, against the functions ---- */

static float reference(badm_tensor *(*op)(badm_tape *, badm_tensor *), float x)
{
    if (op == badm_exp) return badm_expf(x);
    if (op == badm_log) return badm_logf(x);
    if (op == badm_sqrt) return badm_sqrtf(x);
    if (op == badm_tanh) return badm_tanhf(x);
    return badm_sigmoidf(x);
}

/* Elements of op(x[0..n-1]) whose bits are not the function's. */
static unsigned other_bits(badm_tape *t, badm_tensor *(*op)(badm_tape *, badm_tensor *), const float *x, badm_dim n)
{
    badm_tensor *y;
    const float *out;
    unsigned bad = 0;
    badm_dim i;
    badm_tape_reset(t);
    y = op(t, badm_input(t, 1, &n, x));
    out = badm_data(t, y);
    if (badm_size(y) != n || !out) return n;
    for (i = 0; i < n; i++) bad += !same_bits(out[i], reference(op, x[i]));
    return bad;
}

/* Bit patterns over all floats, both signs: subnormals, infinities and NaN among them. Each length of 1..70 gets others. */
TEST(operations_have_the_bits_of_the_functions_at_every_length)
{
    enum { MANY = 65536 };
    static badm_tensor *(*const op[])(badm_tape *, badm_tensor *) = { badm_exp, badm_log, badm_sqrt, badm_tanh, badm_sigmoid };
    static float x[MANY];
    badm_tape *t;
    badm_dim n;
    unsigned i;
    for (i = 0; i < MANY; i++) x[i] = from_bits(i * 65537u + (i >> 3));
    x[1] = from_bits(0x80000000u); x[2] = from_bits(0x7f800000u); x[3] = from_bits(0xff800000u); x[5] = from_bits(0x7fc00000u);
    CHECK_INT(badm_tape_new(&t, NULL, MANY * 2 * sizeof(float) + 65536), BADM_OK);
    for (i = 0; i < sizeof op / sizeof *op; i++) {
        for (n = 1; n <= 70; n++) CHECK_INT(other_bits(t, op[i], x + (n - 1) * 907, n), 0);
        for (n = 1; n <= 70; n++) CHECK_INT(other_bits(t, op[i], x, n), 0);
        CHECK_INT(other_bits(t, op[i], x, MANY), 0);
    }
    badm_tape_free(t);
}

/* tanh and erf are odd, cos is even, and none leaves -1..1. */
TEST(symmetries_are_exact)
{
    uint64_t u;
    unsigned bad = 0;
    for (u = 0; u < 0x7f800000u; u += 10007) {
        float x = from_bits((uint32_t)u);
        bad += !same_bits(badm_tanhf(-x), -badm_tanhf(x)) || !same_bits(badm_erff(-x), -badm_erff(x)) ||
                !same_bits(badm_cosf(-x), badm_cosf(x));
        bad += badm_tanhf(x) > 1 || badm_erff(x) > 1 || badm_cosf(x) > 1 || badm_cosf(x) < -1 ||
                badm_sigmoidf(x) > 1 || badm_sigmoidf(-x) < 0;
    }
    CHECK_INT(bad, 0);
}

TEST_MAIN(
    RUN(exp_is_within_2_units)
    RUN(log_is_within_2_units)
    RUN(log1p_is_within_2_units)
    RUN(cos_is_within_2_units)
    RUN(cos_is_within_2_units_near_its_zeros)
    RUN(sigmoid_is_within_2_units)
    RUN(tanh_is_within_4_units)
    RUN(erf_is_within_4_units)
    RUN(sqrt_is_within_half_a_unit)
    RUN(sqrt_is_correctly_rounded)
    RUN(not_a_number_goes_through)
    RUN(operations_have_the_bits_of_the_functions_at_every_length)
    RUN(limits_are_exact)
    RUN(symmetries_are_exact)
)
