/* BADM in all its forms, and Muon, against an independent NumPy program (golden/badm_reference.py), against each other
   and against the theory of quadratics. */
#define BADM_IMPLEMENTATION
#include "badm.h"

#include <pthread.h>

#include "test.h"
#include "golden/badm_golden.h"

/* ---------------------------------------------------------------------------------------------------------------------
   The reference's problems
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct { badm_linear fc1, fc2; } network;

static badm_tensor *network_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *n = (const network *)user;
    badm_tensor *x = badm_rows(t, golden_net_x, 5, b);
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->fc1, x));
    return badm_cross_entropy(t, badm_linear_forward(t, n->fc2, h), badm_labels(t, golden_net_labels, b));
}

static badm_tensor *sigmoids_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const network *n = (const network *)user;
    badm_tensor *x = badm_rows(t, golden_net_x, 5, b), *target = badm_rows(t, golden_net_onehot, 3, b);
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->fc1, x));
    return badm_bce_with_logits(t, badm_linear_forward(t, n->fc2, h), target);
}

static badm_tensor *least_squares_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const badm_linear *w = (const badm_linear *)user;
    badm_tensor *y = badm_linear_forward(t, *w, badm_rows(t, golden_line_x, 6, b));
    return badm_mse(t, y, badm_rows(t, golden_line_y, 1, b));
}

static badm_tensor *logistic_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const badm_linear *w = (const badm_linear *)user;
    badm_tensor *y = badm_linear_forward(t, *w, badm_rows(t, golden_line_x, 6, b));
    return badm_bce_with_logits(t, y, badm_rows(t, golden_line_class, 1, b));
}

/* A model of one of the problems with the reference's start, and what its loss needs. */
typedef struct {
    badm_model *model;
    network net;
    badm_linear line;
    badm_loss_fn loss;
    void *user;
    uint32_t samples;
} problem;

static void set_values(badm_param p, const float *values)
{
    memcpy(badm_param_data(p), values, badm_param_size(p) * sizeof(float));
}

static void problem_open(problem *p, int kind)
{
    memset(p, 0, sizeof *p);
    p->model = badm_model_new(1);
    if (kind == NETWORK || kind == SIGMOIDS) {
        p->net.fc1 = badm_linear_new(p->model, "fc1", 5, 6);
        p->net.fc2 = badm_linear_new(p->model, "fc2", 6, 3);
        set_values(p->net.fc1.weight, golden_net_start);
        set_values(p->net.fc1.bias, golden_net_start + 30);
        set_values(p->net.fc2.weight, golden_net_start + 36);
        set_values(p->net.fc2.bias, golden_net_start + 54);
        p->loss = kind == SIGMOIDS ? sigmoids_loss : network_loss; p->user = &p->net; p->samples = 24;
    } else {
        p->line = badm_linear_new_without_bias(p->model, "w", 6, 1);
        set_values(p->line.weight, golden_line_start);
        p->loss = kind == LOGISTIC ? logistic_loss : least_squares_loss; p->user = &p->line; p->samples = 23;
    }
}

static badm_trainer_desc problem_desc(problem *p, uint32_t max_batch, uint32_t slots)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = p->model; d.loss = p->loss; d.user = p->user;
    d.max_batch = max_batch; d.sub_batches = slots; d.workers = 1;
    return d;
}

/* A trainer, or a failed check with the library's sentence. */
static badm_trainer *trainer_open(const badm_trainer_desc *d)
{
    badm_trainer *tr = NULL;
    if (badm_trainer_new(&tr, d) != BADM_OK) { printf("trainer: %s\n", badm_model_error(d->model)); test_failures++; }
    return tr;
}

/* The samples of batch b: the reference's walk through the data. */
static void walk(uint32_t *index, uint32_t samples, uint32_t count, uint32_t b)
{
    uint32_t i;
    for (i = 0; i < count; i++) index[i] = (7 * (b * count + i) + 3 * b) % samples;
}

/* The reference's "rates vary". */
static void varying_rates(badm_rates *r, uint64_t step, void *user)
{
    (void)user;
    r->sigma = (float)((double)r->sigma * (0.75 + (double)(3 * step % 7) / 12));
    r->rho = (float)((double)r->rho * (0.7 + (double)(5 * step % 11) / 15));
}

/* A step that is expected to be taken, or a failed check with the library's sentence. */
static int step_taken(badm_trainer *tr, const uint32_t *index, uint32_t count, badm_report *r)
{
    if (badm_step(tr, index, count, r) == BADM_OK) return 1;
    printf("step: %s\n", badm_trainer_error(tr));
    test_failures++;
    return 0;
}

/* The largest difference over tensors, each relative to its largest entry. */
static double distance(badm_model *m, const float *expected)
{
    double worst = 0;
    size_t i, j;
    for (i = 0; i < badm_param_count(m); i++) {
        badm_param p = badm_param_at(m, i);
        const float *w = badm_param_values(p);
        double difference = 0, largest = 0;
        for (j = 0; j < badm_param_size(p); j++) {
            double d = fabs((double)w[j] - (double)expected[j]);
            if (!(d <= difference)) difference = d;         /* keeps a NaN */
            if (fabs((double)expected[j]) > largest) largest = fabs((double)expected[j]);
        }
        if (!(difference / largest <= worst)) worst = difference / largest;
        expected += badm_param_size(p);
    }
    return worst;
}

static double distance_between(badm_model *a, badm_model *b)
{
    float *values = (float *)malloc(badm_model_size(b) * sizeof(float)), *to = values;
    double worst;
    size_t i;
    for (i = 0; i < badm_param_count(b); i++) {
        badm_param p = badm_param_at(b, i);
        memcpy(to, badm_param_values(p), badm_param_size(p) * sizeof(float));
        to += badm_param_size(p);
    }
    worst = distance(a, values);
    free(values);
    return worst;
}

/* ---------------------------------------------------------------------------------------------------------------------
   Against the reference
   --------------------------------------------------------------------------------------------------------------------- */

typedef struct { double w, report, residual; } worst_of;

static void raise_to(double *worst, double value) { if (!(value <= *worst)) *worst = value; }

static double relative(float a, float expected) { return fabs((double)a - (double)expected) / fabs((double)expected); }

static void run_case(const golden_case *c, badm_form form, uint32_t micro_batch, uint32_t workers, worst_of *worst)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    worst_of own = { 0, 0, 0 };
    uint32_t index[4 * 24], batch = 0, k;
    int step, at = 0, i;

    problem_open(&p, c->problem);
    for (i = 0; i < 2; i++) {
        const golden_factor *step_scale = &c->step_scale[i], *decay = &c->group_decay[i];
        const golden_metric *metric = &c->group_metric[i];
        if (step_scale->prefix) badm_set_step_scale(p.model, step_scale->prefix, step_scale->factor);
        if (decay->prefix) badm_set_weight_decay(p.model, decay->prefix, decay->factor);
        if (metric->prefix) badm_set_metric(p.model, metric->prefix, metric->metric);
    }
    d = problem_desc(&p, c->count, c->slots);
    d.workers = workers; d.micro_batch = micro_batch;
    d.form = form; d.metric = c->metric; d.local_steps = c->local_steps;
    d.sigma = c->sigma; d.rho = c->rho;
    if (c->varying) d.rates = varying_rates;
    d.schedule = c->schedule;
    d.ridge = c->ridge; d.weight_decay = c->decay; d.clip = c->clip;
    d.beta2 = c->beta2; d.eps = c->eps; d.second_moment_of_slots = c->of_slots; d.newton_schulz = c->recipe;
    if (c->forms == MUON) { d.method = badm_method_muon(); d.lr = c->lr; d.beta1 = c->beta1; }
    tr = trainer_open(&d);
    for (step = 0; tr && step < GOLDEN_STEPS; step++) {
        uint32_t count = c->short_count && step % 3 == 2 ? c->short_count : c->count;
        const float *expected = c->reports[at];
        badm_report r;
        for (k = 0; k < c->local_steps; k++) walk(index + k * count, p.samples, count, batch++);
        if (!step_taken(tr, index, count, &r)) break;
        if (at == GOLDEN_REPORTS || step != golden_reported[at]) continue;
        at++;
        raise_to(&own.report, relative(r.loss, expected[0]));
        raise_to(&own.report, relative(r.grad_norm, expected[1]));
        raise_to(&own.residual, relative(r.step_norm, expected[4]));
        if (c->forms == MUON) continue;
        raise_to(&own.residual, relative(r.dual_residual, expected[3]));
        if (form == BADM_PER_SLOT) raise_to(&own.residual, relative(r.primal_residual, expected[2]));
    }
    own.w = distance(p.model, c->w);
    if (!(own.w <= 1e-5 && own.report <= 1e-5 && own.residual <= 1e-4)) {
        printf("%s (%s, micro_batch %u): parameters %.2g, loss and gradient norm %.2g, residuals and step norm %.2g\n",
               c->name, form == BADM_PER_SLOT ? "per slot" : "collapsed", (unsigned)micro_batch,
               own.w, own.report, own.residual);
        test_failures++;
    }
    raise_to(&worst->w, own.w); raise_to(&worst->report, own.report); raise_to(&worst->residual, own.residual);
    badm_trainer_free(tr);
    badm_model_free(p.model);
}

/* All cases whose name begins like this, in every form they hold for; whole and in micro-batches; on one and on two
   workers. Bars: parameters, loss, gradient norm 1e-5; residuals and step norm 1e-4; all relative. */
static void run_cases(const char *prefix)
{
    worst_of worst = { 0, 0, 0 };
    size_t i, cases = 0;
    for (i = 0; i < sizeof golden_cases / sizeof *golden_cases; i++) {
        const golden_case *c = &golden_cases[i];
        if (strncmp(c->name, prefix, strlen(prefix))) continue;
        cases++;
        if (c->forms != SLOTS) {
            run_case(c, BADM_COLLAPSED, 0, 1, &worst);
            run_case(c, BADM_COLLAPSED, 2, 2, &worst);
        }
        if (c->forms == SLOTS || c->forms == BOTH) {
            run_case(c, BADM_PER_SLOT, 0, 2, &worst);
            run_case(c, BADM_PER_SLOT, 2, 1, &worst);
        }
    }
    CHECK(cases > 0);
    printf("%s: %u cases, worst: parameters %.2g, loss and gradient norm %.2g, residuals %.2g\n",
           prefix, (unsigned)cases, worst.w, worst.report, worst.residual);
}

TEST(plain_metric_matches_the_reference) { run_cases("plain"); }
TEST(diagonal_metric_matches_the_reference) { run_cases("diagonal"); }
TEST(sisa_matches_the_reference) { run_cases("SISA"); }
TEST(orthogonal_metric_matches_the_reference) { run_cases("orthogonal"); }
TEST(local_steps_match_the_reference) { run_cases("local steps"); }
TEST(least_squares_matches_the_reference) { run_cases("least squares"); }
TEST(logistic_regression_matches_the_reference) { run_cases("logistic"); }
TEST(muon_matches_the_reference) { run_cases("Muon"); }

/* ---------------------------------------------------------------------------------------------------------------------
   The paper's iteration, literally, on batches the library chose
   --------------------------------------------------------------------------------------------------------------------- */

/* What the loss callback was given: one line a call. One worker, so that it may write. */
typedef struct { uint32_t slot, count, index[16]; uint64_t step; } seen_call;
typedef struct { badm_linear line; seen_call call[64]; int calls; } seen;

static badm_tensor *seen_loss(badm_tape *t, const badm_batch *b, void *user)
{
    seen *s = (seen *)user;
    if (!badm_is_dry(t) && badm_training(t) && s->calls < 64 && b->count <= 16) {
        seen_call *c = &s->call[s->calls++];
        c->slot = b->slot; c->count = b->count; c->step = b->step;
        memcpy(c->index, b->index, b->count * sizeof *b->index);
    }
    return least_squares_loss(t, b, &s->line);
}

#define LITERAL_SLOTS 4
typedef struct { double w[6], w_s[LITERAL_SLOTS][6], pi[LITERAL_SLOTS][6]; } literal;

static void literal_start(literal *l)
{
    int s, i;
    for (i = 0; i < 6; i++) {
        l->w[i] = (double)golden_line_start[i];
        for (s = 0; s < LITERAL_SLOTS; s++) { l->w_s[s][i] = l->w[i]; l->pi[s][i] = 0; }
    }
}

/* One iteration: the calls of one step in slot order. */
static void literal_step(literal *l, const seen_call *c, int slots, double sigma, double rho)
{
    double alpha[LITERAL_SLOTS], n = 0;
    int s, i;
    uint32_t j;
    for (s = 0; s < slots; s++) n += c[s].count;
    for (s = 0; s < slots; s++) {
        double g[6] = { 0, 0, 0, 0, 0, 0 };
        alpha[s] = c[s].count / n;
        for (j = 0; j < c[s].count; j++) {
            const float *x = golden_line_x + 6 * c[s].index[j];
            double r = -(double)golden_line_y[c[s].index[j]];
            for (i = 0; i < 6; i++) r += (double)x[i] * l->w[i];
            for (i = 0; i < 6; i++) g[i] += 2 * r * (double)x[i] / c[s].count;
        }
        for (i = 0; i < 6; i++) {
            l->w_s[s][i] = l->w[i] - (g[i] + l->pi[s][i]) / (rho + sigma);
            l->pi[s][i] += sigma * (l->w_s[s][i] - l->w[i]);
        }
    }
    for (i = 0; i < 6; i++)
        for (l->w[i] = 0, s = 0; s < slots; s++) l->w[i] += alpha[s] * (l->w_s[s][i] + l->pi[s][i] / sigma);
}

/* Two epochs of 23 samples in batches of 10: sub-batches 3 3 2 2, 3 3 2 2, then the short batch 1 1 1 with the fourth
   slot resting. */
TEST(epochs_carry_every_multiplier_as_the_paper_does)
{
    problem p;
    seen s;
    badm_trainer_desc d;
    badm_trainer *tr;
    literal carried, restarted;
    double worst = 0, apart = 0;
    int hits[23], epoch, call, i;

    problem_open(&p, LEAST_SQUARES);
    memset(&s, 0, sizeof s);
    s.line = p.line;
    d = problem_desc(&p, 10, LITERAL_SLOTS);
    d.loss = seen_loss; d.user = &s; d.form = BADM_PER_SLOT; d.sigma = 2; d.rho = 8; d.seed = 3;
    tr = trainer_open(&d);
    if (!tr) return;
    literal_start(&carried);
    literal_start(&restarted);
    for (epoch = 0; epoch < 2; epoch++) {
        s.calls = 0;
        memset(hits, 0, sizeof hits);
        CHECK_INT(badm_epoch(tr, 23, 10, NULL, NULL), BADM_OK);
        CHECK_INT(s.calls, 11);
        memset(restarted.pi, 0, sizeof restarted.pi);
        for (call = 0; call < s.calls; call++) {
            static const uint32_t sizes[11] = { 3, 3, 2, 2, 3, 3, 2, 2, 1, 1, 1 };
            CHECK_INT(s.call[call].slot, call % 4);
            CHECK_INT(s.call[call].count, sizes[call]);
            CHECK_INT(s.call[call].step, epoch * 3 + call / 4);
            for (i = 0; i < (int)s.call[call].count; i++) hits[s.call[call].index[i] % 23]++;
        }
        for (i = 0; i < 23; i++) CHECK_INT(hits[i], 1);
        for (call = 0; call < 11; call += 4) {
            literal_step(&carried, &s.call[call], call < 8 ? 4 : 3, 2, 8);
            literal_step(&restarted, &s.call[call], call < 8 ? 4 : 3, 2, 8);
        }
        for (i = 0; i < 6; i++) {
            double w = (double)badm_param_values(p.line.weight)[i];
            raise_to(&worst, fabs(w - carried.w[i]));
            if (epoch == 1) raise_to(&apart, fabs(w - restarted.w[i]));
        }
    }
    printf("two epochs: %.2g from the paper's iteration, %.2g from one whose multipliers restart\n", worst, apart);
    CHECK(worst <= 1e-5);
    CHECK(apart > 1e-2);
    badm_trainer_free(tr);
    badm_model_free(p.model);
}

static void set_form(badm_trainer_desc *d, int per_slot) { d->form = per_slot ? BADM_PER_SLOT : BADM_COLLAPSED; }

TEST(first_step_starts_at_the_given_weights)
{
    int per_slot, i;
    for (per_slot = 0; per_slot < 2; per_slot++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        badm_report r;
        problem_open(&p, LEAST_SQUARES);
        d = problem_desc(&p, 23, 4);
        set_form(&d, per_slot);
        d.sigma = 3; d.rho = 9;
        tr = trainer_open(&d);
        if (tr) {
            literal l;
            seen_call all[2];
            literal_start(&l);
            memset(all, 0, sizeof all);
            all[0].count = 12; all[1].count = 11;
            for (i = 0; i < 12; i++) all[0].index[i] = (uint32_t)i;
            for (i = 0; i < 11; i++) all[1].index[i] = (uint32_t)(12 + i);
            literal_step(&l, all, 2, 3, 9);
            CHECK_INT(badm_step(tr, NULL, 23, &r), BADM_OK);
            CHECK_NEAR(r.loss, 4.34645, 1e-4);          /* the reference's at the start, its first least-squares case */
            for (i = 0; i < 6; i++) CHECK_NEAR(badm_param_values(p.line.weight)[i], l.w[i], 1e-6);
        }
        badm_trainer_free(tr);
        badm_model_free(p.model);
    }
}

/* A loss that does not depend on the parameters' values: every gradient is zero. */
static badm_tensor *flat_loss(badm_tape *t, const badm_batch *b, void *user)
{
    return badm_scale(t, network_loss(t, b, user), 0.0f);
}

static const badm_metric metrics[3] = { BADM_PLAIN, BADM_DIAGONAL, BADM_ORTHOGONAL };

TEST(without_gradients_the_weights_rest)
{
    int per_slot, metric, step;
    for (per_slot = 0; per_slot < 2; per_slot++)
        for (metric = 0; metric < 3; metric++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            problem_open(&p, NETWORK);
            d = problem_desc(&p, 22, 4);
            d.loss = flat_loss; set_form(&d, per_slot); d.metric = metrics[metric];
            tr = trainer_open(&d);
            for (step = 0; tr && step < 10; step++) CHECK_INT(badm_step(tr, NULL, 22, NULL), BADM_OK);
            CHECK(distance(p.model, golden_net_start) <= 1e-6);
            badm_trainer_free(tr);
            badm_model_free(p.model);
        }
}

/* If decay reached the dual it would come back as momentum, and the shrinking would not be this power. */
TEST(decoupled_decay_stays_out_of_the_dual)
{
    int per_slot, metric, step;
    size_t i, k, at;
    for (per_slot = 0; per_slot < 2; per_slot++)
        for (metric = 0; metric < 3; metric++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            float expected[GOLDEN_SIZE];
            problem_open(&p, NETWORK);
            d = problem_desc(&p, 22, 4);
            d.loss = flat_loss; set_form(&d, per_slot); d.metric = metrics[metric];
            d.sigma = 2; d.rho = 18; d.weight_decay = 0.1f;
            tr = trainer_open(&d);
            for (step = 0; tr && step < 20; step++) CHECK_INT(badm_step(tr, NULL, 22, NULL), BADM_OK);
            at = 0;
            for (k = 0; k < badm_param_count(p.model); k++) {       /* what is not orthogonalised beside what is moves by a part */
                badm_param of = badm_param_at(p.model, k);
                double rest = metrics[metric] == BADM_ORTHOGONAL && badm_param_shape(of).rank != 2 ? 0.05 : 1;
                for (i = 0; i < badm_param_size(of); i++, at++)
                    expected[at] = (float)((double)golden_net_start[at] * pow(1 - rest * 0.1 / 2, 20));
            }
            CHECK(distance(p.model, expected) <= 1e-5);
            badm_trainer_free(tr);
            badm_model_free(p.model);
        }
}

TEST(clipping_scales_the_mean_gradient_to_the_threshold)
{
    static const float thresholds[3] = { 0.05f, 0.25f, 100.0f };
    int i, per_slot;
    for (i = 0; i < 3; i++)
        for (per_slot = 0; per_slot < 2; per_slot++) {
            problem p;
            badm_trainer_desc d;
            badm_trainer *tr;
            badm_report r;
            problem_open(&p, NETWORK);
            d = problem_desc(&p, 24, 4);
            set_form(&d, per_slot);
            d.sigma = 1; d.rho = 4; d.clip = thresholds[i];
            tr = trainer_open(&d);
            if (tr) {
                double factor, clipped;
                CHECK_INT(badm_step(tr, NULL, 24, &r), BADM_OK);
                CHECK(r.grad_norm > 0.25f && r.grad_norm < 100.0f);
                factor = (double)thresholds[i] / (double)r.grad_norm;
                CHECK_NEAR(r.clip_factor, factor < 1 ? factor : 1, 1e-6);
                /* the first step moves by 2/(rho+sigma) times the clipped gradient */
                clipped = (double)r.grad_norm * (double)r.clip_factor;
                CHECK_NEAR(r.step_norm, 2.0 / 5 * clipped, 1e-5 * clipped);
            }
            badm_trainer_free(tr);
            badm_model_free(p.model);
        }
}

/* ---------------------------------------------------------------------------------------------------------------------
   Collapsed against per slot
   --------------------------------------------------------------------------------------------------------------------- */

/* 500 steps on moving batches; sigma and rho change every step; S does not divide the batch. */
static double forms_apart(int kind, badm_metric metric, uint32_t slots, uint32_t short_count)
{
    problem p[2];
    badm_trainer *tr[2];
    double worst = 0;
    uint32_t step;
    int i;
    for (i = 0; i < 2; i++) {
        badm_trainer_desc d;
        problem_open(&p[i], kind);
        d = problem_desc(&p[i], 22, slots);
        d.metric = metric; set_form(&d, i);
        d.sigma = metric == BADM_PLAIN ? 2.0f : 40.0f; d.rho = metric == BADM_PLAIN ? 8.0f : 200.0f;
        d.rates = varying_rates;
        tr[i] = trainer_open(&d);
    }
    for (step = 0; tr[0] && tr[1] && step < 500; step++) {
        uint32_t index[22], count = short_count && step % 3 == 2 ? short_count : 22;
        walk(index, p[0].samples, count, step);
        for (i = 0; i < 2; i++) step_taken(tr[i], index, count, NULL);
        raise_to(&worst, distance_between(p[0].model, p[1].model));
    }
    for (i = 0; i < 2; i++) { badm_trainer_free(tr[i]); badm_model_free(p[i].model); }
    return worst;
}

TEST(collapsed_equals_per_slot_for_500_steps_on_quadratics)
{
    double four = forms_apart(LEAST_SQUARES, BADM_PLAIN, 4, 0), seven = forms_apart(LEAST_SQUARES, BADM_PLAIN, 7, 0);
    printf("quadratics: forms apart by %.2g (S = 4), %.2g (S = 7)\n", four, seven);
    CHECK(four <= 1e-5);
    CHECK(seven <= 1e-5);
}

TEST(collapsed_equals_per_slot_for_500_steps_on_logistic_regression)
{
    double four = forms_apart(LOGISTIC, BADM_PLAIN, 4, 0), seven = forms_apart(LOGISTIC, BADM_PLAIN, 7, 0);
    printf("logistic regression: forms apart by %.2g (S = 4), %.2g (S = 7)\n", four, seven);
    CHECK(four <= 1e-5);
    CHECK(seven <= 1e-5);
}

TEST(forms_differ_when_alpha_changes)
{
    double squares = forms_apart(LEAST_SQUARES, BADM_PLAIN, 4, 9), logistic = forms_apart(LOGISTIC, BADM_PLAIN, 4, 9);
    printf("every third batch short (alpha changes): forms apart by %.2g on quadratics, %.2g on logistic regression\n",
           squares, logistic);
    CHECK(squares > 1e-4);
    CHECK(logistic > 1e-4);
}

/* A bigger network on random data for what needs many numbers: 10-24-4 and 512 samples. */
#define CLOUD 512
typedef struct { float x[CLOUD * 10], onehot[CLOUD * 4]; int32_t label[CLOUD]; } cloud;
typedef struct {
    badm_linear fc1, fc2;
    const cloud *data;
    int spoilt;                                 /* its loss is not a number at this step and local step */
    uint64_t spoilt_step;
    uint32_t spoilt_local_step;
} cloud_net;

static void cloud_fill(cloud *c)
{
    badm_rng r;
    int i, j;
    badm_rng_init(&r, 11, 0);
    for (i = 0; i < CLOUD; i++) {
        float *x = c->x + 10 * i, largest = -10;
        for (j = 0; j < 10; j++) x[j] = badm_rng_normal(&r);
        for (j = 0; j < 4; j++) {           /* the class: the largest of four noisy features */
            float v = x[j] * x[9 - j] + 0.5f * badm_rng_normal(&r);
            if (v > largest) { largest = v; c->label[i] = j; }
        }
        for (j = 0; j < 4; j++) c->onehot[4 * i + j] = j == c->label[i] ? 1.0f : 0.0f;
    }
}

static badm_tensor *cloud_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const cloud_net *n = (const cloud_net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->fc1, badm_rows(t, n->data->x, 10, b)));
    badm_tensor *loss = badm_cross_entropy(t, badm_linear_forward(t, n->fc2, h), badm_labels(t, n->data->label, b));
    if (n->spoilt && b->step == n->spoilt_step && b->local_step == n->spoilt_local_step)
        loss = badm_scale(t, loss, (float)NAN);
    return loss;
}

/* A sigmoid on each output. The gradient of cross entropy to the last weight is singular, its rows add up to zero:
   orthogonalising amplifies the rounding of the vanishing singular value, which is no difference between forms. */
static badm_tensor *cloud_sigmoids_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const cloud_net *n = (const cloud_net *)user;
    badm_tensor *h = badm_tanh(t, badm_linear_forward(t, n->fc1, badm_rows(t, n->data->x, 10, b)));
    return badm_bce_with_logits(t, badm_linear_forward(t, n->fc2, h), badm_rows(t, n->data->onehot, 4, b));
}

static badm_model *cloud_open(cloud_net *n, const cloud *c)
{
    badm_model *m = badm_model_new(5);
    memset(n, 0, sizeof *n);
    n->fc1 = badm_linear_new(m, "fc1", 10, 24);
    n->fc2 = badm_linear_new(m, "fc2", 24, 4);
    n->data = c;
    return m;
}

static badm_trainer_desc cloud_desc(badm_model *m, cloud_net *n, uint32_t max_batch, uint32_t slots)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = cloud_loss; d.user = n; d.max_batch = max_batch; d.sub_batches = slots; d.workers = 1;
    return d;
}

static void cloud_batch(uint32_t *index, uint32_t count, uint32_t step)
{
    badm_rng r;
    uint32_t i;
    badm_rng_init(&r, 12, step);
    for (i = 0; i < count; i++) index[i] = badm_rng_below(&r, CLOUD);
}

static cloud data;

/* Before every step the collapsed trainer is given the other's weights; its m has come by its own recursion, so it is
   -sum alpha_s pi_s only as far as the theory and rounding allow, and that is part of the claim. */
TEST(collapsed_equals_per_slot_from_500_common_states_of_a_network)
{
    static const char *const names[3] = { "plain", "diagonal", "orthogonal" };
    int metric;
    cloud_fill(&data);
    for (metric = 0; metric < 3; metric++) {
        cloud_net net[2];
        badm_model *m[2];
        badm_trainer *tr[2];
        double worst = 0, moved = 0;
        uint32_t step, index[37];
        int i;
        for (i = 0; i < 2; i++) {
            badm_trainer_desc d;
            m[i] = cloud_open(&net[i], &data);
            d = cloud_desc(m[i], &net[i], 37, 4);
            d.metric = metrics[metric]; set_form(&d, i); d.rates = varying_rates;
            if (d.metric == BADM_ORTHOGONAL) d.loss = cloud_sigmoids_loss;
            if (metric == 0) { d.sigma = 2; d.rho = 10; } else { d.sigma = 100; d.rho = 500; }
            tr[i] = trainer_open(&d);
        }
        for (step = 0; tr[0] && tr[1] && step < 500; step++) {
            badm_report r;
            cloud_batch(index, 37, step);
            CHECK_INT(badm_model_copy(m[0], m[1]), BADM_OK);
            for (i = 0; i < 2; i++) CHECK_INT(badm_step(tr[i], index, 37, &r), BADM_OK);
            raise_to(&worst, distance_between(m[0], m[1]));
            if ((double)r.step_norm > moved) moved = (double)r.step_norm;
        }
        printf("%s: one step from 500 common states of a network: forms apart by %.2g (longest step %.2g)\n",
               names[metric], worst, moved);
        CHECK(worst <= 1e-6);
        CHECK(moved > 1e-2);
        for (i = 0; i < 2; i++) { badm_trainer_free(tr[i]); badm_model_free(m[i]); }
    }
}

TEST(number_of_slots_does_not_change_the_collapsed_iterates)
{
    static const uint32_t slots[5] = { 1, 2, 3, 4, 8 };
    badm_model *first = NULL;
    cloud_net net[5];
    int i;
    cloud_fill(&data);
    for (i = 0; i < 5; i++) {
        badm_model *m = cloud_open(&net[i], &data);
        badm_trainer_desc d = cloud_desc(m, &net[i], 37, slots[i]);
        badm_trainer *tr;
        uint32_t step, index[37];
        d.sigma = 2; d.rho = 10;
        tr = trainer_open(&d);
        for (step = 0; tr && step < 50; step++) {
            cloud_batch(index, 37, step);
            CHECK_INT(badm_step(tr, index, 37, NULL), BADM_OK);
        }
        badm_trainer_free(tr);
        if (!first) first = m;
        else { CHECK(distance_between(m, first) <= 1e-5); badm_model_free(m); }
    }
    badm_model_free(first);
}

/* ---------------------------------------------------------------------------------------------------------------------
   Quadratics: sum of h_i w_i^2/2
   --------------------------------------------------------------------------------------------------------------------- */

#define CURVATURES 201
typedef struct { badm_param w; badm_dim n; float h[CURVATURES]; } quadratic;

static badm_tensor *quadratic_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const quadratic *q = (const quadratic *)user;
    badm_tensor *w = badm_param_use(t, q->w);
    (void)b;
    return badm_scale(t, badm_sum(t, badm_mul(t, badm_input(t, 1, &q->n, q->h), badm_mul(t, w, w))), 0.5f);
}

static badm_model *quadratic_open(quadratic *q, badm_dim n)
{
    badm_model *m = badm_model_new(1);
    q->n = n;
    q->w = badm_param_new(m, "w", 1, &q->n, badm_init_constant(1.0f));
    return m;
}

static badm_trainer *quadratic_trainer(badm_model *m, quadratic *q, float sigma, float rho, badm_form form)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.model = m; d.loss = quadratic_loss; d.user = q; d.workers = 1;
    d.max_batch = 2; d.sub_batches = form == BADM_PER_SLOT ? 2 : 1;
    d.sigma = sigma; d.rho = rho; d.form = form;
    return trainer_open(&d);
}

/* Where the root of the 2x2 step leaves -1, 1 % of h moves it by more than 1 %: 1,500 steps tell the sides apart beyond
   doubt. */
TEST(quadratics_are_stable_just_below_the_limit_and_unstable_just_above)
{
    static const float sigma[6] = { 1, 0.1f, 5, 2, 0.02f, 1 }, rho[6] = { 9, 1, 5, 0.5f, 1, 0 };
    int i, above, per_slot;
    for (i = 0; i < 6; i++)
        for (above = 0; above < 2; above++)
            for (per_slot = 0; per_slot < 2; per_slot++) {
                quadratic q;
                badm_model *m = quadratic_open(&q, 1);
                badm_form form = per_slot ? BADM_PER_SLOT : BADM_COLLAPSED;
                badm_trainer *tr = quadratic_trainer(m, &q, sigma[i], rho[i], form);
                double limit = (4 * (double)rho[i] + 2 * (double)sigma[i]) / 3;
                int step;
                q.h[0] = (float)(limit * (above ? 1.01 : 0.99));
                for (step = 0; tr && step < 1500; step++) {
                    CHECK_INT(badm_step(tr, NULL, 2, NULL), BADM_OK);
                    if (fabs((double)badm_param_values(q.w)[0]) > 1e6) break;
                }
                if (above) CHECK(fabs((double)badm_param_values(q.w)[0]) > 1e6);
                else CHECK(fabs((double)badm_param_values(q.w)[0]) < 1e-4);
                badm_trainer_free(tr);
                badm_model_free(m);
            }
}

/* The step is linear in (w, m). With y = the w that a step from w = 0 leads to, which is m in another unit, the map of
   (w, y) is [a 1; b c]: from (1, 0) the step leads to w = a, and a second one from w := 0 shows b; from (0, b) to
   w = b, and the next one shows b c. */
TEST(rate_on_an_ill_conditioned_quadratic_is_the_accelerated_one)
{
    quadratic q;
    badm_model *m = quadratic_open(&q, CURVATURES);
    badm_trainer *tr;
    const double mu = 1e-4, L = 1;
    double a[CURVATURES], b[CURVATURES], radius = 0;
    int i, step;
    for (i = 0; i < CURVATURES; i++) q.h[i] = (float)(mu * pow(L / mu, (double)i / (CURVATURES - 1)));
    tr = quadratic_trainer(m, &q, (float)(2 * sqrt(mu * L)), (float)L, BADM_COLLAPSED);
    for (step = 0; tr && step < 3; step++) {
        float *w = badm_param_data(q.w);
        CHECK_INT(badm_step(tr, NULL, 1, NULL), BADM_OK);
        for (i = 0; i < CURVATURES; i++) {
            if (step == 0) a[i] = (double)w[i];
            else if (step == 1) b[i] = (double)w[i];
            else {
                double c = (double)w[i] / b[i], discriminant = (a[i] - c) * (a[i] - c) + 4 * b[i];
                double root = discriminant < 0 ? sqrt(a[i] * c - b[i]) : (fabs(a[i] + c) + sqrt(discriminant)) / 2;
                raise_to(&radius, root);
            }
            w[i] = 0;
        }
    }
    printf("kappa = 1e4: 1 - spectral radius = %.5f\n", 1 - radius);
    CHECK_NEAR(1 - radius, 0.0098, 0.03 * 0.0098);
    badm_trainer_free(tr);
    badm_model_free(m);
}

/* ---------------------------------------------------------------------------------------------------------------------
   Residuals and balancing
   --------------------------------------------------------------------------------------------------------------------- */

/* The recursion leaves out the products of a slot's gradient and its multiplier, which average to nothing: over steps,
   and over slots. */
TEST(collapsed_primal_residual_follows_the_exact_one)
{
    cloud_net net[2];
    badm_model *m[2];
    badm_trainer *tr[2];
    double worst = 0, mean = 0;
    uint32_t step, index[64];
    int i;
    cloud_fill(&data);
    for (i = 0; i < 2; i++) {
        badm_trainer_desc d;
        m[i] = cloud_open(&net[i], &data);
        d = cloud_desc(m[i], &net[i], 64, 8);
        set_form(&d, i);
        d.sigma = 1; d.rho = 9;
        tr[i] = trainer_open(&d);
    }
    for (step = 0; tr[0] && tr[1] && step < 200; step++) {
        badm_report r[2];
        double off;
        cloud_batch(index, 64, step);
        for (i = 0; i < 2; i++) CHECK_INT(badm_step(tr[i], index, 64, &r[i]), BADM_OK);
        off = relative(r[0].primal_residual, r[1].primal_residual);
        raise_to(&worst, off);
        mean += off / 200;
    }
    printf("primal residual by recursion: %.2g off in the mean of 200 steps, at most %.2g\n", mean, worst);
    CHECK(worst <= 0.05);
    for (i = 0; i < 2; i++) { badm_trainer_free(tr[i]); badm_model_free(m[i]); }
}

/* rho rises where sigma*primal/dual is over `balance` and falls where it is under its reciprocal; sigma, the step size,
   rests. */
TEST(balancing_moves_rho_the_right_way_within_its_limits)
{
    /* many small sub-batches that disagree call for a larger rho than this one, a few large ones for a smaller */
    static const uint32_t slots[2] = { 32, 4 };
    static const float start[2] = { 0.5f, 400.0f }, end[2] = { 5.0f, 40.0f };
    int from, per_slot;
    cloud_fill(&data);
    for (from = 0; from < 2; from++)
        for (per_slot = 0; per_slot < 2; per_slot++) {
            cloud_net net;
            badm_model *m = cloud_open(&net, &data);
            badm_trainer_desc d = cloud_desc(m, &net, 64, slots[from]);
            badm_trainer *tr;
            badm_report r;
            float before = start[from];
            int moves = 0;
            uint32_t step, index[64];
            double ratio = 1;
            set_form(&d, per_slot);
            d.sigma = 4; d.rho = start[from]; d.balance = 1.5f;
            tr = trainer_open(&d);
            for (step = 0; tr && step < 200; step++) {
                cloud_batch(index, 64, step);
                CHECK_INT(badm_step(tr, index, 64, &r), BADM_OK);
                CHECK(r.rates.sigma == 4.0f);
                CHECK(r.rates.rho >= start[from] / 10 * 0.999999f && r.rates.rho <= start[from] * 10 * 1.000001f);
                if (r.rates.rho > before) { moves++; CHECK(ratio > 1.5); }
                if (r.rates.rho < before) { moves++; CHECK(ratio < 1 / 1.5); }
                before = r.rates.rho;
                ratio = (double)r.rates.sigma * (double)r.primal_residual / (double)r.dual_residual;
            }
            printf("balancing from rho = %g: %d moves to %g\n", (double)start[from], moves, (double)before);
            CHECK_NEAR(before, end[from], 1e-5 * (double)end[from]);
            badm_trainer_free(tr);
            badm_model_free(m);
        }
}

/* ---------------------------------------------------------------------------------------------------------------------
   Several machines: two trainers in two threads
   --------------------------------------------------------------------------------------------------------------------- */

/* A sum over both with two buffers in turn, so that the faster one cannot overwrite what the other has not read. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t arrived_all;
    float sum[2][4096];
    int arrived, left;          /* left: one has stopped, waiting for it would be for ever */
    unsigned round;
} exchange;

static int exchange_sum(float *buf, size_t n, void *user)
{
    exchange *e = (exchange *)user;
    unsigned round;
    size_t i;
    int failed;
    if (n > 4096) return 1;
    pthread_mutex_lock(&e->lock);
    round = e->round;
    for (i = 0; i < n; i++) e->sum[round & 1][i] = e->arrived ? e->sum[round & 1][i] + buf[i] : buf[i];
    if (++e->arrived == 2) { e->arrived = 0; e->round++; pthread_cond_broadcast(&e->arrived_all); }
    while (e->round == round && !e->left) pthread_cond_wait(&e->arrived_all, &e->lock);
    failed = e->round == round;
    memcpy(buf, e->sum[round & 1], n * sizeof(float));
    pthread_mutex_unlock(&e->lock);
    return failed;
}

static void exchange_leave(exchange *e)
{
    pthread_mutex_lock(&e->lock);
    e->left = 1;
    pthread_cond_broadcast(&e->arrived_all);
    pthread_mutex_unlock(&e->lock);
}

typedef struct {
    badm_model *model;
    cloud_net net;
    badm_trainer *trainer;
    exchange *e;
    uint32_t first, count, of, local_steps;     /* its samples of each batch of `of` */
    badm_result result, refusal;                /* the last step's, and that of a refused one */
    int refused;
    badm_report report;
} machine;

#define MACHINE_STEPS 25

/* A refused step must leave the model as it was; it is repeated once, on both machines, without what spoilt it. */

static void *machine_run(void *arg)
{
    machine *m = (machine *)arg;
    uint32_t step, k, batch[48], index[4 * 48];
    for (step = 0; step < MACHINE_STEPS && m->result == BADM_OK; step++) {
        uint64_t before = badm_model_hash(m->model);
        for (k = 0; k < m->local_steps; k++) {
            cloud_batch(batch, m->of, step * m->local_steps + k);
            memcpy(index + k * m->count, batch + m->first, m->count * sizeof *index);
        }
        m->result = badm_step(m->trainer, index, m->count, &m->report);
        if (m->result != BADM_OK && m->refused++ == 0 && badm_model_hash(m->model) == before) {
            m->refusal = m->result;
            m->net.spoilt = 0;
            m->result = badm_step(m->trainer, index, m->count, &m->report);
        }
    }
    exchange_leave(m->e);
    return NULL;
}

/* spoilt: the local step in which the second machine fails once, -1 for none. Returns the parameters' hash. */
static uint64_t two_machines(const char *name, const badm_trainer_desc *like, int spoilt)
{
    static exchange e;
    machine m[3];               /* two with halves, and one alone with all */
    pthread_t thread;
    uint64_t hash = 0;
    double off;
    int i;
    memset(&e, 0, sizeof e);
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.arrived_all, NULL);
    memset(m, 0, sizeof m);
    for (i = 0; i < 3; i++) {
        badm_trainer_desc d = *like;
        m[i].model = cloud_open(&m[i].net, &data);
        if (i == 1 && spoilt >= 0) {
            m[i].net.spoilt = 1; m[i].net.spoilt_step = 7; m[i].net.spoilt_local_step = (uint32_t)spoilt;
        }
        m[i].e = &e; m[i].of = 48; m[i].local_steps = like->local_steps;
        m[i].first = i == 1 ? 24 : 0; m[i].count = i == 2 ? 48 : 24;
        d.model = m[i].model; d.user = &m[i].net;
        d.max_batch = m[i].count; d.sub_batches = i == 2 ? 4 : 2;
        if (i < 2) { d.allreduce = exchange_sum; d.allreduce_user = &e; }
        m[i].trainer = trainer_open(&d);
    }
    if (m[0].trainer && m[1].trainer && m[2].trainer && pthread_create(&thread, NULL, machine_run, &m[1]) == 0) {
        machine_run(&m[0]);
        pthread_join(thread, NULL);
        machine_run(&m[2]);
        for (i = 0; i < 3; i++) {
            CHECK_INT(m[i].result, BADM_OK);
            CHECK_INT(badm_trainer_step(m[i].trainer), MACHINE_STEPS);
            CHECK_INT(m[i].refused, i < 2 && spoilt >= 0);
            CHECK_INT(m[i].refusal, spoilt < 0 || i == 2 ? BADM_OK : i == 1 ? BADM_ERR_NONFINITE : BADM_ERR_EXCHANGE);
        }
        hash = badm_model_hash(m[0].model);
        CHECK(hash == badm_model_hash(m[1].model));
        off = distance_between(m[0].model, m[2].model);
        printf("two machines, %s: %.2g from one\n", name, off);
        CHECK(off <= 1e-5);
        if (like->form == BADM_COLLAPSED || like->metric == BADM_DIAGONAL)      /* else G is never exchanged */
            CHECK(relative(m[0].report.grad_norm, m[2].report.grad_norm) <= 1e-4);
        CHECK(relative(m[0].report.loss, m[2].report.loss) <= 1e-4);
        CHECK(relative(m[0].report.primal_residual, m[2].report.primal_residual) <= 1e-4);
        CHECK(relative(m[0].report.dual_residual, m[2].report.dual_residual) <= 1e-4);
    } else { printf("%s: two machines could not be started\n", name); test_failures++; }
    for (i = 0; i < 3; i++) { badm_trainer_free(m[i].trainer); badm_model_free(m[i].model); }
    pthread_cond_destroy(&e.arrived_all);
    pthread_mutex_destroy(&e.lock);
    return hash;
}

static badm_trainer_desc machine_desc(void)
{
    badm_trainer_desc d;
    badm_trainer_defaults(&d);
    d.loss = cloud_loss; d.workers = 1; d.sigma = 2; d.rho = 10;
    return d;
}

TEST(two_machines_equal_one_plain_collapsed)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    two_machines("plain, collapsed", &d, -1);
    d.clip = 0.1f;
    two_machines("plain, collapsed, clip", &d, -1);
}

TEST(two_machines_equal_one_diagonal)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    d.metric = BADM_DIAGONAL; d.sigma = 100; d.rho = 500;
    two_machines("diagonal, collapsed", &d, -1);
    d.second_moment_of_slots = 1;
    two_machines("diagonal, collapsed, second moment of slots", &d, -1);
    d.second_moment_of_slots = 0; d.form = BADM_PER_SLOT;
    two_machines("diagonal, per slot", &d, -1);
}

TEST(two_machines_equal_one_with_four_local_steps)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    d.form = BADM_PER_SLOT; d.local_steps = 4; d.sigma = 4; d.rho = 20;
    two_machines("K = 4, per slot", &d, -1);
    /* Q of the very first step is |G| + eps, and three local steps divide by it: eps keeps a vanishing G_i from
       amplifying its rounding */
    d.metric = BADM_DIAGONAL; d.sigma = 200; d.rho = 1000; d.eps = 1e-3f;
    two_machines("K = 4, diagonal, per slot", &d, -1);
}

TEST(balancing_is_the_same_on_two_machines_as_on_one)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    d.balance = 1.5f; d.sigma = 4; d.rho = 400;
    two_machines("balancing, collapsed", &d, -1);
    d.form = BADM_PER_SLOT;
    two_machines("balancing, per slot", &d, -1);
}

TEST(machine_that_refuses_a_step_stops_the_other_and_both_can_repeat_it)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    CHECK(two_machines("collapsed, spoilt once", &d, 0) == two_machines("collapsed", &d, -1));
    d.form = BADM_PER_SLOT; d.local_steps = 4; d.sigma = 4; d.rho = 20;
    CHECK(two_machines("K = 4, spoilt once", &d, 0) == two_machines("K = 4", &d, -1));
    CHECK(two_machines("K = 4, spoilt in a local step", &d, 2) == two_machines("K = 4", &d, -1));
}

/* A sum over one machine that fails at the k-th call. */
typedef struct { int calls, fail_at; } frail;

static int frail_sum(float *buf, size_t n, void *user)
{
    frail *f = (frail *)user;
    (void)buf; (void)n;
    return ++f->calls == f->fail_at;
}

/* For every k: the step is refused, nothing has moved, and going on gives the bits of a run that never failed. */
static void failing_exchange(const char *name, const badm_trainer_desc *like)
{
    uint64_t without = 0;
    int k, refused = 0;
    for (k = 0; k < 40; k++) {
        cloud_net net;
        badm_model *m = cloud_open(&net, &data);
        badm_trainer_desc d = *like;
        badm_trainer *tr;
        frail f = { 0, 0 };
        uint32_t step, index[4 * 40];
        int failed = 0;
        f.fail_at = k;
        d.model = m; d.user = &net; d.max_batch = 40; d.sub_batches = 4; d.allreduce = frail_sum; d.allreduce_user = &f;
        tr = trainer_open(&d);
        for (step = 0; tr && step < 5;) {
            uint64_t hash = badm_model_hash(m);
            badm_result r;
            cloud_batch(index, 40 * d.local_steps, step);
            r = badm_step(tr, index, 40, NULL);
            if (r == BADM_OK) { step++; continue; }
            CHECK_INT(r, BADM_ERR_EXCHANGE);
            CHECK_TEXT(badm_trainer_error(tr), "allreduce");
            CHECK(badm_model_hash(m) == hash);
            CHECK_INT(badm_trainer_step(tr), step);
            if (++failed > 1) break;
        }
        refused += failed;
        if (k == 0) without = badm_model_hash(m);
        else CHECK(badm_model_hash(m) == without);
        badm_trainer_free(tr);
        badm_model_free(m);
        if (k && f.calls < k) break;        /* no such call any more */
    }
    printf("%s: an exchange failed at %d places\n", name, refused);
    CHECK(refused >= 5 && k < 40);
}

TEST(failing_allreduce_is_an_error_and_changes_nothing)
{
    badm_trainer_desc d = machine_desc();
    cloud_fill(&data);
    failing_exchange("collapsed", &d);
    d.form = BADM_PER_SLOT;
    failing_exchange("per slot", &d);
    d.local_steps = 4;
    failing_exchange("K = 4", &d);
    d = machine_desc();
    d.metric = BADM_DIAGONAL; d.sigma = 100; d.rho = 500;
    failing_exchange("diagonal", &d);
    d.form = BADM_PER_SLOT;
    failing_exchange("diagonal, per slot", &d);
    d.local_steps = 4;
    failing_exchange("diagonal, K = 4", &d);
    d = machine_desc();
    d.form = BADM_PER_SLOT; d.metric = BADM_SISA;
    failing_exchange("SISA", &d);
    d = machine_desc();
    d.method = badm_method_muon();
    failing_exchange("Muon", &d);
}

/* ---------------------------------------------------------------------------------------------------------------------
   What is refused
   --------------------------------------------------------------------------------------------------------------------- */

static badm_trainer_desc good;

static void refused(const badm_trainer_desc *d, const char *part, int line)
{
    badm_trainer *tr = (badm_trainer *)&good;
    size_t bytes = 0;
    badm_result r = badm_trainer_new(&tr, d);
    const char *text = badm_model_error(good.model);
    if (r != BADM_ERR_ARGUMENT || tr != NULL || !strstr(text, part)) {
        printf("line %d: result %d (%s), trainer %s, \"%s\" should contain \"%s\"\n",
               line, (int)r, badm_result_text(r), tr ? "made" : "NULL", text, part);
        test_failures++;
        if (r == BADM_OK) badm_trainer_free(tr);
    }
    if (badm_trainer_bytes(d, &bytes) != BADM_ERR_ARGUMENT) {
        printf("line %d: badm_trainer_bytes accepts it\n", line);
        test_failures++;
    }
}

#define REFUSED(change, part) do { badm_trainer_desc d = good; change; refused(&d, (part), __LINE__); } while (0)

TEST(impossible_combinations_are_refused_with_the_reason)
{
    problem p;
    badm_trainer *tr;
    problem_open(&p, NETWORK);
    good = problem_desc(&p, 24, 4);

    REFUSED(d.filled = 0, "");          /* whatever else it holds may be garbage, d.model too: the result alone tells */
    REFUSED(d.loss = NULL, "loss");
    REFUSED(d.max_batch = 0, "max_batch");
    REFUSED(d.sub_batches = 0, "sub_batches");
    REFUSED(d.max_batch = 3, "max_batch");
    REFUSED(d.workers = 0, "workers");
    REFUSED(d.local_steps = 0, "local_steps");

    REFUSED(d.sigma = 0, "sigma");
    REFUSED(d.sigma = -1, "sigma");
    REFUSED(d.sigma = (float)NAN, "sigma");
    REFUSED(d.sigma = (float)INFINITY, "sigma");
    REFUSED(d.rho = -1, "rho");
    REFUSED(d.rho = (float)NAN, "rho");
    REFUSED(d.rho = (float)INFINITY, "rho");
    REFUSED(d.clip = -1, "clip");
    REFUSED(d.clip = (float)NAN, "clip");
    REFUSED(d.weight_decay = -1, "weight_decay");
    REFUSED(d.weight_decay = (float)NAN, "weight_decay");
    REFUSED(d.ridge = -1, "ridge");
    REFUSED(d.metric = BADM_DIAGONAL; d.beta2 = 1, "beta2");
    REFUSED(d.metric = BADM_DIAGONAL; d.beta2 = -0.1f, "beta2");
    REFUSED(d.metric = BADM_DIAGONAL; d.beta2 = (float)NAN, "beta2");
    REFUSED(d.metric = BADM_DIAGONAL; d.eps = -1, "eps");
    REFUSED(d.balance = 0.5f, "balance");
    REFUSED(d.method = badm_method_adam(); d.lr = -1, "lr");
    REFUSED(d.method = badm_method_adam(); d.beta1 = 1, "beta1");

    REFUSED(d.local_steps = 2, "local_steps");
    REFUSED(d.local_steps = 2; d.form = BADM_PER_SLOT; d.metric = BADM_ORTHOGONAL, "local_steps");
    REFUSED(d.local_steps = 2; d.form = BADM_PER_SLOT; d.method = badm_method_adam(), "local_steps");
    REFUSED(d.metric = BADM_SISA, "SISA");
    REFUSED(d.metric = BADM_SISA; d.form = BADM_PER_SLOT; d.local_steps = 2, "SISA");
    REFUSED(d.form = BADM_PER_SLOT; d.method = badm_method_muon(), "form");
    REFUSED(d.metric = BADM_DIAGONAL; d.ridge = 0.1f, "ridge");
    REFUSED(d.metric = BADM_ORTHOGONAL; d.ridge = 0.1f, "ridge");

    badm_set_metric(p.model, "fc1.bias", BADM_DIAGONAL);        /* a group's metric counts as well */
    REFUSED(d.metric = BADM_SISA; d.form = BADM_PER_SLOT, "SISA");
    REFUSED(d.ridge = 0.1f, "ridge");
    badm_set_metric(p.model, "fc1.bias", BADM_PLAIN);
    REFUSED(d.metric = BADM_SISA; d.form = BADM_PER_SLOT, "SISA");
    badm_set_metric(p.model, "", BADM_METRIC_OF_TRAINER);

    tr = trainer_open(&good);       /* the unchanged one is fine, and the model has not suffered */
    CHECK(tr != NULL);
    badm_trainer_free(tr);
    badm_model_free(p.model);
}

TEST(step_refuses_bad_counts_and_bad_rates_and_keeps_its_state)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    uint64_t hash;
    problem_open(&p, NETWORK);
    d = problem_desc(&p, 24, 4);
    d.weight_decay = 0.1f;
    tr = trainer_open(&d);
    if (!tr) return;
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_step(tr, NULL, 0, NULL), BADM_ERR_ARGUMENT);
    CHECK_INT(badm_step(tr, NULL, 25, NULL), BADM_ERR_ARGUMENT);
    CHECK_INT(badm_step(tr, NULL, 3, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "4 slots but 3 samples");
    CHECK(badm_model_hash(p.model) == hash);
    CHECK_INT(badm_step(tr, NULL, 24, NULL), BADM_OK);
    CHECK_TEXT(badm_trainer_error(tr), "");
    CHECK_INT(badm_trainer_step(tr), 1);
    badm_trainer_free(tr);
    badm_model_free(p.model);
}

/* Rates of the caller's that turn bad at step 2. */
static void failing_rates(badm_rates *r, uint64_t step, void *user)
{
    const float *value = (const float *)user;
    if (step == 2) { if (value[0] >= 1) r->rho = value[1]; else r->sigma = value[1]; }
}

TEST(rates_that_turn_bad_are_refused_and_change_nothing)
{
    static float bad[4][2] = { { 0, 0 }, { 0, -1 }, { 1, -1 }, { 1, (float)NAN } };
    int i, step;
    for (i = 0; i < 4; i++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        problem_open(&p, NETWORK);
        d = problem_desc(&p, 24, 4);
        d.rates = failing_rates; d.rates_user = bad[i];
        tr = trainer_open(&d);
        for (step = 0; tr && step < 2; step++) CHECK_INT(badm_step(tr, NULL, 24, NULL), BADM_OK);
        if (tr) {
            uint64_t hash = badm_model_hash(p.model);
            CHECK_INT(badm_step(tr, NULL, 24, NULL), BADM_ERR_ARGUMENT);
            CHECK_TEXT(badm_trainer_error(tr), i < 2 ? "sigma" : "rho");
            CHECK(badm_model_hash(p.model) == hash);
            CHECK_INT(badm_trainer_step(tr), 2);
        }
        badm_trainer_free(tr);
        badm_model_free(p.model);
    }
}

TEST_MAIN(
    RUN(plain_metric_matches_the_reference)
    RUN(diagonal_metric_matches_the_reference)
    RUN(sisa_matches_the_reference)
    RUN(orthogonal_metric_matches_the_reference)
    RUN(local_steps_match_the_reference)
    RUN(least_squares_matches_the_reference)
    RUN(logistic_regression_matches_the_reference)
    RUN(muon_matches_the_reference)
    RUN(epochs_carry_every_multiplier_as_the_paper_does)
    RUN(first_step_starts_at_the_given_weights)
    RUN(without_gradients_the_weights_rest)
    RUN(decoupled_decay_stays_out_of_the_dual)
    RUN(clipping_scales_the_mean_gradient_to_the_threshold)
    RUN(collapsed_equals_per_slot_for_500_steps_on_quadratics)
    RUN(collapsed_equals_per_slot_for_500_steps_on_logistic_regression)
    RUN(forms_differ_when_alpha_changes)
    RUN(collapsed_equals_per_slot_from_500_common_states_of_a_network)
    RUN(number_of_slots_does_not_change_the_collapsed_iterates)
    RUN(quadratics_are_stable_just_below_the_limit_and_unstable_just_above)
    RUN(rate_on_an_ill_conditioned_quadratic_is_the_accelerated_one)
    RUN(collapsed_primal_residual_follows_the_exact_one)
    RUN(balancing_moves_rho_the_right_way_within_its_limits)
    RUN(two_machines_equal_one_plain_collapsed)
    RUN(two_machines_equal_one_diagonal)
    RUN(two_machines_equal_one_with_four_local_steps)
    RUN(balancing_is_the_same_on_two_machines_as_on_one)
    RUN(machine_that_refuses_a_step_stops_the_other_and_both_can_repeat_it)
    RUN(failing_allreduce_is_an_error_and_changes_nothing)
    RUN(impossible_combinations_are_refused_with_the_reason)
    RUN(step_refuses_bad_counts_and_bad_rates_and_keeps_its_state)
    RUN(rates_that_turn_bad_are_refused_and_change_nothing)
)
