/* >>data: rows, labels and tokens of a batch's samples. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"

static const uint32_t index_values[3] = { 4, 0, 2 };
static const float table[5][2] = { { 0, 1 }, { 10, 11 }, { 20, 21 }, { 30, 31 }, { 40, 41 } };

static badm_tape *open_tape(badm_batch *b)
{
    badm_tape *t = NULL;
    memset(b, 0, sizeof *b);
    b->index = index_values;
    b->count = 3;
    CHECK_INT(badm_tape_new(&t, NULL, 100000), BADM_OK);
    return t;
}

TEST(rows_are_gathered_by_the_index)
{
    badm_batch b;
    badm_tape *t = open_tape(&b);
    badm_tensor *x = badm_rows(t, &table[0][0], 2, &b);
    int i;
    CHECK_INT(x->rank, 2);
    CHECK_INT(x->shape[0], 3);
    CHECK_INT(x->shape[1], 2);
    for (i = 0; i < 3; i++) CHECK(!memcmp(badm_data(t, x) + 2 * i, table[index_values[i]], sizeof table[0]));
    CHECK(badm_grad(t, x) == NULL);
    badm_tape_free(t);
}

TEST(bytes_are_scaled_and_shifted)
{
    static const uint8_t bytes[5][3] = { { 0, 1, 255 }, { 9, 9, 9 }, { 128, 64, 32 }, { 9, 9, 9 }, { 7, 8, 9 } };
    badm_batch b;
    badm_tape *t = open_tape(&b);
    badm_tensor *x = badm_rows_u8(t, &bytes[0][0], 3, 2.0f / 255, -1, &b);
    int i, j;
    CHECK_INT(x->shape[1], 3);
    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++)
            CHECK_NEAR(badm_data(t, x)[3 * i + j], bytes[index_values[i]][j] * (2.0 / 255) - 1, 1e-6);
    CHECK_NEAR(badm_data(t, x)[5], 1, 1e-6);        /* 255 is the end of the range */
    badm_tape_free(t);
}

TEST(shorts_are_scaled_and_shifted)
{
    static const int16_t shorts[5][2] = { { -32768, 32767 }, { 9, 9 }, { -1, 0 }, { 9, 9 }, { 1000, -1000 } };
    badm_batch b;
    badm_tape *t = open_tape(&b);
    badm_tensor *x = badm_rows_i16(t, &shorts[0][0], 2, 1.0f / 32768, 0.5f, &b);
    int i, j;
    for (i = 0; i < 3; i++)
        for (j = 0; j < 2; j++)
            CHECK_NEAR(badm_data(t, x)[2 * i + j], shorts[index_values[i]][j] / 32768.0 + 0.5, 1e-6);
    badm_tape_free(t);
}

static void fill(float *row, badm_dim width, uint32_t at, void *user)
{
    badm_dim j;
    for (j = 0; j < width; j++) row[j] = (float)at * 100 + (float)j + *(const float *)user;
}

TEST(a_callback_fills_rows)
{
    float offset = 0.5f;
    badm_batch b;
    badm_tape *t = open_tape(&b);
    badm_tensor *x = badm_rows_fill(t, fill, &offset, 7, &b);
    int i, j;
    CHECK_INT(x->shape[0], 3);
    CHECK_INT(x->shape[1], 7);
    for (i = 0; i < 3; i++)
        for (j = 0; j < 7; j++) CHECK(badm_data(t, x)[7 * i + j] == (float)index_values[i] * 100 + (float)j + 0.5f);
    badm_tape_free(t);
}

TEST(labels_and_tokens_are_gathered_by_the_index)
{
    static const int32_t labels[5] = { 5, 6, 7, -100, 9 };
    static const int32_t tokens[5][4] = { { 1, 2, 3, 4 }, { 0 }, { 5, 6, 7, 8 }, { 0 }, { 9, 10, 11, 12 } };
    static const uint8_t bytes[5] = { 1, 2, 255, 4, 5 };
    badm_batch b;
    badm_tape *t = open_tape(&b);
    const badm_ints *l = badm_labels(t, labels, &b), *u = badm_labels_u8(t, bytes, &b),
            *k = badm_tokens(t, &tokens[0][0], 4, &b);
    int i;
    CHECK_INT(l->rank, 1);
    CHECK_INT(l->shape[0], 3);
    CHECK_INT(u->rank, 1);
    CHECK_INT(u->shape[0], 3);
    CHECK_INT(k->rank, 2);
    CHECK_INT(k->shape[0], 3);
    CHECK_INT(k->shape[1], 4);
    for (i = 0; i < 3; i++) {
        CHECK_INT(l->data[i], labels[index_values[i]]);
        CHECK_INT(u->data[i], bytes[index_values[i]]);
        CHECK(!memcmp(k->data + 4 * i, tokens[index_values[i]], sizeof tokens[0]));
    }
    badm_tape_free(t);
}

TEST(integers_of_ones_own_are_copied)
{
    static const badm_dim shape[2] = { 2, 3 };
    int32_t values[6] = { 1, 2, 3, 4, 5, 6 };
    badm_batch b;
    badm_tape *t = open_tape(&b);
    const badm_ints *x = badm_ints_input(t, 2, shape, values);
    values[5] = 0;
    CHECK_INT(x->rank, 2);
    CHECK_INT(x->shape[0], 2);
    CHECK_INT(x->shape[1], 3);
    CHECK_INT(x->data[5], 6);
    badm_tape_free(t);
}

TEST(gathered_rows_are_an_embedding)
{
    static const badm_dim shape[2] = { 2, 2 };
    static const int32_t which[4] = { 3, 1, 1, 0 };
    badm_batch b;
    badm_tape *t = open_tape(&b);
    badm_model *m = badm_model_new(1);
    badm_embedding e = badm_embedding_new(m, "e", 5, 3);
    const float *w = badm_param_values(e.weight);
    float *grads = (float *)calloc(badm_trainable_size(m), sizeof(float));
    badm_tensor *y;
    int i, j;
    badm_tape_watch(t, m, grads);
    y = badm_embedding_forward(t, e, badm_ints_input(t, 2, shape, which));
    CHECK_INT(y->rank, 3);
    CHECK_INT(y->shape[2], 3);
    for (i = 0; i < 4; i++) CHECK(!memcmp(badm_data(t, y) + 3 * i, w + 3 * which[i], 3 * sizeof *w));
    CHECK_INT(badm_backward(t, badm_sum(t, y)), BADM_OK);
    for (i = 0; i < 5; i++)
        for (j = 0; j < 3; j++)
            CHECK(badm_param_grad(t, e.weight)[3 * i + j] == (float)(i == 1 ? 2 : i == 0 || i == 3));
    badm_tape_free(t);
    badm_model_free(m);
    free(grads);
}

/* ---- a dry run sees shapes and no numbers ---- */

typedef struct { badm_model *m; badm_linear l; int *dry, *null_index, *null_data, *live; } watcher;

static badm_tensor *watch_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const watcher *w = (const watcher *)user;
    badm_tensor *x = badm_rows(t, &table[0][0], 2, b), *y = badm_linear_forward(t, w->l, x);
    if (badm_is_dry(t)) {
        ++*w->dry;
        *w->null_index += b->index == NULL;
        *w->null_data += badm_data(t, x) == NULL && badm_data(t, y) == NULL;
        CHECK_INT(b->count, 3);         /* the largest sub-batch: 5 samples in 2 slots */
    } else ++*w->live;
    return badm_mean(t, y);
}

TEST(a_dry_run_sees_shapes_and_no_numbers)
{
    int dry = 0, null_index = 0, null_data = 0, live = 0;
    watcher w;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    w.m = badm_model_new(1);
    w.l = badm_linear_new(w.m, "l", 2, 1);
    w.dry = &dry; w.null_index = &null_index; w.null_data = &null_data; w.live = &live;
    badm_trainer_defaults(&d);
    d.model = w.m; d.loss = watch_loss; d.user = &w; d.max_batch = 5; d.sub_batches = 2; d.workers = 1;
    hash = badm_model_hash(w.m);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK(dry > 0);
    CHECK_INT(null_index, dry);
    CHECK_INT(null_data, dry);
    CHECK_INT(live, 0);
    CHECK(badm_model_hash(w.m) == hash);
    badm_trainer_free(tr);
    badm_model_free(w.m);
}

TEST_MAIN(
    RUN(rows_are_gathered_by_the_index)
    RUN(bytes_are_scaled_and_shifted)
    RUN(shorts_are_scaled_and_shifted)
    RUN(a_callback_fills_rows)
    RUN(labels_and_tokens_are_gathered_by_the_index)
    RUN(integers_of_ones_own_are_copied)
    RUN(gathered_rows_are_an_embedding)
    RUN(a_dry_run_sees_shapes_and_no_numbers)
)
