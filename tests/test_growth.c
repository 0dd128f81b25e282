/* >>diversity against a batch of one sample at a time, and batches that grow. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

enum { SAMPLES = 24, INPUTS = 36, TOKENS = 6, CLASSES = 3, KINDS = 11 };

static float inputs[SAMPLES][INPUTS];
static int32_t tokens[SAMPLES][TOKENS], labels[SAMPLES];

typedef struct net {
    int kind;
    badm_linear first, last;
    badm_conv_layer conv, back;
    badm_norm norm;
    badm_embedding table;
    badm_multihead attention;
    badm_gru gru;
    badm_param free_one;
} net;

static const char *const kind_names[KINDS] = { "linear", "conv2d", "conv_transpose2d", "embedding", "layer_norm", "rms_norm", "group_norm",
                                               "attention", "gru, weights used twice", "a parameter by elements", "matmul" };

static void make_data(void)
{
    badm_rng r;
    int i, j;
    badm_rng_init(&r, 4, 4);
    for (i = 0; i < SAMPLES; i++) {
        for (j = 0; j < INPUTS; j++) inputs[i][j] = badm_rng_normal(&r);
        for (j = 0; j < TOKENS; j++) tokens[i][j] = (int32_t)(badm_rng_u32(&r) % 5);
        labels[i] = i % CLASSES;
    }
}

static badm_tensor *shaped(badm_tape *t, badm_tensor *x, badm_dim a, badm_dim b, badm_dim c, badm_dim d)
{
    badm_dim shape[4];
    shape[0] = a; shape[1] = b; shape[2] = c; shape[3] = d;
    return badm_reshape(t, x, d ? 4 : c ? 3 : 2, shape);
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_dim count = (badm_dim)b->count;
    badm_tensor *x = badm_rows(t, inputs[0], INPUTS, b);
    switch (n->kind) {
    case 0: x = badm_tanh(t, badm_linear_forward(t, n->first, x)); break;
    case 1: x = badm_tanh(t, badm_conv2d_forward(t, n->conv, shaped(t, x, count, 1, 6, 6))); break;
    case 2: x = badm_tanh(t, badm_conv_transpose2d_forward(t, n->back, shaped(t, x, count, 1, 6, 6))); break;
    case 3: x = badm_tanh(t, badm_embedding_forward(t, n->table, badm_tokens(t, tokens[0], TOKENS, b))); break;
    case 4: x = badm_layer_norm_forward(t, n->norm, shaped(t, badm_linear_forward(t, n->first, x), count, 2, 4, 0)); break;
    case 5: x = badm_rms_norm_forward(t, n->norm, badm_linear_forward(t, n->first, x)); break;
    case 6: x = badm_group_norm_forward(t, n->norm, shaped(t, x, count, 4, 3, 3)); break;
    case 7: x = badm_multihead_forward(t, n->attention, shaped(t, x, count, 9, 4, 0), 1); break;
    case 8: {
        badm_tensor *half = badm_slice(t, x, 1, 0, 18), *h = badm_linear_forward(t, n->first, x);
        h = badm_gru_forward(t, n->gru, half, h);
        x = badm_gru_forward(t, n->gru, badm_slice(t, x, 1, 18, 36), h);
        break;
    }
    case 9: x = badm_mul(t, badm_add(t, x, badm_param_use(t, n->free_one)), x); break;
    default: x = badm_tanh(t, badm_matmul(t, x, badm_param_use(t, n->free_one)));
    }
    x = shaped(t, x, count, (badm_dim)(badm_size(x) / (count ? count : 1)), 0, 0);
    return badm_cross_entropy_ignore(t, badm_linear_forward(t, n->last, x), badm_labels(t, labels, b), BADM_IGNORE);
}

static badm_model *make_net(net *n, int kind)
{
    static const badm_dim row[1] = { INPUTS }, matrix[2] = { INPUTS, 5 };
    badm_model *m = badm_model_new(3);
    badm_dim width = 8;
    memset(n, 0, sizeof *n);
    n->kind = kind;
    if (kind == 0 || kind == 4 || kind == 5 || kind == 8) n->first = badm_linear_new(m, "first", INPUTS, 8);
    if (kind == 1) { n->conv = badm_conv2d_new(m, "conv", 1, 3, 3, badm_conv_of(1, 1)); width = 108; }
    if (kind == 2) { n->back = badm_conv_transpose2d_new(m, "back", 1, 2, 3, badm_conv_of(1, 1)); width = 72; }
    if (kind == 3) { n->table = badm_embedding_new(m, "table", 5, 4); width = 24; }
    if (kind == 4) n->norm = badm_layer_norm_new(m, "norm", 4);
    if (kind == 5) n->norm = badm_rms_norm_new(m, "norm", 8);
    if (kind == 6) { n->norm = badm_group_norm_new(m, "norm", 2, 4); width = INPUTS; }
    if (kind == 7) { n->attention = badm_multihead_new(m, "attention", 4, 2); width = INPUTS; }
    if (kind == 8) n->gru = badm_gru_new(m, "gru", 18, 8);
    if (kind == 9) { n->free_one = badm_param_new(m, "scale", 1, row, badm_init_normal(0, 1)); width = INPUTS; }
    if (kind == 10) { n->free_one = badm_param_new(m, "matrix", 2, matrix, badm_init_normal(0, 0.3f)); width = 5; }
    n->last = badm_linear_new(m, "last", width, CLASSES);
    CHECK_INT(badm_model_result(m), BADM_OK);
    return m;
}

static badm_trainer *trainer(badm_model *m, net *n, badm_diversity diversity, uint32_t slots, uint32_t workers, uint32_t micro)
{
    badm_trainer_desc d;
    badm_trainer *tr = NULL;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = n; d.max_batch = SAMPLES; d.sub_batches = slots; d.workers = workers; d.micro_batch = micro;
    d.diversity = diversity;
    d.sigma = 1e6f; d.rho = 9e6f;                   /* weights hardly move */
    if (badm_trainer_new(&tr, &d) != BADM_OK) puts(badm_model_error(m));
    return tr;
}

static void measure(badm_trainer *tr)
{
    tr->full.measuring = 1;
    tr->full.norms_of = badm_i_norms_of;
    memset(&tr->full.squares, 0, sizeof tr->full.squares);
}

/* sum |g_i|^2 by one step a sample. */
static double by_hand(int kind)
{
    net n;
    badm_model *m = make_net(&n, kind);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_OFF, 1, 1, 0);
    double sum = 0;
    uint32_t i;
    for (i = 0; i < SAMPLES; i++) {
        badm_report r;
        CHECK_INT(badm_step(tr, &i, 1, &r), BADM_OK);
        sum += (double)r.grad_norm * (double)r.grad_norm;
    }
    badm_trainer_free(tr);
    badm_model_free(m);
    return sum;
}

TEST(norms_of_single_samples_are_those_of_batches_of_one)
{
    static const uint32_t slots[4] = { 1, 1, 3, 3 }, micro[4] = { 0, 7, 0, 3 };
    int kind, way;
    for (kind = 0; kind < KINDS; kind++) {
        double expected = by_hand(kind);
        for (way = 0; way < 4; way++) {
            net n;
            badm_model *m = make_net(&n, kind);
            badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, slots[way], 2, micro[way]);
            double got;
            measure(tr);
            CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
            got = (double)badm_i_sum_value(&tr->full.squares);
            if (!(fabs(got - expected) <= 1e-4 * expected)) printf("%s, way %d\n", kind_names[kind], way);
            CHECK_NEAR(got, expected, 1e-4 * expected);
            badm_trainer_free(tr);
            badm_model_free(m);
        }
    }
}

/* Half of the labels count: samples that do are then worth two. Whole pieces and a whole sub-batch have none that does. */
TEST(labels_that_are_ignored_weigh_nothing)
{
    static const uint32_t slots[4] = { 1, 1, 3, 3 }, micro[4] = { 0, 1, 0, 3 };
    static const int kinds[2] = { 0, 8 };           /* with and without tapes for single samples */
    int i, kind, way;
    for (i = 0; i < SAMPLES / 2; i++) labels[i] = BADM_IGNORE;
    for (kind = 0; kind < 2; kind++) {
        double expected = 4 * by_hand(kinds[kind]);
        for (way = 0; way < 4; way++) {
            net n;
            badm_model *m = make_net(&n, kinds[kind]);
            badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, slots[way], 2, micro[way]);
            measure(tr);
            CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
            CHECK_NEAR((double)badm_i_sum_value(&tr->full.squares), expected, 1e-4 * expected);
            badm_trainer_free(tr);
            badm_model_free(m);
        }
    }
    for (i = 0; i < SAMPLES / 2; i++) labels[i] = i % CLASSES;
}

/* Which kinds need no tape of their own for each sample: else the cheap way has been lost. */
TEST(most_kinds_need_no_tape_for_each_sample)
{
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        net n;
        badm_model *m = make_net(&n, kind);
        badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, 1, 1, 0);
        measure(tr);
        CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
        CHECK_INT(tr->worker[0].full.norms->missing, kind == 8);
        badm_trainer_free(tr);
        badm_model_free(m);
    }
}

/* Measuring changes no bit of the training. */
TEST(measuring_changes_nothing)
{
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        uint64_t hash[2];
        int on;
        for (on = 0; on < 2; on++) {
            net n;
            badm_model *m = make_net(&n, kind);
            badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, 3, 2, 5);
            int i;
            if (on) measure(tr);
            for (i = 0; i < 3; i++) CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
            hash[on] = badm_model_hash(m);
            badm_trainer_free(tr);
            badm_model_free(m);
        }
        CHECK(hash[0] == hash[1]);
    }
}

static badm_tensor *with_batch_norm(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_tensor *x = badm_batch_norm_forward(t, n->norm, badm_linear_forward(t, n->first, badm_rows(t, inputs[0], INPUTS, b)));
    return badm_cross_entropy(t, badm_linear_forward(t, n->last, x), badm_labels(t, labels, b));
}

TEST(batch_norm_is_refused_with_the_reason)
{
    net n;
    badm_model *m = badm_model_new(1);
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_growth g;
    uint64_t before;
    memset(&n, 0, sizeof n);
    n.first = badm_linear_new(m, "first", INPUTS, 8);
    n.norm = badm_batch_norm_new(m, "norm", 8);
    n.last = badm_linear_new(m, "last", 8, CLASSES);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = with_batch_norm; d.user = &n; d.max_batch = SAMPLES; d.sub_batches = 1; d.workers = 1;
    d.diversity = BADM_DIVERSITY_EXACT;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    badm_growth_defaults(&g, BADM_GROWTH_DIVERSE, 8, SAMPLES);
    g.every = 1;
    before = badm_model_hash(m);
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_STATE);
    CHECK_TEXT(badm_trainer_error(tr), "depend on one another");
    CHECK(badm_model_hash(m) == before);
    CHECK_INT(g.epoch, 0);
    CHECK_INT(badm_epoch(tr, SAMPLES, 8, NULL, NULL), BADM_OK);
    badm_trainer_free(tr);
    badm_set_frozen(m, "norm", 1);                  /* what is normalised still depends on the others */
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_STATE);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(sub_batches_of_single_samples_grow_too)
{
    net n;
    badm_model *m = make_net(&n, 0);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_OF_SLOTS, 2, 1, 0), *exact;
    badm_growth g, h;
    badm_growth_defaults(&g, BADM_GROWTH_DIVERSE, 1, SAMPLES);
    g.every = 1;
    h = g;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
    badm_trainer_free(tr);
    exact = trainer(m, &n, BADM_DIVERSITY_EXACT, 2, 1, 0);
    CHECK_INT(badm_growth_epoch(&h, exact, SAMPLES, NULL, NULL), BADM_OK);
    CHECK_NEAR(g.diversity / h.diversity, 1, 1e-2);
    badm_trainer_free(exact);
    badm_model_free(m);
}

/* The rest of an epoch is not taken for the whole; cancelled behind its last batch, an epoch is over. */
static int stop_after;
static int stop(const badm_progress *p, void *user)
{
    (void)p;
    (void)user;
    return --stop_after == 0;
}

TEST(an_interrupted_epoch_is_not_measured)
{
    net n;
    badm_model *m = make_net(&n, 0);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, 1, 1, 0);
    badm_growth g;
    float whole;
    badm_growth_defaults(&g, BADM_GROWTH_DIVERSE, 2, SAMPLES);
    g.every = 1;
    g.delta = 0;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
    whole = g.diversity;
    stop_after = 6;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, stop, NULL), BADM_ERR_CANCELLED);
    CHECK_INT(g.epoch, 1);
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
    CHECK_INT(g.epoch, 2);
    CHECK(g.diversity == whole && g.batch == 2);
    stop_after = SAMPLES / 2;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, stop, NULL), BADM_ERR_CANCELLED);
    CHECK_INT(g.epoch, 3);
    CHECK(g.diversity != whole);
    badm_trainer_free(tr);
    badm_model_free(m);
}

/* The sub-batches' estimate, over an epoch of small steps. */
TEST(the_estimate_of_slots_is_near_the_exact_diversity)
{
    float found[2];
    int way;
    for (way = 0; way < 2; way++) {
        net n;
        badm_model *m = make_net(&n, 0);
        badm_trainer *tr = trainer(m, &n, way ? BADM_DIVERSITY_OF_SLOTS : BADM_DIVERSITY_EXACT, 12, 1, 0);
        badm_growth g;
        badm_growth_defaults(&g, BADM_GROWTH_DIVERSE, SAMPLES, SAMPLES);
        g.every = 1;
        g.batch = 12;                               /* below the limit, so that it is measured */
        CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
        found[way] = g.diversity;
        badm_trainer_free(tr);
        badm_model_free(m);
    }
    CHECK_NEAR(found[1] / found[0], 1, 0.15);
}

/* ---- growth ---- */

TEST(adabatch_keeps_the_path_of_step_over_batch)
{
    net n;
    badm_model *m = make_net(&n, 0);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_OFF, 1, 1, 0);
    badm_growth g;
    float fixed = 1.0f / 2.0f;                      /* the step over the batch of a schedule that decays by 0.375 */
    int epoch;
    badm_growth_defaults(&g, BADM_GROWTH_PERIODIC, 2, 16);
    g.every = 2;
    for (epoch = 0; epoch < 14; epoch++) {          /* 2, 4, 8, 16, and on at 16 */
        badm_rates r;
        if (epoch && epoch % 2 == 0) fixed *= 0.375f;
        r.lr = 1; r.sigma = 1; r.rho = 9; r.weight_decay = 0;
        badm_growth_rates(&r, 0, &g);
        CHECK(r.lr / (float)g.batch == fixed);
        CHECK_NEAR(r.sigma * r.lr, 1, 1e-6);
        CHECK_NEAR(r.rho, 9, 0);
        CHECK_INT(g.batch, epoch < 2 ? 2 : epoch < 4 ? 4 : epoch < 6 ? 8 : 16);
        CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
        CHECK_INT(g.epoch, epoch + 1);
    }
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(warm_up_begins_at_the_baseline)
{
    badm_growth g;
    badm_rates r;
    int epoch;
    badm_growth_defaults(&g, BADM_GROWTH_NONE, 64, 64);
    g.warmup = 4;
    g.baseline = 16;
    for (epoch = 0; epoch < 6; epoch++) {
        g.epoch = (uint32_t)epoch;
        r.lr = 2; r.sigma = 1; r.rho = 1; r.weight_decay = 0;
        badm_growth_rates(&r, 0, &g);
        CHECK_NEAR(r.lr, 2 * (epoch < 4 ? 0.25 + 0.75 * epoch / 4 : 1), 1e-6);
    }
}

TEST(divebatch_grows_to_what_diversity_says_and_never_shrinks)
{
    net n;
    badm_model *m = make_net(&n, 0);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_EXACT, 1, 2, 0);
    badm_growth g;
    uint32_t last = 4;
    int epoch;
    badm_growth_defaults(&g, BADM_GROWTH_DIVERSE, 4, 20);
    g.every = 2;
    g.delta = 0.3f;
    g.scale_step = 1;
    for (epoch = 0; epoch < 6; epoch++) {
        float step = g.step;
        CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_OK);
        if (epoch % 2 == 0) CHECK_INT(g.batch, last);
        else {
            float wanted = g.delta * g.diversity * SAMPLES;
            uint32_t expected = wanted > 20 ? 20 : wanted > (float)last ? (uint32_t)wanted : last;
            CHECK(g.diversity > 0);
            CHECK_INT(g.batch, expected);
            CHECK_NEAR(g.step / step, (double)g.batch / last, 1e-6);
            last = g.batch;
            if (last == 20) break;                  /* no longer measured */
        }
    }
    CHECK(g.diversity >= 1.0f / SAMPLES);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(what_is_wrong_is_said)
{
    net n;
    badm_model *m = make_net(&n, 0);
    badm_trainer *tr = trainer(m, &n, BADM_DIVERSITY_OFF, 1, 1, 0);
    badm_trainer_desc d;
    badm_trainer *none;
    badm_growth g;
    badm_growth_defaults(&g, BADM_GROWTH_PERIODIC, 0, 16);
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "a batch of 0");
    g.batch = 32;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "max_batch (16)");
    g.max_batch = 64;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "the trainer's is 24");
    g.batch = 4; g.max_batch = 16; g.every = 0;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    g.every = 1; g.factor = 0.5f;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    g.kind = BADM_GROWTH_DIVERSE;
    CHECK_INT(badm_growth_epoch(&g, tr, SAMPLES, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "diversity");
    CHECK_INT(g.epoch, 0);
    badm_trainer_free(tr);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = &n; d.max_batch = 8; d.sub_batches = 1; d.diversity = BADM_DIVERSITY_OF_SLOTS;
    CHECK_INT(badm_trainer_new(&none, &d), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(m), "at least 2 sub_batches");
    d.sub_batches = 2; d.form = BADM_PER_SLOT; d.local_steps = 2;
    CHECK_INT(badm_trainer_new(&none, &d), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_model_error(m), "without local steps");
    badm_model_free(m);
}

TEST_MAIN(
    make_data();
    RUN(norms_of_single_samples_are_those_of_batches_of_one)
    RUN(most_kinds_need_no_tape_for_each_sample)
    RUN(measuring_changes_nothing)
    RUN(labels_that_are_ignored_weigh_nothing)
    RUN(batch_norm_is_refused_with_the_reason)
    RUN(sub_batches_of_single_samples_grow_too)
    RUN(an_interrupted_epoch_is_not_measured)
    RUN(the_estimate_of_slots_is_near_the_exact_diversity)
    RUN(adabatch_keeps_the_path_of_step_over_batch)
    RUN(warm_up_begins_at_the_baseline)
    RUN(divebatch_grows_to_what_diversity_says_and_never_shrinks)
    RUN(what_is_wrong_is_said))
