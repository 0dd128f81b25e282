/* >>monitors: every diagnosis is provoked and named; healthy runs have none; balancing moves rho within its limits. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "problems.h"

/* Trains for so many steps on all samples, and returns what the trainer has seen; its words go to text. */
static unsigned diagnose(const badm_trainer_desc *d, uint32_t count, int steps, char *text, size_t n)
{
    badm_trainer *tr = NULL;
    unsigned seen;
    size_t length;
    char cut[8];
    int i;
    CHECK_INT(badm_trainer_new(&tr, d), BADM_OK);
    for (i = 0; i < steps; i++) CHECK_INT(badm_step(tr, NULL, count, NULL), BADM_OK);
    text[0] = 0;
    seen = badm_diagnose(tr, text, n);
    CHECK_INT(badm_diagnose(tr, NULL, 0), seen);            /* asking changes nothing */
    length = strlen(text);
    CHECK((length > 0) == (seen != 0));
    CHECK_INT(badm_diagnose(tr, cut, sizeof cut), seen);
    CHECK(strlen(cut) < sizeof cut);
    badm_trainer_free(tr);
    return seen;
}

/* One line each: as many lines as diagnoses. */
static void check_lines(unsigned seen, const char *text)
{
    int lines = 0, bits = 0;
    for (; *text; text++) lines += *text == '\n' || !text[1];
    for (; seen; seen &= seen - 1) bits++;
    CHECK_INT(lines, bits);
}

TEST(too_long_a_step_is_seen_as_oscillation)
{
    problem p;
    badm_trainer_desc d;
    char text[1000];
    unsigned seen;
    problem_new(&p, PROBLEM_REGRESSION, NULL, 1);
    problem_desc(&p, &d);
    d.sigma = 3;
    d.rho = 0.3f;               /* stable up to a curvature of (4 rho + 2 sigma)/3 = 2.4, about that of the problem */
    seen = diagnose(&d, p.samples, 60, text, sizeof text);
    CHECK(seen & BADM_SEES_OSCILLATION);
    CHECK(!(seen & BADM_SEES_CRAWL));
    CHECK_TEXT(text, "oscillation");
    check_lines(seen, text);
    problem_free(&p);
}

TEST(too_short_a_step_is_seen_as_a_crawl)
{
    int way;
    for (way = 0; way < 3; way++) {
        problem p;
        badm_trainer_desc d;
        char text[1000];
        unsigned seen;
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        if (way == 0) { d.sigma = 1e6f; d.rho = 9e6f; }
        if (way == 1) { d.method = badm_method_adam(); d.lr = 1e-8f; }
        if (way == 2) { d.metric = BADM_DIAGONAL; d.sigma = 1e8f; d.rho = 9e8f; }
        seen = diagnose(&d, p.samples, 60, text, sizeof text);
        CHECK(seen & BADM_SEES_CRAWL);
        CHECK(!(seen & BADM_SEES_OSCILLATION));
        check_lines(seen, text);
        problem_free(&p);
    }
}

TEST(idle_workers_are_counted)
{
    problem p;
    badm_trainer_desc d;
    char text[1000];
    unsigned seen;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.sub_batches = 2;
    d.workers = 4;
    seen = diagnose(&d, p.samples, 60, text, sizeof text);
    CHECK_INT(seen, BADM_SEES_IDLE_WORKERS);
    CHECK_TEXT(text, "2 of 4 workers");
    check_lines(seen, text);
    d.workers = 2;
    CHECK_INT(diagnose(&d, p.samples, 60, text, sizeof text), 0);
    problem_free(&p);
}

TEST(inputs_that_are_not_scaled_are_seen)
{
    int way;
    for (way = 0; way < 3; way++) {
        problem p;
        badm_trainer_desc d;
        char text[1000];
        unsigned seen;
        uint32_t i;
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        for (i = 0; i < 2 * p.samples; i++)
            p.x[i] = way == 0 ? 128 + 100 * p.x[i] : way == 1 ? 1e5f * p.x[i] : 1e-5f * p.x[i];
        problem_desc(&p, &d);
        seen = diagnose(&d, p.samples, 60, text, sizeof text);
        if (way < 2) {
            CHECK(seen & BADM_SEES_UNSCALED_INPUT);
            CHECK_TEXT(text, "input");
        }
        check_lines(seen, text);
        problem_free(&p);
    }
}

/* The value never changes, the gradient is 1. */
static badm_tensor *constant_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    badm_tensor *w = badm_param_use(t, p->output.weight);
    badm_tensor *rows = badm_rows(t, p->x, p->width, b);
    return badm_add(t, badm_scale(t, badm_mean(t, rows), 0), badm_mean(t, badm_sub(t, w, badm_detach(t, w))));
}

TEST(a_constant_loss_is_seen)
{
    problem p;
    badm_trainer_desc d;
    char text[1000];
    unsigned seen;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.loss = constant_loss;
    seen = diagnose(&d, p.samples, 60, text, sizeof text);
    CHECK(seen & BADM_SEES_CONSTANT_LOSS);
    CHECK(!(seen & BADM_SEES_ZERO_GRADIENT));
    CHECK_TEXT(text, "loss");
    check_lines(seen, text);
    problem_free(&p);
}

/* A loss that was cut off from its parameters. */
static badm_tensor *detached_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    return badm_cross_entropy(t, badm_detach(t, problem_outputs(t, b, user)), badm_labels(t, p->labels, b));
}

TEST(gradients_that_are_zero_are_seen)
{
    problem p;
    badm_trainer_desc d;
    char text[1000];
    unsigned seen;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.loss = detached_loss;
    seen = diagnose(&d, p.samples, 60, text, sizeof text);
    CHECK(seen & BADM_SEES_ZERO_GRADIENT);
    CHECK_TEXT(text, "gradient");
    check_lines(seen, text);
    problem_free(&p);
}

TEST(healthy_runs_have_no_diagnosis)
{
    static const struct { problem_kind kind; unsigned variant; int steps; } runs[] = {
        { PROBLEM_XOR, 0, 200 }, { PROBLEM_BLOBS, 0, 200 }, { PROBLEM_REGRESSION, 0, 60 }, { PROBLEM_BLOBS, 1, 100 },
                { PROBLEM_BLOBS, 2, 100 } };
    const problem_variant *all;
    unsigned count, i, steps;
    all = problem_variants(&count);
    for (i = 0; i < sizeof runs / sizeof *runs; i++)
        for (steps = 1; steps <= 4; steps++) {          /* at no time on the way */
            problem p;
            badm_trainer_desc d;
            char text[1000];
            unsigned seen;
            problem_new(&p, runs[i].kind, NULL, 1);
            problem_desc(&p, &d);
            problem_use(&d, all + runs[i].variant);
            d.sub_batches = 2;
            seen = diagnose(&d, p.samples, runs[i].steps * (int)steps / 4, text, sizeof text);
            if (seen) printf("run %u, %s, after %d steps: %s\n", i, all[runs[i].variant].name,
                    runs[i].steps * (int)steps / 4, text);
            CHECK_INT(seen, 0);
            problem_free(&p);
        }
}

/* Shuffled mini-batches make noisy gradients, which is no disease either. */
TEST(healthy_runs_on_mini_batches_have_no_diagnosis)
{
    static const unsigned variants[] = { 0, 1, 2, 4, 15 };
    const problem_variant *all;
    unsigned count, i, epoch;
    all = problem_variants(&count);
    for (i = 0; i < sizeof variants / sizeof *variants; i++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        char text[1000];
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        problem_use(&d, all + variants[i]);
        d.sub_batches = 2;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        for (epoch = 0; epoch < 20; epoch++) {
            CHECK_INT(badm_epoch(tr, p.samples, 16, NULL, NULL), BADM_OK);
            if (badm_diagnose(tr, text, sizeof text)) printf("%s, epoch %u: %s\n", all[variants[i]].name, epoch, text);
            CHECK_INT(badm_diagnose(tr, text, sizeof text), 0);
        }
        badm_trainer_free(tr);
        problem_free(&p);
    }
}

TEST(a_new_trainer_has_seen_nothing)
{
    problem p;
    badm_trainer_desc d;
    char text[100] = "untouched";
    problem_new(&p, PROBLEM_XOR, NULL, 1);
    problem_desc(&p, &d);
    CHECK_INT(diagnose(&d, 4, 0, text, sizeof text), 0);
    CHECK(!strcmp(text, ""));
    problem_free(&p);
}

TEST(balancing_moves_rho_within_its_limits_and_keeps_sigma)
{
    static const float rhos[] = { 1e-2f, 1, 100 };
    int form, i, j;
    for (form = BADM_COLLAPSED; form <= BADM_PER_SLOT; form++)
        for (i = 0; i < 3; i++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            badm_report r;
            int moved = 0;
            problem_new(&p, PROBLEM_BLOBS, NULL, 1);
            problem_desc(&p, &d);
            d.form = (badm_form)form;
            d.sub_batches = 4;
            d.sigma = 3;
            d.rho = rhos[i];
            d.balance = 1.05f;
            CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
            for (j = 0; j < 200; j++) {
                CHECK_INT(badm_step(tr, NULL, 40, &r), BADM_OK);
                CHECK(r.rates.rho >= rhos[i] / 10 * 0.9999f && r.rates.rho <= rhos[i] * 10 * 1.0001f);
                CHECK_NEAR(r.rates.sigma, 3, 0);
                moved += fabsf(r.rates.rho - rhos[i]) > 1e-3f * rhos[i];
            }
            CHECK(moved > 0);
            badm_trainer_free(tr);
            problem_free(&p);
        }
}

TEST(without_balancing_rho_stays)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_report r;
    int j;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (j = 0; j < 50; j++) { CHECK_INT(badm_step(tr, NULL, 40, &r), BADM_OK); CHECK_NEAR(r.rates.rho, 9, 0); }
    badm_trainer_free(tr);
    problem_free(&p);
}

/* Of 200 steps on changing batches, the residuals of both forms. */
static void residuals(badm_form form, badm_metric metric, badm_report *r)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint32_t index[32], i, j;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.form = form;
    d.metric = metric;
    d.sub_batches = 4;
    if (metric == BADM_DIAGONAL) { d.sigma = 100; d.rho = 900; }
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    for (j = 0; j < 200; j++) {
        for (i = 0; i < 32; i++) index[i] = badm_shuffle(1, j, PROBLEM_SAMPLES, i);
        CHECK_INT(badm_step(tr, index, 32, r + j), BADM_OK);
    }
    badm_trainer_free(tr);
    problem_free(&p);
}

/* Those of the per-slot form are exact, those of the collapsed form come from a recursion that takes a slot's
   multiplier and its next gradient as uncorrelated: right in the mean. */
TEST(residuals_of_the_collapsed_form_are_within_5_percent_of_the_exact_ones)
{
    static badm_report collapsed[200], exact[200];
    int metric, j;
    for (metric = BADM_PLAIN; metric <= BADM_DIAGONAL; metric++) {
        double sum[2] = { 0, 0 };
        residuals(BADM_COLLAPSED, (badm_metric)metric, collapsed);
        residuals(BADM_PER_SLOT, (badm_metric)metric, exact);
        for (j = 0; j < 200; j++) {
            sum[0] += (double)collapsed[j].primal_residual;
            sum[1] += (double)exact[j].primal_residual;
            CHECK(exact[j].primal_residual > 0);
            CHECK_NEAR(collapsed[j].primal_residual, exact[j].primal_residual, 0.5 * (double)exact[j].primal_residual);
            CHECK_NEAR(collapsed[j].dual_residual, exact[j].dual_residual, 2e-3 * (double)exact[j].dual_residual);
            CHECK_NEAR(collapsed[j].grad_norm, exact[j].grad_norm, 2e-3 * (double)exact[j].grad_norm);
        }
        printf("mean primal residual: %.6f by the recursion, %.6f exactly\n", sum[0] / 200, sum[1] / 200);
        CHECK_NEAR(sum[0] / sum[1], 1, 0.05);
    }
}

TEST_MAIN(
    RUN(too_long_a_step_is_seen_as_oscillation)
    RUN(too_short_a_step_is_seen_as_a_crawl)
    RUN(idle_workers_are_counted)
    RUN(inputs_that_are_not_scaled_are_seen)
    RUN(a_constant_loss_is_seen)
    RUN(gradients_that_are_zero_are_seen)
    RUN(healthy_runs_have_no_diagnosis)
    RUN(healthy_runs_on_mini_batches_have_no_diagnosis)
    RUN(a_new_trainer_has_seen_nothing)
    RUN(balancing_moves_rho_within_its_limits_and_keeps_sigma)
    RUN(without_balancing_rho_stays)
    RUN(residuals_of_the_collapsed_form_are_within_5_percent_of_the_exact_ones)
)
