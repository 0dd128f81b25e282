/* A state_dict that PyTorch wrote (tests/golden/make_pytorch.py) loads unchanged into this library's layers and gives the same
   outputs. The other direction needs PyTorch: make check ONLY=pytorch. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include "test.h"
#include "golden.h"
#include "golden/pytorch.h"
#include "pytorch_net.h"

#define STATE_DICT "tests/golden/pytorch.safetensors"

TEST(a_state_dict_loads_and_gives_pytorchs_outputs)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr;
    pytorch_net n;
    float y[PYTORCH_SAMPLES * PYTORCH_OUTPUTS];
    pytorch_open(&n, m);
    CHECK_INT(badm_load(m, STATE_DICT), BADM_OK);
    CHECK_TEXT(badm_model_error(m), "");
    CHECK_NEAR(badm_param_values(n.norm1.batches)[0], 3, 0);
    tr = pytorch_trainer(m, &n);
    CHECK(tr != NULL);
    if (tr) {
        CHECK_INT(badm_predict(tr, pytorch_output, &n, PYTORCH_SAMPLES, PYTORCH_OUTPUTS, y), BADM_OK);
        CHECK_NEAR(golden_difference(y, golden_outputs, sizeof y / sizeof *y, 1, 1.0), 0, 2e-6);
    }
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST(a_state_dict_goes_on_learning)
{
    badm_model *m = badm_model_new(1);
    badm_trainer *tr;
    badm_report first, last;
    pytorch_net n;
    int i;
    pytorch_open(&n, m);
    CHECK_INT(badm_load(m, STATE_DICT), BADM_OK);
    tr = pytorch_trainer(m, &n);
    CHECK(tr != NULL);
    if (tr) {
        CHECK_INT(badm_step(tr, NULL, PYTORCH_SAMPLES, &first), BADM_OK);
        for (i = 0; i < 30; i++) CHECK_INT(badm_step(tr, NULL, PYTORCH_SAMPLES, &last), BADM_OK);
        CHECK(last.loss < 0.5f * first.loss);
        CHECK_NEAR(badm_param_values(n.norm1.batches)[0], 34, 0);
    }
    badm_trainer_free(tr);
    badm_model_free(m);
}

TEST_MAIN(RUN(a_state_dict_loads_and_gives_pytorchs_outputs) RUN(a_state_dict_goes_on_learning))
