package dev.podflare.engine;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * Makes microVMs run, forks them, freezes them into snapshots, and starts them again.
 *
 * <p>This interface is all that the rest of Podflare knows about virtual machines. Its words are
 * image, boot, start, pause, resume, fork, freeze, stop and attach; no word of any one machine
 * monitor (a process id, a control protocol, a file format) shows here, so that a second engine
 * fits in the same place. What an engine must do beyond the signatures is written down as tests in
 * {@code EngineContract}.
 *
 * <p>The life of a microVM:
 *
 * <pre>
 *   boot(image) ──▶ running ◀───────▶ paused ──▶ stopped (by us, by its guest, or by a crash)
 *                   ▲   │
 *      start, fork, │   │ fork (and it goes on as it was), or freeze (and it ends)
 *   any number of   │   ▼
 *   times        other microVMs, or a Snapshot (immutable, on disk)
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
   * Makes live copies of a microVM: same memory, same processes, same disk as of one instant, each
   * of its own from then on.
   *
   * <p>The parent stands still for milliseconds, whatever its size, age or ancestry. It goes on
   * also when this call fails; one that was paused stays so. It may be in the middle of anything:
   * whoever talks to a copy must expect half a message in the channel.
   *
   * <p>All copies run when this call returns, or none is left, and their networks never reached
   * more than {@code egress}. They share the parent's random state, clock and names until the
   * guest's agent has been woken, so no user code may reach one before that.
   *
   * <p>Copies of a {@linkplain #startZygote zygote} are as far from each other as if each had been
   * started. Copies of any other microVM are one tenant's, as it is itself.
   *
   * @param count how many, 1 or more
   * @throws EngineException {@link EngineException.Kind#NO_ROOM} if the host has no room for them
   */
  Fork fork(MicroVm parent, Egress egress, int count) throws EngineException;

  /**
   * Turns a microVM into a snapshot that outlives the host, and ends it.
   *
   * <p>The snapshot is durable and has checksums when this call returns. If it fails, the microVM
   * goes on.
   *
   * @param directory exists, is empty, and lies on the file system of the engine's own directory;
   *     if this call fails, it must be thrown away
   * @throws EngineException {@link EngineException.Kind#NO_ROOM} if the host's disk is full
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
   * Starts a microVM from a snapshot: same memory, same processes, with copy-on-write memory and
   * disk of its own.
   *
   * <p>It runs when this call returns, and its network never reached more than {@code egress}. It
   * shares the snapshot's random state, clock and names until the guest's agent has been woken, so
   * no user code may reach it before that.
   */
  MicroVm start(Snapshot snapshot, Egress egress) throws EngineException;

  /**
   * Starts a microVM of which others are {@linkplain #fork forked}, for owners that have nothing to
   * do with each other. It runs, without a network, when this call returns; whoever has it may warm
   * it, with code that all copies may trust, and pauses or {@linkplain #settle settles} it then.
   *
   * @param waitedFor whether somebody waits for it; else it has, until it is settled, only what
   *     others leave of the processors
   */
  MicroVm startZygote(Snapshot snapshot, boolean waitedFor) throws EngineException;

  /**
   * Pauses a zygote for good, and makes forks of it as cheap as they can be. Takes part of a
   * second, and room on the disk for what it has written of its memory.
   *
   * @throws EngineException {@link EngineException.Kind#NO_ROOM} if there is none; it is paused
   *     then, and can be forked
   */
  void settle(MicroVm zygote) throws EngineException;

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
