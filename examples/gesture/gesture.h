/* Gestures with a wand: what the program that trains (train.c) and the device that goes on learning (device.h) share.

   A recording is 119 moments of acceleration (x, y, z: +-4 g) and rotation (+-512 degrees a second), kept as int16 in the order
   [channel][moment], 1428 bytes, so that it can lie in flash. Two convolutions over time and two linear layers; the last one is
   what a device moves. Include badm.h before. */
#ifndef GESTURE_H
#define GESTURE_H

enum { GESTURE_CHANNELS = 6, GESTURE_MOMENTS = 119, GESTURE_NUMBERS = GESTURE_CHANNELS * GESTURE_MOMENTS, GESTURE_CLASSES = 5 };

static const char *const gesture_names[GESTURE_CLASSES] = { "Alohomora", "Arresto Momentum", "Avada Kedavra", "Locomotor", "Revelio" };

typedef struct gesture_net {
    badm_conv_layer first, second;
    badm_linear hidden, last;
    const int16_t *recording;       /* [n][GESTURE_NUMBERS] */
    const uint8_t *label;           /* [n] */
} gesture_net;

/* Errors stick in the model. */
static inline gesture_net gesture_new(badm_model *m)
{
    gesture_net net;
    badm_conv conv = badm_conv_defaults();
    conv.stride[0] = 4;
    net.first = badm_conv1d_new(m, "first", GESTURE_CHANNELS, 8, 7, conv);         /* [8,29] */
    conv.stride[0] = 3;
    net.second = badm_conv1d_new(m, "second", 8, 16, 5, conv);                     /* [16,9] */
    net.hidden = badm_linear_new(m, "hidden", 16 * 9, 24);
    net.last = badm_linear_new(m, "last", 24, GESTURE_CLASSES);
    net.recording = NULL;
    net.label = NULL;
    return net;
}

/* [n, classes] */
static inline badm_tensor *gesture_logits(badm_tape *t, const badm_batch *b, void *user)
{
    const gesture_net *net = (const gesture_net *)user;
    badm_dim signal[3] = { 0, GESTURE_CHANNELS, GESTURE_MOMENTS }, flat[2] = { 0, 16 * 9 };
    badm_tensor *x = badm_rows_i16(t, net->recording, GESTURE_NUMBERS, 1.0f / 32768, 0, b);
    signal[0] = flat[0] = (badm_dim)b->count;
    x = badm_relu(t, badm_conv1d_forward(t, net->first, badm_reshape(t, x, 3, signal)));
    x = badm_relu(t, badm_conv1d_forward(t, net->second, x));
    x = badm_dropout(t, badm_reshape(t, x, 2, flat), 0.3f);
    return badm_linear_forward(t, net->last, badm_relu(t, badm_linear_forward(t, net->hidden, x)));
}

static inline badm_tensor *gesture_loss(badm_tape *t, const badm_batch *b, void *user)
{
    const gesture_net *net = (const gesture_net *)user;
    return badm_cross_entropy(t, gesture_logits(t, b, user), badm_labels_u8(t, net->label, b));
}

#endif
