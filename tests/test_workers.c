/* >>workers: the same bits for any number of workers, without threads, and in any floating-point state of the caller.
   Linked with workers_no_threads.c. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "problems.h"
#include "workers.h"

static const uint32_t slots[] = { 1, 2, 3, 5, 8 }, threads[] = { 1, 2, 3, 4, 8 };

static workers_run make_run(unsigned variant, uint32_t sub_batches, uint32_t workers, uint32_t micro_batch,
        int extras, int wide)
{
    workers_run r;
    r.variant = variant;
    r.sub_batches = sub_batches;
    r.workers = workers;
    r.micro_batch = micro_batch;
    r.extras = extras;
    r.wide = wide;
    return r;
}

/* Every way of training, every S, every W (every other one on the wide problem, which takes longer): one hash for
   every S. */
static void hashes_agree(uint32_t micro_batch, int extras, int wide)
{
    const problem_variant *all;
    unsigned count, v, s, w;
    all = problem_variants(&count);
    for (v = 0; v < count; v++)
        for (s = 0; s < 5; s += wide ? 2 : 1) {
            workers_run run = make_run(v, slots[s], 1, micro_batch, extras, wide);
            uint64_t expected = workers_no_threads(&run);
            CHECK(expected != 0);
            for (w = wide ? 1 : 0; w < 5; w += wide ? 2 : 1) {
                uint64_t hash;
                run.workers = threads[w];
                hash = workers_train(&run);
                if (hash != expected) printf("%s, S %lu, W %lu\n", all[v].name, (unsigned long)slots[s],
                        (unsigned long)threads[w]);
                CHECK(hash == expected);
            }
        }
}

TEST(the_number_of_workers_changes_no_bit)                          { hashes_agree(0, 0, 0); }
TEST(nor_with_micro_batches)                                        { hashes_agree(3, 0, 0); }
TEST(nor_with_dropout_clipping_decay_and_balancing)                 { hashes_agree(0, 1, 0); }
TEST(nor_with_all_of_them)                                          { hashes_agree(2, 1, 0); }
TEST(nor_where_they_share_the_update)                               { hashes_agree(0, 0, 1); }
TEST(nor_where_they_share_the_update_with_all_of_them)              { hashes_agree(2, 1, 1); }

TEST(a_build_without_threads_accepts_workers)
{
    workers_run one = make_run(0, 3, 1, 0, 0, 0), eight = make_run(0, 3, 8, 0, 0, 0);
    CHECK(workers_no_threads(&one) == workers_no_threads(&eight));
}

TEST(the_hashes_tell_runs_apart)
{
    workers_run run = make_run(0, 3, 2, 0, 0, 0), other = make_run(0, 5, 2, 0, 0, 0);
    uint64_t hash = workers_train(&run);
    CHECK(hash != workers_train(&other));
    other = make_run(1, 3, 2, 0, 0, 0);
    CHECK(hash != workers_train(&other));
    other = make_run(0, 3, 2, 0, 1, 0);
    CHECK(hash != workers_train(&other));
}

#ifdef BADM_USE_CBLAS
enum { FEWEST = PROBLEM_SAMPLES };      /* BLAS may compute a row in another way when fewer are computed with it */
#else
enum { FEWEST = 1 };
#endif

static void evaluation_agrees(problem_kind kind, unsigned every)
{
    static float first[PROBLEM_SAMPLES * 3], out[PROBLEM_SAMPLES * 3];
    badm_score expected, score;
    uint32_t s, w, n;
    memset(&expected, 0, sizeof expected);
    for (s = 0; s < 5; s += every)
        for (w = 0; w < 5; w += every)
            for (n = PROBLEM_SAMPLES; n >= FEWEST; n = n / 3) {
                badm_trainer_desc d;
                badm_trainer *tr;
                problem p;
                problem_new(&p, kind, NULL, 1);
                p.dropout = 0.5f;           /* has no effect outside of training */
                problem_desc(&p, &d);
                d.sub_batches = slots[s];
                d.workers = threads[w];
                d.max_batch = 20;
                CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
                CHECK_INT(badm_evaluate(tr, NULL, NULL, n, &score), BADM_OK);
                CHECK_INT(badm_predict(tr, problem_outputs, &p, n, 3, out), BADM_OK);
                CHECK_INT(score.samples, n);
                if (n == PROBLEM_SAMPLES && w == 0) { memcpy(first, out, sizeof out); expected = score; }
                if (n == PROBLEM_SAMPLES)
                    CHECK(!memcmp(&expected.loss, &score.loss, sizeof(float)) &&
                        !memcmp(&expected.accuracy, &score.accuracy, sizeof(float)));
                CHECK(!memcmp(first, out, n * 3 * sizeof(float)));
                badm_trainer_free(tr);
                problem_free(&p);
            }
}

TEST(evaluation_and_prediction_do_not_depend_on_workers)
{
    evaluation_agrees(PROBLEM_BLOBS, 1);
    evaluation_agrees(PROBLEM_WIDE, 2);
}

/* ---- the caller's floating-point state ---- */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__TINYC__)
#define HAS_FP_STATE 1
/* without the flags of what has happened */
static unsigned fp_state(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
static void set_fp_state(unsigned s) { __builtin_ia32_ldmxcsr(s); }
#else
#define HAS_FP_STATE 0
static unsigned fp_state(void) { return 0; }
static void set_fp_state(unsigned s) { (void)s; }
#endif
#define FP_FLUSH 0x8040u            /* results and operands that are subnormal become zero */
#define FP_ROUND_UP 0x4000u

/* The wide problem with a weight that starts at 0 and whose input is subnormal: it moves only if that is kept. */
typedef struct { problem p; badm_param w; } subnormal_problem;

static badm_tensor *subnormal_loss(badm_tape *t, const badm_batch *b, void *user)
{
    subnormal_problem *s = (subnormal_problem *)user;
    static const badm_dim one[1] = { 1 };
    static const float tiny[1] = { 3e-39f };
    return badm_add(t, problem_loss(t, b, &s->p),
            badm_sum(t, badm_scale(t, badm_mul(t, badm_param_use(t, s->w), badm_input(t, 1, one, tiny)), 1e38f)));
}

typedef struct { uint64_t hash; badm_score score; float w; unsigned changed; } fp_result;

static fp_result train_in_state(unsigned state, uint32_t workers, badm_form form)
{
    static const badm_dim one[1] = { 1 };
    const unsigned before = fp_state();
    subnormal_problem s;
    badm_trainer_desc d;
    badm_trainer *tr;
    fp_result r;
    int i;
    memset(&r, 0, sizeof r);
    problem_new(&s.p, PROBLEM_WIDE, NULL, 1);
    s.w = badm_param_new(s.p.model, "w", 1, one, badm_init_constant(0));
    problem_desc(&s.p, &d);
    d.loss = subnormal_loss;
    d.user = &s;
    d.max_batch = 12;
    d.sub_batches = 3;
    d.workers = workers;
    d.form = form;
    set_fp_state(before | state);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    r.changed |= fp_state() ^ (before | state);
    for (i = 0; i < 10; i++) {
        CHECK_INT(badm_step(tr, NULL, 12, NULL), BADM_OK);
        r.changed |= fp_state() ^ (before | state);
    }
    CHECK_INT(badm_epoch(tr, 30, 12, NULL, NULL), BADM_OK);
    r.changed |= fp_state() ^ (before | state);
    CHECK_INT(badm_evaluate(tr, NULL, NULL, 50, &r.score), BADM_OK);
    r.changed |= fp_state() ^ (before | state);
    set_fp_state(before);
    r.hash = badm_model_hash(s.p.model);
    r.w = badm_param_values(s.w)[0];
    badm_trainer_free(tr);
    problem_free(&s.p);
    return r;
}

TEST(flush_to_zero_and_rounding_of_the_caller_change_no_bit)
{
    static const unsigned states[] = { FP_FLUSH, FP_ROUND_UP, FP_FLUSH | FP_ROUND_UP };
    uint32_t workers;
    int form, i;
    if (!HAS_FP_STATE) SKIP("no access to the floating-point state here");
    for (form = BADM_COLLAPSED; form <= BADM_PER_SLOT; form++) {
        fp_result plain = train_in_state(0, 1, (badm_form)form);
        CHECK(plain.w < -0.01f);            /* flushed to zero, its input would have given it no gradient */
        for (workers = 1; workers <= 4; workers++)
            for (i = 0; i < 3; i++) {
                fp_result r = train_in_state(states[i], workers, (badm_form)form);
                CHECK(r.hash == plain.hash);
                CHECK(!memcmp(&r.score.loss, &plain.score.loss, sizeof(float)));
                CHECK_INT(r.changed, 0);
            }
    }
}

/* ---- many trainers ---- */

TEST(two_hundred_trainers_come_and_go)
{
    workers_run run = make_run(0, 5, 4, 0, 0, 0);
    uint64_t expected = workers_train(&run);
    int i;
    for (i = 0; i < 200; i++) {
        run.workers = 1 + (uint32_t)i % 6;
        CHECK(workers_train(&run) == expected);
    }
}

TEST(trainers_may_be_freed_in_any_order)
{
    badm_trainer *tr[10];
    problem p[10];
    int i;
    for (i = 0; i < 10; i++) {
        badm_trainer_desc d;
        problem_new(p + i, PROBLEM_XOR, NULL, 1);
        problem_desc(p + i, &d);
        d.sub_batches = 4;
        d.workers = 3;
        CHECK_INT(badm_trainer_new(tr + i, &d), BADM_OK);
        CHECK_INT(badm_step(tr[i], NULL, 4, NULL), BADM_OK);
    }
    for (i = 0; i < 10; i++) {
        int j = (i * 7 + 3) % 10;
        badm_trainer_free(tr[j]);
        problem_free(p + j);
    }
    badm_trainer_free(NULL);
}

#if defined(_WIN32)
TEST(two_trainers_run_in_two_threads) { SKIP("this test starts its threads with pthread.h"); }
TEST(slots_run_at_the_same_time) { SKIP("this test waits with pthread.h"); }
#else
#include <pthread.h>

/* A loss that returns only when both slots have begun: it waits for ever if they take turns, and the program counts
   as hung. */
typedef struct { problem p; pthread_mutex_t mutex; pthread_cond_t changed; unsigned begun; } meeting;

static badm_tensor *meeting_loss(badm_tape *t, const badm_batch *b, void *user)
{
    meeting *m = (meeting *)user;
    if (!badm_is_dry(t)) {
        unsigned enough;
        pthread_mutex_lock(&m->mutex);
        enough = (m->begun / 2 + 1) * 2;
        m->begun++;
        pthread_cond_broadcast(&m->changed);
        while (m->begun < enough) pthread_cond_wait(&m->changed, &m->mutex);
        pthread_mutex_unlock(&m->mutex);
    }
    return problem_loss(t, b, &m->p);
}

TEST(slots_run_at_the_same_time)
{
#ifdef BADM_NO_THREADS
    SKIP("a build without threads");
#else
    static meeting m;
    badm_trainer_desc d;
    badm_trainer *tr;
    int i;
    problem_new(&m.p, PROBLEM_WIDE, NULL, 1);
    CHECK_INT(pthread_mutex_init(&m.mutex, NULL), 0);
    CHECK_INT(pthread_cond_init(&m.changed, NULL), 0);
    problem_desc(&m.p, &d);
    d.loss = meeting_loss;
    d.user = &m;
    d.sub_batches = d.workers = 2;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (i = 0; i < 10; i++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
    CHECK_INT(m.begun, 20);
    badm_trainer_free(tr);
    problem_free(&m.p);
#endif
}

typedef struct { workers_run run; uint64_t expected; int wrong; } thread_job;

static void *run_thread(void *user)
{
    thread_job *job = (thread_job *)user;
    int i;
    for (i = 0; i < 30; i++) job->wrong += workers_train(&job->run) != job->expected;
    return NULL;
}

TEST(two_trainers_run_in_two_threads)
{
    thread_job job[3];
    pthread_t thread[3];
    int i;
    for (i = 0; i < 3; i++) {
        job[i].run = make_run((unsigned)i * 3, 3, 2 + (uint32_t)i, 0, i > 0, i == 1);
        job[i].expected = workers_train(&job[i].run);
        job[i].wrong = 0;
    }
    for (i = 0; i < 3; i++) CHECK_INT(pthread_create(&thread[i], NULL, run_thread, &job[i]), 0);
    for (i = 0; i < 3; i++) { CHECK_INT(pthread_join(thread[i], NULL), 0); CHECK_INT(job[i].wrong, 0); }
}
#endif

TEST(there_is_at_least_one_core) { CHECK(badm_cpu_count() >= 1); }

TEST_MAIN(
    RUN(the_number_of_workers_changes_no_bit)
    RUN(nor_with_micro_batches)
    RUN(nor_with_dropout_clipping_decay_and_balancing)
    RUN(nor_with_all_of_them)
    RUN(nor_where_they_share_the_update)
    RUN(nor_where_they_share_the_update_with_all_of_them)
    RUN(a_build_without_threads_accepts_workers)
    RUN(the_hashes_tell_runs_apart)
    RUN(evaluation_and_prediction_do_not_depend_on_workers)
    RUN(flush_to_zero_and_rounding_of_the_caller_change_no_bit)
    RUN(two_hundred_trainers_come_and_go)
    RUN(trainers_may_be_freed_in_any_order)
    RUN(slots_run_at_the_same_time)
    RUN(two_trainers_run_in_two_threads)
    RUN(there_is_at_least_one_core)
)
