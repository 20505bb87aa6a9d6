package dev.podflare.guest;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** An operation in a guest did not come to its end. */
public abstract sealed class GuestException extends IOException
    permits GuestLostException, GuestRefusedException, GuestSilentException {

  private static final long serialVersionUID = 1L;

  GuestException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  /** The message, which is never absent. */
  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }
}
