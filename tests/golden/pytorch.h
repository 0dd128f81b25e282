/* Made by make_pytorch.py with PyTorch; not edited by hand: what the model in pytorch.safetensors gives. */

static const float golden_outputs[] = {
    -0.594047189f, -0.411880881f, -1.12628269f, -0.733579814f, -0.630353808f, -0.315717012f, -1.20071077f, -0.92693913f,
    -0.736475646f, -0.226220146f, -1.16907215f, -0.790565968f, -0.632189214f, -0.327726781f, -1.13065577f,
    -0.864667296f, -0.545222342f, -0.443135798f, -0.867307305f, -0.883142471f,
};
