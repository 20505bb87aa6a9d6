package dev.podflare.engine;

import java.nio.channels.SocketChannel;
import java.util.concurrent.CompletableFuture;

/**
 * One running virtual machine with its own kernel, memory and disk.
 *
 * <p>Safe for use by many threads. {@link #close()} may be called at any time, from any thread, any
 * number of times; calls that are under way then end with an {@link EngineException}.
 */
public interface MicroVm extends AutoCloseable {

  MicroVmId id();

  MachineShape shape();

  /**
   * Connects to the byte stream that ends at the guest's agent. A microVM has one such stream, and
   * one user of it at a time; bytes that the guest wrote before are still in it.
   */
  SocketChannel attach() throws EngineException;

  /** Stops the virtual processors. Memory, disk and devices stay as they are. */
  void pause() throws EngineException;

  /** Lets the virtual processors go on. */
  void resume() throws EngineException;

  /** Sets what the guest's network interface reaches. Holds from the moment this call returns. */
  void allow(Egress egress) throws EngineException;

  /** What the machine costs the host now. */
  Usage usage() throws EngineException;

  /** Completes, never exceptionally, once the machine has ended, for whatever reason. */
  CompletableFuture<Exit> exit();

  /**
   * Ends the machine without asking the guest, and returns when nothing of it is left on the host.
   */
  @Override
  void close();
}
