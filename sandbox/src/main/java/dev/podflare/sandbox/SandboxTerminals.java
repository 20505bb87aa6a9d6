package dev.podflare.sandbox;

import dev.podflare.guest.GuestException;
import java.util.List;

/** The terminals of one sandbox. */
final class SandboxTerminals {

  private final Sandbox sandbox;

  SandboxTerminals(Sandbox sandbox) {
    this.sandbox = sandbox;
  }

  /** Who reads a terminal keeps the sandbox from being idle, but not its machine from changing. */
  private interface Finding {
    Terminal in(Sandbox.Use use) throws GuestException, InterruptedException;
  }

  TerminalStream open(OpenTerminal request) throws GuestException, InterruptedException {
    return attach(use -> use.machine().terminals().open(use.agent(), request));
  }

  TerminalStream attach(TerminalId id) throws GuestException, InterruptedException {
    return attach(use -> {
      // A copy knows its terminals only when it has an identity of its own.
      var _ = use.agent();
      return use.machine().terminals().find(id).orElseThrow(Refusals::noTerminal);
    });
  }

  private TerminalStream attach(Finding finding) throws GuestException, InterruptedException {
    Sandbox.Attendance attendance = sandbox.attend();
    boolean attached = false;
    try (Sandbox.Use use = sandbox.use()) {
      TerminalStream stream = finding.in(use).attach(attendance);
      attached = true;
      return stream;
    } finally {
      if (!attached) {
        attendance.close();
      }
    }
  }

  List<TerminalInfo> list() throws InterruptedException {
    try (Sandbox.Use use = sandbox.use()) {
      var _ = use.agent();
      return use.machine().terminals().list();
    }
  }

  void kill(TerminalId id) throws InterruptedException {
    try (Sandbox.Use use = sandbox.use()) {
      var _ = use.agent();
      use.machine().terminals().kill(id);
    }
  }
}
