/* >>normalisation and its layers, against PyTorch (tests/golden/normalisation.h), and the state that layers keep: who changes
   it, when, and that nobody else does. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/normalisation.h"
#include "layer_cases.h"
#include "memory.h"

/* ----------------------------------------------------------------------------------------------------------------
   Operations
   ---------------------------------------------------------------------------------------------------------------- */

/* A tape that records, and buffers for any number of channels up to 64. */
static badm_model *model;
static badm_param mean_of[65], var_of[65];
static float grads[64];

static badm_tape *tape(void)
{
    badm_tape *t;
    badm_dim c;
    model = badm_model_new(1);
    badm_linear_new(model, "any", 2, 2);
    for (c = 1; c < 65; c++) {
        char name[32];
        sprintf(name, "mean%u", (unsigned)c);
        mean_of[c] = badm_buffer_new(model, name, 1, &c, 0);
        sprintf(name, "var%u", (unsigned)c);
        var_of[c] = badm_buffer_new(model, name, 1, &c, 1);
    }
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)8 << 20), BADM_OK);
    badm_tape_watch(t, model, grads);
    return t;
}

static void close_tape(badm_tape *t)
{
    badm_tape_free(t);
    badm_model_free(model);
}

static const char *error_of(badm_tape *t)
{
    static char text[256];
    badm_error_text(badm_tape_error(t), text, sizeof text);
    return text;
}

static badm_tensor *build(badm_tape *t, const golden_layer_case *c, badm_tensor *const *x)
{
    const char *name = c->operation;
    badm_tape_mode(t, 0, 1);
    if (!strcmp(name, "layer_norm")) return badm_layer_norm(t, x[0], x[1], x[2], 1e-5f);
    if (!strcmp(name, "rms_norm")) return badm_rms_norm(t, x[0], x[1], 1e-5f);
    if (!strcmp(name, "group_norm")) return badm_group_norm(t, x[0], c->args[0], x[1], x[2], 1e-5f);
    badm_tape_mode(t, c->args[0] != 0, 1);
    return badm_batch_norm(t, x[0], x[1], x[2], mean_of[x[0]->shape[1]], var_of[x[0]->shape[1]], 0.125f, 1e-5f);
}

/* Fills the buffers of a batch norm case; afterwards they are compared. */
static const golden_tensor *buffers_of(const golden_layer_case *c) { return &golden_tensors[c->tensor + c->inputs + 1]; }

static void fill_buffers(const golden_layer_case *c)
{
    const golden_tensor *g = buffers_of(c);
    golden_fill(g[0].kind, g[0].seed, badm_param_data(mean_of[g->shape[0]]), g->shape[0]);
    golden_fill(g[1].kind, g[1].seed, badm_param_data(var_of[g->shape[0]]), g->shape[0]);
}

static void batch_norm_against_pytorch(badm_tape *t, const golden_layer_case *c, layer_build with)
{
    const golden_tensor *g = buffers_of(c);
    uint64_t before;
    fill_buffers(c);
    before = badm_model_hash(model);
    layer_against_pytorch(t, c, with);
    CHECK(badm_model_hash(model) == before);
    CHECK_INT(badm_buffers_commit(t), BADM_OK);
    CHECK((badm_model_hash(model) == before) == (c->args[0] == 0));
    layer_check(c, &g[0], badm_param_values(mean_of[g->shape[0]]), "running mean", 0, 1e-6);
    layer_check(c, &g[1], badm_param_values(var_of[g->shape[0]]), "running variance", 0, 1e-6);
}

static void batch_norm_against_differences(badm_tape *t, const golden_layer_case *c, layer_build with)
{
    fill_buffers(c);
    layer_against_differences(t, c, with);
}

TEST(operations_agree_with_pytorch)
{
    badm_tape *t = tape();
    layer_for(t, "layer_norm", build, layer_against_pytorch);
    layer_for(t, "rms_norm", build, layer_against_pytorch);
    layer_for(t, "group_norm", build, layer_against_pytorch);
    layer_for(t, "batch_norm", build, batch_norm_against_pytorch);
    close_tape(t);
}

TEST(gradients_are_the_difference_quotients)
{
    badm_tape *t = tape();
    layer_for(t, "layer_norm", build, layer_against_differences);
    layer_for(t, "rms_norm", build, layer_against_differences);
    layer_for(t, "group_norm", build, layer_against_differences);
    layer_for(t, "batch_norm", build, batch_norm_against_differences);
    close_tape(t);
}

TEST(plain_and_vector_loops_have_the_same_bits)
{
    static float x[5 * 83], w[83], b[83], dy[5 * 83], stat[2][10], y[2][5 * 83], dx[2][5 * 83], dw[2][83], db[2][83], lane[2][2];
    static float columns[2][2 * 83], by_column[2][5 * 83], slopes[2][5 * 83];
    int k;
    golden_fill(GOLDEN_REAL, 1, x, 415);
    golden_fill(GOLDEN_REAL, 2, w, 83);
    golden_fill(GOLDEN_REAL, 3, b, 83);
    golden_fill(GOLDEN_REAL, 4, dy, 415);
    for (k = 0; k < 2; k++) {
        int level = k ? badm_i_simd_level() : 0;
        badm_i_norm_moments(level, 5, 1, 83, 83, x, 1, stat[k], stat[k] + 5);
        badm_i_norm_rows(level, 5, 83, x, stat[k], stat[k] + 5, w, b, y[k]);
        badm_i_norm_rows_back(level, 5, 83, x, stat[k], stat[k] + 5, w, dy, 1, dw[k], db[k], 0, dx[k]);
        badm_i_norm_sums(level, 5, 70, 83, 0, x, stat[k], dy, lane[k], lane[k] + 1);
        badm_i_norm_sums(level, 5, 83, 83, 1, x, w, dy, columns[k], columns[k] + 83);
        badm_i_norm_apply(level, 5, 83, 83, 1, x, w, b, w, by_column[k]);
        badm_i_norm_slopes(level, 5, 83, 83, 1, x, w, dy, b, w, b, 0xFFFFFFFFu, slopes[k]);
    }
    CHECK(!memcmp(stat[0], stat[1], sizeof stat[0]) && !memcmp(y[0], y[1], sizeof y[0]));
    CHECK(!memcmp(dx[0], dx[1], sizeof dx[0]) && !memcmp(dw[0], dw[1], sizeof dw[0]) && !memcmp(db[0], db[1], sizeof db[0]));
    CHECK(!memcmp(lane[0], lane[1], sizeof lane[0]) && !memcmp(columns[0], columns[1], sizeof columns[0]));
    CHECK(!memcmp(by_column[0], by_column[1], sizeof by_column[0]) && !memcmp(slopes[0], slopes[1], sizeof slopes[0]));
}

/* A large mean does not swallow the variance. */
TEST(variances_survive_large_means)
{
    static const badm_dim row[2] = { 1, 1000 }, image[3] = { 2, 1, 500 }, column[2] = { 1000, 1 };
    float x[1000];
    badm_tape *t = tape();
    badm_tensor *y[4];
    int i, k;
    for (i = 0; i < 1000; i++) x[i] = 4096.0f + (i % 2 ? 1.0f : -1.0f);
    badm_tape_mode(t, 1, 1);
    y[0] = badm_layer_norm(t, badm_input(t, 2, row, x), NULL, NULL, 0);
    y[1] = badm_group_norm(t, badm_input(t, 2, row, x), 1, NULL, NULL, 0);
    y[2] = badm_batch_norm(t, badm_input(t, 3, image, x), NULL, NULL, mean_of[1], var_of[1], 0.125f, 0);
    y[3] = badm_batch_norm(t, badm_input(t, 2, column, x), NULL, NULL, mean_of[1], var_of[1], 0.125f, 0);
    CHECK_INT(badm_tape_error(t)->code, BADM_OK);
    for (k = 0; k < 4; k++)
        for (i = 0; i < 1000; i++) CHECK_NEAR(badm_data(t, y[k])[i], i % 2 ? 1 : -1, 1e-5);
    close_tape(t);
}

TEST(shapes_that_do_not_fit_are_refused)
{
    static const badm_dim s35[2] = { 3, 5 }, s15[2] = { 1, 5 }, s262[3] = { 2, 6, 2 };
    badm_dim five = 5, six = 6, three = 3;
    badm_tape *t = tape();
    int i;
    badm_param none;
    none.model = NULL;
    none.index = 0;
    for (i = 0; i < 12; i++) {
        static const char *const says[] = {
            "layer_norm: [3,5] with weight or bias [6]: the last dimensions must be those of the weight",
            "layer_norm: [3,5] with weight or bias [6]", "layer_norm: weight [5] and bias [3]: equal shapes are expected",
            "layer_norm: []: at least one dimension is expected",
            "rms_norm: [3,5] with weight [3,5]: one number a column is expected",
            "group_norm: [2,6,2]: 4 groups do not divide the channels", "group_norm: [2,6,2]: 0 groups",
            "group_norm: [5]: [n,channels,...] is expected",
            "group_norm: [2,6,2] with weight or bias [5]: one number a channel is expected",
            "batch_norm: [1,5]: more than one value a channel is expected when training",
            "batch_norm: [3,5] with a running mean of 6 and a running variance of 6 numbers: one number a channel is expected",
            "batch_norm: [3,5] with a running mean of 0 and a running variance of 5 numbers"
        };
        badm_tensor *a, *b, *w5, *w6, *y = NULL;
        badm_tape_reset(t);
        badm_tape_mode(t, 1, 1);
        a = badm_input(t, 2, s35, NULL);
        b = badm_input(t, 3, s262, NULL);
        w5 = badm_input(t, 1, &five, NULL);
        w6 = badm_input(t, 1, &six, NULL);
        switch (i) {
            case 0: y = badm_layer_norm(t, a, w6, NULL, 1e-5f); break;
            case 1: y = badm_layer_norm(t, a, NULL, w6, 1e-5f); break;
            case 2: y = badm_layer_norm(t, a, w5, badm_input(t, 1, &three, NULL), 1e-5f); break;
            case 3: y = badm_layer_norm(t, badm_input(t, 0, NULL, NULL), NULL, NULL, 1e-5f); break;
            case 4: y = badm_rms_norm(t, a, a, 1e-5f); break;
            case 5: y = badm_group_norm(t, b, 4, w6, w6, 1e-5f); break;
            case 6: y = badm_group_norm(t, b, 0, w6, w6, 1e-5f); break;
            case 7: y = badm_group_norm(t, w5, 1, NULL, NULL, 1e-5f); break;
            case 8: y = badm_group_norm(t, b, 2, w6, w5, 1e-5f); break;
            case 9: y = badm_batch_norm(t, badm_input(t, 2, s15, NULL), w5, w5, mean_of[5], var_of[5], 0.1f, 1e-5f); break;
            case 10: y = badm_batch_norm(t, a, w5, w5, mean_of[6], var_of[6], 0.1f, 1e-5f); break;
            default: y = badm_batch_norm(t, a, w5, w5, none, var_of[5], 0.1f, 1e-5f); break;
        }
        CHECK_INT(badm_size(y), 0);
        CHECK_INT(badm_tape_error(t)->code, BADM_ERR_SHAPE);
        CHECK_TEXT(error_of(t), says[i]);
    }
    badm_tape_reset(t);         /* without running averages the batch's own are used, training or not */
    badm_tape_mode(t, 0, 1);
    CHECK_INT(badm_size(badm_batch_norm(t, badm_input(t, 2, s35, NULL), NULL, NULL, none, none, 0.1f, 1e-5f)), 15);
    close_tape(t);
}

/* ----------------------------------------------------------------------------------------------------------------
   Layers
   ---------------------------------------------------------------------------------------------------------------- */

TEST(layers_have_pytorchs_names_and_initial_values)
{
    static const struct { const char *name; unsigned rank, size; float value; int buffer; } expected[] = {
        { "l.weight", 1, 6, 1, 0 }, { "l.bias", 1, 6, 0, 0 }, { "r.weight", 1, 6, 1, 0 }, { "g.weight", 1, 6, 1, 0 },
        { "g.bias", 1, 6, 0, 0 }, { "b.weight", 1, 6, 1, 0 }, { "b.bias", 1, 6, 0, 0 }, { "b.running_mean", 1, 6, 0, 1 },
        { "b.running_var", 1, 6, 1, 1 }, { "b.num_batches_tracked", 0, 1, 0, 1 }
    };
    badm_model *m = badm_model_new(1);
    badm_norm layer[4];
    size_t i, j;
    layer[0] = badm_layer_norm_new(m, "l", 6);
    layer[1] = badm_rms_norm_new(m, "r", 6);
    layer[2] = badm_group_norm_new(m, "g", 3, 6);
    layer[3] = badm_batch_norm_new(m, "b", 6);
    CHECK_INT(badm_param_count(m), sizeof expected / sizeof *expected);
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        CHECK(!strcmp(badm_param_name(p), expected[i].name));
        CHECK_INT(badm_param_shape(p).rank, expected[i].rank);
        CHECK_INT(badm_param_size(p), expected[i].size);
        CHECK_INT(badm_param_is_buffer(p), expected[i].buffer);
        for (j = 0; j < badm_param_size(p); j++) CHECK_NEAR(badm_param_values(p)[j], expected[i].value, 0);
    }
    for (i = 0; i < 4; i++) CHECK_NEAR(layer[i].eps, 1e-5f, 0);
    CHECK_NEAR(layer[3].momentum, 0.1f, 0);
    CHECK_INT(layer[2].groups, 3);
    CHECK_INT(badm_model_result(m), BADM_OK);
    badm_group_norm_new(m, "wrong", 4, 6);
    CHECK_INT(badm_model_result(m), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(m), "badm_group_norm_new: \"wrong\": 4 groups do not divide 6 channels");
    badm_model_free(m);
}

/* All four after one another. */
typedef struct { badm_linear in, out; badm_norm layer, rms, group, batch; float x[12][5], y[12]; } stack;

static badm_tensor *stack_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const stack *s = (const stack *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, s->in, badm_rows(t, &s->x[0][0], 5, b)));
    h = badm_tanh(t, badm_batch_norm_forward(t, s->batch, h));         /* between: or scale and shift would be lost again */
    h = badm_tanh(t, badm_layer_norm_forward(t, s->layer, h));
    h = badm_tanh(t, badm_group_norm_forward(t, s->group, h));
    h = badm_rms_norm_forward(t, s->rms, h);
    return badm_mse(t, badm_linear_forward(t, s->out, badm_tanh(t, h)), badm_rows(t, s->y, 1, b));
}

TEST(layers_pass_the_gradient_check)
{
    stack s;
    badm_gradient_check g;
    badm_model *m = badm_model_new(5);
    uint64_t before;
    s.in = badm_linear_new(m, "in", 5, 8);
    s.layer = badm_layer_norm_new(m, "layer", 8);
    s.group = badm_group_norm_new(m, "group", 2, 8);
    s.rms = badm_rms_norm_new(m, "rms", 8);
    s.batch = badm_batch_norm_new(m, "batch", 8);
    s.out = badm_linear_new(m, "out", 8, 1);
    golden_fill(GOLDEN_REAL, 1, &s.x[0][0], 60);
    golden_fill(GOLDEN_REAL, 2, s.y, 12);
    before = badm_model_hash(m);
    CHECK_INT(badm_check_gradients(m, stack_loss, &s, 12, 0, 5e-3f, &g), BADM_OK);
    CHECK_NEAR(g.worst, 0, 0.05);
    CHECK(badm_model_hash(m) == before);
    badm_model_free(m);
}

/* ----------------------------------------------------------------------------------------------------------------
   State: a net with batch norm, small enough to do its bookkeeping by hand
   ---------------------------------------------------------------------------------------------------------------- */

enum { SAMPLES = 24 };
typedef struct {
    badm_model *m;
    badm_linear in, out;
    badm_norm norm;
    float x[SAMPLES][3], y[SAMPLES], large;
    int bad_slot, twice;            /* the slot whose loss is not a number, or -1; the layer used twice */
} net;

static badm_tensor *net_hidden(badm_tape *t, const badm_batch *b, const net *n)
{
    return badm_linear_forward(t, n->in, badm_rows(t, &n->x[0][0], 3, b));
}

static badm_tensor *net_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *h = net_hidden(t, b, n), *loss;
    if (n->large > 0) h = badm_scale(t, h, n->large);
    h = badm_batch_norm_forward(t, n->norm, h);
    if (n->twice) h = badm_batch_norm_forward(t, n->norm, h);
    loss = badm_mse(t, badm_linear_forward(t, n->out, badm_tanh(t, h)), badm_rows(t, n->y, 1, b));
    return n->bad_slot == (int)b->slot && !badm_is_dry(t) ? badm_scale(t, loss, (float)HUGE_VAL) : loss;
}

static badm_tensor *net_output(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    return badm_linear_forward(t, n->out, badm_tanh(t, badm_batch_norm_forward(t, n->norm, net_hidden(t, b, n))));
}

static void net_open(net *n, badm_memory *mem)
{
    memset(n, 0, sizeof *n);
    n->m = badm_model_new_in(mem, 11);
    n->in = badm_linear_new(n->m, "in", 3, 4);
    n->norm = badm_batch_norm_new(n->m, "norm", 4);
    n->out = badm_linear_new(n->m, "out", 4, 1);
    n->bad_slot = -1;
    golden_fill(GOLDEN_REAL, 1, &n->x[0][0], SAMPLES * 3);
    golden_fill(GOLDEN_REAL, 2, n->y, SAMPLES);
}

static void net_desc(badm_trainer_desc *d, net *n, uint32_t slots, uint32_t workers)
{
    badm_trainer_defaults(d);
    d->model = n->m; d->loss = net_loss; d->user = n; d->max_batch = SAMPLES; d->sub_batches = slots; d->workers = workers;
    d->sigma = 5; d->rho = 45;
}

static uint64_t state_hash(const net *n)        /* of the three buffers */
{
    const badm_param p[3] = { n->norm.running_mean, n->norm.running_var, n->norm.batches };
    uint64_t h = 1;
    size_t i, j;
    for (i = 0; i < 3; i++)
        for (j = 0; j < badm_param_size(p[i]); j++) {
            uint32_t u;
            memcpy(&u, badm_param_values(p[i]) + j, 4);
            h = (h ^ u) * 1099511628211u;
        }
    return h;
}

/* What samples first..first+count-1 make of the running averages 0 and 1 of channel c, in double. */
static void by_hand(const net *n, int first, int count, int c, double *mean, double *var)
{
    const float *w = badm_param_values(n->in.weight), *b = badm_param_values(n->in.bias);
    double h[SAMPLES], m = 0, v = 0;
    int i, j;
    for (i = 0; i < count; i++) {
        h[i] = (double)b[c];
        for (j = 0; j < 3; j++) h[i] += (double)w[3 * c + j] * (double)n->x[first + i][j];
        m += h[i] / count;
    }
    for (i = 0; i < count; i++) v += (h[i] - m) * (h[i] - m);
    *mean = 0.1 * m;
    *var = 0.9 + 0.1 * v / (count - 1);
}

/* After one step the running averages are the pieces' own, weighted by samples. */
static void check_by_hand(const net *before, const net *n, const int *piece, int pieces)
{
    int c, i, first, all = 0;
    for (i = 0; i < pieces; i++) all += piece[i];
    for (c = 0; c < 4; c++) {
        double mean = 0, var = 0, m, v;
        for (first = i = 0; i < pieces; first += piece[i++]) {
            by_hand(before, first, piece[i], c, &m, &v);
            mean += m * piece[i] / all;
            var += v * piece[i] / all;
        }
        CHECK_NEAR(badm_param_values(n->norm.running_mean)[c], mean, 1e-6);
        CHECK_NEAR(badm_param_values(n->norm.running_var)[c], var, 1e-6);
    }
    CHECK_NEAR(badm_param_values(n->norm.batches)[0], 1, 0);
}

static void one_step(uint32_t slots, uint32_t micro, uint32_t count, uint32_t local_steps, const int *piece, int pieces)
{
    net n, before;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint32_t index[2 * SAMPLES], i;
    net_open(&before, NULL);
    net_open(&n, NULL);
    for (i = 0; i < 2 * SAMPLES; i++) index[i] = i % SAMPLES;
    net_desc(&d, &n, slots, 2);
    d.micro_batch = micro;
    d.local_steps = local_steps;
    if (local_steps > 1) d.form = BADM_PER_SLOT;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, index, count, NULL), BADM_OK);
    check_by_hand(&before, &n, piece, pieces);
    badm_trainer_free(tr);
    badm_model_free(n.m);
    badm_model_free(before.m);
}

TEST(running_averages_are_means_over_slots_by_samples)
{
    static const int whole[] = { 24 }, three[] = { 4, 3, 3 }, micro[] = { 4, 4, 4, 4, 4, 3 };
    one_step(1, 0, 24, 1, whole, 1);
    one_step(3, 0, 10, 1, three, 3);
    one_step(2, 4, 23, 1, micro, 6);        /* sub-batches of 12 and 11 */
    one_step(3, 0, 10, 2, three, 3);        /* of the first local step's batch alone */
}

static uint64_t train(uint32_t slots, uint32_t workers, uint32_t micro, badm_form form, int steps)
{
    net n;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    int i;
    net_open(&n, NULL);
    net_desc(&d, &n, slots, workers);
    d.micro_batch = micro;
    d.form = form;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; i < steps; i++) CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK_NEAR(badm_param_values(n.norm.batches)[0], steps, 0);
    hash = badm_model_hash(n.m);
    badm_trainer_free(tr);
    badm_model_free(n.m);
    return hash;
}

TEST(bits_do_not_depend_on_workers)
{
    uint32_t micro;
    int form;
    for (micro = 0; micro <= 4; micro += 4)
        for (form = 0; form < 2; form++) {
            uint64_t one = train(4, 1, micro, (badm_form)form, 20);
            CHECK(train(4, 2, micro, (badm_form)form, 20) == one);
            CHECK(train(4, 4, micro, (badm_form)form, 20) == one);
        }
}

static int refuse(uint32_t slot, uint32_t of, void *user) { (void)of; (void)user; return slot == 1; }
typedef struct { int calls, fail_at; } exchange;

static int other_machine(float *buf, size_t n, void *user)     /* that has the same data */
{
    exchange *e = (exchange *)user;
    size_t i;
    if (++e->calls == e->fail_at) return 1;
    for (i = 0; i < n; i++) buf[i] *= 2;
    return 0;
}

TEST(refused_steps_evaluation_and_prediction_change_no_state)
{
    net n;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    exchange e = { 0, 0 };
    float out[SAMPLES];
    volatile int cancel = 0;
    uint64_t before;
    int i, calls;
    net_open(&n, NULL);
    net_desc(&d, &n, 3, 2);
    d.cancel = &cancel;
    d.allreduce = other_machine;
    d.allreduce_user = &e;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    calls = e.calls;
    CHECK(calls > 1);
    before = badm_model_hash(n.m);
    for (n.bad_slot = 0; n.bad_slot < 3; n.bad_slot++) CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_NONFINITE);
    n.bad_slot = -1;
    cancel = 1;
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_CANCELLED);
    cancel = 0;
    for (i = 1; i <= calls; i++) {
        e.calls = 0;
        e.fail_at = i;
        CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_EXCHANGE);
    }
    e.fail_at = 0;
    n.large = 3e25f;            /* squares overflow: the loss is finite, the variance is not */
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_trainer_error(tr), "the buffer \"norm.running_var\" would not be finite");
    n.large = 0;
    CHECK_INT(badm_evaluate(tr, NULL, NULL, SAMPLES, &score), BADM_OK);
    CHECK_INT(badm_predict(tr, net_output, &n, SAMPLES, 1, out), BADM_OK);
    CHECK(badm_model_hash(n.m) == before);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK_NEAR(badm_param_values(n.norm.batches)[0], 2, 0);
    badm_trainer_free(tr);
    d.allreduce = NULL;
    d.on_sub_batch = refuse;
    before = badm_model_hash(n.m);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_CANCELLED);
    CHECK(badm_model_hash(n.m) == before);
    badm_trainer_free(tr);
    badm_model_free(n.m);
}

/* Two machines with the same data do what one does. */
TEST(machines_share_the_running_averages)
{
    net n[2];
    badm_trainer_desc d;
    badm_trainer *tr;
    exchange e = { 0, 0 };
    int k;
    for (k = 0; k < 2; k++) {
        net_open(&n[k], NULL);
        net_desc(&d, &n[k], 3, 1);
        if (k) { d.allreduce = other_machine; d.allreduce_user = &e; }
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
        badm_trainer_free(tr);
    }
    CHECK(state_hash(&n[0]) == state_hash(&n[1]));
    badm_model_free(n[0].m);
    badm_model_free(n[1].m);
}

/* A graph that grows with its values: the step is repeated on a larger tape. */
static badm_tensor *growing_loss(badm_tape *t, const badm_batch *b, void *user)
{
    badm_tensor *loss = net_loss(t, b, user), *x;
    int i;
    for (i = 0; !badm_is_dry(t) && i < 60; i++) {
        x = net_hidden(t, b, (const net *)user);
        loss = badm_add(t, loss, badm_scale(t, badm_mean(t, x), 0.001f));
    }
    return loss;
}

TEST(a_step_repeated_on_a_larger_tape_counts_once)
{
    static const int three[] = { 8, 8, 8 };
    net n, before;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    net_open(&before, NULL);
    net_open(&n, NULL);
    net_desc(&d, &n, 3, 2);
    d.loss = growing_loss;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, &r), BADM_OK);
    CHECK(r.tape_growths > 0);
    check_by_hand(&before, &n, three, 3);
    badm_trainer_free(tr);
    badm_model_free(n.m);
    badm_model_free(before.m);
}

TEST(memory_is_what_was_announced_and_steps_take_none)
{
    static union { double align; unsigned char bytes[400000]; } block;
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap), own;
    net n;
    badm_trainer_desc d;
    badm_trainer *tr;
    size_t bytes, left;
    long calls;
    uint64_t hash;
    int i;
    net_open(&n, NULL);
    net_desc(&d, &n, 4, 2);
    d.memory = &mem;
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    calls = heap.calls;
    for (i = 0; i < 10; i++) CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK_INT(heap.calls, calls);
    CHECK_INT(badm_trainer_memory(tr), bytes);
    hash = badm_model_hash(n.m);
    badm_trainer_free(tr);
    badm_model_free(n.m);
    CHECK_INT(heap.live, 0);

    badm_memory_block(&own, block.bytes, sizeof block.bytes);
    net_open(&n, &own);
    net_desc(&d, &n, 4, 2);
    d.memory = &own;
    left = badm_memory_left(&own);
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(left - badm_memory_left(&own), bytes);
    left = badm_memory_left(&own);
    for (i = 0; i < 10; i++) CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK_INT(badm_memory_left(&own), left);
    CHECK(badm_model_hash(n.m) == hash);
    badm_trainer_free(tr);
    badm_model_free(n.m);
}

TEST(a_layer_used_twice_moves_twice)
{
    net n;
    badm_trainer_desc d;
    badm_trainer *tr;
    net_open(&n, NULL);
    n.twice = 1;
    net_desc(&d, &n, 3, 2);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK_NEAR(badm_param_values(n.norm.batches)[0], 2, 0);
    badm_trainer_free(tr);
    badm_model_free(n.m);
}

/* Counts stay whole numbers where samples times counts would not. */
TEST(large_counts_stay_exact)
{
    net n;
    badm_trainer_desc d;
    badm_trainer *tr;
    int i;
    net_open(&n, NULL);
    badm_param_data(n.norm.batches)[0] = 16777000.0f;
    net_desc(&d, &n, 5, 2);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; i < 50; i++) CHECK_INT(badm_step(tr, NULL, SAMPLES - 1, NULL), BADM_OK);
    CHECK_NEAR(badm_param_values(n.norm.batches)[0], 16777050.0f, 0);
    badm_trainer_free(tr);
    badm_model_free(n.m);
}

/* ---- a tape of one's own ---- */

TEST(own_tapes_change_the_model_when_told)
{
    static const int whole[] = { 24 };
    net n, before;
    badm_tape *t;
    badm_batch b;
    uint32_t index[SAMPLES], i;
    uint64_t hash;
    float *next;
    net_open(&before, NULL);
    net_open(&n, NULL);
    for (i = 0; i < SAMPLES; i++) index[i] = i;
    memset(&b, 0, sizeof b);
    b.index = index;
    b.count = SAMPLES;
    hash = badm_model_hash(n.m);
    CHECK_INT(badm_tape_new(&t, NULL, 1 << 16), BADM_OK);
    net_loss(t, &b, &n);
    CHECK(badm_buffer_next(t, n.norm.running_mean) == NULL);            /* not training */
    CHECK_INT(badm_buffers_commit(t), BADM_OK);
    CHECK(badm_model_hash(n.m) == hash);
    badm_tape_reset(t);
    badm_tape_mode(t, 1, 1);
    net_loss(t, &b, &n);
    CHECK(badm_model_hash(n.m) == hash);
    CHECK_INT(badm_buffers_commit(t), BADM_OK);
    CHECK_INT(badm_buffers_commit(t), BADM_OK);                         /* the same again */
    check_by_hand(&before, &n, whole, 1);
    hash = badm_model_hash(n.m);
    badm_tape_reset(t);
    CHECK_INT(badm_buffers_commit(t), BADM_OK);                         /* nothing since */
    next = badm_buffer_next(t, n.norm.running_mean);
    CHECK(next != NULL && next == badm_buffer_next(t, n.norm.running_mean));
    CHECK(!memcmp(next, badm_param_values(n.norm.running_mean), 4 * sizeof *next));
    next[0] = 77;
    badm_relu(t, badm_matmul(t, badm_input(t, 1, &n.norm.groups, NULL), badm_input(t, 1, &n.norm.groups, NULL)));
    CHECK_INT(badm_buffers_commit(t), BADM_ERR_STATE);
    CHECK(badm_buffer_next(t, n.norm.running_mean) == NULL);
    CHECK(badm_model_hash(n.m) == hash);
    badm_tape_reset(t);
    CHECK(badm_buffer_next(t, n.norm.weight) == NULL);                  /* no buffer */
    CHECK_INT(badm_tape_error(t)->code, BADM_ERR_ARGUMENT);
    badm_tape_free(t);
    badm_model_free(n.m);
    badm_model_free(before.m);
}

/* A second model in the loss, and one in read-only memory, are left alone. */
typedef struct { net mine, other; } pair;

static badm_tensor *pair_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const pair *p = (const pair *)user;
    return badm_add(t, net_loss(t, b, (void *)(uintptr_t)&p->mine), net_loss(t, b, (void *)(uintptr_t)&p->other));
}

TEST(other_models_and_mapped_ones_are_left_alone)
{
    pair p;
    net flash;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_batch b;
    badm_tape *t;
    uint32_t index[4] = { 0, 1, 2, 3 };
    float values[64];
    uint64_t other;
    net_open(&p.mine, NULL);
    net_open(&p.other, NULL);
    net_desc(&d, &p.mine, 2, 2);
    d.loss = pair_loss;
    d.user = &p;
    other = badm_model_hash(p.other.m);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    CHECK(badm_model_hash(p.other.m) == other);
    CHECK_NEAR(badm_param_values(p.mine.norm.batches)[0], 1, 0);
    badm_trainer_free(tr);
    badm_model_free(p.mine.m);
    badm_model_free(p.other.m);

    golden_fill(GOLDEN_POSITIVE, 3, values, 64);
    memset(&flash, 0, sizeof flash);
    flash.m = badm_model_new(1);
    flash.bad_slot = -1;
    badm_model_map(flash.m, values, 64);
    flash.in = badm_linear_new(flash.m, "in", 3, 4);
    flash.norm = badm_batch_norm_new(flash.m, "norm", 4);
    flash.out = badm_linear_new(flash.m, "out", 4, 1);
    memset(&b, 0, sizeof b);
    b.index = index;
    b.count = 4;
    CHECK_INT(badm_tape_new(&t, NULL, 1 << 16), BADM_OK);
    badm_tape_mode(t, 1, 1);
    CHECK_INT(badm_size(net_loss(t, &b, &flash)), 1);
    CHECK(badm_buffer_next(t, flash.norm.running_var) == NULL);
    CHECK_INT(badm_buffers_commit(t), BADM_OK);
    badm_tape_free(t);
    badm_model_free(flash.m);
}

/* ---- files ---- */

typedef struct { unsigned char bytes[8192]; size_t n, at; } disk;

static size_t disk_write(const void *buf, size_t bytes, void *user)
{
    disk *k = (disk *)user;
    if (bytes > sizeof k->bytes - k->n) return 0;
    memcpy(k->bytes + k->n, buf, bytes);
    k->n += bytes;
    return bytes;
}

static size_t disk_read(void *buf, size_t bytes, void *user)
{
    disk *k = (disk *)user;
    if (bytes > k->n - k->at) bytes = k->n - k->at;
    memcpy(buf, k->bytes + k->at, bytes);
    k->at += bytes;
    return bytes;
}

TEST(a_checkpoint_carries_the_state)
{
    static disk file;
    net n[2];
    badm_trainer_desc d;
    badm_trainer *tr[2];
    badm_writer w;
    badm_reader r;
    int i, k;
    file.n = file.at = 0;
    w.write = disk_write; w.user = &file;
    r.read = disk_read; r.user = &file;
    for (k = 0; k < 2; k++) {
        net_open(&n[k], NULL);
        net_desc(&d, &n[k], 3, 2);
        CHECK_INT(badm_trainer_new(&tr[k], &d), BADM_OK);
    }
    for (i = 0; i < 4; i++) CHECK_INT(badm_step(tr[0], NULL, SAMPLES, NULL), BADM_OK);
    CHECK_INT(badm_checkpoint_save_to(tr[0], &w), BADM_OK);
    CHECK_INT(badm_checkpoint_load_from(tr[1], &r), BADM_OK);
    CHECK(state_hash(&n[0]) == state_hash(&n[1]));
    for (i = 0; i < 4; i++)
        for (k = 0; k < 2; k++) CHECK_INT(badm_step(tr[k], NULL, SAMPLES, NULL), BADM_OK);
    CHECK(badm_model_hash(n[0].m) == badm_model_hash(n[1].m));
    CHECK_NEAR(badm_param_values(n[1].norm.batches)[0], 8, 0);
    for (k = 0; k < 2; k++) { badm_trainer_free(tr[k]); badm_model_free(n[k].m); }
}

/* The place of a text in the file's header, or NULL. */
static char *in_header(disk *file, const char *text)
{
    size_t i, n = strlen(text), length = file->bytes[0] | (size_t)file->bytes[1] << 8;
    for (i = 8; i + n <= 8 + length; i++) if (!memcmp(file->bytes + i, text, n)) return (char *)file->bytes + i;
    return NULL;
}

TEST(counts_are_64_bit_integers_in_files)
{
    static disk file;
    net n, other;
    badm_writer w;
    badm_reader r;
    unsigned char *count;
    char *type;
    uint64_t before;
    file.n = file.at = 0;
    w.write = disk_write; w.user = &file;
    r.read = disk_read; r.user = &file;
    net_open(&n, NULL);
    net_open(&other, NULL);
    badm_param_data(n.norm.batches)[0] = 70000;
    CHECK_INT(badm_save_to(n.m, &w), BADM_OK);
    type = in_header(&file, "\"norm.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}");
    CHECK(type != NULL);
    CHECK(in_header(&file, "\"norm.running_var\":{\"dtype\":\"F32\",\"shape\":[4]") != NULL);
    CHECK_INT(badm_load_from(other.m, &r), BADM_OK);
    CHECK(badm_model_hash(other.m) == badm_model_hash(n.m));
    before = badm_model_hash(other.m);
    count = file.bytes + 8 + (file.bytes[0] | (size_t)file.bytes[1] << 8);
    CHECK(count[0] == (70000 & 255) && count[1] == (70000 >> 8 & 255) && count[2] == 1 && count[7] == 0);
    count[7] = 0x80;
    file.at = 0;
    CHECK_INT(badm_load_from(other.m, &r), BADM_ERR_FORMAT);
    CHECK_TEXT(badm_model_error(other.m), "norm.num_batches_tracked");
    count[7] = 0;
    if (type) memcpy(in_header(&file, "I64"), "U64", 3);
    file.at = 0;
    CHECK_INT(badm_load_from(other.m, &r), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(other.m), "is not of type I64 (int64)");
    CHECK(badm_model_hash(other.m) == before);
    badm_model_free(n.m);
    badm_model_free(other.m);
}

TEST_MAIN(RUN(operations_agree_with_pytorch) RUN(gradients_are_the_difference_quotients)
          RUN(plain_and_vector_loops_have_the_same_bits) RUN(variances_survive_large_means) RUN(shapes_that_do_not_fit_are_refused)
          RUN(layers_have_pytorchs_names_and_initial_values) RUN(layers_pass_the_gradient_check)
          RUN(running_averages_are_means_over_slots_by_samples) RUN(bits_do_not_depend_on_workers)
          RUN(refused_steps_evaluation_and_prediction_change_no_state) RUN(machines_share_the_running_averages)
          RUN(a_step_repeated_on_a_larger_tape_counts_once) RUN(memory_is_what_was_announced_and_steps_take_none)
          RUN(a_layer_used_twice_moves_twice) RUN(large_counts_stay_exact) RUN(own_tapes_change_the_model_when_told)
          RUN(other_models_and_mapped_ones_are_left_alone) RUN(a_checkpoint_carries_the_state)
          RUN(counts_are_64_bit_integers_in_files))
