/* >>pdadmm: its subproblems by brute force, a NumPy program (tests/golden/pdadmm.h), what the paper promises, and refusals. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/pdadmm.h"

enum { LAYERS = GOLDEN_LAYERS, SAMPLES = GOLDEN_SAMPLES, DEEPEST = 8 };

typedef struct problem {
    badm_model *model;
    badm_linear layer[DEEPEST];
    float x[SAMPLES * 16];
    int32_t label[SAMPLES];
    badm_pdadmm_desc d;
} problem;

/* The network and data of the NumPy program. */
static void open_problem(problem *p)
{
    char name[8];
    int l, i;
    p->model = badm_model_new(1);
    for (l = 0; l < LAYERS; l++) {
        size_t weights = (size_t)golden_widths[l] * golden_widths[l + 1];
        float *w, *b;
        sprintf(name, "fc%d", l + 1);
        p->layer[l] = badm_linear_new(p->model, name, golden_widths[l], golden_widths[l + 1]);
        w = badm_param_data(p->layer[l].weight);
        b = badm_param_data(p->layer[l].bias);
        golden_fill(GOLDEN_REAL, 10u + (uint32_t)l, w, weights);
        golden_fill(GOLDEN_REAL, 20u + (uint32_t)l, b, golden_widths[l + 1]);
        for (i = 0; i < (int)weights; i++) w[i] *= 0.5f;
        for (i = 0; i < (int)golden_widths[l + 1]; i++) b[i] *= 0.25f;
    }
    golden_fill(GOLDEN_REAL, 1, p->x, SAMPLES * (size_t)golden_widths[0]);
    for (i = 0; i < SAMPLES; i++) p->label[i] = i * 7 % (int)golden_widths[LAYERS];
    badm_pdadmm_defaults(&p->d);
    p->d.model = p->model; p->d.layer = p->layer; p->d.layers = LAYERS;
    p->d.x = p->x; p->d.label = p->label; p->d.samples = SAMPLES;
    p->d.nu = golden_nu; p->d.rho = golden_rho;
    p->d.tolerance = 1e-6f; p->d.fista = 5000; p->d.workers = 1;
}

static void close_problem(problem *p) { badm_model_free(p->model); }

static badm_pdadmm *begin(problem *p)
{
    badm_pdadmm *s = NULL;
    badm_error e;
    char text[300];
    if (badm_pdadmm_new(&s, &p->d, &e) != BADM_OK) { badm_error_text(&e, text, sizeof text); puts(text); }
    CHECK(s != NULL);
    return s;
}

static void run(badm_pdadmm *s, int steps, badm_pdadmm_report *last)
{
    int i;
    for (i = 0; i < steps; i++) CHECK_INT(badm_pdadmm_step(s, last), BADM_OK);
}

TEST(agrees_with_numpy)
{
    problem p;
    badm_pdadmm *s;
    int k, l;
    size_t at_w = 0, at_b = 0;
    open_problem(&p);
    s = begin(&p);
    for (k = 0; k < GOLDEN_STEPS; k++) {
        badm_pdadmm_report r;
        CHECK_INT(badm_pdadmm_step(s, &r), BADM_OK);
        CHECK_INT(r.iteration, k);
        CHECK_NEAR(r.lagrangian, golden_curve[3 * k], 1e-4 * (double)golden_curve[3 * k]);
        CHECK_NEAR(r.primal, golden_curve[3 * k + 1], 1e-4);
        CHECK_NEAR(r.change, golden_curve[3 * k + 2], 1e-4 * (double)golden_curve[3 * k + 2] + 1e-4);
    }
    for (l = 0; l < LAYERS; l++) {
        size_t w = (size_t)golden_widths[l] * golden_widths[l + 1], b = golden_widths[l + 1];
        CHECK(golden_difference(badm_param_values(p.layer[l].weight), golden_weights + at_w, w, 1, 1) < 1e-4);
        CHECK(golden_difference(badm_param_values(p.layer[l].bias), golden_biases + at_b, b, 1, 1) < 1e-4);
        at_w += w;
        at_b += b;
    }
    badm_pdadmm_free(s);
    close_problem(&p);
}

/* ---- subproblems, in double from the solver's own variables ---- */

/* What of the Lagrangian layer l's p, W, b and z enter, with the proximal term of z where `old_z` is given. */
static double fit_cost(const problem *p, const badm_i_pd_layer *l, const badm_i_pd_layer *before, const float *w, const float *b,
                       const float *at_p, const float *z)
{
    double cost = 0;
    size_t i, j, k;
    for (i = 0; i < SAMPLES; i++)
        for (j = 0; j < l->out; j++) {
            double a = (double)b[j];
            for (k = 0; k < l->in; k++) a += (double)w[j * l->in + k] * (double)at_p[i * l->in + k];
            cost += 0.5 * (double)p->d.nu * ((double)z[i * l->out + j] - a) * ((double)z[i * l->out + j] - a);
        }
    for (i = 0; before && i < SAMPLES * l->in; i++) {
        double off = (double)at_p[i] - (double)before->q[i];
        cost += (double)before->u[i] * off + 0.5 * (double)p->d.rho * off * off;
    }
    return cost;
}

/* Moves of p and W: down, by no less than the backtracking test asks, and to the minimum of the parabola it accepted. */
TEST(p_and_w_take_steps_that_pass_the_test)
{
    problem p;
    badm_pdadmm *s;
    int l;
    open_problem(&p);
    s = begin(&p);
    run(s, 3, NULL);
    for (l = 0; l < LAYERS; l++) {
        badm_i_pd_layer *layer = &s->layer[l], *before = l > 0 ? layer - 1 : NULL;
        size_t n_p = SAMPLES * layer->in, n_w = layer->in * layer->out, i;
        float old_p[SAMPLES * 16], old_w[256], *space_p = layer->p;
        double cost, next, square = 0;
        badm_i_pd_space *k = s->space;
        memcpy(old_p, space_p, n_p * sizeof(float));
        memcpy(old_w, layer->w, n_w * sizeof(float));
        badm_i_pd_product(s, k, SAMPLES, layer->out, layer->in, layer->p, layer->in, 1, layer->w, 1, layer->in, layer->b, k->r);
        badm_i_pd_less(s->level, SAMPLES * layer->out, layer->z, k->r);
        cost = fit_cost(&p, layer, before, layer->w, layer->b, old_p, layer->z);
        if (before) {
            badm_i_pd_move_p(s, k, layer, before);
            next = fit_cost(&p, layer, before, layer->w, layer->b, layer->p, layer->z);
            for (i = 0; i < n_p; i++) square += ((double)layer->p[i] - (double)old_p[i]) * ((double)layer->p[i] - (double)old_p[i]);
            CHECK(square > 0);
            CHECK(next <= cost - 0.5 * (double)p.d.rho * square + 1e-5 * cost);       /* tau >= rho */
            cost = next;
        }
        badm_i_pd_move_w(s, k, layer);
        next = fit_cost(&p, layer, before, layer->w, layer->b, layer->p, layer->z);
        CHECK(memcmp(old_w, layer->w, n_w * sizeof(float)) != 0);
        CHECK(next <= cost + 1e-6 * cost + 1e-12);  /* the first layer fits: only rounding is left */
        cost = next;
        badm_i_pd_move_b(s, k, layer);
        next = fit_cost(&p, layer, before, layer->w, layer->b, layer->p, layer->z);
        CHECK(next <= cost + 1e-5 * cost + 1e-12);
        for (i = 0; i < layer->out; i++) {                  /* b is the minimiser */
            float kept = layer->b[i];
            int side;
            for (side = -1; side <= 1; side += 2) {
                layer->b[i] = kept + (float)side * 0.01f;
                CHECK(fit_cost(&p, layer, before, layer->w, layer->b, layer->p, layer->z) > next);
            }
            layer->b[i] = kept;
        }
        /* r has followed every move */
        for (i = 0; i < SAMPLES * layer->out; i++) {
            double a = (double)layer->b[i % layer->out];
            size_t c;
            for (c = 0; c < layer->in; c++)
                a += (double)layer->w[i % layer->out * layer->in + c] * (double)layer->p[i / layer->out * layer->in + c];
            CHECK_NEAR(k->r[i], a - (double)layer->z[i], 1e-5);
        }
    }
    badm_pdadmm_free(s);
    close_problem(&p);
}

/* A single number of z against a fine grid of both branches. */
TEST(z_of_a_hidden_layer_is_the_minimiser)
{
    uint32_t seed;
    for (seed = 0; seed < 200; seed++) {
        float v[3], z, r, q, moved, relu;
        double best = 1e30, x, got, a, old;
        golden_fill(GOLDEN_REAL, seed, v, 3);
        z = v[0]; r = v[1]; q = v[2];
        old = (double)z;
        a = (double)z + (double)r;
        badm_i_pd_z(badm_i_simd_level(), 1, &q, &z, &r, &moved);
        for (x = -6; x < 6; x += 0.001) {
            double h = x > 0 ? x : 0, cost = (x - a) * (x - a) + ((double)q - h) * ((double)q - h) + (x - old) * (x - old);
            if (cost < best) best = cost;
        }
        relu = z > 0 ? z : 0;
        got = ((double)z - a) * ((double)z - a) + (double)(q - relu) * (double)(q - relu) + ((double)z - old) * ((double)z - old);
        CHECK(got <= best + 1e-5);
        CHECK_NEAR(r, a - (double)z, 1e-5);
        CHECK_NEAR(moved, (double)z - old, 1e-6);
    }
}

TEST(z_of_the_last_layer_is_the_minimiser)
{
    problem p;
    badm_pdadmm *s;
    float space[BADM_I_PD_ARRAYS * 6 * 4], *a = space + BADM_I_PD_A * 6 * 4, z[6 * 4], most[6], rest[6], loss;
    int32_t label[6] = { 0, 1, 2, 3, 0, 3 };
    int i, j;
    open_problem(&p);
    s = begin(&p);
    golden_fill(GOLDEN_REAL, 77, a, 24);
    memcpy(z, a, sizeof z);
    (void)badm_i_pd_logits(s, 6, 4, space, 6 * 4, label, z);
    for (i = 0; i < 6; i++) {               /* the gradient vanishes: softmax - onehot + nu (z - a) */
        double sum = 0;
        for (j = 0; j < 4; j++) sum += exp((double)z[4 * i + j]);
        for (j = 0; j < 4; j++)
            CHECK_NEAR(exp((double)z[4 * i + j]) / sum - (j == label[i]) + (double)p.d.nu * ((double)z[4 * i + j] - (double)a[4 * i + j]),
                       0, 1e-5);
    }
    {                                       /* from the minimum nothing moves up */
        float before = badm_i_pd_cost(s, 6, 4, z, a, label, most, rest, &loss), after;
        (void)badm_i_pd_logits(s, 6, 4, space, 6 * 4, label, z);
        after = badm_i_pd_cost(s, 6, 4, z, a, label, most, rest, &loss);
        CHECK(after <= before);
    }
    badm_pdadmm_free(s);
    close_problem(&p);
}

TEST(q_is_the_minimiser_and_u_climbs)
{
    const float nu = 0.3f, rho = 0.7f;
    uint32_t seed;
    for (seed = 0; seed < 100; seed++) {
        float v[4], q, u, q_moved, u_moved, off, apart;
        double h, before, x, here;
        golden_fill(GOLDEN_REAL, seed, v, 4);
        q = v[2]; u = v[3];
        before = (double)v[3];
        badm_i_pd_q(badm_i_simd_level(), 1, nu, rho, &v[0], &v[1], &q, &u, &q_moved, &u_moved, &off, &apart);
        h = v[1] > 0 ? (double)v[1] : 0;
#define Q_COST(t) (0.5 * (double)nu * ((t) - h) * ((t) - h) + before * ((double)v[0] - (t)) + 0.5 * (double)rho * ((double)v[0] - (t)) * ((double)v[0] - (t)))
        here = Q_COST((double)q);
        for (x = -0.5; x <= 0.5; x += 0.01) CHECK(here <= Q_COST((double)q + x) + 1e-6);
#undef Q_COST
        CHECK_NEAR(u, before + (double)rho * ((double)v[0] - (double)q), 1e-6);
        CHECK_NEAR(q_moved, (double)q - (double)v[2], 1e-6);
        CHECK_NEAR(u_moved, (double)u - before, 1e-6);
        CHECK_NEAR(off, (double)q - h, 1e-6);
        CHECK_NEAR(apart, (double)v[0] - (double)q, 1e-6);
    }
}

/* ---- what the paper promises ---- */

TEST(the_lagrangian_never_grows_and_changes_fade)
{
    problem p;
    badm_pdadmm *s;
    badm_pdadmm_report r;
    double last = 1e30, least = 1e30, early = 0;
    int k;
    open_problem(&p);
    p.d.nu = 0.01f; p.d.rho = 0.04f;
    s = begin(&p);
    for (k = 1; k <= 400; k++) {
        CHECK_INT(badm_pdadmm_step(s, &r), BADM_OK);
        CHECK((double)r.lagrangian <= last + 1e-5 * fabs(last));
        last = (double)r.lagrangian;
        if ((double)r.change * (double)r.change < least) least = (double)r.change * (double)r.change;
        if (k == 20) early = k * least;                 /* k min |change|^2 -> 0: the o(1/k) claim */
    }
    CHECK(400 * least < 0.5 * early);
    CHECK(r.loss < 0.5f);
    badm_pdadmm_free(s);
    close_problem(&p);
}

/* The solver's model, by the tape, tells the training samples apart. */
static badm_tensor *network(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    badm_tensor *x = badm_rows(t, p->x, golden_widths[0], b);
    uint32_t l;
    for (l = 0; l < p->d.layers; l++) {
        if (l > 0) x = badm_relu(t, x);
        x = badm_linear_forward(t, p->layer[l], x);
    }
    return badm_cross_entropy(t, x, badm_labels(t, p->label, b));
}

static float accuracy(problem *p)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    badm_trainer_defaults(&d);
    d.model = p->model; d.loss = network; d.user = p; d.max_batch = SAMPLES; d.workers = 1; d.sub_batches = 1;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_evaluate(tr, NULL, NULL, SAMPLES, &score), BADM_OK);
    badm_trainer_free(tr);
    return score.accuracy;
}

TEST(the_network_learns)
{
    problem p;
    badm_pdadmm *s;
    float before;
    open_problem(&p);
    p.d.nu = 0.01f; p.d.rho = 0.04f;
    before = accuracy(&p);
    s = begin(&p);
    run(s, 300, NULL);
    CHECK(accuracy(&p) > before + 0.3f);
    CHECK(accuracy(&p) > 0.6f);             /* of labels that follow no rule */
    badm_pdadmm_free(s);
    close_problem(&p);
}

TEST(any_number_of_workers_gives_the_same_bits)
{
    uint64_t hash = 0;
    uint32_t workers;
    for (workers = 1; workers <= 4; workers++) {
        problem p;
        badm_pdadmm *s;
        open_problem(&p);
        p.d.workers = workers;
        s = begin(&p);
        run(s, 5, NULL);
        if (workers == 1) hash = badm_model_hash(p.model);
        CHECK(badm_model_hash(p.model) == hash);
        badm_pdadmm_free(s);
        close_problem(&p);
    }
}

TEST(growing_keeps_the_function_and_goes_on)
{
    problem p;
    badm_pdadmm *s;
    badm_linear added[2];
    badm_pdadmm_report r;
    float before;
    open_problem(&p);
    p.d.nu = 0.01f; p.d.rho = 0.04f; p.d.workers = 2;
    s = begin(&p);
    run(s, 60, NULL);
    before = accuracy(&p);
    added[0] = badm_linear_new(p.model, "more1", golden_widths[LAYERS - 1], golden_widths[LAYERS - 1]);
    added[1] = badm_linear_new(p.model, "more2", golden_widths[LAYERS - 1], golden_widths[LAYERS - 1]);
    CHECK_INT(badm_pdadmm_grow(s, added, 2), BADM_OK);
    p.layer[LAYERS + 1] = p.layer[LAYERS - 1];
    p.layer[LAYERS - 1] = added[0];
    p.layer[LAYERS] = added[1];
    p.d.layers = LAYERS + 2;
    CHECK_NEAR(accuracy(&p), before, 1e-6);
    CHECK(badm_pdadmm_variable(s, 'q', LAYERS) != NULL);
    CHECK(badm_pdadmm_variable(s, 'q', LAYERS + 1) == NULL);
    run(s, 60, &r);
    CHECK(badm_i_is_finite(r.lagrangian));
    CHECK(accuracy(&p) >= before);
    added[0] = p.layer[0];
    CHECK_INT(badm_pdadmm_grow(s, added, 1), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_pdadmm_error(s), "a linear layer [8,8]");
    run(s, 1, NULL);
    badm_pdadmm_free(s);
    close_problem(&p);
}

/* ---- refusals ---- */

static void refused(problem *p, badm_result code, const char *part)
{
    badm_pdadmm *s = (badm_pdadmm *)p;
    badm_error e;
    char text[300];
    CHECK_INT(badm_pdadmm_new(&s, &p->d, &e), code);
    CHECK(s == NULL);
    badm_error_text(&e, text, sizeof text);
    CHECK_TEXT(text, part);
    badm_pdadmm_free(s);
}

TEST(what_is_wrong_is_said)
{
    problem p;
    badm_linear swapped[2];
    uint32_t mark;
    open_problem(&p);
    mark = p.d.filled;
    p.d.filled = 0;
    refused(&p, BADM_ERR_ARGUMENT, "badm_pdadmm_defaults");
    p.d.filled = mark;
    p.d.layers = 1;
    refused(&p, BADM_ERR_ARGUMENT, "at least two");
    p.d.layers = LAYERS;
    p.d.rho = 0;
    refused(&p, BADM_ERR_ARGUMENT, "nu and rho");
    p.d.rho = INFINITY;
    refused(&p, BADM_ERR_ARGUMENT, "nu and rho");
    p.d.rho = 0.2f; p.d.nu = -1;
    refused(&p, BADM_ERR_ARGUMENT, "nu and rho");
    p.d.nu = 0.05f; p.d.samples = 0;
    refused(&p, BADM_ERR_ARGUMENT, "0 samples");
    p.d.samples = SAMPLES; p.label[3] = 4;
    refused(&p, BADM_ERR_LABEL, "sample 3 is none of 4");
    p.label[3] = -1;
    refused(&p, BADM_ERR_LABEL, "sample 3");
    p.label[3] = 0; p.x[7] = NAN;
    refused(&p, BADM_ERR_NONFINITE, "not finite");
    p.x[7] = 0;
    swapped[0] = p.layer[0]; swapped[1] = p.layer[2];
    p.d.layer = swapped; p.d.layers = 2;
    refused(&p, BADM_ERR_ARGUMENT, "layer 1 takes 8 inputs");
    swapped[1] = badm_linear_new_without_bias(p.model, "bare", 9, 4);
    refused(&p, BADM_ERR_ARGUMENT, "with a bias");
    close_problem(&p);
}

TEST(a_diverging_run_loses_nothing)
{
    problem p;
    badm_pdadmm *s;
    badm_pdadmm_report r;
    uint64_t before;
    open_problem(&p);
    p.d.tau = 1e-30f; p.d.doublings = 0;            /* every move would be refused: all stays as it is */
    s = begin(&p);
    run(s, 1, &r);
    badm_pdadmm_free(s);
    badm_pdadmm_defaults(&p.d);
    p.d.model = p.model; p.d.layer = p.layer; p.d.layers = LAYERS;
    p.d.x = p.x; p.d.label = p.label; p.d.samples = SAMPLES;
    p.d.nu = 1e30f; p.d.rho = 1e37f;
    p.x[0] = 1e18f;
    s = begin(&p);
    before = badm_model_hash(p.model);
    CHECK_INT(badm_pdadmm_step(s, &r), BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_pdadmm_error(s), "not finite");
    CHECK(badm_model_hash(p.model) == before);
    CHECK_INT(badm_pdadmm_step(s, &r), BADM_ERR_STATE);
    badm_pdadmm_free(s);
    close_problem(&p);
}

static double ticks(void)
{
    static double t;
    return t += 1;
}

TEST(cancel_and_clock)
{
    problem p;
    badm_pdadmm *s;
    volatile int stop = 1;
    double fit, link;
    open_problem(&p);
    p.d.cancel = &stop;
    p.d.clock = ticks;
    p.d.workers = 1;
    s = begin(&p);
    CHECK_INT(badm_pdadmm_step(s, NULL), BADM_ERR_CANCELLED);
    stop = 0;
    CHECK_INT(badm_pdadmm_step(s, NULL), BADM_OK);
    badm_pdadmm_seconds(s, 0, &fit, &link);
    CHECK(fit == 1 && link == 1);
    badm_pdadmm_seconds(s, p.d.layers - 1, &fit, &link);
    CHECK(fit == 1 && link == 0);
    badm_pdadmm_seconds(s, p.d.layers, &fit, &link);
    CHECK(fit == 0 && link == 0);
    CHECK(badm_pdadmm_memory(s) > SAMPLES * sizeof(float) * 4 * 20);
    badm_pdadmm_free(s);
    badm_pdadmm_free(NULL);
    close_problem(&p);
}

TEST_MAIN(
    RUN(agrees_with_numpy)
    RUN(p_and_w_take_steps_that_pass_the_test)
    RUN(z_of_a_hidden_layer_is_the_minimiser)
    RUN(z_of_the_last_layer_is_the_minimiser)
    RUN(q_is_the_minimiser_and_u_climbs)
    RUN(the_lagrangian_never_grows_and_changes_fade)
    RUN(the_network_learns)
    RUN(any_number_of_workers_gives_the_same_bits)
    RUN(growing_keeps_the_function_and_goes_on)
    RUN(what_is_wrong_is_said)
    RUN(a_diverging_run_loses_nothing)
    RUN(cancel_and_clock))
