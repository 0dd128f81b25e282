/* >>methods: every baseline against PyTorch's optimiser of that name, parameter by parameter after each of 20 steps.
   The references are tests/golden/optimisers.h; the problem is described in make_optimisers.py. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/optimisers.h"

enum { SAMPLES = 11, INPUTS = 2, HIDDEN = 3, OUTPUTS = 1, STEPS = 20, PARAMS = 4 };
enum { NUMBERS = HIDDEN * INPUTS + HIDDEN + OUTPUTS * HIDDEN + OUTPUTS };

/* PyTorch ran in double precision. The bar is a share of the largest reference in each tensor. */
#define TOLERANCE 1e-5

typedef struct {
    badm_linear hidden, output;
    float x[SAMPLES * INPUTS], y[SAMPLES * OUTPUTS];
} problem;

static badm_tensor *problem_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    badm_tensor *x = badm_rows(t, p->x, INPUTS, b), *y = badm_rows(t, p->y, OUTPUTS, b);
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, p->hidden, x));
    return badm_mse(t, badm_linear_forward(t, p->output, h), y);
}

static void problem_fill(problem *p)
{
    golden_fill(GOLDEN_REAL, 901, p->x, SAMPLES * INPUTS);
    golden_fill(GOLDEN_REAL, 902, p->y, SAMPLES * OUTPUTS);
}

/* hidden.weight, hidden.bias, output.weight, output.bias. */
static void problem_start(badm_model *m)
{
    size_t k;
    for (k = 0; k < badm_param_count(m); k++) {
        badm_param p = badm_param_at(m, k);
        golden_fill(GOLDEN_REAL, 903u + (uint32_t)k, badm_param_data(p), badm_param_size(p));
    }
}

static const badm_method *method_named(const char *name)
{
    if (!strcmp(name, "sgd")) return badm_method_sgd();
    if (!strcmp(name, "momentum")) return badm_method_momentum();
    if (!strcmp(name, "nesterov")) return badm_method_nesterov();
    if (!strcmp(name, "rmsprop")) return badm_method_rmsprop();
    if (!strcmp(name, "adagrad")) return badm_method_adagrad();
    if (!strcmp(name, "adam")) return badm_method_adam();
    if (!strcmp(name, "adamw")) return badm_method_adamw();
    if (!strcmp(name, "nadam")) return badm_method_nadam();
    if (!strcmp(name, "nadamw")) return badm_method_nadamw();
    return NULL;
}

/* Trains as the reference run did. Returns the worst difference over all steps and tensors, as a share of the tensor's
   largest entry. */
static double run_difference(const golden_run *g, uint32_t sub_batches, uint32_t micro_batch)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr = NULL;
    badm_trainer_desc d;
    problem p;
    double worst = 0;
    const float *reference = golden_steps + g->first;
    size_t step, k;
    problem_fill(&p);
    p.hidden = badm_linear_new(m, "hidden", INPUTS, HIDDEN);
    p.output = badm_linear_new(m, "output", HIDDEN, OUTPUTS);
    problem_start(m);
    badm_trainer_defaults(&d);
    d.model = m; d.loss = problem_loss; d.user = &p;
    d.max_batch = SAMPLES; d.sub_batches = sub_batches; d.workers = 2; d.micro_batch = micro_batch;
    d.method = method_named(g->method);
    d.lr = g->lr; d.beta1 = g->beta1; d.beta2 = g->beta2; d.eps = g->eps;
    d.momentum_decay = g->momentum_decay; d.weight_decay = g->weight_decay; d.clip = g->clip;
    if (g->schedule_total) {
        d.schedule.kind = BADM_LINEAR_DECAY; d.schedule.total = g->schedule_total; d.schedule.last = g->schedule_last;
    }
    if (g->groups) {
        CHECK_INT(badm_set_frozen(m, "output.bias", 1), 1);
        CHECK_INT(badm_set_weight_decay(m, "hidden.", 3.0f), 2);
        CHECK_INT(badm_set_step_scale(m, "hidden.weight", 0.5f), 1);
    }
    if (badm_trainer_new(&tr, &d) != BADM_OK) {
        printf("%s %s: %s\n", g->method, g->what, badm_model_error(m));
        badm_model_free(m);
        return HUGE_VAL;
    }
    for (step = 0; step < STEPS; step++) {
        badm_report r;
        if (badm_step(tr, NULL, SAMPLES, &r) != BADM_OK) {
            printf("%s %s: %s\n", g->method, g->what, badm_trainer_error(tr));
            worst = HUGE_VAL;
            break;
        }
        for (k = 0; k < PARAMS; k++) {
            badm_param q = badm_param_at(m, k);
            size_t n = badm_param_size(q), i;
            double largest = 0, difference;
            for (i = 0; i < n; i++)
                if (fabs((double)reference[i]) > largest) largest = fabs((double)reference[i]);
            difference = golden_difference(badm_param_values(q), reference, n, 1, largest);
            if (difference > worst) worst = difference;
            reference += n;
        }
    }
    badm_trainer_free(tr);
    badm_model_free(m);
    return worst;
}

/* Every stored run of the method: the batch whole, in uneven sub-batches (4, 4, 3 samples), and those in micro-batches
   (2 2, 2 2, 2 1). */
static void follows_pytorch(const char *method)
{
    static const uint32_t slots[3] = { 1, 3, 3 }, micro[3] = { 0, 0, 2 };
    size_t i, k, runs = 0;
    for (i = 0; i < sizeof golden_runs / sizeof *golden_runs; i++) {
        if (strcmp(golden_runs[i].method, method)) continue;
        runs++;
        for (k = 0; k < 3; k++) {
            double difference = run_difference(&golden_runs[i], slots[k], micro[k]);
            if (!(difference <= TOLERANCE)) {
                printf("%s %s, S = %u, micro_batch = %u: differs from PyTorch by %.3g > %.3g\n",
                       method, golden_runs[i].what, (unsigned)slots[k], (unsigned)micro[k], difference, TOLERANCE);
                test_failures++;
            }
        }
    }
    CHECK(runs >= 2);
}

TEST(sgd_follows_pytorch) { follows_pytorch("sgd"); }
TEST(momentum_follows_pytorch) { follows_pytorch("momentum"); }
TEST(nesterov_follows_pytorch) { follows_pytorch("nesterov"); }
TEST(rmsprop_follows_pytorch) { follows_pytorch("rmsprop"); }
TEST(adagrad_follows_pytorch) { follows_pytorch("adagrad"); }
TEST(adam_follows_pytorch) { follows_pytorch("adam"); }
TEST(adamw_follows_pytorch) { follows_pytorch("adamw"); }
TEST(nadam_follows_pytorch) { follows_pytorch("nadam"); }
TEST(nadamw_follows_pytorch) { follows_pytorch("nadamw"); }

static badm_tensor *long_loss(badm_tape *t, const badm_batch *b, void *user)
{
    badm_tensor *d = badm_shift(t, badm_param_use(t, *(const badm_param *)user), -1.0f);
    (void)b;
    return badm_sum(t, badm_mul(t, d, d));
}

/* Steps are taken in short runs, split between workers: equal weights with equal gradients stay equal, to the bit. */
TEST(all_entries_of_a_long_parameter_are_treated_alike)
{
    static const char *const names[9] = {
        "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "nadam", "nadamw"
    };
    static const badm_dim size = 5003;
    size_t k, i, apart;
    for (k = 0; k < 9; k++) {
        badm_model *m = badm_model_new(1);
        badm_param w = badm_param_new(m, "w", 1, &size, badm_init_constant(3.0f));
        badm_trainer *tr = NULL;
        badm_trainer_desc d;
        const float *x;
        int step;
        badm_trainer_defaults(&d);
        d.model = m; d.loss = long_loss; d.user = &w; d.max_batch = 3; d.sub_batches = 3; d.workers = 2;
        d.method = method_named(names[k]); d.lr = 0.01f; d.weight_decay = 0.1f; d.clip = 50.0f;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        if (!tr) { badm_model_free(m); continue; }
        for (step = 0; step < 4; step++) CHECK_INT(badm_step(tr, NULL, 3, NULL), BADM_OK);
        x = badm_param_values(w);
        for (i = apart = 0; i < size; i++) apart += memcmp(&x[i], &x[0], sizeof *x) != 0;
        CHECK_INT(apart, 0);
        CHECK(x[0] < 3.0f && x[0] > 1.0f);
        badm_trainer_free(tr);
        badm_model_free(m);
    }
}

/* The report of a first step of plain SGD, against what the model itself shows. */
TEST(the_report_of_a_step_fits_what_the_model_did)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr = NULL;
    badm_trainer_desc d;
    badm_report r, next;
    badm_score score;
    problem p;
    float before[NUMBERS];
    double moved = 0;
    size_t k, i, at = 0;
    problem_fill(&p);
    p.hidden = badm_linear_new(m, "hidden", INPUTS, HIDDEN);
    p.output = badm_linear_new(m, "output", HIDDEN, OUTPUTS);
    problem_start(m);
    for (k = 0; k < PARAMS; k++) {
        badm_param q = badm_param_at(m, k);
        for (i = 0; i < badm_param_size(q); i++) before[at++] = badm_param_values(q)[i];
    }
    badm_trainer_defaults(&d);
    d.model = m; d.loss = problem_loss; d.user = &p; d.max_batch = SAMPLES; d.sub_batches = 3; d.workers = 1;
    d.method = badm_method_sgd(); d.lr = 0.125f; d.clip = 1.0f;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    if (!tr) { badm_model_free(m); return; }
    CHECK_INT(badm_evaluate(tr, NULL, NULL, SAMPLES, &score), BADM_OK);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, &r), BADM_OK);
    CHECK_INT(r.step, 0);
    CHECK_INT(r.samples, SAMPLES);
    CHECK_NEAR(r.loss, score.loss, 1e-5 * (double)score.loss);
    CHECK_NEAR(r.accuracy, -1, 0);
    CHECK(r.grad_norm > 1.0f);
    CHECK_NEAR(r.clip_factor, 1.0 / (double)r.grad_norm, 1e-6);
    CHECK_NEAR(r.rates.lr, 0.125, 0);
    for (k = 0, at = 0; k < PARAMS; k++) {
        badm_param q = badm_param_at(m, k);
        for (i = 0; i < badm_param_size(q); i++, at++) {
            double step = (double)badm_param_values(q)[i] - (double)before[at];
            moved += step * step;
        }
    }
    CHECK_NEAR(sqrt(moved), 0.125, 1e-6);           /* a clipped step is lr*clip long */
    CHECK_NEAR(r.step_norm, 0.125, 1e-6);
    CHECK_INT(badm_step(tr, NULL, SAMPLES, &next), BADM_OK);
    CHECK_INT(next.step, 1);
    CHECK(next.loss < r.loss);
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST_MAIN(
    RUN(sgd_follows_pytorch) RUN(momentum_follows_pytorch) RUN(nesterov_follows_pytorch) RUN(rmsprop_follows_pytorch)
    RUN(adagrad_follows_pytorch) RUN(adam_follows_pytorch) RUN(adamw_follows_pytorch) RUN(nadam_follows_pytorch)
    RUN(nadamw_follows_pytorch) RUN(all_entries_of_a_long_parameter_are_treated_alike)
    RUN(the_report_of_a_step_fits_what_the_model_did)
)
