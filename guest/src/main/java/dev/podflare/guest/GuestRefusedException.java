package dev.podflare.guest;

import java.util.regex.Pattern;

/**
 * An operation was refused. The message is a sentence for a person; where it comes from the guest
 * it has at most 1,024 characters, none of them a control character.
 */
public final class GuestRefusedException extends GuestException {

  /** There are as many operations open as one guest may have. */
  public static final String BUSY = "busy";

  /** What the host was asked to send does not fit into one frame. */
  public static final String TOO_LARGE = "too_large";

  /** Text that the host was asked to send is no Unicode text. */
  public static final String INVALID_TEXT = "invalid_text";

  private static final long serialVersionUID = 1L;

  private static final Pattern CODE = Pattern.compile("[a-z][a-z0-9_]{0,63}");

  private final String code;

  GuestRefusedException(String code, String sentence) {
    super(sentence, null);
    this.code = code;
  }

  /** A refusal in the guest's own words, as far as they can be repeated. */
  static GuestRefusedException byGuest(String code, String sentence) throws ProtocolViolation {
    if (!CODE.matcher(code).matches()) {
      throw new ProtocolViolation("it refused with a code that is not snake_case");
    }
    return new GuestRefusedException(code, GuestText.sentence(sentence));
  }

  /** The refusal's name for programs: one of docs/agent-protocol.md, or of the constants here. */
  public String code() {
    return code;
  }
}
