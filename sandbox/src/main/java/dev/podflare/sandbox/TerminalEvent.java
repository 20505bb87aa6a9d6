package dev.podflare.sandbox;

import java.util.Optional;

/** What the reader of a terminal hears. */
public sealed interface TerminalEvent {

  /**
   * What the program wrote.
   *
   * @param bytes the reader's own; never empty
   */
  @SuppressWarnings("ArrayRecordComponent") // It is handed over once, and never compared.
  record Output(byte[] bytes) implements TerminalEvent {}

  /**
   * The program has ended; nothing follows.
   *
   * @param code as a shell would say it
   * @param reason empty if the program ended by itself; else {@code killed}: its machine ended
   */
  record Exit(int code, Optional<String> reason) implements TerminalEvent {}

  /** Somebody else reads now; nothing follows. */
  record TakenOver() implements TerminalEvent {}
}
