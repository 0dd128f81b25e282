/* Trains the model of pytorch_net.h a little and writes FOLDER/state.safetensors and FOLDER/outputs.npy for tests/pytorch.py. */
#define BADM_IMPLEMENTATION
#include "badm.h"
#include <math.h>
#include <stdio.h>
#include "golden.h"
#include "pytorch_net.h"

int main(int argc, char **argv)
{
    static const badm_dim shape[2] = { PYTORCH_SAMPLES, PYTORCH_OUTPUTS };
    badm_model *m = badm_model_new(1);
    badm_trainer *tr;
    pytorch_net n;
    float y[PYTORCH_SAMPLES * PYTORCH_OUTPUTS];
    char path[512];
    int i;
    (void)golden_difference;            /* only golden.h's inputs are wanted */
    if (argc < 2 || strlen(argv[1]) > 400) return 2;
    pytorch_open(&n, m);
    tr = pytorch_trainer(m, &n);
    if (!tr) { puts(badm_model_error(m)); return 1; }
    for (i = 0; i < 20; i++) if (badm_step(tr, NULL, PYTORCH_SAMPLES, NULL)) { puts(badm_trainer_error(tr)); return 1; }
    if (badm_predict(tr, pytorch_output, &n, PYTORCH_SAMPLES, PYTORCH_OUTPUTS, y)) { puts(badm_trainer_error(tr)); return 1; }
    sprintf(path, "%s/outputs.npy", argv[1]);
    if (badm_npy_save(y, 2, shape, path, NULL)) return 1;
    sprintf(path, "%s/state.safetensors", argv[1]);
    if (badm_save(m, path)) { puts(badm_model_error(m)); return 1; }
    badm_trainer_free(tr);
    badm_model_free(m);
    return 0;
}
