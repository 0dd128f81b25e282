/* Small problems that several tests train, and the list of all ways of training them. The data are drawn from the
   library's own random numbers: a problem is the same on every machine. Include after badm.h. */
#ifndef TEST_PROBLEMS_H
#define TEST_PROBLEMS_H

#include <string.h>

#define PROBLEM_SAMPLES 96
#define PROBLEM_WIDTH 4

typedef enum problem_kind {
    PROBLEM_XOR,            /* 4 samples, 2-8-1 */
    PROBLEM_BLOBS,          /* 96 points around 3 centres, 2-16-3; dropout if asked for */
    PROBLEM_REGRESSION,     /* 96 rows of a noisy linear function, 4-1 */
    /* the blobs with 2-6000-3: enough work that a trainer wakes its workers, for gradients and updates */
    PROBLEM_WIDE
} problem_kind;

typedef struct problem {
    problem_kind kind;
    badm_model *model;
    badm_linear hidden, output;
    float dropout;
    uint32_t samples;
    badm_dim width;
    float x[PROBLEM_SAMPLES * PROBLEM_WIDTH], y[PROBLEM_SAMPLES];
    int32_t labels[PROBLEM_SAMPLES];
} problem;

/* [count,3] for the blobs, else [count,1]. */
static inline badm_tensor *problem_outputs(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    badm_tensor *x = badm_rows(t, p->x, p->width, b);
    if (p->kind == PROBLEM_REGRESSION) return badm_linear_forward(t, p->output, x);
    x = badm_tanh(t, badm_linear_forward(t, p->hidden, x));
    if (p->dropout > 0) x = badm_dropout(t, x, p->dropout);
    return badm_linear_forward(t, p->output, x);
}

static inline badm_tensor *problem_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    badm_tensor *out = problem_outputs(t, b, user);
    if (p->kind == PROBLEM_BLOBS || p->kind == PROBLEM_WIDE)
        return badm_cross_entropy(t, out, badm_labels(t, p->labels, b));
    if (p->kind == PROBLEM_XOR) return badm_bce_with_logits(t, out, badm_rows(t, p->y, 1, b));
    return badm_mse(t, out, badm_rows(t, p->y, 1, b));
}

/* 0 if there was no memory for the model; later errors stick in p->model. */
static inline int problem_new(problem *p, problem_kind kind, badm_memory *mem, uint64_t seed)
{
    static const float centre[3][2] = { { 0.8f, 0 }, { -0.4f, 0.7f }, { -0.4f, -0.7f } };
    static const float truth[4] = { 1, -2, 0.5f, 0.25f };
    const int blobs = kind == PROBLEM_BLOBS || kind == PROBLEM_WIDE;
    const badm_dim units = kind == PROBLEM_XOR ? 8 : kind == PROBLEM_BLOBS ? 16 : 6000;
    badm_rng r;
    uint32_t i, j;
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->samples = kind == PROBLEM_XOR ? 4 : PROBLEM_SAMPLES;
    p->width = kind == PROBLEM_REGRESSION ? 4 : 2;
    badm_rng_init(&r, 20, 24);
    for (i = 0; i < p->samples; i++) {
        float *x = p->x + i * p->width;
        if (kind == PROBLEM_XOR) {
            x[0] = (float)(i & 1u);
            x[1] = (float)(i >> 1);
            p->y[i] = (float)((i & 1u) ^ (i >> 1));
        } else if (blobs) {
            p->labels[i] = (int32_t)(i % 3);
            for (j = 0; j < 2; j++) x[j] = centre[i % 3][j] + 0.2f * badm_rng_normal(&r);
        } else {
            p->y[i] = 0.5f + 0.05f * badm_rng_normal(&r);
            for (j = 0; j < 4; j++) { x[j] = badm_rng_normal(&r); p->y[i] += truth[j] * x[j]; }
        }
    }
    p->model = badm_model_new_in(mem, seed);
    if (!p->model) return 0;
    if (kind != PROBLEM_REGRESSION) p->hidden = badm_linear_new(p->model, "hidden", 2, units);
    p->output = badm_linear_new(p->model, "output", kind == PROBLEM_REGRESSION ? 4 : units, blobs ? 3 : 1);
    return 1;
}

static inline void problem_free(problem *p)
{
    badm_model_free(p->model);
    p->model = NULL;
}

/* One worker, the whole problem as the largest batch, one slot. */
static inline void problem_desc(problem *p, badm_trainer_desc *d)
{
    badm_trainer_defaults(d);
    d->model = p->model;
    d->loss = problem_loss;
    d->user = p;
    d->max_batch = p->samples;
    d->sub_batches = 1;
    d->workers = 1;
    d->seed = 7;
}

/* Every way of training there is, with step sizes that suit the problems above. */
typedef struct problem_variant {
    const char *name;
    const badm_method *(*method)(void);     /* NULL: BADM */
    badm_form form;
    badm_metric metric;
    uint32_t local_steps;
    int second_moment_of_slots;
    float sigma, rho, lr;
} problem_variant;

static inline const problem_variant *problem_variants(unsigned *count)
{
    static const problem_variant all[] = {
        { "plain",                 NULL, BADM_COLLAPSED, BADM_PLAIN,      1, 0, 0.5f, 4.5f, 0 },
        { "diagonal",              NULL, BADM_COLLAPSED, BADM_DIAGONAL,   1, 0, 50, 450, 0 },
        { "orthogonal",            NULL, BADM_COLLAPSED, BADM_ORTHOGONAL, 1, 0, 20, 180, 0 },
        { "diagonal of slots",     NULL, BADM_COLLAPSED, BADM_DIAGONAL,   1, 1, 50, 450, 0 },
        { "per slot",              NULL, BADM_PER_SLOT,  BADM_PLAIN,      1, 0, 0.5f, 4.5f, 0 },
        { "per slot, diagonal",    NULL, BADM_PER_SLOT,  BADM_DIAGONAL,   1, 0, 50, 450, 0 },
        { "per slot, orthogonal",  NULL, BADM_PER_SLOT,  BADM_ORTHOGONAL, 1, 0, 20, 180, 0 },
        { "SISA",                  NULL, BADM_PER_SLOT,  BADM_SISA,       1, 0, 0.5f, 50, 0 },
        { "3 local steps",         NULL, BADM_PER_SLOT,  BADM_PLAIN,      3, 0, 1.5f, 4.5f, 0 },
        { "3 local steps, diagonal", NULL, BADM_PER_SLOT, BADM_DIAGONAL,  3, 0, 150, 450, 0 },
        { "sgd",      badm_method_sgd,      BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.5f },
        { "momentum", badm_method_momentum, BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.1f },
        { "nesterov", badm_method_nesterov, BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.1f },
        { "rmsprop",  badm_method_rmsprop,  BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.01f },
        { "adagrad",  badm_method_adagrad,  BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.1f },
        { "adam",     badm_method_adam,     BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.02f },
        { "adamw",    badm_method_adamw,    BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.02f },
        { "nadam",    badm_method_nadam,    BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.02f },
        { "nadamw",   badm_method_nadamw,   BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.02f },
        { "muon",     badm_method_muon,     BADM_COLLAPSED, BADM_PLAIN, 1, 0, 1, 9, 0.02f }
    };
    *count = (unsigned)(sizeof all / sizeof *all);
    return all;
}

static inline void problem_use(badm_trainer_desc *d, const problem_variant *v)
{
    d->method = v->method ? v->method() : NULL;
    d->form = v->form;
    d->metric = v->metric;
    d->local_steps = v->local_steps;
    d->second_moment_of_slots = v->second_moment_of_slots;
    d->sigma = v->sigma;
    d->rho = v->rho;
    d->lr = v->lr;
}

#endif
