// device.h as an Arduino sketch, for boards with 32 KB of memory and 128 KB of flash or more (Nano 33 BLE, Portenta, ESP32, ...).
// badm is installed as a library; beside this file go gesture.h and device.h, and gesture_weights.h and gesture_recordings.h as
// train.c writes them.
#include <badm.h>

#define GESTURE_PRINT(text) Serial.print(text)
#include "gesture_weights.h"
#include "gesture_recordings.h"
#include "device.h"

void setup() {
  Serial.begin(115200);
  while (!Serial) {}
  gesture_on_device();
}

void loop() {}
