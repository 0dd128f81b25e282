/* >>errors: every bad input gets a sentence that names what was given, and changes nothing. Linked with
   errors_no_text.c. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "memory.h"
#include "problems.h"
#include "buffer.h"

static const badm_dim s3[1] = { 3 }, s23[2] = { 2, 3 }, s24[2] = { 2, 4 }, s32[2] = { 3, 2 }, s45[2] = { 4, 5 };
static const badm_dim s234[3] = { 2, 3, 4 }, s345[3] = { 3, 4, 5 };

/* ---- results and sentences ---- */

TEST(every_result_has_its_words)
{
#define BADM_X(name, value, text) CHECK_INT(name, value); CHECK(!strcmp(badm_result_text(name), text));
    BADM_RESULTS(BADM_X)
#undef BADM_X
    CHECK(badm_result_text((badm_result)-99) != NULL);
    CHECK(badm_result_text((badm_result)1) != NULL);
}

TEST(a_sentence_is_cut_to_fit_and_measured_in_full)
{
    badm_tape *t;
    badm_tensor *x;
    char full[300], cut[300];
    size_t n, i;
    CHECK_INT(badm_tape_new(&t, NULL, 10000), BADM_OK);
    x = badm_input(t, 2, s23, NULL);
    (void)badm_matmul(t, x, x);
    n = badm_error_text(badm_tape_error(t), full, sizeof full);
    CHECK_INT(n, strlen(full));
    CHECK(n > 20);
    CHECK_INT(badm_error_text(badm_tape_error(t), NULL, 0), n);
    for (i = 1; i < n + 5; i++) {
        memset(cut, 'x', sizeof cut);
        CHECK_INT(badm_error_text(badm_tape_error(t), cut, i), n);
        CHECK_INT(strlen(cut), i <= n ? i - 1 : n);
        CHECK(!strncmp(cut, full, strlen(cut)));
        CHECK(cut[i] == 'x');
    }
    badm_tape_free(t);
}

TEST(no_error_has_no_sentence)
{
    badm_error e;
    char text[10] = "before";
    memset(&e, 0, sizeof e);
    CHECK_INT(badm_error_text(&e, text, sizeof text), 0);
    CHECK(!strcmp(text, ""));
}

TEST(a_message_names_shapes_and_numbers)
{
    badm_error e;
    char text[200];
    memset(&e, 0, sizeof e);
    e.code = BADM_ERR_SHAPE;
    e.operation = "twist";
    e.message = "%a by %b: \"%n\" needs %0, not %1";
    e.a.rank = 2; e.a.dim[0] = 128; e.a.dim[1] = 784;
    e.b.rank = 1; e.b.dim[0] = 10;
    e.number[0] = 4000000000u;
    e.number[1] = 0;
    strcpy(e.name, "fc1");
    CHECK_INT(badm_error_text(&e, text, sizeof text), strlen(text));
    CHECK_TEXT(text, "twist");
    CHECK_TEXT(text, "[128,784] by [10]: \"fc1\" needs 4000000000, not 0");
}

void errors_no_text(badm_result code[3], size_t *text);

TEST(without_texts_the_codes_remain)
{
    badm_result code[3];
    size_t text;
    errors_no_text(code, &text);
    CHECK_INT(code[0], BADM_ERR_SHAPE);
    CHECK_INT(code[1], BADM_ERR_ARGUMENT);
    CHECK_INT(code[2], BADM_ERR_ARGUMENT);
    CHECK_INT(text, 0);
}

/* ---- mismatched shapes in every operation ---- */

typedef struct {
    badm_tape *t;
    badm_tensor *x3, *x23, *x24, *x32, *x45, *x234, *x345, *scalar;
    const badm_ints *labels2, *labels5;
} shapes;

static shapes make_shapes(void)
{
    static const int32_t zeros[5] = { 0 };
    static const badm_dim two[1] = { 2 }, five[1] = { 5 };
    shapes s;
    s.t = NULL;
    CHECK_INT(badm_tape_new(&s.t, NULL, 100000), BADM_OK);
    s.x3 = badm_input(s.t, 1, s3, NULL);
    s.x23 = badm_input(s.t, 2, s23, NULL);
    s.x24 = badm_input(s.t, 2, s24, NULL);
    s.x32 = badm_input(s.t, 2, s32, NULL);
    s.x45 = badm_input(s.t, 2, s45, NULL);
    s.x234 = badm_input(s.t, 3, s234, NULL);
    s.x345 = badm_input(s.t, 3, s345, NULL);
    s.scalar = badm_input(s.t, 0, NULL, NULL);
    s.labels2 = badm_ints_input(s.t, 1, two, zeros);
    s.labels5 = badm_ints_input(s.t, 1, five, zeros);
    return s;
}

/* `expression` on a new tape fails with `code`, never NULL, in a sentence that holds both texts. */
#define REFUSED(expression, expected, text0, text1) do { \
    shapes s = make_shapes(); \
    badm_tensor *y = (expression); \
    char sentence[300]; \
    CHECK(y != NULL); \
    CHECK_INT(badm_tape_error(s.t)->code, (expected)); \
    (void)badm_error_text(badm_tape_error(s.t), sentence, sizeof sentence); \
    CHECK_TEXT(sentence, text0); \
    CHECK_TEXT(sentence, text1); \
    badm_tape_free(s.t); } while (0)

TEST(elementwise_operations_refuse_shapes_that_do_not_fit)
{
    REFUSED(badm_add(s.t, s.x23, s.x24), BADM_ERR_SHAPE, "add", "[2,4]");
    REFUSED(badm_sub(s.t, s.x23, s.x32), BADM_ERR_SHAPE, "sub", "[3,2]");
    REFUSED(badm_mul(s.t, s.x24, s.x3), BADM_ERR_SHAPE, "mul", "[3]");
    REFUSED(badm_div(s.t, s.x234, s.x23), BADM_ERR_SHAPE, "div", "[2,3,4]");
    REFUSED(badm_mse(s.t, s.x23, s.x24), BADM_ERR_SHAPE, "mse", "[2,3]");
    REFUSED(badm_mse(s.t, s.x23, s.x3), BADM_ERR_SHAPE, "mse", "[3]");
    REFUSED(badm_bce_with_logits(s.t, s.x23, s.x32), BADM_ERR_SHAPE, "bce_with_logits", "[3,2]");
}

TEST(products_refuse_shapes_that_do_not_fit)
{
    REFUSED(badm_matmul(s.t, s.x23, s.x24), BADM_ERR_SHAPE, "matmul", "[2,3] x [2,4]");
    REFUSED(badm_matmul(s.t, s.x23, s.x24), BADM_ERR_SHAPE, "matmul", "3");
    REFUSED(badm_matmul(s.t, s.x234, s.x345), BADM_ERR_SHAPE, "matmul", "[3,4,5]");
    REFUSED(badm_matmul(s.t, s.x3, s.x3), BADM_ERR_SHAPE, "matmul", "[3]");
    REFUSED(badm_matmul_nt(s.t, s.x23, s.x24), BADM_ERR_SHAPE, "matmul_nt", "[2,4]");
    REFUSED(badm_matmul_tn(s.t, s.x23, s.x32), BADM_ERR_SHAPE, "matmul_tn", "[3,2]");
    REFUSED(badm_affine(s.t, s.x23, s.x24, NULL), BADM_ERR_SHAPE, "affine", "[2,4]");
    REFUSED(badm_affine(s.t, s.x24, s.x24, s.x3), BADM_ERR_SHAPE, "affine", "[3]");
    REFUSED(badm_affine(s.t, s.x23, s.x3, NULL), BADM_ERR_SHAPE, "affine", "[3]");
}

TEST(shaping_operations_refuse_what_does_not_fit)
{
    static const unsigned twice[3] = { 0, 1, 1 }, beyond[3] = { 0, 1, 3 };
    static const badm_dim five[5] = { 1, 1, 2, 3, 1 };
    badm_tensor *pair[2];
    badm_tensor *nine[9];
    int i;
    REFUSED(badm_reshape(s.t, s.x23, 2, s24), BADM_ERR_SHAPE, "reshape", "[2,4]");
    REFUSED(badm_reshape(s.t, s.x23, 5, five), BADM_ERR_SHAPE, "reshape", "5");
    REFUSED(badm_permute(s.t, s.x234, twice), BADM_ERR_SHAPE, "permute", "[2,3,4]");
    REFUSED(badm_permute(s.t, s.x234, beyond), BADM_ERR_SHAPE, "permute", "[2,3,4]");
    REFUSED((pair[0] = s.x23, pair[1] = s.x24, badm_concat(s.t, 2, pair, 0)), BADM_ERR_SHAPE, "concat", "[2,4]");
    REFUSED((pair[0] = s.x23, pair[1] = s.x234, badm_concat(s.t, 2, pair, 1)), BADM_ERR_SHAPE, "concat", "[2,3,4]");
    REFUSED((pair[0] = s.x23, pair[1] = s.x23, badm_concat(s.t, 2, pair, 2)), BADM_ERR_SHAPE, "concat", "2");
    for (i = 0; i < 9; i++) nine[i] = NULL;
    REFUSED((nine[0] = s.x23, badm_concat(s.t, 0, nine, 0)), BADM_ERR_ARGUMENT, "concat", "0");
    REFUSED((nine[0] = nine[1] = nine[2] = nine[3] = nine[4] = nine[5] = nine[6] = nine[7] = nine[8] = s.x23,
            badm_concat(s.t, 9, nine, 0)),
            BADM_ERR_ARGUMENT, "concat", "9");
    REFUSED(badm_slice(s.t, s.x23, 1, 1, 4), BADM_ERR_SHAPE, "slice", "[2,3]");
    REFUSED(badm_slice(s.t, s.x23, 1, 2, 2), BADM_ERR_SHAPE, "slice", "2");
    REFUSED(badm_slice(s.t, s.x23, 1, 2, 1), BADM_ERR_SHAPE, "slice", "1");
    REFUSED(badm_slice(s.t, s.x23, 2, 0, 1), BADM_ERR_SHAPE, "slice", "2");
    REFUSED(badm_sum_axis(s.t, s.x23, 2), BADM_ERR_SHAPE, "sum_axis", "[2,3]");
    REFUSED(badm_mean_axis(s.t, s.x23, 5), BADM_ERR_SHAPE, "mean_axis", "5");
    REFUSED(badm_softmax(s.t, s.scalar), BADM_ERR_SHAPE, "softmax", "[]");
    REFUSED(badm_log_softmax(s.t, s.scalar), BADM_ERR_SHAPE, "log_softmax", "[]");
}

TEST(losses_and_lookups_refuse_labels_that_do_not_fit)
{
    static const badm_dim two[1] = { 2 };
    static const int32_t over[2] = { 0, 3 }, under[2] = { -1, 0 };
    REFUSED(badm_cross_entropy(s.t, s.x23, s.labels5), BADM_ERR_SHAPE, "cross_entropy", "[2,3] with 5 labels");
    REFUSED(badm_cross_entropy(s.t, s.x23, badm_ints_input(s.t, 1, two, over)), BADM_ERR_LABEL, "cross_entropy", "3");
    REFUSED(badm_cross_entropy(s.t, s.x23, badm_ints_input(s.t, 1, two, under)), BADM_ERR_LABEL, "cross_entropy", "1");
    REFUSED(badm_cross_entropy_ignore(s.t, s.x23, badm_ints_input(s.t, 1, two, over), -1), BADM_ERR_LABEL,
            "cross_entropy", "3");
    REFUSED(badm_gather_rows(s.t, s.x3, s.labels2), BADM_ERR_SHAPE, "gather_rows", "[3]");
    REFUSED(badm_gather_rows(s.t, s.x23, badm_ints_input(s.t, 1, two, over)), BADM_ERR_LABEL, "gather_rows", "3");
    REFUSED(badm_gather_rows(s.t, s.x23, badm_ints_input(s.t, 1, two, under)), BADM_ERR_LABEL, "gather_rows", "1");
}

TEST(dropout_refuses_what_is_no_probability)
{
    REFUSED(badm_dropout(s.t, s.x23, 1), BADM_ERR_ARGUMENT, "dropout", "p");
    REFUSED(badm_dropout(s.t, s.x23, -0.1f), BADM_ERR_ARGUMENT, "dropout", "p");
    REFUSED(badm_dropout(s.t, s.x23, (float)NAN), BADM_ERR_ARGUMENT, "dropout", "p");
}

TEST(leaves_refuse_bad_shapes)
{
    static const badm_dim zero[2] = { 2, 0 }, five[5] = { 1, 1, 1, 1, 1 }, wraps[4] = { 65536, 65536, 65536, 65536 },
            huge[2] = { 0xffffffffu, 0xffffffffu };
    REFUSED(badm_input(s.t, 2, zero, NULL), BADM_ERR_SHAPE, "input", "0");
    REFUSED(badm_input(s.t, 5, five, NULL), BADM_ERR_SHAPE, "input", "5");
    REFUSED(badm_variable(s.t, 2, zero, NULL), BADM_ERR_SHAPE, "[2,0]", "elements");
    REFUSED(badm_input(s.t, 4, wraps, NULL), BADM_ERR_MEMORY, "input", "65536");
    REFUSED(badm_input(s.t, 2, huge, NULL), BADM_ERR_MEMORY, "input", "4294967295");
}

/* ---- the trainer ---- */

/* badm_trainer_new and badm_trainer_bytes refuse d, with a sentence that holds text; the model is as before. */
static void refuse_desc(const badm_trainer_desc *d, badm_result expected, const char *text)
{
    badm_trainer *tr = (badm_trainer *)d->user;        /* anything but NULL */
    size_t bytes = 0;
    uint64_t hash = badm_model_hash(d->model);
    CHECK_INT(badm_trainer_new(&tr, d), expected);
    CHECK(tr == NULL);
    CHECK_TEXT(badm_model_error(d->model), text);
    CHECK_INT(badm_trainer_bytes(d, &bytes), expected);
    CHECK(badm_model_hash(d->model) == hash);
}

TEST(a_bad_desc_is_refused_in_words)
{
    problem p;
    badm_trainer_desc good, d;
    badm_trainer *tr;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &good);
#define BAD(change, text) d = good; change; refuse_desc(&d, BADM_ERR_ARGUMENT, text)
    BAD(d.loss = NULL, "loss");
    BAD(d.max_batch = 0, "max_batch");
    BAD(d.sub_batches = 0, "sub_batches");
    BAD(d.workers = 0, "workers");
    BAD(d.sigma = 0, "sigma");
    BAD(d.sigma = -1, "sigma");
    BAD(d.sigma = (float)NAN, "sigma");
    BAD(d.sigma = (float)INFINITY, "sigma");
    BAD(d.rho = -1, "rho");
    BAD(d.rho = (float)NAN, "rho");
    BAD(d.local_steps = 0, "local_steps");
    BAD(d.local_steps = 2, "BADM_PER_SLOT");                                      /* needs the per-slot form */
    BAD((d.local_steps = 2, d.form = BADM_PER_SLOT, d.metric = BADM_ORTHOGONAL), "orthogonal");
    BAD(d.metric = BADM_SISA, "SISA");                                  /* needs it too */
    BAD(d.ridge = -1, "ridge");
    BAD((d.ridge = 1, d.metric = BADM_DIAGONAL), "ridge");
    BAD(d.clip = -1, "clip");
    BAD(d.weight_decay = -1, "weight_decay");
    BAD(d.beta2 = 1, "beta2");
    BAD(d.beta2 = -0.1f, "beta2");
    BAD(d.eps = -1, "eps");
    BAD(d.balance = -1, "balance");
    BAD(d.balance = 0.5f, "balance");
    BAD((d.method = badm_method_adam(), d.lr = -1), "lr");
    BAD((d.method = badm_method_adam(), d.lr = (float)NAN), "lr");
    BAD((d.method = badm_method_adam(), d.beta1 = 1), "beta1");
    /* more slots than the largest batch has samples */
    BAD(d.sub_batches = 100, "96");
#undef BAD
    d = good;
    d.rho = 0;                                                          /* is allowed */
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    badm_trainer_free(tr);
    d = good;
    d.model = NULL;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
    CHECK(tr == NULL);
    /* a refused trainer does not stick in the model */
    CHECK_INT(badm_model_result(p.model), BADM_OK);
    problem_free(&p);
}

/* Its model may be any address, so nothing can be said there; the code alone tells. */
TEST(an_unfilled_desc_is_refused_unread)
{
    badm_trainer_desc d;
    badm_trainer *tr = (badm_trainer *)(void *)&d;
    size_t bytes;
    memset(&d, 0xa5, sizeof d);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
    CHECK(tr == NULL);
    CHECK_INT(badm_trainer_bytes(&d, &bytes), BADM_ERR_ARGUMENT);
    memset(&d, 0, sizeof d);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_ARGUMENT);
    CHECK_INT(badm_trainer_new(&tr, NULL), BADM_ERR_ARGUMENT);
}

TEST(a_model_with_nothing_to_train_is_refused)
{
    problem p;
    badm_trainer_desc d;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    badm_set_frozen(p.model, "", 1);
    problem_desc(&p, &d);
    refuse_desc(&d, BADM_ERR_STATE, "train");
    problem_free(&p);
}

TEST(a_model_with_an_error_is_refused)
{
    problem p;
    badm_trainer_desc d;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    badm_linear_new(p.model, "hidden", 2, 2);           /* the name is used already */
    problem_desc(&p, &d);
    refuse_desc(&d, BADM_ERR_STATE, "hidden.weight");
    problem_free(&p);
}

static badm_tensor *misfit_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const problem *p = (const problem *)user;
    return badm_mean(t, badm_linear_forward(t, p->output, badm_rows(t, p->x, p->width, b)));
}
static badm_tensor *vector_loss(badm_tape *t, const badm_batch *b, void *user) { return problem_outputs(t, b, user); }

TEST(a_loss_that_does_not_fit_is_found_by_the_dry_run)
{
    problem p;
    badm_trainer_desc d;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.loss = misfit_loss;
    refuse_desc(&d, BADM_ERR_SHAPE, "[96,2]");
    d.loss = vector_loss;
    refuse_desc(&d, BADM_ERR_SHAPE, "[96,3]");
    CHECK_INT(badm_model_result(p.model), BADM_OK);
    problem_free(&p);
}

TEST(a_gradient_check_reports_the_error_of_a_loss)
{
    problem p;
    badm_gradient_check c;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_check_gradients(p.model, misfit_loss, &p, 4, 0, 0, &c), BADM_ERR_SHAPE);
    CHECK_INT(badm_check_gradients(p.model, vector_loss, &p, 4, 0, 0, &c), BADM_ERR_SHAPE);
    CHECK_INT(badm_check_gradients(p.model, problem_loss, &p, 0, 0, 0, &c), BADM_ERR_ARGUMENT);
    p.labels[3] = 7;
    CHECK_INT(badm_check_gradients(p.model, problem_loss, &p, 4, 0, 0, &c), BADM_ERR_LABEL);
    CHECK(badm_model_hash(p.model) == hash);
    problem_free(&p);
}

/* A step that is refused leaves the model and the number of steps alone. */
static void refuse_step(badm_trainer *tr, const uint32_t *index, uint32_t count, badm_result expected, const char *text)
{
    uint64_t hash = badm_model_hash(badm_trainer_model(tr)), step = badm_trainer_step(tr);
    CHECK_INT(badm_step(tr, index, count, NULL), expected);
    CHECK_TEXT(badm_trainer_error(tr), text);
    CHECK(badm_model_hash(badm_trainer_model(tr)) == hash);
    CHECK(badm_trainer_step(tr) == step);
}

TEST(bad_batches_are_refused_in_words)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_score score;
    float out[1];
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.sub_batches = 4;
    d.max_batch = 32;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    refuse_step(tr, NULL, 0, BADM_ERR_ARGUMENT, "0");
    refuse_step(tr, NULL, 3, BADM_ERR_ARGUMENT, "4 slots but 3 samples");
    refuse_step(tr, NULL, 33, BADM_ERR_ARGUMENT, "32");
    CHECK_INT(badm_epoch(tr, 0, 16, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK(strlen(badm_trainer_error(tr)) > 0);
    CHECK_INT(badm_epoch(tr, 96, 0, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK(strlen(badm_trainer_error(tr)) > 0);
    CHECK_INT(badm_epoch(tr, 96, 33, NULL, NULL), BADM_ERR_ARGUMENT);
    CHECK_TEXT(badm_trainer_error(tr), "32");
    CHECK_INT(badm_evaluate(tr, NULL, NULL, 0, &score), BADM_ERR_ARGUMENT);
    CHECK(strlen(badm_trainer_error(tr)) > 0);
    CHECK_INT(badm_predict(tr, problem_outputs, &p, 0, 3, out), BADM_ERR_ARGUMENT);
    CHECK_INT(badm_step(tr, NULL, 4, NULL), BADM_OK);
    CHECK(!strcmp(badm_trainer_error(tr), ""));
    badm_trainer_free(tr);
    problem_free(&p);
}

TEST(bad_data_are_refused_in_words)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    d.sub_batches = 3;
    d.workers = 2;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    p.labels[7] = 3;
    refuse_step(tr, NULL, 96, BADM_ERR_LABEL, "cross_entropy");
    p.labels[7] = 0;
    p.x[100] = (float)NAN;
    refuse_step(tr, NULL, 96, BADM_ERR_NONFINITE, "finite");
    p.x[100] = 0;
    CHECK_INT(badm_step(tr, NULL, 96, NULL), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
}

static void bad_rates(badm_rates *r, uint64_t step, void *user)
{
    if (step == 1) r->sigma = *(const float *)user;
}

TEST(a_rates_callback_that_sets_nonsense_is_refused)
{
    static const float bad[] = { 0, -1, (float)NAN };
    int i;
    for (i = 0; i < 3; i++) {
        problem p;
        badm_trainer_desc d;
        badm_trainer *tr;
        float sigma = bad[i];
        problem_new(&p, PROBLEM_BLOBS, NULL, 1);
        problem_desc(&p, &d);
        d.rates = bad_rates;
        d.rates_user = &sigma;
        CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
        CHECK_INT(badm_step(tr, NULL, 96, NULL), BADM_OK);
        refuse_step(tr, NULL, 96, BADM_ERR_ARGUMENT, "sigma");
        badm_trainer_free(tr);
        problem_free(&p);
    }
}

/* ---- files ---- */

static buffer file;

TEST(a_missing_file_is_named)
{
    static const char *const path = "build/no/such/folder/model.safetensors";
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_array array;
    badm_error e;
    char text[300];
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    hash = badm_model_hash(p.model);
    CHECK_INT(badm_load(p.model, path), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(p.model), "model.safetensors");
    CHECK_INT(badm_save(p.model, path), BADM_ERR_FILE);
    CHECK_TEXT(badm_model_error(p.model), "model.safetensors");
    CHECK_INT(badm_checkpoint_load(tr, path), BADM_ERR_FILE);
    CHECK_TEXT(badm_trainer_error(tr), "model.safetensors");
    CHECK_INT(badm_checkpoint_save(tr, path), BADM_ERR_FILE);
    CHECK_INT(badm_save_c(p.model, "net", path), BADM_ERR_FILE);
    CHECK_INT(badm_npy_load(&array, path, NULL, &e), BADM_ERR_FILE);
    (void)badm_error_text(&e, text, sizeof text);
    CHECK_TEXT(text, "model.safetensors");
    CHECK_INT(badm_idx_load(&array, path, NULL, &e), BADM_ERR_FILE);
    CHECK_INT(badm_csv_load(&array, path, NULL, NULL), BADM_ERR_FILE);
    CHECK_INT(badm_libsvm_load(&array, &array, 0, path, NULL, NULL), BADM_ERR_FILE);
    CHECK_INT(badm_model_result(p.model), BADM_OK);         /* does not stick: the model can be used */
    CHECK(badm_model_hash(p.model) == hash);
    CHECK_INT(badm_step(tr, NULL, 96, NULL), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
}

TEST(a_short_file_is_damaged)
{
    problem p;
    badm_writer w;
    badm_reader r;
    size_t full, n;
    uint64_t hash;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    w = buffer_writer(&file);
    CHECK_INT(badm_save_to(p.model, &w), BADM_OK);
    full = file.size;
    badm_param_data(p.output.bias)[0] += 1;
    hash = badm_model_hash(p.model);
    for (n = 0; n < full; n += n < 40 ? 1 : 13) {
        file.size = n;
        r = buffer_reader(&file);
        CHECK_INT(badm_load_from(p.model, &r), BADM_ERR_FORMAT);
        CHECK(strlen(badm_model_error(p.model)) > 0);
        CHECK(badm_model_hash(p.model) == hash);
    }
    file.size = full;
    r = buffer_reader(&file);
    CHECK_INT(badm_load_from(p.model, &r), BADM_OK);
    CHECK(badm_model_hash(p.model) != hash);
    problem_free(&p);
}

TEST(a_file_of_another_model_is_refused_by_name)
{
    problem blobs, other;
    badm_writer w;
    badm_reader r;
    uint64_t hash;
    problem_new(&blobs, PROBLEM_BLOBS, NULL, 1);
    problem_new(&other, PROBLEM_XOR, NULL, 2);
    w = buffer_writer(&file);
    CHECK_INT(badm_save_to(blobs.model, &w), BADM_OK);
    hash = badm_model_hash(other.model);
    r = buffer_reader(&file);
    CHECK_INT(badm_load_from(other.model, &r), BADM_ERR_MODEL);
    CHECK_TEXT(badm_model_error(other.model), "hidden.");
    CHECK(badm_model_hash(other.model) == hash);
    CHECK_INT(badm_model_result(other.model), BADM_OK);
    problem_free(&blobs);
    problem_free(&other);
}

TEST(a_full_disk_is_an_error_of_the_file)
{
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_writer w;
    size_t full;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_OK);
    w = buffer_writer(&file);
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_OK);
    full = file.size;
    w = buffer_writer(&file);
    file.room = full / 2;
    CHECK_INT(badm_checkpoint_save_to(tr, &w), BADM_ERR_FILE);
    CHECK(strlen(badm_trainer_error(tr)) > 0);
    w = buffer_writer(&file);
    file.room = 10;
    CHECK_INT(badm_save_to(p.model, &w), BADM_ERR_FILE);
    CHECK(strlen(badm_model_error(p.model)) > 0);
    CHECK_INT(badm_step(tr, NULL, 96, NULL), BADM_OK);
    badm_trainer_free(tr);
    problem_free(&p);
}

/* ---- memory ---- */

TEST(too_little_memory_is_an_error_with_the_figure)
{
    static unsigned char block[500];
    badm_memory mem;
    problem p;
    badm_trainer_desc d;
    badm_trainer *tr;
    badm_best *best;
    badm_tape *t;
    problem_new(&p, PROBLEM_BLOBS, NULL, 1);
    problem_desc(&p, &d);
    badm_memory_block(&mem, block, sizeof block);
    d.memory = &mem;
    CHECK_INT(badm_trainer_new(&tr, &d), BADM_ERR_MEMORY);
    CHECK(tr == NULL);
    CHECK(strpbrk(badm_model_error(p.model), "0123456789") != NULL);
    CHECK_INT(badm_tape_new(&t, &mem, 1000), BADM_ERR_MEMORY);
    CHECK(t == NULL);
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)-1), BADM_ERR_MEMORY);
    CHECK_INT(badm_tape_new(&t, NULL, (size_t)-64), BADM_ERR_MEMORY);
    problem_free(&p);
    badm_memory_block(&mem, block, sizeof block);
    CHECK(badm_model_new_in(&mem, 1) == NULL || badm_memory_left(&mem) < sizeof block);
    {
        test_heap heap;
        mem = test_heap_memory(&heap);
        problem_new(&p, PROBLEM_BLOBS, &mem, 1);
        heap.fail_at = heap.calls + 1;
        CHECK_INT(badm_best_new(&best, p.model, 1), BADM_ERR_MEMORY);
        CHECK(best == NULL);
        problem_free(&p);
        CHECK_INT(heap.live, 0);
    }
}

TEST_MAIN(
    RUN(every_result_has_its_words)
    RUN(a_sentence_is_cut_to_fit_and_measured_in_full)
    RUN(no_error_has_no_sentence)
    RUN(a_message_names_shapes_and_numbers)
    RUN(without_texts_the_codes_remain)
    RUN(elementwise_operations_refuse_shapes_that_do_not_fit)
    RUN(products_refuse_shapes_that_do_not_fit)
    RUN(shaping_operations_refuse_what_does_not_fit)
    RUN(losses_and_lookups_refuse_labels_that_do_not_fit)
    RUN(dropout_refuses_what_is_no_probability)
    RUN(leaves_refuse_bad_shapes)
    RUN(a_bad_desc_is_refused_in_words)
    RUN(an_unfilled_desc_is_refused_unread)
    RUN(a_model_with_nothing_to_train_is_refused)
    RUN(a_model_with_an_error_is_refused)
    RUN(a_loss_that_does_not_fit_is_found_by_the_dry_run)
    RUN(a_gradient_check_reports_the_error_of_a_loss)
    RUN(bad_batches_are_refused_in_words)
    RUN(bad_data_are_refused_in_words)
    RUN(a_rates_callback_that_sets_nonsense_is_refused)
    RUN(a_missing_file_is_named)
    RUN(a_short_file_is_damaged)
    RUN(a_file_of_another_model_is_refused_by_name)
    RUN(a_full_disk_is_an_error_of_the_file)
    RUN(too_little_memory_is_an_error_with_the_figure)
)
