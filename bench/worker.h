/* What speed.c, fann.c and the programs of methods.py share: a median, and the protocol by which speed.py times them. The program sets up and warms up, prints "ready" and
   may print more; for every line "go" it runs about 0.3 s of steps and prints the seconds of one; at the end of its input it
   prints "loss" with the last one and leaves. */
#ifndef WORKER_H
#define WORKER_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*worker_run)(void *user, size_t steps);

static void worker_die(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static double worker_seconds(worker_run run, void *user, size_t steps)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    run(user, steps);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

static inline int worker_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of at most 64 numbers, which stay in their order. */
static inline double worker_median(const double *x, size_t n)
{
    double sorted[64];
    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, worker_ascending);
    return sorted[n / 2];
}

#ifndef WORKER_ANSWERS_ITSELF        /* tasks.c, which says more than seconds */
/* bytes: what the thing that trains holds; 0: not known. */
static void worker_serve(worker_run run, void *user, size_t bytes)
{
    char line[16];
    size_t steps = 1;
    double seconds;
    while ((seconds = worker_seconds(run, user, steps)) < 0.2) steps *= 2;      /* also the warm-up */
    steps = (size_t)(0.3 * (double)steps / seconds) + 1;
    puts("ready");
    if (bytes) printf("bytes %lu\n", (unsigned long)bytes);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("%.9g\n", worker_seconds(run, user, steps) / (double)steps);
        fflush(stdout);
    }
}
#endif

#endif
