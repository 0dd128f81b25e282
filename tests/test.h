/* The test frame: TEST(claim) { CHECK...; }   TEST_MAIN(RUN(claim) RUN(claim))
   A failed check prints the expression and both values; the test goes on, so that one run shows all of them.
   A test program's last line is "name: N passed, N failed, N skipped"; tests/run.sh adds them up.
   Programs that need a data folder take it as argv[1] (test_arg) and SKIP without it. */
#ifndef TEST_H
#define TEST_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures, test_skip, test_passed, test_failed, test_skipped;
static const char *test_arg;        /* the first argument of the program, or NULL */

#define TEST(name) static void name(void)

#define CHECK(expr) \
    do { if (!(expr)) { printf("%s:%d: CHECK(%s) is false\n", __FILE__, __LINE__, #expr); test_failures++; } } while (0)

#define CHECK_INT(a, b) \
    do { long long test_a = (long long)(a), test_b = (long long)(b); if (test_a != test_b) { \
        printf("%s:%d: %s == %s: %lld, %lld\n", __FILE__, __LINE__, #a, #b, test_a, test_b); test_failures++; } } while (0)

/* |a - b| <= tolerance; not a number never passes. */
#define CHECK_NEAR(a, b, tolerance) \
    do { double test_a = (double)(a), test_b = (double)(b), test_t = (double)(tolerance); \
        if (!(fabs(test_a - test_b) <= test_t)) { printf("%s:%d: %s ~ %s: %.9g, %.9g, difference %.3g > %.3g\n", \
            __FILE__, __LINE__, #a, #b, test_a, test_b, fabs(test_a - test_b), test_t); test_failures++; } } while (0)

/* `text` contains `part`. */
#define CHECK_TEXT(text, part) \
    do { const char *test_a = (text); if (!test_a || !strstr(test_a, (part))) { \
        printf("%s:%d: \"%s\" does not contain \"%s\"\n", __FILE__, __LINE__, test_a ? test_a : "(null)", (part)); test_failures++; } } while (0)

#define SKIP(reason) do { printf("skipped: %s\n", (reason)); test_skip = 1; return; } while (0)

#define RUN(name) test_run(#name, name);
#define TEST_MAIN(runs) \
    int main(int argc, char **argv) { \
        const char *self = strrchr(argv[0], '/'); \
        test_arg = argc > 1 ? argv[1] : NULL; \
        runs \
        printf("%s: %d passed, %d failed, %d skipped\n", self ? self + 1 : argv[0], test_passed, test_failed, test_skipped); \
        return test_failed != 0; }

static void test_run(const char *name, void (*test)(void))
{
    int before = test_failures;
    test_skip = 0;
    test();
    if (test_failures != before) { test_failed++; printf("FAILED %s\n", name); }
    else if (test_skip) { test_skipped++; printf("skipped %s\n", name); }
    else test_passed++;
    fflush(stdout);
}

#endif
