package dev.podflare.cli;

import java.io.ByteArrayOutputStream;

/**
 * Finds in what is typed the key that leaves a terminal: Ctrl-] and then d. Ctrl-] twice is one
 * Ctrl-] for the program.
 */
final class DetachKey {

  static final String IN_WORDS = "Ctrl-] d";

  private static final byte PREFIX = 0x1d;

  private boolean prefixed;
  private boolean pressed;

  /** What of it the program gets; nothing that comes behind the key. */
  byte[] filter(byte[] typed, int length) {
    ByteArrayOutputStream passed = new ByteArrayOutputStream(length + 1);
    for (int i = 0; i < length && !pressed; i++) {
      byte key = typed[i];
      if (!prefixed) {
        prefixed = key == PREFIX;
        if (!prefixed) {
          passed.write(key);
        }
      } else {
        prefixed = false;
        pressed = key == 'd' || key == 'D';
        if (!pressed) {
          passed.write(PREFIX);
          if (key != PREFIX) {
            passed.write(key);
          }
        }
      }
    }
    return passed.toByteArray();
  }

  boolean isPressed() {
    return pressed;
  }
}
