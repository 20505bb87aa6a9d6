package dev.podflare.sdk;

import java.time.Instant;
import java.util.OptionalInt;

/**
 * What the server knows about a terminal.
 *
 * @param id its id
 * @param cmd what runs in it
 * @param pid the process in the sandbox
 * @param cols its width
 * @param rows its height
 * @param createdAt when it was opened
 * @param attached whether a client is attached to it
 * @param exitCode once it has ended
 */
public record TerminalInfo(
    String id,
    String cmd,
    int pid,
    int cols,
    int rows,
    Instant createdAt,
    boolean attached,
    OptionalInt exitCode) {
  static TerminalInfo of(Fields fields) {
    return new TerminalInfo(
        fields.id("id"),
        fields.text("cmd"),
        fields.count("pid"),
        fields.count("cols"),
        fields.count("rows"),
        fields.instant("created_at"),
        fields.truth("attached", false),
        fields.optionalCount("exit_code"));
  }
}
