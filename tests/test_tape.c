/* >>tape: recording, errors that stick, gradients, and operations from outside the library. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

static const badm_dim shape3[1] = { 3 }, shape23[2] = { 2, 3 }, shape32[2] = { 3, 2 }, shape45[2] = { 4, 5 };
static const float six[6] = { 1, -2, 3, -4, 5, -6 };

/* A model with one weight [2,3], and a tape that watches it. */
typedef struct { badm_model *model; badm_param w; badm_tape *tape; float *grads; } fixture;

static fixture make(void)
{
    fixture f;
    f.model = badm_model_new(1);
    f.w = badm_param_new(f.model, "w", 2, shape23, badm_init_normal(0, 1));
    f.grads = (float *)calloc(badm_trainable_size(f.model), sizeof(float));
    f.tape = NULL;
    CHECK_INT(badm_tape_new(&f.tape, NULL, 100000), BADM_OK);
    badm_tape_watch(f.tape, f.model, f.grads);
    return f;
}

static void unmake(fixture *f)
{
    badm_tape_free(f->tape);
    badm_model_free(f->model);
    free(f->grads);
}

TEST(an_input_is_a_copy_of_the_values)
{
    fixture f = make();
    float values[6];
    badm_tensor *x, *zeros;
    int i;
    memcpy(values, six, sizeof values);
    x = badm_input(f.tape, 2, shape23, values);
    values[0] = 99;
    zeros = badm_input(f.tape, 2, shape45, NULL);
    CHECK_INT(badm_size(x), 6);
    CHECK_INT(x->rank, 2);
    CHECK_INT(x->shape[1], 3);
    CHECK(!memcmp(badm_data(f.tape, x), six, sizeof six));
    for (i = 0; i < 20; i++) CHECK(badm_data(f.tape, zeros)[i] == 0);
    CHECK(!badm_is_dry(f.tape));
    unmake(&f);
}

TEST(gradients_reach_variables_and_parameters_but_not_inputs)
{
    fixture f = make();
    badm_tensor *x = badm_input(f.tape, 2, shape23, six), *v = badm_variable(f.tape, 2, shape23, six),
            *w = badm_param_use(f.tape, f.w);
    badm_tensor *loss = badm_sum(f.tape, badm_mul(f.tape, badm_add(f.tape, x, v), w));
    const float *values = badm_param_values(f.w);
    int i;
    CHECK_INT(badm_backward(f.tape, loss), BADM_OK);
    CHECK(badm_grad(f.tape, x) == NULL);
    CHECK(badm_grad(f.tape, w) == badm_param_grad(f.tape, f.w));
    for (i = 0; i < 6; i++) {
        CHECK(badm_data(f.tape, w)[i] == values[i]);
        CHECK(badm_grad(f.tape, v)[i] == values[i]);
        CHECK(badm_param_grad(f.tape, f.w)[i] == 2 * six[i]);
    }
    unmake(&f);
}

TEST(a_tensor_used_twice_gets_both_gradients)
{
    fixture f = make();
    badm_tensor *v = badm_variable(f.tape, 2, shape23, six), *w = badm_param_use(f.tape, f.w),
            *again = badm_param_use(f.tape, f.w);
    int i;
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape,
            badm_add(f.tape, badm_mul(f.tape, v, v), badm_add(f.tape, w, badm_scale(f.tape, again, 3))))), BADM_OK);
    for (i = 0; i < 6; i++) {
        CHECK(badm_grad(f.tape, v)[i] == 2 * six[i]);
        CHECK(badm_param_grad(f.tape, f.w)[i] == 4);
    }
    unmake(&f);
}

TEST(parameter_gradients_add_up_over_passes)
{
    fixture f = make();
    int pass, i;
    for (pass = 1; pass <= 3; pass++) {
        badm_tape_reset(f.tape);
        CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, badm_param_use(f.tape, f.w))), BADM_OK);
        for (i = 0; i < 6; i++) CHECK(badm_param_grad(f.tape, f.w)[i] == (float)pass);
    }
    unmake(&f);
}

TEST(a_frozen_parameter_has_no_gradient)
{
    fixture f = make();
    badm_param free_one = badm_param_new(f.model, "free", 2, shape23, badm_init_constant(2));
    badm_set_frozen(f.model, "w", 1);
    free(f.grads);
    f.grads = (float *)calloc(badm_trainable_size(f.model), sizeof(float));
    badm_tape_watch(f.tape, f.model, f.grads);
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape,
            badm_mul(f.tape, badm_param_use(f.tape, f.w), badm_param_use(f.tape, free_one)))), BADM_OK);
    CHECK(badm_param_grad(f.tape, f.w) == NULL);
    CHECK(badm_param_grad(f.tape, free_one) != NULL);
    CHECK(badm_param_grad(f.tape, free_one)[4] == badm_param_values(f.w)[4]);
    unmake(&f);
}

TEST(another_models_parameters_get_no_gradient)
{
    fixture f = make();
    badm_model *other = badm_model_new(2);
    badm_param p = badm_param_new(other, "p", 2, shape23, badm_init_constant(2));
    badm_tensor *use = badm_param_use(f.tape, p);
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, badm_mul(f.tape, use, badm_param_use(f.tape, f.w)))), BADM_OK);
    CHECK(badm_param_grad(f.tape, p) == NULL);
    CHECK(badm_grad(f.tape, use) == NULL);
    CHECK(badm_param_grad(f.tape, f.w)[0] == 2);
    badm_model_free(other);
    unmake(&f);
}

TEST(detach_stops_the_gradient)
{
    fixture f = make();
    badm_tensor *v = badm_variable(f.tape, 2, shape23, six), *d = badm_detach(f.tape, v);
    int i;
    CHECK(!memcmp(badm_data(f.tape, d), six, sizeof six));
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, badm_mul(f.tape, v, d))), BADM_OK);
    CHECK(badm_grad(f.tape, d) == NULL);
    for (i = 0; i < 6; i++) CHECK(badm_grad(f.tape, v)[i] == six[i]);
    unmake(&f);
}

TEST(a_tape_without_gradients_computes_and_needs_less)
{
    fixture f = make();
    badm_tape *t = NULL;
    badm_tensor *w, *y;
    size_t with;
    CHECK_INT(badm_tape_new(&t, NULL, 100000), BADM_OK);
    w = badm_param_use(t, f.w);
    y = badm_tanh(t, badm_mul(t, w, badm_input(t, 2, shape23, six)));
    CHECK(badm_grad(t, w) == NULL && badm_grad(t, y) == NULL && badm_param_grad(t, f.w) == NULL);
    CHECK_NEAR(badm_data(t, y)[1], tanh(-2 * (double)badm_param_values(f.w)[1]), 1e-6);
    CHECK(!badm_training(t));
    y = badm_tanh(f.tape, badm_mul(f.tape, badm_param_use(f.tape, f.w), badm_input(f.tape, 2, shape23, six)));
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, y)), BADM_OK);
    with = badm_tape_used(f.tape);
    CHECK(badm_tape_used(t) < with);
    badm_tape_free(t);
    unmake(&f);
}

TEST(reset_forgets_tensors_and_error_and_keeps_the_arena)
{
    fixture f = make();
    badm_tensor *x;
    float *place;
    CHECK_INT(badm_tape_used(f.tape), 0);
    x = badm_input(f.tape, 2, shape23, six);
    place = badm_data(f.tape, x);
    CHECK(badm_tape_used(f.tape) >= sizeof six);
    (void)badm_matmul(f.tape, x, x);
    CHECK_INT(badm_tape_error(f.tape)->code, BADM_ERR_SHAPE);
    badm_tape_reset(f.tape);
    CHECK_INT(badm_tape_error(f.tape)->code, BADM_OK);
    CHECK_INT(badm_tape_used(f.tape), 0);
    x = badm_input(f.tape, 2, shape23, six);
    CHECK(badm_data(f.tape, x) == place);
    unmake(&f);
}

TEST(the_first_error_is_kept_and_operations_never_return_null)
{
    fixture f = make();
    badm_tensor *x = badm_input(f.tape, 2, shape23, six), *bad = badm_matmul(f.tape, x, x), *y;
    char text[200];
    CHECK(bad != NULL);
    y = badm_tanh(f.tape, badm_add(f.tape, bad, x));
    CHECK(y != NULL);
    CHECK_INT(badm_size(y), 0);
    y = badm_reshape(f.tape, x, 1, shape3);         /* an error too, but not the first */
    CHECK(y != NULL);
    CHECK_INT(badm_tape_error(f.tape)->code, BADM_ERR_SHAPE);
    CHECK(badm_error_text(badm_tape_error(f.tape), text, sizeof text) > 0);
    CHECK_TEXT(text, "matmul");
    CHECK_TEXT(text, "[2,3]");
    CHECK(badm_backward(f.tape, badm_sum(f.tape, y)) != BADM_OK);
    unmake(&f);
}

TEST(an_arena_too_small_is_an_error_at_every_size)
{
    fixture f = make();
    size_t bytes;
    int worked = 0;
    for (bytes = 0; bytes < 8000; bytes += 24) {
        badm_tape *t = NULL;
        badm_tensor *y;
        badm_result r = badm_tape_new(&t, NULL, bytes);
        if (r != BADM_OK) { CHECK_INT(r, BADM_ERR_MEMORY); CHECK(t == NULL); continue; }
        badm_tape_watch(t, f.model, f.grads);
        y = badm_mean(t, badm_sigmoid(t, badm_matmul(t, badm_param_use(t, f.w), badm_input(t, 2, shape32, six))));
        CHECK(y != NULL);
        r = badm_backward(t, y);
        CHECK_INT(r, badm_tape_error(t)->code);
        if (r == BADM_OK) worked++;
        else { CHECK_INT(r, BADM_ERR_MEMORY); CHECK_INT(worked, 0); }
        badm_tape_free(t);
    }
    CHECK(worked > 0);
    unmake(&f);
}

TEST(backward_needs_a_scalar_of_its_tape)
{
    fixture f = make();
    badm_tensor *v = badm_variable(f.tape, 2, shape23, six);
    CHECK_INT(badm_backward(f.tape, v), BADM_ERR_SHAPE);
    unmake(&f);
}

/* 10,000 ones through dropout with probability 1/4: the values, and how many were dropped. */
static int drop(badm_tape *t, int training, uint64_t seed, int again, float *out)
{
    static const badm_dim shape[1] = { 10000 };
    badm_tensor *ones, *y;
    int i, dropped = 0;
    for (i = 0; i < 10000; i++) out[i] = 1;
    badm_tape_reset(t);
    badm_tape_mode(t, training, seed);
    ones = badm_input(t, 1, shape, out);
    y = badm_dropout(t, ones, 0.25f);
    if (again) y = badm_dropout(t, ones, 0.25f);        /* at another place in the tape */
    CHECK_INT(badm_training(t), training);
    CHECK_INT(badm_tape_error(t)->code, BADM_OK);
    memcpy(out, badm_data(t, y), 10000 * sizeof *out);
    for (i = 0; i < 10000; i++) dropped += out[i] == 0;
    return dropped;
}

static int differences(const float *a, const float *b)
{
    int i, n = 0;
    for (i = 0; i < 10000; i++) n += (a[i] == 0) != (b[i] == 0);
    return n;
}

TEST(dropout_is_a_function_of_its_seed_and_place)
{
    static float first[10000], other[10000];
    badm_tape *t = NULL;
    int i;
    CHECK_INT(badm_tape_new(&t, NULL, 1000000), BADM_OK);
    CHECK_INT(drop(t, 0, 5, 0, first), 0);
    CHECK(first[0] == 1);
    CHECK_NEAR(drop(t, 1, 5, 0, first), 2500, 5 * sqrt(10000 * 0.25 * 0.75));
    for (i = 0; i < 10000; i++) CHECK(first[i] == 0 || fabsf(first[i] - 4.0f / 3) < 1e-6f);
    drop(t, 1, 5, 0, other);
    CHECK_INT(differences(first, other), 0);
    drop(t, 1, 6, 0, other);
    CHECK(differences(first, other) > 3000);            /* 3,750 expected */
    drop(t, 1, 5, 1, other);
    CHECK(differences(first, other) > 3000);
    badm_tape_free(t);
}

TEST(dropout_passes_gradients_where_it_passes_values)
{
    static const badm_dim shape[1] = { 1000 };
    fixture f = make();
    float ones[1000];
    badm_tensor *v, *y;
    int i;
    for (i = 0; i < 1000; i++) ones[i] = 1;
    badm_tape_mode(f.tape, 1, 9);
    v = badm_variable(f.tape, 1, shape, ones);
    y = badm_dropout(f.tape, v, 0.5f);
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, y)), BADM_OK);
    for (i = 0; i < 1000; i++) CHECK(badm_grad(f.tape, v)[i] == badm_data(f.tape, y)[i]);
    unmake(&f);
}

TEST(a_dump_lists_every_tensor)
{
    fixture f = make();
    char text[2000], cut[10];
    size_t n;
    badm_tensor *y = badm_tanh(f.tape, badm_matmul(f.tape, badm_param_use(f.tape, f.w),
            badm_input(f.tape, 2, shape32, six)));
    (void)y;
    n = badm_tape_dump(f.tape, text, sizeof text);
    CHECK_INT(n, strlen(text));
    CHECK_TEXT(text, "matmul");
    CHECK_TEXT(text, "tanh");
    CHECK_TEXT(text, "[2,2]");
    CHECK_TEXT(text, "[3,2]");
    CHECK(strstr(text, "matmul") < strstr(text, "tanh"));          /* in the order of recording */
    CHECK_INT(badm_tape_dump(f.tape, cut, sizeof cut), n);
    CHECK_INT(strlen(cut), 9);
    unmake(&f);
}

/* ---- an operation of one's own: y = x^2 + offset, through scratch memory ---- */

typedef struct { float offset; } square_args;

static void square_forward(badm_tape *t, badm_tensor *y)
{
    const square_args *args = (const square_args *)y->args;
    const float *x = badm_data(t, y->in[0]);
    float *out = badm_data(t, y), *squares = (float *)badm_scratch(t, badm_size(y) * sizeof(float));
    size_t i, n = badm_size(y);
    for (i = 0; i < n; i++) squares[i] = x[i] * x[i];
    for (i = 0; i < n; i++) out[i] = squares[i] + args->offset;
}

static void square_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]), *dy = badm_grad(t, y);
    float *dx = badm_grad(t, y->in[0]), *twice = (float *)badm_scratch(t, badm_size(y) * sizeof(float));
    size_t i, n = badm_size(y);
    for (i = 0; i < n; i++) twice[i] = 2 * x[i];
    for (i = 0; i < n; i++) dx[i] += dy[i] * twice[i];
}

static badm_tensor *square(badm_tape *t, badm_tensor *x, float offset)
{
    static const badm_op op = { "square", square_forward, square_backward };
    square_args args;
    args.offset = offset;
    if (offset < 0) return badm_fail(t, BADM_ERR_ARGUMENT, "square", "%a with %0 and %1: the offset is negative", x,
            NULL, 7, 8);
    badm_scratch_reserve(t, badm_size(x) * sizeof(float));
    return badm_record(t, &op, x->rank, x->shape, 1, &x, &args, sizeof args);
}

TEST(an_operation_from_outside_takes_part)
{
    fixture f = make();
    badm_tensor *v = badm_variable(f.tape, 2, shape23, six), *y = square(f.tape, badm_scale(f.tape, v, 2), 0.5f);
    char text[1000];
    int i;
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, y)), BADM_OK);
    for (i = 0; i < 6; i++) {
        CHECK(badm_data(f.tape, y)[i] == 4 * six[i] * six[i] + 0.5f);
        CHECK(badm_grad(f.tape, v)[i] == 8 * six[i]);
    }
    CHECK(badm_tape_dump(f.tape, text, sizeof text) > 0);
    CHECK_TEXT(text, "square");
    unmake(&f);
}

TEST(an_operation_from_outside_reports_its_errors)
{
    fixture f = make();
    badm_tensor *y = square(f.tape, badm_input(f.tape, 2, shape23, six), -1);
    char text[200];
    CHECK(y != NULL);
    CHECK_INT(badm_tape_error(f.tape)->code, BADM_ERR_ARGUMENT);
    (void)badm_error_text(badm_tape_error(f.tape), text, sizeof text);
    CHECK_TEXT(text, "square");
    CHECK_TEXT(text, "[2,3] with 7 and 8: the offset is negative");
    y = square(f.tape, y, 1);               /* the empty tensor goes through operations of one's own too */
    CHECK(y != NULL);
    CHECK_INT(badm_tape_error(f.tape)->code, BADM_ERR_ARGUMENT);
    unmake(&f);
}

TEST(backward_runs_only_where_a_gradient_is_wanted)
{
    fixture f = make();
    badm_tensor *v = badm_variable(f.tape, 2, shape23, six);
    /* its backward would write to no gradient */
    badm_tensor *without = square(f.tape, badm_input(f.tape, 2, shape23, six), 1);
    CHECK_INT(badm_backward(f.tape, badm_sum(f.tape, badm_mul(f.tape, v, without))), BADM_OK);
    CHECK(badm_grad(f.tape, without) == NULL);
    CHECK(badm_grad(f.tape, v)[1] == 5);
    unmake(&f);
}

TEST(a_long_chain_is_walked_without_recursion)
{
    badm_model *m = badm_model_new(1);
    badm_param p = badm_param_new(m, "p", 1, shape3, badm_init_constant(1));
    badm_tape *t = NULL;
    badm_tensor *x;
    float *grads = (float *)calloc(badm_trainable_size(m), sizeof(float));
    int i;
    CHECK_INT(badm_tape_new(&t, NULL, 30000000), BADM_OK);
    badm_tape_watch(t, m, grads);
    x = badm_param_use(t, p);
    for (i = 0; i < 50000; i++) x = badm_shift(t, x, 1e-5f);
    CHECK_INT(badm_backward(t, badm_sum(t, x)), BADM_OK);
    CHECK(badm_param_grad(t, p)[2] == 1);
    badm_tape_free(t);
    badm_model_free(m);
    free(grads);
}

TEST_MAIN(
    RUN(an_input_is_a_copy_of_the_values)
    RUN(gradients_reach_variables_and_parameters_but_not_inputs)
    RUN(a_tensor_used_twice_gets_both_gradients)
    RUN(parameter_gradients_add_up_over_passes)
    RUN(a_frozen_parameter_has_no_gradient)
    RUN(another_models_parameters_get_no_gradient)
    RUN(detach_stops_the_gradient)
    RUN(a_tape_without_gradients_computes_and_needs_less)
    RUN(reset_forgets_tensors_and_error_and_keeps_the_arena)
    RUN(the_first_error_is_kept_and_operations_never_return_null)
    RUN(an_arena_too_small_is_an_error_at_every_size)
    RUN(backward_needs_a_scalar_of_its_tape)
    RUN(dropout_is_a_function_of_its_seed_and_place)
    RUN(dropout_passes_gradients_where_it_passes_values)
    RUN(a_dump_lists_every_tensor)
    RUN(an_operation_from_outside_takes_part)
    RUN(an_operation_from_outside_reports_its_errors)
    RUN(backward_runs_only_where_a_gradient_is_wanted)
    RUN(a_long_chain_is_walked_without_recursion)
)
