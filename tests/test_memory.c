/* Memory: nothing is allocated after the start, a failing allocator breaks nothing, a block of the announced size
   is enough. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "memory.h"
#include "problems.h"
#include "buffer.h"

/* A graph that needs more memory every step, up to the tenth; what it computes stays the same. */
static badm_tensor *growing_outputs(badm_tape *t, const badm_batch *b, void *user)
{
    badm_tensor *y = problem_outputs(t, b, user);
    uint64_t i, n = (b->step < 10 ? b->step : 10) * 40;
    for (i = 0; i < n; i++) y = badm_scale(t, y, 1);
    return y;
}

static badm_tensor *growing_loss(badm_tape *t, const badm_batch *b, void *user)
{
    return badm_cross_entropy(t, growing_outputs(t, b, user), badm_labels(t, ((const problem *)user)->labels, b));
}

TEST(steps_evaluation_and_prediction_allocate_nothing)
{
    static float out[PROBLEM_SAMPLES * 3];
    const problem_variant *all;
    unsigned count, i, j;
    all = problem_variants(&count);
    for (i = 0; i < count; i++) {
        test_heap heap;
        badm_memory mem = test_heap_memory(&heap);
        badm_trainer_desc d;
        badm_trainer *tr;
        badm_score score;
        problem p;
        long calls;
        problem_new(&p, PROBLEM_BLOBS, &mem, 1);
        problem_desc(&p, &d);
        problem_use(&d, all + i);
        d.memory = &mem;
        d.sub_batches = 3;
        d.workers = 2;
        d.max_batch = 12;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        calls = heap.calls;
        for (j = 0; j < 1000; j++) CHECK_INT(badm_step(tr, NULL, 12, NULL), BADM_OK);
        CHECK_INT(badm_epoch(tr, PROBLEM_SAMPLES, 10, NULL, NULL), BADM_OK);
        CHECK_INT(heap.calls, calls);
        CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
        CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
        calls = heap.calls;
        for (j = 0; j < 20; j++) {
            CHECK_INT(badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score), BADM_OK);
            CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
            CHECK_INT(badm_step(tr, NULL, 12, NULL), BADM_OK);
        }
        CHECK_INT(heap.calls, calls);
        badm_trainer_free(tr);
        problem_free(&p);
        CHECK_INT(heap.live, 0);
        CHECK_INT(heap.bytes, 0);
    }
}

TEST(a_trainer_takes_what_trainer_bytes_says)
{
    const problem_variant *all;
    unsigned count, i;
    uint32_t s;
    all = problem_variants(&count);
    for (i = 0; i < count; i++)
        for (s = 1; s <= 5; s += 2) {
            test_heap heap;
            badm_memory mem = test_heap_memory(&heap);
            badm_trainer_desc d;
            badm_trainer *tr;
            problem p;
            size_t bytes = 0;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            problem_use(&d, all + i);
            d.memory = &mem;
            d.sub_batches = s;
            d.workers = 3;
            d.max_batch = 32;
            CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
            CHECK_INT(heap.live, 0);
            CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
            CHECK_INT(heap.bytes, bytes);
            CHECK_INT(badm_trainer_memory(tr), bytes);
            CHECK_INT(badm_step(tr, NULL, 32, NULL), BADM_OK);
            CHECK_INT(heap.bytes, bytes);
            badm_trainer_free(tr);
            CHECK_INT(heap.live, 0);
            problem_free(&p);
        }
}

/* The blobs with two workers in memory of mem: the hash after 20 steps, 0 when the trainer was refused. */
static uint64_t train_in(badm_memory *mem, char *error, size_t n)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash = 0;
    int i;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.memory = mem;
    d.sub_batches = 3;
    d.workers = 2;
    if (badm_trainer_new(&tr, &d) == BADM_OK) {
        for (i = 0; i < 20; i++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
        hash = badm_model_hash(p.model);
        badm_trainer_free(tr);
    } else {
        CHECK(tr == NULL);
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_MEMORY);
    }
    strncpy(error, badm_model_error(p.model), n - 1);
    error[n - 1] = 0;
    problem_free(&p);
    return hash;
}

/* What badm_trainer_bytes says of that trainer in mem. */
static size_t bytes_of_blobs(badm_memory *mem)
{
    problem p;
    badm_trainer_desc d;
    size_t bytes = 0;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.memory = mem;
    d.sub_batches = 3;
    d.workers = 2;
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
    problem_free(&p);
    return bytes;
}

TEST(a_block_of_that_size_is_enough_at_any_address)
{
    size_t bytes = bytes_of_blobs(NULL), offset;
    unsigned char *block = (unsigned char *)malloc(bytes + 64);
    char error[300];
    uint64_t expected = train_in(NULL, error, sizeof error);
    badm_memory mem;
    CHECK(expected != 0);
    for (offset = 0; offset < 64; offset += offset < 8 ? 1 : 7) {
        badm_memory_block(&mem, block + offset, bytes);
        CHECK(train_in(&mem, error, sizeof error) == expected);
    }
    free(block);
}

TEST(a_block_is_used_to_its_last_byte_and_a_smaller_one_refused_with_the_figure)
{
    static unsigned char block[200000];
    badm_memory mem;
    size_t bytes, total, less, left;
    char error[300], figure[32];
    badm_memory_block(&mem, block, sizeof block);
    left = badm_memory_left(&mem);
    bytes = bytes_of_blobs(&mem);
    CHECK_INT(badm_memory_left(&mem), left);
    total = (size_t)(mem.block - block) + bytes;        /* with what goes to aligning the block itself */
    CHECK(total < sizeof block);
    sprintf(figure, "%lu", (unsigned long)bytes);
    badm_memory_block(&mem, block, total);
    CHECK_INT(bytes_of_blobs(&mem), bytes);
    CHECK(train_in(&mem, error, sizeof error) != 0);
    for (less = 1; less < total; less += total / 50) {
        badm_memory_block(&mem, block, total - less);
        CHECK(train_in(&mem, error, sizeof error) == 0);
        /* a tiny block is no room to measure the graph */
        CHECK_TEXT(error, total - less < 2000 ? "needed" : figure);
    }
    badm_memory_block(&mem, NULL, sizeof block);        /* as after a malloc that failed */
    CHECK_INT(badm_memory_left(&mem), 0);
    CHECK(train_in(&mem, error, sizeof error) == 0);
    CHECK_TEXT(error, "memory");
}

TEST(model_and_trainer_share_one_block)
{
    static double block[20000];
    badm_memory mem;
    badm_trainer_desc d;
    badm_trainer *tr;
    problem p, q;
    size_t all, bytes = 0;
    int i, round;
    badm_memory_block(&mem, block, sizeof block);
    all = badm_memory_left(&mem);
    for (round = 0; round < 3; round++) {           /* what is freed comes back */
        CHECK(problem_new(&p, PROBLEM_BLOBS, &mem, 1));
        problem_desc(&p, &d);
        d.memory = &mem;
        d.sub_batches = 2;
        CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
        CHECK(bytes < badm_memory_left(&mem));
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        for (i = 0; i < 10; i++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
        problem_new(&q, PROBLEM_BLOBS, NULL, 1);
        {
            badm_trainer *other;
            d.model = q.model;
            d.user = &q;
            d.memory = NULL;
            CHECK_INT(badm_trainer_new(&other, &d), BADM_OK);
            for (i = 0; i < 10; i++) CHECK_INT(badm_step(other, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
            badm_trainer_free(other);
        }
        CHECK(badm_model_hash(p.model) == badm_model_hash(q.model));
        problem_free(&q);
        badm_trainer_free(tr);
        problem_free(&p);
        CHECK_INT(badm_memory_left(&mem), all);
    }
}

TEST(memory_left_of_callbacks_is_0)
{
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    CHECK_INT(badm_memory_left(&mem), 0);
}

static void note_growth(badm_result r, const char *text, void *user)
{
    CHECK_INT(r, BADM_OK);              /* an enlarged tape is no error, but is told */
    CHECK_TEXT(text, "tape");
    ++*(uint32_t *)user;
}

/* Twelve steps of the growing graph; the hash, and the number of enlargements. */
static uint64_t train_growing(badm_memory *mem, size_t tape_bytes, uint32_t workers, uint32_t *growths)
{
    uint32_t told = 0;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    uint64_t hash;
    int i;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    p.dropout = 0.25f;
    problem_desc(&p, &d);
    d.loss = growing_loss;
    d.memory = mem;
    d.tape_bytes = tape_bytes;
    d.sub_batches = 3;
    d.workers = workers;
    d.log = note_growth;
    d.log_user = &told;
    memset(&r, 0, sizeof r);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; i < 12; i++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, &r), BADM_OK);
    *growths = r.tape_growths;
    CHECK_INT(told > 0, r.tape_growths > 0);
    hash = badm_model_hash(p.model);
    badm_trainer_free(tr);
    problem_free(&p);
    return hash;
}

/* The product of two parameters, as they are (kind 0), with the second turned (1) or the first (2). */
typedef struct { badm_param a, b; int kind; } product;

static badm_tensor *product_loss(badm_tape *t, const badm_batch *batch, void *user)
{
    const product *p = (const product *)user;
    badm_tensor *a = badm_param_use(t, p->a), *b = badm_param_use(t, p->b), *y;
    (void)batch;
    y = p->kind == 0 ? badm_matmul(t, a, b) : p->kind == 1 ? badm_matmul_nt(t, a, b) : badm_matmul_tn(t, a, b);
    return badm_mean(t, badm_mul(t, y, y));
}

/* Products take scratch for panels, packed rows and a turned result, as the shapes want it; the trainer has planned for it. */
TEST(no_product_enlarges_the_tape)
{
    static const badm_dim shapes[][3] = {               /* m, n, k */
        { 8, 64, 2048 }, { 8, 2048, 64 }, { 64, 8, 2048 }, { 100, 160, 64 }, { 50, 104, 256 }, { 256, 256, 256 }, { 400, 100, 512 }
    };
    unsigned i;
    for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const badm_dim m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        product p;
        for (p.kind = 0; p.kind < 3; p.kind++) {
            const badm_dim a[2] = { p.kind == 2 ? k : m, p.kind == 2 ? m : k }, b[2] = { p.kind == 1 ? n : k, p.kind == 1 ? k : n };
            badm_model *model = badm_model_new(1);
            badm_trainer_desc d;
            badm_trainer *tr;
            badm_report r;
            p.a = badm_param_new(model, "a", 2, a, badm_init_uniform(-0.1f, 0.1f));
            p.b = badm_param_new(model, "b", 2, b, badm_init_uniform(-0.1f, 0.1f));
            badm_trainer_defaults(&d);
            d.model = model;
            d.loss = product_loss;
            d.user = &p;
            d.max_batch = d.sub_batches = 1;
            CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
            memset(&r, 0, sizeof r);
            CHECK_INT(badm_step(tr, NULL, 1, &r), BADM_OK);
            if (r.tape_growths)
                printf("kind %d, m %lu, n %lu, k %lu\n", p.kind, (unsigned long)m, (unsigned long)n, (unsigned long)k);
            CHECK_INT(r.tape_growths, 0);
            badm_trainer_free(tr);
            badm_model_free(model);
        }
    }
}

TEST(a_growing_graph_enlarges_the_tape_and_keeps_the_bits)
{
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    uint32_t none = 99, some = 0, workers;
    uint64_t expected = train_growing(NULL, 4000000, 1, &none);
    CHECK_INT(none, 0);
    for (workers = 1; workers <= 4; workers++) {
        CHECK(train_growing(&mem, 0, workers, &some) == expected);
        CHECK(some > 0);
        CHECK_INT(heap.live, 0);
    }
}

TEST(in_a_block_a_growing_graph_is_refused_and_nothing_changes)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_memory mem;
    unsigned char *block;
    char text[1000];
    size_t bytes = 0;
    uint64_t hash;
    int i;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.loss = growing_loss;
    d.sub_batches = 3;
    d.workers = 2;
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
    block = (unsigned char *)malloc(bytes);
    badm_memory_block(&mem, block, bytes);
    d.memory = &mem;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_diagnose(tr, NULL, 0) & BADM_SEES_MEMORY, 0);
    CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
    hash = badm_model_hash(p.model);
    for (i = 0; i < 3; i++) {
        CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_ERR_MEMORY);
        CHECK(badm_model_hash(p.model) == hash);
        CHECK_INT(badm_trainer_step(tr), 1);
        CHECK(strpbrk(badm_trainer_error(tr), "123456789") != NULL);
    }
    CHECK(badm_diagnose(tr, text, sizeof text) & BADM_SEES_MEMORY);
    CHECK_TEXT(text, "memory");
    CHECK(strpbrk(text, "123456789") != NULL);
    CHECK_INT(badm_step(tr, NULL, 3, NULL), BADM_OK);       /* a batch that fits still can be trained on */
    CHECK(badm_model_hash(p.model) != hash);
    badm_trainer_free(tr);
    problem_free(&p);
    free(block);
}

/* ---- tapes that were not measured for what comes ---- */

typedef struct { badm_param a, b; float rows[86][100]; int kind; } rows_of;      /* kind 1: the first slot records more than was measured */

static badm_tensor *rows_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const rows_of *r = (const rows_of *)user;
    badm_tensor *x = badm_rows(t, r->rows[0], 100, b);
    int i;
    if (r->kind == 1 && b->index && b->slot == 0) for (i = 0; i < 30; i++) x = badm_scale(t, x, 1.0f);
    x = badm_matmul(t, badm_matmul(t, x, badm_param_use(t, r->a)), badm_param_use(t, r->b));
    return badm_mean(t, badm_mul(t, x, x));
}

static badm_model *rows_model(rows_of *r, badm_trainer_desc *d)
{
    badm_model *m = badm_model_new(3);
    badm_dim wide[2] = { 100, 170 }, back[2] = { 170, 100 };
    badm_rng g;
    size_t i, j;
    badm_rng_init(&g, 1, 1);
    memset(r, 0, sizeof *r);
    for (i = 0; i < 86; i++) for (j = 0; j < 100; j++) r->rows[i][j] = badm_rng_normal(&g);
    r->a = badm_param_new(m, "a", 2, wide, badm_init_normal(0, 0.01f));
    r->b = badm_param_new(m, "b", 2, back, badm_init_normal(0, 0.01f));
    badm_trainer_defaults(d);
    d->model = m;
    d->loss = rows_loss;
    d->user = r;
    d->max_batch = 86;
    d->sub_batches = d->workers = 1;
    d->sigma = 1000;
    d->rho = 9000;
    return m;
}

/* The dry run sees the largest batch; the scratch that products like to have is not always the most there. */
TEST(no_shorter_batch_wants_more_than_the_largest)
{
    static rows_of r;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report report;
    badm_model *m = rows_model(&r, &d);
    uint32_t count;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (count = 86; count >= 1; count--) CHECK_INT(badm_step(tr, NULL, count, &report), BADM_OK);
    CHECK_INT(report.tape_growths, 0);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_tape_grows_for_one_slot_though_the_next_fits)
{
    static rows_of r;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report report;
    badm_model *m = rows_model(&r, &d);
    d.sub_batches = 2;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    r.kind = 1;
    CHECK_INT(badm_step(tr, NULL, 86, &report), BADM_OK);
    CHECK(report.tape_growths > 0);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_given_tape_has_room_to_orthogonalise)
{
    static rows_of r;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_model *m = rows_model(&r, &d);
    size_t given = 300000, bytes = 0;
    d.tape_bytes = given;
    d.metric = BADM_ORTHOGONAL;
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_OK);
    CHECK(bytes > given);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, 86, NULL), BADM_OK);
    badm_trainer_free(tr);
    badm_model_free(m);
}

/* ---- an allocator that fails at the k-th call ---- */

static buffer model_file, state_file;

static void trains(badm_memory *mem, problem *p, int *good)
{
    static float out[PROBLEM_SAMPLES * 3];
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    badm_writer w;
    badm_reader r;
    size_t bytes;
    uint64_t hash;
    int i;
    problem_desc(p, &d);
    d.memory = mem;
    d.loss = growing_loss;
    d.sub_batches = 3;
    d.workers = 2;
    d.max_batch = 30;
    d.form = BADM_PER_SLOT;
    *good &= badm_trainer_bytes(&d, &bytes) == BADM_OK;
    if (badm_trainer_new(&tr, &d) != BADM_OK) {
        CHECK(tr == NULL);
        CHECK(strlen(badm_model_error(p->model)) > 0);
        *good = 0;
        return;
    }
    for (i = 0; i < 5; i++) {
        badm_result result;
        hash = badm_model_hash(p->model);
        result = badm_step(tr, NULL, 30, NULL);
        if (result == BADM_OK) continue;
        *good = 0;
        CHECK_INT(result, BADM_ERR_MEMORY);
        CHECK(badm_model_hash(p->model) == hash);
        CHECK(strlen(badm_trainer_error(tr)) > 0);
    }
    *good &= badm_evaluate(tr, NULL, NULL, PROBLEM_SAMPLES, &score) == BADM_OK;
    *good &= badm_predict(tr, growing_outputs, p, PROBLEM_SAMPLES, 3, out) == BADM_OK;
    w = buffer_writer(&state_file);
    if (badm_checkpoint_save_to(tr, &w) == BADM_OK) {
        r = buffer_reader(&state_file);
        *good &= badm_checkpoint_load_from(tr, &r) == BADM_OK;
    } else *good = 0;
    badm_trainer_free(tr);
}

static void keeps_and_stores(badm_memory *mem, problem *p, int *good)
{
    badm_gradient_check check;
    badm_best *best;
    badm_writer w;
    badm_reader r;
    badm_tape *t;
    badm_array array;
    static const float numbers[4] = { 1, 2, 3, 4 };
    static const badm_dim shape[2] = { 2, 2 };
    if (badm_best_new(&best, p->model, 3) == BADM_OK) {
        *good &= badm_best_update(best, 1) == 1;
        *good &= badm_best_restore(best) == BADM_OK;
        badm_best_free(best);
    } else { CHECK(best == NULL); *good = 0; }
    *good &= badm_check_gradients(p->model, problem_loss, p, 8, 4, 0, &check) == BADM_OK;
    w = buffer_writer(&model_file);
    if (badm_save_to(p->model, &w) == BADM_OK) {
        r = buffer_reader(&model_file);
        *good &= badm_load_from(p->model, &r) == BADM_OK;
    } else *good = 0;
    if (badm_tape_new(&t, mem, 10000) == BADM_OK) badm_tape_free(t);
    else { CHECK(t == NULL); *good = 0; }
    w = buffer_writer(&model_file);
    *good &= badm_npy_save_to(numbers, 2, shape, &w, NULL) == BADM_OK;
    r = buffer_reader(&model_file);
    if (badm_npy_load_from(&array, &r, mem, NULL) == BADM_OK) badm_array_free(&array);
    else *good = 0;
}

/* 1 if all of it worked. */
static int everything(badm_memory *mem)
{
    static const badm_dim shape[2] = { 7, 9 };
    char name[20];
    problem p;
    int i, good = 1;
    if (!problem_new(&p, PROBLEM_BLOBS, mem, 1)) return 0;
    for (i = 0; i < 20; i++) {
        sprintf(name, "more%d", i);
        badm_param_new(p.model, name, 2, shape, badm_init_normal(0, 1));
    }
    badm_set_frozen(p.model, "more1", 1);
    if (badm_model_result(p.model) != BADM_OK) { CHECK(strlen(badm_model_error(p.model)) > 0); good = 0; }
    trains(mem, &p, &good);
    keeps_and_stores(mem, &p, &good);
    problem_free(&p);
    return good;
}

TEST(an_allocator_failing_at_any_call_breaks_and_leaks_nothing)
{
    long k, total;
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    CHECK(everything(&mem));
    CHECK_INT(heap.live, 0);
    total = heap.calls;
    CHECK(total > 10);
    for (k = 1; k <= total; k++) {
        mem = test_heap_memory(&heap);
        heap.fail_at = k;
        CHECK(!everything(&mem) || heap.calls < k);
        if (heap.live) printf("call %ld of %ld fails: %ld blocks leak\n", k, total, heap.live);
        CHECK_INT(heap.live, 0);
        CHECK_INT(heap.bytes, 0);
    }
}

static void mapped_model(badm_memory *mem)
{
    static const float values[48] = { 1 };
    badm_model *m = badm_model_new_in(mem, 1);
    if (!m) return;
    badm_model_map(m, values, 48);
    badm_linear_new(m, "fc", 15, 3);
    badm_set_frozen(m, "fc.weight", 0);
    badm_model_free(m);
}

TEST(unfreezing_mapped_weights_survives_a_failing_allocator)
{
    long k, total;
    test_heap heap;
    badm_memory mem = test_heap_memory(&heap);
    mapped_model(&mem);
    total = heap.calls;
    for (k = 1; k <= total; k++) {
        mem = test_heap_memory(&heap);
        heap.fail_at = k;
        mapped_model(&mem);
        CHECK_INT(heap.live, 0);
    }
}

TEST_MAIN(
    RUN(steps_evaluation_and_prediction_allocate_nothing)
    RUN(a_trainer_takes_what_trainer_bytes_says)
    RUN(a_block_of_that_size_is_enough_at_any_address)
    RUN(a_block_is_used_to_its_last_byte_and_a_smaller_one_refused_with_the_figure)
    RUN(model_and_trainer_share_one_block)
    RUN(memory_left_of_callbacks_is_0)
    RUN(no_product_enlarges_the_tape)
    RUN(a_growing_graph_enlarges_the_tape_and_keeps_the_bits)
    RUN(in_a_block_a_growing_graph_is_refused_and_nothing_changes)
    RUN(no_shorter_batch_wants_more_than_the_largest)
    RUN(a_tape_grows_for_one_slot_though_the_next_fits)
    RUN(a_given_tape_has_room_to_orthogonalise)
    RUN(an_allocator_failing_at_any_call_breaks_and_leaks_nothing)
    RUN(unfreezing_mapped_weights_survives_a_failing_allocator)
)
