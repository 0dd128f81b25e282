/* >>trainer: learning, epochs, reports, cancelling, refused steps, groups, schedules, early stopping, gradient
   checks, resuming. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "problems.h"
#include "buffer.h"

static badm_trainer *start(badm_trainer_desc *d)
{
    badm_trainer *tr = NULL;
    badm_result r = badm_trainer_new(&tr, d);
    if (r != BADM_OK) printf("trainer: %s\n", badm_model_error(d->model));
    CHECK_INT(r, BADM_OK);
    return tr;
}

/* The weights of the whole model, one after another. */
static size_t weights(badm_model *m, float *out)
{
    size_t i, n = 0;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        memcpy(out + n, badm_param_values(p), badm_param_size(p) * sizeof *out);
        n += badm_param_size(p);
    }
    return n;
}

/* ---- learning ---- */

/* The loss after `steps` steps on all samples, and the share of hits. */
static badm_score learn(problem_kind kind, const problem_variant *v, uint32_t sub_batches, int steps)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    problem p;
    int i;
    memset(&score, 0, sizeof score);
    problem_new(&p, kind, NULL, 1);
    problem_desc(&p, &d);
    problem_use(&d, v);
    d.sub_batches = sub_batches;
    if (v->local_steps > 1) d.max_batch = p.samples / v->local_steps;       /* a step takes that many batches */
    tr = start(&d);
    for (i = 0; i < steps; i++)
        if (badm_step(tr, NULL, d.max_batch, NULL) != BADM_OK) { CHECK(!badm_trainer_error(tr)); break; }
    CHECK_INT(badm_evaluate(tr, NULL, NULL, p.samples, &score), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
    return score;
}

TEST(every_method_learns_xor)
{
    const problem_variant *all;
    unsigned count, i;
    all = problem_variants(&count);
    for (i = 0; i < count; i++) {
        badm_score s;
        if (all[i].local_steps > 1) continue;           /* four samples are not three batches */
        s = learn(PROBLEM_XOR, all + i, 2, 1500);
        if (!(s.loss < 0.05f)) printf("%s: loss %g\n", all[i].name, (double)s.loss);
        CHECK(s.loss < 0.05f);
    }
}

TEST(every_method_tells_blobs_apart)
{
    const problem_variant *all;
    unsigned count, i;
    all = problem_variants(&count);
    for (i = 0; i < count; i++) {
        badm_score s = learn(PROBLEM_BLOBS, all + i, 4, 400);
        if (!(s.loss < 0.1f && s.accuracy > 0.96f))
            printf("%s: loss %g, accuracy %g\n", all[i].name, (double)s.loss, (double)s.accuracy);
        CHECK(s.loss < 0.1f);
        CHECK(s.accuracy > 0.96f);
    }
}

TEST(every_method_fits_a_linear_function)
{
    const problem_variant *all;
    unsigned count, i;
    all = problem_variants(&count);
    for (i = 0; i < count; i++) {
        badm_score s = learn(PROBLEM_REGRESSION, all + i, 3, 1000);
        if (!(s.loss < 0.02f)) printf("%s: loss %g\n", all[i].name, (double)s.loss);
        CHECK(s.loss < 0.02f);
        CHECK(s.accuracy == -1);            /* nothing counted hits */
    }
}

/* ---- epochs ---- */

typedef struct { problem p; int *seen, *slots, *order; int *steps; } visits;

/* With one worker the callback may write: it notes samples, slots and their order. */
static badm_tensor *visit_loss(badm_tape *t, const badm_batch *b, void *user)
{
    visits *v = (visits *)user;
    uint32_t i;
    if (!badm_is_dry(t) && badm_training(t)) {
        for (i = 0; i < b->count; i++) { v->order[v->steps[1]++] = (int)b->index[i]; v->seen[b->index[i]]++; }
        v->slots[b->step] += 1 << b->slot;
    }
    return problem_loss(t, b, &v->p);
}

TEST(an_epoch_visits_every_sample_once)
{
    static int seen[PROBLEM_SAMPLES], slots[64], first[200], second[200], steps[2];
    badm_trainer_desc d;
    badm_trainer *tr;
    visits v;
    uint32_t n, epoch;
    int i;
    problem_new(&v.p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&v.p, &d);
    v.seen = seen; v.slots = slots; v.steps = steps;
    d.loss = visit_loss;
    d.user = &v;
    d.sub_batches = 4;
    d.max_batch = 16;
    for (n = 16; n <= 50; n += 17) {                    /* 16; 33 = 16 + 16 + 1; 50 = 3*16 + 2 */
        memset(slots, 0, sizeof slots);
        tr = start(&d);
        for (epoch = 0; epoch < 3; epoch++) {
            memset(seen, 0, sizeof seen);
            v.order = epoch ? second : first;
            steps[1] = 0;
            CHECK_INT(badm_trainer_epoch(tr), epoch);
            CHECK_INT(badm_epoch(tr, n, 16, NULL, NULL), BADM_OK);
            CHECK_INT(steps[1], n);
            for (i = 0; i < PROBLEM_SAMPLES; i++) CHECK_INT(seen[i], (uint32_t)i < n);
            if (epoch) CHECK(memcmp(first, second, n * sizeof *first) != 0);
        }
        CHECK_INT(badm_trainer_epoch(tr), 3);
        CHECK_INT(badm_trainer_step(tr), 3 * ((n + 15) / 16));
        CHECK_INT(slots[0], 15);                        /* four slots */
        if (n == 33) CHECK_INT(slots[2], 1);            /* one sample: one slot */
        if (n == 50) CHECK_INT(slots[3], 3);            /* two samples: two slots */
        badm_trainer_free(tr);
    }
    problem_free(&v.p);
}

TEST(sub_batches_differ_by_one_sample_at_most)
{
    static int seen[PROBLEM_SAMPLES], slots[64], order[200], steps[2];
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    visits v;
    int i;
    static const uint32_t index[7] = { 5, 90, 3, 17, 41, 8, 2 };
    problem_new(&v.p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&v.p, &d);
    v.seen = seen; v.slots = slots; v.steps = steps; v.order = order;
    d.loss = visit_loss;
    d.user = &v;
    d.sub_batches = 3;
    tr = start(&d);
    CHECK_INT(badm_step(tr, index, 7, &r), BADM_OK);
    CHECK_INT(steps[1], 7);
    CHECK_INT(slots[0], 7);
    for (i = 0; i < 7; i++) CHECK_INT(order[i], index[i]);
    CHECK_INT(badm_step(tr, NULL, 4, &r), BADM_OK);     /* no index: samples 0.. */
    for (i = 0; i < 4; i++) CHECK_INT(order[7 + i], i);
    badm_trainer_free(tr);
    problem_free(&v.p);
}

TEST(the_seed_chooses_the_order)
{
    uint64_t hash[3];
    int i;
    for (i = 0; i < 3; i++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        d.seed = i < 2 ? 7 : 8;
        tr = start(&d);
        CHECK_INT(badm_epoch(tr, p.samples, 16, NULL, NULL), BADM_OK);
        hash[i] = badm_model_hash(p.model);
        badm_trainer_free(tr);
        problem_free(&p);
    }
    CHECK(hash[0] == hash[1]);
    CHECK(hash[0] != hash[2]);
}

TEST(micro_batches_change_rounding_only)
{
    const problem_variant *all;
    unsigned count, v;
    uint32_t micro;
    all = problem_variants(&count);
    for (v = 0; v < count; v++) {
        float whole[200], pieces[200];
        for (micro = 0; micro <= 31; micro += micro ? 10 : 1) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            badm_report r;
            size_t i, n;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            problem_use(&d, all + v);
            d.sub_batches = 3;
            d.max_batch = 32;
            d.micro_batch = micro;
            tr = start(&d);
            CHECK_INT(badm_step(tr, NULL, 32, &r), BADM_OK);
            n = weights(p.model, micro ? pieces : whole);
            if (micro) for (i = 0; i < n; i++) CHECK_NEAR(pieces[i], whole[i], 2e-5);
            badm_trainer_free(tr);
            problem_free(&p);
        }
    }
}

TEST(micro_batches_need_less_memory)
{
    problem p;
    badm_trainer_desc d;
    size_t whole = 0, pieces = 0;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    CHECK_INT(badm_trainer_bytes(&d, &whole), BADM_OK);
    d.micro_batch = 4;
    CHECK_INT(badm_trainer_bytes(&d, &pieces), BADM_OK);
    CHECK(pieces < whole * 3 / 4);
    problem_free(&p);
}

/* ---- reports ---- */

TEST(a_report_tells_what_the_step_saw)
{
    static float before[200], after[200], grads[400];
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    badm_report r;
    badm_batch all;
    badm_tape *t;
    uint32_t index[PROBLEM_SAMPLES];
    problem p;
    size_t n, i;
    double norm = 0, step = 0;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.sigma = 2;
    d.rho = 6;
    d.clip = 0.1f;
    tr = start(&d);
    n = weights(p.model, before);
    CHECK_INT(badm_evaluate(tr, NULL, NULL, p.samples, &score), BADM_OK);

    memset(&all, 0, sizeof all);
    for (i = 0; i < p.samples; i++) index[i] = (uint32_t)i;
    all.index = index;
    all.count = p.samples;
    CHECK_INT(badm_tape_new(&t, NULL, 1000000), BADM_OK);
    badm_tape_watch(t, p.model, grads);
    CHECK_INT(badm_backward(t, problem_loss(t, &all, &p)), BADM_OK);
    for (i = 0; i < badm_trainable_size(p.model); i++) norm += (double)grads[i] * (double)grads[i];
    norm = sqrt(norm);
    badm_tape_free(t);
    CHECK(norm > 0.1);

    CHECK_INT(badm_step(tr, NULL, p.samples, &r), BADM_OK);
    weights(p.model, after);
    for (i = 0; i < n; i++) step += ((double)after[i] - (double)before[i]) * ((double)after[i] - (double)before[i]);
    step = sqrt(step);
    CHECK_INT(r.step, 0);
    CHECK_INT(r.epoch, 0);
    CHECK_INT(r.samples, p.samples);
    CHECK_NEAR(r.loss, score.loss, 1e-5);
    CHECK_NEAR(r.accuracy, score.accuracy, 1e-6);
    CHECK_NEAR(r.grad_norm, norm, 1e-5 * norm);
    CHECK_NEAR(r.clip_factor, 0.1 / norm, 1e-5);
    CHECK_NEAR(r.step_norm, step, 1e-5 * step);
    /* From a start without momentum w' - w = -2 G/(rho + sigma), and w_s - w is half of it. */
    CHECK_NEAR(r.step_norm, 2 * 0.1 / 8, 1e-6);
    CHECK_NEAR(r.dual_residual, 2 * step, 1e-5 * step);
    CHECK_NEAR(r.primal_residual, 0.1 / 8, 1e-6);
    CHECK_NEAR(r.rates.sigma, 2, 0);
    CHECK_NEAR(r.rates.rho, 6, 0);
    CHECK_INT(r.tape_growths, 0);
    CHECK_INT(badm_trainer_step(tr), 1);
    CHECK_INT(badm_step(tr, NULL, 10, &r), BADM_OK);
    CHECK_INT(r.step, 1);
    CHECK_INT(r.samples, 10);
    CHECK(badm_trainer_model(tr) == p.model);
    CHECK(!strcmp(badm_trainer_error(tr), ""));
    badm_trainer_free(tr);
    problem_free(&p);
}

TEST(without_clipping_the_factor_is_1)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    problem_new(&p, PROBLEM_REGRESSION, NULL, 1);
    problem_desc(&p, &d);
    d.sigma = 20;
    tr = start(&d);
    CHECK_INT(badm_step(tr, NULL, p.samples, &r), BADM_OK);
    CHECK_NEAR(r.clip_factor, 1, 0);
    CHECK_NEAR(r.accuracy, -1, 0);
    CHECK_INT(badm_step(tr, NULL, p.samples, NULL), BADM_OK);       /* the report may be left out */
    badm_trainer_free(tr);
    problem_free(&p);
}

typedef struct { int calls; uint32_t last_sample; double loss; int stop_at; badm_progress last; } progress_log;

static int note_progress(const badm_progress *p, void *user)
{
    progress_log *log = (progress_log *)user;
    log->calls++;
    CHECK(p->sample > log->last_sample);
    CHECK(p->sample <= p->samples);
    log->last_sample = p->sample;
    log->loss += (double)p->last.loss * p->last.samples;
    log->last = *p;
    return log->calls == log->stop_at;
}

TEST(progress_is_told_after_every_step)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    progress_log log;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    tr = start(&d);
    memset(&log, 0, sizeof log);
    CHECK_INT(badm_epoch(tr, 50, 16, note_progress, &log), BADM_OK);
    CHECK_INT(log.calls, 4);
    CHECK_INT(log.last.sample, 50);
    CHECK_INT(log.last.samples, 50);
    CHECK_INT(log.last.epoch, 0);
    CHECK_INT(log.last.last.samples, 2);
    CHECK_NEAR(log.last.loss, log.loss / 50, 1e-5);
    memset(&log, 0, sizeof log);
    CHECK_INT(badm_epoch(tr, 50, 16, note_progress, &log), BADM_OK);
    CHECK_INT(log.last.epoch, 1);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- cancelling ---- */

static int cancel_slot_1(uint32_t slot, uint32_t of, void *user)
{
    CHECK_INT(of, 3);
    CHECK(slot < 3);
    return slot == 1 && *(const int *)user;
}

TEST(a_cancelled_step_changes_nothing)
{
    const problem_variant *all;
    unsigned count, v;
    all = problem_variants(&count);
    for (v = 0; v < count; v++) {
        uint64_t hash[2];
        int interrupted, i;
        for (interrupted = 0; interrupted < 2; interrupted++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            volatile int flag = 0;
            int cancel_in_slot = 0;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            p.dropout = 0.25f;
            problem_desc(&p, &d);
            problem_use(&d, all + v);
            d.max_batch = 32;
            d.sub_batches = 3;
            d.cancel = &flag;
            d.on_sub_batch = cancel_slot_1;
            d.on_sub_batch_user = &cancel_in_slot;
            tr = start(&d);
            for (i = 0; i < 6; i++) {
                if (interrupted) {
                    uint64_t before = badm_model_hash(p.model);
                    flag = 1;
                    CHECK_INT(badm_step(tr, NULL, 32, NULL), BADM_ERR_CANCELLED);
                    flag = 0;
                    cancel_in_slot = 1;
                    CHECK_INT(badm_step(tr, NULL, 32, NULL), BADM_ERR_CANCELLED);
                    cancel_in_slot = 0;
                    CHECK(strlen(badm_trainer_error(tr)) > 0);
                    CHECK(badm_model_hash(p.model) == before);
                    CHECK_INT(badm_trainer_step(tr), i);
                }
                CHECK_INT(badm_step(tr, NULL, 32, NULL), BADM_OK);
            }
            hash[interrupted] = badm_model_hash(p.model);
            badm_trainer_free(tr);
            problem_free(&p);
        }
        if (hash[0] != hash[1]) printf("%s\n", all[v].name);
        CHECK(hash[0] == hash[1]);
    }
}

TEST(an_epoch_cancelled_by_progress_goes_on)
{
    uint64_t hash[2];
    int interrupted;
    for (interrupted = 0; interrupted < 2; interrupted++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        progress_log log;
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        tr = start(&d);
        memset(&log, 0, sizeof log);
        if (interrupted) {
            log.stop_at = 2;
            CHECK_INT(badm_epoch(tr, 90, 16, note_progress, &log), BADM_ERR_CANCELLED);
            CHECK_INT(log.last.sample, 32);
            CHECK_INT(badm_trainer_epoch(tr), 0);
            CHECK_INT(badm_trainer_step(tr), 2);
        }
        CHECK_INT(badm_epoch(tr, 90, 16, note_progress, &log), BADM_OK);
        CHECK_INT(log.calls, 6);
        CHECK_INT(log.last.sample, 90);
        CHECK_INT(badm_trainer_epoch(tr), 1);
        CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
        CHECK_INT(badm_trainer_step(tr), 12);
        hash[interrupted] = badm_model_hash(p.model);
        badm_trainer_free(tr);
        problem_free(&p);
    }
    CHECK(hash[0] == hash[1]);
}

TEST(an_epoch_cancelled_in_its_last_step_is_done)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    progress_log log;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    tr = start(&d);
    memset(&log, 0, sizeof log);
    log.stop_at = 3;
    CHECK_INT(badm_epoch(tr, 48, 16, note_progress, &log), BADM_ERR_CANCELLED);
    memset(&log, 0, sizeof log);
    CHECK_INT(badm_epoch(tr, 48, 16, note_progress, &log), BADM_OK);
    CHECK_INT(log.calls, 3);
    CHECK_INT(log.last.epoch, 1);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- refused steps ---- */

TEST(a_step_that_is_not_finite_leaves_no_trace)
{
    const problem_variant *all;
    unsigned count, v;
    static const uint32_t poisoned[6] = { 0, 1, 95, 2, 3, 4 }, clean[6] = { 0, 1, 5, 2, 3, 4 };
    uint32_t index[18];
    all = problem_variants(&count);
    for (v = 0; v < count; v++) {
        uint64_t hash[2];
        int with, i, k;
        for (with = 0; with < 2; with++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            p.dropout = 0.25f;
            p.x[2 * 95] = (float)NAN;
            problem_desc(&p, &d);
            problem_use(&d, all + v);
            d.sub_batches = 3;
            d.max_batch = 6;
            d.balance = d.method ? 0 : 2;
            tr = start(&d);
            for (i = 0; i < 6; i++) {
                if (with) {
                    uint64_t before = badm_model_hash(p.model);
                    for (k = 0; k < 3; k++) memcpy(index + 6 * k, poisoned, sizeof poisoned);
                    CHECK_INT(badm_step(tr, index, 6, NULL), BADM_ERR_NONFINITE);
                    CHECK_TEXT(badm_trainer_error(tr), "finite");
                    CHECK(badm_model_hash(p.model) == before);
                    CHECK_INT(badm_trainer_step(tr), i);
                }
                for (k = 0; k < 3; k++) memcpy(index + 6 * k, clean, sizeof clean);
                CHECK_INT(badm_step(tr, index, 6, NULL), BADM_OK);
            }
            hash[with] = badm_model_hash(p.model);
            badm_trainer_free(tr);
            problem_free(&p);
        }
        if (hash[0] != hash[1]) printf("%s\n", all[v].name);
        CHECK(hash[0] == hash[1]);
    }
}

/* A loss of 0 whose gradient is 0 * infinity. */
static badm_tensor *steep_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    (void)b;
    return badm_mean(t, badm_sqrt(t, badm_scale(t, badm_param_use(t, p->output.weight), 0)));
}

TEST(a_finite_loss_with_an_infinite_gradient_is_refused)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.loss = steep_loss;
    tr = start(&d);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_ERR_NONFINITE);
    CHECK(badm_model_hash(p.model) == hash);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* One sub-batch has a gradient that is finite but whose square is not. */
typedef struct { const problem *p; uint32_t slot; } immense;

static badm_tensor *immense_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const immense *m = (const immense *)user;
    return badm_mean(t, badm_scale(t, badm_param_use(t, m->p->output.weight), b->slot == m->slot ? 1e22f : 1.0f));
}

TEST(a_mean_gradient_of_infinite_norm_is_refused)
{
    uint32_t slots;
    immense m;
    for (slots = 1; slots <= 4; slots++)
        for (m.slot = 0; m.slot < slots; m.slot++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            uint64_t hash;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            m.p = &p;
            d.loss = immense_loss;
            d.user = &m;
            d.sub_batches = slots;
            tr = start(&d);
            hash = badm_model_hash(p.model);
            CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_ERR_NONFINITE);
            CHECK_TEXT(badm_trainer_error(tr), "norm");
            CHECK(badm_model_hash(p.model) == hash);
            badm_trainer_free(tr);
            problem_free(&p);
        }
}

TEST(freezing_after_creation_is_refused_until_undone)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    tr = start(&d);
    badm_set_frozen(p.model, "hidden", 1);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_ERR_STATE);
    CHECK(strlen(badm_trainer_error(tr)) > 0);
    CHECK_INT(badm_epoch(tr, 8, 8, NULL, NULL), BADM_ERR_STATE);
    CHECK(badm_model_hash(p.model) == hash);
    badm_trainer_free(tr);
    problem_free(&p);
}

typedef struct { badm_result last; int calls; char text[300]; } log_book;

static void note_log(badm_result r, const char *text, void *user)
{
    log_book *log = (log_book *)user;
    log->calls++;
    log->last = r;
    strncpy(log->text, text, sizeof log->text - 1);
}

/* A metric needs memory that the trainer has not taken: also a change to the metric that is in force already. */
TEST(a_metric_set_after_creation_is_refused)
{
    static const badm_metric set[] = { BADM_PLAIN, BADM_DIAGONAL, BADM_ORTHOGONAL, BADM_METRIC_OF_TRAINER };
    unsigned i, steps;
    for (i = 0; i < sizeof set / sizeof *set; i++)
        for (steps = 0; steps < 2; steps++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            uint64_t hash;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            tr = start(&d);
            if (steps) CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_OK);
            hash = badm_model_hash(p.model);
            CHECK_INT(badm_set_metric(p.model, "hidden", set[i]), 2);
            CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_ERR_STATE);
            CHECK_TEXT(badm_trainer_error(tr), "metric");
            CHECK_INT(badm_epoch(tr, 8, 8, NULL, NULL), BADM_ERR_STATE);
            CHECK(badm_model_hash(p.model) == hash);
            CHECK_INT(badm_trainer_step(tr), steps);
            badm_trainer_free(tr);
            tr = start(&d);                             /* a new trainer knows it */
            CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_OK);
            CHECK(badm_model_hash(p.model) != hash);
            badm_trainer_free(tr);
            problem_free(&p);
        }
}

TEST(errors_reach_the_log)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    log_book log;
    memset(&log, 0, sizeof log);
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    p.x[3] = (float)INFINITY;
    problem_desc(&p, &d);
    d.log = note_log;
    d.log_user = &log;
    tr = start(&d);
    CHECK_INT(log.calls, 0);
    CHECK_INT(badm_step(tr, NULL, 1, NULL), BADM_OK);
    CHECK_INT(log.calls, 0);
    p.x[0] = (float)NAN;
    CHECK_INT(badm_step(tr, NULL, 1, NULL), BADM_ERR_NONFINITE);
    CHECK_INT(log.calls, 1);
    CHECK_INT(log.last, BADM_ERR_NONFINITE);
    CHECK_TEXT(badm_trainer_error(tr), log.text);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- two models, groups ---- */

typedef struct { problem a, b; } pair;

/* b learns from a: the loss has parameters of both. */
static badm_tensor *pair_loss(badm_tape *t, const badm_batch *b, void *user)
{
    pair *both = (pair *)user;
    return badm_mse(t, problem_outputs(t, b, &both->b), badm_tanh(t, problem_outputs(t, b, &both->a)));
}

TEST(of_two_models_in_one_loss_only_the_trainers_is_trained)
{
    pair both;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report first, last;
    uint64_t hash_a, hash_b;
    int i;
    problem_new(&both.a, PROBLEM_BLOBS, NULL, 1);
    problem_new(&both.b, PROBLEM_BLOBS, NULL, 2);
    problem_desc(&both.b, &d);
    d.loss = pair_loss;
    d.user = &both;
    d.sub_batches = 3;
    d.workers = 2;
    tr = start(&d);
    hash_a = badm_model_hash(both.a.model);
    hash_b = badm_model_hash(both.b.model);
    CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, &first), BADM_OK);
    for (i = 0; i < 100; i++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, &last), BADM_OK);
    CHECK(badm_model_hash(both.a.model) == hash_a);
    CHECK(badm_model_hash(both.b.model) != hash_b);
    CHECK(last.loss < first.loss / 2);
    badm_trainer_free(tr);
    problem_free(&both.a);
    problem_free(&both.b);
}

/* The change of every weight in one step, after `set` has changed the groups. */
static size_t one_step(void (*set)(badm_model *m, badm_trainer_desc *d), float *change)
{
    static float before[200];
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    size_t i, n;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.sub_batches = 2;
    if (set) set(p.model, &d);
    tr = start(&d);
    n = weights(p.model, before);
    CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
    weights(p.model, change);
    for (i = 0; i < n; i++) change[i] -= before[i];
    badm_trainer_free(tr);
    problem_free(&p);
    return n;
}

/* hidden.weight 32, hidden.bias 16, output.weight 48, output.bias 3 */
enum { HIDDEN_END = 48, TOTAL = 99 };

static void halve_hidden(badm_model *m, badm_trainer_desc *d) { (void)d; badm_set_step_scale(m, "hidden", 0.5f); }
static void freeze_hidden(badm_model *m, badm_trainer_desc *d) { (void)d; badm_set_frozen(m, "hidden", 1); }
static void diagonal(badm_model *m, badm_trainer_desc *d) { (void)m; d->metric = BADM_DIAGONAL; }
static void diagonal_but_hidden(badm_model *m, badm_trainer_desc *d)
{
    d->metric = BADM_DIAGONAL;
    badm_set_metric(m, "hidden", BADM_PLAIN);
}
static void decay(badm_model *m, badm_trainer_desc *d) { (void)m; d->weight_decay = 0.1f; }
static void decay_but_hidden(badm_model *m, badm_trainer_desc *d)
{
    d->weight_decay = 0.1f;
    badm_set_weight_decay(m, "hidden", 0);
}

TEST(a_step_scale_scales_its_group)
{
    static float plain[200], half[200];
    size_t i, n = one_step(NULL, plain);
    CHECK_INT(n, TOTAL);
    one_step(halve_hidden, half);
    for (i = 0; i < n; i++) CHECK_NEAR(half[i], i < HIDDEN_END ? 0.5f * plain[i] : plain[i], 1e-7);
}

TEST(a_frozen_group_stays)
{
    static float plain[200], frozen[200];
    size_t i, n = one_step(NULL, plain);
    one_step(freeze_hidden, frozen);
    for (i = 0; i < n; i++) CHECK_NEAR(frozen[i], i < HIDDEN_END ? 0 : plain[i], 0);
}

TEST(a_group_has_its_own_metric)
{
    static float plain[200], all[200], mixed[200];
    size_t i, n = one_step(NULL, plain);
    one_step(diagonal, all);
    one_step(diagonal_but_hidden, mixed);
    for (i = 0; i < n; i++) CHECK_NEAR(mixed[i], i < HIDDEN_END ? plain[i] : all[i], 1e-7);
}

TEST(a_group_has_its_own_weight_decay)
{
    static float plain[200], all[200], mixed[200];
    size_t i, n = one_step(NULL, plain);
    int moved = 0;
    one_step(decay, all);
    one_step(decay_but_hidden, mixed);
    for (i = 0; i < n; i++) {
        CHECK_NEAR(mixed[i], i < HIDDEN_END ? plain[i] : all[i], 1e-7);
        moved += fabsf(all[i] - plain[i]) > 1e-4f;
    }
    CHECK(moved > 80);
}

/* ---- schedules ---- */

static badm_schedule make_schedule(badm_schedule_kind kind, uint32_t warmup, uint32_t total, float last)
{
    badm_schedule s;
    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.warmup = warmup;
    s.total = total;
    s.last = last;
    return s;
}

TEST(schedules_have_their_closed_forms)
{
    badm_schedule s = make_schedule(BADM_CONSTANT_RATE, 0, 0, 0);
    uint64_t i;
    for (i = 0; i < 100; i++) CHECK_NEAR(badm_schedule_factor(&s, i), 1, 0);

    s = make_schedule(BADM_CONSTANT_RATE, 10, 0, 0);
    for (i = 0; i < 10; i++) CHECK_NEAR(badm_schedule_factor(&s, i), (double)(i + 1) / 10, 1e-6);
    CHECK_NEAR(badm_schedule_factor(&s, 10), 1, 0);
    CHECK_NEAR(badm_schedule_factor(&s, 1000000000000u), 1, 0);

    s = make_schedule(BADM_LINEAR_DECAY, 0, 100, 0.2f);
    for (i = 0; i <= 100; i++) CHECK_NEAR(badm_schedule_factor(&s, i), 1 - 0.8 * (double)i / 100, 1e-6);
    CHECK_NEAR(badm_schedule_factor(&s, 101), 0.2, 1e-6);
    CHECK_NEAR(badm_schedule_factor(&s, 5000000000u), 0.2, 1e-6);

    s = make_schedule(BADM_LINEAR_DECAY, 20, 100, 0);
    for (i = 0; i < 20; i++) CHECK_NEAR(badm_schedule_factor(&s, i), (double)(i + 1) / 20, 1e-6);
    for (i = 20; i < 100; i++) CHECK_NEAR(badm_schedule_factor(&s, i), 1 - (double)(i - 20) / 80, 1e-6);
    CHECK_NEAR(badm_schedule_factor(&s, 100), 1e-6, 1e-8);          /* never 0: sigma would be infinite */

    s = make_schedule(BADM_COSINE_DECAY, 5, 55, 0.1f);
    for (i = 5; i <= 55; i++) CHECK_NEAR(badm_schedule_factor(&s, i),
            0.1 + 0.9 * 0.5 * (1 + cos(3.14159265358979 * (double)(i - 5) / 50)), 2e-6);
    CHECK_NEAR(badm_schedule_factor(&s, 56), 0.1, 1e-6);

    s = make_schedule(BADM_STEP_DECAY, 0, 0, 0);
    s.every = 10;
    s.gamma = 0.5f;
    for (i = 0; i < 60; i++) CHECK_NEAR(badm_schedule_factor(&s, i), pow(0.5, (double)(i / 10)), 1e-7);
}

TEST(a_schedule_divides_sigma_and_rho_and_multiplies_lr)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    int i, method;
    for (method = 0; method < 2; method++) {
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        d.method = method ? badm_method_sgd() : NULL;
        d.lr = 0.2f;
        d.schedule = make_schedule(BADM_LINEAR_DECAY, 0, 10, 0.5f);
        tr = start(&d);
        for (i = 0; i < 12; i++) {
            double factor = 1 - 0.5 * (i < 10 ? i : 10) / 10;
            CHECK_INT(badm_step(tr, NULL, 32, &r), BADM_OK);
            if (method) CHECK_NEAR(r.rates.lr, 0.2 * factor, 1e-6);
            else { CHECK_NEAR(r.rates.sigma, 1 / factor, 1e-5); CHECK_NEAR(r.rates.rho, 9 / factor, 1e-4); }
        }
        badm_trainer_free(tr);
        problem_free(&p);
    }
}

static void set_rates(badm_rates *r, uint64_t step, void *user)
{
    r->sigma = *(const float *)user + (float)step;
    r->rho = 7;
    r->lr = 0.125f;
    r->weight_decay = 0.25f;
}

TEST(a_callback_sets_the_rates_of_every_step)
{
    const badm_method *methods[2];
    int m, i;
    methods[0] = NULL;
    methods[1] = badm_method_adamw();
    for (m = 0; m < 2; m++) {
        float sigma = 3;
        uint64_t hash[2];
        int way;
        /* by the callback, and by a desc with those values: the first step is the same */
        for (way = 0; way < 2; way++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            badm_report r;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            d.method = methods[m];
            if (way) { d.sigma = 3; d.rho = 7; d.lr = 0.125f; d.weight_decay = 0.25f; }
            else { d.rates = set_rates; d.rates_user = &sigma; }
            tr = start(&d);
            CHECK_INT(badm_step(tr, NULL, 32, &r), BADM_OK);
            hash[way] = badm_model_hash(p.model);
            for (i = 1; i < 4 && !way; i++) {
                CHECK_INT(badm_step(tr, NULL, 32, &r), BADM_OK);
                CHECK_NEAR(r.rates.sigma, 3 + i, 0);
                CHECK_NEAR(r.rates.lr, 0.125, 0);
            }
            badm_trainer_free(tr);
            problem_free(&p);
        }
        CHECK(hash[0] == hash[1]);
    }
}

/* ---- several machines ---- */

static int reduce_calls;
static int double_it(float *buf, size_t n, void *user)
{
    size_t i;
    reduce_calls++;
    for (i = 0; i < n; i++) buf[i] *= 2;            /* as if another machine had the same sum */
    return *(const int *)user;
}

TEST(machines_with_the_same_data_make_the_same_step)
{
    float alone[200], together[200];
    int fail = 0, way;
    size_t i, n = 0;
    for (way = 0; way < 2; way++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        int step;
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        d.sub_batches = 2;
        if (way) { d.allreduce = double_it; d.allreduce_user = &fail; }
        tr = start(&d);
        for (step = 0; step < 5; step++) CHECK_INT(badm_step(tr, NULL, PROBLEM_SAMPLES, NULL), BADM_OK);
        n = weights(p.model, way ? together : alone);
        badm_trainer_free(tr);
        problem_free(&p);
    }
    CHECK(reduce_calls >= 5);
    for (i = 0; i < n; i++) CHECK_NEAR(alone[i], together[i], 1e-6);
}

TEST(a_failed_exchange_changes_nothing)
{
    int fail = 1;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.allreduce = double_it;
    d.allreduce_user = &fail;
    tr = start(&d);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_ERR_EXCHANGE);
    CHECK(badm_model_hash(p.model) == hash);
    CHECK_INT(badm_trainer_step(tr), 0);
    fail = 0;
    CHECK_INT(badm_step(tr, NULL, 8, NULL), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- prediction and evaluation ---- */

TEST(prediction_writes_rows_in_order)
{
    static float out[PROBLEM_SAMPLES * 3], one[PROBLEM_SAMPLES];
    problem p, q;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_batch b;
    badm_tape *t;
    uint32_t i;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.max_batch = 10;
    d.sub_batches = 3;
    d.workers = 2;
    tr = start(&d);
    CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 3, out), BADM_OK);
    CHECK_INT(badm_tape_new(&t, NULL, 100000), BADM_OK);
    memset(&b, 0, sizeof b);
    b.count = 1;
    for (i = 0; i < PROBLEM_SAMPLES; i++) {
        badm_tensor *y;
        badm_tape_reset(t);
        b.index = &i;
        y = problem_outputs(t, &b, &p);
        CHECK(!memcmp(badm_data(t, y), out + 3 * i, 3 * sizeof *out));
    }
    problem_new(&q, PROBLEM_REGRESSION, NULL, 1);          /* another model may be asked too; width 1 */
    CHECK_INT(badm_predict(tr, problem_outputs, &q, PROBLEM_SAMPLES, 1, one), BADM_OK);
    for (i = 0; i < PROBLEM_SAMPLES; i++) {
        const float *w = badm_param_values(q.output.weight), *x = q.x + 4 * i;
        float y = w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3] + badm_param_values(q.output.bias)[0];
        CHECK_NEAR(one[i], y, 1e-5);
    }
    CHECK_INT(badm_predict(tr, problem_outputs, &p, PROBLEM_SAMPLES, 2, out), BADM_ERR_SHAPE);
    badm_tape_free(t);
    badm_trainer_free(tr);
    problem_free(&p);
    problem_free(&q);
}

TEST(evaluation_changes_nothing)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score s;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    tr = start(&d);
    CHECK_INT(badm_step(tr, NULL, 32, NULL), BADM_OK);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_evaluate(tr, NULL, NULL, 96, &s), BADM_OK);
    CHECK(badm_model_hash(p.model) == hash);
    CHECK_INT(badm_trainer_step(tr), 1);
    CHECK_INT(badm_trainer_epoch(tr), 0);
    CHECK_INT(s.samples, 96);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- early stopping ---- */

TEST(the_best_parameters_are_kept)
{
    problem p;
    badm_best *best;
    uint64_t at_best;
    problem_new(&p, PROBLEM_XOR, NULL, 1);
    CHECK_INT(badm_best_new(&best, p.model, 2), BADM_OK);
    CHECK_INT(badm_best_update(best, 3), 1);
    badm_param_data(p.output.bias)[0] = 10;
    CHECK_INT(badm_best_update(best, 2), 1);
    at_best = badm_model_hash(p.model);
    badm_param_data(p.output.bias)[0] = 20;
    CHECK_INT(badm_best_update(best, 2), 0);            /* as good is not better */
    CHECK_INT(badm_best_update(best, 5), -1);           /* twice running */
    CHECK_NEAR(badm_best_value(best), 2, 0);
    CHECK_INT(badm_best_restore(best), BADM_OK);
    CHECK(badm_model_hash(p.model) == at_best);
    CHECK_INT(badm_best_update(best, 1), 1);            /* better after all: patience starts anew */
    CHECK_INT(badm_best_update(best, (float)NAN), 0);   /* not a number is never better */
    CHECK_INT(badm_best_update(best, 1.5f), -1);
    badm_best_free(best);
    CHECK_INT(badm_best_new(&best, p.model, 0), BADM_OK);
    CHECK_INT(badm_best_update(best, 1), 1);
    { int i; for (i = 0; i < 100; i++) CHECK_INT(badm_best_update(best, 2), 0); }       /* patience 0: never */
    badm_best_free(best);
    badm_best_free(NULL);
    problem_free(&p);
}

/* ---- gradient checks ---- */

static void cube_forward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]);
    size_t i;
    for (i = 0; i < badm_size(y); i++) badm_data(t, y)[i] = x[i] * x[i] * x[i];
}
static void cube_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]);
    size_t i;
    for (i = 0; i < badm_size(y); i++) badm_grad(t, y->in[0])[i] += badm_grad(t, y)[i] * 3 * x[i] * x[i];
}
static void wrong_backward(badm_tape *t, badm_tensor *y)
{
    const float *x = badm_data(t, y->in[0]);
    size_t i;
    for (i = 0; i < badm_size(y); i++)
        badm_grad(t, y->in[0])[i] += badm_grad(t, y)[i] * (i == 37 ? 2 : 3) * x[i] * x[i];
}

static badm_tensor *cube_loss(badm_tape *t, const badm_batch *b, void *user)
{
    static const badm_op right = { "cube", cube_forward, cube_backward };
    static const badm_op wrong = { "cube", cube_forward, wrong_backward };
    const problem *p = (const problem *)user;
    badm_tensor *w = badm_param_use(t, p->output.weight);
    (void)b;
    w = badm_shift(t, w, 1);
    return badm_mean(t, badm_record(t, p->labels[0] ? &wrong : &right, w->rank, w->shape, 1, &w, NULL, 0));
}

TEST(a_gradient_check_finds_a_wrong_backward)
{
    problem p;
    badm_gradient_check c;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    hash = badm_model_hash(p.model);
    p.labels[0] = 0;
    CHECK_INT(badm_check_gradients(p.model, cube_loss, &p, 1, 0, 0, &c), BADM_OK);
    CHECK(c.worst < 0.02f);
    p.labels[0] = 1;
    CHECK_INT(badm_check_gradients(p.model, cube_loss, &p, 1, 0, 0, &c), BADM_OK);
    CHECK(c.worst > 0.25f);
    CHECK(!strcmp(badm_param_name(c.param), "output.weight"));
    CHECK_INT(c.entry, 37);
    CHECK_NEAR(c.analytic / c.numeric, 2.0 / 3, 0.02);
    CHECK(badm_model_hash(p.model) == hash);
    problem_free(&p);
}

TEST(a_gradient_check_passes_right_losses)
{
    int kind;
    for (kind = PROBLEM_XOR; kind <= PROBLEM_REGRESSION; kind++) {
        problem p;
        badm_gradient_check c;
        uint64_t hash;
        problem_new(&p, (problem_kind)kind, NULL, 1);
        hash = badm_model_hash(p.model);
        CHECK_INT(badm_check_gradients(p.model, problem_loss, &p, p.samples, 0, 0, &c), BADM_OK);
        CHECK(c.worst < 0.02f);
        CHECK_INT(badm_check_gradients(p.model, problem_loss, &p, p.samples, 5, 5e-3f, &c), BADM_OK);
        CHECK(c.worst < 0.02f);
        CHECK(badm_model_hash(p.model) == hash);
        problem_free(&p);
    }
}

/* ---- resuming ---- */

static void resume_desc(problem *p, badm_trainer_desc *d, const problem_variant *v, float balance)
{
    problem_new(p, PROBLEM_BLOBS, NULL, 1);
    p->dropout = 0.25f;
    problem_desc(p, d);
    problem_use(d, v);
    d->sub_batches = 3;
    d->max_batch = 16;
    d->balance = balance;
    d->schedule = make_schedule(BADM_COSINE_DECAY, 3, 30, 0.1f);
}

static buffer checkpoint;

/* Stops after two steps of the second epoch, stores, goes on in a new trainer with two workers and other initial
   weights. */
static void resumes(const problem_variant *v, float balance)
{
    uint64_t expected;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_writer w;
    badm_reader r;
    progress_log log;
    resume_desc(&p, &d, v, balance);
    tr = start(&d);
    CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
    memset(&log, 0, sizeof log);
    log.stop_at = v->local_steps > 1 ? 1 : 2;
    CHECK_INT(badm_epoch(tr, 90, 16, note_progress, &log), BADM_ERR_CANCELLED);
    w = buffer_writer(&checkpoint);
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
    CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
    CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
    expected = badm_model_hash(p.model);
    badm_trainer_free(tr);
    problem_free(&p);

    resume_desc(&p, &d, v, balance);
    d.workers = 2;
    badm_param_data(p.output.bias)[0] = 5;
    tr = start(&d);
    CHECK_INT(badm_step(tr, NULL, 16, NULL), BADM_OK);
    r = buffer_reader(&checkpoint);
    CHECK_INT(badm_checkpoint_load_from(tr, &r), BADM_OK);
    CHECK_INT(badm_trainer_epoch(tr), 1);
    CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
    CHECK_INT(badm_trainer_epoch(tr), 2);
    CHECK_INT(badm_epoch(tr, 90, 16, NULL, NULL), BADM_OK);
    if (badm_model_hash(p.model) != expected) printf("%s, balance %g\n", v->name, (double)balance);
    CHECK(badm_model_hash(p.model) == expected);
    badm_trainer_free(tr);
    problem_free(&p);
}

TEST(resuming_mid_epoch_gives_the_bits_of_never_stopping)
{
    const problem_variant *all;
    problem_variant two;
    unsigned count, v;
    all = problem_variants(&count);
    for (v = 0; v < count; v++) {
        resumes(all + v, 0);
        if (!all[v].method) resumes(all + v, 2);
    }
    two = all[4];               /* per slot */
    two.local_steps = 2;
    resumes(&two, 0);
}

/* ---- factors that change while training ---- */

typedef size_t (*set_factor)(badm_model *m, const char *prefix, float factor);

/* Three steps with `set` called before the third, and a trainer that had the factor before its only step, the third, which
   begins with the other's checkpoint: the same bits, in the report too. Without the call: other bits. */
static void takes_effect_at_once(const problem_variant *v, set_factor set, const char *prefix, float factor, float balance)
{
    uint64_t changed[2] = { 0, 0 }, unchanged = 0;
    badm_report report[2];
    unsigned i, j;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    for (i = 0; i < 3; i++) {           /* 0: changes; 1: goes on, changed; 2: goes on, unchanged */
        badm_writer w;
        badm_reader r;
        resume_desc(&p, &d, v, balance);
        d.weight_decay = 0.02f;
        d.clip = 0.05f;
        if (i == 1) set(p.model, prefix, factor);
        tr = start(&d);
        if (i == 0) {
            for (j = 0; j < 2; j++) CHECK_INT(badm_step(tr, NULL, 16, NULL), BADM_OK);
            w = buffer_writer(&checkpoint);
            CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
            CHECK(set(p.model, prefix, factor) > 0);
        } else {
            r = buffer_reader(&checkpoint);
            CHECK_INT(badm_checkpoint_load_from(tr, &r), BADM_OK);
        }
        if (i < 2) memset(&report[i], 0, sizeof report[0]);
        CHECK_INT(badm_step(tr, NULL, 16, i < 2 ? &report[i] : NULL), BADM_OK);
        if (i == 2) unchanged = badm_model_hash(p.model);
        else changed[i] = badm_model_hash(p.model);
        if (i == 1) CHECK(!memcmp(&report[0], &report[1], sizeof report[0]));
        badm_trainer_free(tr);
        problem_free(&p);
    }
    if (changed[0] != changed[1] || changed[0] == unchanged)
        printf("%s, \"%s\" %g, balance %g\n", v->name, prefix, (double)factor, (double)balance);
    CHECK(changed[0] == changed[1]);
    CHECK(changed[0] != unchanged);
}

static void for_variants(set_factor set, const char *prefix, float factor)
{
    const problem_variant *all;
    unsigned count, v;
    all = problem_variants(&count);
    for (v = 0; v < count; v++) {
        takes_effect_at_once(all + v, set, prefix, factor, 0);
        if (!all[v].method) takes_effect_at_once(all + v, set, prefix, factor, 2);
    }
}

TEST(a_new_step_scale_takes_effect_at_once)
{
    for_variants(badm_set_step_scale, "output", 0.25f);
    for_variants(badm_set_step_scale, "hidden.bias", 2);
    for_variants(badm_set_step_scale, "", 0.5f);
}

TEST(a_new_weight_decay_takes_effect_at_once)
{
    for_variants(badm_set_weight_decay, "output", 0);
    for_variants(badm_set_weight_decay, "hidden.weight", 3);
    for_variants(badm_set_weight_decay, "", 0.5f);
}

/* trainer_small.c: the library as BADM_SMALL. */
int trainer_small_refuses(int which, badm_result *found);
float trainer_small_learns(int adam);

TEST(a_small_build_trains_and_refuses_what_it_left_out)
{
    badm_result found;
    int i;
    for (i = 0; trainer_small_refuses(i, &found); i++) CHECK_INT(found, BADM_ERR_BUILD);
    CHECK_INT(i, 19);
    CHECK(trainer_small_learns(0) < 0.01f);
    CHECK(trainer_small_learns(1) < 0.01f);
}

float trainer_small_continues(buffer *checkpoint, uint32_t steps);

/* There and back: the loss is that of never having moved, but for the rounding of fused products. */
TEST(a_checkpoint_goes_on_in_a_small_build_and_comes_back)
{
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    badm_writer w;
    badm_reader back;
    problem p;
    float loss[3];
    int i;
    problem_new(&p, PROBLEM_XOR, NULL, 1);
    badm_trainer_defaults(&d);
    d.model = p.model; d.loss = problem_loss; d.user = &p; d.max_batch = 4; d.sub_batches = 2;
    d.sigma = 0.5f;
    d.rho = 4.5f;
    tr = start(&d);
    for (i = 0; i < 60; i++) {
        CHECK_INT(badm_step(tr, NULL, 4, &r), BADM_OK);
        if (i % 20 == 19) loss[i / 20] = r.loss;
        if (i != 19) continue;
        w = buffer_writer(&checkpoint);
        CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
    }
    CHECK_NEAR((double)trainer_small_continues(&checkpoint, 20), (double)loss[1], 1e-4 * (double)loss[1]);
    back = buffer_reader(&checkpoint);
    CHECK_INT(badm_checkpoint_load_from(tr, &back), BADM_OK);
    CHECK_INT(badm_trainer_step(tr), 40);
    for (i = 0; i < 20; i++) CHECK_INT(badm_step(tr, NULL, 4, &r), BADM_OK);
    CHECK_NEAR((double)r.loss, (double)loss[2], 1e-4 * (double)loss[2]);
    badm_trainer_free(tr);
    problem_free(&p);
}

TEST(a_checkpoint_of_another_trainer_is_refused)
{
    const problem_variant *all;
    unsigned count;
    int i;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_writer w;
    badm_reader r;
    all = problem_variants(&count);
    resume_desc(&p, &d, all + 4, 0);
    tr = start(&d);
    CHECK_INT(badm_step(tr, NULL, 16, NULL), BADM_OK);
    w = buffer_writer(&checkpoint);
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
    for (i = 0; i < 6; i++) {
        static const char *const differs[6] = { "sub", "seed", "form", "method", "metric", "local" };
        uint64_t hash;
        resume_desc(&p, &d, all + 4, 0);
        if (i == 0) d.sub_batches = 2;
        if (i == 1) d.seed = 8;
        if (i == 2) d.form = BADM_COLLAPSED;
        if (i == 3) { d.method = badm_method_adam(); d.form = BADM_COLLAPSED; }
        if (i == 4) d.metric = BADM_DIAGONAL;
        if (i == 5) d.local_steps = 2;
        tr = start(&d);
        hash = badm_model_hash(p.model);
        r = buffer_reader(&checkpoint);
        CHECK_INT(badm_checkpoint_load_from(tr, &r), BADM_ERR_MODEL);
        CHECK_TEXT(badm_trainer_error(tr), differs[i]);
        CHECK(badm_model_hash(p.model) == hash);
        CHECK_INT(badm_trainer_step(tr), 0);
        CHECK_INT(badm_step(tr, NULL, 16, NULL), BADM_OK);
        badm_trainer_free(tr);
        problem_free(&p);
    }
}

TEST_MAIN(
    RUN(every_method_learns_xor)
    RUN(every_method_tells_blobs_apart)
    RUN(every_method_fits_a_linear_function)
    RUN(an_epoch_visits_every_sample_once)
    RUN(sub_batches_differ_by_one_sample_at_most)
    RUN(the_seed_chooses_the_order)
    RUN(micro_batches_change_rounding_only)
    RUN(micro_batches_need_less_memory)
    RUN(a_report_tells_what_the_step_saw)
    RUN(without_clipping_the_factor_is_1)
    RUN(progress_is_told_after_every_step)
    RUN(a_cancelled_step_changes_nothing)
    RUN(an_epoch_cancelled_by_progress_goes_on)
    RUN(an_epoch_cancelled_in_its_last_step_is_done)
    RUN(a_step_that_is_not_finite_leaves_no_trace)
    RUN(a_finite_loss_with_an_infinite_gradient_is_refused)
    RUN(a_mean_gradient_of_infinite_norm_is_refused)
    RUN(freezing_after_creation_is_refused_until_undone)
    RUN(a_metric_set_after_creation_is_refused)
    RUN(errors_reach_the_log)
    RUN(of_two_models_in_one_loss_only_the_trainers_is_trained)
    RUN(a_step_scale_scales_its_group)
    RUN(a_frozen_group_stays)
    RUN(a_group_has_its_own_metric)
    RUN(a_group_has_its_own_weight_decay)
    RUN(schedules_have_their_closed_forms)
    RUN(a_schedule_divides_sigma_and_rho_and_multiplies_lr)
    RUN(a_callback_sets_the_rates_of_every_step)
    RUN(machines_with_the_same_data_make_the_same_step)
    RUN(a_failed_exchange_changes_nothing)
    RUN(prediction_writes_rows_in_order)
    RUN(evaluation_changes_nothing)
    RUN(the_best_parameters_are_kept)
    RUN(a_gradient_check_finds_a_wrong_backward)
    RUN(a_gradient_check_passes_right_losses)
    RUN(resuming_mid_epoch_gives_the_bits_of_never_stopping)
    RUN(a_new_step_scale_takes_effect_at_once)
    RUN(a_new_weight_decay_takes_effect_at_once)
    RUN(a_small_build_trains_and_refuses_what_it_left_out)
    RUN(a_checkpoint_goes_on_in_a_small_build_and_comes_back)
    RUN(a_checkpoint_of_another_trainer_is_refused)
)
