/* Runs the cases of golden/normalisation.h or golden/recurrent.h: include after badm.h, test.h, golden.h and one of these.
   A case is checked forward and backward against PyTorch, and against differences of the library's own forward pass. */
#ifndef TEST_LAYER_CASES_H
#define TEST_LAYER_CASES_H

enum { LAYER_CASES = sizeof golden_cases / sizeof *golden_cases, LAYER_INPUTS = 6, LAYER_ROOM = 20000 };

/* Inputs that were left out are NULL. */
typedef badm_tensor *(*layer_build)(badm_tape *t, const golden_layer_case *c, badm_tensor *const *x);

typedef struct { float *x[LAYER_INPUTS], *upstream; } layer_numbers;

static size_t layer_size(const golden_tensor *g)
{
    size_t n = 1;
    unsigned i;
    for (i = 0; i < g->rank; i++) n *= g->shape[i];
    return n;
}

static int layer_left_out(const golden_tensor *g) { return g->stored == 0; }

static void layer_says(const golden_layer_case *c, const char *what, int of, double got, double bar)
{
    const golden_tensor *g = &golden_tensors[c->tensor];
    unsigned k;
    printf("case %d: %s [", (int)(c - golden_cases), c->operation);
    for (k = 0; k < g->rank; k++) printf("%s%u", k ? "," : "", (unsigned)g->shape[k]);
    printf("] (%u): %s %d: %.3g > %.3g\n", (unsigned)c->args[0], what, of, got, bar);
    test_failures++;
}

static void layer_open(layer_numbers *in, const golden_layer_case *c)
{
    uint32_t i;
    for (i = 0; i <= c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        float *p = (float *)malloc(layer_size(g) * sizeof *p);
        if (!p) { puts("no memory for the test"); exit(1); }
        golden_fill(g->kind, g->seed, p, layer_size(g));
        if (i < c->inputs) in->x[i] = p;
        else in->upstream = p;
    }
}

static void layer_close(layer_numbers *in, const golden_layer_case *c)
{
    uint32_t i;
    for (i = 0; i < c->inputs; i++) free(in->x[i]);
    free(in->upstream);
}

static badm_tensor *layer_run(badm_tape *t, const golden_layer_case *c, const layer_numbers *in, layer_build build,
                              badm_tensor **x)
{
    uint32_t i;
    badm_tape_reset(t);
    for (i = 0; i < c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        x[i] = layer_left_out(g) ? NULL : badm_variable(t, g->rank, g->shape, in->x[i]);
    }
    return build(t, c, x);
}

/* The stored entries, and the weighted sum of all; `tolerance` of the largest entry. */
static void layer_check(const golden_layer_case *c, const golden_tensor *g, const float *got, const char *what, int of,
                        double tolerance)
{
    size_t n = layer_size(g), i;
    double sum = 0, bar, difference;
    difference = golden_difference(got, golden_values + g->first, g->stored, g->stride, (double)g->largest);
    if (!(difference <= tolerance)) layer_says(c, what, of, difference, tolerance);
    if (n == g->stored) return;
    for (i = 0; i < n; i++)
        sum += (double)got[i] * (double)golden_number(GOLDEN_REAL, GOLDEN_CHECKSUM_SEED, (uint32_t)i);
    bar = 2 * sqrt((double)n) * tolerance * (double)g->largest + 1e-7 * fabs((double)g->checksum);
    difference = fabs(sum - (double)g->checksum);
    if (!(difference <= bar)) layer_says(c, "weighted sum of all entries of", of, difference, bar);
}

static double layer_weighted(badm_tape *t, const badm_tensor *y, const float *upstream)
{
    const float *v = badm_data(t, y);
    double sum = 0;
    size_t i, n = badm_size(y);
    for (i = 0; i < n; i++) sum += (double)v[i] * (double)upstream[i];
    return sum;
}

static void layer_against_pytorch(badm_tape *t, const golden_layer_case *c, layer_build build)
{
    const golden_tensor *out = &golden_tensors[c->tensor + c->inputs];
    badm_tensor *x[LAYER_INPUTS], *y;
    layer_numbers in;
    uint32_t i;
    layer_open(&in, c);
    y = layer_run(t, c, &in, build, x);
    if (y->rank != out->rank || memcmp(y->shape, out->shape, out->rank * sizeof *out->shape))
        layer_says(c, "rank of output", 0, y->rank, out->rank);
    else if (badm_backward(t, badm_sum(t, badm_mul(t, y, badm_input(t, out->rank, out->shape, in.upstream)))) != BADM_OK) {
        char text[256];
        badm_error_text(badm_tape_error(t), text, sizeof text);
        layer_says(c, text, 0, 0, 0);
    } else {
        layer_check(c, out, badm_data(t, y), "output", 0, 1e-5);
        for (i = 0; i < c->inputs; i++)
            if (x[i]) layer_check(c, &golden_tensors[c->tensor + i], badm_grad(t, x[i]), "gradient of input", (int)i, 2e-5);
    }
    layer_close(&in, c);
}

/* (8(L(x+h)-L(x-h)) - (L(x+2h)-L(x-2h)))/12h of some entries of every input; L is the output's sum with `upstream` as weights. */
static void layer_against_differences(badm_tape *t, const golden_layer_case *c, layer_build build)
{
    static const double weight[4] = { 8.0, -8.0, -1.0, 1.0 };
    static const float offset[4] = { 1.0f, -1.0f, 2.0f, -2.0f };
    static float gradient[LAYER_ROOM];
    const golden_tensor *out = &golden_tensors[c->tensor + c->inputs];
    const float h = 0.0078125f;
    badm_tensor *x[LAYER_INPUTS], *y;
    layer_numbers in;
    uint32_t i;
    layer_open(&in, c);
    for (i = 0; i < c->inputs; i++) {
        const golden_tensor *g = &golden_tensors[c->tensor + i];
        size_t n = layer_size(g), j, k, step = n > 4000 ? n / 3 : n > 12 ? n / 12 : 1;
        double largest = 0;
        if (layer_left_out(g) || n > LAYER_ROOM) continue;
        y = layer_run(t, c, &in, build, x);
        badm_backward(t, badm_sum(t, badm_mul(t, y, badm_input(t, out->rank, out->shape, in.upstream))));
        memcpy(gradient, badm_grad(t, x[i]), n * sizeof(float));
        for (j = 0; j < n; j++) if (fabs((double)gradient[j]) > largest) largest = fabs((double)gradient[j]);
        for (j = 0; j < n; j += step) {
            float before = in.x[i][j];
            double sum = 0, bar = 1e-3 * largest + 3e-5 * sqrt((double)layer_size(out));
            for (k = 0; k < 4; k++) {
                in.x[i][j] = before + offset[k] * h;
                sum += weight[k] * layer_weighted(t, layer_run(t, c, &in, build, x), in.upstream);
            }
            in.x[i][j] = before;
            sum = fabs(sum / (12.0 * (double)h) - (double)gradient[j]);
            if (!(sum <= bar)) layer_says(c, "difference quotient of input", (int)i, sum, bar);
        }
    }
    layer_close(&in, c);
}

/* f over the cases of one operation; there must be some. */
static void layer_for(badm_tape *t, const char *operation, layer_build build,
                      void (*f)(badm_tape *t, const golden_layer_case *c, layer_build build))
{
    size_t i, n = 0;
    for (i = 0; i < LAYER_CASES; i++)
        if (!strcmp(golden_cases[i].operation, operation)) { f(t, &golden_cases[i], build); n++; }
    if (!n) { printf("no case of %s\n", operation); test_failures++; }
}

#endif
