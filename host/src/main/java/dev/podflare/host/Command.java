package dev.podflare.host;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * One run of a system program that answers soon, such as {@code ip} or {@code nft}.
 *
 * <p>For programs whose output is small: what goes beyond 64 KiB is an error.
 */
public final class Command {

  private static final int MOST_OUTPUT = 64 * 1024;

  private final List<String> words;
  private final Duration deadline;
  private final int mostOutput;

  private Command(List<String> words, Duration deadline, int mostOutput) {
    this.words = words;
    this.deadline = deadline;
    this.mostOutput = mostOutput;
  }

  /** A command that may take 20 seconds, far more than any of them needs on a busy host. */
  public static Command of(String... words) {
    return new Command(List.of(words), Duration.ofSeconds(20), MOST_OUTPUT);
  }

  public Command within(Duration limit) {
    return new Command(words, limit, mostOutput);
  }

  /** The same, which may write so many bytes. */
  Command reading(int most) {
    return new Command(words, deadline, most);
  }

  /** Runs it with nothing on its standard input. */
  public String run() throws HostException {
    return run("");
  }

  /**
   * Runs it and waits for its end.
   *
   * @param input what it reads on its standard input
   * @return what it wrote on its standard output and error, without white space at the ends
   * @throws HostException if it can't be started, takes too long or ends with another code than 0;
   *     the message says which, and has what it wrote
   */
  public String run(String input) throws HostException {
    Process process = start();
    AtomicBoolean late = new AtomicBoolean();
    Thread watchdog = Thread.ofVirtual().start(() -> endIfLate(process, late));
    try (InputStream output = process.getInputStream()) {
      Optional<IOException> unread = feed(process, input);
      byte[] bytes = output.readNBytes(mostOutput);
      if (output.read() >= 0) {
        throw new HostException(this + " wrote more than " + mostOutput + " bytes");
      }
      int code = process.waitFor();
      if (late.get()) {
        throw late();
      }
      String text = new String(bytes, StandardCharsets.UTF_8).strip();
      if (code != 0) {
        throw new HostException(this + " failed with code " + code + ": " + text);
      }
      if (unread.isPresent()) {
        throw unread.get();
      }
      return text;
    } catch (IOException e) {
      // Ending it closes its output, in the middle of a read maybe.
      throw late.get() ? late() : new HostException(this + " broke off", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new HostException(this + " was interrupted", e);
    } finally {
      process.destroyForcibly();
      watchdog.interrupt();
    }
  }

  private Process start() throws HostException {
    try {
      return new ProcessBuilder(words).redirectErrorStream(true).start();
    } catch (IOException e) {
      throw new HostException(words.getFirst() + " can't be started; is it installed?", e);
    }
  }

  /** A program that fails before it has read all says why itself: that comes first. */
  private static Optional<IOException> feed(Process process, String input) {
    try (OutputStream stdin = process.getOutputStream()) {
      stdin.write(input.getBytes(StandardCharsets.UTF_8));
      return Optional.empty();
    } catch (IOException unread) {
      return Optional.of(unread);
    }
  }

  private HostException late() {
    return new HostException(this + " did not end within " + deadline.toMillis() + " ms");
  }

  private void endIfLate(Process process, AtomicBoolean late) {
    try {
      if (!process.waitFor(deadline.toMillis(), TimeUnit.MILLISECONDS)) {
        late.set(true);
        // Its children have its output too, and would keep its reader waiting.
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
      }
    } catch (InterruptedException done) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public String toString() {
    return String.join(" ", words);
  }
}
