package dev.podflare.sandbox;

/** What the host has of memory, asked anew each time. */
public interface HostMemory {

  /** All of it, in bytes. */
  long total();

  /** What could be used without swapping, in bytes. */
  long available();
}
