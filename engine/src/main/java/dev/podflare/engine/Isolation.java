package dev.podflare.engine;

/** What stands between a guest and the host. */
public enum Isolation {
  /** Hardware virtualization. */
  KVM,
  /** A full virtual machine whose processor is software; what holds it is the jail around it. */
  EMULATED;

  /**
   * What it promises, in a sentence for people. Whatever tells of isolation (the command line, the
   * API, the documentation) uses this one; tests compare.
   */
  public String promise() {
    return switch (this) {
      case KVM ->
          "The processor keeps each sandbox apart from the host, which the authors of KVM and QEMU"
              + " treat as a security boundary, and its monitor is a jailed process besides.";
      case EMULATED ->
          "Each sandbox is a jailed process, and the jail is the only wall: QEMU's security policy"
              + " promises no isolation of a guest without a virtualization accelerator. For code that"
              + " may be hostile use a host with KVM; up --require-kvm refuses any other.";
    };
  }

  /** The one with this word. */
  public static Isolation of(String word) {
    return valueOf(word.toUpperCase(java.util.Locale.ROOT));
  }

  /** The word that users see: {@code kvm} or {@code emulated}. */
  public String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
