package dev.podflare.host;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;

/** The functions of the C library that Java has no class for. */
final class CLibrary {

  private static final Linker LINKER = Linker.nativeLinker();

  private CLibrary() {}

  /**
   * A function by its name.
   *
   * @param form as POSIX or the Linux manual declares it
   */
  @SuppressWarnings("restricted")
  static MethodHandle function(String name, FunctionDescriptor form, Linker.Option... options) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), form, options);
  }

  /** For what a call is declared to throw, and never does. */
  static IllegalStateException broken(Throwable cause) {
    return new IllegalStateException("a call of the C library threw", cause);
  }
}
