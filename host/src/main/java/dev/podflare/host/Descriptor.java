package dev.podflare.host;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A file descriptor of this process, which owns it: to be handed to another process over a {@link
 * ControlSocket}, or copied from. No program that this process starts inherits it.
 *
 * <p>Safe for use by many threads, as long as none closes it while another uses it.
 */
public final class Descriptor implements AutoCloseable {

  /** What an opened file is for. A file is made only where this says so, with mode 0600. */
  public enum Access {
    /** To read an existing file. */
    READ(0),
    /** To write to an existing file, from its begin. */
    WRITE(1),
    /** To read and write an existing file. */
    READ_WRITE(2),
    /** To write behind the end of an existing file, wherever that is at each write. */
    APPEND(1 | O_APPEND),
    /** To read and write a file that must not exist yet. */
    CREATE(2 | O_CREAT | O_EXCL),
    /** To write behind the end of a file that must not exist yet. */
    CREATE_APPEND(1 | O_APPEND | O_CREAT | O_EXCL);

    private final long flags;

    Access(long flags) {
      this.flags = flags;
    }
  }

  private static final long O_CREAT = 0x40;
  private static final long O_EXCL = 0x80;
  private static final long O_APPEND = 0x400;
  private static final long O_NONBLOCK = 0x800;
  private static final long O_NOFOLLOW = 0x20000;
  private static final long O_CLOEXEC = 0x80000;
  private static final long O_PATH = 0x200000;

  /** Of {@code <fcntl.h>}: for paths that are no descriptor's. */
  private static final long AT_FDCWD = -100;

  private static final long OWNER_ONLY = 0600;

  private final int number;
  private final AtomicBoolean closed = new AtomicBoolean();

  /** Takes a descriptor over that nobody else owns. */
  Descriptor(long number) {
    this.number = Math.toIntExact(number);
  }

  /**
   * Opens a file, or a device, in a directory that only this server writes to. A symbolic link at
   * the path's end is not followed.
   *
   * @throws NoSuchFileException if it does not exist
   * @throws FileAlreadyExistsException if it exists and must not
   * @throws IOException if it can't be opened, which includes that it is a symbolic link
   */
  public static Descriptor open(Path file, Access access) throws IOException {
    return open(file, access.flags);
  }

  /** As {@link #open}; reads and writes that would have to wait fail. */
  static Descriptor openNonBlocking(Path file, Access access) throws IOException {
    return open(file, access.flags | O_NONBLOCK);
  }

  /**
   * An entry of a directory, to reach it under its name in /proc; whatever it is, nothing opens.
   */
  static Descriptor locate(Path entry) throws IOException {
    return open(entry, O_PATH);
  }

  private static Descriptor open(Path file, long flags) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment how = arena.allocate(ValueLayout.JAVA_LONG, 3);
      how.setAtIndex(ValueLayout.JAVA_LONG, 0, flags | O_NOFOLLOW | O_CLOEXEC);
      how.setAtIndex(ValueLayout.JAVA_LONG, 1, (flags & O_CREAT) == 0 ? 0 : OWNER_ONLY);
      MemorySegment name = arena.allocateFrom(file.toString());
      return new Descriptor(
          SystemCall.OPENAT2.call(AT_FDCWD, name.address(), how.address(), how.byteSize()));
    } catch (SystemCallException e) {
      throw switch (e.errno()) {
        case Errno.ENOENT -> new NoSuchFileException(file.toString());
        case Errno.EEXIST -> new FileAlreadyExistsException(file.toString());
        case Errno.ELOOP -> failure(file, "there is a symbolic link, which is not followed", e);
        default -> failure(file, Errno.text(e.errno()), e);
      };
    }
  }

  private static IOException failure(Path file, String reason, Exception cause) {
    FileSystemException failure = new FileSystemException(file.toString(), null, reason);
    failure.initCause(cause);
    return failure;
  }

  /**
   * The descriptor's number in this process.
   *
   * @throws IllegalStateException if it is closed: the number may be another's by now
   */
  public int number() {
    if (closed.get()) {
      throw new IllegalStateException("descriptor " + number + " is closed");
    }
    return number;
  }

  /**
   * A path by which this process opens the same file, for classes that take paths. Valid until this
   * is closed.
   */
  public Path path() {
    return Path.of("/proc/self/fd", Integer.toString(number()));
  }

  /** The file's length in bytes; 0 for what has none. */
  public long size() throws IOException {
    return FileStatus.of(number()).size();
  }

  /**
   * Makes another file's content that of this one. Holes stay holes where the file system tells
   * where they are, and blocks are shared where it can do that. Neither of the two may change
   * meanwhile, and nobody else may read this one by its position. If it fails, the target has some
   * of the content.
   *
   * @param target opened for writing, not for appending; what it held is lost
   * @return the length of both in bytes
   * @throws EOFException if this file became shorter meanwhile
   * @throws IOException if one of the two can't be read or written, or the disk is full
   */
  public long copyTo(Descriptor target) throws IOException {
    return new FileCopy(number(), target.number()).run();
  }

  /** Closes it. Does nothing if it is closed. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      try {
        SystemCall.CLOSE.callOnce(number);
      } catch (SystemCallException e) {
        // The kernel has taken it back whatever it says; it reports writes of other descriptors.
        System.getLogger(Descriptor.class.getName())
            .log(System.Logger.Level.DEBUG, "descriptor {0}: {1}", number, e.getMessage());
      }
    }
  }
}
