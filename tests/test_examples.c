/* What the examples share: the Frechet distance, pictures and CIFAR-10's files. */
#define PROGRAM "test_examples"
#define BADM_IMPLEMENTATION
#include "../examples/example_images.h"     /* first: it asks for POSIX; includes badm.h */
#include "../examples/example_frechet.h"
#include "../examples/example_cifar.h"
#include "test.h"

enum { WIDTH = 24 };

/* Rows of v: some orthonormal basis. */
static void make_basis(double *v)
{
    static double symmetric[WIDTH * WIDTH];
    badm_rng r;
    size_t i, j;
    badm_rng_init(&r, 7, 0);
    for (i = 0; i < WIDTH; i++)
        for (j = 0; j <= i; j++) symmetric[i * WIDTH + j] = symmetric[j * WIDTH + i] = (double)badm_rng_normal(&r);
    jacobi(symmetric, v, WIDTH);
}

TEST(jacobi_gives_an_orthonormal_basis)
{
    static double v[WIDTH * WIDTH];
    size_t i, j, k;
    make_basis(v);
    for (i = 0; i < WIDTH; i++)
        for (j = 0; j < WIDTH; j++) {
            double dot = 0;
            for (k = 0; k < WIDTH; k++) dot += v[i * WIDTH + k] * v[j * WIDTH + k];
            CHECK_NEAR(dot, i == j, 1e-12);
        }
}

/* Covariances with the same eigenvectors: |a - b|^2 + sum (sqrt x - sqrt y)^2. */
TEST(frechet_distance_of_commuting_covariances)
{
    static double v[WIDTH * WIDTH];
    gaussian a, b;
    double expected = 0;
    size_t i, j, k;
    make_basis(v);
    CHECK(gaussian_new(&a, WIDTH) && gaussian_new(&b, WIDTH));
    for (i = 0; i < WIDTH; i++) {
        double x = i % 3 ? 1 / (1 + (double)i) : 0, y = 0.5 + 0.1 * (double)i, d = 0.1 * (double)i - 0.2;
        a.mean[i] = d;
        expected += d * d + (sqrt(x) - sqrt(y)) * (sqrt(x) - sqrt(y));
        for (j = 0; j < WIDTH; j++)
            for (k = 0; k < WIDTH; k++) {
                a.covariance[j * WIDTH + k] += x * v[i * WIDTH + j] * v[i * WIDTH + k];
                b.covariance[j * WIDTH + k] += y * v[i * WIDTH + j] * v[i * WIDTH + k];
            }
    }
    CHECK_NEAR(frechet_distance(&a, &b), expected, 1e-6);      /* eigenvalues 0 come as about 1e-16 and their roots as 1e-8 */
    CHECK_NEAR(frechet_distance(&b, &a), expected, 1e-6);
    CHECK_NEAR(frechet_distance(&b, &b), 0, 1e-10);
    gaussian_free(&a);
    gaussian_free(&b);
}

/* For 2 x 2 matrices the root of M has the trace sqrt(tr M + 2 sqrt(det M)); here M = AB, tr 6, det 6. */
TEST(frechet_distance_of_two_by_two)
{
    static const double first[4] = { 2, 1, 1, 2 }, second[4] = { 3, -1, -1, 1 };
    gaussian a, b;
    CHECK(gaussian_new(&a, 2) && gaussian_new(&b, 2));
    memcpy(a.covariance, first, sizeof first);
    memcpy(b.covariance, second, sizeof second);
    CHECK_NEAR(frechet_distance(&a, &b), 8 - 2 * sqrt(6 + 2 * sqrt(6)), 1e-12);
    gaussian_free(&a);
    gaussian_free(&b);
}

TEST(a_gaussian_is_fitted_to_rows)
{
    static const float rows[4][2] = { { 1, 2 }, { 3, 2 }, { 1, 6 }, { 3, 6 } };
    gaussian g;
    CHECK(gaussian_new(&g, 2));
    gaussian_fit(&g, &rows[0][0], 4);
    CHECK_NEAR(g.mean[0], 2, 0);
    CHECK_NEAR(g.mean[1], 4, 0);
    CHECK_NEAR(g.covariance[0], 4.0 / 3, 1e-15);
    CHECK_NEAR(g.covariance[1], 0, 0);
    CHECK_NEAR(g.covariance[2], 0, 0);
    CHECK_NEAR(g.covariance[3], 16.0 / 3, 1e-15);
    gaussian_free(&g);
}

/* Against the bytes that Python's zlib and struct give for the same picture of 2 x 1 pixels. */
TEST(a_png_is_written_as_the_format_says)
{
    static const uint8_t expected[] = {
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0, 209, 73, 32, 86, 0,
        0, 0, 14, 73, 68, 65, 84, 120, 1, 1, 3, 0, 252, 255, 0, 7, 200, 0, 217, 0, 208, 31, 173, 36, 248, 0, 0, 0, 0, 73, 69,
        78, 68, 174, 66, 96, 130
    };
    uint8_t pixels[2] = { 7, 200 }, bytes[sizeof expected + 1];
    grid g;
    FILE *f = tmpfile();
    g.pixels = pixels;
    g.width = 2;
    g.height = 1;
    if (!f) SKIP("no temporary file can be made");
    write_png(f, &g);
    rewind(f);
    CHECK_INT(fread(bytes, 1, sizeof bytes, f), sizeof expected);
    CHECK(!memcmp(bytes, expected, sizeof expected));
    fclose(f);
}

/* The same row of bytes as one pixel of colour: only the width and the kind of colour differ, and with them a checksum. */
TEST(a_png_of_colours_is_written_as_the_format_says)
{
    static const uint8_t head[] = { 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 144, 119, 83, 222, 0, 0, 0, 15, 73, 68, 65, 84, 120, 1,
                                    1, 4, 0, 251, 255, 0, 7, 200, 9, 1, 178, 0, 217 };
    uint8_t pixels[3] = { 7, 200, 9 }, bytes[72 + 1];
    grid g;
    FILE *f = tmpfile();
    g.pixels = pixels;
    g.width = g.height = 1;
    if (!f) SKIP("no temporary file can be made");
    write_png_of(f, &g, 3);
    rewind(f);
    CHECK_INT(fread(bytes, 1, sizeof bytes, f), 72);
    CHECK(!memcmp(bytes + 16, head, sizeof head));
    fclose(f);
}

/* Records in memory: of image i the label is i % 10, and byte k is (i + k) % 251. */
typedef struct records { uint8_t *bytes; size_t n, at; } records;

static size_t read_records(void *buf, size_t bytes, void *user)
{
    records *r = (records *)user;
    if (bytes > r->n - r->at) bytes = r->n - r->at;
    memcpy(buf, r->bytes + r->at, bytes);
    r->at += bytes;
    return bytes;
}

enum { RECORD = CIFAR_PIXELS + 1, RECORDS = 12 };

static badm_result read_cifar(example_cifar *c, size_t bytes, int bad_label, badm_error *error)
{
    static uint8_t file[RECORDS * RECORD];
    badm_reader reader;
    records r;
    size_t i, k;
    for (i = 0; i < RECORDS; i++) {
        file[i * RECORD] = (uint8_t)(i % 10);
        for (k = 0; k < CIFAR_PIXELS; k++) file[i * RECORD + 1 + k] = (uint8_t)((i + k) % 251);
    }
    if (bad_label) file[5 * RECORD] = 10;
    r.bytes = file;
    r.n = bytes;
    r.at = 0;
    reader.read = read_records;
    reader.user = &r;
    return example_cifar_read(c, &reader, error);
}

TEST(cifar_records_are_read)
{
    example_cifar c;
    badm_error error;
    uint32_t i, wrong = 0;
    memset(&c, 0, sizeof c);
    c.room = 5;             /* grows within a file */
    c.pixels = (uint8_t *)malloc(5 * CIFAR_PIXELS);
    c.labels = (uint8_t *)malloc(5);
    CHECK_INT(read_cifar(&c, RECORDS * RECORD, 0, &error), BADM_OK);
    CHECK_INT(read_cifar(&c, 2 * RECORD, 0, &error), BADM_OK);
    CHECK_INT(c.n, RECORDS + 2);
    for (i = 0; i < c.n; i++) {
        uint32_t of = i % RECORDS;
        wrong += c.labels[i] != of % 10 || c.pixels[i * CIFAR_PIXELS] != of
              || c.pixels[i * CIFAR_PIXELS + CIFAR_PIXELS - 1] != (of + CIFAR_PIXELS - 1) % 251;
    }
    CHECK_INT(wrong, 0);
    example_cifar_free(&c);
}

TEST(damaged_cifar_files_are_named_as_such)
{
    example_cifar c;
    badm_error error;
    char text[256];
    memset(&c, 0, sizeof c);
    CHECK_INT(read_cifar(&c, 3 * RECORD - 1, 0, &error), BADM_ERR_FORMAT);
    badm_error_text(&error, text, sizeof text);
    CHECK_TEXT(text, "cifar: record 2 has only 3072 of 3073 bytes: the file is cut short or of another kind");
    CHECK_INT(read_cifar(&c, RECORDS * RECORD, 1, &error), BADM_ERR_LABEL);
    badm_error_text(&error, text, sizeof text);
    CHECK_TEXT(text, "cifar: the label of record 5 is 10, not 0..9");
    CHECK_INT(read_cifar(&c, 0, 0, &error), BADM_ERR_FORMAT);
    badm_error_text(&error, text, sizeof text);
    CHECK_TEXT(text, "cifar: the file is empty");
    example_cifar_free(&c);
}

TEST_MAIN(RUN(jacobi_gives_an_orthonormal_basis) RUN(frechet_distance_of_commuting_covariances) RUN(frechet_distance_of_two_by_two)
          RUN(a_gaussian_is_fitted_to_rows) RUN(a_png_is_written_as_the_format_says)
          RUN(a_png_of_colours_is_written_as_the_format_says) RUN(cifar_records_are_read)
          RUN(damaged_cifar_files_are_named_as_such))
