package dev.podflare.engine;

/** What stands between a guest and the host. */
public enum Isolation {
  /** Hardware virtualization. */
  KVM,
  /** A full virtual machine whose processor is software: as separate, and slower. */
  EMULATED;

  /** The word that users see: {@code kvm} or {@code emulated}. */
  public String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
