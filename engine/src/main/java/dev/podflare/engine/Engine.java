package dev.podflare.engine;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * Makes microVMs run, freezes them into snapshots, and starts clones of snapshots.
 *
 * <p>This interface is all that the rest of Podflare knows about virtual machines. Its words are
 * image, boot, start, pause, resume, capture, freeze, stop and attach; no word of any one machine
 * monitor (a process id, a control protocol, a file format) shows here, so that a second engine
 * fits in the same place. What an engine must do beyond the signatures is written down as tests in
 * {@code EngineContract}.
 *
 * <p>The life of a microVM:
 *
 * <pre>
 *   boot(image) ──▶ running ◀───────▶ paused ──▶ stopped (by us, by its guest, or by a crash)
 *                   ▲   │
 *    start, any     │   │ capture (and it goes on), or freeze (and it ends)
 *    number of times│   ▼
 *                  Snapshot (immutable, on disk)
 * </pre>
 *
 * <p>An engine writes down each microVM before it starts it, so that what a killed server leaves
 * behind is found again by {@link #reap()}.
 *
 * <p>Safe for use by many threads at once. Every call blocks and has a deadline of its own, so run
 * it on a virtual thread.
 */
public interface Engine extends AutoCloseable {

  /** What this engine is and which isolation is in force. Constant for the life of the engine. */
  EngineFacts facts();

  /** What it has made ahead of time at this moment. */
  Prepared prepared();

  /**
   * Starts a microVM from a cold image, with the memory to be frozen later.
   *
   * <p>Returns when the virtual processors run; whether the guest's agent comes up is for the
   * caller to await on {@link MicroVm#attach()}.
   *
   * @throws EngineException if the machine can't be started; nothing of it is left then
   */
  MicroVm boot(BootRequest request) throws EngineException;

  /**
   * Cuts memory, disk and devices of a running microVM at one instant; the microVM goes on.
   *
   * <p>It stands still for milliseconds, in proportion to the memory that it wrote since it was
   * started or last captured, whatever its size, age or ancestry. It goes on also when this call
   * fails. It may be in the middle of anything: whoever starts the snapshot must expect half a
   * message in the channel.
   *
   * @param directory exists, is empty, and lies on the file system of the engine's own directory;
   *     if this call fails, it must be thrown away
   * @throws EngineException {@link EngineException.Kind#NO_ROOM} if the host's disk is full
   */
  Capture capture(MicroVm microVm, Path directory) throws EngineException;

  /**
   * Turns a microVM into a snapshot that outlives the host, and ends it.
   *
   * <p>As {@link #capture}, but the snapshot is durable and has checksums when this call returns.
   * If it fails, the microVM goes on.
   */
  Snapshot freeze(MicroVm microVm, Path directory) throws EngineException;

  /**
   * Opens a snapshot that an earlier process made.
   *
   * @throws EngineException with {@link EngineException.Kind#SNAPSHOT_MISMATCH} if it was made by
   *     another engine, on another machine or processor, or is not whole
   */
  Snapshot open(Path directory) throws EngineException;

  /**
   * Starts clones of a snapshot: same memory, same processes, each with its own copy-on-write
   * memory and disk.
   *
   * <p>All of them run when this call returns, or none is left, and their networks never reached
   * more than {@code egress}. They share the snapshot's random state, clock and names until the
   * guest's agent has been woken, so no user code may reach one before that.
   *
   * <p>Of more than one, each runs behind all others until it is told to {@link
   * MicroVm#takeFullShare}.
   *
   * @param count how many, 1 or more
   */
  List<MicroVm> start(Snapshot snapshot, Egress egress, int count) throws EngineException;

  /** Starts one clone. */
  default MicroVm start(Snapshot snapshot, Egress egress) throws EngineException {
    return start(snapshot, egress, 1).getFirst();
  }

  /**
   * Takes over microVMs that an earlier, dead process of this engine left running. They run when
   * this call returns, whatever that process was doing with them.
   *
   * @param wanted those that the caller has a use for; all others are left to {@link #reap()}
   * @return those of them that live
   */
  List<MicroVm> adopt(Set<MicroVmId> wanted) throws EngineException;

  /**
   * Stops every microVM that an earlier, dead process of this engine left in its directory and that
   * was not {@linkplain #adopt adopted}, and frees what they held.
   *
   * @return the ids of those microVMs
   */
  List<MicroVmId> reap() throws EngineException;

  /**
   * Leaves the microVMs that run to the next engine on the same directory, which {@linkplain #adopt
   * adopts} them, and ends only what was prepared and runs nothing yet. In place of {@link #close}.
   */
  void leave();

  /** Stops every microVM of this engine and gives back all that it holds of the host. */
  @Override
  void close();
}
