/* >>random: known answers, moments, and shuffling. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

TEST(philox_gives_the_published_answers)
{
    static const uint32_t in[3][6] = {      /* counter, key */
        { 0, 0, 0, 0, 0, 0 },
        { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu },
        { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u } };
    static const uint32_t want[3][4] = {
        { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u },
        { 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu },
        { 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u } };
    uint32_t out[4];
    int i, j;
    for (i = 0; i < 3; i++) {
        badm_i_philox(in[i], in[i] + 4, out);
        for (j = 0; j < 4; j++) CHECK_INT(out[j], want[i][j]);
    }
}

/* A generator's first four numbers are the four words of its first block. */
TEST(numbers_are_the_words_of_philox)
{
    static const uint32_t counter[4] = { 0, 0, 0x89abcdefu, 0x01234567u }, key[2] = { 0x76543210u, 0xfedcba98u };
    uint32_t words[4], drawn[4];
    badm_rng r;
    int i, j, found;
    badm_i_philox(counter, key, words);
    badm_rng_init(&r, 0xfedcba9876543210u, 0x0123456789abcdefu);
    for (i = 0; i < 4; i++) drawn[i] = badm_rng_u32(&r);
    for (i = 0; i < 4; i++) {
        for (found = 0, j = 0; j < 4; j++) found += drawn[j] == words[i];
        CHECK_INT(found, 1);
    }
}

TEST(a_number_is_a_function_of_seed_stream_and_place)
{
    badm_rng a, b;
    uint32_t first[10];
    int i;
    badm_rng_init(&a, 5, 6);
    for (i = 0; i < 10; i++) first[i] = badm_rng_u32(&a);
    badm_rng_init(&a, 9, 9);
    badm_rng_init(&b, 5, 6);
    for (i = 0; i < 10; i++) { (void)badm_rng_u32(&a); CHECK_INT(badm_rng_u32(&b), first[i]); }
}

/* Two independent streams of 1,000 numbers agree nowhere (the chance of one agreement is 2e-7). */
static int agreements(uint64_t seed0, uint64_t stream0, uint64_t seed1, uint64_t stream1)
{
    badm_rng a, b;
    int i, same = 0;
    badm_rng_init(&a, seed0, stream0);
    badm_rng_init(&b, seed1, stream1);
    for (i = 0; i < 1000; i++) same += badm_rng_u32(&a) == badm_rng_u32(&b);
    return same;
}

TEST(seeds_and_streams_differ_in_all_their_bits)
{
    int bit;
    for (bit = 0; bit < 64; bit++) {
        CHECK_INT(agreements(1, 2, 1 ^ ((uint64_t)1 << bit), 2), 0);
        CHECK_INT(agreements(1, 2, 1, 2 ^ ((uint64_t)1 << bit)), 0);
    }
    CHECK_INT(agreements(1, 2, 2, 1), 0);
    CHECK_INT(agreements(1, 2, 1, 2), 1000);
}

TEST(uniform_numbers_have_their_moments_and_grid)
{
    enum { N = 400000 };
    double sum = 0, squares = 0, product = 0, last = 0.5;
    float least = 1, greatest = 0;
    badm_rng r;
    int i, off_grid = 0;
    badm_rng_init(&r, 1, 0);
    for (i = 0; i < N; i++) {
        float u = badm_rng_uniform(&r);
        float scaled = u * 16777216.0f;
        off_grid += !(scaled == (float)(int32_t)scaled);
        if (u < least) least = u;
        if (u > greatest) greatest = u;
        sum += (double)u;
        squares += (double)u * (double)u;
        product += ((double)u - 0.5) * (last - 0.5);
        last = (double)u;
    }
    CHECK_INT(off_grid, 0);
    CHECK(least >= 0 && least < 1e-4f);
    CHECK(greatest < 1 && greatest > 0.9999f);
    CHECK_NEAR(sum / N, 0.5, 5 * 0.2887 / sqrt(N));             /* five standard deviations of the mean */
    CHECK_NEAR(squares / N, 1.0 / 3, 5 * 0.2981 / sqrt(N));
    CHECK_NEAR(product / N, 0, 5 * (1.0 / 12) / sqrt(N));       /* neighbours are not correlated */
}

TEST(normal_numbers_have_their_moments_and_tails)
{
    enum { N = 400000 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, product = 0, last = 0;
    badm_rng r;
    int i, beyond2 = 0, beyond4 = 0, odd = 0;
    badm_rng_init(&r, 2, 0);
    for (i = 0; i < N; i++) {
        double z = (double)badm_rng_normal(&r);
        odd += !(fabs(z) < 8);
        m1 += z; m2 += z * z; m3 += z * z * z; m4 += z * z * z * z;
        beyond2 += fabs(z) > 2;
        beyond4 += fabs(z) > 4;
        product += z * last;
        last = z;
    }
    CHECK_INT(odd, 0);
    CHECK_NEAR(m1 / N, 0, 5 / sqrt(N));
    CHECK_NEAR(m2 / N, 1, 5 * sqrt(2.0 / N));
    CHECK_NEAR(m3 / N, 0, 5 * sqrt(15.0 / N));
    CHECK_NEAR(m4 / N, 3, 5 * sqrt(96.0 / N));
    CHECK_NEAR(product / N, 0, 5 / sqrt(N));
    CHECK_NEAR(beyond2 / (double)N, 0.0455, 5 * sqrt(0.0455 / N));
    CHECK(beyond4 > 5 && beyond4 < 60);                         /* 25 expected */
}

TEST(below_is_unbiased)
{
    static const uint32_t n[] = { 2, 3, 7, 10, 1000 };
    enum { N = 200000 };
    badm_rng r;
    unsigned j, k;
    int i, low = 0;
    badm_rng_init(&r, 3, 0);
    for (j = 0; j < sizeof n / sizeof *n; j++) {
        double chi2 = 0, expected = N / (double)n[j];
        int count[1000] = { 0 };
        for (i = 0; i < N; i++) {
            uint32_t v = badm_rng_below(&r, n[j]);
            if (v < n[j]) count[v]++;
            else CHECK(v < n[j]);
        }
        for (k = 0; k < n[j]; k++) chi2 += (count[k] - expected) * (count[k] - expected) / expected;
        CHECK_NEAR(chi2, n[j] - 1, 5 * sqrt(2.0 * n[j]));
    }
    /* A remainder of 32 bits would fall into the lower third twice as often as into each other third. */
    for (i = 0; i < N; i++) low += badm_rng_below(&r, 0xC0000000u) < 0x40000000u;
    CHECK_NEAR(low / (double)N, 1.0 / 3, 5 * sqrt(2.0 / 9 / N));
}

TEST(below_of_0_and_1_is_0)
{
    badm_rng r;
    int i;
    badm_rng_init(&r, 4, 0);
    for (i = 0; i < 100; i++) { CHECK_INT(badm_rng_below(&r, 0), 0); CHECK_INT(badm_rng_below(&r, 1), 0); }
}

static int is_permutation(uint64_t seed, uint32_t epoch, uint32_t n)
{
    unsigned char *seen = (unsigned char *)calloc(n, 1);
    uint32_t i, at = 0, good = 1;
    for (i = 0; i < n && good; i++) {
        at = badm_shuffle(seed, epoch, n, i);
        good = at < n && !seen[at];
        if (good) seen[at] = 1;
    }
    free(seen);
    return good != 0;
}

TEST(shuffling_is_a_permutation_of_every_size)
{
    static const uint32_t large[] = { 1000, 4095, 4096, 4097, 60000, 65535, 65536, 65537, 1000003 };
    uint32_t n;
    unsigned i;
    for (n = 1; n <= 300; n++)
        for (i = 0; i < 4; i++)
            if (!is_permutation(i / 2, i % 2, n)) {
                printf("n %lu, seed %u, epoch %u\n", (unsigned long)n, i / 2, i % 2);
                CHECK(0);
            }
    for (i = 0; i < sizeof large / sizeof *large; i++) CHECK(is_permutation(11, 3, large[i]));
}

TEST(shuffling_reaches_sizes_near_the_largest)
{
    uint32_t i;
    for (i = 0; i < 1000; i++) {
        CHECK(badm_shuffle(1, 1, 0xffffffffu, i) < 0xffffffffu);
        CHECK(badm_shuffle(1, 1, 0x80000001u, 0x80000000u - i) <= 0x80000000u);
    }
}

/* Places at which two orders of n agree; 1 expected, 12 and more in one of 1e9 cases. */
static int fixed_points(uint64_t seed0, uint32_t epoch0, uint64_t seed1, uint32_t epoch1, uint32_t n)
{
    uint32_t i;
    int same = 0;
    for (i = 0; i < n; i++) same += badm_shuffle(seed0, epoch0, n, i) == badm_shuffle(seed1, epoch1, n, i);
    return same;
}

TEST(shuffling_differs_between_epochs_and_seeds)
{
    uint32_t k;
    for (k = 1; k < 30; k++) {
        CHECK(fixed_points(1, 0, 1, k, 1000) < 12);
        CHECK(fixed_points(1, 0, 1 + k, 0, 1000) < 12);
        CHECK(fixed_points(1, 0, 1 + ((uint64_t)k << 32), 0, 1000) < 12);
    }
    CHECK_INT(fixed_points(1, 5, 1, 5, 1000), 1000);
}

/* The correlation of place and sample, of neighbours, and of two epochs is that of chance: within 5/sqrt(n). */
TEST(shuffling_looks_random)
{
    enum { N = 10000 };
    uint32_t epoch, i;
    const double mean = (N - 1) / 2.0, variance = ((double)N * N - 1) / 12;
    for (epoch = 0; epoch < 8; epoch++) {
        double with_place = 0, with_neighbour = 0, with_last = 0;
        int ascending = 0;
        for (i = 0; i < N; i++) {
            double here = badm_shuffle(42, epoch, N, i) - mean, next = badm_shuffle(42, epoch, N, (i + 1) % N) - mean;
            with_place += here * (i - mean);
            with_neighbour += here * next;
            with_last += here * (badm_shuffle(42, epoch + 1, N, i) - mean);
            ascending += next > here;
        }
        CHECK_NEAR(with_place / N / variance, 0, 5 / sqrt(N));
        CHECK_NEAR(with_neighbour / N / variance, 0, 5 / sqrt(N));
        CHECK_NEAR(with_last / N / variance, 0, 5 / sqrt(N));
        CHECK_NEAR(ascending, N / 2, 5 * sqrt(N / 12.0));
    }
}

TEST(every_sample_visits_every_place_equally_often)
{
    enum { EPOCHS = 20000 };
    uint32_t n, epoch, i, j;
    for (n = 2; n <= 7; n++) {
        int count[7][7];
        double expected = EPOCHS / (double)n;
        memset(count, 0, sizeof count);
        for (epoch = 0; epoch < EPOCHS; epoch++)
            for (i = 0; i < n; i++) count[i][badm_shuffle(3, epoch, n, i)]++;
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) CHECK_NEAR(count[i][j], expected, 5 * sqrt(expected));
    }
}

TEST_MAIN(
    RUN(philox_gives_the_published_answers)
    RUN(numbers_are_the_words_of_philox)
    RUN(a_number_is_a_function_of_seed_stream_and_place)
    RUN(seeds_and_streams_differ_in_all_their_bits)
    RUN(uniform_numbers_have_their_moments_and_grid)
    RUN(normal_numbers_have_their_moments_and_tails)
    RUN(below_is_unbiased)
    RUN(below_of_0_and_1_is_0)
    RUN(shuffling_is_a_permutation_of_every_size)
    RUN(shuffling_reaches_sizes_near_the_largest)
    RUN(shuffling_differs_between_epochs_and_seeds)
    RUN(shuffling_looks_random)
    RUN(every_sample_visits_every_place_equally_often)
)
