package dev.podflare.sdk;

import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * A program in a terminal, and this one attached to it. Closing detaches: the program runs on, and
 * {@link Terminals#attach} comes back to it. Any number of threads may write; one reads.
 */
public final class Terminal implements AutoCloseable {
  private static final Duration HELLO = Duration.ofSeconds(60);

  private final TerminalFrames frames;
  private final String id;
  private final int pid;

  /** Waits until the server says which terminal it is. */
  Terminal(TerminalFrames frames, String host) {
    this.frames = frames;
    Fields hello = frames.awaitHello(host, HELLO);
    this.id = hello.id("pty");
    this.pid = hello.count("pid");
  }

  /** {@code pty_} and 32 hexadecimal digits. */
  public String id() {
    return id;
  }

  /** The process in the sandbox. */
  public int pid() {
    return pid;
  }

  /**
   * The bytes that it writes, to their end. A reader that is slow slows the program. Empty if a
   * callback gets them.
   */
  public InputStream output() {
    return frames.output();
  }

  /** Types this text. */
  public void send(String text) {
    send(text.getBytes(StandardCharsets.UTF_8));
  }

  /** Sends these bytes. */
  public void send(byte[] bytes) {
    frames.send(ByteBuffer.wrap(bytes.clone()));
  }

  /** Makes it this large. */
  public void resize(int cols, int rows) {
    frames.send(Map.of("resize", Map.of("cols", cols, "rows", rows)));
  }

  /** Sends a signal such as {@code SIGINT} to what runs in it. */
  public void signal(String name) {
    frames.send(Map.of("signal", name));
  }

  /** Kills what runs in it. */
  public void kill() {
    frames.send(Map.of("kill", true));
  }

  /**
   * Waits for the end of its program. Somebody must read {@link #output()}, unless a callback gets
   * it: a program whose output nobody takes does not end.
   *
   * @throws ConflictException somebody else has attached to it
   * @throws ConnectionException the connection broke; the program runs on
   */
  public TerminalExit await() {
    return frames.awaitExit();
  }

  /** The same for at most so long; empty if it runs on. */
  public Optional<TerminalExit> await(Duration longest) {
    return frames.awaitExit(longest);
  }

  /** Detaches. */
  @Override
  public void close() {
    frames.close();
  }

  @Override
  public String toString() {
    return "Terminal[" + id + "]";
  }
}
