/* >>model: named parameters in one slab, initialisers, groups, mapped weights. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

static badm_param add(badm_model *m, const char *name, badm_dim rows, badm_dim columns, badm_init init)
{
    badm_dim shape[2];
    shape[0] = rows;
    shape[1] = columns;
    return badm_param_new(m, name, 2, shape, init);
}

/* A small model of two linear layers, 2-8-1. */
static badm_model *small_model(uint64_t seed)
{
    badm_model *m = badm_model_new(seed);
    badm_linear_new(m, "fc1", 2, 8);
    badm_linear_new(m, "fc2", 8, 1);
    return m;
}

TEST(parameters_are_found_by_name_and_place)
{
    badm_model *m = small_model(1);
    badm_param p = badm_param_find(m, "fc1.weight"), q = badm_param_at(m, 3);
    badm_shape s = badm_param_shape(p);
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK(!strcmp(badm_model_error(m), ""));
    CHECK_INT(badm_param_count(m), 4);
    CHECK_INT(badm_model_size(m), 16 + 8 + 8 + 1);
    CHECK(badm_trainable_size(m) >= 33);
    CHECK(p.model == m && q.model == m);
    CHECK(!strcmp(badm_param_name(p), "fc1.weight"));
    CHECK(!strcmp(badm_param_name(q), "fc2.bias"));
    CHECK_INT(s.rank, 2);
    CHECK_INT(s.dim[0], 8);
    CHECK_INT(s.dim[1], 2);
    CHECK_INT(badm_param_size(p), 16);
    CHECK(!badm_param_is_buffer(p) && !badm_param_is_frozen(p));
    CHECK(badm_param_find(m, "fc1").model == NULL);
    CHECK(badm_param_find(m, "").model == NULL);
    CHECK(badm_param_at(m, 4).model == NULL);
    CHECK(badm_param_at(m, (size_t)-1).model == NULL);
    CHECK_INT(badm_model_result(m), BADM_OK);       /* looking for what is not there is no error */
    badm_model_free(m);
}

TEST(values_stay_when_parameters_are_added)
{
    badm_model *m = badm_model_new(3);
    badm_param first = add(m, "first", 5, 7, badm_init_normal(0, 1));
    float before[35];
    char name[16];
    int i;
    memcpy(before, badm_param_values(first), sizeof before);
    for (i = 0; i < 200; i++) {
        sprintf(name, "p%d", i);
        add(m, name, 3, (badm_dim)(1 + i), badm_init_constant((float)i));
    }
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK(!memcmp(before, badm_param_values(first), sizeof before));
    for (i = 0; i < 200; i++) {
        badm_param p;
        sprintf(name, "p%d", i);
        p = badm_param_find(m, name);
        CHECK(badm_param_values(p)[0] == (float)i && badm_param_values(p)[badm_param_size(p) - 1] == (float)i);
    }
    badm_model_free(m);
}

TEST(a_scalar_and_four_dimensions_are_parameters)
{
    static const badm_dim shape[4] = { 2, 3, 4, 5 };
    badm_model *m = badm_model_new(1);
    badm_param scalar = badm_param_new(m, "scalar", 0, NULL, badm_init_constant(2)),
            tensor = badm_param_new(m, "tensor", 4, shape, badm_init_constant(3));
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK_INT(badm_param_size(scalar), 1);
    CHECK_INT(badm_param_shape(scalar).rank, 0);
    CHECK_INT(badm_param_size(tensor), 120);
    CHECK_INT(badm_param_shape(tensor).dim[3], 5);
    badm_model_free(m);
}

TEST(a_buffer_is_stored_but_not_trained)
{
    static const badm_dim shape[1] = { 6 };
    badm_model *m = small_model(1);
    size_t trainable = badm_trainable_size(m);
    uint64_t hash = badm_model_hash(m);
    badm_param b = badm_buffer_new(m, "running_mean", 1, shape, 0.5f);
    CHECK(badm_param_is_buffer(b));
    CHECK_INT(badm_model_size(m), 33 + 6);
    CHECK_INT(badm_trainable_size(m), trainable);
    CHECK(badm_model_hash(m) != hash);
    CHECK(badm_param_values(b)[5] == 0.5f);
    badm_model_free(m);
}

/* Adds a parameter that must be refused, and looks at what the model says. */
static void refused(const char *name, unsigned rank, const badm_dim *shape, badm_result expected, const char *text)
{
    badm_model *m = small_model(1);
    badm_param_new(m, name, rank, shape, badm_init_constant(0));
    CHECK_INT(badm_model_result(m), expected);
    CHECK_TEXT(badm_model_error(m), text);
    CHECK_INT(badm_param_count(m), 4);
    CHECK_INT(badm_model_size(m), 33);
    badm_param_new(m, "fine", 1, shape, badm_init_constant(0));     /* the first error stays */
    CHECK_INT(badm_model_result(m), expected);
    CHECK_TEXT(badm_model_error(m), text);
    badm_model_free(m);
}

TEST(bad_names_are_refused)
{
    static const badm_dim shape[1] = { 3 };
    char name[202];
    memset(name, 'n', 201);
    name[201] = 0;
    refused("", 1, shape, BADM_ERR_ARGUMENT, "name");
    refused(name, 1, shape, BADM_ERR_ARGUMENT, "nnn");
    refused("fc1.weight", 1, shape, BADM_ERR_ARGUMENT, "fc1.weight");
    refused("badm.step", 1, shape, BADM_ERR_ARGUMENT, "badm.step");
}

/* Whoever does not look whether there was memory for the model learns it from the trainer. */
TEST(layers_put_up_with_a_model_that_is_none)
{
    badm_memory none;
    badm_model *m;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_linear l;
    badm_memory_block(&none, NULL, 0);
    m = badm_model_new_in(&none, 1);
    CHECK(m == NULL);
    l = badm_linear_new(m, "l", 2, 3);
    CHECK(badm_param_data(l.weight) == NULL);
    badm_group_norm_new(m, "n", 3, 4);
    badm_embedding_new(m, "e", 3, 4);
    badm_conv2d_new(m, "c", 3, 4, 2, badm_conv_defaults());
    badm_multihead_new(m, "a", 3, 2);
    badm_gru_new(m, "g", 3, 2);
    badm_trainer_defaults(&d);
    d.model = m;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
    CHECK(tr == NULL);
    CHECK(strcmp(badm_model_error(m), badm_result_text(BADM_ERR_MEMORY)) == 0);
    badm_model_free(m);
}

TEST(a_name_of_200_bytes_is_taken)
{
    static const badm_dim shape[1] = { 3 };
    badm_model *m = badm_model_new(1);
    badm_param p;
    char name[201];
    memset(name, 'n', 200);
    name[200] = 0;
    p = badm_param_new(m, name, 1, shape, badm_init_constant(0));
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK(p.model && !strcmp(badm_param_name(p), name));
    p = badm_param_new(m, "badm", 1, shape, badm_init_constant(0));     /* the prefix is "badm." */
    CHECK_INT(badm_model_result(m), BADM_OK);
    badm_model_free(m);
}

TEST(bad_shapes_are_refused)
{
    static const badm_dim zero[3] = { 3, 0, 3 }, five[5] = { 1, 1, 1, 1, 1 }, huge[4] = { 65535, 65535, 65535, 65535 };
    static const badm_dim wraps[4] = { 65536, 65536, 65536, 65536 };     /* 2^64 numbers: 0 in 64 bits */
    refused("p", 3, zero, BADM_ERR_ARGUMENT, "p");
    refused("p", 5, five, BADM_ERR_ARGUMENT, "p");
    refused("p", 4, huge, BADM_ERR_MEMORY, "p");
    refused("p", 4, wraps, BADM_ERR_MEMORY, "p");
}

TEST(sizes_whose_bytes_overflow_are_refused)
{
    static const badm_dim shape[2] = { 0x80000000u, 0x80000000u };       /* 2^62 numbers, 2^64 bytes */
    refused("p", 2, shape, BADM_ERR_MEMORY, "p");
}

TEST(an_error_makes_later_calls_harmless)
{
    badm_model *m = badm_model_new(1);
    badm_linear broken = badm_linear_new(m, "fc", 0, 4), after = badm_linear_new(m, "fc2", 4, 4);
    char text[64];
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    (void)badm_param_name(broken.weight);
    (void)badm_param_size(broken.weight);
    (void)badm_param_values(broken.weight);
    (void)badm_param_data(after.bias);
    (void)badm_param_shape(after.bias);
    (void)badm_param_is_frozen(after.bias);
    (void)badm_model_hash(m);
    (void)badm_summary(m, text, sizeof text);
    badm_set_frozen(m, "", 1);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    badm_model_free(m);
}

TEST(a_seed_makes_the_same_values_and_another_seed_others)
{
    badm_model *a = small_model(5), *b = small_model(5), *c = small_model(6);
    CHECK(badm_model_hash(a) == badm_model_hash(b));
    CHECK(badm_model_hash(a) != badm_model_hash(c));
    badm_model_free(a);
    badm_model_free(b);
    badm_model_free(c);
}

TEST(two_parameters_of_a_model_draw_different_values)
{
    badm_model *m = badm_model_new(5);
    badm_param p = add(m, "p", 4, 4, badm_init_normal(0, 1)), q = add(m, "q", 4, 4, badm_init_normal(0, 1));
    CHECK(memcmp(badm_param_values(p), badm_param_values(q), 16 * sizeof(float)) != 0);
    badm_model_free(m);
}

TEST(the_hash_sees_every_bit_names_and_shapes)
{
    badm_model *m = small_model(5), *other;
    uint64_t hash = badm_model_hash(m);
    size_t i, j;
    int bit;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        float *w = badm_param_data(p);
        for (j = 0; j < badm_param_size(p); j++)
            for (bit = 0; bit < 32; bit += 7) {
                uint32_t u;
                memcpy(&u, w + j, 4);
                u ^= (uint32_t)1 << bit;
                memcpy(w + j, &u, 4);
                CHECK(badm_model_hash(m) != hash);
                u ^= (uint32_t)1 << bit;
                memcpy(w + j, &u, 4);
            }
    }
    CHECK(badm_model_hash(m) == hash);
    badm_model_free(m);

    m = badm_model_new(1);
    other = badm_model_new(1);
    add(m, "p", 2, 3, badm_init_constant(1));
    add(other, "q", 2, 3, badm_init_constant(1));
    CHECK(badm_model_hash(m) != badm_model_hash(other));
    badm_model_free(other);
    other = badm_model_new(1);
    add(other, "p", 3, 2, badm_init_constant(1));
    CHECK(badm_model_hash(m) != badm_model_hash(other));
    badm_model_free(other);
    other = badm_model_new(99);             /* the seed itself is not part of it */
    add(other, "p", 2, 3, badm_init_constant(1));
    CHECK(badm_model_hash(m) == badm_model_hash(other));
    badm_model_free(other);
    badm_model_free(m);
}

TEST(copying_needs_the_same_names_and_shapes)
{
    badm_model *a = small_model(5), *b = small_model(6), *other = badm_model_new(7);
    uint64_t hash;
    CHECK_INT(badm_model_copy(b, a), BADM_OK);
    CHECK(badm_model_hash(a) == badm_model_hash(b));

    badm_linear_new(other, "fc1", 2, 8);
    badm_linear_new(other, "fc2", 8, 2);
    hash = badm_model_hash(other);
    CHECK_INT(badm_model_copy(other, a), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(other), "fc2");
    CHECK(badm_model_hash(other) == hash);
    badm_model_free(other);

    other = badm_model_new(7);
    badm_linear_new(other, "fc1", 2, 8);
    hash = badm_model_hash(other);
    CHECK_INT(badm_model_copy(a, other), BADM_ERR_MODEL);       /* something of `a` would stay as it was */
    CHECK(badm_model_hash(other) == hash);
    badm_model_free(other);
    badm_model_free(a);
    badm_model_free(b);
}

/* Mean, standard deviation and largest magnitude of 40,000 drawn values. */
static void moments(badm_init init, double *mean, double *deviation, double *largest)
{
    badm_model *m = badm_model_new(11);
    badm_param p = add(m, "p", 100, 400, init);        /* fan_out 100, fan_in 400 */
    const float *w = badm_param_values(p);
    size_t i, n = badm_param_size(p);
    double sum = 0, squares = 0;
    *largest = 0;
    for (i = 0; i < n; i++) {
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
        if (fabs((double)w[i]) > *largest) *largest = fabs((double)w[i]);
    }
    *mean = sum / (double)n;
    *deviation = sqrt(squares / (double)n - *mean * *mean);
    badm_model_free(m);
}

static void is_uniform(badm_init init, double bound)
{
    double mean, deviation, largest;
    moments(init, &mean, &deviation, &largest);
    CHECK(largest <= bound * 1.000001 && largest > bound * 0.999);
    CHECK_NEAR(mean, 0, 5 * bound / sqrt(3) / 200);
    CHECK_NEAR(deviation, bound / sqrt(3), 0.01 * bound);
}

static void is_normal(badm_init init, double centre, double std)
{
    double mean, deviation, largest;
    moments(init, &mean, &deviation, &largest);
    CHECK(largest > std * 3.5);
    CHECK_NEAR(mean, centre, 5 * std / 200);
    CHECK_NEAR(deviation, std, 0.02 * std);
}

TEST(initialisers_are_those_of_torch)
{
    badm_init out;
    double mean, deviation, largest;
    is_uniform(badm_init_uniform(-0.25f, 0.25f), 0.25);
    is_normal(badm_init_normal(3, 0.5f), 3, 0.5);
    is_uniform(badm_init_kaiming_uniform(1), sqrt(3.0 / 400));
    is_uniform(badm_init_kaiming_uniform(2), 2 * sqrt(3.0 / 400));
    is_normal(badm_init_kaiming_normal(1.5f), 0, 1.5 / 20);
    is_uniform(badm_init_xavier_uniform(1), sqrt(6.0 / 500));
    is_normal(badm_init_xavier_normal(2), 0, 2 * sqrt(2.0 / 500));
    out = badm_init_kaiming_normal(1);
    out.fan_out = 1;
    is_normal(out, 0, 1.0 / 10);
    out = badm_init_kaiming_uniform(1);
    out.fan_out = 1;
    is_uniform(out, sqrt(3.0 / 100));
    moments(badm_init_uniform(1, 2), &mean, &deviation, &largest);
    CHECK_NEAR(mean, 1.5, 0.01);
    CHECK(largest < 2);
    moments(badm_init_constant(-2), &mean, &deviation, &largest);
    CHECK_NEAR(mean, -2, 0);
    CHECK_NEAR(deviation, 0, 0);
}

static float largest_of(badm_param p)
{
    size_t i;
    float largest = 0, a;
    for (i = 0; i < badm_param_size(p); i++) if ((a = fabsf(badm_param_values(p)[i])) > largest) largest = a;
    return largest;
}

TEST(fans_of_a_convolution_count_its_window)
{
    static const badm_dim shape[4] = { 20, 50, 3, 5 };      /* fan_in 750, fan_out 300 */
    badm_model *m = badm_model_new(1);
    badm_init out = badm_init_kaiming_uniform(1);
    const badm_param in = badm_param_new(m, "in", 4, shape, out);
    badm_param p;
    CHECK_NEAR(largest_of(in), sqrt(3.0 / 750), 0.002 * sqrt(3.0 / 750));
    out.fan_out = 1;
    p = badm_param_new(m, "out", 4, shape, out);
    CHECK_NEAR(largest_of(p), sqrt(3.0 / 300), 0.002 * sqrt(3.0 / 300));
    badm_model_free(m);
}

TEST(gains_are_those_of_torch)
{
    CHECK_NEAR(badm_gain(BADM_GAIN_LINEAR, 0), 1, 0);
    CHECK_NEAR(badm_gain(BADM_GAIN_SIGMOID, 0), 1, 0);
    CHECK_NEAR(badm_gain(BADM_GAIN_TANH, 0), 5.0 / 3, 1e-7);
    CHECK_NEAR(badm_gain(BADM_GAIN_RELU, 0), sqrt(2), 1e-7);
    CHECK_NEAR(badm_gain(BADM_GAIN_LEAKY_RELU, 0.01f), sqrt(2 / 1.0001), 1e-7);
    CHECK_NEAR(badm_gain(BADM_GAIN_LEAKY_RELU, 2), sqrt(2 / 5.0), 1e-7);
    CHECK_NEAR(badm_gain(BADM_GAIN_SELU, 0), 0.75, 0);
}

TEST(a_linear_layer_starts_as_in_torch)
{
    badm_model *m = badm_model_new(1);
    badm_linear l = badm_linear_new(m, "l", 100, 300), without = badm_linear_new_without_bias(m, "without", 3, 5);
    badm_embedding e = badm_embedding_new(m, "e", 300, 50);
    double sum = 0, squares = 0;
    size_t i;
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK_INT(badm_param_shape(l.weight).dim[0], 300);
    CHECK_INT(badm_param_shape(l.weight).dim[1], 100);
    CHECK_INT(badm_param_shape(l.bias).rank, 1);
    CHECK_INT(badm_param_shape(l.bias).dim[0], 300);
    CHECK(largest_of(l.weight) <= 0.1f && largest_of(l.weight) > 0.0999f);      /* 1/sqrt(in) */
    CHECK(largest_of(l.bias) <= 0.1f && largest_of(l.bias) > 0.09f);
    CHECK(badm_param_find(m, "without.weight").model == m);
    CHECK(badm_param_find(m, "without.bias").model == NULL);
    CHECK(without.bias.model == NULL);
    CHECK_INT(badm_param_shape(e.weight).dim[0], 300);
    CHECK_INT(badm_param_shape(e.weight).dim[1], 50);
    for (i = 0; i < 15000; i++) { double v = (double)badm_param_values(e.weight)[i]; sum += v; squares += v * v; }
    CHECK_NEAR(sum / 15000, 0, 5 / sqrt(15000));
    CHECK_NEAR(squares / 15000, 1, 5 * sqrt(2.0 / 15000));
    badm_model_free(m);
}

TEST(a_prefix_chooses_a_group)
{
    badm_model *m = small_model(1);
    size_t all = badm_trainable_size(m);
    CHECK_INT(badm_set_frozen(m, "fc1", 1), 2);
    CHECK(badm_param_is_frozen(badm_param_at(m, 0)) && badm_param_is_frozen(badm_param_at(m, 1)));
    CHECK(!badm_param_is_frozen(badm_param_at(m, 2)) && !badm_param_is_frozen(badm_param_at(m, 3)));
    CHECK(badm_trainable_size(m) < all);
    CHECK_INT(badm_set_frozen(m, "fc1.weight", 0), 1);
    CHECK_INT(badm_set_frozen(m, "fc", 0), 4);
    CHECK_INT(badm_trainable_size(m), all);
    CHECK_INT(badm_set_frozen(m, "", 1), 4);
    CHECK_INT(badm_trainable_size(m), 0);
    CHECK_INT(badm_set_weight_decay(m, "fc2.bias", 0), 1);
    CHECK_INT(badm_set_step_scale(m, "fc2", 0.5f), 2);
    CHECK_INT(badm_set_metric(m, "fc2.weight", BADM_ORTHOGONAL), 1);
    CHECK_INT(badm_model_result(m), BADM_OK);
    badm_model_free(m);
}

TEST(a_prefix_that_matches_nothing_is_an_error_that_sticks)
{
    badm_model *m = small_model(1);
    CHECK_INT(badm_set_frozen(m, "fc3", 1), 0);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(m), "fc3");
    badm_model_free(m);
    m = small_model(1);
    CHECK_INT(badm_set_weight_decay(m, "fc1.weights", 1), 0);
    CHECK_TEXT(badm_model_error(m), "fc1.weights");
    badm_model_free(m);
    m = small_model(1);
    CHECK_INT(badm_set_step_scale(m, "Fc1", 1), 0);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    badm_model_free(m);
    m = small_model(1);
    CHECK_INT(badm_set_metric(m, "c1", BADM_PLAIN), 0);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    badm_model_free(m);
}

TEST(a_step_scale_must_be_positive)
{
    static const float bad[] = { 0, -1 };
    int i;
    for (i = 0; i < 2; i++) {
        badm_model *m = small_model(1);
        badm_set_step_scale(m, "", bad[i]);
        CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
        CHECK(strlen(badm_model_error(m)) > 0);
        badm_model_free(m);
    }
}

TEST(mapped_weights_are_read_in_place_and_frozen)
{
    static float values[33];
    badm_model *m = badm_model_new(1);
    badm_linear a, b;
    int i;
    for (i = 0; i < 33; i++) values[i] = (float)i;
    badm_model_map(m, values, 33);
    a = badm_linear_new(m, "fc1", 2, 8);
    b = badm_linear_new(m, "fc2", 8, 1);
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK(badm_param_values(a.weight) == values);
    CHECK(badm_param_values(a.bias) == values + 16);
    CHECK(badm_param_values(b.weight) == values + 24);
    CHECK(badm_param_values(b.bias) == values + 32);
    CHECK(badm_param_data(a.weight) == NULL);
    CHECK(badm_param_is_frozen(a.weight) && badm_param_is_frozen(b.bias));
    CHECK_INT(badm_trainable_size(m), 0);
    CHECK_INT(badm_model_size(m), 33);
    badm_model_free(m);
}

TEST(unfreezing_a_mapped_weight_copies_it)
{
    static float values[33];
    badm_model *m = badm_model_new(1), *plain = small_model(9);
    badm_linear a;
    uint64_t hash;
    int i;
    for (i = 0; i < 33; i++) values[i] = (float)i;
    badm_model_map(m, values, 33);
    a = badm_linear_new(m, "fc1", 2, 8);
    badm_linear_new(m, "fc2", 8, 1);
    hash = badm_model_hash(m);
    CHECK_INT(badm_set_frozen(m, "fc1.weight", 0), 1);
    CHECK(badm_model_hash(m) == hash);
    CHECK(badm_param_values(a.weight) != values);
    CHECK(badm_param_data(a.weight) != NULL);
    CHECK(badm_param_values(a.bias) == values + 16);
    CHECK(!badm_param_is_frozen(a.weight) && badm_param_is_frozen(a.bias));
    for (i = 0; i < 16; i++) CHECK(badm_param_values(a.weight)[i] == (float)i);
    badm_param_data(a.weight)[3] = 100;
    CHECK(values[3] == 3);
    CHECK_INT(badm_model_copy(plain, m), BADM_OK);          /* from flash into memory */
    CHECK(badm_model_hash(plain) == badm_model_hash(m));
    badm_model_free(m);
    badm_model_free(plain);
}

TEST(too_few_mapped_values_are_an_error)
{
    static const float values[20] = { 0 };
    badm_model *m = badm_model_new(1);
    badm_model_map(m, values, 20);
    badm_linear_new(m, "fc1", 2, 8);
    CHECK_INT(badm_model_result(m), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(m), "fc1.bias");
    badm_model_free(m);
}

TEST(a_summary_lists_every_parameter)
{
    badm_model *m = small_model(1);
    char text[4000], cut[20];
    size_t n = badm_summary(m, text, sizeof text);
    CHECK_INT(n, strlen(text));
    CHECK_TEXT(text, "fc1.weight");
    CHECK_TEXT(text, "[8,2]");
    CHECK_TEXT(text, "fc2.bias");
    CHECK_TEXT(text, "[1]");
    CHECK_TEXT(text, "33");
    CHECK(!strstr(text, "frozen") || strstr(text, "0 frozen") || strstr(text, "frozen 0"));
    badm_set_frozen(m, "fc1", 1);
    (void)badm_summary(m, text, sizeof text);
    CHECK_TEXT(text, "frozen");
    n = badm_summary(m, text, sizeof text);
    CHECK_INT(badm_summary(m, cut, sizeof cut), n);
    CHECK_INT(strlen(cut), 19);
    CHECK(!memcmp(cut, text, 19));
    CHECK_INT(badm_summary(m, NULL, 0), n);
    badm_model_free(m);
}

TEST(a_model_lives_in_one_block)
{
    static double block[2048];
    badm_memory mem;
    badm_model *m, *reference = small_model(1);
    size_t all;
    badm_memory_block(&mem, block, sizeof block);
    all = badm_memory_left(&mem);
    CHECK(all <= sizeof block && all + 64 >= sizeof block);
    m = badm_model_new_in(&mem, 1);
    badm_linear_new(m, "fc1", 2, 8);
    badm_linear_new(m, "fc2", 8, 1);
    CHECK_INT(badm_model_result(m), BADM_OK);
    CHECK(badm_model_hash(m) == badm_model_hash(reference));
    CHECK(badm_memory_left(&mem) + 33 * sizeof(float) < all);
    CHECK((char *)badm_param_data(badm_param_at(m, 0)) >= (char *)block &&
            (char *)badm_param_data(badm_param_at(m, 0)) < (char *)(block + 2048));
    badm_model_free(m);
    CHECK_INT(badm_memory_left(&mem), all);
    badm_model_free(reference);
}

TEST(a_block_too_small_is_an_error_at_every_size)
{
    static unsigned char block[6000];
    badm_memory mem;
    size_t bytes, works = 0;
    for (bytes = 0; bytes <= sizeof block; bytes += 16) {
        badm_model *m;
        badm_memory_block(&mem, block, bytes);
        m = badm_model_new_in(&mem, 1);
        if (!m) { CHECK_INT(works, 0); continue; }
        badm_linear_new(m, "fc1", 20, 10);
        badm_linear_new(m, "fc2", 10, 20);
        if (badm_model_result(m) == BADM_OK) works++;
        else {
            CHECK_INT(works, 0);
            CHECK_INT(badm_model_result(m), BADM_ERR_MEMORY);
            CHECK(strlen(badm_model_error(m)) > 0);
        }
        badm_model_free(m);
    }
    CHECK(works > 0 && works < sizeof block / 16);
}

TEST(freeing_nothing_is_allowed)
{
    badm_model_free(NULL);
    CHECK_INT(badm_version(), BADM_VERSION);
}

TEST_MAIN(
    RUN(parameters_are_found_by_name_and_place)
    RUN(values_stay_when_parameters_are_added)
    RUN(a_scalar_and_four_dimensions_are_parameters)
    RUN(a_buffer_is_stored_but_not_trained)
    RUN(bad_names_are_refused)
    RUN(layers_put_up_with_a_model_that_is_none)
    RUN(a_name_of_200_bytes_is_taken)
    RUN(bad_shapes_are_refused)
    RUN(sizes_whose_bytes_overflow_are_refused)
    RUN(an_error_makes_later_calls_harmless)
    RUN(a_seed_makes_the_same_values_and_another_seed_others)
    RUN(two_parameters_of_a_model_draw_different_values)
    RUN(the_hash_sees_every_bit_names_and_shapes)
    RUN(copying_needs_the_same_names_and_shapes)
    RUN(initialisers_are_those_of_torch)
    RUN(fans_of_a_convolution_count_its_window)
    RUN(gains_are_those_of_torch)
    RUN(a_linear_layer_starts_as_in_torch)
    RUN(a_prefix_chooses_a_group)
    RUN(a_prefix_that_matches_nothing_is_an_error_that_sticks)
    RUN(a_step_scale_must_be_positive)
    RUN(mapped_weights_are_read_in_place_and_frozen)
    RUN(unfreezing_a_mapped_weight_copies_it)
    RUN(too_few_mapped_values_are_an_error)
    RUN(a_summary_lists_every_parameter)
    RUN(a_model_lives_in_one_block)
    RUN(a_block_too_small_is_an_error_at_every_size)
    RUN(freeing_nothing_is_allowed)
)
