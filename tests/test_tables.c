/* Tables whose rows learn by presence, against the rule written out for single samples. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

enum { SAMPLES = 20, ROWS = 7, WIDTH = 3, EACH = 4 };

static int32_t looked_up[SAMPLES][EACH];
static float targets[SAMPLES][EACH * WIDTH];

typedef struct net { badm_embedding table; int also_multiplied, all_in_a_row; } net;

static void make_data(int everywhere)
{
    badm_rng r;
    int i, j;
    badm_rng_init(&r, 2, 9);
    for (i = 0; i < SAMPLES; i++) {
        for (j = 0; j < EACH; j++) {
            uint32_t a = badm_rng_u32(&r) % ROWS, b = badm_rng_u32(&r) % ROWS;
            looked_up[i][j] = everywhere ? j : (int32_t)(a < b ? a : b);            /* some rows are rare, some come twice */
        }
        for (j = 0; j < EACH * WIDTH; j++) targets[i][j] = badm_rng_normal(&r);
    }
}

static badm_tensor *loss(badm_tape *t, const badm_batch *b, void *user)
{
    const net *n = (const net *)user;
    badm_dim shape[2];
    badm_tensor *x = badm_embedding_forward(t, n->table, badm_tokens(t, looked_up[0], EACH, b)), *y = badm_rows(t, targets[0], EACH * WIDTH, b);
    if (n->all_in_a_row) {
        static const int32_t one[3] = { 0, 1, 2 };
        badm_dim three = 3;
        return badm_mean(t, badm_embedding_forward(t, n->table, badm_ints_input(t, 1, &three, one)));
    }
    shape[0] = (badm_dim)b->count;
    shape[1] = EACH * WIDTH;
    y = badm_mse(t, badm_reshape(t, x, 2, shape), y);
    if (n->also_multiplied) {
        x = badm_matmul_nt(t, x, badm_param_use(t, n->table.weight));
        y = badm_add(t, y, badm_mean(t, x));
    }
    return y;
}

static badm_model *make_net(net *n, int by_presence)
{
    badm_model *m = badm_model_new(5);
    memset(n, 0, sizeof *n);
    n->table = badm_embedding_new(m, "table", ROWS, WIDTH);
    CHECK_INT(badm_set_by_presence(m, "table", by_presence), 1);
    return m;
}

static badm_result trainer(badm_trainer **tr, badm_model *m, net *n, uint32_t slots, uint32_t workers, uint32_t micro)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = loss; d.user = n; d.max_batch = SAMPLES; d.sub_batches = slots; d.workers = workers; d.micro_batch = micro;
    d.method = badm_method_sgd();
    d.lr = 0.5f;
    return badm_trainer_new(tr, &d);
}

/* w after one step of the rule: sum_i g_i^(k) over the number of samples i that look row k up. */
static void by_hand(const float *w, double *after)
{
    int i, j, k, c;
    for (k = 0; k < ROWS; k++) {
        double sum[WIDTH] = { 0 };
        int present = 0;
        for (i = 0; i < SAMPLES; i++) {
            int there = 0;
            for (j = 0; j < EACH; j++) {
                if (looked_up[i][j] != k) continue;
                there = 1;
                for (c = 0; c < WIDTH; c++)
                    sum[c] += 2.0 * ((double)w[k * WIDTH + c] - (double)targets[i][j * WIDTH + c]) / (EACH * WIDTH);
            }
            present += there;
        }
        for (c = 0; c < WIDTH; c++) after[k * WIDTH + c] = (double)w[k * WIDTH + c] - (present ? 0.5 * sum[c] / present : 0.0);
    }
}

TEST(a_row_moves_by_its_mean_over_the_samples_that_look_it_up)
{
    uint64_t first = 0;
    uint32_t workers, micro;
    make_data(0);
    for (micro = 0; micro < 4; micro += 3)
        for (workers = 1; workers < 4; workers++) {
            net n;
            badm_model *m = make_net(&n, 1);
            badm_trainer *tr;
            double expected[ROWS * WIDTH];
            int i;
            by_hand(badm_param_values(n.table.weight), expected);
            CHECK_INT(trainer(&tr, m, &n, 3, workers, micro), BADM_OK);
            CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
            for (i = 0; i < ROWS * WIDTH; i++) CHECK_NEAR((double)badm_param_values(n.table.weight)[i], expected[i], 2e-6);
            if (workers == 1) first = badm_model_hash(m);
            CHECK(badm_model_hash(m) == first);
            badm_trainer_free(tr);
            badm_model_free(m);
        }
}

TEST(rows_that_all_samples_look_up_move_by_the_plain_mean)
{
    uint64_t hash[2];
    int by_presence;
    make_data(1);
    for (by_presence = 0; by_presence < 2; by_presence++) {
        net n;
        badm_model *m = make_net(&n, by_presence);
        badm_trainer *tr;
        CHECK_INT(trainer(&tr, m, &n, 2, 2, 0), BADM_OK);
        CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
        hash[by_presence] = badm_model_hash(m);
        badm_trainer_free(tr);
        badm_model_free(m);
    }
    CHECK(hash[0] == hash[1]);
}

TEST(the_rule_goes_by_the_batch_not_by_the_step_before)
{
    net n;
    badm_model *m = make_net(&n, 1);
    badm_trainer *tr;
    double expected[ROWS * WIDTH];
    int step, i;
    make_data(0);
    CHECK_INT(trainer(&tr, m, &n, 2, 1, 0), BADM_OK);
    for (step = 0; step < 3; step++) {
        by_hand(badm_param_values(n.table.weight), expected);
        CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
        for (i = 0; i < ROWS * WIDTH; i++) CHECK_NEAR((double)badm_param_values(n.table.weight)[i], expected[i], 2e-6);
    }
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(other_uses_of_such_a_table_are_refused)
{
    net n;
    badm_model *m = make_net(&n, 1);
    badm_trainer *tr;
    uint64_t before = badm_model_hash(m);
    make_data(0);
    n.also_multiplied = 1;
    CHECK_INT(trainer(&tr, m, &n, 2, 1, 0), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_STATE);
    CHECK_TEXT(badm_trainer_error(tr), "presence");
    n.also_multiplied = 0;
    n.all_in_a_row = 1;
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_SHAPE);
    CHECK_TEXT(badm_trainer_error(tr), "3 rows for 10 samples");
    CHECK(badm_model_hash(m) == before);
    n.all_in_a_row = 0;
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_OK);
    badm_set_by_presence(m, "", 0);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, NULL), BADM_ERR_STATE);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(what_does_not_go_with_it_is_refused)
{
    int i;
    for (i = 0; i < 4; i++) {
        net n;
        badm_model *m = make_net(&n, 1);
        badm_trainer_desc d;
        badm_trainer *tr = NULL;
        badm_trainer_defaults(&d);
        d.model = m; d.loss = loss; d.user = &n; d.max_batch = SAMPLES; d.sub_batches = 2;
        if (i == 0) d.form = BADM_PER_SLOT;
        if (i == 1) d.local_steps = 2;
        if (i == 3) d.balance = 2;
        if (i == 2) { d.metric = BADM_DIAGONAL; d.second_moment_of_slots = 1; }
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
        CHECK_TEXT(badm_model_error(m), "presence");
        badm_model_free(m);
    }
}

TEST_MAIN(
    RUN(a_row_moves_by_its_mean_over_the_samples_that_look_it_up)
    RUN(rows_that_all_samples_look_up_move_by_the_plain_mean)
    RUN(the_rule_goes_by_the_batch_not_by_the_step_before)
    RUN(other_uses_of_such_a_table_are_refused)
    RUN(what_does_not_go_with_it_is_refused)
)
