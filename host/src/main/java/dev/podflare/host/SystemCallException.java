package dev.podflare.host;

import java.io.IOException;
import java.util.Locale;

/** The kernel refused a call. The message has the call's name and the C library's words for why. */
final class SystemCallException extends IOException {

  private static final long serialVersionUID = 1L;

  private final int errno;

  SystemCallException(SystemCall call, int errno) {
    super(call.name().toLowerCase(Locale.ROOT) + ": " + Errno.text(errno));
    this.errno = errno;
  }

  /** See errno(3). */
  int errno() {
    return errno;
  }
}
