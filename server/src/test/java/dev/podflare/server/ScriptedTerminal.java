package dev.podflare.server;

import dev.podflare.sandbox.TerminalEvent;
import dev.podflare.sandbox.TerminalId;
import dev.podflare.sandbox.TerminalInfo;
import dev.podflare.sandbox.TerminalSignal;
import dev.podflare.sandbox.TerminalStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A terminal that says what a test tells it to say. */
final class ScriptedTerminal implements TerminalStream {

  final TerminalId id = TerminalId.random();
  final BlockingQueue<TerminalEvent> events = new LinkedBlockingQueue<>();
  final BlockingQueue<String> typed = new LinkedBlockingQueue<>();
  final BlockingQueue<String> told = new LinkedBlockingQueue<>();
  final BlockingQueue<Boolean> closed = new LinkedBlockingQueue<>();
  volatile boolean takesInput = true;

  void say(String text) {
    events.add(new TerminalEvent.Output(text.getBytes(StandardCharsets.UTF_8)));
  }

  void exit(int code, Optional<String> reason) {
    events.add(new TerminalEvent.Exit(code, reason));
  }

  @Override
  public TerminalInfo info() {
    return new TerminalInfo(
        id, "bash -l", 7, 80, 24, SandboxesInMemory.CREATED, true, OptionalInt.empty());
  }

  @Override
  public Optional<TerminalEvent> next(Duration longest) throws InterruptedException {
    return Optional.ofNullable(events.poll(longest.toMillis(), TimeUnit.MILLISECONDS));
  }

  @Override
  public boolean write(byte[] bytes) {
    typed.add(new String(bytes, StandardCharsets.UTF_8));
    return takesInput;
  }

  @Override
  public void resize(int cols, int rows) {
    told.add(cols + "x" + rows);
  }

  @Override
  public void signal(TerminalSignal signal) {
    told.add(signal.name());
  }

  @Override
  public void close() {
    closed.add(true);
    events.add(new TerminalEvent.TakenOver());
  }
}
