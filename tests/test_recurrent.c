/* >>recurrent, badm_randn and the GRU layer, against PyTorch (tests/golden/recurrent.h). */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/recurrent.h"
#include "layer_cases.h"

static badm_model *model;
static float grads[64];

static badm_tape *tape(void)
{
    badm_tape *t;
    model = badm_model_new(1);
    badm_linear_new(model, "any", 2, 2);
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)8 << 20), BADM_OK);
    badm_tape_watch(t, model, grads);
    return t;
}

static void close_tape(badm_tape *t)
{
    badm_tape_free(t);
    badm_model_free(model);
}

static badm_tensor *build(badm_tape *t, const golden_layer_case *c, badm_tensor *const *x)
{
    if (!strcmp(c->operation, "gru_gates")) return badm_gru_gates(t, x[0], x[1], x[2]);
    return badm_gru_gates(t, badm_affine(t, x[0], x[2], x[4]), badm_affine(t, x[1], x[3], x[5]), x[1]);
}

TEST(gru_agrees_with_pytorch)
{
    badm_tape *t = tape();
    layer_for(t, "gru_gates", build, layer_against_pytorch);
    layer_for(t, "gru", build, layer_against_pytorch);
    close_tape(t);
}

TEST(gru_gradients_are_the_difference_quotients)
{
    badm_tape *t = tape();
    layer_for(t, "gru_gates", build, layer_against_differences);
    layer_for(t, "gru", build, layer_against_differences);
    close_tape(t);
}

/* Every gradient on its own, and added to what stands there. */
TEST(gru_gradients_accumulate)
{
    static const badm_dim wide[2] = { 2, 15 }, narrow[2] = { 2, 5 };
    float a[30], h[10];
    badm_tape *t = tape();
    int both, i;
    golden_fill(GOLDEN_REAL, 1, a, 30);
    golden_fill(GOLDEN_REAL, 2, h, 10);
    for (i = 0; i < 3; i++) {
        float once[30];
        for (both = 0; both < 2; both++) {
            badm_tensor *x[3], *y;
            size_t j, n = i < 2 ? 30 : 10;
            badm_tape_reset(t);
            x[0] = (i == 0 ? badm_variable : badm_input)(t, 2, wide, a);
            x[1] = (i == 1 ? badm_variable : badm_input)(t, 2, wide, a);
            x[2] = (i == 2 ? badm_variable : badm_input)(t, 2, narrow, h);
            y = badm_sum(t, badm_gru_gates(t, x[0], x[1], x[2]));
            if (both) y = badm_add(t, y, badm_sum(t, badm_gru_gates(t, x[0], x[1], x[2])));
            CHECK_INT(badm_backward(t, y), BADM_OK);
            for (j = 0; j < n; j++) {
                if (both) CHECK_NEAR(badm_grad(t, x[i])[j], 2 * once[j], 0);
                else once[j] = badm_grad(t, x[i])[j];
            }
            CHECK(badm_grad(t, x[(i + 1) % 3]) == NULL);
        }
    }
    close_tape(t);
}

TEST(gru_shapes_that_do_not_fit_are_refused)
{
    static const badm_dim shape[5][2] = { { 2, 15 }, { 3, 15 }, { 2, 5 }, { 2, 6 }, { 3, 5 } };
    static const struct { int a, b, h; const char *says; } wrong[] = {
        { 0, 1, 2, "gru_gates: [2,15] and [3,15]: projections of equal shapes are expected" },
        { 0, 0, 3, "gru_gates: projections [2,15] with state [2,6]: [n,3*hidden] and [n,hidden] are expected" },
        { 0, 0, 4, "gru_gates: projections [2,15] with state [3,5]" }
    };
    badm_tape *t = tape();
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[256];
        badm_tape_reset(t);
        badm_gru_gates(t, badm_input(t, 2, shape[wrong[i].a], NULL), badm_input(t, 2, shape[wrong[i].b], NULL),
                       badm_input(t, 2, shape[wrong[i].h], NULL));
        CHECK_INT(badm_tape_error(t)->code, BADM_ERR_SHAPE);
        badm_error_text(badm_tape_error(t), text, sizeof text);
        CHECK_TEXT(text, wrong[i].says);
    }
    close_tape(t);
}

TEST(gru_layer_has_pytorchs_parameters)
{
    badm_model *m = badm_model_new(7);
    badm_gru g = badm_gru_new(m, "cell", 24, 100);
    static const char *const name[] = { "cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh" };
    badm_shape s;
    size_t i, j;
    for (i = 0; i < 4; i++) {
        badm_param p = badm_param_find(m, name[i]);
        const float *w = badm_param_values(p);
        float low = 0, high = 0;
        CHECK(p.model == m);
        CHECK_INT(badm_param_shape(p).dim[0], 300);
        for (j = 0; j < badm_param_size(p); j++) { if (w[j] < low) low = w[j]; if (w[j] > high) high = w[j]; }
        CHECK(low >= -0.1f && low < -0.09f && high <= 0.1f && high > 0.09f);
    }
    s = badm_param_shape(g.weight_ih);
    CHECK(s.rank == 2 && s.dim[1] == 24);
    s = badm_param_shape(g.weight_hh);
    CHECK(s.rank == 2 && s.dim[1] == 100);
    CHECK_INT(badm_param_count(m), 4);
    badm_gru_new(m, "none", 3, 0);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    badm_model_free(m);
}

/* A state carried through five steps of time, trained in several ways. */
typedef struct { badm_gru cell; badm_linear out; float x[24][10], y[24]; } sequence;

static badm_tensor *sequence_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const sequence *s = (const sequence *)user;
    badm_tensor *x = badm_rows(t, &s->x[0][0], 10, b), *h;
    badm_dim shape[2], i;
    shape[0] = b->count;
    shape[1] = 6;
    h = badm_input(t, 2, shape, NULL);
    for (i = 0; i < 5; i++) h = badm_gru_forward(t, s->cell, badm_slice(t, x, 1, (badm_dim)(2 * i), (badm_dim)(2 * i + 2)), h);
    return badm_mse(t, badm_linear_forward(t, s->out, h), badm_rows(t, s->y, 1, b));
}

static uint64_t train_sequence(uint32_t workers, badm_form form, float *last)
{
    sequence s;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    badm_model *m = badm_model_new(3);
    uint64_t hash;
    int i;
    s.cell = badm_gru_new(m, "cell", 2, 6);
    s.out = badm_linear_new(m, "out", 6, 1);
    golden_fill(GOLDEN_REAL, 5, &s.x[0][0], 240);
    for (i = 0; i < 24; i++) s.y[i] = s.x[i][1] > 0 ? 1.0f : -1.0f;       /* what came first: it has to be remembered */
    badm_trainer_defaults(&d);
    d.model = m; d.loss = sequence_loss; d.user = &s; d.max_batch = 24; d.sub_batches = 3; d.workers = workers; d.form = form;
    d.sigma = 5; d.rho = 45; d.metric = BADM_DIAGONAL;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; i < 300; i++) CHECK_INT(badm_step(tr, NULL, 24, &r), BADM_OK);
    *last = r.loss;
    hash = badm_model_hash(m);
    badm_trainer_free(tr);
    badm_model_free(m);
    return hash;
}

TEST(gru_learns_with_the_same_bits_for_any_number_of_workers)
{
    float a, b;
    uint64_t one = train_sequence(1, BADM_COLLAPSED, &a);
    CHECK(train_sequence(3, BADM_COLLAPSED, &b) == one);
    CHECK_NEAR(a, b, 0);
    CHECK_NEAR(a, 0, 0.1);
    train_sequence(2, BADM_PER_SLOT, &b);
    CHECK_NEAR(b, 0, 0.1);
}

TEST(gru_model_passes_the_gradient_check)
{
    sequence s;
    badm_gradient_check g;
    badm_model *m = badm_model_new(3);
    int i;
    s.cell = badm_gru_new(m, "cell", 2, 6);
    s.out = badm_linear_new(m, "out", 6, 1);
    golden_fill(GOLDEN_REAL, 5, &s.x[0][0], 240);
    for (i = 0; i < 24; i++) s.y[i] = s.x[i][1];
    CHECK_INT(badm_check_gradients(m, sequence_loss, &s, 24, 0, 0, &g), BADM_OK);
    CHECK_NEAR(g.worst, 0, 0.05);
    badm_model_free(m);
}

/* ----------------------------------------------------------------------------------------------------------------
   Bits: every instruction set, and the plain loops
   ---------------------------------------------------------------------------------------------------------------- */

TEST(gru_has_the_same_bits_on_all_instruction_sets)
{
    static float h[37 * 3], gate[2][3 * 3 * 37], y[2][3 * 37], sums[4 * 37], da[2][333], db[2][333], dh[2][111];
    static float wide[333];
    int k;
    golden_fill(GOLDEN_REAL, 1, wide, 333);
    golden_fill(GOLDEN_REAL, 2, h, 111);
    for (k = 0; k < 2; k++) {
        int level = k ? badm_i_simd_level() : 0;
        badm_i_gru_values(level, 3, 37, wide, wide, h, gate[k], y[k]);
        badm_i_gru_slopes(level, 3, 37, wide, h, gate[k], y[k], sums, da[k], 0, db[k], 0, dh[k], 0);
    }
    CHECK(!memcmp(y[0], y[1], sizeof y[0]));
    CHECK(!memcmp(da[0], da[1], sizeof da[0]));
    CHECK(!memcmp(db[0], db[1], sizeof db[0]));
    CHECK(!memcmp(dh[0], dh[1], sizeof dh[0]));
}

/* ----------------------------------------------------------------------------------------------------------------
   randn
   ---------------------------------------------------------------------------------------------------------------- */

TEST(randn_is_standard_normal)
{
    static const badm_dim shape[2] = { 200, 501 };
    badm_tape *t = tape();
    badm_tensor *x;
    double sum = 0, square = 0, cube = 0, fourth = 0, neighbour = 0;
    size_t i, n = 100200, beyond = 0;
    badm_tape_mode(t, 1, 42);
    x = badm_randn(t, 2, shape);
    CHECK_INT(badm_size(x), n);
    CHECK(badm_grad(t, x) == NULL);
    for (i = 0; i < n; i++) {
        double v = (double)badm_data(t, x)[i];
        sum += v; square += v * v; cube += v * v * v; fourth += v * v * v * v;
        if (i) neighbour += v * (double)badm_data(t, x)[i - 1];
        beyond += fabs(v) > 1.959964;
    }
    CHECK_NEAR(sum / (double)n, 0, 0.012);
    CHECK_NEAR(square / (double)n, 1, 0.018);
    CHECK_NEAR(cube / (double)n, 0, 0.05);
    CHECK_NEAR(fourth / (double)n, 3, 0.13);
    CHECK_NEAR(neighbour / (double)n, 0, 0.012);
    CHECK_NEAR((double)beyond / (double)n, 0.05, 0.003);
    close_tape(t);
}

TEST(randn_is_a_function_of_seed_and_place)
{
    static const badm_dim shape[1] = { 64 };
    float first[64], second[64];
    badm_tape *t = tape();
    badm_tape_mode(t, 1, 42);
    memcpy(first, badm_data(t, badm_randn(t, 1, shape)), sizeof first);
    memcpy(second, badm_data(t, badm_randn(t, 1, shape)), sizeof second);
    CHECK(memcmp(first, second, sizeof first));
    badm_tape_reset(t);
    CHECK(!memcmp(first, badm_data(t, badm_randn(t, 1, shape)), sizeof first));
    CHECK(!memcmp(second, badm_data(t, badm_randn(t, 1, shape)), sizeof first));
    badm_tape_reset(t);
    badm_tape_mode(t, 1, 43);
    CHECK(memcmp(first, badm_data(t, badm_randn(t, 1, shape)), sizeof first));
    close_tape(t);
}

TEST(randn_is_zero_while_evaluating)
{
    static const badm_dim shape[2] = { 3, 5 };
    badm_tape *t = tape();
    badm_tensor *x = badm_randn(t, 2, shape);
    int i;
    for (i = 0; i < 15; i++) CHECK_NEAR(badm_data(t, x)[i], 0, 0);
    badm_randn(t, 5, shape);
    CHECK_INT(badm_tape_error(t)->code, BADM_ERR_SHAPE);
    close_tape(t);
}

/* Weights that move by the noise alone: each slot and each step draws its own. */
static badm_tensor *noisy_loss(badm_tape *t, const badm_batch *b, void *user)
{
    static const badm_dim shape[2] = { 2, 2 };
    (void)b;
    return badm_sum(t, badm_mul(t, badm_randn(t, 2, shape), badm_param_use(t, *(const badm_param *)user)));
}

static uint64_t noisy(uint32_t workers, uint32_t micro)
{
    static const badm_dim shape[2] = { 2, 2 };
    badm_model *m = badm_model_new(1);
    badm_param w = badm_param_new(m, "w", 2, shape, badm_init_constant(0));
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = noisy_loss; d.user = &w; d.max_batch = 8; d.sub_batches = 2; d.workers = workers; d.micro_batch = micro;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_OK);
    hash = badm_model_hash(m);
    badm_trainer_free(tr);
    badm_model_free(m);
    return hash;
}

TEST(randn_does_not_depend_on_workers)
{
    uint64_t one = noisy(1, 0);
    CHECK(noisy(2, 0) == one);
    CHECK(noisy(1, 2) != one);
    CHECK(noisy(1, 2) == noisy(2, 2));
}

TEST_MAIN(RUN(gru_agrees_with_pytorch) RUN(gru_gradients_are_the_difference_quotients) RUN(gru_gradients_accumulate)
          RUN(gru_shapes_that_do_not_fit_are_refused) RUN(gru_layer_has_pytorchs_parameters)
          RUN(gru_learns_with_the_same_bits_for_any_number_of_workers) RUN(gru_model_passes_the_gradient_check)
          RUN(gru_has_the_same_bits_on_all_instruction_sets) RUN(randn_is_standard_normal)
          RUN(randn_is_a_function_of_seed_and_place) RUN(randn_is_zero_while_evaluating) RUN(randn_does_not_depend_on_workers))
