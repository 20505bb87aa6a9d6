package dev.podflare.sandbox;

/** What can be sent to the program in a terminal's foreground, by the names of Linux. */
public enum TerminalSignal {
  SIGHUP,
  SIGINT,
  SIGQUIT,
  /** To the first process and its group as well. */
  SIGKILL,
  SIGUSR1,
  SIGUSR2,
  SIGALRM,
  SIGTERM,
  SIGCONT,
  SIGSTOP,
  SIGTSTP,
  SIGWINCH
}
